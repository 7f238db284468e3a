"""How well a rig predicts pairs that it was not made from: k-fold cross-validation of a solution."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib.bundle import Problem, State, adjust
from calib.depth_sigma import row_errors_px
from calib.geometry import Array
from calib.joint import Joint
from calib.rig import StereoRig
from calib.robust import distances

FOLDS = 5
_STEPS = 8
_POSE_STEPS = 8
_LEAST_TRAINING = 3


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """What rigs made without some of the pairs predict of those."""

    rigs: Sequence[StereoRig]
    """one for each fold"""
    pairs: Sequence[NDArray[np.int64]]
    """the pairs left out of each"""
    distance_px: Array
    """(K,) how far every corner of these pairs, of both cameras, misses its prediction (the pose fitted to the pair itself)"""
    of_pair: NDArray[np.int64]
    """(K,)"""


def held_out(joint: Joint, *, folds: int = FOLDS) -> HeldOut | None:
    """Solve again without each fold of pairs, and predict the pairs left out; None with too few pairs for it,
    or where the lenses are those of the cameras alone.

    Pairs go to the folds in turn. Views seen by one camera only, and pairs taken apart, are always used for the solution and
    never for the judgement. Corners left out by the whole solution stay out of the new ones, but are judged.
    """
    if joint.togetherness.is_loose:
        return None  # its lenses know all pairs
    together = np.array(joint.together, np.int64)
    folds = min(folds, len(together))
    if not folds or len(together) - math.ceil(len(together) / folds) < _LEAST_TRAINING:
        return None
    robust = joint.robust
    rigs, groups, found, of_pair = [], [], [], []
    for fold in range(folds):
        out = together[fold::folds]
        training = [kept & ~np.isin(sight.moment, out) for sight, kept in zip(robust.problem.sights, robust.kept, strict=True)]
        state = adjust(robust.problem.only(training), robust.state, steps=_STEPS)
        judged, misses = _judge(robust.problem, state, out, robust.scale)
        rigs.append(joint.rig_of(state))
        groups.append(out)
        for sight, distance in zip(judged.sights, misses, strict=True):
            found.append(distance * sight.sigma_px)
            of_pair.append(sight.moment)
    return HeldOut(rigs, groups, np.concatenate(found), np.concatenate(of_pair))


def _judge(problem: Problem, state: State, out: NDArray[np.int64], scale: float) -> tuple[Problem, list[Array]]:
    """The corners of some pairs, and how far they miss when nothing but the poses may follow them."""
    part = problem.only([np.isin(sight.moment, out) for sight in problem.sights])
    part = replace(part, fit_shape=False, fixed=tuple(range(problem.rig_count)))
    placed = adjust(part, state, cauchy=2.5 * scale, steps=_POSE_STEPS)
    return part, distances(part, placed)


def row_errors(joint: Joint, held: HeldOut) -> tuple[Array, NDArray[np.bool_]]:
    """Differences of rows in the pairs left out, after rectification with the rig that did not know them.

    Returns
    -------
    errors : (K,) array, px
        For each corner that both cameras saw.
    kept : (K,) bool array
        False for corners that the whole solution left out in one of the images.
    """
    left, right = joint.robust.problem.sights
    errors, kept = [], []
    for rig, pairs in zip(held.rigs, held.pairs, strict=True):
        for pair in pairs:
            rows = [np.arange(*np.searchsorted(sight.moment, (pair, pair + 1))) for sight in (left, right)]
            _, a, b = np.intersect1d(left.ids[rows[0]], right.ids[rows[1]], return_indices=True)
            a, b = rows[0][a], rows[1][b]
            errors.append(row_errors_px(rig, left.uv[a], right.uv[b]))
            kept.append(joint.robust.kept[0][a] & joint.robust.kept[1][b])
    return np.concatenate(errors), np.concatenate(kept)
