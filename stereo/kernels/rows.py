"""Vertical residual of a pair: what each matched pixel says about it, the sums over them, and the resampling that undoes it."""

from typing import Any

import numpy as np

from stereo.kernels import compiled, inlined
from stereo.kernels.simd import FLOAT_LANES, add_f, divide_f, load_f, multiply_f, splat_f, store_f, subtract_f

EVIDENCE = 4
"""per pixel: brightness difference, its change per px downwards, column in the right image, weight"""
SUMS = 9
"""per row: w g^2 u^k for k = 0 ... 4, w g r u^k for k = 0 ... 2, w e^2"""
BINS, BINS_PER_LEVEL = 1024, 8
"""histogram of absolute differences: grey levels x 8, the last bin holds all larger ones"""
_RUN = 32
"""columns looked at together"""


@compiled
def collect(
    left: Any,
    right: Any,
    left_x: Any,
    left_y: Any,
    right_x: Any,
    right_y: Any,
    left_known: Any,
    right_known: Any,
    disparity: Any,
    smallest: Any,
    evidence: Any,
    count: Any,
    y_from: Any,
    y_to: Any,
) -> None:
    """What the matched pixels of rows `y_from` ... `y_to` - 1 say about v in L(x, y) = R(x - d, y + v).

    left, right: float32 (H, W), band-passed; *_x, *_y: 8 times their derivatives; *_known: neighbourhoods wholly of data;
    disparity: NaN without a match. The right image is interpolated along its row (Keys' cubic with a = -1/2; derivatives
    linearly). Pixels with a vertical derivative of at most `smallest` are left out. The weight gy^2 / (gy^2 + gx^2) is what
    remains of a pixel's say when its disparity must be found as well: a matcher moves along a slanted edge to hide v.
    evidence: (4, H, stride), stride a multiple of 16; each row is closed with zeros; count (H,).
    """
    width = left.shape[1]
    one, two, four, five = np.float32(1), np.float32(2), np.float32(4), np.float32(5)
    three, half, scale = np.float32(3), np.float32(0.5), np.float32(1.0 / 16.0)
    for y in range(y_from, y_to):
        n = 0
        row = right[y]
        for x in range(width):
            d = disparity[y, x]
            if not (d == d and left_known[y, x]):
                continue
            x_right = np.float32(x) - d
            if not (x_right >= one and x_right < np.float32(width - 2)):
                continue
            k = int(x_right)
            if not (right_known[y, k] and right_known[y, k + 1]):
                continue
            f = x_right - np.float32(k)
            gy = (left_y[y, x] + right_y[y, k] + f * (right_y[y, k + 1] - right_y[y, k])) * scale
            if abs(gy) <= smallest:
                continue
            gx = (left_x[y, x] + right_x[y, k] + f * (right_x[y, k + 1] - right_x[y, k])) * scale
            p0, p1, p2, p3 = row[k - 1], row[k], row[k + 1], row[k + 2]
            cubic = three * (p1 - p2) + p3 - p0
            square = two * p0 - five * p1 + four * p2 - p3
            there = p1 + half * f * (p2 - p0 + f * (square + f * cubic))
            evidence[0, y, n] = left[y, x] - there
            evidence[1, y, n] = gy
            evidence[2, y, n] = x_right
            evidence[3, y, n] = gy * gy / (gy * gy + gx * gx)
            n += 1
        count[y] = n
        end = -(-n // FLOAT_LANES) * FLOAT_LANES
        evidence[:, y, n:end] = np.float32(0)


@compiled
def absolute_histogram(evidence: Any, count: Any, u0: Any, du: Any, row_v: Any, histogram: Any) -> None:
    """Histogram, in 1/8 grey levels, of |r - g v| over every second row. row_v (3, H): v = a + b u + c u^2, px."""
    scale = np.float32(BINS_PER_LEVEL)
    for y in range(0, len(count), 2):
        a, b, c = np.float32(row_v[0, y]), np.float32(row_v[1, y]), np.float32(row_v[2, y])
        for i in range(count[y]):
            u = u0 + du * evidence[2, y, i]
            e = abs(evidence[0, y, i] - evidence[1, y, i] * (a + u * (b + u * c))) * scale
            histogram[int(min(e, np.float32(BINS - 1)))] += 1


@compiled
def add_up(evidence: Any, count: Any, u0: Any, du: Any, row_v: Any, spread: Any, sums: Any) -> None:
    """Sums of the normal equations of each row, 16 lanes apart: sums (9, H, 16) float32.

    Weights: those of the evidence times (1 + (e / (2 spread))^2)^-2 with e = r - g v; u = u0 + du x_right.
    """
    stride = evidence.shape[2]
    height = len(count)
    plane = height * stride
    one = splat_f(1.0)
    inverse = splat_f(1.0 / (2.0 * spread))
    origin = splat_f(u0)
    step = splat_f(du)
    for y in range(height):
        a, b, c = splat_f(row_v[0, y]), splat_f(row_v[1, y]), splat_f(row_v[2, y])
        s0 = s1 = s2 = s3 = s4 = t0 = t1 = t2 = energy = splat_f(0.0)
        for i in range(y * stride, y * stride + count[y], FLOAT_LANES):
            r = load_f(evidence, i)
            g = load_f(evidence, plane + i)
            u = add_f(multiply_f(load_f(evidence, 2 * plane + i), step), origin)
            v = add_f(multiply_f(add_f(multiply_f(c, u), b), u), a)
            e = subtract_f(r, multiply_f(g, v))
            q = multiply_f(e, inverse)
            q = add_f(multiply_f(q, q), one)
            w = divide_f(load_f(evidence, 3 * plane + i), multiply_f(q, q))
            energy = add_f(energy, multiply_f(multiply_f(w, e), e))
            wg = multiply_f(w, g)
            product = multiply_f(wg, r)
            t0 = add_f(t0, product)
            product = multiply_f(product, u)
            t1 = add_f(t1, product)
            t2 = add_f(t2, multiply_f(product, u))
            product = multiply_f(wg, g)
            s0 = add_f(s0, product)
            product = multiply_f(product, u)
            s1 = add_f(s1, product)
            product = multiply_f(product, u)
            s2 = add_f(s2, product)
            product = multiply_f(product, u)
            s3 = add_f(s3, product)
            s4 = add_f(s4, multiply_f(product, u))
        o = y * FLOAT_LANES
        jump = height * FLOAT_LANES
        store_f(sums, o, s0)
        store_f(sums, o + jump, s1)
        store_f(sums, o + 2 * jump, s2)
        store_f(sums, o + 3 * jump, s3)
        store_f(sums, o + 4 * jump, s4)
        store_f(sums, o + 5 * jump, t0)
        store_f(sums, o + 6 * jump, t1)
        store_f(sums, o + 7 * jump, t2)
        store_f(sums, o + 8 * jump, energy)


@compiled
def _blend(r0: Any, r1: Any, r2: Any, r3: Any, fraction: Any, x0: Any, x1: Any, out: Any) -> None:
    """Cubic convolution between rows r1 and r2, columns x0 ... x1 - 1 (unsigned: signed indices are not vectorised)."""
    one, half = np.float32(1), np.float32(0.5)
    sharp, sharp2, sharp3 = np.float32(-0.75), np.float32(1.25), np.float32(2.25)
    low, high = np.int32(0), np.int32(255)
    for x in range(np.uint64(x0), np.uint64(x1)):
        f = fraction[x]
        h = one - f
        w0 = sharp * f * h * h
        w3 = sharp * f * f * h
        w1 = (sharp2 * f - sharp3) * f * f + one
        w2 = one - w0 - w1 - w3
        value = w0 * np.float32(r0[x]) + w1 * np.float32(r1[x]) + w2 * np.float32(r2[x]) + w3 * np.float32(r3[x])
        level = np.int32(value + half)
        level = max(level, low)
        level = min(level, high)
        out[x] = np.uint8(level)


@compiled
def _lend(row: Any, known: Any, lender: Any, x0: Any, x1: Any, out: Any) -> None:
    """The row, with the lender's values where it holds no data."""
    for x in range(np.uint64(x0), np.uint64(x1)):
        out[x] = row[x] if known[x] else lender[x]


@inlined
def _skip_equal(shift: Any, k: Any, x: Any) -> Any:
    """The first multiple of _RUN from `x` after which a run of values other than k begins (or too few are left)."""
    while x + _RUN <= len(shift):
        other = np.int32(0)
        for i in range(np.uint64(x), np.uint64(x + _RUN)):
            other |= shift[i] ^ k
        if other != 0:
            break
        x += _RUN
    return x


@compiled
def resample(image: Any, valid: Any, whole: Any, u: Any, row_v: Any, out: Any, out_valid: Any, y_from: Any, y_to: Any) -> None:
    """Rows of out(x, y) = image(x, y + v(x, y)), v = a + b u + c u^2 with row_v (3, H) = a, b, c; by cubic convolution along y.

    out_valid: both rows between which the place lies hold data (the one, where the place is on a row). Outside the image the
    border row stands for what lies within half a px. Outer taps without data take their inner neighbour's value. `whole`: all of
    `valid` is True (faster).

    References
    ----------
    R. Keys, "Cubic convolution interpolation for digital image processing", IEEE ASSP 29(6), 1981, with a = -3/4.
    """
    height, width = image.shape
    zero, half = np.float32(0), np.float32(0.5)
    bottom = np.float32(height) - half
    shift = np.empty(width, np.int32)
    fraction = np.empty(width, np.float32)
    above, below = np.empty(width, np.uint8), np.empty(width, np.uint8)
    for y in range(y_from, y_to):
        a, b, c = np.float32(row_v[0, y]), np.float32(row_v[1, y]), np.float32(row_v[2, y])
        for x in range(width):
            v = a + u[x] * (b + u[x] * c)
            k = np.floor(v)
            shift[x] = np.int32(k)
            fraction[x] = v - k
        good = out_valid[y]
        x0 = 0
        while x0 < width:  # runs of columns whose places lie between the same two rows
            k = shift[x0]
            x1 = x0 + 1
            while x1 < width and shift[x1] == k:
                x1 += 1
                if x1 % _RUN == 0:
                    x1 = _skip_equal(shift, k, x1)
            middle = y + k
            y0, y1 = min(max(middle - 1, 0), height - 1), min(max(middle, 0), height - 1)
            y2, y3 = min(max(middle + 1, 0), height - 1), min(max(middle + 2, 0), height - 1)
            place = np.float32(middle)
            for x in range(np.uint64(x0), np.uint64(x1)):
                f = place + fraction[x]
                good[x] = (f >= -half) & (f <= bottom)
            if whole:
                _blend(image[y0], image[y1], image[y2], image[y3], fraction, x0, x1, out[y])
            else:
                m1, m2 = valid[y1], valid[y2]
                for x in range(np.uint64(x0), np.uint64(x1)):
                    good[x] = good[x] & m1[x] & (m2[x] | (fraction[x] == zero))
                _lend(image[y0], valid[y0], image[y1], x0, x1, above)
                _lend(image[y3], valid[y3], image[y2], x0, x1, below)
                _blend(above, image[y1], image[y2], below, fraction, x0, x1, out[y])
            x0 = x1
