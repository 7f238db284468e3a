"""Where points of a board must lie, from the points around them: for each point a quadratic through its nearest neighbours.

It follows perspective and the bend of any lens to a few hundredths of a square inside the board, and a tenth at its rim.
"""

import numpy as np
from numpy.typing import NDArray

from calib.geometry import Array

_NEIGHBOURS, _LEAST, _LEAST_FOR_BEND = 14, 5, 9


def foretell(board: Array, known: NDArray[np.int64], known_uv: Array, asked: NDArray[np.int64]) -> tuple[Array, Array]:
    """Pixels of points on the board from those that are known; a point does not foretell itself.

    Parameters
    ----------
    board : (K, 2) array
        All points of the board.
    known : (M,) int array
        Which of them are known.
    known_uv : (M, 2) array
        Where they are, px.
    asked : (N,) int array
        Which are asked for.

    Returns
    -------
    uv : (N, 2) array
        px
    bend : (N, 2, 2) array
        Their derivatives by x and y of the board; both are NaN where fewer than 5 other points are known, or they lie on a line.
    """
    result, bend = np.full((len(asked), 2), np.nan), np.full((len(asked), 2, 2), np.nan)
    if len(known) <= _LEAST or not len(asked):
        return result, bend
    distance = np.linalg.norm(board[asked][:, None] - board[known][None], axis=-1)
    distance[asked[:, None] == known[None]] = np.inf
    nearest = np.argsort(distance, axis=1)[:, : min(_NEIGHBOURS, len(known) - 1)]
    away = np.take_along_axis(distance, nearest, axis=1)
    unit = np.maximum(away[:, :4].mean(1), 1e-30)
    weight = np.where(np.isfinite(away), 1.0 / (1.0 + (away / unit[:, None]) ** 2), 0.0)
    # Where few are known, or all of them on two lines, a plane must do.
    for terms in (3, 6):
        if nearest.shape[1] < (_LEAST_FOR_BEND if terms == 6 else _LEAST):
            continue
        rows = quadratic((board[known][nearest] - board[asked][:, None]) / unit[:, None, None])[..., :terms] * weight[..., None]
        sharpness = np.linalg.svd(rows, compute_uv=False)
        sound = sharpness[:, -1] > 0.02 * sharpness[:, 0]
        goal = known_uv[nearest[sound]] * weight[sound][..., None]
        solved = np.linalg.pinv(rows[sound]) @ goal
        result[sound], bend[sound] = solved[:, 0], solved[:, 1:3] / unit[sound, None, None]
    return result, bend


def quadratic(places: Array) -> Array:
    """(..., 6) terms 1, x, y, x^2, xy, y^2 of places (..., 2)."""
    x, y = places[..., 0], places[..., 1]
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)
