"""Byte planes from which the sweeps make the matching cost, and the penalties along image edges.

cost = Hamming(census 5x5) + min(15, Birchfield-Tomasi of the x-gradient), at most 39: sums of two paths fit in a byte. The census
(Zabih and Woodfill, ECCV 1994) survives any change of exposure; the gradient (OpenCV's prefilter: Sobel in x, clipped; here at
half scale) adds sub-pixel sense, compared over half-sample intervals (Birchfield and Tomasi, PAMI 1998).

The right image's planes are stored reversed in x and shifted by the first disparity, so that the candidates of a left pixel are
one contiguous load whatever the sign of the range.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stereo.kernels import compiled, inlined
from stereo.kernels.simd import LANES, bit_or, even_lanes, load8, odd_lanes, reverse, splat8, store8, where_less

CENSUS_PLANES = 3
"""24 bits of a 5 x 5 census"""
LEFT_PLANES, CENSUS_LEFT_PLANES = 7, 4
"""census (3), gradient, its lowest and highest half sample, valid (0 / 1); without gradient the census alone and valid"""
RIGHT_PLANES, CENSUS_RIGHT_PLANES = 8, 5
"""the same, but nodata (0 / 255) and what every cost starts from instead of valid"""
BIRCHFIELD_LIMIT = 15
"""truncation of the gradient cost, in units of 2 grey levels of the Sobel sum"""
NEUTRAL = 12
"""cost of a candidate without data: about that of a poor match, so that it neither attracts nor blocks a path"""
MAX_CENSUS = 8 * CENSUS_PLANES
MAX_COST = MAX_CENSUS + BIRCHFIELD_LIMIT
_CLIP = 31
_SCALE = 0.5
_GAIN_DEAD_BAND = 0.02
_GAIN_LIMIT = 3.0

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def gains(left_mean: float, right_mean: float) -> tuple[float, float]:
    """Factors that bring both gradients to one contrast, at half scale: 0.5 / sqrt(k) and 0.5 sqrt(k), k = left over right.

    k is kept within [1/3, 3]; sqrt(k) within 2 % of 1 is taken as 1, so that a crop of a pair gives the same bytes.
    """
    root = 1.0
    if min(left_mean, right_mean) > 0.0:
        root = float(np.clip(left_mean / right_mean, 1.0 / _GAIN_LIMIT, _GAIN_LIMIT)) ** 0.5
    if abs(root - 1.0) < _GAIN_DEAD_BAND:
        root = 1.0
    return _SCALE / root, _SCALE * root


def penalty_table(p1: int, p2: int, contrast: float) -> Bytes:
    """P2 by grey-level step: p1 + (p2 - p1) exp(-|dI| / contrast), 256 entries."""
    return np.rint(p1 + (p2 - p1) * np.exp(-np.arange(256) / contrast)).astype(np.uint8)


def fill_penalties(grey: Bytes, table: Bytes, out: Bytes, y_from: int, y_to: int) -> None:
    """P2 between a pixel and its neighbour to the left, above, above left and above right: rows of `out` (4, H + 1, W + 2).

    Each is stored at the lower (for the row: the right) pixel of the two; where one of the two lies outside it is the largest,
    `table[0]`.
    """
    height, width = grey.shape
    rows = slice(y_from, height + 1 if y_to == height else y_to)
    out[:, rows, width:] = table[0]
    out[0, rows, 0] = out[2, rows, 0] = out[3, rows, width - 1] = table[0]
    if y_from == 0:
        out[1:, 0] = table[0]
    if y_to == height:
        out[1:, height] = table[0]
    for k, (dy, dx) in enumerate(((0, -1), (-1, 0), (-1, -1), (-1, 1))):
        x0, x1 = max(0, -dx), width - max(0, dx)
        y0 = max(y_from, -dy)
        if y0 < y_to and x0 < x1:
            here, there = grey[y0:y_to, x0:x1], grey[y0 + dy : y_to + dy, x0 + dx : x1 + dx]
            out[k, y0:y_to, x0:x1] = cv2.LUT(cv2.absdiff(here, there), table)


@inlined
def _frame_row(grey: Any, valid: Any, all_valid: Any, y: Any, out: Any) -> None:
    """A row between frames of 2 px (and room for a whole vector); rows outside are all frame.

    Frame and nodata are 255, never darker than a centre, so that their census bit is 0.
    """
    height, width = grey.shape
    if y < 0 or y >= height:
        out[:] = np.uint8(255)
    else:
        out[:2] = np.uint8(255)
        out[width + 2 :] = np.uint8(255)
        for x in range(width):
            out[x + 2] = grey[y, x]
        if not all_valid:
            for x in range(width):
                out[x + 2] = grey[y, x] if valid[y, x] else np.uint8(255)


@inlined
def _census_row(rows: Any, y: Any, width: Any, planes: Any) -> None:
    """24 bits per pixel into three planes, which need room for whole vectors: up to 63 bytes past the width.

    `rows`: five framed rows, image row y in row y % 5.
    """
    stride = planes.shape[1]
    zero = splat8(0)
    frame_stride = rows.shape[1]
    for x in range(0, width, LANES):
        centre = load8(rows, y % 5 * frame_stride + x + 2)
        n = 0
        bits = zero
        for dy in range(5):
            for dx in range(5):
                if dy == 2 and dx == 2:
                    continue
                other = load8(rows, (y + dy + 3) % 5 * frame_stride + x + dx)
                bits = bit_or(bits, where_less(other, centre, splat8(1 << (n % 8)), zero))
                n += 1
                if n % 8 == 0:
                    store8(planes, (n // 8 - 1) * stride + x, bits)
                    bits = zero


@inlined
def _sobel_row(grey: Any, valid: Any, all_valid: Any, y: Any, out: Any) -> Any:
    """Sobel x-gradient of a row, 0 where one of the 3 x 3 neighbours has no data; returns how many pixels have them all."""
    height, width = grey.shape
    count = 0
    if y == 0 or y == height - 1:
        for x in range(width):
            out[x] = 0
    else:
        above, here, below = grey[y - 1], grey[y], grey[y + 1]
        out[0] = 0
        out[width - 1] = 0
        for x in range(1, width - 1):
            out[x] = np.int16(
                (np.int16(above[x + 1]) - np.int16(above[x - 1]))
                + np.int16(2) * (np.int16(here[x + 1]) - np.int16(here[x - 1]))
                + (np.int16(below[x + 1]) - np.int16(below[x - 1]))
            )
        count = width - 2
        if not all_valid:
            count = 0
            for x in range(1, width - 1):
                known = valid[y, x - 1] & valid[y, x] & valid[y, x + 1] & valid[y - 1, x - 1] & valid[y - 1, x]
                known = known & valid[y - 1, x + 1] & valid[y + 1, x - 1] & valid[y + 1, x] & valid[y + 1, x + 1]
                out[x] = out[x] if known else np.int16(0)
                count += 1 if known else 0
    return count


@compiled
def gradient_size(grey: Any, valid: Any, all_valid: Any, y_from: Any, y_to: Any) -> Any:
    """Sum of |x-gradient| over rows, and the number of pixels with data all around."""
    width = grey.shape[1]
    row = np.zeros(width, np.int16)
    total, count = 0, 0
    for y in range(y_from, y_to):
        count += _sobel_row(grey, valid, all_valid, y, row)
        part: Any = np.int32(0)
        for x in range(width):
            part += np.int32(abs(np.int32(row[x])))
        total += part
    return total, count


@inlined
def _gradient_row(signed: Any, gain: Any, width: Any, value: Any, low: Any, high: Any) -> None:
    """Bytes around 31, and the lowest and highest half sample around each.

    Half samples are rounded outwards, so that flipping the sign of the gradient flips the interval exactly.
    """
    padded = np.empty(width + 2, np.int32)
    padded[0] = _CLIP
    padded[width + 1] = _CLIP
    for x in range(width):
        g = int(np.rint(np.float32(signed[x]) * gain))
        padded[x + 1] = _CLIP + min(max(g, -_CLIP), _CLIP)
    for x in range(width):
        v = padded[x + 1]
        before = v + padded[x]
        after = v + padded[x + 2]
        value[x] = v
        low[x] = min(v, min(before >> 1, after >> 1))
        high[x] = max(v, max((before + 1) >> 1, (after + 1) >> 1))


@compiled
def pack_left(grey: Any, valid: Any, all_valid: Any, gain: Any, out: Any, y_from: Any, y_to: Any) -> Any:
    """Fill rows of the left planes, `out` (H, 7 or 4, W); True when any census bit is set.

    `gain` belongs to the gradient, which 4 planes, the census alone, are without.
    """
    planes, width = out.shape[1:]
    rows = np.empty((5, width + 4 + LANES), np.uint8)
    census = np.empty((CENSUS_PLANES, width + LANES), np.uint8)
    signed = np.empty(width, np.int16)
    seen = np.uint8(0)
    for y in range(y_from - 2, y_from + 2):
        _frame_row(grey, valid, all_valid, y, rows[y % 5])
    for y in range(y_from, y_to):
        _frame_row(grey, valid, all_valid, y + 2, rows[(y + 2) % 5])
        _census_row(rows, y, width, census)
        for k in range(CENSUS_PLANES):
            for x in range(width):
                out[y, k, x] = census[k, x]
                seen |= census[k, x]
        if planes == LEFT_PLANES:
            _sobel_row(grey, valid, all_valid, y, signed)
            _gradient_row(signed, gain, width, out[y, 3], out[y, 4], out[y, 5])
        flags = out[y, planes - 1]
        for x in range(width):
            flags[x] = np.uint8(1) if valid[y, x] else np.uint8(0)
    return seen != 0


@inlined
def _spread(line: Any, stride: Any, phases: Any, out: Any, o: Any) -> None:
    """out[o + (j % phases) stride + j // phases] = line[j] for j < phases stride; stride is a multiple of LANES."""
    if phases == 1:
        for i in range(0, stride, LANES):
            store8(out, o + i, load8(line, i))
    elif phases == 2:
        for i in range(0, stride, LANES):
            a, b = load8(line, 2 * i), load8(line, 2 * i + LANES)
            store8(out, o + i, even_lanes(a, b))
            store8(out, o + stride + i, odd_lanes(a, b))
    elif phases == 4:
        for i in range(0, stride, LANES):
            a, b = load8(line, 4 * i), load8(line, 4 * i + LANES)
            c, d = load8(line, 4 * i + 2 * LANES), load8(line, 4 * i + 3 * LANES)
            even, even2, odd, odd2 = even_lanes(a, b), even_lanes(c, d), odd_lanes(a, b), odd_lanes(c, d)
            store8(out, o + i, even_lanes(even, even2))
            store8(out, o + stride + i, even_lanes(odd, odd2))
            store8(out, o + 2 * stride + i, odd_lanes(even, even2))
            store8(out, o + 3 * stride + i, odd_lanes(odd, odd2))
    else:
        flat = out.reshape(-1)
        for phase in range(phases):
            for i in range(stride):
                flat[o + phase * stride + i] = line[i * phases + phase]


@compiled
def pack_right(
    grey: Any, valid: Any, all_valid: Any, gain: Any, minimum: Any, base: Any, out: Any, whole: Any, y_from: Any, y_to: Any
) -> Any:  # fmt: skip
    """Fill rows of the right planes, `out` (H, 8 or 5, phases, stride), reversed in x; True when any census bit is set.

    stride must be a multiple of LANES. Entry j stands at j // phases of phase j % phases and belongs to column
    W - 1 - minimum - j; outside the image it is nodata. A candidate without data costs `NEUTRAL`: its nodata plane takes the
    census bits away, its half samples span all gradients, and its cost starts from `base` + `NEUTRAL`.
    `whole` (H,) uint8: 1 where all of an image row is data.
    """
    width = valid.shape[1]
    planes, phases, stride = out.shape[1:]
    count = phases * stride
    row = np.empty((RIGHT_PLANES, width + 2 * LANES), np.uint8)  # a vector's room on both sides
    shifted = row[:, LANES:]
    census = np.empty((CENSUS_PLANES, width + LANES), np.uint8)
    line = np.empty(count + 2 * LANES, np.uint8)
    column0 = width - 1 - minimum
    j0 = min(max(column0 - (width - 1), 0), count)
    j1 = max(min(column0 + 1, count), j0)
    last = column0 - j0  # the column of entry j0
    rows = np.empty((5, width + 4 + LANES), np.uint8)
    signed = np.empty(width, np.int16)
    seen = np.uint8(0)
    for y in range(y_from - 2, y_from + 2):
        _frame_row(grey, valid, all_valid, y, rows[y % 5])
    for y in range(y_from, y_to):
        _frame_row(grey, valid, all_valid, y + 2, rows[(y + 2) % 5])
        _census_row(rows, y, width, census)
        for k in range(CENSUS_PLANES):
            for x in range(width):
                shifted[k, x] = census[k, x]
                seen |= census[k, x]
        if planes == RIGHT_PLANES:
            _sobel_row(grey, valid, all_valid, y, signed)
            _gradient_row(signed, gain, width, shifted[3], shifted[4], shifted[5])
            for x in range(width):
                if not valid[y, x]:
                    shifted[4, x] = np.uint8(0)
                    shifted[5, x] = np.uint8(255)
        missing = 0
        for x in range(width):
            missing += 0 if valid[y, x] else 1
            shifted[planes - 2, x] = np.uint8(0) if valid[y, x] else np.uint8(255)
            shifted[planes - 1, x] = np.uint8(base) if valid[y, x] else np.uint8(base + NEUTRAL)
        whole[y] = missing == 0
        for k in range(planes):
            blank = np.uint8(0)
            if k == planes - 2 or (k == 5 and planes == RIGHT_PLANES):
                blank = np.uint8(255)
            elif k == planes - 1:
                blank = np.uint8(base + NEUTRAL)
            o = k * (width + 2 * LANES) + LANES + last - (LANES - 1)
            for i in range(0, j1 - j0, LANES):
                store8(line, j0 + i, reverse(load8(row, o - i)))
            line[:j0] = blank
            line[j1:] = blank
            _spread(line, stride, phases, out, (y * planes + k) * count)
    return seen != 0
