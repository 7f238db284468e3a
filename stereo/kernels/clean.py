"""After the winner: speckle filter and the gated plane fit that removes pixel-locking."""

from typing import Any

import numpy as np

from stereo.kernels import compiled, inlined
from stereo.kernels.select import FRACTION, MARGIN, NO_LABEL, RANGE_EDGE, SPECKLE
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


@compiled
def _root(parent: Any, i: Any) -> Any:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@compiled
def find_patches(label: Any, step: Any, run: Any, parent: Any, size: Any, y_from: Any, y_to: Any) -> int:
    """Join pixels with an answer into patches: 4-neighbours within `step` px belong together.

    Runs along rows are joined by union-find. `run` (H, W): each pixel's run, -1 without an answer; `parent`, `size` (H W): a
    run's representative and its pixels. Runs of rows from `y_from` are numbered from y_from W, so that two halves may run side
    by side. Returns the number after the last run.
    """
    width = run.shape[1]
    none = np.float32(NO_LABEL)
    count = np.int32(y_from * width)
    for y in range(y_from, y_to):
        row = label[y + MARGIN]
        above = label[y + MARGIN - 1]
        current = np.int32(-1)
        joined = np.int32(-1)
        for x in range(width):
            c = x + MARGIN
            if row[c] == none:
                run[y, x] = -1
                current = np.int32(-1)
                joined = np.int32(-1)
                continue
            if current < 0 or abs(row[c] - row[c - 1]) > step:
                current = count
                parent[count] = count
                size[count] = 0
                count += np.int32(1)
                joined = np.int32(-1)
            run[y, x] = current
            size[current] += 1
            if y > y_from:
                other = run[y - 1, x]
                if other >= 0 and other != joined and abs(row[c] - above[c]) <= step:
                    _join(parent, other, current)
                    joined = other
    return int(count)


@inlined
def _join(parent: Any, i: Any, k: Any) -> None:
    a = _root(parent, i)
    b = _root(parent, k)
    if a != b:
        parent[max(a, b)] = min(a, b)


@compiled
def sum_patches(label: Any, step: Any, run: Any, parent: Any, size: Any, seam: Any, end_above: Any, end_below: Any) -> None:
    """Join the two halves along row `seam` and add up each patch at its root, the smallest of its runs.

    `end_above`, `end_below`: what `find_patches` returned for the rows above and below the seam.
    """
    height, width = run.shape
    if 0 < seam < height:
        for x in range(width):
            i, k = run[seam - 1, x], run[seam, x]
            near = abs(label[seam - 1 + MARGIN, x + MARGIN] - label[seam + MARGIN, x + MARGIN]) <= step
            if i >= 0 and k >= 0 and near:
                _join(parent, i, k)
    for first, end in ((0, end_above), (seam * width, end_below)):
        for i in range(first, end):
            if parent[i] != i:
                root = _root(parent, i)
                parent[i] = root
                size[root] += size[i]


@compiled
def remove_speckles(label: Any, reason: Any, run: Any, parent: Any, size: Any, smallest: Any, y_from: Any, y_to: Any) -> None:
    """Take the answer from the pixels of patches of fewer than `smallest` pixels."""
    width = run.shape[1]
    none = np.float32(NO_LABEL)
    for y in range(y_from, y_to):
        for x in range(width):
            i = run[y, x]
            if i >= 0 and size[parent[i]] < smallest:
                reason[y, x] |= SPECKLE
                label[y + MARGIN, x + MARGIN] = none


