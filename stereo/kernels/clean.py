"""Speckle filter: small patches of pixels with an answer lose it.

Runs, pixels of a row that belong together, are joined by union-find with those of the row above: there are far fewer of them than
pixels (He, Chao and Suzuki, "A run-based two-scan labeling algorithm", IEEE TIP 2008).
"""

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


@inlined
def _join(parent: Any, i: Any, k: Any) -> None:
    a = _root(parent, i)
    b = _root(parent, k)
    if a != b:
        parent[max(a, b)] = min(a, b)


@inlined
def _join_rows(parent: Any, start: Any, end: Any, i: Any, i_end: Any, k: Any, k_end: Any, near: Any) -> None:
    """Join runs i ... i_end of a row with runs k ... k_end of the next where `near` says so for a pixel that they share."""
    while i < i_end and k < k_end:
        for x in range(max(start[i], start[k]), min(end[i], end[k])):
            if near[x] != 0:
                _join(parent, i, k)
                break
        if end[i] < end[k]:
            i += 1
        else:
            k += 1


@compiled
def find_patches(
    label: Any, step: Any, width: Any, first: Any, start: Any, end: Any, parent: Any, size: Any, y_from: Any, y_to: Any
) -> None:
    """Join pixels with an answer into patches: 4-neighbours within `step` px belong together.

    Runs are numbered from y_from W, so that bands of rows may run side by side; those of row y are first[y, 0] to
    first[y, 1] - 1, with pixels start ... end - 1. `parent`, `size`: a run's representative and its pixels.
    """
    none = np.float32(NO_LABEL)
    breaks, near = np.zeros(-(-width // 8) * 8, np.uint8), np.empty(width, np.uint8)
    eights = breaks.view(np.uint64)
    count = np.int32(y_from * width)
    for y in range(y_from, y_to):
        row, above = label[y + MARGIN, MARGIN:], label[y + MARGIN - 1, MARGIN:]
        before = label[y + MARGIN, MARGIN - 1 :]
        for x in range(width):
            breaks[x] = np.uint8(1) if abs(row[x] - before[x]) > step else np.uint8(0)
        for x in range(width):
            away = abs(row[x] - above[x]) if row[x] != none else -none
            near[x] = np.uint8(1) if away <= step else np.uint8(0)
        breaks[0] = 1
        first[y, 0] = count
        inside = False
        for k in range(len(eights)):
            if eights[k] == 0:
                continue
            for x in range(8 * k, min(8 * k + 8, width)):
                if breaks[x] != 0:
                    if inside:
                        end[count - 1] = x
                    inside = row[x] != none
                    if inside:
                        start[count] = x
                        parent[count] = count
                        count += np.int32(1)
        if inside:
            end[count - 1] = width
        first[y, 1] = count
        for i in range(first[y, 0], count):
            size[i] = end[i] - start[i]
        if y > y_from:
            _join_rows(parent, start, end, first[y - 1, 0], first[y - 1, 1], first[y, 0], first[y, 1], near)


@compiled
def sum_patches(label: Any, step: Any, width: Any, first: Any, start: Any, end: Any, parent: Any, size: Any, seams: Any) -> None:
    """Join the bands along the rows `seams` and add up each patch at its root, the smallest of its runs."""
    none = np.float32(NO_LABEL)
    near = np.empty(width, np.uint8)
    for y in seams:
        row, above = label[y + MARGIN, MARGIN:], label[y + MARGIN - 1, MARGIN:]
        for x in range(width):
            near[x] = np.uint8(1) if (row[x] != none) & (abs(row[x] - above[x]) <= step) else np.uint8(0)
        _join_rows(parent, start, end, first[y - 1, 0], first[y - 1, 1], first[y, 0], first[y, 1], near)
    for y in range(len(first)):
        for i in range(first[y, 0], first[y, 1]):
            if parent[i] != i:
                root = _root(parent, i)
                parent[i] = root
                size[root] += size[i]


@compiled
def remove_speckles(
    label: Any, reason: Any, first: Any, start: Any, end: Any, parent: Any, size: Any, smallest: Any, y_from: Any, y_to: Any
) -> None:
    """Take the answer from the pixels of patches of fewer than `smallest` pixels."""
    none = np.float32(NO_LABEL)
    for y in range(y_from, y_to):
        for i in range(first[y, 0], first[y, 1]):
            if size[parent[i]] < smallest:
                for x in range(start[i], end[i]):
                    reason[y, x] |= SPECKLE
                    label[y + MARGIN, x + MARGIN] = none
