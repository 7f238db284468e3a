"""Corners of a chessboard in one image: how large a window may be, sub-pixel refinement, and whether they are corners at all.

A grid is an array (rows, columns, 2) of pixels, row by row as in `Target.object_points`.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.geometry import Array

Float32 = NDArray[np.float32]

_BLUR_PX = 0.8
"""smoothing before the gradients are taken; on real and rendered boards it lowers the corner noise by 5 to 20 percent"""
_INSIDE_SHARE, _EDGE_SHARE = 0.5, 0.4
"""half window as a share of the distance to the next line; less at the outer corners, for many boards end in half squares"""
_WINDOW_PX = (3, 30)  # smaller ones do not converge well ...
_TINY_ROOM_PX = 6.0  # ... but must do where the next line is nearer than this
_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-4)
_FARTHEST_MOVE = 0.25  # of a square
_QUADRANT = 0.25  # of a square: inside half squares too
_LEAST_SADDLE = 0.25
_MOST_BAD_CORNERS = 0.1
_BOARD_GOES_ON = 0.8


def smooth(grey: NDArray[np.generic]) -> Float32:
    """The image of `finite`, blurred a little: what the functions here expect."""
    return np.asarray(cv2.GaussianBlur(finite(grey), (0, 0), _BLUR_PX), np.float32)


def finite(grey: NDArray[np.generic]) -> Float32:
    """The image as float32, NaN and infinity replaced by its darkest value."""
    image = np.array(grey, np.float32)
    good = np.isfinite(image)
    if not good.all():
        image[~good] = image[good].min(initial=np.inf) if good.any() else 0.0
    return image


def windows_px(grid: Array) -> NDArray[np.int64]:
    """Half size of the square window in which each corner may be refined, from the local squares.

    The window must not reach the next line of the board. A line at distance h with unit normal n enters a window of half size w
    when w (|n_x| + |n_y|) >= h. In steps a, b to the neighbours: h = |a x b| / |b| for the line along b.

    Parameters
    ----------
    grid : (rows, columns, 2) array

    Returns
    -------
    (rows, columns) int array, 2 to 30 px
    """
    rows, columns = grid.shape[:2]
    across, down = np.diff(grid, axis=1), np.diff(grid, axis=0)
    room = np.full((rows, columns), np.inf)
    for i in (slice(None, -1), slice(1, None)):
        for j in (slice(None, -1), slice(1, None)):
            a, b = np.full_like(grid, np.nan), np.full_like(grid, np.nan)
            a[:, i], b[j] = across, down
            area = np.abs(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
            room = np.fmin(room, area / np.maximum(np.abs(a).sum(-1), np.abs(b).sum(-1)))
    share = np.full((rows, columns), _INSIDE_SHARE)
    share[[0, -1]] = share[:, [0, -1]] = _EDGE_SHARE
    least = np.where(room < _TINY_ROOM_PX, _WINDOW_PX[0] - 1, _WINDOW_PX[0])
    return np.asarray(np.clip(room * share, least, _WINDOW_PX[1]), np.int64)


def refine(image: Float32, grid: Array) -> Array:
    """Corners to a few hundredths of a pixel (Foerstner's corner: where all gradients are perpendicular to the ray from it).

    Measured on rendered photos (0.5 to 1.5 px of blur, noise, JPEG): 0.03 to 0.08 px rms, where OpenCV's detectors alone give
    0.1 to 0.2 px and a fixed window of 11 px up to 3 px. A corner that wanders off by a quarter of a square stays where it was.

    Parameters
    ----------
    image : (H, W) float32 array, of `smooth`
    grid : (rows, columns, 2) array, px

    Returns
    -------
    (rows, columns, 2) array, px
    """
    windows = windows_px(grid)
    refined = grid.copy()
    for window in np.unique(windows):
        chosen = windows == window
        start = np.ascontiguousarray(grid[chosen], np.float32)
        size = (int(window), int(window))
        refined[chosen] = cv2.cornerSubPix(image, start, size, (-1, -1), _CRITERIA).reshape(-1, 2)
    moved = np.linalg.norm(refined - grid, axis=-1)
    limit = np.maximum(_FARTHEST_MOVE * _steps(grid), 1.5)
    return np.where((moved < limit)[..., None], refined, grid)


def saddles(image: Float32, grid: Array) -> tuple[Array, bool]:
    """How much each point looks like a corner of a chessboard: two dark quadrants across, two bright ones, colours alternating.

    Parameters
    ----------
    image : (H, W) float32 array, of `smooth`
    grid : (rows, columns, 2) array, px

    Returns
    -------
    strength : (rows, columns) array
        (darker of the bright quadrants - brighter of the dark ones) / (brightest - darkest): about 1 at a corner of the grid,
        0 or less elsewhere.
    dark_first : bool
        Whether the quadrant right below the first corner is dark.
    """
    light = _quadrants(image, grid)
    span = np.maximum(np.ptp(light, axis=0), 1e-30)
    dark = (light[2:].min(0) - light[:2].max(0)) / span  # if the quadrant right below is dark
    bright = (light[:2].min(0) - light[2:].max(0)) / span
    i, j = np.indices(grid.shape[:2])
    even = (i + j) % 2 == 0
    dark_first, bright_first = np.where(even, dark, bright), np.where(even, bright, dark)
    is_dark = bool(np.median(dark_first) >= np.median(bright_first))
    return (dark_first if is_dark else bright_first), is_dark


def is_board(image: Float32, grid: Array) -> bool:
    """True when the points are corners of a chessboard, in every row and column: detectors may add a row that is not there."""
    good = saddles(image, grid)[0] > _LEAST_SADDLE
    return bool((~good).mean() <= _MOST_BAD_CORNERS and good.mean(0).min() > 0.5 and good.mean(1).min() > 0.5)


def goes_on(image: Float32, grid: Array) -> bool:
    """True when the board has another row or column of corners beyond the grid: the given size is too small."""
    last = np.array([image.shape[1], image.shape[0]]) - 1.0
    for turn in range(4):
        turned = np.rot90(grid, turn)
        beyond = 3.0 * turned[0] - 3.0 * turned[1] + turned[2]
        wide = np.concatenate([beyond[None], turned])
        margin = _QUADRANT * 2.0 * np.abs(wide[0] - wide[1]).max()
        if not ((beyond >= margin) & (beyond <= last - margin)).all():
            continue
        light = _quadrants(image, wide)
        contrast = np.abs(light[:2].sum(0) - light[2:].sum(0)).mean(1)
        alike = saddles(image, wide)[0][0] > _LEAST_SADDLE
        if alike.mean() >= _BOARD_GOES_ON and contrast[0] > 0.5 * contrast[1]:
            return True
    return False


def first_corner_first(image: Float32, grid: Array) -> Array:
    """The grid read so that x, y and the view axis are right-handed and, where colours can tell, a dark square follows the first
    corner (right below it). Detectors differ in this; boards that look the same after a turn stay as they are.
    """
    rows, columns = grid.shape[:2]
    a, b = np.gradient(grid, axis=1), np.gradient(grid, axis=0)
    if np.median(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]) < 0.0:
        grid = grid[:, ::-1]
    if not saddles(image, grid)[1]:
        if (rows + columns) % 2:
            grid = grid[::-1, ::-1]
        elif rows == columns and rows % 2:
            grid = np.rot90(grid)
    return np.ascontiguousarray(grid)


def _steps(grid: Array) -> Array:
    """(rows, columns) the shorter of the mean distances to the neighbours in a row and in a column, px."""
    across, down = np.linalg.norm(np.gradient(grid, axis=1), axis=-1), np.linalg.norm(np.gradient(grid, axis=0), axis=-1)
    return np.asarray(np.minimum(across, down))


def _quadrants(image: Float32, grid: Array) -> Array:
    """(4, rows, columns) light right below, left above, right above and left below each point."""
    a, b = np.gradient(grid, axis=1) * _QUADRANT, np.gradient(grid, axis=0) * _QUADRANT
    places = np.stack([grid + a + b, grid - a - b, grid + a - b, grid - a + b]).astype(np.float32)
    light = [cv2.remap(image, p[..., 0], p[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for p in places]
    return np.asarray(light, np.float64)
