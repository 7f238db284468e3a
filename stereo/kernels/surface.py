"""From the winners' labels to surfaces: median with support, gated plane fit, photometric shift, all mirror-symmetric.

Maps with a margin: (H + 2 MARGIN, stride), entry (y + MARGIN, x + MARGIN) for pixel (x, y); `NO_LABEL` without an answer and
outside the image, too far from every label to have weight. Taps to the left and right of a pixel are added in pairs, so that a
mirrored image gives the mirrored numbers, bit for bit.
"""

from typing import Any

import numpy as np

from stereo.kernels import compiled, inlined
from stereo.kernels.floats import median_5x5, round_f, where_less_f
from stereo.kernels.select import FRACTION, MARGIN, NO_LABEL, RANGE_EDGE, UNSUPPORTED
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


@inlined
def _rounded(x: Any) -> Any:
    """To multiples of 1 / FRACTION px, so that adding whole disparities stays exact."""
    return multiply_f(round_f(multiply_f(x, splat_f(FRACTION))), splat_f(1.0 / FRACTION))


@compiled
def smooth(label: Any, gate: Any, smallest: Any, out: Any, y_from: Any, y_to: Any) -> None:
    """Median of the answered pixels in 5 x 5; no answer where fewer than `smallest` of the 25 lie within `gate` px of it."""
    stride = label.shape[1]
    width = stride - 2 * MARGIN - FLOAT_LANES
    one, zero, none = splat_f(1.0), splat_f(0.0), splat_f(NO_LABEL)
    near, few = splat_f(gate), splat_f(smallest - 0.5)
    for y in range(y_from, y_to):
        for x in range(0, width, FLOAT_LANES):
            c = (y + MARGIN) * stride + x + MARGIN
            middle = median_5x5(label, c, stride, np.float32(NO_LABEL))
            support = zero
            for j in range(-2, 3):
                for i in range(-2, 3):
                    away = absolute_f(subtract_f(load_f(label, c + j * stride + i), middle))
                    support = add_f(support, where_less_f(near, away, zero, one))
            middle = where_less_f(support, few, none, middle)
            # a pixel without an answer gets none
            store_f(out, c, where_less_f(load_f(label, c), splat_f(NO_LABEL / 2), none, middle))


@inlined
def _weight(label: Any, grey: Any, o: Any, l0: Any, g0: Any, minus_gate2: Any, minus_grey1: Any) -> Any:
    """(1 - (dl / gate)^2)+ (1 - |dI| / grey_gate)+ and dl of the tap at `o`."""
    one, zero = splat_f(1.0), splat_f(0.0)
    dl = subtract_f(load_f(label, o), l0)
    near = maximum_f(multiply_add_f(multiply_f(dl, dl), minus_gate2, one), zero)
    alike = maximum_f(multiply_add_f(absolute_f(subtract_f(load_f(grey, o), g0)), minus_grey1, one), zero)
    return multiply_f(near, alike), dl


@compiled
def fit_planes(
    label: Any,
    grey: Any,
    radius: Any,
    step: Any,
    gate: Any,
    grey_gate: Any,
    ridge: Any,
    out: Any,
    residual: Any,
    y_from: Any,
    y_to: Any,
) -> None:
    """Weighted least-squares plane through the labels around each pixel: its value, and the residuals' variance.

    Weights: (1 - (dl / gate)^2)+ (1 - |dI| / grey_gate)+ over taps at multiples of `step` within `radius`, a multiple of it;
    `ridge` is added to the variances of x and y. Averaging along the surface removes the dither that census and parabola leave
    (pixel-locking). out: as `label`; residual: (H, width rounded up).
    """
    stride = label.shape[1]
    width = residual.shape[1]
    zero, tiny = splat_f(0.0), splat_f(1e-6)
    one = splat_f(1.0)
    minus_gate2, minus_grey1 = splat_f(-1.0 / (gate * gate)), splat_f(-1.0 / grey_gate)
    bias = splat_f(ridge)
    for y in range(y_from, y_to):
        for x in range(0, width, FLOAT_LANES):
            c = (y + MARGIN) * stride + x + MARGIN
            l0 = load_f(label, c)
            g0 = load_f(grey, c)
            s, sx, sy, sl = zero, zero, zero, zero
            sxx, sxy, syy = zero, zero, zero
            sll, slx, sly = zero, zero, zero
            for j in range(-radius, radius + 1, step):
                v = splat_f(j)
                row_s, dl = _weight(label, grey, c + j * stride, l0, g0, minus_gate2, minus_grey1)
                row_l = multiply_f(row_s, dl)
                row_x = zero
                sll = multiply_add_f(row_l, dl, sll)
                for i in range(step, radius + 1, step):
                    u = splat_f(i)
                    qr, dr = _weight(label, grey, c + j * stride + i, l0, g0, minus_gate2, minus_grey1)
                    ql, dl = _weight(label, grey, c + j * stride - i, l0, g0, minus_gate2, minus_grey1)
                    lr, ll = multiply_f(qr, dr), multiply_f(ql, dl)
                    both = add_f(qr, ql)
                    row_s = add_f(row_s, both)
                    row_l = add_f(row_l, add_f(lr, ll))
                    row_x = multiply_add_f(subtract_f(qr, ql), u, row_x)
                    sxx = multiply_add_f(multiply_f(both, u), u, sxx)
                    slx = multiply_add_f(subtract_f(lr, ll), u, slx)
                    sll = add_f(sll, add_f(multiply_f(lr, dr), multiply_f(ll, dl)))
                s = add_f(s, row_s)
                sx = add_f(sx, row_x)
                sl = add_f(sl, row_l)
                sy = multiply_add_f(row_s, v, sy)
                sxy = multiply_add_f(row_x, v, sxy)
                sly = multiply_add_f(row_l, v, sly)
                syy = multiply_add_f(multiply_f(row_s, v), v, syy)
            n = divide_f(one, maximum_f(s, tiny))
            mx, my, ml = multiply_f(sx, n), multiply_f(sy, n), multiply_f(sl, n)
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
            store_f(out, c, add_f(l0, _rounded(value)))
            variance = subtract_f(subtract_f(cll, multiply_f(a, clx)), multiply_f(b, cly))
            store_f(residual, y * width + x, maximum_f(variance, zero))


