"""Sparse matches along rows: corners, small patches, mutual best, supported by their neighbours."""

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.rig import Mask
from stereo.kernels.planes import Bytes

Float32 = NDArray[np.float32]
Index = NDArray[np.intp]

_CELL_COUNT = 400
_SMALLEST_CELL_PX = 24
_CORNER_FLOOR = 2.0
"""smallest eigenvalue of the gradient matrix on a grey range of 255: below it a corner is sensor noise"""
_PATCH = np.arange(-8, 9, 2)
_BORDER = 9
_BLOCK = 64
_SHORT = 2**14
_SMALLEST_CORRELATION = 0.7
_RATIO = 0.8
_SUPPORTERS, _SUPPORTING_PART = 3, 0.1
"""neighbours that must agree with a match: their number, and their part of all neighbours"""
_SUPPORT_RADIUS_PX = 48


class Points(NamedTuple):
    """Corners in row-major order, their patches, and the smoothed image for more patches."""

    x: Index
    y: Index
    patches: Float32
    """(N, 81) without mean, of unit length: a dot product is the normalised cross-correlation"""
    smooth: Float32

    @classmethod
    def find(cls, image: Bytes, valid: Mask, size: tuple[int, int], per_cell: int) -> "Points":
        """Up to `per_cell` corners of each grid cell of the image, resized to `size` (width, height)."""
        grey, seen = _grey(image, valid, size)
        x, y = _corners(grey, seen, per_cell)
        smooth = np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.0), np.float32)
        return cls(x, y, _patches(smooth, x, y), smooth)


class Matches(NamedTuple):
    """Pairs of corners; `left` and `right` index the points."""

    left: Index
    right: Index
    x: Index
    y: Index
    disparity: Index
    row_offset: Index

    def take(self, chosen: NDArray[np.bool_]) -> "Matches":
        """Some of the matches."""
        return Matches(*(part[chosen] for part in self))


