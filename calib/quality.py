"""`Quality`: what a calibration is worth, in numbers and in one line."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from calib.coverage import Coverage, diversity, fit_coverage
from calib.depth_sigma import USUAL_DISPARITY_SIGMA_PX, DepthSigma, depth_sigma, depth_table, has_useful_depth
from calib.fit import Fit
from calib.geometry import Array
from calib.residual_structure import Structure, structures

Grade = Literal["good", "usable", "poor"]
_ORDER: tuple[Grade, ...] = ("good", "usable", "poor")
_REFERENCE_BASELINES = 20.0  # the depth at which a rig is judged: the one of the table next to this many baselines

# The limits of "good" and "usable". Rows: what a matcher that looks along one row bears (0.3 px costs next to nothing, 1 px makes
# it miss). Depth: the matcher's own error at that depth is about 0.2 to 1 %.
_ROW_PX = 0.3, 1.0
_DEPTH = 0.01, 0.03
_CORNER_DEPTH = 0.05, np.inf
_BASELINE = 0.005, 0.02
_NOISE_PX = 0.5, 1.5
_STRUCTURE_PX = 0.3, 1.0
_REJECTED = 0.1, 0.3
_UNSTEADY = 1.5, 3.0
_DISAGREEMENT = 3.0, np.inf
# The same, for what should be large.
_TILT_DEG = 20.0, 8.0
_HULL = 0.35, 0.1
_DEPTH_RATIO = 1.3, 1.0
_PAIRS = 6, 5


@dataclass(frozen=True, slots=True, eq=False)
class RowErrors:
    """Differences of rows after rectification on pairs that the solution did not know."""

    rms_px: float
    median_px: float
    """of absolute differences"""
    p95_px: float
    count: int
    """corners"""
    folds: int
    """solutions made without a part of the pairs"""


@dataclass(frozen=True, slots=True, eq=False)
class Reason:
    """Something that keeps a calibration from a better grade."""

    grade: Grade
    """the best grade that it allows"""
    text: str
    """what it is, and what to do"""


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """How good a calibration is."""

    grade: Grade
    verdict: str
    """one line"""
    reasons: tuple[Reason, ...]
    """what limits it, the worst first; empty for "good" """
    row_errors: RowErrors | None
    """None where there were too few pairs to leave any out"""
    coverage_left: Coverage
    coverage_right: Coverage
    tilt_deg: float
    """greatest angle between two boards' normals, degrees"""
    depth_ratio: float
    """farthest over nearest corner"""
    structures: tuple[Structure, ...]
    """patterns in what remains: left lens, right lens, board"""
    baseline_m: float
    baseline_sigma_m: float
    """NaN without covariance"""
    depth: tuple[DepthSigma, ...]
    """errors of depth; empty without covariance"""
    reference_m: float
    """the depth at which the rig is judged; NaN without covariance"""
    depth_sigma_share: float
    """standard deviation of depth there over depth, median over the left image; NaN without covariance"""
    sigma_disparity_px: float
    """of the matcher, as assumed in `depth`"""

    @property
    def held_out_row_error_px(self) -> float:
        """Root of the mean squared row difference on pairs left out; NaN where none could be left out."""
        return float("nan") if self.row_errors is None else self.row_errors.rms_px