BLOCK = 8
"""rows of a block of `extents`; FLOAT_LANES columns. At least the radius of `support`"""


@compiled
def extents(label: Any, low: Any, high: Any, y_from: Any, y_to: Any) -> None:
    """Lowest and highest label of each block of BLOCK x FLOAT_LANES pixels, blocks in rows `y_from` ... `y_to`."""
    rows = label.shape[0] - 2 * MARGIN
    none = np.float32(NO_LABEL / 2)
    for by in range(y_from, y_to):
        for bx in range(low.shape[1]):
            lowest, highest = np.float32(3e38), np.float32(-3e38)
            for y in range(by * BLOCK, min(by * BLOCK + BLOCK, rows)):
                for x in range(bx * FLOAT_LANES, (bx + 1) * FLOAT_LANES):
                    value = label[y + MARGIN, x + MARGIN]
                    lowest = min(lowest, value if value > none else np.float32(3e38))
                    highest = max(highest, value if value > none else np.float32(-3e38))
            low[by, bx] = lowest
            high[by, bx] = highest


@compiled
def support(
    label: Any, grey: Any, low: Any, high: Any, radius: Any, step: Any, gate: Any, grey_gate: Any, share: Any, out: Any,
    y_from: Any, y_to: Any,
) -> None:  # fmt: skip
    """Keep the labels of which enough of what looks alike around lies within `gate` px; blocks in rows `y_from` ... `y_to`.

    What is enough is `share` of the sum of the weights (1 - |dI| / grey_gate)+ of the answered pixels around: near an edge of
    depth the pixels that look like this one, but lie on the other side of it, tell that its label has spread from there.
    Adaptive support weights: Yoon and Kweon, PAMI 2006. Where all labels around are alike nothing is counted.
    """
    height = label.shape[0] - 2 * MARGIN
    stride = label.shape[1]
    one, zero, none = splat_f(1.0), splat_f(0.0), splat_f(NO_LABEL)
    missing, near, enough, minus_grey1 = splat_f(NO_LABEL / 2), splat_f(gate), splat_f(share), splat_f(-1.0 / grey_gate)
    for by in range(y_from, y_to):
        for bx in range(low.shape[1]):
            lowest, highest = np.float32(3e38), np.float32(-3e38)
            for j in range(max(by - 1, 0), min(by + 2, low.shape[0])):
                for i in range(max(bx - 1, 0), min(bx + 2, low.shape[1])):
                    lowest, highest = min(lowest, low[j, i]), max(highest, high[j, i])
            alike = highest - lowest <= gate
            for y in range(by * BLOCK, min(by * BLOCK + BLOCK, height)):
                c = (y + MARGIN) * stride + bx * FLOAT_LANES + MARGIN
                l0 = load_f(label, c)
                if alike:
                    store_f(out, c, l0)
                    continue
                g0 = load_f(grey, c)
                agreeing, total = zero, zero
                for j in range(-radius, radius + 1, step):
                    for i in range(0, radius + 1, step):
                        for side in range(-1, 2 if i > 0 else 0, 2):
                            o = c + j * stride + side * i
                            l1 = load_f(label, o)
                            contrast = absolute_f(subtract_f(load_f(grey, o), g0))
                            w = maximum_f(multiply_add_f(contrast, minus_grey1, one), zero)
                            total = add_f(total, where_less_f(l1, missing, zero, w))
                            agreeing = add_f(agreeing, where_less_f(near, absolute_f(subtract_f(l1, l0)), zero, w))
                store_f(out, c, where_less_f(agreeing, multiply_f(total, enough), none, l0))


