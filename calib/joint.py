"""Both cameras, the motion between them, the board's bow and all poses at once: `solve_joint`.

Pairs whose two pictures were not taken at one moment, or whose boards were read differently, contradict the others: each asks
for a motion between the cameras of its own. Such a pair is taken apart: its two views go on helping each camera alone, but say
nothing of the motion any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib.board_shape import Board, bowed_board, free_board
from calib.bundle import Normal, Problem, State, adjust, normal_equations
from calib.corner_order import CornerOrder, Pose
from calib.detection import PairView
from calib.errors import CalibrationError
from calib.geometry import Array, compose, invert, nearest_rotation
from calib.rig import StereoRig
from calib.robust import Robust, mean_scale, robust_adjust
from calib.single import Single, camera_of, sight_of
from calib.target import Target

_FAR_RAD = 0.03  # contradiction of a pair's own motion that no lens error explains
_FAR_TIMES = 10.0  # times the median pair's
_UNSTEADY, _STEADY = 2.0, 1.5  # `Togetherness.unsteady`: where pairs are taken apart, and where that ends
_LEAST_PAIRS = 3
_LEAST_SHARE = 0.4  # of the pairs must stay
_CAUTIOUS = 10.0  # sigmas: scale of the loss on the way to the first answer
_GAP = 25.0  # between the gains of pairs that are at one moment and those that are not, where there are two kinds
_TOLD = 1e-9  # of the largest eigenvalue: below it a pair tells nothing
_BEYOND_CHANCE = 2.5  # sigmas: once in a hundred sound captures
_CONTRADICTS = "its two images contradict the motion between the cameras that the other pairs agree on"
_ANOTHER_MOMENT = "its two images were not taken at one moment, or the cameras had moved against each other"

Monos = tuple[Single, Single]
SHAPES = {"flat": Board, "bowed": bowed_board, "free": free_board}
"""what a board may be, from the simplest to the most complex"""


@dataclass(frozen=True, slots=True, eq=False)
class Togetherness:
    """Which pairs tell of one motion between the cameras."""

    apart: dict[int, str]
    """pairs to take apart, and why"""
    unsteady: float
    """the corners' noise with all pairs together over that of each camera alone; 1 for a rig that stood still"""
    is_loose: bool = False
    """True where no sound half of the pairs tells one motion: all are together then, and the lenses are those of the cameras
    alone, for the pairs would only spoil them"""


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """The solution in the terms of the adjustment."""

    robust: Robust
    sizes: tuple[tuple[int, int], tuple[int, int]]
    pairs: Sequence[PairView]
    target: Target
    shape: str
    """what the board was taken for: one of `SHAPES`"""
    togetherness: Togetherness
    """which pairs were taken apart; the right view of such a pair i stands at moment i + len(pairs)"""
    repaired: dict[int, str]
    disagreement: float
    """see `calib.fit.Fit`"""
    pair_scatter: Array
    """(pairs,) see `calib.fit.Fit`"""
    mono: Monos

    @property
    def apart(self) -> dict[int, str]:
        """Pairs taken apart, and why."""
        return self.togetherness.apart

    @property
    def model(self) -> str:
        """Lens model."""
        return self.robust.problem.sights[0].model

    @property
    def together(self) -> list[int]:
        """Pairs that tell of the motion between the cameras."""
        both = [i for i, pair in enumerate(self.pairs) if pair.left is not None and pair.right is not None]
        return [i for i in both if i not in self.apart]

    def rig_of(self, state: State) -> StereoRig:
        """The cameras and the motion of a state."""
        left, right = (camera_of(self.model, p, size) for p, size in zip(state.intrinsics, self.sizes, strict=True))
        return StereoRig(left, right, nearest_rotation(state.R), state.t)


