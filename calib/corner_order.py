"""Repair of the corner order: a board that looks the same after half a turn may be read from either end, and the two cameras of a
rig must read it from the same one.

Each reading of each pair says where the right camera stands. Half a turn of the board moves that place about the board's normal,
so wrong readings of boards held at different tilts contradict each other, while the right ones agree, however many pairs were
read wrongly and however the cameras are mounted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.geometry import Array, angle_deg, nearest_rotation

Pose = tuple[Array, Array]
"""(R, t) of the board in a camera's frame: x_camera = R x_board + t"""

_CAP_RAD = 0.1  # a pair counts at most this much: one bad pair must not decide
_CLEAR_RAD = 0.002  # about 1 px of a lens with 500 px of focal length: below, readings count as equally good


@dataclass(frozen=True, slots=True, eq=False)
class CornerOrder:
    """Which reading of the right image agrees with the other pairs."""

    choice: tuple[int, ...]
    """for each pair the index into the orders; 0 = as it was"""
    R_right_left: Array
    """(3, 3) the motion on which the pairs agree"""
    t_right_left_m: Array
    """(3,) metres"""
    disagreement_rad: tuple[float, ...]
    """for each pair, how far it is from that motion: rms angle of its corners seen from the right camera (at most 0.1)"""


def agree_on_order(
    board_m: Array, left_poses: Sequence[Pose], right_poses: Sequence[Pose], orders: Sequence[NDArray[np.intp]]
) -> CornerOrder:
    """Choose for each pair the reading of the right image on which the pairs agree best.

    Every reading of every pair is a hypothesis (R, t) of the rig. It is judged by how well it carries the corners that each left
    camera pose predicts to those of the right one, the better reading of each pair counting. Among hypotheses that are about
    equally good (boards all held alike) the one with the smaller angle between the cameras wins: two cameras of a rig are seldom
    mounted upside down to each other.

    Parameters
    ----------
    board_m : (N, 3) array
        Corners in the board's frame, metres.
    left_poses, right_poses : sequences of (R, t)
        The board in each camera, one for each pair.
    orders : sequence of (N,) int arrays
        `Target.corner_orders`, the first one being the identity.

    Returns
    -------
    CornerOrder
    """
    outer = _outer(board_m)
    turns = [_turn(board_m, order) for order in orders]
    seen_left = np.stack([outer @ R.T + t for R, t in left_poses])
    # Read in order o, the board's point n is the one that was found as point o[n]: its place is that of turn(n).
    seen_right = np.stack([[(outer @ R.T + c) @ right.T + t for R, c in turns] for right, t in right_poses])
    candidates = []
    for (R_left, t_left), (R_right, t_right) in zip(left_poses, right_poses, strict=True):
        for R_turn, c in turns:
            R = R_right @ R_turn @ R_left.T
            t = R_right @ c + t_right - R @ t_left
            distance = _angles(seen_left @ R.T + t, seen_right)
            candidates.append((float(np.minimum(distance.min(1), _CAP_RAD).mean()), angle_deg(R), R, t, distance))
    least = min(candidate[0] for candidate in candidates)
    alike = [candidate for candidate in candidates if candidate[0] <= 1.5 * least + _CLEAR_RAD]
    _, _, R, t, distance = min(alike, key=lambda candidate: (round(candidate[1] / 20.0), candidate[0]))
    # The order as found stays where it is about as good as the best one.
    choice = np.where(distance[:, 0] <= 1.5 * distance.min(1), 0, distance.argmin(1))
    final = np.minimum(distance[np.arange(len(choice)), choice], _CAP_RAD)
    return CornerOrder(tuple(int(k) for k in choice), R, t, tuple(float(v) for v in final))


def _outer(board_m: Array) -> Array:
    """The four outermost corners and the middle: they say as much of a motion as all."""
    low, high = board_m.min(0), board_m.max(0)
    x, y = [low[0], high[0], low[0], high[0]], [low[1], low[1], high[1], high[1]]
    return np.concatenate([np.stack([x, y, np.zeros(4)], -1), board_m.mean(0, keepdims=True)])


def _turn(board_m: Array, order: NDArray[np.intp]) -> Pose:
    """The motion (R, c) of the board onto itself with board[order] = R board + c."""
    target, middle = board_m[order], board_m.mean(0)
    R = nearest_rotation((target - middle).T @ (board_m - middle) + np.diag([0.0, 0.0, 1.0]))
    return R, middle - R @ middle


def _angles(predicted: Array, seen: Array) -> Array:
    """(pairs, orders) rms angle between points (pairs, n, 3) and (pairs, orders, n, 3); large behind the camera."""
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = predicted[..., :2] / predicted[..., 2:], seen[..., :2] / seen[..., 2:]
        rms = np.sqrt(((a[:, None] - b) ** 2).sum(-1).mean(-1))
    rms[(predicted[..., 2] <= 0.0).any(-1)] = 10.0
    return np.asarray(np.nan_to_num(rms, nan=10.0, posinf=10.0))