@compiled
def fit_planes(
    label: Any,
    grey: Any,
    radius: Any,
    step: Any,
    gate: Any,
    grey_gate: Any,
    ridge: Any,
    fitted: Any,
    residual: Any,
    y_from: Any,
    y_to: Any,
) -> None:
    """Weighted least-squares plane through the labels around each pixel: its value, and the residuals' variance.

    Weights: (1 - (dl / gate)^2)+ (1 - |dI| / grey_gate)+ over taps at multiples of `step` within `radius`; `ridge` is added to
    the variances of x and y. label, grey: (H + 2 MARGIN, stride); label is `NO_LABEL` without an answer and outside the image,
    too far from any other to have weight. fitted, residual: (H, width rounded up to 16). Averaging along the surface removes the
    dither that census and parabola leave (pixel-locking).
    """
    width = fitted.shape[1]
    stride = label.shape[1]
    one = splat_f(1.0)
    zero = splat_f(0.0)
    tiny = splat_f(1e-6)
    minus_gate2 = splat_f(-1.0 / (gate * gate))
    minus_grey1 = splat_f(-1.0 / grey_gate)
    bias = splat_f(ridge)
    for y in range(y_from, y_to):
        for x in range(0, width, FLOAT_LANES):
            c = (y + MARGIN) * stride + x + MARGIN
            l0 = load_f(label, c)
            g0 = load_f(grey, c)
            s = zero
            sx = zero
            sy = zero
            sxx = zero
            sxy = zero
            syy = zero
            sl = zero
            sll = zero
            slx = zero
            sly = zero
            for j in range(-radius, radius + 1, step):
                v = splat_f(j)
                row_s = zero
                row_l = zero
                row_x = zero
                for i in range(-radius, radius + 1, step):
                    o = c + j * stride + i
                    u = splat_f(i)
                    dl = subtract_f(load_f(label, o), l0)
                    near = maximum_f(multiply_add_f(multiply_f(dl, dl), minus_gate2, one), zero)
                    alike = maximum_f(multiply_add_f(absolute_f(subtract_f(load_f(grey, o), g0)), minus_grey1, one), zero)
                    q = multiply_f(near, alike)
                    qx = multiply_f(q, u)
                    ql = multiply_f(q, dl)
                    row_s = add_f(row_s, q)
                    row_x = add_f(row_x, qx)
                    row_l = add_f(row_l, ql)
                    sxx = multiply_add_f(qx, u, sxx)
                    slx = multiply_add_f(ql, u, slx)
                    sll = multiply_add_f(ql, dl, sll)
                s = add_f(s, row_s)
                sx = add_f(sx, row_x)
                sl = add_f(sl, row_l)
                sy = multiply_add_f(row_s, v, sy)
                sxy = multiply_add_f(row_x, v, sxy)
                sly = multiply_add_f(row_l, v, sly)
                syy = multiply_add_f(multiply_f(row_s, v), v, syy)
            n = divide_f(one, maximum_f(s, tiny))
            mx = multiply_f(sx, n)
            my = multiply_f(sy, n)
            ml = multiply_f(sl, n)
            cxx = add_f(subtract_f(multiply_f(sxx, n), multiply_f(mx, mx)), bias)
            cyy = add_f(subtract_f(multiply_f(syy, n), multiply_f(my, my)), bias)
            cxy = subtract_f(multiply_f(sxy, n), multiply_f(mx, my))
            clx = subtract_f(multiply_f(slx, n), multiply_f(mx, ml))
            cly = subtract_f(multiply_f(sly, n), multiply_f(my, ml))
            cll = subtract_f(multiply_f(sll, n), multiply_f(ml, ml))
            det = divide_f(one, subtract_f(multiply_f(cxx, cyy), multiply_f(cxy, cxy)))
            a = multiply_f(subtract_f(multiply_f(clx, cyy), multiply_f(cly, cxy)), det)
            b = multiply_f(subtract_f(multiply_f(cly, cxx), multiply_f(clx, cxy)), det)
            value = subtract_f(subtract_f(ml, multiply_f(a, mx)), multiply_f(b, my))
            store_f(fitted, y * width + x, add_f(l0, value))
            variance = subtract_f(subtract_f(cll, multiply_f(a, clx)), multiply_f(b, cly))
            store_f(residual, y * width + x, maximum_f(variance, zero))


@compiled
def finish(
    label: Any,
    fitted: Any,
    residual: Any,
    reason: Any,
    minimum: Any,
    floor_variance: Any,
    edge_variance: Any,
    disparity: Any,
    sigma: Any,
    y_from: Any,
    y_to: Any,
) -> None:
    """Signed disparity, rounded to 1 / 1024 px, and its sigma; NaN where there is no answer.

    sigma^2 = `floor_variance` + variance of the labels around the fitted plane (+ `edge_variance` at the edge of the range).
    """
    width = reason.shape[1]
    nan = np.float32(np.nan)
    none = np.float32(NO_LABEL)
    for y in range(y_from, y_to):
        row = label[y + MARGIN, MARGIN:]
        for x in range(width):
            rounded = np.floor(fitted[y, x] * np.float32(FRACTION) + np.float32(0.5)) * np.float32(1.0 / FRACTION)
            disparity[y, x] = rounded + np.float32(minimum) if row[x] != none else nan
            variance = residual[y, x] + floor_variance + (edge_variance if reason[y, x] & RANGE_EDGE != 0 else np.float32(0.0))
            sigma[y, x] = np.sqrt(variance) if row[x] != none else nan
