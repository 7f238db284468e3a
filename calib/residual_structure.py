"""Is there anything left in the errors that the model could have explained? A lens of another shape, or a board that is not flat.

Corner errors of a right model are noise. Here smooth patterns are offered to them that the model does not have: shifts that vary
over the image, one pattern for each camera (a lens model that is too simple), and displacements that vary over the board, the
same in all views (a board that is bent or misprinted). What the poses and the rig's own numbers can imitate is taken out of the
patterns first, so that the drop of the squared errors, over its count of free numbers, follows Fisher's F distribution when the
errors are noise: Rao's score test in its exact form for least squares (Seber, Lee: "Linear Regression Analysis", 2003, ch. 4).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.fit import Fit
from calib.geometry import Array
from calib.sensitivity import free_directions, motion

_IMAGE_NODES = (6, 5)  # of the grid of a pattern over an image
_BOARD_NODES = (5, 4)
_LEAST_LEFT = 1e-3  # share of a pattern that poses and rig must leave of it
_LEAST_FREEDOM = 30  # equations beyond the unknowns, below which nothing is said


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """One pattern's share of the errors that remain."""

    what: str
    """"left lens" | "right lens" | "board" """
    p_value: float
    """probability of a pattern as strong in mere noise; NaN where there are too few corners to say"""
    z: float
    """the same as standard deviations of a normal distribution: noise lies below 3"""
    rms_px: float
    """size of the pattern in the corners of that camera (both for the board) without what noise feigns, px, both axes together"""

    @property
    def is_clear(self) -> bool:
        """Beyond chance: p below one in 10 000."""
        return self.p_value < 1e-4


@dataclass(slots=True)
class _Sums:
    """Normal equations of the candidate patterns X and the rig's directions N, every pose taken out."""

    xx: Array
    xn: Array
    nn: Array
    xe: Array
    ne: Array
    ee: float = 0.0
    rows: int = 0


def structures(fit: Fit) -> tuple[Structure, Structure, Structure]:
    """Patterns in the errors of a fit: of the left lens, of the right lens, of the board.

    Parameters
    ----------
    fit : Fit
        Its kept corners are looked at.

    Returns
    -------
    tuple of Structure
        p-values are uniform on [0, 1] where the errors are normal noise of the stated ratios.
    """
    blocks = list(_views(fit))
    shapes = [2 * int(np.prod(_IMAGE_NODES))] * 2 + [3 * int(np.prod(_BOARD_NODES))]
    starts = np.concatenate([[0], np.cumsum(shapes)])
    sums = _accumulate(blocks)
    found = []
    for i, what in enumerate(("left lens", "right lens", "board")):
        corners = [int(side.kept.sum()) for side in fit.sides]
        found.append(_test(what, sums, slice(starts[i], starts[i + 1]), 6 * len(blocks), fit, (*corners, sum(corners))[i]))
    return found[0], found[1], found[2]


