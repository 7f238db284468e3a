"""Values for pixels without an answer: from their row, then a colour-weighted median. Whole numbers, so that sums are exact."""

from typing import Any

import numpy as np

from stereo.kernels import compiled

FRACTION_BITS = 10
FRACTION = 1 << FRACTION_BITS
"""values are multiples of 1 / 1024 px"""
NONE = -(2**31)
"""value of a pixel that stays empty"""
WEIGHT = 1024
"""weight of a pixel of the same colour"""
RADIUS, STEP = 6, 3
"""px: 25 taps of a 13 x 13 window"""


@compiled
def fill_rows(disparity: Any, offset: Any, empty: Any, value: Any, distance: Any, y_from: Any, y_to: Any) -> None:
    """`value` (H, W) int32, 1 / FRACTION px above `offset`: the measured one, or the lower of the nearest on the row.

    distance: (H, W) int32 px to the nearer of the two, 0 where measured. Pixels of `empty` (H, W) stay without a value.
    """
    width = disparity.shape[1]
    scale = np.float32(FRACTION)
    for y in range(y_from, y_to):
        row, empty_row, value_row, distance_row = disparity[y], empty[y], value[y], distance[y]
        x = 0
        left = np.int32(NONE)
        while x < width:
            if not np.isnan(row[x]):
                left = np.int32(np.rint((row[x] - offset) * scale))
                value_row[x] = left
                distance_row[x] = 0
                x += 1
                continue
            end = x
            while end < width and np.isnan(row[end]):
                end += 1
            right = np.int32(np.rint((row[end] - offset) * scale)) if end < width else np.int32(NONE)
            lower = right if left == NONE else left if right == NONE else min(left, right)
            for i in range(x, end):
                before = i - x + 1 if left != NONE else width
                after = end - i if right != NONE else width
                value_row[i] = NONE if empty_row[i] else lower
                distance_row[i] = min(before, after)
            x = end


@compiled
def put(
    value: Any,
    distance: Any,
    weighted: Any,
    first: Any,
    second: Any,
    third: Any,
    weights: Any,
    bins: Any,
    numbers: Any,
    hidden: Any,
    mark_hidden: Any,
    mark_other: Any,
    disparity: Any,
    sigma: Any,
    reason: Any,
    confidence: Any,
    y_from: Any,
    y_to: Any,
) -> None:
    """Filled values with error bar, mark and confidence into the maps; what was measured stays as it is.

    With `weighted`, the value is the colour-weighted median of those around: in bins of 1 px, the weighted mean of its bin; and
    spread the mean square difference from it. first, second, third: (H, W) uint8 channels; weights: (256,) int32 by the largest
    difference of a channel; value: of `fill_rows`, 0 ... (bins - 1) FRACTION.

    numbers: offset, floor_variance, variance_per_px2, best_confidence, half_distance. sigma^2 = floor_variance
    + variance_per_px2 distance^2 + spread; confidence = best_confidence / (1 + (distance / half_distance)^2). A pixel with one of
    the bits `hidden` gets `mark_hidden`, any other `mark_other`.
    """
    height, width = value.shape
    weight, total = np.zeros(bins + 1, np.int32), np.zeros(bins + 1, np.int64)
    scale, one = np.float32(1.0 / FRACTION), np.float32(1.0)
    for y in range(y_from, y_to):
        for x in range(width):
            if distance[y, x] == 0 or value[y, x] == NONE:
                continue
            middle, square, all_weights = np.float32(value[y, x]), np.float32(0.0), np.int32(0)
            if weighted:
                c1, c2, c3 = np.int32(first[y, x]), np.int32(second[y, x]), np.int32(third[y, x])
                low, high = np.int32(bins), np.int32(0)
                u0 = x - RADIUS
                while u0 < 0:
                    u0 += STEP
                u1 = min(x + RADIUS + 1, width)
                for v in range(y - RADIUS, y + RADIUS + 1, STEP):
                    if v < 0 or v >= height:
                        continue
                    row = np.uint32(v)
                    for u in range(np.uint32(u0), np.uint32(u1), np.uint32(STEP)):
                        there = value[row, u]
                        if there == NONE:
                            continue
                        away = abs(np.int32(first[row, u]) - c1)
                        away = max(away, abs(np.int32(second[row, u]) - c2), abs(np.int32(third[row, u]) - c3))
                        w = weights[np.uint32(away)]
                        k = (there + np.int32(FRACTION // 2)) >> np.int32(FRACTION_BITS)
                        weight[np.uint32(k)] += w
                        total[np.uint32(k)] += np.int64(w) * np.int64(there)
                        all_weights += w
                        low, high = min(low, k), max(high, k)
                below, half = np.int32(0), (all_weights + 1) // 2
                for k in range(np.uint32(low), np.uint32(high + 1)):
                    below += weight[k]
                    if below >= half:
                        middle = np.float32(np.rint(total[k] / weight[k]))
                        break
                for k in range(np.uint32(low), np.uint32(high + 1)):
                    w = weight[k]
                    if w > 0:
                        away_px = (np.float32(total[k]) / np.float32(w) - middle) * scale
                        square += np.float32(w) * away_px * away_px
                        weight[k] = 0
                        total[k] = 0
            far = np.float32(distance[y, x])
            spread = square / np.float32(max(all_weights, np.int32(1)))
            disparity[y, x] = middle * scale + numbers[0]
            sigma[y, x] = np.sqrt(numbers[1] + numbers[2] * far * far + spread)
            reason[y, x] |= mark_hidden if reason[y, x] & hidden != 0 else mark_other
            share = far / numbers[4]
            confidence[y, x] = numbers[3] / (one + share * share)
