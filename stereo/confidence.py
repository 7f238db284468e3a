"""Confidence: the probability that a pixel's disparity is right within 1 px, from the labels around it and its matching sum."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stereo.kernels import confide
from stereo.kernels.planes import MAX_COST
from stereo.matcher_input import GreyPair
from stereo.threads import run_rows
from stereo.workspace import Workspace

Float32 = NDArray[np.float32]

# Logistic model, fitted on the 11 pairs of bench/confidence.py, each with the same weight, with truth in occlusions too; fitted
# without one data set at a time, its reliability on that set is within 2 points (KITTI: 3, on the modest side).
_INTERCEPT = -0.91
_AGREEMENT, AGREEMENT_FULL = 4.73, 0.85
"""log odds per share of the alike-looking surroundings that has the pixel's disparity, and the share that is enough"""
_NEARNESS, NEARNESS_FROM, NEARNESS_SPAN = 19.7, 0.85, 0.12
"""the same for all surroundings: far from every edge"""
_COST, COST_FROM, COST_SPAN = 1.44, 0.205, 0.82
"""log odds lost per mean matching cost along the paths, as a part of the largest cost"""
LARGEST_SUM = 8 * MAX_COST
"""of the matching costs along 8 paths"""
_TABLE_SIZE = 512
_DOUBT_PX = 3.0
"""error bar of a pixel that is surely wrong (`bench.sigma`)"""


def estimate(
    space: Workspace,
    label: Float32,
    grey: GreyPair,
    smallest: float,
    disparity: Float32,
    sigma: Float32,
    reason: NDArray[np.uint16],
    workers: int,
) -> Float32:
    """Confidence of every pixel; answers below `smallest` are taken away, for `Reason.LOW_CONFIDENCE`.

    Parameters
    ----------
    space : Workspace
        With the winners' sums, and the left image as `stereo.subpixel.refine` puts it there.
    label : float32
        The final labels, a map with a margin like `space.label`.
    grey : GreyPair
    smallest : float
        0 keeps every answer.
    disparity, sigma : (H, W) float32 px
    reason : (H, W) uint16
        All three are changed in place.
    workers : int

    Returns
    -------
    (H, W) float32
        0 ... 1; 0 without an answer.
    """
    height, width = grey.shape
    confidence = np.empty((height, width), np.float32)
    coefficients, table = _model()
    least, doubt = np.float32(smallest), np.float32(_DOUBT_PX)

    def judge(y0: int, y1: int) -> None:
        confide.confide(
            label,
            space.grey,
            space.winner_sums[0],
            coefficients,
            table,
            least,
            doubt,
            reason,
            disparity,
            sigma,
            confidence,
            y0,
            y1,
        )

    run_rows(workers, height, judge)
    return confidence


def _model() -> tuple[Float32, Float32]:
    """The kernel's coefficients and its table of probabilities."""
    numbers: list[Any] = [_INTERCEPT, _AGREEMENT, AGREEMENT_FULL, _NEARNESS, NEARNESS_FROM, NEARNESS_SPAN]
    numbers += [_COST / LARGEST_SUM, COST_FROM * LARGEST_SUM, COST_SPAN * LARGEST_SUM]
    odds = np.exp(confide.Z_LOWEST + np.arange(_TABLE_SIZE) / confide.Z_STEPS)
    return np.array(numbers, np.float32), (odds / (1.0 + odds)).astype(np.float32)