def contradictions(
    pairs: Sequence[PairView], target: Target, mono: Monos, agreed: CornerOrder, both: Sequence[int], *, shape: str
) -> Togetherness:
    """The pairs whose two images cannot be of one moment: far from the motion that the others agree on; or, where all pairs
    together miss by much more than each camera alone, those that ask most for a motion of their own, until that is no longer so.

    Parameters
    ----------
    pairs : sequence of PairView
        In one order of corners.
    target : Target
    mono : tuple of Single
        Both cameras alone, from these pairs.
    agreed : CornerOrder
        The motion that the pairs `both` agree on.
    both : sequence of int
        The pairs that `agreed` judged.
    shape : str
        One of `SHAPES`: what the board may be.

    Raises
    ------
    CalibrationError
        Fewer than three pairs agree.
    """
    disagreement = np.array(agreed.disagreement_rad)
    far = np.array(both)[disagreement > max(_FAR_TIMES * float(np.median(disagreement)), _FAR_RAD)]
    if len(both) - len(far) < _LEAST_PAIRS:
        raise CalibrationError(
            f"{len(far)} of {len(both)} pairs contradict the motion between the cameras that the others agree on, and at least"
            f" {_LEAST_PAIRS} must agree: no rig explains all pairs. Was each pair taken at one moment, by the same two cameras,"
            " and do the names pair up?"
        )
    apart = dict.fromkeys(far.tolist(), _CONTRADICTS)
    limit = _UNSTEADY
    least = max(_LEAST_PAIRS, int(np.ceil(_LEAST_SHARE * len(both))))
    alone = float(np.sqrt(np.mean([single.robust.scale**2 for single in mono])))
    motion, state, first = (agreed.R_right_left, agreed.t_right_left_m), None, None
    while True:
        problem, start = _set_up(pairs, target, mono, motion, apart, shape, state)
        part = problem.only(_kept_alone(mono, apart, len(pairs)))
        if state is None:
            start = adjust(part, start, cauchy=_CAUTIOUS * alone)
        state = adjust(part, start)
        together = [i for i in both if i not in apart]
        ratio = mean_scale(part, state) / alone
        first = first or ratio
        if ratio < limit:
            return Togetherness(apart, first)
        limit = _STEADY
        if len(together) <= least:
            return Togetherness(dict.fromkeys(far.tolist(), _CONTRADICTS), first, is_loose=True)
        scatter, _ = _own_gain(normal_equations(part, state), np.array(together), _motion_columns(part))
        worst = np.argsort(-scatter)[: max(1, min(len(together) // 10, len(together) - least))]
        apart = {**apart, **dict.fromkeys((together[i] for i in worst), _ANOTHER_MOMENT)}


def solve_joint(
    pairs: Sequence[PairView],
    target: Target,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    mono: Monos,
    agreed: CornerOrder,
    togetherness: Togetherness,
    *,
    shape: str,
) -> Joint:
    """Solve a rig whose single cameras are known.

    Parameters
    ----------
    pairs : sequence of PairView
        In one order of corners.
    target : Target
    sizes : of the left and of the right images
    mono : tuple of Single
        Both cameras alone, from these pairs.
    agreed : CornerOrder
        The motion that most pairs agree on.
    togetherness : Togetherness
        From `contradictions`, of this lens model or of another: solutions from the same pairs can be compared.
    shape : str
        One of `SHAPES`: what the board may be.
    """
    motion = agreed.R_right_left, agreed.t_right_left_m
    problem, start = _set_up(pairs, target, mono, motion, togetherness.apart, "flat" if togetherness.is_loose else shape)
    if togetherness.is_loose:
        robust = _loose(problem, start, _kept_alone(mono, togetherness.apart, len(pairs)))
    else:
        robust = robust_adjust(problem, start)
    return _judged(robust, pairs, target, sizes, mono, togetherness, "flat" if togetherness.is_loose else shape)


def _loose(problem: Problem, start: State, kept: Sequence[NDArray[np.bool_]]) -> Robust:
    """The motion between the cameras alone, from the corners that each camera alone kept."""
    problem = replace(problem, fixed=tuple(range(problem.rig_count - 6)))
    part = problem.only(kept)
    state = adjust(part, start)
    return Robust(state, problem, tuple(kept), mean_scale(part, state))


def _kept_alone(mono: Monos, apart: dict[int, str], count: int) -> list[NDArray[np.bool_]]:
    """The corners that each camera alone kept, in the order of the joint problem's sights."""
    left, right = (single.robust.kept[0] for single in mono)
    pair = mono[1].robust.problem.sights[0].moment
    moment = pair + count * np.isin(pair, list(apart))
    return [left, right[np.argsort(moment, kind="stable")]]


def _motion_columns(part: Problem) -> NDArray[np.int64]:
    """Where the rotation and translation between the cameras stand among the free parameters of lenses and motion."""
    end = len(part.free_rig)
    return np.arange(end - 6, end)


def _set_up(
    pairs: Sequence[PairView],
    target: Target,
    mono: Monos,
    motion: Pose,
    apart: dict[int, str],
    shape: str,
    start: State | None = None,
) -> tuple[Problem, State]:
    count = len(pairs)
    model = mono[0].robust.problem.sights[0].model
    at_right = [i + count if i in apart else i for i in range(count)]
    sights = (
        sight_of(model, [pair.left for pair in pairs]),
        sight_of(model, [pair.right for pair in pairs], moments=at_right),
    )
    board = SHAPES[shape](target.object_points())
    problem = Problem(board, sights, 2 * count, shape != "flat")
    back = invert(*motion)
    R, t = np.tile(np.eye(3), (2 * count, 1, 1)), np.zeros((2 * count, 3))
    anywhere = next(pose for pose in mono[0].fit.poses if pose is not None)  # for views that no one could place
    for i in range(count):
        left, right = mono[0].fit.poses[i], mono[1].fit.poses[i]
        seen_right = None if right is None else compose(*back, *right)
        R[i], t[i] = left or seen_right or anywhere
        R[i + count], t[i + count] = seen_right or left or anywhere
    if start is not None:
        known = [i for i in range(count) if i not in apart]
        R[known], t[known] = start.R_poses[known], start.t_poses[known]
        return problem, replace(start, R_poses=R, t_poses=t)
    intrinsics = tuple(single.robust.state.intrinsics[0] for single in mono)
    return problem, State(intrinsics, motion[0], motion[1], np.zeros(board.modes.shape[1]), R, t)


def _judged(
    robust: Robust,
    pairs: Sequence[PairView],
    target: Target,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    mono: Monos,
    togetherness: Togetherness,
    shape: str,
) -> Joint:
    """With the test whether the pairs agree, on one motion and on all the rest, whatever each would like these to be."""
    part = robust.inliers
    normal = normal_equations(part, robust.state)
    count = len(pairs)
    seen = [np.bincount(sight.moment, minlength=2 * count)[:count] for sight in part.sights]
    together = np.flatnonzero((seen[0] > 0) & (seen[1] > 0))
    scatter, disagreement = np.full(count, np.nan), 1.0
    if len(together) >= _LEAST_PAIRS:
        chi2 = robust.scale**2 * part.freedom
        for columns in (np.arange(len(part.free_rig)), _motion_columns(part)):
            gain, ranks = _own_gain(normal, together, columns)
            asked = max(int(ranks.sum()) - len(columns), 1)
            rest = max(part.freedom - asked, 1)
            left_over = max(chi2 - float(gain.sum()), 1e-12) / rest
            ratio = float(gain.sum()) / asked / left_over
            if ratio > 1.0 + _BEYOND_CHANCE * np.sqrt(2.0 / asked + 2.0 / rest):
                # a loose solution's scale holds the disagreement already; the jackknife over pairs of real captures agrees
                extra = left_over / robust.scale**2 if togetherness.is_loose else 1.0
                disagreement = max(disagreement, float(np.sqrt(ratio * extra)))
            scatter[together] = gain / (np.maximum(ranks, 1) * left_over)  # of the motion in the end
        strangers = _strangers(robust, pairs, target, mono, togetherness, shape) / left_over
        if len(strangers) and strangers.min() < _GAP * np.nanmax(scatter):
            # no gap: those taken apart are but the far end of pairs that all disagree
            ratio = float((strangers.sum() + np.nansum(scatter)) / (len(strangers) + len(together) - 1))
            disagreement = max(disagreement, float(np.sqrt(ratio)))
    return Joint(robust, sizes, pairs, target, shape, togetherness, {}, disagreement, scatter, mono)


def _own_gain(normal: Normal, moments: NDArray[np.int64], columns: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
    """How much of chi square each moment would gain by values of its own for some shared parameters, and of how many it tells."""
    g = normal.each_gradient[moments][:, columns]
    H = normal.each[moments][:, columns][:, :, columns]
    size = 1.0 / np.sqrt(np.maximum(np.einsum("mii->mi", H), 1e-300))
    values, vectors = np.linalg.eigh(H * size[:, :, None] * size[:, None, :])
    known = values > _TOLD * np.maximum(values[:, -1:], 1e-300)
    along = np.einsum("mij,mi->mj", vectors, g * size)
    return np.where(known, along**2 / np.where(known, values, 1.0), 0.0).sum(1), known.sum(1)


def _strangers(
    robust: Robust, pairs: Sequence[PairView], target: Target, mono: Monos, togetherness: Togetherness, shape: str
) -> Array:
    """What a motion of its own would gain each pair that was taken apart for being unsteady, per degree of freedom."""
    unsteady = [i for i, why in togetherness.apart.items() if why == _ANOTHER_MOMENT]
    if not unsteady:
        return np.zeros(0)
    far = {i: why for i, why in togetherness.apart.items() if i not in unsteady}
    motion = robust.state.R, robust.state.t
    problem, start = _set_up(pairs, target, mono, motion, far, shape, robust.state)
    part = problem.only(_kept_alone(mono, far, len(pairs)))
    placed = adjust(replace(part, fit_shape=False, fixed=tuple(range(part.rig_count))), start)
    gain, ranks = _own_gain(normal_equations(part, placed), np.array(unsteady), _motion_columns(part))
    return gain / np.maximum(ranks, 1)
