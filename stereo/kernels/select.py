"""From the sweeps' winners to sub-pixel labels and reasons: parabola, left-right check, candidates that do not exist."""

from typing import Any

import numpy as np

from stereo.kernels import compiled

MARGIN = 4
"""px around the maps handed to the plane fit"""
FRACTION = 1024
"""labels are multiples of 1 / 1024 px, so that adding a whole disparity is exact in float32 (below 8192 px)"""

NO_LABEL = -1e9
"""label of a pixel without an answer: farther from every real one than any gate reaches, and exact in float32"""

# bits of stereo.maps.Reason; kernels know nothing of the packages above them (a test holds the two equal)
LEFT_NODATA, NO_CANDIDATE, OUTSIDE_RIGHT, AMBIGUOUS, LEFT_RIGHT, SPECKLE, RANGE_EDGE = 1, 2, 4, 8, 16, 32, 64


@compiled
def select(
    winner: Any,
    winner_sums: Any,
    ambiguous: Any,
    right_winner: Any,
    right_valid: Any,
    minimum: Any,
    labels: Any,
    tolerance: Any,
    label: Any,
    reason: Any,
    y_from: Any,
    y_to: Any,
) -> None:
    """Fill rows of `label` (H + 2 MARGIN, stride) and `reason` (H, W).

    label: disparity - `minimum`, by a parabola through the three sums at the winner; `NO_LABEL` without an answer.
    The left-right check compares with the right image's winner over all candidates of the same sums.
    """
    width = winner.shape[1]
    known = np.zeros(width + 1, np.int32)
    fractions = np.empty(width, np.float32)
    half = np.float32(0.5)
    none = np.float32(NO_LABEL)
    for y in range(y_from, y_to):
        middle_row, lower_row, upper_row = winner_sums[0, y], winner_sums[1, y], winner_sums[2, y]
        for x in range(width):  # without branches, so that it is vectorised
            lower, upper = np.int32(lower_row[x]), np.int32(upper_row[x])
            bend = max(lower + upper - np.int32(2) * np.int32(middle_row[x]), np.int32(1))
            steps = np.floor(np.float32(lower - upper) * np.float32(FRACTION // 2) / np.float32(bend) + half)
            fractions[x] = steps * np.float32(1.0 / FRACTION)
        right_row = right_valid[y]
        for x in range(width):
            known[x + 1] = known[x] + np.int32(right_row[x])
        winner_row, there_row, ambiguous_row, reason_row = winner[y], right_winner[y], ambiguous[y], reason[y]
        label_row = label[y + MARGIN, MARGIN:]
        for x in range(width):
            best = np.int64(winner_row[x])
            if best < 0:
                reason_row[x] = LEFT_NODATA
                label_row[x] = none
                continue
            edge = best == 0 or best == labels - 1
            fraction = np.float32(0.0) if edge else fractions[x]
            why = RANGE_EDGE if edge else 0
            x_right = x - minimum - best
            if 0 <= x_right < width and right_row[x_right]:
                seen = there_row[x_right]
                if seen < 0 or abs(np.float32(seen - best) - fraction) > tolerance:
                    why |= LEFT_RIGHT
            else:
                # candidates of this pixel: columns x - minimum - labels + 1 ... x - minimum
                c0 = min(max(x - minimum - labels + 1, 0), width)
                c1 = min(max(x - minimum + 1, 0), width)
                why |= OUTSIDE_RIGHT if known[c1] > known[c0] else NO_CANDIDATE
            if ambiguous_row[x]:
                why |= AMBIGUOUS
            reason_row[x] = why
            label_row[x] = np.float32(best) + fraction if why & ~RANGE_EDGE == 0 else none
