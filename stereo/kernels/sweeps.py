"""Semi-global aggregation over 8 or 4 paths in two fused sweeps, without a cost volume.

Hirschmueller, "Stereo Processing by Semiglobal Matching and Mutual Information", PAMI 2008, eq. 13:
L_r(p, d) = C(p, d) + min(L_r(p-r, d), L_r(p-r, d-1) + P1, L_r(p-r, d+1) + P1, min_i L_r(p-r, i) + P2) - min_k L_r(p-r, k).

A sweep walks the rows once and carries half of the paths: along the row, from the row before, and both diagonals. The forward
sweep goes right and down, the backward one left and up. Each path's state is one row of uint8, updated in place; the diagonals
live in skewed slots, (s - r) mod M and (s + r) mod M with step s and row r, so that they too are updated where they stand. The
matching cost is made on the fly from byte planes: it is cheaper to compute twice than to write and read.

Eq. 13 upside down saves an instruction in seven: with U = max(min_k L + P2 - L, 0) of the pixel before, one saturating
subtraction, and V = max(U(d), max(U(d-1), U(d+1)) - P1), the bracket minus min_k L is P2 - V, and L = (C + P2) - V. "No such
label" is U = 0. Where P2 varies, C carries the largest P2 instead; the sums are too large by its difference to the P2 of the 8
paths, the same for all labels, which is taken off before the winner is.

Two groups of threads meet in the middle: one sweeps the top half forward, the other the bottom half backward, both storing their
sums of half the paths; then each goes on through the other's half, adds its own paths and takes the winner. Within a group the
threads claim rows in turn; each stays a few pixels behind the row before. The result is exact and the same for any number.

Labels are spread over the vectors: with n vectors per pixel, lane l of vector v holds label l n + v. A label's neighbours are
then the same lane of the next vector; only the first and last vector need a shift by one lane. The right image's planes are
split into n phases, so that the candidates of one vector stay contiguous. Sums are bytes where half of them fit (the whole sums
saturate: such a pixel is no answer), else uint16 vectors of even and of odd lanes: the same scheme with 2 n vectors of 32 lanes.

What lies outside an image, or on its nodata, is treated alike, so that a padded image gives the same numbers as the bare one: a
left pixel without data resets every path (as the border does); a candidate without data costs `NEUTRAL`, so that a path passes
over it unharmed.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from stereo.kernels import compiled, inlined
from stereo.kernels.block import KNOWN, LEAST, LEAST_ALONG, LINE_MINIMA, MINIMA, ROW, line_at, line_size, spare_at
from stereo.kernels.lanes import (
    GROUP,
    differing_bits,
    first_negative,
    four_times,
    four_times_reversed,
    larger,
    last_negative,
    load_bytes,
    load_longs,
    minima_of_16,
    repeat8,
    repeat16,
    repeat_down,
    repeat_up,
    reverse_longs,
    store_longs,
    words_0,
    words_1,
    words_2,
    words_3,
)
from stereo.kernels.planes import BIRCHFIELD_LIMIT
from stereo.kernels.progress import COUNTER_STRIDE, claim, publish, wait_for
from stereo.kernels.simd import (
    LANES,
    WIDE_LANES,
    add,
    add_saturated,
    advanced,
    bit_or,
    byte,
    count_bits,
    element,
    even_bytes,
    load8,
    load16,
    local_vectors,
    minimum,
    odd_bytes,
    pointer,
    prefetch,
    reduce_minimum,
    set_element,
    set_word,
    splat8,
    splat16,
    store8,
    store16,
    stream8,
    stream16,
    subtract,
    subtract_saturated,
    where_less,
    xor,
)
from stereo.kernels.winners import finish_group, finish_right_view, narrow_winners, start_right_view, wide_winners

_UNROLLED = 4
"""up to this many vectors per pixel the loop over them is unrolled (one compilation each); beyond, one kernel serves all"""
STATE_MARGIN = 64
"""slots of a diagonal path's state beyond the width: rows that may be in work at once"""
_PREFETCHED = 16
"""pixels between asking for stored sums and adding to them"""
LEAST_MARGIN = GROUP
"""entries before the first pixel's in a row of path minima"""


