"""The real pairs with ground truth, in one form. They are not part of the project: STEREO_DATA, default ../shared/data."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calib.camera import Camera
from calib.images import read_image
from calib.rig import StereoRig
from stereo.datasets.entry import visible_from_both
from stereo.encodings import one_channel

Float32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

MOTORCYCLE = {"focal_px": 994.978, "cx": 311.193, "cy": 254.877, "baseline_m": 0.193001, "doffs_px": 31.086}


@dataclass(frozen=True)
class Case:
    """One pair: BGR images, truth d = x_left - x_right (NaN unknown), visible pixels, range [minimum, maximum), threshold.

    `quantum_px` is the step in which the truth is stored. Thresholds of the scores are in units of `unit_px`: 1, or the factor
    by which the truth of a smaller picture of the scene was enlarged.
    """

    name: str
    left: NDArray[np.uint8]
    right: NDArray[np.uint8]
    truth_px: Float32
    visible: Mask
    minimum: int
    maximum: int
    quantum_px: float
    threshold_px: float = 2.0
    unit_px: float = 1.0


def data_folder() -> Path:
    """The folder of the real pairs, or leave with a message."""
    folder = Path(os.environ.get("STEREO_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        sys.exit(f"real pairs not found in {folder}; set STEREO_DATA to their folder")
    return folder


def _colour(path: Path) -> NDArray[np.uint8]:
    image = read_image(path).astype(np.uint8)
    return np.repeat(image[..., None], 3, 2) if image.ndim == 2 else image


def _truth(path: Path, divisor: float) -> Float32:
    values = read_image(path).astype(np.float32)
    values = values[..., 0] if values.ndim == 3 else values
    values[values == 0] = np.nan
    return values / np.float32(divisor)


def _visible_by_depth_order(left: Float32) -> Mask:
    """Without right truth: the nearest point of each right pixel, and what lies within 1 px of it."""
    out = np.zeros(left.shape, bool)
    width = left.shape[1]
    for y, row in enumerate(left):
        x_right = np.where(np.isfinite(row), np.round(np.arange(width) - np.nan_to_num(row)), -1).astype(int)
        inside = np.isfinite(row) & (x_right >= 0) & (x_right < width)
        nearest = np.full(width, -np.inf)
        np.maximum.at(nearest, x_right[inside], row[inside])
        out[y, inside] = row[inside] >= nearest[x_right[inside]] - 1.0
    return out


def _enlarged(truth: Float32, visible: Mask, factor: int) -> tuple[Float32, Mask]:
    """Truth of a smaller picture of the same scene, pixel by pixel, in pixels of the larger one."""
    return tuple(np.repeat(np.repeat(v, factor, 0), factor, 1) for v in (truth * np.float32(factor), visible))  # type: ignore[return-value]


def _case(
    name: str, left: Path, right: Path, truth: Float32, *, right_truth: Float32 | None = None, visible: Mask | None = None,
    quantum_px: float, threshold_px: float = 2.0,
) -> Case:  # fmt: skip
    if visible is None:
        visible = visible_from_both(truth, right_truth) if right_truth is not None else _visible_by_depth_order(truth)
    labels = -(-(int(np.ceil(np.nanmax(truth))) + 8) // 16) * 16
    return Case(name, _colour(left), _colour(right), truth, visible & np.isfinite(truth), 0, labels, quantum_px, threshold_px)


def motorcycle_truth(folder: Path) -> Float32:
    """Disparity of Motorcycle's left image, px."""
    stored = np.load(folder / "mb2014/Motorcycle-perfect-Q/motorcycle_disp.npz", allow_pickle=False)
    truth = stored[stored.files[0]].astype(np.float32)
    truth[~np.isfinite(truth)] = np.nan
    return np.asarray(truth)


def motorcycle_rig() -> StereoRig:
    """Middlebury's published geometry of the 741 x 500 pair."""
    m = MOTORCYCLE
    cameras = [
        Camera(741, 500, m["focal_px"], m["focal_px"], cx, m["cy"], np.zeros(0)) for cx in (m["cx"], m["cx"] + m["doffs_px"])
    ]
    return StereoRig(cameras[0], cameras[1], np.eye(3), np.array([-m["baseline_m"], 0.0, 0.0]))


