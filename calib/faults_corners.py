"""Faults that show in one camera's own errors: in its corners, its lens, its board."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.faults_evidence import Seen, Side, inverse_of
from calib.geometry import Array
from calib.target import Target

_CELLS = np.array([8, 6])
ROW_LIMIT = 80.0  # chi square of 2 degrees of freedom; noise stays below 25, errors of lens and detector below 50
_ROW_SIGMAS = 4.0  # least shift, in units of the corners' noise
_ROW_REST = 1.7  # what may remain in that view, per degree of freedom
_NEIGHBOURS_SIGMAS, _LEAST_NEIGHBOURS = 6.0, 4


@dataclass(frozen=True, slots=True)
class Row:
    """A row or column of corners that lies apart from its board."""

    moment: int
    line: str
    """ "row 3" or "column 1", counted from 1"""
    shift_px: float
    chi2: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """Corners next to each other that miss together."""

    moments: tuple[int, ...]
    corners: int
    sigmas: float
    """more pairs of neighbours than chance would make"""


def lens_pattern(side: Side) -> tuple[float, float]:
    """(share, px): how much of the errors' squares is a pattern fixed in the image, and its size; noise gives about 0.

    The share is the coefficient of determination of 8 x 6 cells' means, adjusted for the number of cells.
    """
    uv = np.concatenate([view.uv[view.good] for view in side.views.values()])
    error = np.concatenate([view.error_px[view.good] for view in side.views.values()])
    cell = np.clip(uv / np.array(side.camera.size) * _CELLS, 0, _CELLS - 1).astype(np.int64)
    index = cell[:, 0] * _CELLS[1] + cell[:, 1]
    count = np.bincount(index, minlength=48)
    sums = np.stack([np.bincount(index, weights=error[:, k], minlength=48) for k in (0, 1)], -1)
    explained = float(((sums * sums).sum(1) / np.maximum(count, 1)).sum())
    total, filled, n = float((error * error).sum()), int((count > 0).sum()), len(error)
    if n <= 3 * filled or total <= 0.0:
        return 0.0, 0.0
    share = 1.0 - (1.0 - explained / total) * (n - 1.0) / (n - filled)
    return share, float(np.sqrt(max(share, 0.0) * total / n))


def parity_pattern(side: Side, target: Target) -> tuple[float, float, float]:
    """(share, sigmas, px): errors along x that change sign from row to row, of the image or of the board; and their size."""
    best = (0.0, 0.0, 0.0)
    for of_board in (False, True):
        if of_board and target.shape is None:
            continue
        gain = total = 0.0
        sizes = []
        for view in side.views.values():
            row = (
                view.ids // target.shape[1] if of_board and target.shape is not None else np.rint(view.uv[:, 1]).astype(np.int64)
            )
            column = np.zeros((2 * len(view.ids), 1))
            column[0::2, 0] = np.where(row % 2 == 1, 0.5, -0.5)
            g, weight, rest = _gain(view, column)
            gain, total = gain + float(g @ g / weight[0, 0]), total + rest
            sizes.append(abs(float(g[0] / weight[0, 0])))
        chance = len(sizes)
        noise2 = max((total - gain) / max(sum(2 * len(v.ids) - 7 for v in side.views.values()), 1), 1e-12)
        sigmas = (gain / noise2 - chance) / np.sqrt(2.0 * chance)
        if gain / max(total, 1e-12) > best[0]:
            best = (gain / max(total, 1e-12), float(sigmas), float(np.median(sizes)))
    return best


def shifted_rows(side: Side, target: Target) -> list[Row]:
    """Views in which one row or column of corners is moved as a whole while the others are fine."""
    if target.shape is None:
        return []
    found = []
    for view in side.views.values():
        lines = [(f"row {k + 1}", view.ids // target.shape[1] == k) for k in range(target.shape[0])]
        lines += [(f"column {k + 1}", view.ids % target.shape[1] == k) for k in range(target.shape[1])]
        lines = [(name, members) for name, members in lines if 3 <= members.sum() <= len(view.ids) - 6]
        if not lines:
            continue
        noise2, best = side.noise_px**2, None
        columns = np.zeros((len(view.ids), 2, len(lines), 2))
        columns[:, 0, :, 0] = columns[:, 1, :, 1] = np.stack([members for _, members in lines], -1)
        g, weight, total = _gain(view, columns.reshape(2 * len(view.ids), -1))
        for k, (name, _) in enumerate(lines):
            here = slice(2 * k, 2 * k + 2)
            shift = inverse_of(weight[here, here]) @ g[here]
            gain = float(g[here] @ shift)
            rest = (total - gain) / max(2 * len(view.ids) - 8, 1)
            is_far = float(np.linalg.norm(shift)) > _ROW_SIGMAS * side.noise_px
            if is_far and gain > ROW_LIMIT * noise2 and rest < _ROW_REST * noise2 and (best is None or gain > best.chi2 * noise2):
                best = Row(view.moment, name, float(np.linalg.norm(shift)), gain / noise2)
        found += [] if best is None else [best]
    return found


def clustered_outliers(side: Side, target: Target) -> Cluster | None:
    """Outliers that lie next to each other on the board more often than chance has it."""
    if target.shape is None:
        return None
    seen, expected, corners = 0, 0.0, 0
    moments = []
    for view in side.views.values():
        wrong = np.zeros(target.shape[0] * target.shape[1], np.bool_)
        there = wrong.copy()
        there[view.ids] = True
        wrong[view.ids[_misses(view, side.noise_px)]] = True
        k, n = int(wrong.sum()), int(there.sum())
        if k < 2:
            continue
        edges, together = _neighbours(there.reshape(target.shape)), _neighbours(wrong.reshape(target.shape))
        expected += edges * k * (k - 1.0) / (n * (n - 1.0))
        seen += together
        corners += k
        if together >= 2:
            moments.append(view.moment)
    sigmas = (seen - expected) / np.sqrt(max(expected, 0.5))
    if seen < _LEAST_NEIGHBOURS or sigmas < _NEIGHBOURS_SIGMAS or not moments:
        return None
    return Cluster(tuple(moments), corners, float(sigmas))


def _misses(view: Seen, noise_px: float) -> NDArray[np.bool_]:
    """Outliers, and what stands at 3 sigmas beside them."""
    return np.asarray(np.abs(view.error_px).max(1) > 3.5 * noise_px)


def _neighbours(grid: NDArray[np.bool_]) -> int:
    return int((grid[1:] & grid[:-1]).sum() + (grid[:, 1:] & grid[:, :-1]).sum())


def _gain(view: Seen, column: Array) -> tuple[Array, Array, float]:
    """Gradient and information of some pattern (2n, k) and the sum of squares, with the pose free; of all corners."""
    p, e = view.by_pose, view.error_px.ravel()
    inverse = inverse_of(p.T @ p)
    e = e - p @ (inverse @ (p.T @ e))
    free = column - p @ (inverse @ (p.T @ column))
    return free.T @ e, free.T @ free, float(e @ e)