def judge(
    fit: Fit,
    held_out_row_error_px: ArrayLike | None = None,
    *,
    folds: int = 0,
    depths_m: ArrayLike | None = None,
    sigma_disparity_px: float = USUAL_DISPARITY_SIGMA_PX,
) -> Quality:
    """Judge a calibration.

    Parameters
    ----------
    fit : Fit
        Its rig with covariance.
    held_out_row_error_px : (K,) array, optional
        Row differences (`calib.depth_sigma.row_errors_px`) of the corners of pairs that were left out in turn, each by the rig
        made without them; NaN is ignored.
    folds : int
        In how many turns.
    depths_m : (D,) array, optional
        Depths of the table; default 1, 2, 5, 10 m, or what suits a tiny or giant rig.
    sigma_disparity_px : float
        Standard deviation of the matcher's disparities, for the matching part of the table.

    Returns
    -------
    Quality
    """
    rows = _row_errors(held_out_row_error_px, folds)
    left, right = fit_coverage(fit)
    held = diversity(fit)
    known = fit.rig.covariance is not None
    table = depth_table(fit.rig, depths_m, sigma_disparity_px=sigma_disparity_px) if known else ()
    reference, share = _depth_share(fit, table)
    found = structures(fit)
    corner = next((row.corner_calibration_m / row.depth_m for row in table if row.depth_m == reference), float("nan"))
    checks = _checks(fit, rows, left, right, held.tilt_deg, held.depth_ratio, found, reference, share, corner)
    reasons = tuple(sorted(checks, key=lambda reason: -_ORDER.index(reason.grade)))  # stable: as listed within a grade
    grade = reasons[0].grade if reasons else "good"
    return Quality(
        grade=grade,
        verdict=_verdict(grade, reasons, rows, reference, share),
        reasons=reasons,
        row_errors=rows,
        coverage_left=left,
        coverage_right=right,
        tilt_deg=held.tilt_deg,
        depth_ratio=held.depth_ratio,
        structures=found,
        baseline_m=fit.rig.baseline_m,
        baseline_sigma_m=_baseline_sigma_m(fit),
        depth=table,
        reference_m=reference,
        depth_sigma_share=share,
        sigma_disparity_px=sigma_disparity_px,
    )


def _checks(
    fit: Fit,
    rows: RowErrors | None,
    left: Coverage,
    right: Coverage,
    tilt_deg: float,
    depth_ratio: float,
    found: tuple[Structure, ...],
    reference_m: float,
    share: float,
    corner_share: float,
) -> Iterator[Reason]:
    """Everything that is beyond the limits of "good"."""
    poses = sum(pose is not None for pose in fit.poses)
    pairs = f"only {poses} pair{'s' * (poses != 1)} could be used; take 12 or more"
    yield from _small(poses, _PAIRS, pairs)
    if rows is None:
        yield Reason("usable", "too few pairs to leave any out, so that nothing proves the rows; take 12 or more")
    else:
        text = f"rows differ by {rows.rms_px:.2g} px on pairs left out; see the faults, and take more pairs"
        yield from _large(rows.rms_px, _ROW_PX, text)
    depth = f"depth at {reference_m:g} m is"
    disturbed = fit.unsteady > _UNSTEADY[0] or fit.disagreement > _DISAGREEMENT[0]
    more = "mend what makes the pairs disagree, then take those proposed" if disturbed else "take the pairs that are proposed"
    if fit.rig.covariance is None:
        yield Reason("usable", "the rig carries no covariance, so that its depth errors are not known")
    elif np.isnan(share):
        yield Reason("poor", f"no place at {reference_m:g} m is seen by both cameras; check how they are mounted")
    yield from _large(share, _DEPTH, f"{depth} {_known(share)}; {more}")
    text = f"{depth} {_known(corner_share)} in the corners of the image; {more}"
    yield from _large(corner_share, _CORNER_DEPTH, text)
    baseline = _baseline_sigma_m(fit) / fit.rig.baseline_m
    yield from _large(baseline, _BASELINE, f"the baseline is {_known(baseline)}; {more}")
    text = f"boards were never tilted by more than {tilt_deg:.0f} degrees to each other; tilt them by 20 to 40 to all sides"
    yield from _small(tilt_deg, _TILT_DEG, text)
    for name, side in (("left", left), ("right", right)):
        text = f"corners reach {side.hull_share:.0%} of the {name} image only; hold the board near its edges and corners, too"
        yield from _small(side.hull_share, _HULL, text)
    text = f"the farthest corner was only {depth_ratio:.2g} times as far as the nearest; hold the board nearer and farther"
    yield from _small(depth_ratio, _DEPTH_RATIO, text)
    text = f"corners scatter by {fit.noise_px:.2g} px; check sharpness, light and the board"
    yield from _large(fit.noise_px, _NOISE_PX, text)
    for pattern in found:
        if pattern.is_clear:
            advice = "the board is bent or misprinted" if pattern.what == "board" else "the lens model does not fit"
            text = f"{pattern.rms_px:.2g} px of what remains is a pattern of the {pattern.what}: {advice}"
            yield from _large(pattern.rms_px, _STRUCTURE_PX, text)
    rejected = fit.rejected_share
    yield from _large(rejected, _REJECTED, f"{rejected:.0%} of the corners were left out; see why in the report")
    text = (
        f"each pair wants a motion of its own ({fit.unsteady:.2g} times the noise): not of one moment, not fixed, or a bent board"
    )
    yield from _large(fit.unsteady, _UNSTEADY, text)
    text = f"the pairs disagree {fit.disagreement:.2g} times as much as their noise explains; hold the board still, in good light"
    yield from _large(fit.disagreement, _DISAGREEMENT, text)


