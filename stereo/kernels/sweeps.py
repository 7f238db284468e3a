"""Semi-global aggregation over 8 paths in two fused sweeps, without a cost volume.

Hirschmueller, "Stereo Processing by Semiglobal Matching and Mutual Information", PAMI 2008, eq. 13:
L_r(p, d) = C(p, d) + min(L_r(p-r, d), L_r(p-r, d-1) + P1, L_r(p-r, d+1) + P1, min_i L_r(p-r, i) + P2) - min_k L_r(p-r, k).

A sweep walks the rows once and carries four paths: along the row, from the row before, and both diagonals. The forward sweep
goes right and down, the backward one left and up. Each path's state is one row of uint8, updated in place; the diagonals live in
skewed slots, (x - y) mod W and (x + y) mod W, so that they too are updated where they stand. The matching cost is made on the
fly from byte planes: it is cheaper to compute twice than to write and read.

Two threads meet in the middle: one sweeps the top half forward, the other the bottom half backward, both storing their sums of
four paths; then each goes on through the other's half, adds its own four paths and takes the winner. The result is exact and
the same for one thread.

Labels are spread over the vectors: with n vectors per pixel, lane l of vector v holds label l n + v. A label's neighbours are
then the same lane of the next vector; only the first and last vector need a shift by one lane. The right image's planes are
split into n phases, so that the candidates of one vector stay contiguous. Sums of bytes are uint16 vectors of even and of odd
lanes: the same scheme with 2 n vectors of 32 lanes.

What lies outside an image, or on its nodata, is treated alike, so that a padded image gives the same numbers as the bare one: a
left pixel without data resets every path (as the border does); a candidate without data costs `NEUTRAL`, so that a path passes
over it unharmed.
"""

from functools import cache
from typing import Any

import numpy as np

from stereo.kernels import compiled, inlined
from stereo.kernels.planes import BIRCHFIELD_LIMIT, CENSUS_PLANES, LEFT_PLANES, NEUTRAL, RIGHT_PLANES
from stereo.kernels.simd import (
    LANES,
    WIDE_LANES,
    add,
    add_saturated,
    bit_and,
    bit_or,
    broadcast8,
    count_bits,
    even_bytes,
    first_bit,
    first_lane,
    lanes_equal,
    lanes_less,
    last_lane,
    load8,
    load16,
    minimum,
    number_of_bits,
    odd_bytes,
    reduce_minimum,
    rotate_down,
    rotate_up,
    splat8,
    splat16,
    store8,
    store16,
    stream16,
    subtract,
    subtract_saturated,
    where_less,
    xor,
)

_UNROLLED = 4
"""up to this many vectors per pixel the loop over them is unrolled (one compilation each); beyond, one kernel serves all"""
_NO_SUM = 1019
"""below the 1020 of a lane that is no candidate, above any real sum of 8 paths"""


@inlined
def _step(below: Any, here: Any, above: Any, least: Any, least_p2: Any, p1: Any, cost: Any) -> Any:
    """Eq. 13 for 64 disparities; saturating, so that 255 stays "not a candidate"."""
    best = minimum(minimum(here, least_p2), add_saturated(minimum(below, above), p1))
    return add_saturated(subtract(best, least), cost)


@inlined
def _keep_right(
    total: Any, w: Any, n2: Any, phase: Any, turn: Any, stride: Any, labels: Any, right_sum: Any, right_label: Any, tie: Any
) -> None:
    """Update the right image's best sums and labels with wide vector `w` of the current left pixel.

    `tie` is 0 where labels come in rising order and 1 where they fall: of equal sums the smallest label stays.
    """
    k = phase + w
    j = turn + k * stride
    if k >= n2:
        j += 1 - n2 * stride
    old = load16(right_sum, j)
    store16(right_label, j, where_less(total, add(old, tie), load16(labels, w * WIDE_LANES), load16(right_label, j)))
    store16(right_sum, j, minimum(total, old))


