"""Matching cost and semi-global aggregation of one pair: from grey images to the winners in a workspace."""

import numpy as np

from stereo.kernels import planes, sweeps
from stereo.matcher_input import GreyPair
from stereo.settings import MatcherSettings
from stereo.threads import run_both
from stereo.workspace import PathStates, Workspace


def aggregate(space: Workspace, grey: GreyPair, minimum: int, settings: MatcherSettings, workers: int) -> None:
    """Fill the workspace's winners with those of `grey` over the candidates from `minimum`, px."""
    textured = _fill_planes(space, grey, minimum, settings, workers)
    _sweep(space, minimum, settings, workers)
    if not textured:  # all candidates cost the same; what the borders leave is no answer
        space.ambiguous[:] = True


def _fill_planes(space: Workspace, grey: GreyPair, minimum: int, settings: MatcherSettings, workers: int) -> bool:
    """The matching cost's planes and the penalties; False where an image has no texture at all."""
    height = len(grey.left)
    (left_signed, left_mean), (right_signed, right_mean) = run_both(
        workers,
        lambda: planes.gradient(grey.left, grey.left_valid),
        lambda: planes.gradient(grey.right, grey.right_valid),
    )
    left_gain, right_gain = (np.float32(g) for g in planes.gains(left_mean, right_mean))
    table = planes.penalty_table(settings.p1, settings.p2, settings.p2_contrast)

    def pack_left() -> None:
        framed = planes.frame(grey.left, grey.left_valid)
        planes.pack_left(framed, left_signed, left_gain, grey.left_valid, space.left, 0, height)
        planes.fill_penalties(grey.left, table, space.penalty)

    def pack_right() -> None:
        framed = planes.frame(grey.right, grey.right_valid)
        planes.pack_right(framed, right_signed, right_gain, grey.right_valid, minimum, space.right, 0, height)

    run_both(workers, pack_left, pack_right)
    return min(left_mean, right_mean) > 0.0


def _sweep(space: Workspace, minimum: int, settings: MatcherSettings, workers: int) -> None:
    height = len(space.winner)
    half = height // 2
    uniqueness = int(1024 / (1.0 - settings.uniqueness_percent / 100.0))

    def sweep(final: bool, state: PathStates, y0: int, y1: int, dy: int) -> None:
        sweeps.kernel(space.vectors, final)(
            space.left, space.right, space.penalty, space.padding, *state.arrays(), space.sums, space.labels,
            space.winner, space.winner_sums, space.ambiguous, space.right_winner,
            space.vectors, minimum, settings.p1, uniqueness, y0, y1, dy,
        )  # fmt: skip

    down, up = space.states
    down.reset()
    up.reset()
    run_both(workers, lambda: sweep(False, down, 0, half, 1), lambda: sweep(False, up, height - 1, half - 1, -1))
    run_both(workers, lambda: sweep(True, down, half, height, 1), lambda: sweep(True, up, half - 1, -1, -1))
