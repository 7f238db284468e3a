"""Corners of a board in pairs of images -> `StereoRig` with its covariance: `solve_rig`.

RMS values are per corner: the square root of the mean squared distance (both axes) between seen and predicted corners, as OpenCV
states it. Other tools state it per axis, which is smaller by sqrt(2).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from calib.detection import BoardViews
from calib.errors import CalibrationError, UsageError
from calib.faults import diagnose
from calib.faults_kinds import Fault
from calib.fit import Fit
from calib.geometry import Array
from calib.lens import check_model
from calib.model_choice import Candidate
from calib.model_search import WARPS, find_fit
from calib.next_poses import NextPose, next_poses
from calib.quality import Quality, judge
from calib.rig import StereoRig
from calib.usable import check_numbers


@dataclass(frozen=True, slots=True, eq=False)
class SolveResult:
    """A calibrated rig, how well it explains the corners, and what to think of it."""

    fit: Fit
    candidates: tuple[Candidate, ...]
    """the lens models tried"""
    held_out_rows_px: Array
    """(K,) differences of rows in pairs that the rig did not know, px; corners kept by the solution"""
    held_out_rows_all_px: Array
    """(K,) the same, all corners"""
    folds: int
    quality: Quality
    faults: tuple[Fault, ...]
    """what is wrong with the capture, the worst first; the last ones are those that no picture shows"""
    next_poses: tuple[NextPose, ...]
    """where to hold the board next"""
    notes: tuple[str, ...]
    """what a user should know"""

    @property
    def rig(self) -> StereoRig:
        """The rig, with its covariance."""
        return self.fit.rig

    @property
    def stereo_rms_px(self) -> float:
        """Both cameras, kept corners."""
        return self.fit.rms_px

    @property
    def model(self) -> str:
        """The lens model chosen."""
        return self.fit.model


def solve_rig(
    views: BoardViews, *, model: str = "auto", warp: str = "auto", progress: Callable[[str], None] | None = None
) -> SolveResult:
    """Calibrate a rig from what its cameras saw of a board.

    Each camera is solved alone, from several starts and without a guess; the pairs' poses tell which readings of a symmetric
    board agree; then intrinsics, the motion between the cameras, the board's bow and every pose are adjusted together, robustly.
    Views of one camera only help, too. Corners beyond five sigmas are left out, pairs that contradict the others are taken apart.
    The lens model is chosen by how well it predicts pairs left out.

    Parameters
    ----------
    views : BoardViews
        From `detect_pairs`.
    model : str
        "auto", "radtan4", "radtan5", "radtan8", "radtan12" or "fisheye".
    warp : str
        What the board may be: "off" flat, "on" bowed, "free" misprinted and wrinkled, each point where the pictures want it;
        "auto": what predicts pairs left out best.
    progress : callable, optional
        Called with a few words before each stage.

    Returns
    -------
    SolveResult

    Raises
    ------
    CalibrationError
        Too few pairs, boards held all alike, corners that no camera or no rig explains, an impossible camera.
    UsageError
        An unknown model or choice of warp.

    References
    ----------
    Zhang, "A Flexible New Technique for Camera Calibration", PAMI 2000, doi:10.1109/34.888718.
    """
    if model != "auto":
        check_model(model)
    if warp not in WARPS:
        raise UsageError(f"warp is {warp!r}; it must be one of {', '.join(WARPS)}")
    check_numbers(views)
    tell = progress or (lambda _: None)
    try:
        found = find_fit(views, model=model, warp=warp, progress=tell)
    except CalibrationError as error:
        tell("what is wrong")
        raise CalibrationError(_explained(str(error), diagnose(views, model=model))) from error
    fit = found.fit
    provenance = {
        "tool": "calib solve",
        "target": str(views.target),
        "model": f"{fit.model}, board {fit.board_shape}",
        "pairs": f"{sum(1 for i in range(len(fit.names)) if _is_used(fit, i))} of {len(views.pairs)}",
        "stereo_rms_px": f"{fit.rms_px:.4f}",
    }
    fit = replace(fit, rig=replace(fit.rig, provenance=provenance))
    rows = found.held_out_rows_px
    tell("quality")
    quality = judge(fit, rows if len(rows) else None, folds=found.folds)
    provenance["verdict"] = quality.verdict
    fit = replace(fit, rig=replace(fit.rig, provenance=provenance))
    tell("faults")
    faults = diagnose(views, fit, model=model)
    tell("next poses")
    poses = next_poses(fit)
    every = found.held_out_rows_all_px
    return SolveResult(fit, found.candidates, rows, every, found.folds, quality, faults, poses, found.notes)


def _explained(problem: str, faults: tuple[Fault, ...]) -> str:
    """The error of a solution that failed, with a cause that is certain before it, or one that may be after it."""
    for fault in faults:
        if fault.severity == "refused":
            return f"{fault.message}; {fault.advice} ({problem})"
    for fault in faults:
        if fault.severity == "warning":
            return f"{problem}; besides, {fault.message}; {fault.advice}"
    return problem


def _is_used(fit: Fit, pair: int) -> bool:
    """Both views of the pair took part."""
    return all(bool((side.kept & (side.moment == pair)).any()) for side in fit.sides)
