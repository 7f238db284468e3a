"""Rendered pairs with exact truth: the demo's room at several noises and exposures, and slanted planes of smooth texture."""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.cases import Case
from calib.camera import Camera
from calib.rig import StereoRig
from calib.synthetic import demo_scene, render_pair, render_truth

_AROUND_PX = 4


def rendered_cases() -> Iterator[Case]:
    """Rooms, then planes ("plane/..."); all perfectly rectified."""
    yield from rooms()
    for seed, slope in enumerate((0.004, 0.02, 0.06, -0.03, 0.0)):
        yield plane(slope, 11.3, seed=seed)
    yield plane(0.015, -7.7, seed=21, texture_px=2.5)


def rooms() -> Iterator[Case]:
    """The demo's scene from a parallel rig, 480 x 360 px, noise in grey levels rms and gain of the right image as named."""
    focal, width, height = 420.0, 480, 360
    cameras = [Camera(width, height, focal, focal, width / 2 - shift, height / 2, np.zeros(0)) for shift in (0.0, 3.3)]
    rig = StereoRig(cameras[0], cameras[1], np.eye(3), np.array([-0.12, 0.0, 0.0]))
    truth = render_truth(rig, demo_scene())
    assert truth.disparity_left_px is not None
    disparity = truth.disparity_left_px.astype(np.float32)
    for seed, (noise, gain) in enumerate(((1.0, 1.0), (2.5, 1.0), (2.0, 0.8), (4.0, 1.0))):
        photos = render_pair(rig, demo_scene(), noise=noise, seed=seed, gain=(1.0, gain))
        visible = np.isfinite(disparity) & ~truth.occluded_left
        yield _case(f"room/noise {noise:g}, gain {gain:g}", photos.left, photos.right, disparity, visible)


def plane(
    slope: float, offset: float, *, noise: float = 2.0, seed: int = 0, texture_px: float = 1.2, size: tuple[int, int] = (500, 240)
) -> Case:
    """A plane: d = offset + slope (x - W / 2), px; texture of 45 grey levels rms, so that 2 levels of noise are 27 dB below.

    The texture is smooth over `texture_px`, known everywhere along the rows (interpolated without error), and sampled where each
    image sees it.
    """
    width, height = size
    rng = np.random.default_rng(seed)
    border, oversampling = 100, 8
    texture = cv2.GaussianBlur(rng.normal(size=(height + 80, width + 2 * border)), (0, 0), texture_px)[40 : 40 + height]
    texture = (texture - texture.mean()) / texture.std() * 45 + 128
    count = texture.shape[1] * oversampling
    fine = np.fft.irfft(np.fft.rfft(texture, axis=1), count, axis=1) * oversampling

    def photo(columns: NDArray[np.float64]) -> NDArray[np.uint8]:
        place = (columns + border) * oversampling
        i = np.floor(place).astype(int)
        part = place - i
        exact = fine[:, i] * (1 - part) + fine[:, i + 1] * part
        noisy = exact + rng.normal(0, noise, exact.shape)
        return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)

    x = np.arange(width, dtype=float)
    disparity = np.broadcast_to(offset + slope * (x - width / 2), (height, width)).astype(np.float32)
    left, right = photo(x), photo((x + offset - slope * width / 2) / (1 - slope))
    place = x - disparity
    return _case(f"plane/{slope:g}, texture {texture_px:g}", left, right, disparity, (place > 1) & (place < width - 2))


def _case(name: str, left: NDArray[Any], right: NDArray[Any], disparity: NDArray[np.float32], visible: NDArray[np.bool_]) -> Case:
    low, high = (float(f(disparity[visible])) for f in (np.min, np.max))
    return Case(name, left, right, disparity, visible, int(np.floor(low)) - _AROUND_PX, int(np.ceil(high)) + _AROUND_PX + 1, 0.0)
