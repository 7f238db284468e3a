"""From corners to the rig that explains them best: `find_fit` tries the lens models, mends the corner order and chooses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calib.bundle import Board
from calib.detection import BoardViews, Detection, PairView
from calib.errors import CalibrationError
from calib.fit import CameraFit, Fit
from calib.geometry import Array
from calib.held_out import held_out, row_errors
from calib.joint import Joint, Monos, contradictions, fit_of, solve_joint
from calib.lens import COEFFICIENTS
from calib.model_choice import Candidate, choose
from calib.plausible import check_fit, check_single, explains, lens_doubt
from calib.readings import Read, agree, exchanged, reread
from calib.robust import distances
from calib.single import Single, solve_camera

AUTO = ("radtan4", "radtan5", "fisheye", "radtan8")
"""what "auto" tries, from the simplest to the most complex"""
_SIMPLER = {"radtan5": "radtan4", "radtan8": "radtan5", "radtan12": "radtan8"}
_AS_GOOD, _OUT_OF_THE_QUESTION = 1.1, 1.5  # errors over that of the best model, each camera alone
_BETTER = 0.99
_MUCH_BETTER = 0.2
_EXCHANGED = "the corners were listed column by column; rows and columns exchanged"


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The rig, and what it was chosen from."""

    fit: Fit
    candidates: tuple[Candidate, ...]
    held_out_rows_px: Array
    """(K,) differences of rows in pairs that the rig did not know, px; of the corners kept; empty with too few pairs"""
    held_out_rows_all_px: Array
    """(K,) the same with the corners that the whole solution left out"""
    folds: int
    doubt: str
    """what to say of the lenses; empty for sound ones"""


def find_fit(
    views: BoardViews, *, model: str = "auto", warp: str = "auto", progress: Callable[[str], None] = lambda _: None
) -> Found:
    """The best explanation of a capture.

    Parameters
    ----------
    views : BoardViews
    model : str
        "auto" or one of `calib.lens.COEFFICIENTS`.
    warp : "auto", "on" or "off"
        Whether the board may be bowed; "auto": where that predicts pairs left out better.
    progress : callable
        Called with a few words before each stage.

    Raises
    ------
    CalibrationError
        No camera or no rig explains the corners, or the pictures do not determine it.
    """
    sizes = views.left_size, views.right_size
    models = AUTO if model == "auto" else (model,)
    progress("each camera alone")
    pairs, monos = _alone(views, models)
    base = _simplest_good(monos)
    for side, name in enumerate(("left", "right")):
        single = monos[base][side]
        check_single(single.fit, name, [pair.name for pair in pairs], _view_rms(single, len(pairs)))
    exchange = {i: _EXCHANGED for i, pair in enumerate(pairs) if pair is not views.pairs[i]}
    progress("corner order")
    read = agree(pairs, views.target, _fits(monos[base]))
    mono = _reread_right(monos[base], read, views) if read.repaired else monos[base]
    togetherness = contradictions(read.pairs, views.target, mono, read.agreed, read.both, fit_warp=warp != "off")
    bows = (False,) if togetherness.is_loose else {"auto": (False, True), "on": (True,), "off": (False,)}[warp]
    tried: list[Joint] = []
    waiting = sorted(monos, key=lambda name: name not in _worth_trying(monos))
    promising = len(_worth_trying(monos))
    for number, name in enumerate(waiting):
        if number >= promising and any(not _problem(joint) and not lens_doubt(fit_of(joint)) for joint in tried):
            break  # the others come only where these cannot be believed
        progress(f"both cameras, {name}")
        mono = _reread_right(monos[name], read, views) if read.repaired else monos[name]
        for bowed in bows:
            joint = solve_joint(read.pairs, views.target, sizes, mono, read.agreed, togetherness, fit_warp=bowed)
            tried.append(replace(joint, repaired={**exchange, **read.repaired}))
    return _best(tried, [name for name in models if name not in {joint.model for joint in tried}], progress)


def _worth_trying(monos: dict[str, Monos]) -> list[str]:
    """The models that explain the corners of single cameras better than every simpler one."""
    misses = _misses(monos)
    found: list[str] = []
    for name, miss in misses.items():
        if miss <= _OUT_OF_THE_QUESTION * min(misses.values()) and all(miss < _BETTER * misses[other] for other in found):
            found.append(name)
    return found


def _problem(joint: Joint) -> str:
    """Why a solution cannot be believed; empty where it can."""
    try:
        check_fit(fit_of(joint))
    except CalibrationError as error:
        return str(error)
    return ""


