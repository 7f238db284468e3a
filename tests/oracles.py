"""Slow, readable twins of the kernels, in plain numpy and Python."""

import numpy as np
from numpy.typing import NDArray

from stereo.kernels import planes, select

Ints = NDArray[np.int64]
NONE = 1_000_000
"""sum of a label that is no candidate"""


def census(grey: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W, 24): is the neighbour darker than the centre? Neighbours without data never are."""
    height, width = grey.shape
    value = np.full((height + 4, width + 4), 255)
    value[2:-2, 2:-2] = np.where(valid, grey, 255)
    offsets = [(dy, dx) for dy in range(5) for dx in range(5) if (dy, dx) != (2, 2)]
    centre = value[2:-2, 2:-2]
    return np.stack([value[dy : dy + height, dx : dx + width] < centre for dy, dx in offsets], -1)


def gradient(grey: NDArray[np.uint8], valid: NDArray[np.bool_]) -> tuple[Ints, float]:
    """Sobel x-gradient, 0 where one of the 3 x 3 neighbours is missing, and its mean size elsewhere."""
    height, width = grey.shape
    out = np.zeros((height, width), np.int64)
    inner = np.zeros((height, width), bool)
    g = grey.astype(np.int64)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if valid[y - 1 : y + 2, x - 1 : x + 2].all():
                inner[y, x] = True
                rows = g[y - 1 : y + 2, x + 1] - g[y - 1 : y + 2, x - 1]
                out[y, x] = rows[0] + 2 * rows[1] + rows[2]
    return out, np.abs(out).sum() / max(int(inner.sum()), 1)


def gradient_bytes(signed: Ints, gain: float) -> Ints:
    return np.asarray(np.clip(np.rint(signed * np.float32(gain)), -31, 31).astype(np.int64) + 31)


def costs(
    left: NDArray[np.uint8],
    right: NDArray[np.uint8],
    left_valid: NDArray[np.bool_],
    right_valid: NDArray[np.bool_],
    minimum: int,
    labels: int,
    with_gradient: bool = True,
) -> Ints:
    """(H, W, labels) matching cost; NEUTRAL where the candidate has no data."""
    height, width = left.shape
    (gl, ml), (gr, mr) = gradient(left, left_valid), gradient(right, right_valid)
    kl, kr = planes.gains(ml, mr)
    gl, gr = gradient_bytes(gl, kl), gradient_bytes(gr, kr)
    cl, cr = census(left, left_valid), census(right, right_valid)

    def interval(g: Ints, y: int, x: int) -> tuple[int, int]:
        around = [int(g[y, k]) if 0 <= k < width else 31 for k in (x - 1, x + 1)]
        v = int(g[y, x])
        return min(v, *((v + a) // 2 for a in around)), max(v, *(-((-v - a) // 2) for a in around))

    out = np.full((height, width, labels), planes.NEUTRAL, np.int64)
    for y in range(height):
        for x in range(width):
            low, high = interval(gl, y, x)
            v = int(gl[y, x])
            for i in range(labels):
                xr = x - minimum - i
                if 0 <= xr < width and right_valid[y, xr]:
                    low_r, high_r = interval(gr, y, xr)
                    w = int(gr[y, xr])
                    from_left = max(v - high_r, low_r - v, 0)
                    from_right = max(w - high, low - w, 0)
                    hamming = int((cl[y, x] != cr[y, xr]).sum())
                    out[y, x, i] = hamming
                    if with_gradient:
                        out[y, x, i] += min(from_left, from_right, planes.BIRCHFIELD_LIMIT)
    return out


def aggregate(
    cost: Ints,
    grey: NDArray[np.uint8],
    left_valid: NDArray[np.bool_],
    p1: int,
    table: NDArray[np.uint8],
    paths: int = 8,
    outside: NDArray[np.bool_] | None = None,
) -> Ints:
    """Sum of eq. 13 over 8 or 4 paths; a path starts anew behind the border and behind pixels without data.

    `outside` (H, W, labels): labels that are no candidates; their sums are `NONE`.
    """
    height, width = cost.shape[:2]
    if outside is not None:
        cost = np.where(outside, NONE, cost)
    total = np.zeros_like(cost)
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))[:paths]:
        path = np.zeros_like(cost)
        for y in range(height) if dy >= 0 else range(height - 1, -1, -1):
            for x in range(width) if dx >= 0 else range(width - 1, -1, -1):
                if not left_valid[y, x]:
                    continue
                py, px = y - dy, x - dx
                path[y, x] = cost[y, x]
                if 0 <= py < height and 0 <= px < width and left_valid[py, px]:
                    before = path[py, px]
                    least = before.min()
                    p2 = int(table[abs(int(grey[y, x]) - int(grey[py, px]))])
                    best = np.minimum(before, least + p2)
                    best[1:] = np.minimum(best[1:], before[:-1] + p1)
                    best[:-1] = np.minimum(best[:-1], before[1:] + p1)
                    path[y, x] += best - least
        total += path
    return np.minimum(total, NONE)


def right_winners(total: Ints, left_valid: NDArray[np.bool_], minimum: int, none: int = NONE) -> Ints:
    """(H, W) label of the right image's smallest sum (the smallest of equals), -1 without any."""
    height, width, labels = total.shape
    out = np.full((height, width), -1, np.int64)
    for y in range(height):
        for xr in range(width):
            entries = [
                (total[y, xr + minimum + i, i], i)
                for i in range(labels)
                if 0 <= xr + minimum + i < width and left_valid[y, xr + minimum + i] and total[y, xr + minimum + i, i] < none
            ]
            if entries:
                out[y, xr] = min(entries)[1]
    return out


