"""The winner of each pixel's sums, its neighbours and rivals, and the same sums seen from the right image.

A right pixel's candidates lie on a diagonal: label d of left column x. While a sweep moves by one column, label d of the right
pixels in reach becomes label d + 1 (forward) or d - 1. Their best sums so far are kept in a window of vectors: with the labels
spread over the vectors, that move only renames the vectors, and one of them is shifted by a lane; the lane that falls out
belongs to a right pixel that has seen all of its candidates.

Every function works in a thread's block (`block`); `width`: bytes of a sum, 1 or 2.
"""

from typing import Any

import numpy as np

from stereo.kernels import inlined
from stereo.kernels.block import (
    BEST,
    FOUND,
    LEAVING,
    LINE_MINIMA,
    OUT,
    labels_at,
    line_at,
    line_size,
    spare_at,
    table_at,
)
from stereo.kernels.lanes import (
    GROUP,
    as_bytes,
    as_words,
    first_none,
    first_none16,
    last_none,
    last_none16,
    load_bytes,
    load_longs,
    load_words,
    minima_of_16,
    repeat8,
    repeat16,
    repeat_down,
    repeat_down16,
    repeat_up,
    repeat_up16,
    reversed_bytes,
    reversed_words,
    scaled,
    splat_longs,
    store_bytes,
    store_longs,
    store_words,
    times,
    wide_minima_of_16,
)
from stereo.kernels.simd import (
    LANES,
    WIDE_LANES,
    add,
    bit_and,
    bit_or,
    byte,
    first_bit,
    half_word,
    lanes_equal,
    lanes_less,
    load8,
    load16,
    minimum,
    number_of_bits,
    set_byte,
    set_element,
    set_half_word,
    set_word,
    splat8,
    store8,
    store16,
    where_less,
    word,
)

NO_SUM8, NO_SUM16 = 255, 60_000
"""sums from here on belong to no candidate (bytes: or are saturated)"""
RIGHT_MARGIN = LANES
"""entries before the first one of a row of right sums, and behind the last"""


@inlined
def start_right_view(window: Any, count: Any) -> None:
    """No sum yet for any right pixel of the row; `window`: `count` vectors."""
    for b in range(count):
        store8(window, b * LANES, splat8(255))


@inlined
def narrow_winners(block: Any, n: Any, forward: Any, count: Any, uniqueness: Any, window: Any, names: Any) -> None:
    """The winners of a group of `count` pixels with sums of one byte; `names`: the labels in `window`."""
    smallest = minima_of_16(block, LINE_MINIMA)
    store8(block, FOUND, smallest)
    least = bit_and(load_longs(block, FOUND), splat_longs(255))
    limits = add(scaled(least, uniqueness), splat_longs(1))  # at least a tie is ambiguous
    store_longs(block, FOUND + LANES, times(minimum(limits, splat_longs(NO_SUM8)), 0x01010101))
    labels, table, line = labels_at(n), table_at(n, 1), line_at(n, 1)
    for i in range(count):
        v_smallest = repeat8(block, FOUND + 4 * i)
        v_limit = repeat8(block, FOUND + LANES + 4 * i)
        best = n * LANES
        rivals = 0
        for b in range(n):
            v = load8(block, line + b * LANES)
            best = min(best, first_bit(lanes_equal(v, v_smallest)) * n + b)  # 64 where no lane is equal: beyond every label
            rivals += number_of_bits(lanes_less(v, v_limit))
        set_word(block, BEST + 4 * i, best)
        set_word(block, BEST + LANES + 4 * i, byte(block, line + word(block, table + 4 * best)))
        set_word(block, BEST + 2 * LANES + 4 * i, byte(block, line + word(block, table + 4 * best + 8)))
        set_word(block, BEST + 3 * LANES + 4 * i, rivals)
        if forward:  # labels rise: of equal sums the first stays
            old, name = load8(window, (n - 1) * LANES), load8(names, (n - 1) * LANES)
            v = load8(block, line + (n - 1) * LANES)
            name = where_less(v, old, load8(block, labels + (n - 1) * LANES), name)
            leaving = minimum(v, old)
            for k in range(n - 1):
                b = n - 2 - k
                v = load8(block, line + b * LANES)
                other = load8(window, b * LANES)
                store8(names, (b + 1) * LANES, where_less(v, other, load8(block, labels + b * LANES), load8(names, b * LANES)))
                store8(window, (b + 1) * LANES, minimum(v, other))
            store8(window, 0, bit_or(repeat_up(leaving), first_none()))
            store8(names, 0, repeat_up(name))
            store8(block, LEAVING + GROUP - 1 - i, leaving)
            store8(block, LEAVING + 2 * LANES + GROUP - 1 - i, name)
        else:
            old, name = load8(window, 0), load8(names, 0)
            v = load8(block, line)
            name = where_less(old, v, name, load8(block, labels))
            leaving = minimum(v, old)
            for b in range(1, n):
                v = load8(block, line + b * LANES)
                other = load8(window, b * LANES)
                store8(names, (b - 1) * LANES, where_less(other, v, load8(names, b * LANES), load8(block, labels + b * LANES)))
                store8(window, (b - 1) * LANES, minimum(v, other))
            store8(window, (n - 1) * LANES, bit_or(repeat_down(leaving), last_none()))
            store8(names, (n - 1) * LANES, repeat_down(name))
            store8(block, LEAVING + i, leaving)
            store8(block, LEAVING + 2 * LANES + i, name)
        line += line_size(n, 1)


