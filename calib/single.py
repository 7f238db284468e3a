"""One camera alone, from all its views of a board, without any guess of its focal length.

Several focal lengths are tried for each kind of lens: poses follow from the rays (IPPE; Collins and Bartoli, "Infinitesimal
Plane-Based Pose Estimation", IJCV 2014), a short robust adjustment tells which starts lead somewhere, and the best of them is
carried through.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from calib.board_shape import Board
from calib.bundle import Problem, Sight, State, adjust
from calib.camera import Camera
from calib.corner_order import Pose
from calib.detection import Detection
from calib.errors import CalibrationError
from calib.fit import CameraFit
from calib.geometry import Array, rotation_from_vector
from calib.lens import COEFFICIENTS, is_fisheye
from calib.robust import Robust, distances, robust_adjust

_FOCAL_SHARES = (0.45, 0.8, 1.3, 2.2, 4.5)  # of the image's longer side: fields of view from 96 to 13 degrees
_FISHEYE_VIEWS_DEG = (70.0, 100.0, 130.0, 160.0, 190.0, 220.0)  # over the image's longer side
_WIDEST_RAD = 1.35  # rays farther off the axis are of no use for a pose from tangents
_START_STEPS = 12
_START_CAUCHY_PX = 10.0
_BEST_STARTS, _NEAR = 2, 1.5  # so many at most, and none that is so many times worse
_LEAST_POINTS = 4
_SYSTEMATIC_PX = 0.05  # what no detector can know of its corners: print, paper, light, lenses that are not quite their model's


@dataclass(frozen=True, slots=True, eq=False)
class Single:
    """One camera, solved: the adjustment and what it says."""

    robust: Robust
    fit: CameraFit


def sight_of(model: str, views: Sequence[Detection | None], *, moments: Sequence[int] | None = None) -> Sight:
    """All corners of one camera's views, in order of the moments (default: 0, 1, ...)."""
    numbers = range(len(views)) if moments is None else moments
    seen = sorted(((m, view) for m, view in zip(numbers, views, strict=True) if view is not None), key=lambda item: item[0])
    if not seen:
        return Sight(model, np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros(0))
    return Sight(
        model,
        np.concatenate([np.full(len(view.ids), m, np.int64) for m, view in seen]),
        np.concatenate([view.ids for _, view in seen]),
        np.concatenate([view.corners_uv for _, view in seen]),
        np.hypot(np.concatenate([view.sigma_px for _, view in seen]), _SYSTEMATIC_PX),
    )


def camera_of(model: str, intrinsics: Array, size: tuple[int, int]) -> Camera:
    """The camera of a vector of intrinsics (`calib.lens`)."""
    fx, fy, cx, cy = (float(value) for value in intrinsics[:4])
    return Camera(size[0], size[1], fx, fy, cx, cy, intrinsics[4:], "fisheye" if is_fisheye(model) else "radtan")


def solve_camera(
    board: Board, views: Sequence[Detection | None], size: tuple[int, int], model: str, *, start: Array | None = None
) -> Single:
    """The camera that explains its views best.

    Parameters
    ----------
    board : Board
    views : sequence of Detection or None
        One for each moment.
    size : (width, height)
        px
    model : str
        One of `calib.lens.COEFFICIENTS`.
    start : (P,) array, optional
        Intrinsics of a simpler model of the same lens, padded with zeros: then nothing is guessed.

    Raises
    ------
    CalibrationError
        Fewer than three views, or no start from which any board can be placed.
    """
    sight = sight_of(model, views)
    if len(np.unique(sight.moment)) < 3:
        raise CalibrationError(f"{len(np.unique(sight.moment))} views of the board; at least 3 are needed")
    problem = Problem(board, (sight,), len(views))
    guesses = _guesses(model, size) if start is None else [start]
    trusted = _trusted(board, sight, len(views))
    starts = [state for state in (_placed(problem, trusted, guess) for guess in guesses) if state is not None]
    if not starts:
        raise CalibrationError("in no image can the board be placed in front of the camera; check the order of the corners")
    if start is None:
        starts = _promising(problem, starts)
    robust = min((robust_adjust(problem, state) for state in starts), key=_loss)
    return Single(robust, _fit_of(robust, size, len(views)))


def _guesses(model: str, size: tuple[int, int]) -> list[Array]:
    side, centre = float(max(size)), (np.array(size) - 1.0) / 2.0
    if is_fisheye(model):
        focal = [side / np.radians(view) for view in _FISHEYE_VIEWS_DEG]
    else:
        focal = [side * share for share in _FOCAL_SHARES]
    return [np.concatenate([[f, f], centre, np.zeros(COEFFICIENTS[model])]) for f in focal]


