"""One grey pair and a range to a dense disparity map: the chain that `match` and the coarse passes share."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stereo import confidence
from stereo.aggregation import Ranges, aggregate
from stereo.arena import Arena
from stereo.kernels.select import MARGIN, NO_LABEL
from stereo.maps import Reason
from stereo.matcher_input import GreyPair
from stereo.selection import select_labels
from stereo.settings import MatcherSettings
from stereo.speckles import drop_speckles
from stereo.subpixel import refine
from stereo.workspace import lease

Float32 = NDArray[np.float32]


class Answers(NamedTuple):
    """Of every pixel, (H, W)."""

    disparity_px: Float32
    """NaN: no answer"""
    sigma_px: Float32
    reason: NDArray[np.uint16]
    confidence: Float32


def match_grey(
    grey: GreyPair,
    minimum: int,
    labels: int,
    settings: MatcherSettings,
    workers: int,
    *,
    ranges: Ranges | None = None,
    systematic_px: float = 0.0,
) -> Answers:
    """Match over the candidates `minimum` ... `minimum` + `labels` - 1; `systematic_px` is an error bar that all pixels share.

    `ranges`: see `stereo.aggregation.aggregate`.
    """
    with lease(*grey.shape, labels, settings) as space:
        aggregate(space, grey, minimum, settings, workers, ranges=ranges)
        reason = select_labels(space, grey, minimum, labels, settings, workers)
        if ranges is not None:
            empty = (ranges[0] >= ranges[1]) & (reason & np.uint16(Reason.LEFT_NODATA) == 0)
            reason[empty] = Reason.NO_CANDIDATE
            space.label[MARGIN : MARGIN + len(reason), MARGIN : MARGIN + reason.shape[1]][empty] = NO_LABEL
        if settings.speckle_pixels > 1:
            gates = np.float32(settings.speckle_px), settings.speckle_pixels
            drop_speckles(space.label, Arena(space.sums), reason, *gates, workers)
        label, disparity, sigma = refine(space, grey, minimum, reason, settings, systematic_px, workers)
        certain = confidence.estimate(space, label, grey, settings.confidence, disparity, sigma, reason, workers)
    return Answers(disparity, sigma, reason, certain)
