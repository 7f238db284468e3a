"""From corners to the rig that explains them best: `find_fit` tries the lens models, mends the corner order and chooses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calib.board_shape import Board
from calib.detection import BoardViews, Detection, PairView
from calib.errors import CalibrationError
from calib.fit import CameraFit, Fit
from calib.geometry import Array
from calib.held_out import held_out, row_errors
from calib.joint import SHAPES, Joint, Monos, contradictions, solve_joint
from calib.joint_fit import fit_of
from calib.lens import COEFFICIENTS
from calib.model_choice import Candidate, choose
from calib.plausible import check_fit, check_single, explains, lens_doubt
from calib.readings import Read, agree, exchanged, reread
from calib.robust import distances
from calib.single import Single, solve_camera
from calib.usable import usable_views

AUTO = ("radtan4", "radtan5", "fisheye", "radtan8")
"""what "auto" tries, from the simplest to the most complex"""
WARPS = {"auto": ("flat", "bowed", "free"), "on": ("bowed",), "off": ("flat",), "free": ("free",)}
"""what the board may be, for each choice of `warp`"""
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
    notes: tuple[str, ...]
    """what a user should know of views and lenses"""


def find_fit(
    views: BoardViews, *, model: str = "auto", warp: str = "auto", progress: Callable[[str], None] = lambda _: None
) -> Found:
    """The best explanation of a capture.

    Parameters
    ----------
    views : BoardViews
    model : str
        "auto" or one of `calib.lens.COEFFICIENTS`.
    warp : "auto", "off", "on" or "free"
        What the board may be: flat, bowed, or misprinted and wrinkled; "auto": what predicts pairs left out best.
    progress : callable
        Called with a few words before each stage.

    Raises
    ------
    CalibrationError
        No camera or no rig explains the corners, or the pictures do not determine it.
    """
    views = usable_views(views)
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
    togetherness = contradictions(
        read.pairs, views.target, mono, read.agreed, read.both, shape="flat" if warp == "off" else "bowed"
    )
    shapes = ("flat",) if togetherness.is_loose else WARPS[warp]
    tried: list[_Tried] = []
    waiting = sorted(monos, key=lambda name: name not in _worth_trying(monos))
    promising = len(_worth_trying(monos))
    for number, name in enumerate(waiting):
        if number >= promising and any(not one.problem and not one.doubt for one in tried):
            break  # the others come only where these cannot be believed
        progress(f"both cameras, {name}")
        mono = _reread_right(monos[name], read, views) if read.repaired else monos[name]
        for shape in shapes:
            joint = solve_joint(read.pairs, views.target, sizes, mono, read.agreed, togetherness, shape=shape)
            tried.append(_tried(replace(joint, repaired={**exchange, **read.repaired})))
    tried.sort(key=lambda one: (models.index(one.joint.model), list(SHAPES).index(one.joint.shape)))
    solved = {one.joint.model for one in tried}
    found = _best(tried, {name: _why_not(name, monos) for name in models if name not in solved}, progress)
    return replace(found, notes=(*views.notes, *found.notes))


def _worth_trying(monos: dict[str, Monos]) -> list[str]:
    """The models that explain the corners of single cameras better than every simpler one."""
    misses = _misses(monos)
    found: list[str] = []
    for name, miss in misses.items():
        if miss <= _OUT_OF_THE_QUESTION * min(misses.values()) and all(miss < _BETTER * misses[other] for other in found):
            found.append(name)
    return found


def _why_not(name: str, monos: dict[str, Monos]) -> str:
    """Why a model was not carried through."""
    misses = _misses(monos)
    if name not in misses:
        return "cannot be solved for a single camera"
    best = min(misses, key=lambda other: misses[other])
    if misses[name] > _OUT_OF_THE_QUESTION * misses[best]:
        return f"misses the corners of a single camera {misses[name] / misses[best]:.1f} times as much as {best}"
    return f"no better for a single camera than {_simplest_good(monos)}"


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """A solution, and what speaks against it."""

    joint: Joint
    fit: Fit
    problem: str
    """why it cannot be believed"""
    doubt: str
    """what its lenses cannot tell"""


def _tried(joint: Joint) -> _Tried:
    fit = fit_of(joint)
    try:
        check_fit(fit)
    except CalibrationError as error:
        return _Tried(joint, fit, str(error), "")
    return _Tried(joint, fit, "", lens_doubt(fit))


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
        for model, single in singles.items():
            found[model].append(single)
    return pairs, {model: (both[0], both[1]) for model, both in found.items() if len(both) == 2}


def _each_model(
    board: Board, seen: Sequence[Detection | None], size: tuple[int, int], models: Sequence[str]
) -> dict[str, Single]:
    solved: dict[str, Single] = {}

    def solve(model: str) -> Single:
        if model not in solved:
            simpler = _SIMPLER.get(model)
            start = None
            if simpler is not None and (simpler in solved or simpler not in models) and explains(solve(simpler).fit):
                start = np.zeros(4 + COEFFICIENTS[model])
                known = solve(simpler).robust.state.intrinsics[0]
                start[: len(known)] = known
            solved[model] = solve_camera(board, seen, size, model, start=start)
        return solved[model]

    failure: CalibrationError | None = None
    for model in models:
        try:
            solve(model)
        except CalibrationError as error:
            failure = error
    if not any(model in solved for model in models):
        assert failure is not None
        raise failure
    return {model: solved[model] for model in models if model in solved}


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


def _best(tried: Sequence[_Tried], untried: dict[str, str], progress: Callable[[str], None]) -> Found:
    """Choose among the solutions that may be believed; they come from the simplest lens to the most complex."""
    possible = [one for one in tried if not one.problem]
    good = [one for one in possible if not one.doubt] or possible
    if not good:
        raise CalibrationError(tried[0].problem)
    progress("pairs left out")
    held = [held_out(one.joint) for one in good]
    best, errors = choose([(one.joint, what) for one, what in zip(good, held, strict=True)])
    chosen, one_held = good[best], held[best]
    error_of = {id(one): error for one, error in zip(good, errors, strict=True)}
    candidates = [
        Candidate(
            one.joint.model,
            one.joint.shape,
            one.joint.robust.problem.rig_count + len(one.joint.robust.state.shape),
            one.fit.rms_px,
            error_of.get(id(one), float("nan")),
            one is chosen,
            (one.problem or one.doubt).split(";")[0],
        )
        for one in tried
    ]
    nan = float("nan")
    candidates += [
        Candidate(name, "flat", 2 * (4 + COEFFICIENTS[name]) + 6, nan, nan, False, why) for name, why in untried.items()
    ]
    rows, kept = row_errors(chosen.joint, one_held) if one_held is not None else (np.zeros(0), np.zeros(0, np.bool_))
    folds = 0 if one_held is None else len(one_held.rigs)
    return Found(chosen.fit, tuple(candidates), rows[kept], rows, folds, (chosen.doubt,) if chosen.doubt else ())