class Variant(NamedTuple):
    """What a sweep is compiled for."""

    unrolled: int
    """vectors per pixel; 0: any number"""
    final: bool
    """adds to the stored sums and takes the winner"""
    gradient: bool
    """census and gradient planes, not census alone"""
    wide: bool
    """sums are uint16"""
    adaptive: bool
    """P2 varies with the image"""
    diagonals: bool
    """8 paths, not 4"""
    padded: bool
    """the last vectors hold labels that do not exist"""
    ranged: bool
    """every pixel has a range of its own"""


@inlined
def _step(below: Any, here: Any, above: Any, p1: Any, cost: Any) -> Any:
    """Eq. 13 for 64 disparities: path costs from the U of the pixel before and the cost plus the largest P2."""
    return subtract(cost, larger(here, subtract(larger(below, above), p1)))


@inlined
def _up(values: Any, few: Any) -> Any:
    """Every lane's lower neighbour in the vector before, where that is the last one of the pixel."""
    return repeat_up(values) if few else bit_or(repeat_up(values), first_negative())


@inlined
def _down(values: Any, few: Any) -> Any:
    """The same for the upper neighbour."""
    return repeat_down(values) if few else bit_or(repeat_down(values), last_negative())


@inlined
def _known(source: Any, o: Any, forward: Any) -> Any:
    """A byte for each pixel of a group, four times, in the order in which the sweep comes to them; `o`: the first one's."""
    return four_times(load_bytes(source, o)) if forward else four_times_reversed(load_bytes(source, o - (GROUP - 1)))


@inlined
def _excess_row(penalty: Any, plane: Any, stride: Any, y: Any, width: Any, p2: Any, paths: Any, out: Any) -> None:
    """What the sums of a row's pixels are too large by: 8 (4) P2 less the P2 of the paths, each twice as uint16."""
    row = y * stride
    for x in range(0, width, LANES):
        o = row + x
        even = splat16(paths * p2)
        odd = even
        for k in range(paths):
            # to the pixel from the left and from the right, from above and below, and so on
            at = o + (k >> 1) * plane
            if k == 1:
                at += 1
            elif k == 3:
                at += stride
            elif k == 5:
                at += stride + 1
            elif k == 7:
                at += stride - 1
            values = load8(penalty, at)
            even = subtract(even, even_bytes(values))
            odd = subtract(odd, odd_bytes(values))
        store16(out, x, words_0(even, odd))
        store16(out, x + GROUP, words_1(even, odd))
        store16(out, x + 2 * GROUP, words_2(even, odd))
        store16(out, x + 3 * GROUP, words_3(even, odd))


