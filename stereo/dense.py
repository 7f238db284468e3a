"""One grey pair and a range to a dense disparity map: the chain that `match` and the coarse passes share."""

import numpy as np
from numpy.typing import NDArray

from stereo.aggregation import aggregate
from stereo.matcher_input import GreyPair
from stereo.selection import select_labels
from stereo.settings import MatcherSettings
from stereo.subpixel import refine
from stereo.workspace import lease

Float32 = NDArray[np.float32]


def match_grey(
    grey: GreyPair, minimum: int, labels: int, settings: MatcherSettings, workers: int
) -> tuple[Float32, Float32, NDArray[np.uint16]]:
    """Disparity and sigma, (H, W) px with NaN, and the reasons, over the candidates `minimum` ... `minimum` + `labels` - 1."""
    with lease(*grey.shape, labels) as space:
        aggregate(space, grey, minimum, settings, workers)
        reason = select_labels(space, grey, minimum, labels, settings, workers)
        disparity, sigma = refine(space, grey, minimum, reason, settings, workers)
    return disparity, sigma, reason
