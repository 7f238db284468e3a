"""From winners to labels with reasons: sub-pixel parabola, left-right check and uniqueness."""

import numpy as np
from numpy.typing import NDArray

from stereo.kernels import select
from stereo.matcher_input import GreyPair
from stereo.settings import MatcherSettings
from stereo.threads import run_rows
from stereo.workspace import Workspace


def select_labels(
    space: Workspace, grey: GreyPair, minimum: int, labels: int, settings: MatcherSettings, workers: int
) -> NDArray[np.uint16]:
    """Fill `space.label` from the winners; returns the reasons, (H, W) uint16."""
    height, width = grey.shape
    reason = np.empty((height, width), np.uint16)
    tolerance = np.float32(settings.left_right_px)
    right_from, right_to = _known_columns(grey)

    def choose(y0: int, y1: int) -> None:
        select.select(
            space.winner, space.winner_sums, space.ambiguous, space.right_winner, grey.right_valid, right_from, right_to,
            minimum, labels, tolerance, space.label, reason, y0, y1,
        )  # fmt: skip

    run_rows(workers, height, choose)
    return reason


def _known_columns(grey: GreyPair) -> tuple[int, int]:
    """First and end of the right image's columns that hold any data: what lies beyond is outside, however wide the array is."""
    valid, width = grey.right_valid, grey.shape[1]
    first = next((x for x in range(width) if valid[:, x].any()), width)
    end = next((x + 1 for x in range(width - 1, -1, -1) if valid[:, x].any()), first)
    return first, end
