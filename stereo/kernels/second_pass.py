"""A second semi-global pass around a known surface: 15 labels of 1/4 px, in windows that follow the surface.

The right image is sampled at x - d(x) - k / 4 for each pixel and label k = -7 ... 7, so that a label is an offset from the
pixel's own surface: what was slanted is level, neighbours keep their offset for free, and the census compares windows that lie on
the surface. Sampling is a copy: the right rows are interpolated to quarter pixels once, and a pixel's candidates lie side by side
in them.

Cost, penalties and paths are those of the first pass; 16 lanes hold a pixel (the last is no candidate). A pixel without a surface
looks like the left image in every label, and paths start anew behind it.
"""

from functools import cache
from typing import Any

import numpy as np

from stereo.kernels import compiled, inlined
from stereo.kernels.narrow import (
    NARROW,
    above,
    below,
    broadcast_narrow,
    half_gradient,
    last_lane_narrow,
    load_narrow,
    load_wide,
    repeat_four,
    splat_narrow,
    splat_wide,
    store_narrow,
    store_wide,
    widen,
)
from stereo.kernels.planes import BIRCHFIELD_LIMIT, CENSUS_PLANES
from stereo.kernels.select import FRACTION, MARGIN, NO_LABEL
from stereo.kernels.simd import (
    add,
    add_saturated,
    bit_or,
    count_bits,
    first_bit,
    lanes_equal,
    load8,
    minimum,
    reduce_minimum,
    splat8,
    store8,
    subtract,
    subtract_saturated,
    where_less,
    xor,
)

STEPS = 4
"""labels per pixel of disparity"""
REACH = 7
"""labels to each side of the surface"""
FRAME = 2
"""pixels around the warped image, for the census window"""
_CLIP = 31