def cases() -> Iterator[Case]:
    """The 11 pairs of the protocol."""
    d = data_folder()
    for scene in ("barn2", "bull", "sawtooth", "venus"):
        f = d / "mb2001" / scene
        truth, right = (_truth(f / n, 8) for n in ("disp2.png", "disp6.png"))
        yield _case(f"mb01/{scene}", f / "im2.png", f / "im6.png", truth, right_truth=right, quantum_px=1 / 8)
    for scene in ("cones", "teddy"):
        f = d / "mb2003" / scene
        truth, right = (_truth(f / n, 4) for n in ("disp2.png", "disp6.png"))
        yield _case(f"mb03/{scene}", f / "im2.png", f / "im6.png", truth, right_truth=right, quantum_px=1 / 4)
    f = d / "mb2005_06/Cloth3"
    truth, right = (_truth(f / n, 2) for n in ("disp1.png", "disp5.png"))
    yield _case("mb05/Cloth3", f / "view1.png", f / "view5.png", truth, right_truth=right, quantum_px=1 / 2)
    f = d / "mb2005_06/Aloe"
    yield _case("mb06/Aloe", f / "view1.png", f / "view5.png", _truth(f / "disp1.png", 2), quantum_px=1 / 2)
    f = d / "mb2014/Motorcycle-perfect-Q"
    yield _case("mb14/Motorcycle", f / "motorcycle_left.png", f / "motorcycle_right.png", motorcycle_truth(d), quantum_px=0.0)
    f = d / "mb2014/Adirondack-perfect-Q"
    mask = read_image(f / "Adirondack_mask.png")
    visible = np.asarray(one_channel(mask, f) == 255)
    truth = _truth(f / "Adirondack_gt.png", 1) + np.float32(0.5)  # whole pixels, floored
    yield _case("mb14/Adirondack", f / "Adirondack_left.png", f / "Adirondack_right.png", truth, visible=visible, quantum_px=1.0)
    f = d / "kitti2012_gt"
    yield _case(
        "kitti12", f / "kittiL.png", f / "kittiR.png", _truth(f / "disp_gt.png", 256), quantum_px=1 / 256, threshold_px=3.0
    )


def other_cases() -> Iterator[Case]:
    """Every other pair of the folder that has truth: pairs on which no constant was chosen.

    Tsukuba (truth in whole pixels), Adirondack with a right image of another exposure, two photos at full size with the enlarged
    truth of the smaller ones, and a rendered one.
    """
    d = data_folder()
    f = d / "mb2001/tsukuba"
    mask = np.asarray(one_channel(read_image(d / "mb_v2_masks/tsukuba/nonocc.png"), f) == 255)
    yield _case("mb01/tsukuba", f / "im2.png", f / "im6.png", _truth(f / "disp2.png", 16), visible=mask, quantum_px=1.0)
    f = d / "mb2014/Adirondack-perfect-Q"
    mask = np.asarray(one_channel(read_image(f / "Adirondack_mask.png"), f) == 255)
    truth = _truth(f / "Adirondack_gt.png", 1) + np.float32(0.5)
    yield _case("mb14/AdirondackE", f / "Adirondack_left.png", f / "AdirondackE_right.png", truth, visible=mask, quantum_px=1.0)
    truth, right = (_truth(d / "mb2003/cones" / n, 4) for n in ("disp2.png", "disp6.png"))
    truth, mask = _enlarged(truth, visible_from_both(truth, right), 4)
    f = d / "mb2003_full/cones"
    case = _case("full/cones", f / "conesL.png", f / "conesR.png", truth, visible=mask, quantum_px=1.0)
    yield replace(case, unit_px=4.0)
    truth = _truth(d / "mb2005_06/Aloe/disp1.png", 2)
    truth, mask = _enlarged(truth, _visible_by_depth_order(truth), 2)
    f = d / "mb2006_full/aloe"
    yield replace(_case("full/aloe", f / "aloeL.png", f / "aloeR.png", truth, visible=mask, quantum_px=1.0), unit_px=2.0)
    f, name = d / "sceneflow_sample", "A-0032-0006"
    mask = read_image(f / "occlusion/left" / f"{name}.png") == 0
    truth = read_image(f / "disparity/left" / f"{name}.pfm").astype(np.float32)
    left, other = (f / "RGB_cleanpass" / side / f"{name}.png" for side in ("left", "right"))
    yield _case("sceneflow", left, other, truth, visible=np.asarray(mask), quantum_px=0.0)


def shifted(case: Case, k: int) -> Case:
    """Left and right cut at columns that differ by `k`, so that every disparity is `k` px less: exact signed truth.

    Pixels whose match was cut away count as hidden.
    """
    width = case.left.shape[1] - abs(k)
    left, right = np.s_[:, max(k, 0) : max(k, 0) + width], np.s_[:, max(-k, 0) : max(-k, 0) + width]
    truth = case.truth_px[left] - np.float32(k)
    x_right = np.arange(width) - np.nan_to_num(truth)
    return replace(
        case,
        name=f"{case.name} d{-k:+d}",
        left=np.ascontiguousarray(case.left[left]),
        right=np.ascontiguousarray(case.right[right]),
        truth_px=truth,
        visible=case.visible[left] & (x_right >= 0) & (x_right <= width - 1),
        minimum=case.minimum - k,
        maximum=case.maximum - k,
    )
