"""From the sweeps' winners to sub-pixel labels and reasons: parabola, left-right check, candidates that do not exist."""

from typing import Any

import numpy as np

from stereo.kernels import compiled, inlined

MARGIN = 8
"""px around the maps handed to the plane fit"""
FRACTION = 1024
"""labels are multiples of 1 / 1024 px, so that adding a whole disparity is exact in float32 (below 8192 px)"""

NO_LABEL = -1e9
"""label of a pixel without an answer: farther from every real one than any gate reaches, and exact in float32"""

# bits of stereo.maps.Reason; kernels know nothing of the packages above them (a test holds the two equal)
LEFT_NODATA, NO_CANDIDATE, OUTSIDE_RIGHT, AMBIGUOUS, LEFT_RIGHT, SPECKLE, RANGE_EDGE = 1, 2, 4, 8, 16, 32, 64
OCCLUDED, MISMATCHED, RIGHT_NODATA, CUT_RANGE, LOW_CONFIDENCE = 256, 512, 1024, 2048, 4096
FILLED_OCCLUSION, FILLED_MISMATCH, UNSUPPORTED = 8192, 16384, 32768


@inlined
def _count_candidates(right_row: Any, minimum: Any, labels: Any, known: Any, cut: Any) -> None:
    """Bits of pixels some or all of whose candidates hold no data, into `cut`; `known`: (W + 1) working memory."""
    width = len(right_row)
    for x in range(width):
        known[x + 1] = known[x] + np.int32(right_row[x])
    for x in range(width):  # candidates: columns x - minimum - labels + 1 ... x - minimum
        c0 = min(max(x - minimum - labels + 1, 0), width)
        c1 = min(max(x - minimum + 1, 0), width)
        count = known[c1] - known[c0]
        cut[x] = NO_CANDIDATE if count == 0 else CUT_RANGE if count < labels else 0


@compiled
def select(
    winner: Any,
    winner_sums: Any,
    ambiguous: Any,
    right_winner: Any,
    right_valid: Any,
    right_from: Any,
    right_to: Any,
    minimum: Any,
    labels: Any,
    tolerance: Any,
    label: Any,
    reason: Any,
    y_from: Any,
    y_to: Any,
) -> None:
    """Fill rows of `label` (H + 2 MARGIN, stride) and `reason` (H, W).

    label: disparity - `minimum`, by a parabola through the three sums at the winner; `NO_LABEL` without an answer. The left-right
    check compares with the right image's winner over all candidates of the same sums. Where it fails, the pixel is occluded when
    no winner of the right image points within 1 px of it, and mismatched otherwise (Hirschmueller, PAMI 2008, section II-E: the
    epipolar line misses or meets the right image's disparities). `right_from`, `right_to`: the right image's columns with data.
    """
    width = winner.shape[1]
    known = np.zeros(width + 1, np.int32)
    whole, cut = np.empty(width, np.uint16), np.empty(width, np.uint16)
    fractions = np.empty(width, np.float32)
    met, seen = np.empty(width + 2, np.uint8), np.empty(width, np.int16)
    zero, bit_none, bit_outside, bit_nodata = np.int32(0), np.int32(NO_CANDIDATE), np.int32(OUTSIDE_RIGHT), np.int32(RIGHT_NODATA)
    bit_edge, bit_ambiguous, bit_left = np.int32(RANGE_EDGE), np.int32(AMBIGUOUS), np.int32(LEFT_NODATA)
    parted_met, parted_unmet = np.int32(LEFT_RIGHT | MISMATCHED), np.int32(LEFT_RIGHT | OCCLUDED)
    invalid = np.int32(~(RANGE_EDGE | CUT_RANGE))
    none = np.float32(NO_LABEL)
    last = np.int32(labels - 1)
    first, begin, end = np.int32(minimum), np.int32(right_from), np.int32(right_to)
    wide = np.int32(width)
    for x in range(width):
        whole[x] = 1
    _count_candidates(whole, minimum, labels, known, cut)
    for x in range(width):
        whole[x] = cut[x]
    for y in range(y_from, y_to):
        middle_row, lower_row, upper_row = winner_sums[0, y], winner_sums[1, y], winner_sums[2, y]
        for x in range(width):  # without branches, so that it is vectorised
            lower, upper = np.int32(lower_row[x]), np.int32(upper_row[x])
            bend = max(lower + upper - np.int32(2) * np.int32(middle_row[x]), np.int32(1))
            fractions[x] = np.rint(np.float32(lower - upper) * np.float32(FRACTION // 2) / np.float32(bend))
        right_row, there_row = right_valid[y], right_winner[y]
        valid = np.int32(0)
        for x in range(width):
            valid += np.int32(right_row[x])
        all_valid = valid == wide
        if not all_valid:
            _count_candidates(right_row, minimum, labels, known, cut)
        met[:] = 0
        for x in range(width):
            there = np.int32(there_row[x])
            place = np.int32(x) + first + there + np.int32(1)
            met[place if (there >= 0) & (place > 0) & (place <= wide) else 0] = 1
        met[0] = 0
        winner_row, ambiguous_row, reason_row = winner[y], ambiguous[y], reason[y]
        cut_row = whole if all_valid else cut
        label_row = label[y + MARGIN, MARGIN:]
        for x in range(width):  # what cannot be vectorised, apart
            column = np.uint32(min(max(np.int32(x) - first - np.int32(winner_row[x]), np.int32(0)), wide - np.int32(1)))
            seen[x] = there_row[column] if right_row[column] else np.int16(-2)
        for x in range(width):
            best = np.int32(winner_row[x])
            edge = (best == 0) | (best == last)
            fraction = np.float32(0.0) if edge else fractions[x] * np.float32(1.0 / FRACTION)
            place = np.int32(x) - first - best
            there = np.int32(seen[x])
            outside = (place < begin) | (place >= end)
            away = abs(np.float32(there - best) - fraction)
            parted = parted_met if (met[x] | met[x + 1] | met[x + 2]) != 0 else parted_unmet
            checked = parted if (there < 0) | (away > tolerance) else zero
            why = np.int32(cut_row[x])
            missing = bit_outside if outside else bit_nodata
            missing = zero if why == bit_none else missing
            why |= missing if outside | (there == np.int32(-2)) else checked
            why |= bit_edge if edge else zero
            why |= bit_ambiguous if ambiguous_row[x] else zero
            why = bit_left if best < 0 else why
            reason_row[x] = np.uint16(why)
            label_row[x] = np.float32(best) + fraction if (why & invalid) == 0 else none
