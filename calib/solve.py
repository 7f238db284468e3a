"""Corners of a board in pairs of images -> `StereoRig`: each camera alone, then both jointly.

RMS values are per corner: the square root of the mean squared distance (both axes) between seen and predicted corners, as OpenCV
states it. Other tools state it per axis, which is smaller by sqrt(2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from calib.adjust import COEFFICIENTS, MODELS, Corners, Joint, Mono, check_joint, rms_limit_px, solve_both
from calib.corner_order import agree_on_order
from calib.detection import Detection, PairView
from calib.errors import CalibrationError, UsageError
from calib.geometry import Array
from calib.rig import StereoRig
from calib.target import Target

LEAST_PAIRS = 3

_GOOD_TILT_DEG = 20.0
_CONTRADICTION_RAD = 0.03
_OUTLIER = 6.0  # times the median pair's rms
_OUTLIER_SHARE_OF_LIMIT = 0.3  # of the error at which a calibration is refused; smaller errors are never outliers
_MOST_OUTLIERS = 0.2  # of the pairs
_DOUBTFUL_SHARE = 0.33  # of that error, for one camera alone
_UNSTEADY, _UNSTEADY_PX = 2.0, 0.2  # joint rms over mono rms, and least joint rms


@dataclass(frozen=True, slots=True)
class PairResult:
    """What became of one pair."""

    name: str
    used: bool
    """False where a board was missing or the pair contradicted all others"""
    repaired: bool
    """True where the corners of the right image were re-indexed"""
    left_detector: str | None
    right_detector: str | None
    left_rms_px: float | None
    """rms distance of the left corners from their prediction, px; None for a pair that was not used"""
    right_rms_px: float | None
    rms_px: float | None
    """of both images together"""
    problem: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SolveResult:
    """A calibrated rig and how well it explains the corners."""

    rig: StereoRig
    stereo_rms_px: float
    """both cameras, one rig"""
    mono_rms_left_px: float
    """the left camera alone"""
    mono_rms_right_px: float
    model: str
    """the lens model used"""
    pairs: tuple[PairResult, ...]
    """in the order of the input"""
    notes: tuple[str, ...]
    """what a user should know: repairs, pairs left out, doubts"""


def solve_rig(
    pairs: Sequence[PairView],
    target: Target,
    image_size: tuple[int, int],
    *,
    right_size: tuple[int, int] | None = None,
    model: str = "auto",
) -> SolveResult:
    """Calibrate a rig from the corners that both cameras saw.

    Each camera is solved alone; their poses tell which readings of a symmetric board agree (`calib.corner_order`); then all
    intrinsics, the motion between the cameras and every pose are refined together. A pair that contradicts the others, or whose
    error is more than six times the median, is left out, and this is said.

    Parameters
    ----------
    pairs : sequence of PairView
        From `detect_pairs`. Pairs in which a board is missing are passed over.
    target : Target
    image_size : (width, height)
        Of the left images, px.
    right_size : (width, height), optional
        Of the right images; default: as the left ones.
    model : "auto", "radtan4", "radtan5" or "radtan8"
        Distortion of the lenses: k1 k2 p1 p2, with k3, with k4 k5 k6. "auto" takes k3 where the corners prove it (Bayesian
        information criterion) and the lens stays invertible all over the image: a k3 that only follows noise bends the image's
        corners, where no board was. Eight coefficients suit very wide lenses and many pictures only.

    Returns
    -------
    SolveResult

    Raises
    ------
    CalibrationError
        Too few pairs, boards held all alike, corners that no camera or no rig explains, an impossible camera.
    UsageError
        An unknown model.

    References
    ----------
    Zhang, "A Flexible New Technique for Camera Calibration", PAMI 2000, doi:10.1109/34.888718.
    Schwarz, "Estimating the Dimension of a Model", Annals of Statistics 1978, doi:10.1214/aos/1176344136.
    """
    if model not in ("auto", *MODELS):
        raise UsageError(f"unknown lens model {model!r}; known are auto, {', '.join(MODELS)}")
    whole = [pair for pair in pairs if pair.left is not None and pair.right is not None]
    if len(whole) < LEAST_PAIRS:
        problems = [pair.problem for pair in pairs if pair.problem]
        missing = "".join(f"; {problem}" for problem in problems[:3]) + ("; ..." if len(problems) > 3 else "")
        raise CalibrationError(
            f"the board {target} was found in both images of {len(whole)} of {len(pairs)} pairs; at least {LEAST_PAIRS} are"
            f" needed, 10 or more are good: check the board's inner corners, and take pictures that show it whole{missing}"
        )
    seen = Corners(
        target.object_points(),
        [pair.name for pair in whole],
        [_corners(pair.left, target) for pair in whole],
        [_corners(pair.right, target) for pair in whole],
        (image_size, right_size or image_size),
    )
    solved: list[_Solution] = []
    refusal: CalibrationError | None = None
    for candidate in ("radtan4", "radtan5") if model == "auto" else (model,):
        try:
            solved.append(_solve(seen, target, candidate))
        except CalibrationError as error:
            refusal = error
    if not solved:
        assert refusal is not None
        raise refusal
    best = min(solved, key=lambda one: (len(one.dropped), one.information_criterion()))
    return _result(best, pairs, target)


@dataclass(slots=True)
class _Solution:
    """One lens model's answer."""

    model: str
    kept: Corners
    mono: tuple[Mono, Mono]
    joint: Joint
    used: list[int]
    """indices of the pairs in which both cameras saw the board"""
    repaired: set[int]
    dropped: set[int]

    def information_criterion(self) -> float:
        """Schwarz's criterion up to a constant: n ln(mean square) + k ln(n); the smaller the better."""
        n = 4 * len(self.kept.left) * len(self.kept.board_m)
        return n * 2.0 * float(np.log(max(self.joint.rms_px, 1e-12))) + 2 * COEFFICIENTS[self.model] * float(np.log(n))


