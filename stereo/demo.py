"""`stereo demo`: the whole chain on rendered photos of a known rig and room, and its errors against the truth."""

import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calib import files
from calib.console import Progress, announce, say
from calib.detect import detect_pairs
from calib.geometry import Array
from calib.images import find_images, write_image
from calib.rectification import Rectification, plan_rectification
from calib.rig import Mask, StereoRig
from calib.rig_files import load_rig, save_rig
from calib.solve import SolveResult, solve_rig
from calib.synthetic import (
    Chessboard,
    Scene,
    board_views,
    demo_rig,
    demo_scene,
    is_visible,
    pixel_grid,
    render_board_pairs,
    render_pair,
    seen_points,
    views,
)
from calib.target import parse_target
from stereo import pipeline
from stereo.cloud_picture import cloud_picture
from stereo.drawing import to_8_bit
from stereo.picture import inverse_depth_picture
from stereo.run_log import Listener
from stereo.run_result import RunResult, metres

TARGET = "chessboard:9x6:30mm"
_BOARD = Chessboard(9, 6, 0.03)
_FIGURE_HEIGHT_PX = 360
_STEPS = 4 + len(pipeline.STEPS)


@dataclass(frozen=True, slots=True, eq=False)
class SceneTruth:
    """What the pixels of a rectified left image truly show: rectified with the solved rig, photographed by the true one."""

    depth_m: Array
    """(H, W) metres along the rectified optical axis; NaN where the left photo shows nothing"""
    disparity_px: Array
    """(H, W) x_left - x_right at which the same point appears in the two rectified images"""
    row_px: Array
    """(H, W) y_left - y_right of the same: 0 where the rig was solved without error"""
    seen_by_both: Mask
    """(H, W) True where the right camera sees the point too"""


@dataclass(frozen=True, slots=True)
class DemoErrors:
    """Errors of a demo run against the truth."""

    stereo_rms_px: float
    """of the board's corners"""
    baseline_m: float
    """error: solved minus true"""
    row_px: float
    """median |y_left - y_right| of true correspondences after rectification with the solved rig"""
    answered: float
    """part of the pixels seen by both cameras that have a disparity"""
    off_by_1: float
    """part of those whose disparity is off by more than 1 px"""
    off_by_2: float
    depth_median: float
    """median |Z - true Z| / true Z of the answered pixels"""
    depth_percentile_90: float
    within_sigma: float
    """part of the answered pixels whose disparity is within one sigma of the truth; 0.68 for honest error bars"""
    lowest_px: float
    """least and greatest true disparity of pixels seen by both cameras"""
    highest_px: float


@dataclass(frozen=True, slots=True)
class DemoRun:
    """What the demo found."""

    errors: DemoErrors
    lines: tuple[str, ...]
    """the same in words"""


def run_demo(output: str | Path, *, scale: float = 1.0, board_pairs: int = 12, supersampling: int = 3) -> DemoRun:
    """Render board photos and a scene of a toe-in rig into a folder, run the whole chain on the files, and measure its errors.

    Parameters
    ----------
    output : str or Path
        Receives photos/, rig.yaml, left.png, right.png, result/ and figure.png.
    scale : float
        Size of the images relative to 640 x 480.
    board_pairs : int
        Pairs of board photos.
    supersampling : int
        n x n rays for each pixel of the scene.

    Returns
    -------
    DemoRun
    """
    begin = time.perf_counter()
    folder = files.output_folder(output)
    photos = files.output_folder(folder / "photos")
    true_rig, scene = demo_rig().scale(scale), demo_scene()
    left, right, rig_path = folder / "left.png", folder / "right.png", folder / "rig.yaml"
    with Progress(_STEPS, "stereo demo:") as progress:
        _render_boards(true_rig, photos, board_pairs)
        progress.advance("render the board")
        solved = _calibrate(photos)
        save_rig(rig_path, solved.rig)
        announce(rig_path)
        progress.advance("calibrate")
        pair = render_pair(true_rig, scene, supersampling=supersampling)
        for path, image in ((left, pair.left), (right, pair.right)):
            write_image(path, image)
            announce(path)
        progress.advance("render the scene")
        listener = Listener(progress.advance, say, announce)
        result = pipeline.run(left, right, folder / "result", rig=rig_path, listener=listener)
        truth = scene_truth(plan_rectification(load_rig(rig_path)), true_rig, scene)
        errors = _errors(result, truth, solved, true_rig)
        write_image(folder / "figure.png", demo_figure(result))
        announce(folder / "figure.png")
        progress.advance("compare with the truth")
    return DemoRun(errors, _lines(errors, solved, result, folder, time.perf_counter() - begin))


def scene_truth(plan: Rectification, true_rig: StereoRig, scene: Scene) -> SceneTruth:
    """Truth for images that `plan` made of photos of `true_rig`.

    Each rectified pixel was read at some place of the left photo; through that place the true left camera saw a point of the
    scene. Its depth is measured along the rectified axis, in the left camera's frame, which the solved and the true rig share.
    The point appears in the true right photo; the plan carries that place to the rectified right image.

    Parameters
    ----------
    plan : Rectification
        Of the solved rig (its `source`).
    true_rig : StereoRig
        With which the photos were rendered.
    scene : Scene
    """
    true_left, true_right = views(true_rig)
    pixels = pixel_grid(plan.rig.left)
    photo_left = plan.source.left.project(plan.rig.left.unproject(pixels) @ plan.R_rect_left)  # row vectors: v R is R^T v
    points = seen_points(true_left, scene, photo_left)
    photo_right = true_right.project(points)
    matched = plan.rig.right.project(plan.source.right.unproject(photo_right) @ plan.R_rect_right.T)
    shift = pixels - matched
    return SceneTruth(points @ plan.R_rect_left[2], shift[..., 0], shift[..., 1], is_visible(true_right, scene, points))


