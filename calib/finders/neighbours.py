"""Where points of a board must lie, from the points around them: a homography for each point, of its nearest neighbours.

Any lens is a homography over so small a part of the image, to a few tenths of a pixel.
"""

import numpy as np
from numpy.typing import NDArray

from calib.finders.markers import apply_homographies
from calib.geometry import Array

_NEIGHBOURS, _LEAST = 10, 6


def foretell(board: Array, known: NDArray[np.int64], known_uv: Array, asked: NDArray[np.int64], samples: Array) -> Array:
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
    samples : (N, S, 2) array
        Places on the board, near each of them.

    Returns
    -------
    (N, S, 2) array
        NaN where fewer than 6 neighbours are known, or they lie on a line.
    """
    if len(known) <= _LEAST or not len(asked):
        return np.full(samples.shape, np.nan)
    distance = np.linalg.norm(board[asked][:, None] - board[known][None], axis=-1)
    distance[asked[:, None] == known[None]] = np.inf
    nearest = np.argsort(distance, axis=1)[:, : min(_NEIGHBOURS, len(known) - 1)]
    middle = board[asked]
    source = board[known][nearest] - middle[:, None]
    goal = known_uv[nearest]
    size, centre, reach = np.abs(source).max((1, 2)), goal.mean(1), np.abs(goal - goal.mean(1, keepdims=True)).max((1, 2))
    size, reach = np.maximum(size, 1e-30), np.maximum(reach, 1e-30)
    x, y = np.moveaxis(source / size[:, None, None], -1, 0)
    u, v = np.moveaxis((goal - centre[:, None]) / reach[:, None, None], -1, 0)
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows = np.concatenate(
        [
            np.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1),
            np.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1),
        ],
        1,
    )
    right = np.concatenate([u, v], 1)
    normal = rows.transpose(0, 2, 1) @ rows
    values = np.linalg.eigvalsh(normal)
    solution = np.linalg.solve(normal + 1e-9 * np.eye(8), rows.transpose(0, 2, 1) @ right[..., None])[..., 0]
    H = np.concatenate([solution, np.ones((len(asked), 1))], 1).reshape(-1, 3, 3)
    mapped = apply_homographies(H, (samples - middle[:, None]) / size[:, None, None])
    mapped = mapped * reach[:, None, None] + centre[:, None]
    mapped[values[:, 0] < 1e-6] = np.nan
    return np.asarray(mapped)
