"""The second pass: the surface that the first one found, matched once more in quarter pixels around it."""

import numpy as np
from numpy.typing import NDArray

from stereo.arena import Arena
from stereo.kernels import second_pass as kernel
from stereo.kernels.narrow import NARROW
from stereo.kernels.simd import aligned
from stereo.matcher_input import GreyPair
from stereo.threads import run_both, run_rows
from stereo.workspace import Workspace

_P1 = 10
_LARGEST_CHANGE_PX = 0.5


def match_again(
    space: Workspace, arena: Arena, grey: GreyPair, minimum: int, label: NDArray[np.float32], gain: np.float32, workers: int
) -> None:
    """Refine `label`, a map with a margin, where its pixels have an answer; penalties and left planes of the first pass."""
    height, width = grey.shape
    half = height // 2
    warped = arena.take((height + 2 * kernel.FRAME, width + 8, NARROW), np.uint8)
    warped[: kernel.FRAME] = warped[height + kernel.FRAME :] = 255
    warped[:, : kernel.FRAME] = warped[:, width + kernel.FRAME :] = 255
    cost = arena.take((height, width + 4, NARROW), np.uint8)
    base = arena.take((height, width), np.int32)
    sums = arena.take((height, width, NARROW), np.uint16)
    states = [([aligned(width * NARROW, np.uint8) for _ in range(3)], np.zeros((3, width), np.uint8)) for _ in range(2)]

    def warp(y0: int, y1: int) -> None:
        kernel.warp(
            label, grey.left, grey.left_valid, grey.right, grey.right_valid, gain, minimum, base, warped, y0, y1
        )  # fmt: skip

    def sweep(final: bool, which: int, y0: int, y1: int, dy: int) -> None:
        paths, least = states[which]
        kernel.sweep(final)(
            cost, base, space.penalty, *paths, least, sums, _P1, label, np.float32(_LARGEST_CHANGE_PX), y0, y1, dy
        )  # fmt: skip

    run_rows(workers, height, warp)
    run_rows(workers, height, lambda y0, y1: kernel.match_costs(warped, space.left, cost, y0, y1))
    run_both(workers, lambda: sweep(False, 0, 0, half, 1), lambda: sweep(False, 1, height - 1, half - 1, -1))
    run_both(workers, lambda: sweep(True, 0, half, height, 1), lambda: sweep(True, 1, half - 1, -1, -1))
