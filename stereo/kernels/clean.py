"""Speckle filter: small patches of pixels with an answer lose it."""

from typing import Any

import numpy as np

from stereo.kernels import compiled, inlined
from stereo.kernels.select import MARGIN, NO_LABEL, SPECKLE


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
