"""From winners to labels with reasons: sub-pixel parabola, left-right check, uniqueness, speckle filter."""

import numpy as np
from numpy.typing import NDArray

from stereo.kernels import clean, select
from stereo.matcher_input import GreyPair
from stereo.settings import MatcherSettings
from stereo.threads import run_both
from stereo.workspace import Workspace


def select_labels(
    space: Workspace, grey: GreyPair, minimum: int, labels: int, settings: MatcherSettings, workers: int
) -> NDArray[np.uint16]:
    """Fill `space.label` from the winners; returns the reasons, (H, W) uint16."""
    height, width = grey.shape
    reason = np.empty((height, width), np.uint16)
    half = height // 2
    tolerance = np.float32(settings.left_right_px)
    right_from, right_to = _known_columns(grey)

    def choose(y0: int, y1: int) -> None:
        select.select(
            space.winner, space.winner_sums, space.ambiguous, space.right_winner, grey.right_valid, right_from, right_to,
            minimum, labels, tolerance, space.label, reason, y0, y1,
        )  # fmt: skip

    run_both(workers, lambda: choose(0, half), lambda: choose(half, height))
    if settings.speckle_pixels > 1:
        drop_speckles(space, reason, np.float32(settings.speckle_px), settings.speckle_pixels, workers)
    return reason


def _known_columns(grey: GreyPair) -> tuple[int, int]:
    """First and end of the right image's columns that hold any data: what lies beyond is outside, however wide the array is."""
    valid, width = grey.right_valid, grey.shape[1]
    first = next((x for x in range(width) if valid[:, x].any()), width)
    end = next((x + 1 for x in range(width - 1, -1, -1) if valid[:, x].any()), first)
    return first, end


def drop_speckles(space: Workspace, reason: NDArray[np.uint16], step: np.float32, smallest: int, workers: int) -> None:
    """Take the answer from patches of fewer than `smallest` pixels; neighbours within `step` px belong together."""
    height = len(reason)
    half = height // 2
    label, runs = space.label, (space.run, space.parent, space.size)
    ends = run_both(
        workers,
        lambda: clean.find_patches(label, step, *runs, 0, half),
        lambda: clean.find_patches(label, step, *runs, half, height),
    )
    clean.sum_patches(label, step, *runs, half, *ends)
    run_both(
        workers,
        lambda: clean.remove_speckles(label, reason, *runs, smallest, 0, half),
        lambda: clean.remove_speckles(label, reason, *runs, smallest, half, height),
    )