@cache
def _build(unrolled: int, final: bool) -> Any:
    """The storing sweep (`final` False) or the one that adds and takes the winner. `unrolled`: vectors per pixel, 0 = any."""

    @compiled
    def sweep(
        left: Any,
        right: Any,
        penalty: Any,
        padding: Any,
        vertical: Any,
        diagonal: Any,
        antidiagonal: Any,
        row: Any,
        least: Any,
        line: Any,
        right_sum: Any,
        right_label: Any,
        sums: Any,
        labels: Any,
        winner: Any,
        winner_sums: Any,
        ambiguous: Any,
        right_winner: Any,
        vectors: Any,
        minimum_disparity: Any,
        p1: Any,
        uniqueness: Any,
        y_from: Any,
        y_to: Any,
        dy: Any,
    ) -> None:
        n = unrolled if unrolled > 0 else vectors
        n2 = 2 * n
        size = n * LANES
        height, _, width = left.shape
        phase_stride = right.shape[3]
        plane_stride = n * phase_stride
        wide_stride = right_sum.shape[1]
        penalty_stride = penalty.shape[2]
        penalty_plane = penalty.shape[1] * penalty_stride
        none = splat8(255)
        zero = splat8(0)
        first = first_lane()
        last = last_lane()
        vp1 = splat8(p1)
        neutral = splat8(NEUTRAL)
        limit = splat8(BIRCHFIELD_LIMIT)
        # the penalty between two pixels is stored with the lower (or right) one: backward paths read it there
        back = 0 if dy > 0 else 1
        tie = splat16(back)
        y = y_from
        while y != y_to:
            x = 0 if dy > 0 else width - 1
            x_end = width if dy > 0 else -1
            r = y if dy > 0 else height - 1 - y
            slot_a = (width - r % width) % width
            slot_b = r % width
            entering = (width - 1 + r) % width
            for b in range(n):
                store8(diagonal, slot_a * size + b * LANES, zero)
                store8(antidiagonal, entering * size + b * LANES, zero)
                store8(row, b * LANES, zero)
            least[1, slot_a] = 0
            least[2, entering] = 0
            least_row = np.uint8(0)
            if final:
                right_sum[:] = _NO_SUM
            left_row = y * LEFT_PLANES * width
            right_row = y * RIGHT_PLANES * plane_stride
            sums_row = y * width * size
            p_h = y * penalty_stride + back
            p_v = penalty_plane + (y + back) * penalty_stride
            p_a = 2 * penalty_plane + (y + back) * penalty_stride + back
            p_b = 3 * penalty_plane + (y + back) * penalty_stride - back
            while x != x_end:
                ov = x * size
                oa = slot_a * size
                ob = slot_b * size
                if left[y, CENSUS_PLANES + 3, x] == 0:  # no data: every path starts anew behind this pixel
                    for b in range(n):
                        store8(vertical, ov + b * LANES, zero)
                        store8(diagonal, oa + b * LANES, zero)
                        store8(antidiagonal, ob + b * LANES, zero)
                        store8(row, b * LANES, zero)
                    least[0, x] = 0
                    least[1, slot_a] = 0
                    least[2, slot_b] = 0
                    least_row = np.uint8(0)
                    if final:
                        winner[y, x] = -1
                else:
                    mh = splat8(least_row)
                    mv = broadcast8(least, x)
                    ma = broadcast8(least, width + slot_a)
                    mb = broadcast8(least, 2 * width + slot_b)
                    ph = add_saturated(mh, broadcast8(penalty, p_h + x))
                    pv = add_saturated(mv, broadcast8(penalty, p_v + x))
                    pa = add_saturated(ma, broadcast8(penalty, p_a + x))
                    pb = add_saturated(mb, broadcast8(penalty, p_b + x))
                    here_h = load8(row, 0)
                    here_v = load8(vertical, ov)
                    here_a = load8(diagonal, oa)
                    here_b = load8(antidiagonal, ob)
                    e = (n - 1) * LANES
                    below_h = bit_or(rotate_up(load8(row, e)), first)
                    below_v = bit_or(rotate_up(load8(vertical, ov + e)), first)
                    below_a = bit_or(rotate_up(load8(diagonal, oa + e)), first)
                    below_b = bit_or(rotate_up(load8(antidiagonal, ob + e)), first)
                    top_h = bit_or(rotate_down(here_h), last)
                    top_v = bit_or(rotate_down(here_v), last)
                    top_a = bit_or(rotate_down(here_a), last)
                    top_b = bit_or(rotate_down(here_b), last)
                    min_h = none
                    min_v = none
                    min_a = none
                    min_b = none
                    min_s = splat16(65535)
                    o = left_row + x
                    c0 = broadcast8(left, o)
                    c1 = broadcast8(left, o + width)
                    c2 = broadcast8(left, o + 2 * width)
                    gl = broadcast8(left, o + 3 * width)
                    gl_low = broadcast8(left, o + 4 * width)
                    gl_high = broadcast8(left, o + 5 * width)
                    so = sums_row + x * size
                    j0 = width - 1 - x
                    turn = j0 // n
                    phase = j0 - turn * n
                    wide_turn = j0 // n2
                    wide_phase = j0 - wide_turn * n2
                    for b in range(n):
                        e = b * LANES
                        k = phase + b
                        q = right_row + turn + k * phase_stride
                        if k >= n:
                            q += 1 - n * phase_stride
                        bits = add(
                            add(count_bits(xor(load8(right, q), c0)), count_bits(xor(load8(right, q + plane_stride), c1))),
                            count_bits(xor(load8(right, q + 2 * plane_stride), c2)),
                        )
                        gr = load8(right, q + 3 * plane_stride)
                        gr_low = load8(right, q + 4 * plane_stride)
                        gr_high = load8(right, q + 5 * plane_stride)
                        nodata = load8(right, q + 6 * plane_stride)
                        from_left = add(subtract_saturated(gl, gr_high), subtract_saturated(gr_low, gl))
                        from_right = add(subtract_saturated(gr, gl_high), subtract_saturated(gl_low, gr))
                        cost = add(bits, minimum(minimum(from_left, from_right), limit))
                        cost = bit_or(bit_and(cost, xor(nodata, none)), bit_and(nodata, neutral))
                        cost = bit_or(cost, load8(padding, e))
                        above_h = top_h
                        above_v = top_v
                        above_a = top_a
                        above_b = top_b
                        if b + 1 < n:
                            above_h = load8(row, e + LANES)
                            above_v = load8(vertical, ov + e + LANES)
                            above_a = load8(diagonal, oa + e + LANES)
                            above_b = load8(antidiagonal, ob + e + LANES)
                        lh = _step(below_h, here_h, above_h, mh, ph, vp1, cost)
                        lv = _step(below_v, here_v, above_v, mv, pv, vp1, cost)
                        la = _step(below_a, here_a, above_a, ma, pa, vp1, cost)
                        lb = _step(below_b, here_b, above_b, mb, pb, vp1, cost)
                        store8(row, e, lh)
                        store8(vertical, ov + e, lv)
                        store8(diagonal, oa + e, la)
                        store8(antidiagonal, ob + e, lb)
                        below_h = here_h
                        below_v = here_v
                        below_a = here_a
                        below_b = here_b
                        here_h = above_h
                        here_v = above_v
                        here_a = above_a
                        here_b = above_b
                        min_h = minimum(min_h, lh)
                        min_v = minimum(min_v, lv)
                        min_a = minimum(min_a, la)
                        min_b = minimum(min_b, lb)
                        # two path costs fit in a byte (MAX_COST + MAX_P2 <= 127); saturation keeps 255 "no candidate"
                        one = add_saturated(lh, lv)
                        two = add_saturated(la, lb)
                        even = add(even_bytes(one), even_bytes(two))
                        odd = add(odd_bytes(one), odd_bytes(two))
                        if final:
                            even = add(even, load16(sums, so + e))
                            odd = add(odd, load16(sums, so + e + WIDE_LANES))
                            min_s = minimum(min_s, minimum(even, odd))
                            # wide vector w = b (even lanes) or n + b (odd): label t 2n + w in lane t
                            store16(line, WIDE_LANES + b * WIDE_LANES, even)
                            store16(line, WIDE_LANES + (n + b) * WIDE_LANES, odd)
                            # the right image's winner: its candidates of this left pixel lie side by side
                            _keep_right(even, b, n2, wide_phase, wide_turn, wide_stride, labels, right_sum, right_label, tie)
                            _keep_right(odd, n + b, n2, wide_phase, wide_turn, wide_stride, labels, right_sum, right_label, tie)
                        else:
                            stream16(sums, so + e, even)
                            stream16(sums, so + e + WIDE_LANES, odd)
                    least_row = reduce_minimum(min_h)
                    least[0, x] = reduce_minimum(min_v)
                    least[1, slot_a] = reduce_minimum(min_a)
                    least[2, slot_b] = reduce_minimum(min_b)
                    if final:
                        smallest = np.int64(reduce_minimum(min_s))
                        threshold = min(((smallest * uniqueness) >> 10) + 1, _NO_SUM)  # at least a tie is ambiguous
                        v_smallest = splat16(smallest)
                        v_threshold = splat16(threshold)
                        best = size
                        rivals = 0
                        for w in range(n2):
                            v = load16(line, WIDE_LANES + w * WIDE_LANES)
                            equal = lanes_equal(v, v_smallest)
                            best = min(best, first_bit(equal) * n2 + w)  # 64 where no lane is equal: beyond every label
                            rivals += number_of_bits(lanes_less(v, v_threshold))
                        lower = np.int64(65535)
                        if best > 0:
                            lower = np.int64(line[WIDE_LANES + ((best - 1) % n2) * WIDE_LANES + (best - 1) // n2])
                        upper = np.int64(65535)
                        if best + 1 < size:
                            upper = np.int64(line[WIDE_LANES + ((best + 1) % n2) * WIDE_LANES + (best + 1) // n2])
                        rivals -= 1  # the winner itself
                        if lower < threshold:
                            rivals -= 1
                        if upper < threshold:
                            rivals -= 1
                        winner[y, x] = best
                        winner_sums[0, y, x] = smallest
                        winner_sums[1, y, x] = lower
                        winner_sums[2, y, x] = upper
                        ambiguous[y, x] = rivals > 0
                x += dy
                slot_a += 1
                if slot_a == width:
                    slot_a = 0
                slot_b += 1
                if slot_b == width:
                    slot_b = 0
            if final:
                for x in range(width):
                    j0 = width - 1 - minimum_disparity - x  # entry of the right column x
                    right_winner[y, x] = -1
                    if 0 <= j0 < n2 * wide_stride and right_sum[j0 % n2, j0 // n2] < _NO_SUM:
                        right_winner[y, x] = right_label[j0 % n2, j0 // n2]
            y += dy

    return sweep


def kernel(vectors: int, final: bool) -> Any:
    """The sweep for `vectors` groups of 64 labels."""
    return _build(vectors if vectors <= _UNROLLED else 0, final)
