"""Captures without images: exact corners of a board in both cameras, plus noise, outliers, and views that show it in part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.camera import Camera
from calib.corner_order import Pose
from calib.detection import BoardViews, Detection, PairView
from calib.errors import UsageError
from calib.geometry import Array
from calib.rig import StereoRig
from calib.target import Target

Mask = NDArray[np.bool_]

_CANDIDATES = 40  # poses tried for each pair in one round
_ROUNDS = 40
_CELLS = np.array([8, 6])
_RIM = 0.6  # squares around the outermost points that stay inside the image
_STEEPEST = np.cos(np.radians(75.0))  # between a board's normal and the ray to its middle: what detectors bear
_LEAST_SEEN = 8  # corners of a board seen in part
_PLAIN_RAD = np.radians(30.0)  # beyond this angle off the axis boards are turned towards the camera


@dataclass(frozen=True, slots=True, eq=False)
class Capture:
    """What both cameras of a known rig saw of a board in known places."""

    views: BoardViews
    poses_left: tuple[Pose, ...]
    """the board in the left camera's frame at each moment, metres"""
    rig: StereoRig
    target: Target
    board_m: Array
    """(N, 3) the board's points, bow included"""
    outliers: tuple[tuple[Mask, Mask], ...]
    """for each pair, left and right: (M,) True for corners that were shifted grossly"""


def bowed(board_m: Array, bow_m: Sequence[float]) -> Array:
    """A flat board's points (N, 3) with a bow: z = bow_x (1 - u^2) + bow_y (1 - v^2), u and v from -1 to 1 over the points."""
    low, high = board_m[:, :2].min(0), board_m[:, :2].max(0)
    uv = (2.0 * board_m[:, :2] - low - high) / (high - low)
    return np.column_stack([board_m[:, :2], board_m[:, 2] + (1.0 - uv * uv) @ np.asarray(bow_m, np.float64)])


def simulate(
    rig: StereoRig,
    target: Target,
    count: int,
    *,
    noise_px: float = 0.1,
    outlier_share: float = 0.0,
    bow_m: Sequence[float] = (0.0, 0.0),
    one_sided: int = 0,
    partial_share: float = 0.0,
    tilt_deg: float = 35.0,
    least_tilt_deg: float | None = None,
    seed: int = 0,
    poses: Sequence[Pose] | None = None,
) -> Capture:
    """What the cameras of a rig see of a board in `count` places.

    Parameters
    ----------
    rig : StereoRig
    target : Target
    count : int
        Number of pairs that show the board to both cameras.
    noise_px : float
        Standard deviation of each corner along each axis.
    outlier_share : float
        Share of the corners that miss their place by 2 to 30 px in some direction.
    bow_m : (2,)
        Bow of the board along x and y; see `bowed`.
    one_sided : int
        Further pairs in which one camera, in turn, does not see the board.
    partial_share : float
        Share of the views in which boards with ids may reach out of the images; at least 8 corners stay.
    tilt_deg, least_tilt_deg : float
        Tilts out of the image plane lie between these; the least is half the greatest by default. Far off the axis of wide
        lenses boards are turned towards the camera besides.
    seed : int
    poses : sequence of (R, t), optional
        Where the board is held, in the left camera's frame, in place of random places.

    Returns
    -------
    Capture

    Raises
    ------
    UsageError
        No place shows the board to both cameras.
    """
    rng = np.random.default_rng(seed)
    board = bowed(target.object_points(), bow_m)
    may_leave = rng.random(count + one_sided) < (partial_share if getattr(target, "has_ids", False) else 0.0)
    if poses is None:
        sides = np.full(count + one_sided, -1)
        sides[count:] = np.arange(one_sided) % 2
        tilts = np.radians([tilt_deg / 2 if least_tilt_deg is None else least_tilt_deg, tilt_deg])
        poses = held_poses(rig, board, target.square_m, sides, may_leave, tilts, rng)
    pairs, outliers = [], []
    for moment, (R, t) in enumerate(poses):
        in_left = board @ R.T + t
        seen = []
        for side, (camera, points) in enumerate(
            ((rig.left, in_left), (rig.right, in_left @ rig.R_right_left.T + rig.t_right_left_m))
        ):
            exact = camera.project(points)
            inside = _inside(camera, exact)
            whole = inside.all() or (may_leave[moment] and inside.sum() >= _LEAST_SEEN)
            hidden = moment >= count and side != (moment - count) % 2
            seen.append(_spoil(exact, inside, noise_px, outlier_share, rng) if whole and not hidden else None)
        left, right = (None if one is None else one[0] for one in seen)
        masks = [np.zeros(0, np.bool_) if one is None else one[1] for one in seen]
        missing = [name for name, one in zip(("left", "right"), seen, strict=True) if one is None]
        problem = f"the board is not seen in the {' and the '.join(missing)} image" if missing else ""
        pairs.append(PairView(f"left{moment + 1:02d}.png, right{moment + 1:02d}.png", left, right, problem))
        outliers.append((masks[0], masks[1]))
    views = BoardViews(tuple(pairs), rig.left.size, rig.right.size, target)
    return Capture(views, tuple(poses), rig, target, board, tuple(outliers))


