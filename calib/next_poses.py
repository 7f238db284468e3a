"""Where to hold the board next: the poses that would lower the errors of depth most.

What a view tells about the rig is its Fisher information with its own pose marginalised out; it adds to the inverse of the rig's
covariance. Of many places that both cameras see, the one is taken after which depth is known best, then the next, given the first
(greedy optimal design with the errors of depth as criterion, "I-optimality": Atkinson, Donev, Tobias, "Optimum Experimental
Designs", 2007, ch. 10; for calibration: Peng, Sturm, "Calibration Wizard", ICCV 2019).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib.camera import Camera
from calib.depth_sigma import depth_derivatives, has_useful_depth, suitable_depths_m
from calib.errors import CalibrationError
from calib.fit import Fit
from calib.geometry import Array
from calib.rig import StereoRig
from calib.sensitivity import free_directions, motion

MOST_POSES = 5
LEAST_GAIN = 0.05
_CANDIDATES = 400
_BATCH = 100  # judged at once: bounds the memory
_ROUNDS = (0.3, 0.1)  # the best place is moved about, by this share of the ranges
_MOVED = 50
_GRID = (6, 5)  # pixels of the left image at which depth should be good
_MOST_POINTS = 80  # of the board; of more, some stand for all
_REACH = 0.85, 1.3  # of the least and the greatest distance used so far
_MOST_TILT = np.radians(40.0)
_MOST_ROLL = np.radians(12.0)
_STEEPEST = np.cos(np.radians(50.0))  # between the board's normal and the ray to its middle: what detectors bear well
_PLAIN_RAD = np.radians(30.0)  # beyond this angle off the axis boards are turned towards the camera
_MARGIN = 0.015  # of the image, that stays free around a whole board
_LEAST_SEEN = 0.5  # of the points of a board with ids


@dataclass(frozen=True, slots=True, eq=False)
class NextPose:
    """A place to hold the board, and what that is worth."""

    R: Array
    """(3, 3) the board in the left camera's frame: x_left = R x_board + t"""
    t: Array
    """(3,) metres"""
    words: str
    """e.g. "board near the lower left corner of the left image, 0.45 m away, tilted by 30 degrees, right side farther away" """
    left_outline_uv: Array
    """(4, 2) corners of what is printed, px: top left, top right, bottom right, bottom left; may reach out of the image for
    boards with ids"""
    right_outline_uv: Array
    """(4, 2)"""
    sigma_before: float
    """standard deviation of depth over depth, mean over the image and the depths asked for"""
    sigma_after: float
    """the same with this pose and those before it"""

    @property
    def gain(self) -> float:
        """Share by which this pose lowers the errors of depth."""
        return 1.0 - self.sigma_after / self.sigma_before


@dataclass(slots=True)
class _Places:
    """Places for a board, each a few numbers that can be varied."""

    side: NDArray[np.int64]
    """(C,) the camera in whose image the middle lies at `uv`: 0 left, 1 right"""
    numbers: Array
    """(C, 6) middle in the image (0 to 1), logarithm of the distance (0 to 1), tilts about x and y (-1 to 1), roll (-1 to 1)"""

    def __getitem__(self, rows: NDArray[np.int64]) -> "_Places":
        return _Places(self.side[rows], self.numbers[rows])