@inlined
def wide_winners(block: Any, n: Any, forward: Any, count: Any, uniqueness: Any, window: Any, names: Any) -> None:
    """The same for sums of two bytes: 2 n vectors of 32 lanes."""
    store16(block, FOUND, wide_minima_of_16(block, LINE_MINIMA))
    least = bit_and(load_longs(block, FOUND), splat_longs(65535))
    limits = add(scaled(least, uniqueness), splat_longs(1))
    store_longs(block, FOUND + LANES, times(minimum(limits, splat_longs(NO_SUM16)), 0x00010001))
    labels, table, line = labels_at(n), table_at(n, 2), line_at(n, 2)
    n2 = 2 * n
    for i in range(count):
        v_smallest = repeat16(block, FOUND + 4 * i)
        v_limit = repeat16(block, FOUND + LANES + 4 * i)
        best = n * LANES
        rivals = 0
        for w in range(n2):
            v = load16(block, line + w * LANES)
            best = min(best, first_bit(lanes_equal(v, v_smallest)) * n2 + w)
            rivals += number_of_bits(lanes_less(v, v_limit))
        set_word(block, BEST + 4 * i, best)
        set_word(block, BEST + LANES + 4 * i, half_word(block, line + word(block, table + 4 * best)))
        set_word(block, BEST + 2 * LANES + 4 * i, half_word(block, line + word(block, table + 4 * best + 8)))
        set_word(block, BEST + 3 * LANES + 4 * i, rivals)
        if forward:
            old, name = load16(window, (n2 - 1) * LANES), load16(names, (n2 - 1) * LANES)
            v = load16(block, line + (n2 - 1) * LANES)
            name = where_less(v, old, load16(block, labels + (n2 - 1) * LANES), name)
            leaving = minimum(v, old)
            for k in range(n2 - 1):
                w = n2 - 2 - k
                v = load16(block, line + w * LANES)
                other = load16(window, w * LANES)
                store16(names, (w + 1) * LANES, where_less(v, other, load16(block, labels + w * LANES), load16(names, w * LANES)))
                store16(window, (w + 1) * LANES, minimum(v, other))
            store16(window, 0, bit_or(repeat_up16(leaving), first_none16()))
            store16(names, 0, repeat_up16(name))
            store16(block, LEAVING + 2 * (GROUP - 1 - i), leaving)
            store16(block, LEAVING + 2 * LANES + 2 * (GROUP - 1 - i), name)
        else:
            old, name = load16(window, 0), load16(names, 0)
            v = load16(block, line)
            name = where_less(old, v, name, load16(block, labels))
            leaving = minimum(v, old)
            for w in range(1, n2):
                v = load16(block, line + w * LANES)
                other = load16(window, w * LANES)
                store16(names, (w - 1) * LANES, where_less(other, v, load16(names, w * LANES), load16(block, labels + w * LANES)))
                store16(window, (w - 1) * LANES, minimum(v, other))
            store16(window, (n2 - 1) * LANES, bit_or(repeat_down16(leaving), last_none16()))
            store16(names, (n2 - 1) * LANES, repeat_down16(name))
            store16(block, LEAVING + 2 * i, leaving)
            store16(block, LEAVING + 2 * LANES + 2 * i, name)
        line += line_size(n, 2)


