"""Working memory of one thread of a sweep: one block of bytes, so that every place in it is one pointer plus a constant.

Processors have few registers for addresses; a pointer for each of these arrays would be loaded again for every pixel.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stereo.kernels import inlined
from stereo.kernels.lanes import GROUP
from stereo.kernels.simd import LANES, WIDE_LANES, aligned

KNOWN = 0
"""9 rows of 64 bytes: what the group's pixels look up, 4 equal bytes each (planes of the left image, P2, excess of the sums)"""
LEAST = KNOWN + 9 * LANES
"""3 rows: least cost plus P2 of the paths that come from the row before"""
MINIMA = LEAST + 3 * LANES
"""3 x 16 vectors whose minima the next row needs"""
LINE_MINIMA = MINIMA + 3 * GROUP * LANES
"""16 vectors whose minima are the winners' sums"""
FOUND = LINE_MINIMA + GROUP * LANES
"""the winners' sums, and the sums below which a candidate is a rival"""
BEST = FOUND + 2 * LANES
"""winner, its neighbours' sums, candidates below the rivals' sum: 16 x 4 bytes each"""
OUT = BEST + 4 * LANES
"""what leaves the group, in image order: winner and three sums of 2 bytes, ambiguous of 1"""
LEAVING = OUT + 3 * LANES
"""sums and labels of right pixels that have seen all their candidates: 2 x 2 rows"""
LEAST_ALONG = LEAVING + 4 * LANES
"""least cost plus P2 of the path along the row, 4 times"""
ROW = LEAST_ALONG + LANES
"""state of the path along the row; what follows depends on the number of vectors"""


@inlined
def labels_at(n: Any) -> Any:
    """The labels of all lanes, as wide as a sum."""
    return ROW + n * LANES


@inlined
def table_at(n: Any, width: Any) -> Any:
    """Where in a line the sums of label -1, 0, 1 ... lie: 4 bytes each; `width`: bytes of a sum."""
    return ROW + LANES * (n + width * n)


@inlined
def line_at(n: Any, width: Any) -> Any:
    """The sums of the group's pixels, each followed by 64 bytes of "no candidate"."""
    return ROW + LANES * (n + width * n + 4 * (n + 1))


@inlined
def line_size(n: Any, width: Any) -> Any:
    """Bytes from one pixel's sums to the next one's."""
    return width * n * LANES + LANES


@inlined
def spare_at(n: Any, width: Any) -> Any:
    """Room for (3 + 4 width) n vectors."""
    return ROW + LANES * (n + width * n + 4 * (n + 1) + GROUP * (width * n + 1))


def new_block(vectors: int, *, wide: bool) -> NDArray[np.uint8]:
    """A block with its constant parts filled in."""
    width = 2 if wide else 1
    kind = np.dtype(np.uint16 if wide else np.uint8)
    size = vectors * LANES
    line, line_bytes = line_at.py_func(vectors, width), line_size.py_func(vectors, width)
    block = aligned(line + GROUP * line_bytes + (3 + 4 * width) * size, np.uint8)
    vectors_of_sums = width * vectors
    order = np.arange(WIDE_LANES if wide else LANES)[None, :] * vectors_of_sums + np.arange(vectors_of_sums)[:, None]
    start = labels_at.py_func(vectors)
    block[start : start + width * size].view(kind)[:] = order.ravel()
    place = np.empty(size + 2, np.int32)
    place[[0, -1]] = width * size
    place[1 + order.ravel()] = width * np.arange(size)
    start = table_at.py_func(vectors, width)
    block[start : start + place.nbytes].view(np.int32)[:] = place
    for i in range(GROUP):
        block[line + i * line_bytes + width * size : line + (i + 1) * line_bytes] = 255
    return block
