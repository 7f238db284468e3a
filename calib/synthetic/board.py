"""Photos of a chessboard, where its corners truly are, and good places to hold it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib.camera import Camera
from calib.errors import UsageError
from calib.geometry import Array, compose, rotation_from_vector
from calib.rig import StereoRig
from calib.synthetic.render import RayGrid, RenderedPair, expose
from calib.synthetic.texture import Float32, octaves

_BLACK, _WHITE = 0.09, 0.88
_EDGE_RAYS = 6  # n x n rays in the pixels that an edge crosses: edges along rows and columns get 36 levels
_CANDIDATES = 200
_RIM_SEEN = 0.4  # squares of white around the pattern that stay inside the images: detectors need some
_COVERAGE_CELLS = (8, 6)


@dataclass(frozen=True, slots=True)
class Chessboard:
    """A printed chessboard: inner corners, size of a square, and the white paper around the squares."""

    columns: int
    """inner corners along x"""
    rows: int
    """inner corners along y"""
    square_m: float
    border_squares: float = 0.8
    """width of the white rim, in squares"""

    def __post_init__(self) -> None:
        if self.columns < 2 or self.rows < 2:
            raise UsageError(f"chessboard of {self.columns} x {self.rows} inner corners; it needs at least 2 x 2")
        if not (np.isfinite(self.square_m) and self.square_m > 0.0):
            raise UsageError(f"chessboard: square_m is {self.square_m}; it must be a finite length > 0 in metres")

    @property
    def corners_m(self) -> Array:
        """(columns * rows, 3) inner corners, row by row, board frame, metres: x along columns, y along rows, z into the board."""
        grid = np.mgrid[0 : self.rows, 0 : self.columns].reshape(2, -1)
        return np.stack([grid[1], grid[0], np.zeros(self.columns * self.rows)], -1) * self.square_m

    def outline(self, rim_squares: float) -> Array:
        """(36, 3) points along the edge of the squares widened by a rim, metres."""
        low, sides = -1.0 - rim_squares, np.linspace(0.0, 1.0, 9)
        width, height = self.columns + 1 + 2 * rim_squares, self.rows + 1 + 2 * rim_squares
        x = np.concatenate([sides, sides, 0 * sides, 0 * sides + 1]) * width + low
        y = np.concatenate([0 * sides, 0 * sides + 1, sides, sides]) * height + low
        return np.stack([x, y, 0 * x], -1) * self.square_m


def board_corners(camera: Camera, R_camera_board: ArrayLike, t_camera_board_m: ArrayLike, board: Chessboard) -> Array:
    """Exact pixels of the inner corners: (columns * rows, 2), row by row, NaN behind the camera."""
    return camera.project(board.corners_m @ np.asarray(R_camera_board, np.float64).T + np.asarray(t_camera_board_m, np.float64))


def render_board(
    camera: Camera,
    R_camera_board: ArrayLike,
    t_camera_board_m: ArrayLike,
    board: Chessboard,
    *,
    background: NDArray[np.uint8] | None = None,
    noise: float = 2.0,
    seed: int = 0,
    rays: RayGrid | None = None,
) -> NDArray[np.uint8]:
    """A photo of a chessboard.

    Parameters
    ----------
    camera : Camera
    R_camera_board, t_camera_board_m : (3, 3) and (3,) arrays
        x_camera = R x_board + t, metres; the identity faces the camera with the first corner at the top left.
    board : Chessboard
    background : (H, W, 3) uint8 array, optional
        What stands behind (a photo without noise); default: soft grey clouds.
    noise : float
        Standard deviation of Gaussian noise in grey levels.
    seed : int
        Of the noise.
    rays : RayGrid, optional
        `board_rays(camera)`, to spare computing it again for each photo.

    Returns
    -------
    (H, W, 3) uint8 BGR array
        Pixels near an edge gather 36 rays over a tent two pixels wide, as `render_pair` does.
    """
    grid = board_rays(camera) if rays is None else rays
    light = _backdrop(camera, grid) if background is None else background.astype(np.float32) / np.float32(255.0)
    _paste_board(light, grid, camera, np.asarray(R_camera_board, np.float64), np.asarray(t_camera_board_m, np.float64), board)
    return expose(light, noise=noise, seed=seed)


def board_rays(camera: Camera) -> RayGrid:
    """The rays with which boards are rendered."""
    return RayGrid.of(camera, _EDGE_RAYS)


def render_board_pairs(
    rig: StereoRig,
    poses: Sequence[tuple[Array, Array]],
    board: Chessboard,
    *,
    background: RenderedPair | None = None,
    noise: float = 2.0,
    seed: int = 0,
    threads: int = 2,
) -> list[RenderedPair]:
    """Photos of a board in several poses (of `board_views`) by both cameras of a rig; the images do not depend on `threads`."""
    cameras = (rig.left, rig.right)
    grids = [board_rays(camera) for camera in cameras]
    if background is None:
        behind = [expose(_backdrop(camera, grid), noise=0.0) for camera, grid in zip(cameras, grids, strict=True)]
    else:
        behind = [background.left, background.right]

    def photo(job: tuple[int, int]) -> NDArray[np.uint8]:
        view, side = job
        R, t = poses[view]
        if side == 1:
            R, t = compose(rig.R_right_left, rig.t_right_left_m, R, t)
        number = 1000 * (seed + 1) + 2 * view + side
        return render_board(cameras[side], R, t, board, background=behind[side], noise=noise, seed=number, rays=grids[side])

    with ThreadPoolExecutor(max(1, threads)) as pool:
        photos = list(pool.map(photo, [(view, side) for view in range(len(poses)) for side in (0, 1)]))
    return [RenderedPair(left, right) for left, right in zip(photos[::2], photos[1::2], strict=True)]


def board_views(
    rig: StereoRig, count: int, board: Chessboard, *, seed: int = 0, tilt_deg: float = 35.0
) -> list[tuple[Array, Array]]:
    """Good places to hold a board: tilted every way, near and far, whole in both images, and reaching all corners of the images.

    Each pose is the best of many random ones: its corners enter most cells of both images that no earlier pose has reached.

    Parameters
    ----------
    rig : StereoRig
    count : int
        Number of poses, >= 1.
    seed : int
    tilt_deg : float
        Greatest tilt out of the image plane, degrees.

    Returns
    -------
    list of (R_left_board, t_left_board_m)

    Raises
    ------
    UsageError
        When no pose shows the whole board to both cameras.
    """
    if count < 1:
        raise UsageError(f"board_views: count is {count}; it must be at least 1")
    rng = np.random.default_rng(seed)
    reached = np.zeros((2, *_COVERAGE_CELLS), np.int64)
    poses: list[tuple[Array, Array]] = []
    for number in range(count):
        R, t = _random_poses(rig.left, board, rng, number, tilt_deg)
        R, t = _wholly_seen(rig, board, R, t)
        if not len(R):
            raise UsageError(
                f"board_views: none of {_CANDIDATES} poses shows the whole board ({board.columns} x {board.rows} corners of"
                f" {board.square_m * 1000:g} mm) to both cameras; their views hardly overlap"
            )
        cells = _cells(rig, board, R, t)
        best = int(np.argmax((cells / (1.0 + 3.0 * reached)).sum((1, 2, 3))))
        poses.append((R[best], t[best]))
        reached += cells[best]
    return poses


def _random_poses(
    camera: Camera, board: Chessboard, rng: np.random.Generator, number: int, tilt_deg: float
) -> tuple[Array, Array]:
    """Candidates for one view: (M, 3, 3) and (M, 3)."""
    near = number % 3 == 0
    span = rng.uniform(0.55, 0.78, _CANDIDATES) if near else rng.uniform(0.3, 0.6, _CANDIDATES)  # share of the image
    side_m = board.square_m * max((board.columns + 1) * camera.height / camera.width, board.rows + 1)
    depth = camera.focal_y_px * side_m / (span * camera.height)
    azimuth = 2.0 * np.pi * (number * 0.381966 + rng.uniform(-0.1, 0.1, _CANDIDATES))  # the golden angle spreads the tilt axes
    tilt = np.radians(tilt_deg) * rng.uniform(0.5, 1.0, _CANDIDATES)
    roll = np.radians(rng.uniform(-15.0, 15.0, _CANDIDATES))
    R = np.stack(
        [
            rotation_from_vector([a * np.cos(b), a * np.sin(b), 0.0]) @ rotation_from_vector([0.0, 0.0, c])
            for a, b, c in zip(tilt, azimuth, roll, strict=True)
        ]
    )
    uv = rng.uniform(0.0, 1.0, (_CANDIDATES, 2)) * (np.array(camera.size) - 1.0)
    return R, depth[:, None] * camera.unproject(uv) - R @ board.corners_m.mean(0)


def _wholly_seen(rig: StereoRig, board: Chessboard, R: Array, t: Array) -> tuple[Array, Array]:
    """The candidates whose squares and a part of the rim lie inside both images."""
    outline = board.outline(min(_RIM_SEEN, board.border_squares)) @ R.transpose(0, 2, 1) + t[:, None]
    keep = np.ones(len(R), np.bool_)
    for camera, points in ((rig.left, outline), (rig.right, outline @ rig.R_right_left.T + rig.t_right_left_m)):
        uv = camera.project(points)
        keep &= ((uv >= 0.0) & (uv <= np.array(camera.size) - 1.0)).all((1, 2))  # False for NaN too
    return R[keep], t[keep]


def _cells(rig: StereoRig, board: Chessboard, R: Array, t: Array) -> NDArray[np.int64]:
    """(M, 2, 8, 6): 1 where a corner of candidate M falls into a cell of an image."""
    corners = board.corners_m @ R.transpose(0, 2, 1) + t[:, None]
    reached = np.zeros((len(R), 2, *_COVERAGE_CELLS), np.int64)
    sides = (rig.left, corners), (rig.right, corners @ rig.R_right_left.T + rig.t_right_left_m)
    for side, (camera, points) in enumerate(sides):
        cell = (camera.project(points) / np.array(camera.size) * np.array(_COVERAGE_CELLS)).astype(np.int64)
        reached[np.arange(len(R))[:, None], side, cell[..., 0], cell[..., 1]] = 1
    return reached


def _paste_board(light: Float32, rays: RayGrid, camera: Camera, R: Array, t: Array, board: Chessboard) -> None:
    """Draw the board over `light` (in place)."""
    window = _window(camera, board.outline(board.border_squares) @ R.T + t)
    if window is None:
        return
    x, y = rays.x[window], rays.y[window]
    inverse = np.linalg.inv(np.stack([R[:, 0], R[:, 1], t], -1)) / board.square_m  # (x, y, 1) -> (u, v in squares, 1 / depth)
    inverse[2] *= board.square_m

    def on_board(rx: Array, ry: Array) -> tuple[Array, Array, Array]:
        u, v, w = (row[0] * rx + row[1] * ry + row[2] for row in inverse)
        with np.errstate(divide="ignore", invalid="ignore"):
            return u / w, v / w, w

    u, v, w = on_board(x, y)
    x_u, x_v, y_u, y_v = rays.slopes[:, *window]
    reach_u, reach_v = (
        _reach(x_u, x_v, y_u, y_v, u, inverse[0], inverse[2], w),
        _reach(x_u, x_v, y_u, y_v, v, inverse[1], inverse[2], w),
    )
    tone, alpha = _tone(u, v, w, board)
    edges = np.flatnonzero((_line_distance(u, board.columns, board) < reach_u) | (_line_distance(v, board.rows, board) < reach_v))
    du, dv = rays.offsets.T
    ex = x.ravel()[edges, None] + x_u.ravel()[edges, None] * du + x_v.ravel()[edges, None] * dv
    ey = y.ravel()[edges, None] + y_u.ravel()[edges, None] * du + y_v.ravel()[edges, None] * dv
    fine_tone, fine_alpha = _tone(*on_board(ex, ey), board)
    tone.ravel()[edges], alpha.ravel()[edges] = fine_tone.mean(1), fine_alpha.mean(1)
    shade = _shade(x, y, w, R)
    light[window] = light[window] * (1.0 - alpha)[..., None] + (tone * shade)[..., None]


def _reach(x_u: Array, x_v: Array, y_u: Array, y_v: Array, value: Array, top: Array, bottom: Array, w: Array) -> Array:
    """How far a board coordinate (a ratio of two linear forms) may move within a pixel, with a small margin."""
    with np.errstate(divide="ignore", invalid="ignore"):
        by_x, by_y = (top[0] - value * bottom[0]) / w, (top[1] - value * bottom[1]) / w
    return np.asarray(1.05 * (np.abs(by_x * x_u + by_y * y_u) + np.abs(by_x * x_v + by_y * y_v)))


def _tone(u: Array, v: Array, w: Array, board: Chessboard) -> tuple[Array, Array]:
    """Brightness (0 off the board) and coverage (0 or 1) at board coordinates in squares; w > 0 is in front of the camera."""
    rim = board.border_squares
    with np.errstate(invalid="ignore", over="ignore"):
        paper = (w > 0.0) & (u >= -1.0 - rim) & (u <= board.columns + rim) & (v >= -1.0 - rim) & (v <= board.rows + rim)
        squares = (u >= -1.0) & (u < board.columns) & (v >= -1.0) & (v < board.rows)
        odd = (np.floor(np.nan_to_num(u)) + np.floor(np.nan_to_num(v))) % 2.0 != 0.0
    return np.where(paper, np.where(squares & ~odd, _BLACK, _WHITE), 0.0), paper.astype(np.float64)


def _line_distance(value: Array, count: int, board: Chessboard) -> Array:
    """Distance of a board coordinate to the nearest line of squares or edge of the paper, in squares."""
    with np.errstate(invalid="ignore"):
        lines = np.abs(value - np.clip(np.rint(value), -1.0, float(count)))
        edges = np.minimum(np.abs(value + 1.0 + board.border_squares), np.abs(value - count - board.border_squares))
    return np.asarray(np.minimum(lines, edges))


def _shade(x: Array, y: Array, w: Array, R: Array) -> Array:
    """Lambert's light of a lamp above and left of the camera, normalised to about 1 for a board that faces it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = 1.0 / w
    beam = np.stack([x * depth + 0.5, y * depth + 0.7, depth + 0.2])
    cosine = np.abs(np.tensordot(R[:, 2], beam, 1)) / np.sqrt((beam * beam).sum(0))
    return np.asarray(np.nan_to_num(0.5 + 0.5 * cosine))


def _window(camera: Camera, outline: Array) -> tuple[slice, slice] | None:
    """The part of the image that the outline's points span; all of it where some of them cannot be projected."""
    uv = camera.project(outline)
    if np.isnan(uv).any():
        return np.s_[0 : camera.height, 0 : camera.width]
    low = np.maximum(np.floor(uv.min(0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(uv.max(0)).astype(int) + 3, camera.size)
    return np.s_[low[1] : high[1], low[0] : high[0]] if (high > low).all() else None


def _backdrop(camera: Camera, rays: RayGrid) -> Float32:
    """Soft clouds, as of a wall out of focus."""
    points = np.nan_to_num(np.stack([rays.x.ravel(), rays.y.ravel()]))
    tone = 0.42 + 0.25 * octaves(points, 0.4, 0.05, seed=5)
    grey = tone.reshape(camera.height, camera.width, 1)
    return np.asarray(grey * np.array([1.0, 0.97, 0.92], np.float32), np.float32)