def _large(value: float, limits: tuple[float, float], text: str) -> Iterator[Reason]:
    if value > limits[0]:  # False for NaN
        yield Reason("poor" if value > limits[1] else "usable", text)


def _small(value: float, limits: tuple[float, float], text: str) -> Iterator[Reason]:
    if value < limits[0]:
        yield Reason("poor" if value < limits[1] else "usable", text)


def _row_errors(errors_px: ArrayLike | None, folds: int) -> RowErrors | None:
    errors = np.zeros(0) if errors_px is None else np.abs(np.asarray(errors_px, np.float64)).ravel()
    errors = errors[np.isfinite(errors)]
    if not len(errors):
        return None
    rms = float(np.sqrt((errors * errors).mean()))
    return RowErrors(rms, float(np.median(errors)), float(np.percentile(errors, 95.0)), len(errors), folds)


def _depth_share(fit: Fit, table: tuple[DepthSigma, ...]) -> tuple[float, float]:
    """The depth at which to judge, and the median over the image of sigma / depth there."""
    if not table:
        return float("nan"), float("nan")
    depths = np.array([row.depth_m for row in table])
    usual = _REFERENCE_BASELINES * fit.rig.baseline_m
    reference = float(depths[np.abs(np.log(depths / usual)).argmin()])
    grid = _grid(fit)
    seen = depth_sigma(fit.rig, grid[has_useful_depth(fit.rig, grid, reference)], reference)
    return reference, float(np.median(seen) / reference) if len(seen) else float("nan")


def _grid(fit: Fit) -> Array:
    y, x = np.mgrid[0:7, 0:9].reshape(2, -1)
    return np.stack([(x + 0.5) / 9.0, (y + 0.5) / 7.0], -1) * fit.rig.left.size


def _baseline_sigma_m(fit: Fit) -> float:
    sigma = fit.rig.baseline_sigma_m
    return float("nan") if sigma is None else sigma


def _verdict(grade: Grade, reasons: tuple[Reason, ...], rows: RowErrors | None, reference_m: float, share: float) -> str:
    facts = []
    if np.isfinite(share):
        facts.append(f"depth at {reference_m:g} m {f'+-{_percent(share)}' if share < 1.0 else 'not known'} (calibration)")
    if rows is not None:
        facts.append(f"rows agree within {rows.rms_px:.2f} px on pairs left out")
    limit = [f"limit: {reasons[0].text}"] if reasons else []
    return f"{grade}: " + "; ".join(([", ".join(facts)] if facts else []) + limit)


def _known(share: float) -> str:
    return f"known to +-{_percent(share)} only" if share < 1.0 else "not known"


def _percent(share: float) -> str:
    """0.3 %, 0.045 %, 12 %."""
    return f"{float(f'{100.0 * share:.2g}'):g} %"