def next_poses(
    fit: Fit,
    *,
    count: int = MOST_POSES,
    depths_m: ArrayLike | None = None,
    least_gain: float = LEAST_GAIN,
    seed: int = 0,
) -> tuple[NextPose, ...]:
    """Propose where to hold the board next.

    Parameters
    ----------
    fit : Fit
        Its rig with covariance, its board, noise and distances.
    count : int
        At most so many.
    depths_m : (D,) array, optional
        Depths that should be known well; default `calib.depth_sigma.suitable_depths_m`.
    least_gain : float
        Stop where the best place lowers the errors of depth by less than this share.
    seed : int
        Of the random places that are looked at.

    Returns
    -------
    tuple of NextPose
        The best first; each is judged with those before it. Empty where nothing helps enough, or both cameras see no place.

    Raises
    ------
    CalibrationError
        A rig without covariance.
    """
    if fit.rig.covariance is None:
        raise CalibrationError(
            "rig: it carries no covariance, so that no pose can be proposed; calibrate it again with `calib solve`"
        )
    if all(pose is None for pose in fit.poses):
        return ()
    rng = np.random.default_rng(seed)
    search = _Search(fit, np.asarray(suitable_depths_m(fit.rig) if depths_m is None else depths_m, np.float64).reshape(-1))
    if not search.wanted.any():  # nothing is seen at these depths, or nothing of the rig was estimated
        return ()
    places = _random_places(_CANDIDATES, rng)
    places, gained = search.information(places)
    found: list[NextPose] = []
    known = np.eye(search.free.shape[1])  # information, in units in which that of the fit is the identity
    before = float(search.error(known[None])[0])
    while len(found) < count and len(places.side):
        errors = search.error(known + gained)
        best, place, after = gained[errors.argmin()], places[np.argmin(errors, keepdims=True)], float(errors.min())
        for share in _ROUNDS:
            moved, more = search.information(_moved(place, share, rng))
            if len(more) and float((errors := search.error(known + more)).min()) < after:
                best, place, after = more[errors.argmin()], moved[np.argmin(errors, keepdims=True)], float(errors.min())
        if after > (1.0 - least_gain) * before:
            break
        found.append(search.describe(place, before, after))
        known, before = known + best, after
    return tuple(found)