def _trusted(board: Board, sight: Sight, moments: int) -> list[np.ndarray]:
    """For each moment the corners (rows of the sight) that a homography explains best: good enough to place the board."""
    rows = []
    for m in range(moments):
        at = np.arange(*np.searchsorted(sight.moment, (m, m + 1)))
        if len(at) > 2 * _LEAST_POINTS:
            _, good = cv2.findHomography(board.points_m[sight.ids[at], :2], sight.uv[at], cv2.LMEDS)
            if good is not None and np.count_nonzero(good) >= max(2 * _LEAST_POINTS, len(at) // 2):
                at = at[np.ravel(good) > 0]
        rows.append(at)
    return rows


def _placed(problem: Problem, trusted: Sequence[np.ndarray], intrinsics: Array) -> State | None:
    """A state with the given intrinsics and poses to match; None where no three boards can be placed."""
    sight = problem.sights[0]
    fisheye = is_fisheye(sight.model)
    xy = (sight.uv - intrinsics[2:4]) / intrinsics[:2]
    if fisheye:
        theta = np.linalg.norm(xy, axis=1)
        usable = theta < _WIDEST_RAD
        xy = xy * (np.tan(np.minimum(theta, _WIDEST_RAD)) / np.maximum(theta, 1e-12))[:, None]
    else:
        usable = np.ones(len(xy), np.bool_)
    poses: list[Pose | None] = []
    for rows in trusted:
        rows = rows[usable[rows]]
        poses.append(_pose(problem.board.points_m[sight.ids[rows]], xy[rows]) if len(rows) >= _LEAST_POINTS else None)
    found = [pose for pose in poses if pose is not None]
    if len(found) < 3:
        return None
    filled = [pose or found[0] for pose in poses]  # a moment that no one saw, or that cannot be placed: the adjustment may
    return State(
        (intrinsics,), np.eye(3), np.zeros(3), np.zeros(0), np.stack([R for R, _ in filled]), np.stack([t for _, t in filled])
    )


def _pose(points_m: Array, xy: Array) -> Pose | None:
    """The board before a camera with K = 1; of IPPE's two answers the one that misses less."""
    try:
        count, vectors, places, errors = cv2.solvePnPGeneric(
            points_m - points_m.mean(0), np.ascontiguousarray(xy), np.eye(3), np.zeros(4), flags=cv2.SOLVEPNP_IPPE
        )
    except cv2.error:
        return None
    if not count:
        return None
    best = int(np.argmin(np.ravel(errors)))
    turn, t = np.ravel(vectors[best]).astype(np.float64), np.ravel(places[best]).astype(np.float64)
    if not (np.isfinite(turn).all() and np.isfinite(t).all() and t[2] > 0.0):
        return None
    R = rotation_from_vector(turn)
    return R, t - R @ points_m.mean(0)


def _promising(problem: Problem, starts: Sequence[State]) -> list[State]:
    """The best starts after a few robust steps in which only focal length and first coefficient move."""
    quiet = replace(problem, fixed=(2, 3, *range(5, problem.rig_count)))
    sigma = float(np.median(problem.sights[0].sigma_px))
    moved = [adjust(quiet, state, cauchy=_START_CAUCHY_PX / sigma, steps=_START_STEPS) for state in starts]

    def loss(state: State) -> float:
        return float(np.log1p((distances(problem, state)[0] * sigma / _START_CAUCHY_PX) ** 2).mean())

    judged = sorted(((loss(state), i) for i, state in enumerate(moved) if state.intrinsics[0][0] > 0.0))[:_BEST_STARTS]
    return [moved[i] for value, i in judged if value <= _NEAR * judged[0][0]] or moved[:1]


def _loss(robust: Robust) -> float:
    """What decides between two answers: the spread of all corners, those left out counting as just left out."""
    distance = np.minimum(np.concatenate(distances(robust.problem, robust.state)), 1e6)
    return float(np.median(distance) + np.minimum(distance, 100.0).mean())


def _fit_of(robust: Robust, size: tuple[int, int], moments: int) -> CameraFit:
    state, kept = robust.state, robust.kept[0]
    sight = robust.problem.sights[0]
    seen = set(sight.moment[kept].tolist())
    poses = [(state.R_poses[m], state.t_poses[m]) if m in seen else None for m in range(moments)]
    distance = distances(robust.problem, state)[0] * sight.sigma_px
    rms = float(np.sqrt((distance[kept] ** 2).mean())) if kept.any() else float("inf")
    sigma = np.sqrt(np.diagonal(robust.covariance()))[:2] if kept.any() else np.full(2, np.inf)
    camera = camera_of(sight.model, state.intrinsics[0], size)
    return CameraFit(camera, rms, poses, float((~kept).mean()), _tilt_spread_deg(poses), float(sigma.max()))


def _tilt_spread_deg(poses: Sequence[Pose | None]) -> float:
    """Greatest angle between two boards' normals, degrees."""
    normals = np.stack([pose[0][:, 2] for pose in poses if pose is not None] or [np.array([0.0, 0.0, 1.0])])
    return float(np.degrees(np.arccos(np.clip((normals @ normals.T).min(), -1.0, 1.0))))
