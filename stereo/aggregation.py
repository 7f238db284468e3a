"""Matching cost and semi-global aggregation of one pair: from grey images to the winners in a workspace."""

import numpy as np
from numpy.typing import NDArray

from stereo.kernels import planes, sweeps
from stereo.kernels.progress import yield_address
from stereo.matcher_input import GreyPair
from stereo.settings import MatcherSettings
from stereo.threads import run_all, run_rows
from stereo.workspace import SweepState, WorkerState, Workspace

Ranges = tuple[NDArray[np.int32], NDArray[np.int32]]


def aggregate(
    space: Workspace, grey: GreyPair, minimum: int, settings: MatcherSettings, workers: int, *, ranges: Ranges | None = None
) -> None:
    """Fill the workspace's winners with those of `grey` over the candidates from `minimum`, px.

    `ranges`: the first label and the one behind the last of every pixel, (H, W) int32; other labels are no candidates there.
    """
    textured = _fill_planes(space, grey, minimum, settings, workers)
    _sweep(space, minimum, settings, workers, ranges)
    if not textured:  # all candidates cost the same; what the borders leave is no answer
        space.ambiguous[:] = True


def _fill_planes(space: Workspace, grey: GreyPair, minimum: int, settings: MatcherSettings, workers: int) -> bool:
    """The matching cost's planes and the penalties; False where an image has no texture at all."""
    height = len(grey.left)
    images = (
        (grey.left, grey.left_valid, bool(grey.left_valid.all())),
        (grey.right, grey.right_valid, bool(grey.right_valid.all())),
    )
    left_gain, right_gain = np.float32(0.0), np.float32(0.0)
    textured = True
    if settings.cost == "mix":
        parts = run_rows(workers, height, lambda y0, y1: [planes.gradient_size(*image, y0, y1) for image in images])
        means = [sum(part[i][0] for part in parts) / max(sum(part[i][1] for part in parts), 1) for i in range(2)]
        left_gain, right_gain = (np.float32(g) for g in planes.gains(*means))
        textured = min(means) > 0.0
    table = planes.penalty_table(settings.p1, settings.p2, settings.p2_contrast)

    def pack(y0: int, y1: int) -> tuple[bool, bool]:
        if space.penalty.size:
            planes.fill_penalties(grey.left, table, space.penalty, y0, y1)
        return (
            planes.pack_left(*images[0], left_gain, space.left, y0, y1),
            planes.pack_right(*images[1], right_gain, minimum, settings.p2, space.right, space.whole, y0, y1),
        )

    seen = run_rows(workers, height, pack)
    if settings.cost == "census":
        textured = any(left for left, _ in seen) and any(right for _, right in seen)
    return textured


def _sweep(space: Workspace, minimum: int, settings: MatcherSettings, workers: int, ranges: Ranges | None) -> None:
    height = len(space.winner)
    uniqueness = int(1024 / (1.0 - settings.uniqueness_percent / 100.0))
    low, high = ranges if ranges is not None else (space.no_ranges, space.no_ranges)
    give_way = yield_address()

    def sweep(final: bool, state: SweepState, worker: WorkerState, y0: int, rows: int, dy: int) -> None:
        run = sweeps.kernel(
            space.vectors, final=final, gradient=settings.cost == "mix", wide=space.layout.wide, adaptive=space.layout.adaptive,
            diagonals=settings.paths == 8, padded=space.padded, ranged=ranges is not None,
        )  # fmt: skip
        run(
            space.left, space.right, space.whole, space.penalty, space.padding, low, high,
            *state.arrays(), *worker.arrays(), space.sums, space.winner, space.winner_sums, space.ambiguous.view(np.uint8),
            space.right_winner, space.vectors, minimum, settings.p1, settings.p2, uniqueness, y0, rows, dy, give_way,
        )  # fmt: skip

    down, up = space.states
    for state in space.states:
        state.reset(settings.p2)
    # Two groups: the larger one takes the larger half in both phases, so that they meet at the same time.
    larger = -(-workers // 2)
    crew = space.crew(max(workers, 2))
    half = height * larger // max(workers, 2) if workers > 1 else height // 2

    def phase(final: bool, downwards: tuple[int, int], upwards: tuple[int, int], most_down: bool) -> None:
        first = larger if most_down else max(workers - larger, 1)
        for state in space.states:
            state.start()
        jobs = []
        for i, worker in enumerate(crew):
            state, (y0, rows), dy = (down, downwards, 1) if i < first else (up, upwards, -1)
            jobs.append(lambda s=state, w=worker, y=y0, c=rows, d=dy: sweep(final, s, w, y, c, d))
        # the first of each group starts first
        run_all(workers, [jobs[0], *jobs[first:], *jobs[1:first]])

    phase(False, (0, half), (height - 1, height - half), True)
    phase(True, (half, height - half), (half - 1, half), False)