def held_poses(
    rig: StereoRig,
    board_m: Array,
    square_m: float,
    sides: NDArray[np.int64],
    may_leave: Mask,
    tilt_rad: Array,
    rng: np.random.Generator,
) -> list[Pose]:
    """Places to hold a board: tilted every way, near and far, and reaching all parts of both images.

    Each is the best of many random ones: it enters most cells of the images that none before it has reached.

    Parameters
    ----------
    sides : (n,) int array
        -1 where both cameras see the board, else the only one that does.
    may_leave : (n,) bool array
        Where a part of the board may lie outside the images.
    tilt_rad : (2,)
        Least and greatest tilt.

    Raises
    ------
    UsageError
        After many tries, no place shows the board.
    """
    n = len(sides)
    reached = np.zeros((2, *_CELLS))
    poses: list[Pose | None] = [None] * n
    missing = np.arange(n)
    for turn in range(_ROUNDS):
        R, t = _random_poses(rig, board_m, 0.95**turn, missing, sides[missing], tilt_rad, rng)
        ok, cells = _judge(rig, board_m, square_m, R, t, sides[missing], may_leave[missing])
        for row, number in enumerate(missing):
            if ok[row].any():
                value = np.where(ok[row], (cells[row] / (1.0 + 3.0 * reached)).sum((1, 2, 3)), -1.0)
                best = int(value.argmax())
                poses[number] = R[row, best], t[row, best]
                reached += cells[row, best]
        missing = np.array([i for i, pose in enumerate(poses) if pose is None], np.int64)
        if not len(missing):
            return [pose for pose in poses if pose is not None]
    raise UsageError(
        f"simulate: {len(missing)} of {n} places that show the board were not found; the cameras' views hardly overlap"
    )


