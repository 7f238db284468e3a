"""How much each label is to be believed: agreement of the labels around it, and its own matching sum."""

from typing import Any

import numpy as np

from stereo.kernels import compiled, inlined
from stereo.kernels.select import LOW_CONFIDENCE, MARGIN, NO_LABEL
from stereo.kernels.simd import (
    FLOAT_LANES,
    absolute_f,
    add_f,
    divide_f,
    load_f,
    maximum_f,
    multiply_add_f,
    multiply_f,
    splat_f,
    store_f,
    subtract_f,
)

_TAPS = 12
"""(+-2, -4), (0 and +-4, -2), (+-2, 0), (0 and +-4, 2), (+-2, 4) px: every second place of a 9 x 9 grid of step 2"""
GATE_PX, GATE_GREY, LEAST_ALIKE = 2.0, 25.0, 0.05
"""labels farther apart have no weight, pixels that look more different the least"""
FAR_GREY = -1e4
"""grey value outside the image and where it holds no data: like no other"""
Z_LOWEST, Z_STEPS = -8.0, 32
"""the table of probabilities: entry i is that of log odds Z_LOWEST + i / Z_STEPS"""


@inlined
def _weights(label: Any, grey: Any, o: Any, l0: Any, g0: Any, minus_gate2: Any, minus_grey1: Any) -> Any:
    one, zero = splat_f(1.0), splat_f(0.0)
    dl = subtract_f(load_f(label, o), l0)
    near = maximum_f(multiply_add_f(multiply_f(dl, dl), minus_gate2, one), zero)
    alike = maximum_f(multiply_add_f(absolute_f(subtract_f(load_f(grey, o), g0)), minus_grey1, one), splat_f(LEAST_ALIKE))
    return near, alike


@compiled
def confide(
    label: Any,
    grey: Any,
    sums: Any,
    coefficients: Any,
    table: Any,
    smallest: Any,
    doubt: Any,
    reason: Any,
    disparity: Any,
    sigma: Any,
    confidence: Any,
    y_from: Any,
    y_to: Any,
) -> None:
    """Fill rows of `confidence` (H, W), 0 without an answer; where it is below `smallest`, the answer is taken away.

    What remains of doubt widens the error bar: sigma^2 grows by (`doubt` px (1 - confidence))^2.

    Around each pixel, over 12 taps: near = (1 - (dl / GATE_PX)^2)+, alike = max(1 - |dI| / GATE_GREY,
    LEAST_ALIKE);
    agreement = sum(near alike) / sum(alike), nearness = mean(near). Log odds = c0 + c1 min(agreement, c2)
    + c3 clip(nearness - c4, 0, c5) - c6 clip(sums - c7, 0, c8), `coefficients` c. label, grey: (H + 2 MARGIN, stride), grey
    `FAR_GREY` where there is no data; sums: (H, W), the winners'.
    """
    width = reason.shape[1]
    stride = label.shape[1]
    agreement, nearness = np.empty(width + FLOAT_LANES, np.float32), np.empty(width + FLOAT_LANES, np.float32)
    zero, part = splat_f(0.0), splat_f(1.0 / _TAPS)
    minus_gate2, minus_grey1 = splat_f(-1.0 / (GATE_PX * GATE_PX)), splat_f(-1.0 / GATE_GREY)
    nan, none = np.float32(np.nan), np.float32(NO_LABEL / 2)
    c0, c1, c2, c3 = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    c4, c5, c6, c7, c8 = coefficients[4], coefficients[5], coefficients[6], coefficients[7], coefficients[8]
    scale, lowest, last = np.float32(Z_STEPS), np.float32(Z_LOWEST), np.float32(len(table) - 1)
    nothing = np.float32(0.0)
    for y in range(y_from, y_to):
        for x in range(0, width, FLOAT_LANES):
            c = (y + MARGIN) * stride + x + MARGIN
            l0 = load_f(label, c)
            g0 = load_f(grey, c)
            both, seen, close = zero, zero, zero
            for k in range(5):
                o = c + (2 * k - 4) * stride
                if k % 2 == 1:
                    near, alike = _weights(label, grey, o, l0, g0, minus_gate2, minus_grey1)
                    both = multiply_add_f(near, alike, both)
                    seen = add_f(seen, alike)
                    close = add_f(close, near)
                i = 4 if k % 2 == 1 else 2
                nr, ar = _weights(label, grey, o + i, l0, g0, minus_gate2, minus_grey1)
                nl, al = _weights(label, grey, o - i, l0, g0, minus_gate2, minus_grey1)
                # left and right first: a mirrored image gives the same bytes
                both = add_f(both, add_f(multiply_f(nr, ar), multiply_f(nl, al)))
                seen = add_f(seen, add_f(ar, al))
                close = add_f(close, add_f(nr, nl))
            store_f(agreement, x, divide_f(both, seen))
            store_f(nearness, x, multiply_f(close, part))
        label_row, sums_row, reason_row = label[y + MARGIN, MARGIN:], sums[y], reason[y]
        for x in range(width):
            z = c0 + c1 * min(agreement[x], c2)
            z += c3 * min(max(nearness[x] - c4, nothing), c5)
            z -= c6 * min(max(np.float32(sums_row[x]) - c7, nothing), c8)
            agreement[x] = min(max((z - lowest) * scale + np.float32(0.5), nothing), last)
        for x in range(width):
            value = table[np.uint32(agreement[x])] if label_row[x] > none else nothing
            if value < smallest and label_row[x] > none:
                reason_row[x] |= LOW_CONFIDENCE
                disparity[y, x] = nan
                sigma[y, x] = nan
                value = nothing
            wide = doubt * (np.float32(1.0) - value)
            sigma[y, x] = np.sqrt(sigma[y, x] * sigma[y, x] + wide * wide)
            confidence[y, x] = value