def _grey(image: Bytes, valid: Mask, size: tuple[int, int]) -> tuple[Float32, Mask]:
    """Shrunk to `size`, its 1st and 99th percentile at 0 and 255; and the pixels that hold data alone."""
    seen = valid
    if not seen.all():
        image = image.copy()
        image[~seen] = round(float(image[seen].mean())) if seen.any() else 0
    if size != image.shape[::-1]:
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        if not seen.all():
            seen = cv2.resize(seen.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999
        else:
            seen = np.ones(image.shape, np.bool_)
    sample = image[::3, ::3][seen[::3, ::3]]
    low, high = np.percentile(sample, [1.0, 99.0]) if sample.size else (0.0, 0.0)
    if not high > low:
        return np.zeros(image.shape, np.float32), seen
    return (image - np.float32(low)) * np.float32(255.0 / (high - low)), seen


def _corners(grey: Float32, seen: Mask, per_cell: int) -> tuple[Index, Index]:
    """The strongest corners of each grid cell whose patch lies in the image and on data, in row-major order."""
    height, width = grey.shape
    if min(height, width) <= 2 * _BORDER:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    strength = np.asarray(cv2.cornerMinEigenVal(grey, 5, ksize=3))
    if not seen.all():
        inside = cv2.erode(seen.astype(np.uint8), np.ones((2 * _BORDER + 1,) * 2, np.uint8))
        strength[inside == 0] = 0.0
    inner = np.zeros_like(seen)
    inner[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    peak = inner & (strength > _CORNER_FLOOR) & (strength == cv2.dilate(strength, np.ones((5, 5), np.uint8)))
    y, x = np.nonzero(peak)
    cell = max(_SMALLEST_CELL_PX, round(math.sqrt(height * width / _CELL_COUNT)))
    index = y // cell * (width // cell + 1) + x // cell
    order = np.lexsort((-strength[y, x], index))
    ordered = index[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    chosen = np.sort(order[rank < per_cell])
    return x[chosen], y[chosen]


def _patches(smooth: Float32, x: Index, y: Index) -> Float32:
    patch = smooth[(y[:, None] + _PATCH)[:, :, None], (x[:, None] + _PATCH)[:, None, :]].reshape(len(x), _PATCH.size**2)
    patch = patch - patch.mean(axis=1, keepdims=True)
    return np.asarray(patch / np.maximum(np.linalg.norm(patch, axis=1, keepdims=True), 1e-6), np.float32)


def match_corners(left: Points, right: Points, *, band: int, offset: int, step: int = 1) -> Matches:
    """Mutual best matches with |y_left - y_right - offset| <= band, clearly better than the second best of that band.

    With a `step` only every so many-th left point takes part.
    """
    chosen = np.arange(0, len(left.x), step)
    n, m = len(chosen), len(right.x)
    x, y, patches = left.x[chosen], left.y[chosen] - offset, left.patches[chosen]
    # Small integers: comparing them is most of the work beside the product.
    y_left, y_right, x_right = (_short(v) for v in (y, right.y, right.x))
    best, second = np.full(n, -2.0, np.float32), np.full(n, -2.0, np.float32)
    partner: Index = np.zeros(n, np.intp)
    best_back: Float32 = np.full(m, -2.0, np.float32)
    partner_back: Index = np.full(m, -1, np.intp)
    starts = np.arange(0, n, _BLOCK)
    ends = np.minimum(starts + _BLOCK, n)
    lows = np.searchsorted(right.y, y[starts] - band, "left")  # rows ascend, so a block of points meets a block of rows
    highs = np.searchsorted(right.y, y[ends - 1] + band, "right")
    for i, j, low, high in zip(starts.tolist(), ends.tolist(), lows.tolist(), highs.tolist(), strict=True):
        if low == high:
            continue
        correlation = patches[i:j] @ right.patches[low:high].T
        np.putmask(correlation, np.abs(y_left[i:j, None] - y_right[None, low:high]) > band, np.float32(-2.0))
        argument = correlation.argmax(axis=1)
        best[i:j], partner[i:j] = correlation[np.arange(j - i), argument], low + argument
        back = correlation.argmax(axis=0)
        value = correlation[back, np.arange(high - low)]
        better = value > best_back[low:high]
        best_back[low:high][better], partner_back[low:high][better] = value[better], i + back[better]
        near = np.abs(x_right[None, low:high] - x_right[low + argument][:, None]) <= 3
        np.putmask(correlation, near, np.float32(-2.0))
        second[i:j] = correlation.max(axis=1)
    good = (best > _SMALLEST_CORRELATION) & (1.0 - best < _RATIO * (1.0 - second))
    if m:
        good &= partner_back[partner] == np.arange(n)
    a = np.flatnonzero(good)
    b = partner[a]
    return Matches(chosen[a], b, x[a], left.y[chosen[a]], x[a] - right.x[b], left.y[chosen[a]] - right.y[b])


def _short(values: Index) -> NDArray[np.int32] | NDArray[np.int16]:
    """The same numbers in two bytes, where they and their differences fit."""
    fits = np.abs(values).max(initial=0) < _SHORT
    return values.astype(np.int16) if fits else values.astype(np.int32)


def supported(matches: Matches) -> Matches:
    """The matches with at least a few neighbours, and a part of them, on about the same disparity."""
    x, y, d = (part.astype(np.float32) for part in (matches.x, matches.y, matches.disparity))
    good = np.zeros(len(x), np.bool_)
    for i in range(0, len(x), 128):
        j = min(len(x), i + 128)
        low = int(np.searchsorted(y, y[i] - _SUPPORT_RADIUS_PX, "left"))
        high = int(np.searchsorted(y, y[j - 1] + _SUPPORT_RADIUS_PX, "right"))
        distance = np.hypot(x[i:j, None] - x[None, low:high], y[i:j, None] - y[None, low:high])
        near = distance <= _SUPPORT_RADIUS_PX
        # A surface may slant: a tenth of a pixel of disparity per pixel.
        agree = near & (np.abs(d[i:j, None] - d[None, low:high]) <= 2.0 + 0.1 * distance)
        others = agree.sum(axis=1) - 1
        good[i:j] = (others >= _SUPPORTERS) & (others >= _SUPPORTING_PART * (near.sum(axis=1) - 1))
    return matches.take(good)


def row_offsets(left: Points, right: Points, matches: Matches) -> NDArray[np.float64]:
    """y_left - y_right of each match, to a fraction of a pixel: the vertex of the correlation over three rows."""
    x, y = right.x[matches.right], right.y[matches.right]
    patch = left.patches[matches.left]
    # The rows above and below keep the patch inside: `_BORDER` is one more than its half height.
    above, here, below = (np.einsum("ij,ij->i", patch, _patches(right.smooth, x, y + dy)).astype(np.float64) for dy in (-1, 0, 1))
    bend = above - 2.0 * here + below
    vertex = np.where(bend < -1e-6, 0.5 * (above - below) / np.where(bend < -1e-6, bend, -1.0), 0.0)
    return np.asarray(matches.row_offset - np.clip(vertex, -1.0, 1.0))