@inlined
def finish_group(
    block: Any, n: Any, width: Any, forward: Any, count: Any, valid: Any, entry: Any, place: Any, area: Any,
    right_sum: Any, right_label: Any, winner: Any, winner_sums: Any, ambiguous: Any,
) -> None:  # fmt: skip
    """Hand out what a group found.

    `valid`: where in the block the left pixels' flags lie; `entry`: place of the group's first pixel in the right image's rows;
    `place`: its place in the maps (`area` pixels).
    """
    # right pixels that have seen all their candidates; entries beyond them are written again later
    if width == 1:
        to = RIGHT_MARGIN + entry
        lead = LEAVING
        if forward:
            to += n * LANES - GROUP
            lead += LANES - 1
        store_bytes(right_sum, to, load_bytes(block, lead))
        store_bytes(right_label, to, load_bytes(block, lead + 2 * LANES))
        limit = NO_SUM8
        mask = 255
    else:
        to = RIGHT_MARGIN + entry
        lead = LEAVING
        if forward:
            to += n * LANES - GROUP
            lead += 2 * (WIDE_LANES - 1)
        store_words(right_sum, to, load_words(block, lead))
        store_words(right_label, to, load_words(block, lead + 2 * LANES))
        limit = NO_SUM16
        mask = 65535
    rivals = load_longs(block, BEST + 3 * LANES)
    lower, upper = load_longs(block, BEST + LANES), load_longs(block, BEST + 2 * LANES)
    smallest = bit_and(load_longs(block, FOUND), splat_longs(mask))
    limits = bit_and(load_longs(block, FOUND + LANES), splat_longs(mask))
    one, zero, none = splat_longs(1), splat_longs(0), splat_longs(limit)
    best = where_less(zero, load_longs(block, valid), load_longs(block, BEST), splat_longs(-1))
    # the winner itself and its neighbours are no rivals; sums that are saturated cannot be told apart
    allowed = add(one, add(where_less(lower, limits, one, zero), where_less(upper, limits, one, zero)))
    unclear = where_less(allowed, rivals, one, where_less(limits, none, zero, one))
    lower = where_less(lower, none, lower, upper)  # a neighbour that is no candidate counts like the other one: no fraction
    upper = where_less(upper, none, upper, lower)
    if forward:
        store_words(block, OUT, as_words(best))
        store_words(block, OUT + 32, as_words(smallest))
        store_words(block, OUT + 64, as_words(lower))
        store_words(block, OUT + 96, as_words(upper))
        store_bytes(block, OUT + 128, as_bytes(unclear))
        first = 0
    else:
        store_words(block, OUT, reversed_words(best))
        store_words(block, OUT + 32, reversed_words(smallest))
        store_words(block, OUT + 64, reversed_words(lower))
        store_words(block, OUT + 96, reversed_words(upper))
        store_bytes(block, OUT + 128, reversed_bytes(unclear))
        first = GROUP - count
        place -= count - 1
    if count == GROUP:
        store_words(winner, place, load_words(block, OUT))
        for k in range(3):
            store_words(winner_sums, k * area + place, load_words(block, OUT + 32 + 32 * k))
        store_bytes(ambiguous, place, load_bytes(block, OUT + 128))
    else:  # what lies behind may be another thread's
        for i in range(count):
            at = OUT + 2 * (first + i)
            set_element(winner, place + i, half_word(block, at))
            for k in range(3):
                set_element(winner_sums, k * area + place + i, half_word(block, at + 32 + 32 * k))
            set_element(ambiguous, place + i, byte(block, OUT + 128 + first + i))


@inlined
def finish_right_view(
    block: Any, n: Any, width: Any, forward: Any, window: Any, names: Any, right_sum: Any,
    right_label: Any, columns: Any, minimum_disparity: Any, y: Any, right_winner: Any,
) -> None:  # fmt: skip
    """Empty the window behind the last pixel; the right image's winners of a row, -1 without any."""
    size = n * LANES
    m = width * n
    sums, labels = spare_at(n, width), spare_at(n, width) + m * LANES
    for b in range(m):
        store8(block, sums + b * LANES, load8(window, b * LANES))
        store8(block, labels + b * LANES, load8(names, b * LANES))
    start = RIGHT_MARGIN - 1 if forward else RIGHT_MARGIN + columns
    for b in range(m):
        for lane in range(LANES // width):
            to = start + lane * m + b
            at = b * LANES + lane * width
            if width == 1:
                set_byte(right_sum, to, byte(block, sums + at))
                set_byte(right_label, to, byte(block, labels + at))
            else:
                set_half_word(right_sum, to, half_word(block, sums + at))
                set_half_word(right_label, to, half_word(block, labels + at))
    row = y * columns
    first = columns - 1 - minimum_disparity  # entry of the right column 0
    x0 = min(max(first - (columns + size - 2), 0), columns)
    x1 = max(min(first + 1, columns), x0)
    for x in range(x0):
        set_half_word(right_winner, row + x, -1)
    for x in range(x1, columns):
        set_half_word(right_winner, row + x, -1)
    for x in range(x0, x1):
        at = RIGHT_MARGIN + first - x
        if width == 1:
            label = byte(right_label, at) if byte(right_sum, at) < NO_SUM8 else np.int64(-1)
        else:
            label = half_word(right_label, at) if half_word(right_sum, at) < NO_SUM16 else np.int64(-1)
        set_half_word(right_winner, row + x, label)
