"""The errors that remain, view by view and corner by corner of the board."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.fit import Fit, Residuals
from calib.geometry import Array, frozen


@dataclass(frozen=True, slots=True, eq=False)
class ViewErrors:
    """One pair: what remains in each image."""

    name: str
    left_rms_px: float
    """of the kept corners, both axes together; NaN where none was kept"""
    right_rms_px: float
    left_kept: int
    right_kept: int
    left_rejected: int
    right_rejected: int


@dataclass(frozen=True, slots=True, eq=False)
class CornerErrors:
    """Each point of the board over all views of one camera."""

    counts: NDArray[np.int64]
    """(N,) kept observations"""
    rejected: NDArray[np.int64]
    """(N,)"""
    rms_px: Array
    """(N,) of the kept ones, both axes together; NaN for none"""
    mean_px: Array
    """(N, 2) mean error vector in the image; NaN for none"""


def view_errors(fit: Fit) -> tuple[ViewErrors, ...]:
    """One line for each pair of a fit, in its order."""
    rows = []
    for moment, name in enumerate(fit.names):
        here = [side.moment == moment for side in fit.sides]
        masks = list(zip(fit.sides, here, strict=True))
        left, right = (side.rms_px(mask & side.kept) for side, mask in masks)
        kept = [int((mask & side.kept).sum()) for side, mask in masks]
        out = [int((mask & ~side.kept).sum()) for side, mask in masks]
        rows.append(ViewErrors(name, left, right, *kept, *out))
    return tuple(rows)


def corner_errors(fit: Fit) -> tuple[CornerErrors, CornerErrors]:
    """The board's points as the left and as the right camera saw them."""
    left, right = (_corners(side, len(fit.board_m)) for side in fit.sides)
    return left, right


def point_rms_px(fit: Fit) -> Array:
    """(N,) of each of the board's points over all views of both cameras; NaN where it was never kept."""
    both = corner_errors(fit)
    counts = both[0].counts + both[1].counts
    square = sum(np.nan_to_num(side.rms_px) ** 2 * side.counts for side in both)
    return np.asarray(np.sqrt(square / np.where(counts > 0, counts, np.nan)))


def _corners(side: Residuals, count: int) -> CornerErrors:
    kept = side.kept & np.isfinite(side.error_px).all(-1)
    ids, error = side.ids[kept], side.error_px[kept]
    counts = np.bincount(ids, minlength=count)
    some = np.where(counts > 0, counts, np.nan)
    square = np.bincount(ids, (error * error).sum(-1), count)
    mean = np.stack([np.bincount(ids, error[:, axis], count) / some for axis in (0, 1)], -1)
    result = CornerErrors(counts, np.bincount(side.ids[~side.kept], minlength=count), np.sqrt(square / some), mean)
    for array in (result.counts, result.rejected, result.rms_px, result.mean_px):
        frozen(array)
    return result