def _random_poses(
    rig: StereoRig,
    board_m: Array,
    nearness: float,
    numbers: NDArray[np.int64],
    sides: NDArray[np.int64],
    tilt_rad: Array,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """(n, candidates, 3, 3) and (n, candidates, 3), in the left camera's frame."""
    shape = (len(numbers), _CANDIDATES)
    extent = np.ptp(board_m[:, :2], axis=0) * 1.2
    near = (numbers % 3 == 0)[:, None]
    span = nearness * np.where(near, rng.uniform(0.55, 0.8, shape), rng.uniform(0.3, 0.6, shape))
    azimuth = 2.0 * np.pi * (numbers[:, None] * 0.381966 + rng.uniform(-0.1, 0.1, shape))  # the golden angle spreads the axes
    tilt, roll = rng.uniform(tilt_rad[0], tilt_rad[1], shape), np.radians(rng.uniform(-15.0, 15.0, shape))
    axis = np.stack([np.cos(azimuth), np.sin(azimuth), 0.0 * azimuth], -1)
    R = _rotations(axis, tilt) @ _rotations(np.broadcast_to([0.0, 0.0, 1.0], (*shape, 3)), roll)
    place = rng.uniform(0.0, 1.0, (*shape, 2))
    t = np.empty((*shape, 3))
    middle = 0.5 * (board_m.min(0) + board_m.max(0))
    for side, camera in enumerate((rig.left, rig.right)):
        rows = sides == side if side else sides != 1
        if not rows.any():
            continue
        ray = camera.unproject(place[rows] * (np.array(camera.size) - 1.0))
        off = np.arctan2(np.linalg.norm(ray[..., :2], axis=-1), ray[..., 2])
        turned = np.stack([-ray[..., 1], ray[..., 0], 0.0 * off], -1)
        turned /= np.maximum(np.linalg.norm(turned, axis=-1, keepdims=True), 1e-12)
        R[rows] = _rotations(turned, np.maximum(0.0, off - _PLAIN_RAD)) @ R[rows]
        side_m = max(extent[0] * camera.height / camera.width, extent[1])
        depth = camera.focal_y_px * side_m / (span[rows] * camera.height)
        t[rows] = depth[..., None] * ray - R[rows] @ middle
        if side:
            R[rows], t[rows] = rig.R_right_left.T @ R[rows], (t[rows] - rig.t_right_left_m) @ rig.R_right_left
    return R, t


def _judge(
    rig: StereoRig, board_m: Array, square_m: float, R: Array, t: Array, sides: NDArray[np.int64], may_leave: Mask
) -> tuple[Mask, Array]:
    """Which candidates (n, m) will do, and the cells (n, m, 2, 8, 6) that they enter."""
    frame = _frame(board_m, _RIM * square_m)
    in_left = np.einsum("nmij,kj->nmki", R, frame) + t[:, :, None]
    ok = np.ones(R.shape[:2], np.bool_)
    cells = np.zeros((*R.shape[:2], 2, *_CELLS))
    motions = (np.eye(3), np.zeros(3)), (rig.R_right_left, rig.t_right_left_m)
    for side, (camera, (R_side, t_side)) in enumerate(zip((rig.left, rig.right), motions, strict=True)):
        points = in_left @ R_side.T + t_side
        uv = camera.project(points)
        inside = _inside(camera, uv)
        middle, normal = points[:, :, 4], R @ np.array([0.0, 0.0, 1.0]) @ R_side.T
        facing = (middle * normal).sum(-1) > _STEEPEST * np.linalg.norm(middle, axis=-1)
        enough = np.where(may_leave[:, None], inside[..., 4] & (inside.sum(-1) >= 5), inside.all(-1))
        ok &= (facing & enough) | ((sides >= 0) & (sides != side))[:, None]
        place = np.clip(np.nan_to_num(uv) / np.array(camera.size) * _CELLS, 0, _CELLS - 1).astype(np.int64)
        row, column, _ = np.nonzero(inside)
        cells[row, column, side, place[inside][:, 0], place[inside][:, 1]] = 1.0
    return ok, cells


def _frame(board_m: Array, rim_m: float) -> Array:
    """(9, 3) corners, sides and middle (row 4) of the board with its rim."""
    low, high = board_m.min(0), board_m.max(0)
    y, x = np.mgrid[0:3, 0:3].reshape(2, -1) / 2.0
    xy = low[:2] - rim_m + np.stack([x, y], -1) * (high[:2] - low[:2] + 2.0 * rim_m)
    return np.column_stack([xy, np.zeros(9)])


def _inside(camera: Camera, uv: Array) -> Mask:
    with np.errstate(invalid="ignore"):
        return np.asarray(((uv >= 0.0) & (uv <= np.array(camera.size) - 1.0)).all(-1))  # False for NaN too


def _spoil(exact: Array, inside: Mask, noise_px: float, outlier_share: float, rng: np.random.Generator) -> tuple[Detection, Mask]:
    """The corners inside the image, with noise and outliers; and which are outliers."""
    ids = np.flatnonzero(inside)
    uv = exact[ids] + noise_px * rng.standard_normal((len(ids), 2))
    wrong = rng.random(len(ids)) < outlier_share
    angle, length = rng.uniform(0.0, 2.0 * np.pi, len(ids)), rng.uniform(2.0, 30.0, len(ids))
    uv += np.where(wrong, length, 0.0)[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    return Detection(uv, "simulated", ids), wrong


def _rotations(axis: Array, angle: Array) -> Array:
    """(..., 3, 3) rotations about unit axes (Rodrigues)."""
    x, y, z = np.moveaxis(axis, -1, 0)
    zero = 0.0 * x
    k = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    s, c = np.sin(angle)[..., None, None], np.cos(angle)[..., None, None]
    return np.asarray(np.eye(3) + s * k + (1.0 - c) * (k @ k))
