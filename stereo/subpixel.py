"""Sub-pixel refinement of the labels, and their error bars."""

import numpy as np
from numpy.typing import NDArray

from stereo.kernels import clean, select
from stereo.matcher_input import GreyPair
from stereo.threads import run_both
from stereo.workspace import Workspace

# Gated plane fit: constants of the ablation in bench/accuracy.py; flat around these values.
_PLANE_RADIUS, _PLANE_STEP = 4, 2
_PLANE_GATE_PX, _PLANE_GATE_GREY, _PLANE_RIDGE = 1.5, 25.0, 0.5
# Error bar: what remains after the fit where the labels around agree perfectly (0.12 px rms: error against truth on Middlebury
# pairs, its quantum taken off), and the uncertainty of a pixel whose parabola has only one side.
_FLOOR_VARIANCE, _EDGE_VARIANCE = np.float32(0.12**2), np.float32(1.0)

Float32 = NDArray[np.float32]


def refine(space: Workspace, grey: GreyPair, minimum: int, reason: NDArray[np.uint16], workers: int) -> tuple[Float32, Float32]:
    """Disparity and its sigma, (H, W) px, from `space.label`."""
    height, width = grey.shape
    disparity, sigma = (np.empty((height, width), np.float32) for _ in range(2))
    half = height // 2
    space.grey[select.MARGIN : select.MARGIN + height, select.MARGIN : select.MARGIN + width] = grey.left

    def fit(y0: int, y1: int) -> None:
        clean.fit_planes(
            space.label, space.grey, _PLANE_RADIUS, _PLANE_STEP, _PLANE_GATE_PX, _PLANE_GATE_GREY, _PLANE_RIDGE,
            space.fitted, space.residual, y0, y1,
        )  # fmt: skip
        clean.finish(
            space.label, space.fitted, space.residual, reason, minimum, _FLOOR_VARIANCE, _EDGE_VARIANCE, disparity, sigma, y0, y1
        )

    run_both(workers, lambda: fit(0, half), lambda: fit(half, height))
    return disparity, sigma