class _Search:
    """What stays the same while places are compared."""

    def __init__(self, fit: Fit, depths_m: Array) -> None:
        rig = fit.rig
        self.fit, self.rig = fit, rig
        self.free = free_directions(rig)
        self.wanted = _wanted(rig, depths_m) @ self.free
        self.sigma_px = fit.noise_px * max(1.0, fit.disagreement)
        self.outline = np.column_stack([fit.target.outline_m(), np.zeros(4)])
        self.middle = np.append(fit.target.outline_m().mean(0), 0.0)
        chosen = np.unique(np.linspace(0, len(fit.board_m) - 1, _MOST_POINTS).round().astype(np.int64))
        self.board = fit.board_m[chosen]
        self.weight = len(fit.board_m) / len(chosen) / self.sigma_px**2
        used = [float(np.linalg.norm(R @ self.middle + t)) for R, t in (pose for pose in fit.poses if pose is not None)]
        self.reach = np.log([_REACH[0] * min(used), _REACH[1] * max(used)])

    def error(self, information: Array) -> Array:
        """(C,) mean of sigma over depth, for informations (C, F, F) in units of the fit's own."""
        root = np.linalg.solve(np.linalg.cholesky(information), self.wanted.T[None])
        return np.asarray(np.sqrt((root * root).sum(1)).mean(-1))

    def information(self, places: _Places) -> tuple[_Places, Array]:
        """The places that both cameras see, and the information (C, F, F) of each."""
        R, t = self.poses(places)
        visible, weights = self.visibility(R, t)
        rows = np.flatnonzero(visible)
        batches = [some for some in np.split(rows, range(_BATCH, len(rows), _BATCH)) if len(some)]
        parts = [self._information(R[some], t[some], weights[:, some]) for some in batches]
        return places[rows], np.concatenate(parts) if len(rows) else np.zeros((0, self.free.shape[1], self.free.shape[1]))

    def _information(self, R: Array, t: Array, weights: Array) -> Array:
        turned = np.einsum("cij,nj->cni", R, self.board)
        flat, place = turned.reshape(-1, 3), np.repeat(t, len(self.board), 0)
        rows, poses = [], []
        for side in (0, 1):
            moved = motion(self.rig, side, flat, place)
            weight = np.repeat(np.sqrt(weights[side] * self.weight), 2, -1)[..., None]
            rows.append(np.nan_to_num((moved.by_rig @ self.free).reshape(len(R), -1, self.free.shape[1])) * weight)
            poses.append(np.nan_to_num(moved.by_pose.reshape(len(R), -1, 6)) * weight)
        by_rig, by_pose = np.concatenate(rows, 1), np.concatenate(poses, 1)
        q, _ = np.linalg.qr(by_pose)
        by_rig = by_rig - q @ (q.transpose(0, 2, 1) @ by_rig)
        return np.asarray(by_rig.transpose(0, 2, 1) @ by_rig)

    def poses(self, places: _Places) -> tuple[Array, Array]:
        """(C, 3, 3) and (C, 3) in the left camera's frame."""
        uv, distance, tilt, roll = places.numbers[:, :2], places.numbers[:, 2], places.numbers[:, 3:5], places.numbers[:, 5]
        R, t = np.empty((len(uv), 3, 3)), np.empty((len(uv), 3))
        for side, camera in enumerate((self.rig.left, self.rig.right)):
            rows = places.side == side
            ray = camera.unproject(uv[rows] * (np.array(camera.size) - 1.0))
            ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
            off = np.arctan2(np.linalg.norm(ray[:, :2], axis=-1), ray[:, 2])
            across = np.stack([-ray[:, 1], ray[:, 0], 0.0 * off], -1)
            across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-12)
            turn = across * np.maximum(0.0, off - _PLAIN_RAD)[:, None]
            tilted = np.column_stack([_MOST_TILT * tilt[rows], 0.0 * off])
            rolled = np.column_stack([0.0 * off, 0.0 * off, _MOST_ROLL * roll[rows]])
            R[rows] = _rotations(turn) @ _rotations(tilted) @ _rotations(rolled)
            length = np.exp(self.reach[0] + distance[rows] * np.ptp(self.reach))
            t[rows] = length[:, None] * ray - R[rows] @ self.middle
            if side:
                R[rows], t[rows] = self.rig.R_right_left.T @ R[rows], (t[rows] - self.rig.t_right_left_m) @ self.rig.R_right_left
        return R, t

    def visibility(self, R: Array, t: Array) -> tuple[NDArray[np.bool_], Array]:
        """Which of C places both cameras see well, and a weight of 0 or 1 for each point (2, C, N)."""
        visible: NDArray[np.bool_] = np.asarray(np.isfinite(t).all(-1))
        weights = np.zeros((2, len(R), len(self.board)))
        for side, camera in enumerate((self.rig.left, self.rig.right)):
            outline, points = (self._project(side, R, t, x) for x in (self.outline, self.board))
            inside = _inside(camera, points)
            weights[side] = inside
            whole = _inside(camera, outline).all(-1)
            parts = (inside.mean(-1) >= _LEAST_SEEN) & np.isfinite(outline).all((-2, -1))
            visible = visible & (parts if self.fit.target.has_ids else whole)
            middle, normal = self._seen_from(side, R, t, self.middle[None])[:, 0], R[:, :, 2]
            if side:
                normal = normal @ self.rig.R_right_left.T
            facing = (middle * normal).sum(-1) > _STEEPEST * np.linalg.norm(middle, axis=-1)
            visible = np.asarray(visible & facing)
        return visible, weights

    def describe(self, place: _Places, before: float, after: float) -> NextPose:
        """One place, in words and outlines."""
        R, t = self.poses(place)
        left, right = (self._project(side, R, t, self.outline)[0] for side in (0, 1))
        middle = R[0] @ self.middle + t[0]
        where = _where(self.rig.left.project(middle) / self.rig.left.size)
        words = f"board {where} of the left image, {_metres(float(np.linalg.norm(middle)))} away, {_tilt(R[0], middle)}"
        return NextPose(R[0], t[0], words, left, right, before, after)

    def _seen_from(self, side: int, R: Array, t: Array, points: Array) -> Array:
        seen = np.einsum("cij,nj->cni", R, points) + t[:, None]
        return seen @ self.rig.R_right_left.T + self.rig.t_right_left_m if side else np.asarray(seen)

    def _project(self, side: int, R: Array, t: Array, points: Array) -> Array:
        camera = self.rig.right if side else self.rig.left
        with np.errstate(invalid="ignore"):
            return camera.project(self._seen_from(side, R, t, points))