def _views(fit: Fit) -> Iterator[tuple[Array, Array, Array, Array]]:
    """For each view: patterns (rows, m), the rig's free directions (rows, F), pose (rows, 6) and errors (rows,), in sigmas."""
    free = free_directions(fit.rig)
    free = free / np.maximum(np.linalg.norm(free, axis=0), 1e-300)
    place = _hats(fit.board_m[:, :2], fit.board_m[:, :2].min(0), fit.board_m[:, :2].max(0), _BOARD_NODES)
    warp = _warps(fit)
    lens = 2 * int(np.prod(_IMAGE_NODES))
    for moment, pose in enumerate(fit.poses):
        parts = []
        for number, (side, camera) in enumerate(zip(fit.sides, (fit.rig.left, fit.rig.right), strict=True)):
            mask = side.kept & (side.moment == moment) & np.isfinite(side.error_px).all(-1)
            if pose is None or not mask.any():
                continue
            R, t = pose
            ids = side.ids[mask]
            moved = motion(fit.rig, number, fit.board_m[ids] @ R.T, t)
            by_board = moved.by_point @ R
            hats = _hats(side.seen_uv[mask] - side.error_px[mask], np.zeros(2), np.array(camera.size) - 1.0, _IMAGE_NODES)
            patterns = np.zeros((len(ids), 2, 2 * lens + 3 * place.shape[1]))
            patterns[:, 0, number * lens : number * lens + lens // 2] = hats
            patterns[:, 1, number * lens + lens // 2 : (number + 1) * lens] = hats
            patterns[:, :, 2 * lens :] = (by_board[:, :, :, None] * place[ids][:, None, None, :]).reshape(len(ids), 2, -1)
            rig = np.concatenate([moved.by_rig @ free, by_board[:, :, 2:] * warp[ids][:, None]], -1)
            weight = 1.0 / side.sigma_px[mask][:, None, None]
            blocks = (patterns, rig, moved.by_pose, side.error_px[mask][..., None])
            parts.append([(block * weight).reshape(2 * len(ids), -1) for block in blocks])
        if parts:
            patterns, rig, by_pose, error = (np.concatenate(part) for part in zip(*parts, strict=True))
            if len(error) > by_pose.shape[1]:
                yield patterns, rig, by_pose, error[:, 0]


def _accumulate(blocks: list[tuple[Array, Array, Array, Array]]) -> _Sums:
    m, n = (blocks[0][i].shape[1] for i in (0, 1)) if blocks else (0, 0)
    sums = _Sums(np.zeros((m, m)), np.zeros((m, n)), np.zeros((n, n)), np.zeros(m), np.zeros(n))
    for patterns, rig, by_pose, error in blocks:
        q, _ = np.linalg.qr(by_pose)
        x, n_, e = (block - q @ (q.T @ block) for block in (patterns, rig, error))
        sums.xx += x.T @ x
        sums.xn += x.T @ n_
        sums.nn += n_.T @ n_
        sums.xe += x.T @ e
        sums.ne += n_.T @ e
        sums.ee += float(e @ e)
        sums.rows += len(e)
    return sums


def _test(what: str, sums: _Sums, chosen: slice, pose_count: int, fit: Fit, corners: int) -> Structure:
    from scipy.special import betainc, ndtri  # scipy.stats has the same, but takes a second to load

    unknown = Structure(what, float("nan"), float("nan"), float("nan"))
    if not sums.rows:
        return unknown
    scale = np.sqrt(np.diag(sums.nn))
    scale = np.where(scale > 0.0, scale, 1.0)
    nn, xn, ne = sums.nn / np.outer(scale, scale), sums.xn[chosen] / scale, sums.ne / scale
    inverse = np.linalg.pinv(nn, rcond=1e-13, hermitian=True)
    own = np.diag(sums.xx)[chosen]
    used = own > 1e-9 * own.max(initial=0.0)
    left = sums.xx[chosen, chosen] - xn @ inverse @ xn.T
    gradient = sums.xe[chosen] - xn @ inverse @ ne
    size = np.sqrt(own[used])
    values, vectors = np.linalg.eigh(left[np.ix_(used, used)] / np.outer(size, size))
    strong = values > _LEAST_LEFT
    freedom = int(strong.sum())
    rest = sums.rows - pose_count - int(np.linalg.matrix_rank(nn, tol=1e-13, hermitian=True)) - freedom
    if rest < _LEAST_FREEDOM or not freedom:
        return unknown
    gain = float((((vectors[:, strong].T @ (gradient[used] / size)) ** 2) / values[strong]).sum())
    remaining = max(sums.ee - float(ne @ inverse @ ne) - gain, 1e-300)
    variance = remaining / rest
    ratio = gain / freedom / variance
    p = float(betainc(0.5 * rest, 0.5 * freedom, rest / (rest + freedom * ratio)))  # of Fisher's F
    z = float(-ndtri(max(p, 1e-300)))
    sigma_px = float(np.mean(np.concatenate([side.sigma_px[side.kept] for side in fit.sides])))
    return Structure(what, p, z, float(np.sqrt(max(gain - freedom * variance, 0.0) / corners)) * sigma_px)


def _hats(xy: Array, low: Array, high: Array, nodes: tuple[int, int]) -> Array:
    """(K, columns * rows) bilinear hats of a grid over a rectangle: each point lies between four nodes, weights add up to 1."""
    place = np.clip((xy - low) / np.maximum(high - low, 1e-300), 0.0, 1.0) * (np.array(nodes) - 1)
    first: NDArray[np.int64] = np.minimum(place.astype(np.int64), np.array(nodes) - 2)
    share = place - first
    result = np.zeros((len(xy), nodes[1], nodes[0]))
    row = np.arange(len(xy))
    for dx in (0, 1):
        for dy in (0, 1):
            weight = np.abs(1 - dx - share[:, 0]) * np.abs(1 - dy - share[:, 1])
            result[row, first[:, 1] + dy, first[:, 0] + dx] = weight
    return result.reshape(len(xy), -1)


def _warps(fit: Fit) -> Array:
    """(N, 0 or 2) how the board's points rise with the bow that the fit has estimated."""
    if not np.any(fit.warp_m):
        return np.zeros((len(fit.board_m), 0))
    low, high = fit.board_m[:, :2].min(0), fit.board_m[:, :2].max(0)
    uv = (2.0 * fit.board_m[:, :2] - low - high) / np.maximum(high - low, 1e-300)
    return np.asarray(1.0 - uv * uv)
