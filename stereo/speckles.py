"""The speckle filter: small patches that differ from their surroundings are wrong matches, more often than not."""

import numpy as np
from numpy.typing import NDArray

from stereo.arena import Arena
from stereo.kernels import clean
from stereo.threads import row_edges, run_rows


def drop_speckles(
    label: NDArray[np.float32], arena: Arena, reason: NDArray[np.uint16], step: np.float32, smallest: int, workers: int
) -> None:
    """Take the answer from patches of fewer than `smallest` pixels; neighbours within `step` px belong together.

    label: a map with a margin; `arena`: holds 16 bytes per pixel for the work.
    """
    height, width = reason.shape
    first = arena.take((height, 2), np.int32)
    runs = first, *(arena.take((height * width,), np.int32) for _ in range(4))
    run_rows(workers, height, lambda y0, y1: clean.find_patches(label, step, width, *runs, y0, y1))
    clean.sum_patches(label, step, width, *runs, np.array(row_edges(workers, height)[1:-1], np.int64))
    run_rows(workers, height, lambda y0, y1: clean.remove_speckles(label, reason, *runs, smallest, y0, y1))