def _wanted(rig: StereoRig, depths_m: Array) -> Array:
    """(T, P) derivatives of depth over depth, at pixels all over the left image and all depths that both cameras see."""
    columns, rows = _GRID
    y, x = np.mgrid[0:rows, 0:columns].reshape(2, -1)
    uv = np.stack([(x + 0.5) / columns, (y + 0.5) / rows], -1) * rig.left.size - 0.5
    useful = has_useful_depth(rig, uv, depths_m[:, None])
    return np.asarray((depth_derivatives(rig, uv, depths_m[:, None]) / depths_m[:, None, None])[useful])


def _random_places(count: int, rng: np.random.Generator) -> _Places:
    numbers = np.concatenate([rng.uniform(0.0, 1.0, (count, 3)), np.zeros((count, 2)), rng.uniform(-1.0, 1.0, (count, 1))], -1)
    angle, size = rng.uniform(0.0, 2.0 * np.pi, count), np.sqrt(rng.uniform(0.0, 1.0, count))
    numbers[:, 3], numbers[:, 4] = size * np.cos(angle), size * np.sin(angle)
    return _Places(np.arange(count) % 2, numbers)


def _moved(place: _Places, share: float, rng: np.random.Generator) -> _Places:
    """Places near one, in all their numbers."""
    numbers = place.numbers + share * rng.standard_normal((_MOVED, 6)) * [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    numbers[:, :3] = np.clip(numbers[:, :3], 0.0, 1.0)
    numbers[:, 3:5] /= np.maximum(np.linalg.norm(numbers[:, 3:5], axis=-1, keepdims=True), 1.0)
    numbers[:, 5] = np.clip(numbers[:, 5], -1.0, 1.0)
    return _Places(np.repeat(place.side, _MOVED), numbers)


def _inside(camera: Camera, uv: Array) -> NDArray[np.bool_]:
    size = np.array(camera.size, np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(((uv >= _MARGIN * size) & (uv <= (1.0 - _MARGIN) * size - 1.0)).all(-1))


def _rotations(vectors: Array) -> Array:
    """(C, 3, 3) rotations of rotation vectors (C, 3) (Rodrigues)."""
    angle = np.linalg.norm(vectors, axis=-1)
    x, y, z = (vectors / np.maximum(angle, 1e-300)[:, None]).T
    zero = 0.0 * x
    k = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    s, c = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.asarray(np.eye(3) + s * k + (1.0 - c) * (k @ k))


def _where(place: Array) -> str:
    """A place in an image (0 to 1) in words."""
    across = ("left", "", "right")[int(np.clip(place[0] * 3.0, 0.0, 2.0))]
    along = ("upper", "", "lower")[int(np.clip(place[1] * 3.0, 0.0, 2.0))]
    if across and along:
        return f"near the {along} {across} corner"
    return f"near the {across or along} edge" if across or along else "in the middle"


def _tilt(R: Array, middle: Array) -> str:
    """How a board is tilted to the ray to its middle, in words."""
    ray = middle / np.linalg.norm(middle)
    degrees = float(np.degrees(np.arctan2(np.linalg.norm(np.cross(R[:, 2], ray)), R[:, 2] @ ray)))
    if degrees < 7.5:
        return "facing the camera"
    away = R[:, :2].T @ ray  # how fast the board recedes along its x and y
    east, south = away / np.linalg.norm(away)
    across = "right" if east > 0.38 else "left" if east < -0.38 else ""
    along = "lower" if south > 0.38 else "upper" if south < -0.38 else ""
    part = f"{along} {across} corner".strip() if along and across else f"{along or across} side"
    return f"tilted by {5 * round(degrees / 5.0)} degrees, its {part} farther away"


def _metres(length_m: float) -> str:
    return f"{float(f'{length_m:.2g}'):g} m"