@compiled
def compare(
    label: Any,
    left: Any,
    right: Any,
    right_valid: Any,
    gain: Any,
    minimum: Any,
    difference: Any,
    slope: Any,
    usable: Any,
    y_from: Any,
    y_to: Any,
) -> None:
    """What remains of each left pixel after its match is taken away, and how both change with disparity.

    With d the disparity and R sampled at x - d by Catmull-Rom's cubic: `difference` = L - gain R, `slope` = the mean of the
    x-derivatives of L and gain R; `usable` = the label, or `NO_LABEL` where one of the samples holds no data. left: with margin;
    right: (H, W) uint8.
    """
    width = right.shape[1]
    none = np.float32(NO_LABEL)
    half = np.float32(0.5)
    good = np.empty(width, np.bool_)
    for y in range(y_from, y_to):
        row = right[y]
        known = right_valid[y]
        for x in range(width):
            good[x] = 0 < x < width - 2 and known[x - 1] and known[x] and known[x + 1] and known[x + 2]
        labels = label[y + MARGIN, MARGIN : MARGIN + width]
        before = left[y + MARGIN, MARGIN - 1 : MARGIN + width - 1]
        here = left[y + MARGIN, MARGIN : MARGIN + width]
        after = left[y + MARGIN, MARGIN + 1 : MARGIN + width + 1]
        differences = difference[y + MARGIN, MARGIN : MARGIN + width]
        slopes = slope[y + MARGIN, MARGIN : MARGIN + width]
        usables = usable[y + MARGIN, MARGIN : MARGIN + width]
        for x in range(width):
            place = np.float32(x - minimum) - labels[x]
            floor = np.floor(min(max(place, np.float32(1.0)), np.float32(width - 3)))
            i = np.int64(floor)
            t = place - floor
            ok = (t >= np.float32(0.0)) & (t < np.float32(1.0)) & good[i] & (x > 0) & (x < width - 1)
            a, b, c, d = np.float32(row[i - 1]), np.float32(row[i]), np.float32(row[i + 1]), np.float32(row[i + 2])
            k1 = c - a
            k2 = np.float32(2.0) * a - np.float32(5.0) * b + np.float32(4.0) * c - d
            k3 = np.float32(3.0) * (b - c) + d - a
            value = b + half * t * (k1 + t * (k2 + t * k3))
            derivative = half * k1 + t * (k2 + np.float32(1.5) * t * k3)
            differences[x] = here[x] - gain * value if ok else np.float32(0.0)
            slopes[x] = half * (half * (after[x] - before[x]) + gain * derivative) if ok else np.float32(0.0)
            usables[x] = labels[x] if ok else none