def _alone(views: BoardViews, models: Sequence[str]) -> tuple[list[PairView], dict[str, Monos]]:
    """Each camera with each model; corners listed by columns are told from the error, and read anew."""
    board, pairs = Board(views.target.object_points()), list(views.pairs)
    order = exchanged(views.target)
    found: dict[str, list[Single]] = {model: [] for model in models}
    for side, size in (("left", views.left_size), ("right", views.right_size)):
        seen: list[Detection | None] = [getattr(pair, side) for pair in pairs]
        try:
            singles = _each_model(board, seen, size, models)
            if order is not None and not any(explains(single.fit) for single in singles.values()):
                turned = [reread(view, order) for view in seen]
                others = _each_model(board, turned, size, models)
                if _least(others) < _MUCH_BETTER * _least(singles):
                    singles = others
                    pairs = [
                        replace(pair, left=view) if side == "left" else replace(pair, right=view)
                        for pair, view in zip(pairs, turned, strict=True)
                    ]
        except CalibrationError as error:
            raise CalibrationError(f"{side} camera: {error}") from error
        for model in models:
            found[model].append(singles[model])
    return pairs, {model: (left, right) for model, (left, right) in found.items()}


def _each_model(
    board: Board, seen: Sequence[Detection | None], size: tuple[int, int], models: Sequence[str]
) -> dict[str, Single]:
    solved: dict[str, Single] = {}

    def solve(model: str) -> Single:
        if model not in solved:
            simpler = _SIMPLER.get(model)
            start = None
            if simpler is not None and explains(solve(simpler).fit):
                start = np.zeros(4 + COEFFICIENTS[model])
                known = solve(simpler).robust.state.intrinsics[0]
                start[: len(known)] = known
            solved[model] = solve_camera(board, seen, size, model, start=start)
        return solved[model]

    return {model: solve(model) for model in models}


def _least(singles: dict[str, Single]) -> float:
    return min(_miss(single, 1e6) for single in singles.values())


def _miss(single: Single, cap: float) -> float:
    """Rms of all corners in their stated sigmas, each counting at most `cap`."""
    return float(np.sqrt((np.minimum(distances(single.robust.problem, single.robust.state)[0], cap) ** 2).mean()))


def _misses(monos: dict[str, Monos]) -> dict[str, float]:
    """For each model the larger of the two cameras' errors."""
    caps = [4.0 * min(both[side].robust.scale for both in monos.values()) for side in (0, 1)]
    return {model: max(_miss(single, cap) for single, cap in zip(both, caps, strict=True)) for model, both in monos.items()}


def _simplest_good(monos: dict[str, Monos]) -> str:
    misses = _misses(monos)
    return next(model for model, miss in misses.items() if miss <= _AS_GOOD * min(misses.values()))


def _fits(monos: Monos) -> tuple[CameraFit, CameraFit]:
    return monos[0].fit, monos[1].fit


def _view_rms(single: Single, count: int) -> Array:
    """(count,) error of each view, every corner, px; NaN where there is none."""
    sight = single.robust.problem.sights[0]
    squares = np.minimum(distances(single.robust.problem, single.robust.state)[0] * sight.sigma_px, 1e6) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(sight.moment, squares, count) / np.bincount(sight.moment, minlength=count)
    return np.sqrt(mean)


def _reread_right(monos: Monos, read: Read, views: BoardViews) -> Monos:
    """The right camera again, with its corners in the order that the pairs agree on."""
    robust = monos[1].robust
    board, model = robust.problem.board, robust.problem.sights[0].model
    right = [pair.right for pair in read.pairs]
    return monos[0], solve_camera(board, right, views.right_size, model, start=robust.state.intrinsics[0])


def _best(joints: Sequence[Joint], untried: Sequence[str], progress: Callable[[str], None]) -> Found:
    """Choose among the solutions that may be believed."""
    problems = [_problem(joint) for joint in joints]
    doubts = [problem or lens_doubt(fit_of(joint)) for problem, joint in zip(problems, joints, strict=True)]
    sound, possible = ([i for i, what in enumerate(listed) if not what] for listed in (doubts, problems))
    good = sound or possible
    if not good:
        raise CalibrationError(problems[0])
    progress("pairs left out")
    held = [held_out(joints[i]) for i in good]
    best, errors = choose([(joints[i], one) for i, one in zip(good, held, strict=True)])
    chosen, one = good[best], held[best]
    error_of = dict(zip(good, errors, strict=True))
    candidates = [
        Candidate(
            joint.model,
            joint.robust.problem.fit_warp,
            len(joint.robust.problem.free),
            fit_of(joint).rms_px,
            error_of.get(i, float("nan")),
            i == chosen,
            doubts[i].split(";")[0],
        )
        for i, joint in enumerate(joints)
    ]
    nan, why = float("nan"), "no better than simpler ones for a single camera, or out of the question"
    candidates += [Candidate(name, False, 2 * (4 + COEFFICIENTS[name]) + 6, nan, nan, False, why) for name in untried]
    rows, kept = row_errors(joints[chosen], one) if one is not None else (np.zeros(0), np.zeros(0, np.bool_))
    doubt = doubts[chosen]
    return Found(fit_of(joints[chosen]), tuple(candidates), rows[kept], rows, 0 if one is None else len(one.rigs), doubt)
