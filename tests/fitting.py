"""A small Gauss-Newton on simulated captures: what the judges of a fit are tested with, apart from the real solver.

It starts at the truth, knows no outliers, and gives the `Fit` that a perfect solver would find.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from calib.corner_order import Pose
from calib.covariance import RigCovariance, parameter_names
from calib.fit import CameraFit, Fit, Residuals
from calib.geometry import Array, rotation_from_vector
from calib.rig import StereoRig
from calib.sensitivity import motion, parameter_count
from calib.synthetic.capture import Capture


def fit_capture(capture: Capture, *, board_m: Array | None = None, iterations: int = 3, frozen: tuple[str, ...] = ()) -> Fit:
    """Fit rig and poses to a capture, the board taken as `board_m` (default: the target's own flat points).

    Parameters
    ----------
    frozen : names of the rig's numbers that stay as in the truth
    """
    board = capture.target.object_points() if board_m is None else board_m
    rig = replace(capture.rig, covariance=None)
    poses = list(capture.poses_left)
    names = parameter_names(rig.left, rig.right)
    free = np.array([name not in frozen for name in names])
    for _ in range(iterations):
        S, g, back = _normal_equations(rig, board, poses, capture)
        S, g = S[np.ix_(free, free)], g[free]
        step = np.zeros(len(names))
        step[free] = np.linalg.solve(S, g)
        rig = rig.perturbed(step)
        poses = [_moved(pose, *one, step) for pose, one in zip(poses, back, strict=True)]
    S, _, _ = _normal_equations(rig, board, poses, capture)
    sides = [_residuals(rig, side, board, poses, capture) for side in (0, 1)]
    count = sum(2 * len(side.ids) for side in sides)
    total = sum(float((side.error_px**2).sum()) for side in sides)
    noise = np.sqrt(total / (count - free.sum() - 6 * len(poses)))
    matrix = np.zeros((len(names), len(names)))
    matrix[np.ix_(free, free)] = np.linalg.inv(S[np.ix_(free, free)]) * noise**2
    rig = replace(rig, covariance=RigCovariance(names, 0.5 * (matrix + matrix.T)))
    mono = (
        CameraFit(rig.left, sides[0].rms_px(), tuple(poses), 0.0, 30.0, 1.0),
        CameraFit(rig.right, sides[1].rms_px(), tuple(poses), 0.0, 30.0, 1.0),
    )
    model = "fisheye" if rig.left.model == "fisheye" else f"radtan{len(rig.left.distortion)}"
    return Fit(
        target=capture.target,
        names=tuple(pair.name for pair in capture.views.pairs),
        rig=rig,
        model=model,
        warp_m=np.zeros(2),
        board_m=board,
        board_shape="flat",
        poses=tuple(poses),
        left=sides[0],
        right=sides[1],
        mono=mono,
        noise_scale=float(noise) / 0.1,
        noise_px=float(noise),
        disagreement=1.0,
        pair_scatter=np.ones(len(poses)),
        unsteady=1.0,
        repaired={},
        dropped={},
    )


def information(rig: StereoRig, board: Array, poses: Sequence[Pose]) -> Array:
    """Information (P, P) on the rig that whole boards in some poses give, per px^-2 of noise, their poses marginalised out."""
    total = np.zeros((parameter_count(rig),) * 2)
    for R, t in poses:
        seen = [motion(rig, side, board @ R.T, t) for side in (0, 1)]
        by_rig = np.concatenate([one.by_rig.reshape(-1, len(total)) for one in seen])
        by_pose = np.concatenate([one.by_pose.reshape(-1, 6) for one in seen])
        q, _ = np.linalg.qr(by_pose)
        by_rig = by_rig - q @ (q.T @ by_rig)
        total += by_rig.T @ by_rig
    return total


def _normal_equations(
    rig: StereoRig, board: Array, poses: Sequence[Pose], capture: Capture
) -> tuple[Array, Array, list[tuple[Array, Array]]]:
    count = parameter_count(rig)
    S, g, back = np.zeros((count, count)), np.zeros(count), []
    for (R, t), pair in zip(poses, capture.views.pairs, strict=True):
        A, B, e = [], [], []
        for side, seen in enumerate((pair.left, pair.right)):
            if seen is None:
                continue
            moved = motion(rig, side, board[seen.ids] @ R.T, t)
            A.append(moved.by_rig.reshape(-1, count))
            B.append(moved.by_pose.reshape(-1, 6))
            e.append((seen.corners_uv - _project(rig, side, board[seen.ids] @ R.T + t)).ravel())
        a, b, r = np.concatenate(A), np.concatenate(B), np.concatenate(e)
        solve = np.linalg.solve(b.T @ b, b.T)
        S += a.T @ a - (a.T @ b) @ (solve @ a)
        g += a.T @ r - (a.T @ b) @ (solve @ r)
        back.append((solve @ r, solve @ a))
    return S, g, back


def _moved(pose: Pose, by_error: Array, by_rig: Array, step: Array) -> Pose:
    (R, t), change = pose, by_error - by_rig @ step
    return rotation_from_vector(change[:3]) @ R, t + change[3:]


def _project(rig: StereoRig, side: int, points: Array) -> Array:
    if side == 0:
        return rig.left.project(points)
    return rig.right.project(points @ rig.R_right_left.T + rig.t_right_left_m)


def _residuals(rig: StereoRig, side: int, board: Array, poses: Sequence[Pose], capture: Capture) -> Residuals:
    moments, ids, seen_uv, errors = [], [], [], []
    for moment, ((R, t), pair) in enumerate(zip(poses, capture.views.pairs, strict=True)):
        seen = (pair.left, pair.right)[side]
        if seen is None:
            continue
        moments.append(np.full(len(seen.ids), moment))
        ids.append(seen.ids)
        seen_uv.append(seen.corners_uv)
        errors.append(seen.corners_uv - _project(rig, side, board[seen.ids] @ R.T + t))
    of_moment = np.concatenate(moments)
    everything = np.ones(len(of_moment), np.bool_)
    return Residuals(
        moment=of_moment,
        ids=np.concatenate(ids),
        seen_uv=np.concatenate(seen_uv),
        error_px=np.concatenate(errors),
        sigma_px=np.full(len(of_moment), 0.1),
        kept=everything,
        reasons=np.full(len(of_moment), ""),
    )