def select_labels(
    total: Ints, left_valid: NDArray[np.bool_], right_valid: NDArray[np.bool_], minimum: int, uniqueness: int, tolerance: float
) -> tuple[NDArray[np.float64], Ints]:
    """Sub-pixel label and reason bits of every pixel, before speckles are dropped."""
    height, width, labels = total.shape
    label = np.zeros((height, width))
    reason = np.zeros((height, width), np.int64)
    seen = right_winners(total, left_valid, minimum)
    columns = np.flatnonzero(right_valid.any(0))
    for y in range(height):
        for x in range(width):
            if not left_valid[y, x]:
                reason[y, x] = select.LEFT_NODATA
                continue
            s = total[y, x]
            best = int(s.argmin())
            rivals = [i for i in range(labels) if abs(i - best) > 1 and s[i] <= s[best] * uniqueness >> 10]
            fraction = 0.0
            if 0 < best < labels - 1:
                bend = max(s[best - 1] + s[best + 1] - 2 * s[best], 1)
                fraction = np.rint(np.float32((s[best - 1] - s[best + 1]) * 512) / np.float32(bend)) / 1024
            else:
                reason[y, x] |= select.RANGE_EDGE
            label[y, x] = best + fraction
            if rivals:
                reason[y, x] |= select.AMBIGUOUS
            xr = x - minimum - best
            candidates = [c for c in (x - minimum - i for i in range(labels)) if 0 <= c < width and right_valid[y, c]]
            if 0 < len(candidates) < labels:
                reason[y, x] |= select.CUT_RANGE
            if not candidates:
                reason[y, x] |= select.NO_CANDIDATE
            elif not columns[0] <= xr <= columns[-1]:
                reason[y, x] |= select.OUTSIDE_RIGHT
            elif not right_valid[y, xr]:
                reason[y, x] |= select.RIGHT_NODATA
            elif seen[y, xr] < 0 or abs(seen[y, xr] - label[y, x]) > tolerance:
                met = any(seen[y, c] >= 0 and abs(c + minimum + seen[y, c] - x) <= 1 for c in range(width))
                reason[y, x] |= select.LEFT_RIGHT | (select.MISMATCHED if met else select.OCCLUDED)
    return label, reason


def small_patches(label: NDArray[np.float64], answered: NDArray[np.bool_], step: float, smallest: int) -> NDArray[np.bool_]:
    """Pixels of patches (4-neighbours within `step`) smaller than `smallest`, by flood fill."""
    height, width = label.shape
    todo = answered.copy()
    out = np.zeros_like(answered)
    for y0 in range(height):
        for x0 in range(width):
            if not todo[y0, x0]:
                continue
            todo[y0, x0] = False
            patch = [(y0, x0)]
            for y, x in patch:
                for v, u in ((y, x - 1), (y, x + 1), (y - 1, x), (y + 1, x)):
                    if 0 <= v < height and 0 <= u < width and todo[v, u] and abs(label[v, u] - label[y, x]) <= step:
                        todo[v, u] = False
                        patch.append((v, u))
            if len(patch) < smallest:
                for y, x in patch:
                    out[y, x] = True
    return out


def fitted_plane(
    label: NDArray[np.float64], answered: NDArray[np.bool_], grey: NDArray[np.uint8], y: int, x: int, radius: int, step: int,
    gate: float, grey_gate: float, ridge: float,
) -> tuple[float, float]:  # fmt: skip
    """Value and residual variance of the gated plane at one pixel, in float64."""
    rows = []
    for j in range(-radius, radius + 1, step):
        for i in range(-radius, radius + 1, step):
            v, u = y + j, x + i
            if 0 <= v < label.shape[0] and 0 <= u < label.shape[1] and answered[v, u]:
                dl = label[v, u] - label[y, x]
                near = max(1 - (dl / gate) ** 2, 0.0)
                rows.append((near * max(1 - abs(int(grey[v, u]) - int(grey[y, x])) / grey_gate, 0.0), i, j, dl))
    w, i, j, dl = np.array(rows, float).T
    w = w / w.sum()
    mi, mj, ml = w @ i, w @ j, w @ dl
    a = np.array([[w @ (i * i) - mi * mi + ridge, w @ (i * j) - mi * mj], [w @ (i * j) - mi * mj, w @ (j * j) - mj * mj + ridge]])
    c = np.array([w @ (i * dl) - mi * ml, w @ (j * dl) - mj * ml])
    slope = np.linalg.solve(a, c)
    return float(label[y, x] + ml - slope @ [mi, mj]), float(max(w @ (dl * dl) - ml * ml - slope @ c, 0.0))
