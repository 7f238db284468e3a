"""The truth behind a demo run, and how far the run is from it."""

from dataclasses import dataclass

import numpy as np

from calib.geometry import Array
from calib.rectification import Rectification
from calib.rig import Mask, StereoRig
from calib.solve import SolveResult
from calib.synthetic import Scene, is_visible, pixel_grid, seen_points, views
from stereo.run_result import RunResult


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


def measure_errors(result: RunResult, truth: SceneTruth, solved: SolveResult, true_rig: StereoRig) -> DemoErrors:
    """Compare a run with the truth, over the pixels that both cameras see."""
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