@compiled
def shift(
    label: Any,
    usable: Any,
    grey: Any,
    difference: Any,
    slope: Any,
    radius: Any,
    step: Any,
    gate: Any,
    grey_gate: Any,
    ridge: Any,
    limit: Any,
    out: Any,
    uncertainty: Any,
    y_from: Any,
    y_to: Any,
) -> None:
    """One Gauss-Newton step of Lucas and Kanade (IJCAI 1981) for the disparity, the window following the surface.

    delta = -cov(difference, slope) / (var(slope) + ridge), within +- `limit` px; weights and taps as in `fit_planes`. Taking the
    means away makes it blind to an offset between the images. uncertainty, (H, width rounded up): the variance of delta if what
    the step leaves of the difference is noise, var(rest) / (n (var(slope) + ridge)), px^2.
    """
    stride = label.shape[1]
    width = uncertainty.shape[1]
    zero, tiny, one = splat_f(0.0), splat_f(1e-6), splat_f(1.0)
    minus_gate2, minus_grey1 = splat_f(-1.0 / (gate * gate)), splat_f(-1.0 / grey_gate)
    bias = splat_f(ridge)
    most, least = splat_f(limit), splat_f(-limit)
    for y in range(y_from, y_to):
        for x in range(0, width, FLOAT_LANES):
            c = (y + MARGIN) * stride + x + MARGIN
            l0 = load_f(usable, c)
            g0 = load_f(grey, c)
            s, se, sg, see, sgg, sge = zero, zero, zero, zero, zero, zero
            for j in range(-radius, radius + 1, step):
                o = c + j * stride
                q, _ = _weight(usable, grey, o, l0, g0, minus_gate2, minus_grey1)
                g = load_f(slope, o)
                e = load_f(difference, o)
                qg = multiply_f(q, g)
                s = add_f(s, q)
                qe = multiply_f(q, e)
                se = add_f(se, qe)
                see = multiply_add_f(qe, e, see)
                sg = add_f(sg, qg)
                sgg = multiply_add_f(qg, g, sgg)
                sge = multiply_add_f(qg, e, sge)
                for i in range(step, radius + 1, step):
                    qr, _ = _weight(usable, grey, o + i, l0, g0, minus_gate2, minus_grey1)
                    ql, _ = _weight(usable, grey, o - i, l0, g0, minus_gate2, minus_grey1)
                    gr, gl = load_f(slope, o + i), load_f(slope, o - i)
                    er, el = load_f(difference, o + i), load_f(difference, o - i)
                    wr, wl = multiply_f(qr, gr), multiply_f(ql, gl)
                    s = add_f(s, add_f(qr, ql))
                    ar, al = multiply_f(qr, er), multiply_f(ql, el)
                    se = add_f(se, add_f(ar, al))
                    see = add_f(see, add_f(multiply_f(ar, er), multiply_f(al, el)))
                    sg = add_f(sg, add_f(wr, wl))
                    sgg = add_f(sgg, add_f(multiply_f(wr, gr), multiply_f(wl, gl)))
                    sge = add_f(sge, add_f(multiply_f(wr, er), multiply_f(wl, el)))
            n = divide_f(one, maximum_f(s, tiny))
            mg, me = multiply_f(sg, n), multiply_f(se, n)
            variance = add_f(subtract_f(multiply_f(sgg, n), multiply_f(mg, mg)), bias)
            covariance = subtract_f(multiply_f(sge, n), multiply_f(mg, me))
            delta = divide_f(subtract_f(zero, covariance), variance)
            delta = where_less_f(delta, least, least, where_less_f(most, delta, most, delta))
            store_f(out, c, add_f(load_f(label, c), _rounded(delta)))
            rest = subtract_f(
                subtract_f(multiply_f(see, n), multiply_f(me, me)), divide_f(multiply_f(covariance, covariance), variance)
            )
            store_f(uncertainty, y * width + x, divide_f(multiply_f(maximum_f(rest, zero), n), variance))


@compiled
def finish(
    label: Any,
    residual: Any,
    uncertainty: Any,
    reason: Any,
    minimum: Any,
    invalidating: Any,
    weights: Any,
    edge_variance: Any,
    disparity: Any,
    sigma: Any,
    y_from: Any,
    y_to: Any,
) -> None:
    """Signed disparity and its sigma; NaN where there is no answer.

    A label that `smooth` took, its reason having none of the bits `invalidating`, gets `UNSUPPORTED`.

    sigma^2 = w0 + w1 (variance of the labels around the fitted plane) + w2 (uncertainty of the shift), with `weights` w, float32,
    (+ `edge_variance` at the edge of the range).
    """
    width = reason.shape[1]
    nan = np.float32(np.nan)
    none = np.float32(NO_LABEL / 2)
    for y in range(y_from, y_to):
        row = label[y + MARGIN, MARGIN:]
        for x in range(width):
            known = row[x] > none
            disparity[y, x] = row[x] + np.float32(minimum) if known else nan
            edge = edge_variance if reason[y, x] & RANGE_EDGE else np.float32(0.0)
            variance = weights[0] + weights[1] * residual[y, x] + weights[2] * uncertainty[y, x] + edge
            sigma[y, x] = np.sqrt(variance) if known else nan
            if not known and reason[y, x] & invalidating == 0:
                reason[y, x] |= UNSUPPORTED


@compiled
def turn_back(width: Any, offset: Any, disparity: Any, sigma: Any, reason: Any, confidence: Any, y_from: Any, y_to: Any) -> None:
    """The first `width` columns of the maps of a mirrored pair, reversed in place; `offset` - d takes the place of d."""
    for y in range(y_from, y_to):
        a, b, c, d = disparity[y], sigma[y], reason[y], confidence[y]
        for x in range((width + 1) // 2):
            z = width - 1 - x
            a[x], a[z] = offset - a[z], offset - a[x]
            b[x], b[z] = b[z], b[x]
            c[x], c[z] = c[z], c[x]
            d[x], d[z] = d[z], d[x]