def _solve(seen: Corners, target: Target, model: str) -> _Solution:
    """Order, outliers, rig."""
    mono = seen.solve_each(model)
    orders = target.corner_orders()
    agreed = agree_on_order(seen.board_m, mono[0].poses, mono[1].poses, orders)
    right = [uv[orders[choice]] for uv, choice in zip(seen.right, agreed.choice, strict=True)]
    ordered = replace(seen, right=right)

    def joint_of(kept: list[int], alone: tuple[Mono, Mono]) -> tuple[Corners, tuple[Mono, Mono], Joint]:
        part = ordered.only(kept)
        alone = alone if len(kept) == len(alone[0].poses) else part.solve_each(model)
        return part, alone, solve_both(part, alone, agreed, model)

    # A pair that contradicts the others (two moments, a misread board) would spoil all; it shows in its pose or in its error.
    far = _outliers(np.array(agreed.disagreement_rad), 10.0, _CONTRADICTION_RAD)
    kept = [i for i in range(len(right)) if i not in far]
    part, mono, joint = joint_of(kept, mono)
    bad = {kept[row] for row in _outliers(joint.pair_rms_px[:, 2], _OUTLIER, _OUTLIER_SHARE_OF_LIMIT * rms_limit_px(seen.sizes))}
    if bad and len(far | bad) <= _most_outliers(len(right)):
        far |= bad
        part, mono, joint = joint_of([i for i in kept if i not in bad], mono)
    check_joint(joint, part, model)
    used = [i for i in range(len(right)) if i not in far]
    return _Solution(model, part, mono, joint, used, {i for i, choice in enumerate(agreed.choice) if choice}, far)


def _result(solution: _Solution, pairs: Sequence[PairView], target: Target) -> SolveResult:
    rms = dict(zip(solution.used, solution.joint.pair_rms_px, strict=True))
    rows = iter(range(len(pairs)))
    results = []
    for pair in pairs:
        row = -1 if pair.left is None or pair.right is None else next(rows)
        left, right = (None if d is None else d.detector for d in (pair.left, pair.right))
        of_left, of_right, both = (float(v) for v in rms[row]) if row in rms else (None, None, None)
        problem = "contradicts the other pairs" if row in solution.dropped else pair.problem
        used, repaired = row in rms, row in solution.repaired
        results.append(PairResult(pair.name, used, repaired, left, right, of_left, of_right, both, problem))
    provenance = {
        "tool": "calib solve",
        "target": str(target),
        "model": solution.model,
        "pairs": f"{len(rms)} of {len(pairs)}",
        "stereo_rms_px": f"{solution.joint.rms_px:.4f}",
    }
    rig = replace(solution.joint.rig, provenance=provenance)
    left_alone, right_alone = (camera.rms_px for camera in solution.mono)
    notes = _notes(results, rig, solution)
    return SolveResult(rig, solution.joint.rms_px, left_alone, right_alone, solution.model, tuple(results), notes)


def _corners(detection: Detection | None, target: Target) -> Array:
    uv = None if detection is None else detection.corners_uv
    if uv is None or uv.shape != (target.corner_count, 2):
        raise CalibrationError(f"a detection has {0 if uv is None else len(uv)} corners, but {target} has {target.corner_count}")
    return uv


def _most_outliers(count: int) -> int:
    return min(max(1, int(_MOST_OUTLIERS * count)), count - LEAST_PAIRS)


def _outliers(values: Array, times: float, floor: float) -> set[int]:
    """Indices of values above `times` the median and above `floor`; none where they are too many to be exceptions."""
    found = np.flatnonzero(values > max(times * float(np.median(values)), floor))
    return {int(i) for i in found} if len(found) <= _most_outliers(len(values)) else set()


def _notes(results: Sequence[PairResult], rig: StereoRig, solution: _Solution) -> tuple[str, ...]:
    notes = []
    for i, result in enumerate(results, 1):
        if result.repaired:
            notes.append(
                f"pair {i} ({result.name}): the board, which looks the same after a turn, was read from different ends in the two"
                " images; corner order repaired"
            )
        if not result.used:
            notes.append(f"pair {i} ({result.name}) left out: {result.problem}")
    tilt = min(camera.tilt_deg for camera in solution.mono)
    if tilt < _GOOD_TILT_DEG:
        notes.append(
            f"the boards' tilts differ by {tilt:.0f} degrees only; with 30 and more the focal length is several times as certain"
        )
    rms_px, alone = solution.joint.rms_px, max(camera.rms_px for camera in solution.mono)
    if rms_px > _UNSTEADY * alone and rms_px > _UNSTEADY_PX:
        notes.append(
            f"both cameras together miss by {rms_px:.2f} px rms, each alone by {alone:.2f} px: the pictures of a pair may not be"
            " of the same moment, or the cameras moved against each other"
        )
    if alone > _DOUBTFUL_SHARE * rms_limit_px(solution.kept.sizes):
        notes.append(
            f"single cameras miss by up to {alone:.2f} px rms, several times what sharp corners give: the lens may be wider than"
            f" {solution.model} can say (a fisheye?), or the board bent; depths suffer most towards the image's corners"
        )
    x, y, _ = rig.centre_right_m
    if x < 0.0 and abs(x) > abs(y):
        notes.append(
            f"the right camera stands {-1e3 * x:.0f} mm to the left of the left one: are LEFT and RIGHT swapped? If so,"
            " run again with the two exchanged"
        )
    return tuple(notes)