def demo_figure(result: RunResult) -> NDArray[np.uint8]:
    """Left image, inverse depth and cloud side by side, on white."""
    assert result.depth is not None
    assert result.cloud is not None
    left = to_8_bit(np.asarray(result.pair.left))
    height = _FIGURE_HEIGHT_PX
    width = round(left.shape[1] * height / left.shape[0])
    parts = [
        left,
        inverse_depth_picture(result.depth),
        cloud_picture(result.cloud, width=width, height=height, yaw_deg=-10.0, pitch_deg=10.0),
    ]
    gap = np.full((height, 14, 3), 255, np.uint8)
    row = [gap]
    for part in parts:
        size = (round(part.shape[1] * height / part.shape[0]), height)
        row += [np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8), gap]
    return np.concatenate(row[1:-1], 1)


def _render_boards(rig: StereoRig, folder: Path, count: int) -> None:
    for old in folder.glob("*.png"):  # photos of another run would be calibrated too
        old.unlink()
    for number, pair in enumerate(render_board_pairs(rig, board_views(rig, count, _BOARD), _BOARD), 1):
        write_image(folder / f"left_{number:02d}.png", pair.left)
        write_image(folder / f"right_{number:02d}.png", pair.right)
    announce(f"{folder / 'left_*.png'} and right_*.png ({count} pairs)")


def _calibrate(photos: Path) -> SolveResult:
    target = parse_target(TARGET)
    found = detect_pairs(find_images(photos / "left_*.png"), find_images(photos / "right_*.png"), target)
    return solve_rig(found.pairs, target, found.left_size, right_size=found.right_size)


def _errors(result: RunResult, truth: SceneTruth, solved: SolveResult, true_rig: StereoRig) -> DemoErrors:
    assert result.depth is not None
    both = truth.seen_by_both & result.pair.left_valid & np.isfinite(truth.depth_m)
    answered = both & result.disparity.valid
    off = np.abs(result.disparity.disparity_px[answered] - truth.disparity_px[answered])
    # Through inverse depth, so that a pixel taken for infinity counts as 100 % off instead of dropping out.
    rho = result.depth.inverse_depth_per_m[answered].astype(np.float64)
    with np.errstate(divide="ignore"):
        relative = np.where(rho > 0.0, np.abs(1.0 / (rho * truth.depth_m[answered]) - 1.0), np.inf)
    lowest, highest = np.percentile(truth.disparity_px[both], (0.0, 100.0))
    return DemoErrors(
        stereo_rms_px=solved.stereo_rms_px,
        baseline_m=solved.rig.baseline_m - true_rig.baseline_m,
        row_px=float(np.median(np.abs(truth.row_px[both]))),
        answered=float(answered.sum() / both.sum()),
        off_by_1=float((off > 1.0).mean()),
        off_by_2=float((off > 2.0).mean()),
        depth_median=float(np.median(relative)),
        depth_percentile_90=float(np.percentile(relative, 90.0)),
        within_sigma=float((off <= result.disparity.sigma_px[answered]).mean()),
        lowest_px=float(lowest),
        highest_px=float(highest),
    )


def _lines(errors: DemoErrors, solved: SolveResult, result: RunResult, folder: Path, seconds: float) -> tuple[str, ...]:
    baseline_mm = 1000.0 * solved.rig.baseline_m
    percent = {name: 100.0 * getattr(errors, name) for name in ("answered", "off_by_1", "off_by_2", "within_sigma")}
    return (
        f"Calibration   {len(solved.pairs)} pairs of photos, corners agree to {errors.stereo_rms_px:.3f} px",
        f"              baseline {baseline_mm:.2f} mm, off by {1000.0 * errors.baseline_m:+.3f} mm;"
        f" rows agree to {errors.row_px:.3f} px",
        f"Disparity     {errors.lowest_px:+.1f} to {errors.highest_px:+.1f} px in truth"
        f" (both signs: the cameras are turned inwards), searched {result.search.minimum}:{result.search.maximum}",
        f"              {percent['answered']:.1f} % of the pixels that both cameras see are measured; of these"
        f" {percent['off_by_1']:.1f} % are off by more than 1 px, {percent['off_by_2']:.1f} % by more than 2",
        f"Depth         median {metres(result.median_depth_m)}; off by {100.0 * errors.depth_median:.2f} % (median),"
        f" {100.0 * errors.depth_percentile_90:.2f} % (90th percentile)",
        f"Error bars    {percent['within_sigma']:.0f} % of the measured pixels lie within one sigma of the truth (68 % expected)",
        f"Took          {seconds:.1f} s",
        "",
        f"Look at       {folder / 'result' / 'report.html'}",
        f"By hand       calib solve '{folder}/photos/left_*.png' '{folder}/photos/right_*.png' --target {TARGET} -o rig.yaml",
        f"              stereo run {folder}/left.png {folder}/right.png --rig rig.yaml -o out",
    )
