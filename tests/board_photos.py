"""Photos of boards of every kind, and where their points truly are."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.board_drawing import board_image
from calib.camera import Camera
from calib.geometry import Array, rotation_from_vector
from calib.target import Target

CAMERA = Camera(640, 480, 520.0, 522.0, 316.0, 243.0, np.array([-0.25, 0.08, 0.0005, -0.0005]))
_RAYS = 3  # n x n in each pixel


def photo(
    target: Target,
    *,
    camera: Camera = CAMERA,
    turn_deg: tuple[float, float, float] = (20.0, -25.0, 8.0),
    span: float = 0.7,
    offset: tuple[float, float] = (0.0, 0.0),
    blur_px: float = 0.5,
    noise: float = 2.0,
    seed: int = 3,
    inverted: bool = False,
    light: tuple[float, float] = (30.0, 220.0),
    drawn: Target | None = None,
) -> tuple[NDArray[np.uint8], Array]:
    """A grey photo and the exact pixels of the target's points.

    `span` is the share of the image's width that the board's longer side takes; `offset` moves its middle, in widths of the
    image; `drawn` is printed instead of the target.
    """
    image, truth = _photo(target, camera, turn_deg, span, offset, blur_px, noise, seed, inverted, light, drawn)
    return image.copy(), truth.copy()


@lru_cache(maxsize=32)
def _photo(
    target: Target,
    camera: Camera,
    turn_deg: tuple[float, float, float],
    span: float,
    offset: tuple[float, float],
    blur_px: float,
    noise: float,
    seed: int,
    inverted: bool,
    light: tuple[float, float],
    drawn: Target | None,
) -> tuple[NDArray[np.uint8], Array]:
    x, y, z = np.radians(turn_deg)
    R = rotation_from_vector([x, y, 0.0]) @ rotation_from_vector([0.0, 0.0, z])
    outline = target.outline_m()
    long_m = float(np.ptp(outline, axis=0).max())
    distance = camera.focal_x_px * long_m / (span * camera.width)
    shift = np.array([*offset, 0.0]) * distance * camera.width / camera.focal_x_px
    t = np.array([0.0, 0.0, distance]) + shift - R @ np.array([*outline.mean(0), 0.0])
    pixels_per_m = _RAYS * span * camera.width / long_m
    board = board_image(drawn or target, pixels_per_m, rim_m=0.8 * target.square_m)
    rays = _rays(camera)
    plane = np.linalg.inv(np.stack([R[:, 0], R[:, 1], t], -1))
    places = rays @ plane.T.astype(np.float32)
    uv = (board.origin_uv + pixels_per_m * (places[..., :2] / places[..., 2:])).astype(np.float32)
    shown = board.image if not inverted else 255 - board.image
    seen = cv2.remap(shown, uv[..., 0], uv[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=120.0)
    image = cv2.resize(np.asarray(seen, np.float32), (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    if blur_px:
        image = cv2.GaussianBlur(image, (0, 0), blur_px)
    image = light[0] + np.asarray(image) * ((light[1] - light[0]) / 255.0)
    noisy = image + np.random.default_rng(seed).normal(0.0, noise, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), camera.project(target.object_points() @ R.T + t)


@lru_cache(maxsize=4)
def _rays(camera: Camera) -> NDArray[np.float32]:
    """(H n, W n, 3) rays of n x n points in each pixel; exact on a coarse grid, cubic between (to 1e-5 px)."""
    step = 8
    v, u = np.mgrid[-2 : camera.height // step + 4, -2 : camera.width // step + 4] * float(step)
    coarse = camera.unproject(np.stack([u.ravel(), v.ravel()], -1)).reshape(*u.shape, 3).astype(np.float64)
    x = (np.arange(camera.width * _RAYS) + 0.5) / _RAYS - 0.5
    y = (np.arange(camera.height * _RAYS) + 0.5) / _RAYS - 0.5
    rays = np.einsum("yi,xj,ijk->yxk", _cubic(y / step + 2.0, len(u)), _cubic(x / step + 2.0, u.shape[1]), coarse, optimize=True)
    return np.asarray(rays, np.float32)


def _cubic(place: Array, count: int) -> Array:
    """(n, count) weights of cubic Lagrange interpolation at places among samples 0 ... count - 1."""
    first = np.floor(place).astype(int) - 1
    s = place - first
    weights = np.zeros((len(place), count))
    for k in range(4):
        others = [j for j in range(4) if j != k]
        factor = np.prod([(s - j) / (k - j) for j in others], axis=0)
        weights[np.arange(len(place)), np.clip(first + k, 0, count - 1)] += factor
    return weights