@compiled
def warp(
    label: Any, left: Any, left_valid: Any, right: Any, right_valid: Any, gain: Any, minimum_disparity: Any,
    base: Any, out: Any, y_from: Any, y_to: Any,
) -> None:  # fmt: skip
    """Fill rows of `base` (H, W), the surface in quarter pixels (-1: none), and of `out` (H + 4, W + 8, 16), the samples.

    Catmull-Rom's cubic at quarter pixels, in whole numbers; contrast brought to the left image's by `gain`. A
    sample that needs a pixel without data, or from outside, makes its pixel one without a surface.
    """
    width = left.shape[1]
    quarter = np.empty(STEPS * width + 2 * NARROW, np.uint8)
    count = np.zeros(width + 1, np.int32)
    flat = out.reshape(-1)
    stride = out.shape[1] * NARROW
    for y in range(y_from, y_to):
        row, known = right[y], right_valid[y]
        for x in range(width):
            count[x + 1] = count[x] + np.int32(known[x])
        # reversed, so that a pixel's labels rise with the place: entry j holds position 4 (W - 1) - j
        for x in range(width):
            b = np.int32(row[x])
            a = np.int32(row[x - 1]) if x > 0 else b
            c = np.int32(row[x + 1]) if x + 1 < width else b
            d = np.int32(row[x + 2]) if x + 2 < width else c
            j = STEPS * (width - 1 - x)
            for f in range(STEPS):
                if f == 0:
                    value = np.float32(b)
                elif f == 1:
                    value = np.float32(111 * b + 29 * c - 9 * a - 3 * d) * np.float32(1.0 / 128.0)
                elif f == 2:
                    value = np.float32(72 * (b + c) - 8 * (a + d)) * np.float32(1.0 / 128.0)
                else:
                    value = np.float32(111 * c + 29 * b - 9 * d - 3 * a) * np.float32(1.0 / 128.0)
                scaled = np.rint(value * gain)
                if j - f >= 0:
                    quarter[NARROW + j - f] = np.uint8(min(max(scaled, np.float32(0.0)), np.float32(255.0)))
        labels = label[y + MARGIN, MARGIN:]
        o = (y + FRAME) * stride + FRAME * NARROW
        for x in range(width):
            q = -1
            j = 0
            if labels[x] > np.float32(NO_LABEL / 2):
                q = int(np.rint(labels[x] * np.float32(STEPS)))
                j = STEPS * (width - 1 - x + minimum_disparity) + q
                centre = STEPS * (width - 1) - j
                first = (centre - REACH) // STEPS - 1
                last = -((-centre - REACH) // STEPS) + 1
                if first < 0 or last >= width or count[last + 1] - count[first] < last + 1 - first:
                    q = -1
            if q >= 0:
                store_narrow(flat, o + x * NARROW, load_narrow(quarter, NARROW + j - REACH))
            else:
                own = left[y, x] if left_valid[y, x] else np.uint8(255)
                store_narrow(flat, o + x * NARROW, splat_narrow(own))
            base[y, x] = q


@inlined
def _column(flat: Any, o: Any, stride: Any) -> Any:
    middle = widen(load_narrow(flat, o))
    return add(add(widen(load_narrow(flat, o - stride)), widen(load_narrow(flat, o + stride))), add(middle, middle))


@compiled
def match_costs(warped: Any, left_planes: Any, cost: Any, y_from: Any, y_to: Any) -> None:
    """Fill rows of `cost` (H, W + 4, 16): Hamming distance of the census plus the truncated difference of the x-gradients."""
    width = left_planes.shape[2]
    flat = warped.reshape(-1)
    stride = warped.shape[1] * NARROW
    cost_stride = cost.shape[1] * NARROW
    costs = cost.reshape(-1)
    planes = left_planes.reshape(-1)
    zero = splat8(0)
    limit = splat_narrow(BIRCHFIELD_LIMIT)
    none = last_lane_narrow()
    for y in range(y_from, y_to):
        o = (y + FRAME) * stride + FRAME * NARROW
        p = y * left_planes.shape[1] * width
        for x in range(0, width, 4):
            c = o + x * NARROW
            centre = load8(flat, c)
            bits = zero
            total = zero
            n = 0
            for dy in range(-2, 3):
                for dx in range(-2, 3):
                    if dy == 0 and dx == 0:
                        continue
                    other = load8(flat, c + dy * stride + dx * NARROW)
                    bits = bit_or(bits, where_less(other, centre, splat8(1 << (n % 8)), zero))
                    n += 1
                    if n % 8 == 0:
                        own = repeat_four(planes, p + (n // 8 - 1) * width + x)
                        total = add(total, count_bits(xor(bits, own)))
                        bits = zero
            store8(costs, y * cost_stride + x * NARROW, total)
        before = _column(flat, o - NARROW, stride)
        here = _column(flat, o, stride)
        g = p + CENSUS_PLANES * width
        for x in range(width):
            after = _column(flat, o + (x + 1) * NARROW, stride)
            # Sobel / 2 around 31, clipped, as the left image's plane
            gradient = half_gradient(after, before, _CLIP)
            before, here = here, after
            own = broadcast_narrow(planes, g + x)
            apart = bit_or(subtract_saturated(gradient, own), subtract_saturated(own, gradient))
            e = y * cost_stride + x * NARROW
            store_narrow(costs, e, bit_or(add(load_narrow(costs, e), minimum(apart, limit)), none))


@inlined
def _step(state: Any, least: Any, least_p2: Any, p1: Any, cost: Any) -> Any:
    best = minimum(minimum(state, least_p2), add_saturated(minimum(below(state), above(state)), p1))
    return add_saturated(subtract(best, least), cost)


@cache
def sweep(final: bool) -> Any:
    """The sweep that stores its four paths' sums, or the one that adds its own and writes the refined labels."""

    @compiled
    def run(
        cost: Any,
        base: Any,
        penalty: Any,
        vertical: Any,
        diagonal: Any,
        antidiagonal: Any,
        least: Any,
        sums: Any,
        p1: Any,
        label: Any,
        largest: Any,
        y_from: Any,
        y_to: Any,
        dy: Any,
    ) -> None:
        height, width = base.shape
        cost_stride = cost.shape[1] * NARROW
        costs = cost.reshape(-1)
        penalties = penalty.reshape(-1)
        penalty_stride = penalty.shape[2]
        penalty_plane = penalty.shape[1] * penalty_stride
        totals = sums.reshape(-1)
        mins = least.reshape(-1)
        vp1 = splat_narrow(p1)
        zero = splat_narrow(0)
        back = 0 if dy > 0 else 1
        y = y_from
        while y != y_to:
            x = 0 if dy > 0 else width - 1
            x_end = width if dy > 0 else -1
            r = y if dy > 0 else height - 1 - y
            slot_a = (width - r % width) % width
            slot_b = r % width
            entering = (width - 1 + r) % width
            store_narrow(diagonal, slot_a * NARROW, zero)
            store_narrow(antidiagonal, entering * NARROW, zero)
            least[1, slot_a] = 0
            least[2, entering] = 0
            state_h = zero
            least_h = np.uint8(0)
            p_h = y * penalty_stride + back
            p_v = penalty_plane + (y + back) * penalty_stride
            p_a = 2 * penalty_plane + (y + back) * penalty_stride + back
            p_b = 3 * penalty_plane + (y + back) * penalty_stride - back
            while x != x_end:
                oa, ob, ov = slot_a * NARROW, slot_b * NARROW, x * NARROW
                if base[y, x] < 0:
                    store_narrow(vertical, ov, zero)
                    store_narrow(diagonal, oa, zero)
                    store_narrow(antidiagonal, ob, zero)
                    state_h = zero
                    least[0, x] = 0
                    least[1, slot_a] = 0
                    least[2, slot_b] = 0
                    least_h = np.uint8(0)
                else:
                    c = load_narrow(costs, y * cost_stride + x * NARROW)
                    mh, mv = splat_narrow(least_h), broadcast_narrow(mins, x)
                    ma, mb = broadcast_narrow(mins, width + slot_a), broadcast_narrow(mins, 2 * width + slot_b)
                    lh = _step(state_h, mh, add_saturated(mh, broadcast_narrow(penalties, p_h + x)), vp1, c)
                    lv = _step(load_narrow(vertical, ov), mv, add_saturated(mv, broadcast_narrow(penalties, p_v + x)), vp1, c)
                    la = _step(load_narrow(diagonal, oa), ma, add_saturated(ma, broadcast_narrow(penalties, p_a + x)), vp1, c)
                    lb = _step(load_narrow(antidiagonal, ob), mb, add_saturated(mb, broadcast_narrow(penalties, p_b + x)), vp1, c)
                    state_h = lh
                    store_narrow(vertical, ov, lv)
                    store_narrow(diagonal, oa, la)
                    store_narrow(antidiagonal, ob, lb)
                    least_h = reduce_minimum(lh)
                    least[0, x] = reduce_minimum(lv)
                    least[1, slot_a] = reduce_minimum(la)
                    least[2, slot_b] = reduce_minimum(lb)
                    # the last lane is no label: it stays far above the others
                    total = add(widen(add_saturated(lh, lv)), widen(add_saturated(la, lb)))
                    s = (y * width + x) * NARROW
                    if final:
                        total = add(total, load_wide(totals, s))
                        smallest = reduce_minimum(total)
                        k = first_bit(lanes_equal(total, splat_wide(smallest)))
                        if 0 < k < 2 * REACH:
                            store_wide(totals, s, total)
                            lower, upper = np.float32(totals[s + k - 1]), np.float32(totals[s + k + 1])
                            bend = max(lower + upper - np.float32(2.0) * np.float32(smallest), np.float32(1.0))
                            fraction = np.float32(0.5) * (lower - upper) / bend
                            moved = (np.float32(base[y, x]) + np.float32(k - REACH) + fraction) * np.float32(1.0 / STEPS)
                            here = label[y + MARGIN, x + MARGIN]
                            change = np.rint((moved - here) * np.float32(FRACTION)) * np.float32(1.0 / FRACTION)
                            if abs(change) <= largest:
                                label[y + MARGIN, x + MARGIN] = here + change
                    else:
                        store_wide(totals, s, total)
                x += dy
                slot_a += 1
                if slot_a == width:
                    slot_a = 0
                slot_b += 1
                if slot_b == width:
                    slot_b = 0
            y += dy

    return run
