"""From the terms of the adjustment to those that others look at: `fit_of`."""

from dataclasses import replace

import numpy as np

from calib.board_shape import Board
from calib.bundle import normal_equations, residuals
from calib.covariance import RigCovariance, parameter_names
from calib.fit import Fit, Residuals
from calib.geometry import Array
from calib.joint import Joint
from calib.robust import invert_spd


def fit_of(joint: Joint) -> Fit:
    """The solution in the terms that others look at."""
    robust, count = joint.robust, len(joint.pairs)
    state = robust.state
    covariance = _loose_covariance(joint) if joint.togetherness.is_loose else robust.covariance() * joint.disagreement**2
    rig = joint.rig_of(state)
    names = parameter_names(rig.left, rig.right)
    board_m = robust.problem.board.shaped_m(state.shape)
    covariance = covariance[: len(names), : len(names)]
    covariance[-3:, -3:] += _size_variance(robust.problem.board.points_m, board_m) * np.outer(state.t, state.t)
    rig = replace(rig, covariance=RigCovariance(names, covariance))
    sides = [_residuals_of(joint, side, errors) for side, errors in enumerate(residuals(robust.problem, state))]
    seen = [set(side.moment[side.kept].tolist()) for side in sides]
    poses = [(state.R_poses[i], state.t_poses[i]) if i in seen[0] | seen[1] else None for i in range(count)]
    kept_sigma = np.concatenate([side.sigma_px[side.kept] for side in sides])
    return Fit(
        target=joint.target,
        names=[pair.name for pair in joint.pairs],
        rig=rig,
        model=joint.model,
        warp_m=_bow_of(robust.problem.board.points_m, board_m),
        board_m=board_m,
        board_shape=joint.shape,
        poses=poses,
        left=sides[0],
        right=sides[1],
        mono=(joint.mono[0].fit, joint.mono[1].fit),
        noise_scale=robust.scale,
        noise_px=float(robust.scale * np.sqrt((kept_sigma**2).mean())),
        disagreement=joint.disagreement,
        pair_scatter=joint.pair_scatter,
        unsteady=joint.togetherness.unsteady,
        repaired=joint.repaired,
        dropped=dict(joint.apart),
    )


def _bow_of(flat_m: Array, board_m: Array) -> Array:
    """(2,) the bow along x and y that a board's shape comes nearest to."""
    lift = board_m[:, 2] - flat_m[:, 2]
    if not lift.any():
        return np.zeros(2)
    bow = Board(flat_m).bow()
    plane = np.column_stack([flat_m[:, :2], np.ones(len(flat_m))])
    return np.asarray(np.linalg.lstsq(np.column_stack([bow, plane]), lift, rcond=None)[0][:2])


def _size_variance(flat_m: Array, board_m: Array) -> float:
    """Variance of the board's size as a share of it, as its shape lets one guess.

    Points that are misplaced at random leave their mean size uncertain. Where the print is larger in one direction than in the
    other, the size it should have lies somewhere between: a rectangular distribution (GUM, 4.3.7).
    """
    points = (flat_m - flat_m.mean(0))[:, :2]
    off = (board_m - flat_m)[:, :2]
    off = off - off.mean(0)
    stretch = np.linalg.lstsq(points, off, rcond=None)[0]
    rest = off - points @ stretch
    random = float((rest**2).sum() / (2.0 * len(off)) / (points**2).sum())
    return random + float(stretch[0, 0] - stretch[1, 1]) ** 2 / 12.0


def _loose_covariance(joint: Joint) -> Array:
    """Covariance where the lenses come from the cameras alone: theirs, the motion's, and what the former do to the latter."""
    robust = joint.robust
    normal = normal_equations(replace(robust.inliers, fixed=()), robust.state)
    count = len(normal.gradient) - 6
    lenses = np.zeros((count, count))
    first = len(robust.state.intrinsics[0])
    for rows, single in zip((slice(0, first), slice(first, count)), joint.mono, strict=True):
        lenses[rows, rows] = single.robust.covariance()
    motion = np.asarray(invert_spd(normal.shared[count:, count:]))
    follows = -motion @ normal.shared[count:, :count]
    whole = np.empty((count + 6, count + 6))
    whole[:count, :count] = lenses
    whole[count:, :count] = follows @ lenses
    whole[:count, count:] = whole[count:, :count].T
    whole[count:, count:] = motion * (robust.scale * joint.disagreement) ** 2 + follows @ lenses @ follows.T
    return whole


def _residuals_of(joint: Joint, side: int, errors: Array) -> Residuals:
    """The corners of one camera by pair, those of views that are out marked so."""
    sight, kept, count = joint.robust.problem.sights[side], joint.robust.kept[side], len(joint.pairs)
    pair = sight.moment % count
    out = np.isin(pair, list(joint.apart))
    whole = out | (np.bincount(pair[kept & ~out], minlength=count)[pair] == 0)
    reasons = np.where(whole, "pair", np.where(kept, "", "outlier"))
    order = np.argsort(pair, kind="stable")
    return Residuals(
        moment=pair[order],
        ids=sight.ids[order],
        seen_uv=sight.uv[order],
        error_px=np.where(np.isfinite(errors), errors, np.nan)[order],
        sigma_px=sight.sigma_px[order],
        kept=(kept & ~whole)[order],
        reasons=reasons[order],
    )