@cache
def _build(variant: Variant) -> Any:
    unrolled, final, gradient, wide, adaptive, diagonals, padded, ranged = variant
    left_planes = 6 if gradient else 3
    right_planes = 8 if gradient else 5
    few = 0 < unrolled <= 2
    masked = padded or ranged
    sum_vectors = unrolled * (2 if wide else 1)
    sum_bytes = 2 if wide else 1
    valid_at = KNOWN + left_planes * LANES
    penalties_h = valid_at + LANES
    excesses = penalties_h + LANES

    @compiled
    def sweep(
        left_array: Any,
        right_array: Any,
        whole_array: Any,
        penalty_array: Any,
        padding_array: Any,
        low_array: Any,
        high_array: Any,
        vertical_array: Any,
        diagonal_array: Any,
        antidiagonal_array: Any,
        least_array: Any,
        progress_array: Any,
        block_array: Any,
        excess_array: Any,
        right_sum_array: Any,
        right_label_array: Any,
        sums_array: Any,
        winner_array: Any,
        winner_sums_array: Any,
        ambiguous_array: Any,
        right_winner_array: Any,
        vectors: Any,
        minimum_disparity: Any,
        p1: Any,
        p2: Any,
        uniqueness: Any,
        y_from: Any,
        count: Any,
        dy: Any,
        give_way: Any,
    ) -> None:
        n = unrolled if unrolled > 0 else vectors
        size = n * LANES
        height, _, width = left_array.shape
        area = height * width
        phase_stride = right_array.shape[3]
        plane_stride = n * phase_stride
        penalty_stride = penalty_array.shape[2]
        penalty_plane = penalty_array.shape[1] * penalty_stride
        slots = len(diagonal_array) // size
        least_stride = least_array.shape[2]
        left, right, whole, penalty = pointer(left_array), pointer(right_array), pointer(whole_array), pointer(penalty_array)
        padding, low, high = pointer(padding_array), pointer(low_array), pointer(high_array)
        vertical, diagonal, antidiagonal = pointer(vertical_array), pointer(diagonal_array), pointer(antidiagonal_array)
        least, progress, block, excess = (
            pointer(least_array),
            pointer(progress_array),
            pointer(block_array),
            pointer(excess_array),
        )
        right_sum, right_label, sums = pointer(right_sum_array), pointer(right_label_array), pointer(sums_array)
        winner, winner_sums, ambiguous = pointer(winner_array), pointer(winner_sums_array), pointer(ambiguous_array)
        right_winner = pointer(right_winner_array)
        forward = dy > 0
        back = 0 if forward else 1  # the penalty between two pixels is stored with the lower (or right) one
        dx = 1 if forward else -1
        ahead = dx * _PREFETCHED * size
        right_lines = -(-right_planes * plane_stride // LANES // (-(-width // GROUP)))
        none = splat8(255)
        zero = splat8(0)
        zero16 = splat16(0)
        vp1 = splat8(p1)
        vp2 = splat8(p2)
        limit = splat8(BIRCHFIELD_LIMIT)
        lane_number = load8(padding, size)
        # the path along the row comes first: what the next pixel waits for is then on its way while the other paths are computed
        costs = local_vectors(unrolled) if unrolled > 0 else advanced(block, spare_at(n, sum_bytes))
        along = local_vectors(unrolled) if unrolled > 0 else advanced(block, spare_at(n, sum_bytes) + size)
        masks = local_vectors(unrolled) if unrolled > 0 else advanced(block, spare_at(n, sum_bytes) + 2 * size)
        # the right pixels in reach: sums and labels; behind what the end of a row needs
        window = (
            local_vectors(sum_vectors) if unrolled > 0 else advanced(block, spare_at(n, sum_bytes) + (3 + 2 * sum_bytes) * size)
        )
        names = (
            local_vectors(sum_vectors) if unrolled > 0 else advanced(block, spare_at(n, sum_bytes) + (3 + 3 * sum_bytes) * size)
        )
        line = line_at(n, sum_bytes)
        line_step = line_size(n, sum_bytes)
        while True:
            claimed = claim(progress, 0)
            if claimed >= count:
                break
            y = y_from + claimed * dy
            r = y if forward else height - 1 - y
            slot_a = (slots - r % slots) % slots
            slot_b = r % slots
            entering = (slot_b + width - 1) % slots
            for b in range(n):
                if diagonals:
                    store8(diagonal, slot_a * size + b * LANES, zero)
                    store8(antidiagonal, entering * size + b * LANES, zero)
                store8(block, ROW + b * LANES, zero)
            set_word(block, LEAST_ALONG, (byte(penalty, y * penalty_stride + back * width) if adaptive else p2) * 0x01010101)
            left_row = y * (left_planes + 1) * width
            right_row = y * right_planes * plane_stride
            before = (r & 1) * 3 * least_stride + LEAST_MARGIN
            after = ((r + 1) & 1) * 3 * least_stride + LEAST_MARGIN
            if final:
                start_right_view(window, sum_bytes * n)
                if adaptive:
                    _excess_row(penalty, penalty_plane, penalty_stride, y, width, p2, 8 if diagonals else 4, excess)
            for s0 in range(0, width, GROUP):
                s1 = min(s0 + GROUP, width)
                x0 = s0 if forward else width - 1 - s0
                if claimed > 0:
                    wait_for(progress, r * COUNTER_STRIDE, min(s1 + 1, width), give_way)
                # the planes of the next row: streams too short for the processor to foresee
                for p in range(left_planes + 1):
                    prefetch(left, left_row + dy * (left_planes + 1) * width + p * width + x0)
                if adaptive:
                    for k in range(4):
                        prefetch(penalty, (y + dy) * penalty_stride + k * penalty_plane + x0)
                at = right_row + dy * right_planes * plane_stride + (s0 // GROUP) * right_lines * LANES
                for k in range(right_lines):
                    prefetch(right, at + k * LANES)
                # what the pixels of the group need to know
                for p in range(left_planes + 1):
                    store8(block, KNOWN + p * LANES, _known(left, left_row + p * width + x0, forward))
                if adaptive:
                    # P2 towards the next pixel of the row
                    store8(block, penalties_h, _known(penalty, y * penalty_stride + 1 - back + x0, forward))
                    if final:
                        if forward:
                            store_longs(block, excesses, load_longs(excess, x0))
                        else:
                            store_longs(block, excesses, reverse_longs(load_longs(excess, x0 - (GROUP - 1))))
                store8(block, LEAST, load8(least, before + s0))
                if diagonals:
                    store8(block, LEAST + LANES, load8(least, before + least_stride + s0 - 1))
                    store8(block, LEAST + 2 * LANES, load8(least, before + 2 * least_stride + s0 + 1))
                # all candidates of all of its pixels lie in the right image, on data
                first_x = x0 if forward else width - s1
                last_x = s1 - 1 if forward else x0
                plain = (
                    element(whole, y) != 0
                    and last_x - minimum_disparity < width
                    and first_x - minimum_disparity - (size - 1) >= 0
                )
                x = x0
                ov = s0 * size
                for i in range(s1 - s0):
                    oa = slot_a * size
                    ob = slot_b * size
                    if byte(block, valid_at + 4 * i) == 0:  # no data: every path starts anew behind this pixel
                        for b in range(n):
                            store8(block, ROW + b * LANES, zero)
                            store8(vertical, ov + b * LANES, zero)
                            if diagonals:
                                store8(diagonal, oa + b * LANES, zero)
                                store8(antidiagonal, ob + b * LANES, zero)
                        set_word(block, LEAST_ALONG, (byte(block, penalties_h + 4 * i) if adaptive else p2) * 0x01010101)
                        if final:  # no winner either
                            for b in range(sum_bytes * n):
                                store8(block, line + i * line_step + b * LANES, none)
                            store8(block, LINE_MINIMA + i * LANES, none)
                        store8(block, MINIMA + i * LANES, zero)
                        if diagonals:
                            store8(block, MINIMA + (GROUP + i) * LANES, zero)
                            store8(block, MINIMA + (2 * GROUP + i) * LANES, zero)
                    else:
                        mh = repeat8(block, LEAST_ALONG)
                        e = (n - 1) * LANES
                        here_h = subtract_saturated(mh, load8(block, ROW))
                        end_h = subtract_saturated(mh, load8(block, ROW + e))
                        below_h = _up(end_h, few)
                        top_h = _down(here_h, few)
                        min_h = none
                        if final:
                            if wide:
                                min_s16 = splat16(65535)
                                if adaptive:
                                    too_much = repeat16(block, excesses + 4 * i)
                            else:
                                min_s8 = none
                        c0 = repeat8(block, KNOWN + 4 * i)
                        c1 = repeat8(block, KNOWN + LANES + 4 * i)
                        c2 = repeat8(block, KNOWN + 2 * LANES + 4 * i)
                        if gradient:
                            gl = repeat8(block, KNOWN + 3 * LANES + 4 * i)
                            gl_low = repeat8(block, KNOWN + 4 * LANES + 4 * i)
                            gl_high = repeat8(block, KNOWN + 5 * LANES + 4 * i)
                        if ranged:
                            first = np.int64(element(low, y * width + x))
                            end = np.int64(element(high, y * width + x))
                        so = (y * width + x) * size
                        lo = line + i * line_step
                        j0 = width - 1 - x
                        turn = j0 // n
                        phase = j0 - turn * n
                        for b in range(n):
                            e = b * LANES
                            k = phase + b
                            q = right_row + turn + k * phase_stride
                            if k >= n:
                                q += 1 - n * phase_stride
                            if plain:
                                cost = add(vp2, count_bits(xor(load8(right, q), c0)))
                                cost = add(cost, count_bits(xor(load8(right, q + plane_stride), c1)))
                                cost = add(cost, count_bits(xor(load8(right, q + 2 * plane_stride), c2)))
                            else:
                                gone = load8(right, q + (right_planes - 2) * plane_stride)
                                base = load8(right, q + (right_planes - 1) * plane_stride)
                                cost = add(base, count_bits(differing_bits(load8(right, q), c0, gone)))
                                cost = add(cost, count_bits(differing_bits(load8(right, q + plane_stride), c1, gone)))
                                cost = add(cost, count_bits(differing_bits(load8(right, q + 2 * plane_stride), c2, gone)))
                            if gradient:
                                gr = load8(right, q + 3 * plane_stride)
                                gr_low = load8(right, q + 4 * plane_stride)
                                gr_high = load8(right, q + 5 * plane_stride)
                                from_left = bit_or(subtract_saturated(gl, gr_high), subtract_saturated(gr_low, gl))
                                from_right = bit_or(subtract_saturated(gr, gl_high), subtract_saturated(gl_low, gr))
                                cost = add(cost, minimum(minimum(from_left, from_right), limit))
                            if masked:
                                outside = load8(padding, e)
                                if ranged:
                                    inside = where_less(lane_number, splat8((end - b + n - 1) // n), outside, none)
                                    outside = where_less(lane_number, splat8((first - b + n - 1) // n), none, inside)
                                cost = bit_or(cost, outside)
                            above_h = top_h
                            if b + 2 == n:
                                above_h = end_h
                            elif b + 2 < n:
                                above_h = subtract_saturated(mh, load8(block, ROW + e + LANES))
                            lh = _step(below_h, here_h, above_h, vp1, cost)
                            if ranged:
                                lh = bit_or(lh, outside)
                                store8(masks, e, outside)
                            store8(block, ROW + e, lh)
                            store8(costs, e, cost)
                            store8(along, e, lh)
                            below_h = here_h
                            here_h = above_h
                            min_h = minimum(min_h, lh)
                        set_word(
                            block,
                            LEAST_ALONG,
                            (np.int64(reduce_minimum(min_h)) + (byte(block, penalties_h + 4 * i) if adaptive else p2))
                            * 0x01010101,
                        )
                        mv = repeat8(block, LEAST + 4 * i)
                        e = (n - 1) * LANES
                        here_v = subtract_saturated(mv, load8(vertical, ov))
                        end_v = subtract_saturated(mv, load8(vertical, ov + e))
                        below_v = _up(end_v, few)
                        top_v = _down(here_v, few)
                        min_v = none
                        if diagonals:
                            ma = repeat8(block, LEAST + LANES + 4 * i)
                            mb = repeat8(block, LEAST + 2 * LANES + 4 * i)
                            here_a = subtract_saturated(ma, load8(diagonal, oa))
                            here_b = subtract_saturated(mb, load8(antidiagonal, ob))
                            end_a = subtract_saturated(ma, load8(diagonal, oa + e))
                            end_b = subtract_saturated(mb, load8(antidiagonal, ob + e))
                            below_a = _up(end_a, few)
                            below_b = _up(end_b, few)
                            top_a = _down(here_a, few)
                            top_b = _down(here_b, few)
                            min_a = none
                            min_b = none
                        for b in range(n):
                            e = b * LANES
                            cost = load8(costs, e)
                            lh = load8(along, e)
                            if ranged:
                                outside = load8(masks, e)
                            elif padded:
                                outside = load8(padding, e)
                            above_v = top_v
                            if diagonals:
                                above_a = top_a
                                above_b = top_b
                            if b + 2 == n:
                                above_v = end_v
                                if diagonals:
                                    above_a = end_a
                                    above_b = end_b
                            elif b + 2 < n:
                                above_v = subtract_saturated(mv, load8(vertical, ov + e + LANES))
                                if diagonals:
                                    above_a = subtract_saturated(ma, load8(diagonal, oa + e + LANES))
                                    above_b = subtract_saturated(mb, load8(antidiagonal, ob + e + LANES))
                            lv = _step(below_v, here_v, above_v, vp1, cost)
                            if ranged:
                                lv = bit_or(lv, outside)
                            store8(vertical, ov + e, lv)
                            below_v = here_v
                            here_v = above_v
                            min_v = minimum(min_v, lv)
                            # two path costs fit in a byte; what does not exist may wrap and is masked in the end
                            one = add(lh, lv)
                            if diagonals:
                                la = _step(below_a, here_a, above_a, vp1, cost)
                                lb = _step(below_b, here_b, above_b, vp1, cost)
                                if ranged:
                                    la = bit_or(la, outside)
                                    lb = bit_or(lb, outside)
                                store8(diagonal, oa + e, la)
                                store8(antidiagonal, ob + e, lb)
                                below_a = here_a
                                below_b = here_b
                                here_a = above_a
                                here_b = above_b
                                min_a = minimum(min_a, la)
                                min_b = minimum(min_b, lb)
                                two = add(la, lb)
                            if wide:
                                even = even_bytes(one)
                                odd = odd_bytes(one)
                                if diagonals:
                                    even = add(even, even_bytes(two))
                                    odd = add(odd, odd_bytes(two))
                                if final:
                                    prefetch(sums, so + ahead + e)
                                    prefetch(sums, so + ahead + e + WIDE_LANES)
                                    even = add(even, load16(sums, so + e))
                                    odd = add(odd, load16(sums, so + e + WIDE_LANES))
                                    if adaptive:
                                        even = subtract(even, too_much)
                                        odd = subtract(odd, too_much)
                                    if masked:
                                        even = bit_or(even, subtract(zero16, even_bytes(outside)))
                                        odd = bit_or(odd, subtract(zero16, odd_bytes(outside)))
                                    min_s16 = minimum(min_s16, minimum(even, odd))
                                    # wide vector w = b (even lanes) or n + b (odd): label t 2n + w in lane t
                                    store16(block, lo + e, even)
                                    store16(block, lo + size + e, odd)
                                else:
                                    stream16(sums, so + e, even)
                                    stream16(sums, so + e + WIDE_LANES, odd)
                            else:
                                total = one
                                if diagonals:
                                    total = add(one, two)
                                if final:
                                    prefetch(sums, so + ahead + e)
                                    total = add_saturated(total, load8(sums, so + e))
                                    if masked:
                                        total = bit_or(total, outside)
                                    min_s8 = minimum(min_s8, total)
                                    store8(block, lo + e, total)
                                else:
                                    stream8(sums, so + e, total)
                        store8(block, MINIMA + i * LANES, min_v)
                        if diagonals:
                            store8(block, MINIMA + (GROUP + i) * LANES, min_a)
                            store8(block, MINIMA + (2 * GROUP + i) * LANES, min_b)
                        if final:
                            if wide:
                                store16(block, LINE_MINIMA + i * LANES, min_s16)
                            else:
                                store8(block, LINE_MINIMA + i * LANES, min_s8)
                    x += dx
                    ov += size
                    slot_a += 1
                    if slot_a == slots:
                        slot_a = 0
                    slot_b += 1
                    if slot_b == slots:
                        slot_b = 0
                # the least costs of these pixels and the P2 towards the next row
                for k in range(3 if diagonals else 1):
                    values = minima_of_16(block, MINIMA + k * GROUP * LANES)
                    if adaptive:
                        o = (k + 1) * penalty_plane + (y + 1 - back) * penalty_stride + x0
                        if forward:
                            o += (0, 1, -1)[k]
                        values = add(values, _known(penalty, o, forward))
                    else:
                        values = add(values, vp2)
                    store8(least, after + k * least_stride + s0, values)
                if diagonals and s1 == width:  # nothing comes in from beyond the border
                    set_element(least, after + 2 * least_stride + width, p2 * 0x01010101)
                publish(progress, (r + 1) * COUNTER_STRIDE, s1)
                if final:
                    if wide:
                        wide_winners(block, n, forward, s1 - s0, uniqueness, window, names)
                    else:
                        narrow_winners(block, n, forward, s1 - s0, uniqueness, window, names)
                    finish_group(
                        block, n, sum_bytes, forward, s1 - s0, valid_at, width - 1 - x0, y * width + x0, area, right_sum,
                        right_label, winner, winner_sums, ambiguous,
                    )  # fmt: skip
            if final:
                finish_right_view(
                    block, n, sum_bytes, forward, window, names, right_sum, right_label, width, minimum_disparity, y, right_winner
                )  # fmt: skip

    return sweep


def kernel(
    vectors: int, *, final: bool, gradient: bool, wide: bool, adaptive: bool, diagonals: bool, padded: bool, ranged: bool
) -> Any:
    """The sweep for `vectors` groups of 64 labels."""
    unrolled = vectors if vectors <= _UNROLLED else 0
    return _build(Variant(unrolled, final, gradient, wide, adaptive, diagonals, padded and not ranged, ranged))
