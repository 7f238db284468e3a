"""The matcher's big arrays, kept between calls: memory touched for the first time costs more than the matching."""

import math
import os
import threading
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from stereo.kernels import planes, select, sweeps
from stereo.kernels.block import new_block
from stereo.kernels.progress import COUNTER_STRIDE
from stereo.kernels.simd import FLOAT_LANES, LANES, aligned
from stereo.kernels.winners import RIGHT_MARGIN
from stereo.memory import require_memory
from stereo.settings import MatcherSettings

_LARGEST_KEPT_BYTES = 2**30
"""workspaces beyond this are given back at once: a giant pair should not hold its memory for the life of a process"""
_LARGEST_KEPT_NUMBER = 6


@dataclass(frozen=True, slots=True)
class Layout:
    """What of the settings decides the arrays."""

    gradient: bool
    """the cost has gradient planes"""
    adaptive: bool
    """P2 varies with the image"""
    wide: bool
    """sums are uint16"""


_USUAL = Layout(gradient=True, adaptive=True, wide=True)


def layout(settings: MatcherSettings, labels: int) -> Layout:
    """Bytes hold the sums of four path costs where 4 (largest cost + P2) <= 255, for up to 256 labels."""
    gradient = settings.cost == "mix"
    adaptive = not math.isinf(settings.p2_contrast) or settings.refinement == "second pass"
    most = 4 * ((planes.MAX_COST if gradient else planes.MAX_CENSUS) + settings.p2)
    return Layout(gradient, adaptive, adaptive or most > 255 or labels > 256)


def required_bytes(height: int, width: int, labels: int, what: Layout = _USUAL) -> int:
    """Memory that `match` takes above its inputs, bytes: the sums, the planes and the small maps."""
    vectors = -(-labels // LANES)
    rows = planes.RIGHT_PLANES * vectors * 80
    return height * width * ((2 if what.wide else 1) * vectors * LANES + 56) + height * rows + 100 * width * vectors * LANES // 10


class SweepState:
    """The paths' rows of one sweep, shared by the threads that work on it."""

    def __init__(self, height: int, width: int, vectors: int) -> None:
        size = vectors * LANES
        self.vertical = aligned(width * size, np.uint8)
        self.diagonal, self.antidiagonal = (aligned((width + sweeps.STATE_MARGIN) * size, np.uint8) for _ in range(2))
        stride = width + 2 * sweeps.LEAST_MARGIN + LANES
        self.least = aligned(2 * 3 * stride, np.uint32).reshape(2, 3, stride)
        self.progress = aligned((height + 1) * COUNTER_STRIDE, np.int64)

    def arrays(self) -> tuple[np.ndarray[tuple[int, ...], np.dtype[Any]], ...]:
        """In the order of the sweep's arguments."""
        return self.vertical, self.diagonal, self.antidiagonal, self.least, self.progress

    def reset(self, p2: int) -> None:
        """Back to "no predecessor" for a new image."""
        for state in (self.vertical, self.diagonal, self.antidiagonal):
            state[:] = 0
        self.least[:] = p2 * 0x01010101
        self.progress[:] = 0

    def start(self) -> None:
        """No row of the next phase is claimed yet."""
        self.progress[0] = 0


class WorkerState:
    """What one thread needs for the row that it works on."""

    def __init__(self, width: int, vectors: int, *, wide: bool) -> None:
        size = vectors * LANES
        sum_type = np.uint16 if wide else np.uint8
        self.block = new_block(vectors, wide=wide)
        self.excess = aligned(width + LANES, np.uint32)
        self.right_sum, self.right_label = (aligned(width + size + 2 * RIGHT_MARGIN, sum_type) for _ in range(2))

    def arrays(self) -> tuple[np.ndarray[tuple[int, ...], np.dtype[Any]], ...]:
        """In the order of the sweep's arguments."""
        return self.block, self.excess, self.right_sum, self.right_label


class Workspace:
    """The arrays of one image size and range."""

    def __init__(self, height: int, width: int, labels: int, what: Layout = _USUAL) -> None:
        self.key = (height, width, labels, what)
        self.layout = what
        self.vectors = vectors = -(-labels // LANES)
        self.padded = labels < vectors * LANES
        size = vectors * LANES
        sum_type = np.uint16 if what.wide else np.uint8
        stride = -(-((width - 1) // vectors + 2 + LANES) // LANES) * LANES
        count = planes.LEFT_PLANES if what.gradient else planes.CENSUS_LEFT_PLANES
        self.left = aligned(height * count * width, np.uint8).reshape(height, count, width)
        count = planes.RIGHT_PLANES if what.gradient else planes.CENSUS_RIGHT_PLANES
        self.right = aligned(height * count * vectors * stride, np.uint8).reshape(height, count, vectors, stride)
        self.whole = np.zeros(height, np.uint8)
        self.penalty = aligned(4 * (height + 1) * (width + 2) if what.adaptive else 0, np.uint8)
        self.penalty = self.penalty.reshape(4 if what.adaptive else 0, height + 1, width + 2)
        self.sums = aligned(height * width * size, sum_type)
        self.states = [SweepState(height, width, vectors) for _ in range(2)]
        self._crew: list[WorkerState] = []
        self.winner, self.right_winner = (np.empty((height, width), np.int16) for _ in range(2))
        self.winner_sums = np.empty((3, height, width), np.uint16)
        self.ambiguous = np.empty((height, width), np.bool_)
        order = np.arange(LANES)[None, :] * vectors + np.arange(vectors)[:, None]
        self.padding = aligned(size + LANES, np.uint8)  # and the numbers of the lanes
        self.padding[:size], self.padding[size:] = np.where(order >= labels, 255, 0).ravel(), np.arange(LANES)
        self.no_ranges = np.zeros((1, 1), np.int32)
        rounded = -(-width // FLOAT_LANES) * FLOAT_LANES
        shape = (height + 2 * select.MARGIN, rounded + 2 * select.MARGIN + FLOAT_LANES)
        self.label = np.full(shape, select.NO_LABEL, np.float32)
        self.grey = np.zeros(shape, np.float32)
        self.residual = np.zeros((height, rounded), np.float32)

    def crew(self, count: int) -> list[WorkerState]:
        """Working memory of `count` threads."""
        while len(self._crew) < count:
            self._crew.append(WorkerState(self.winner.shape[1], self.vectors, wide=self.layout.wide))
        return self._crew[:count]


class lease:  # noqa: N801 (used as `with lease(...)`)
    """Lends a kept workspace; a second caller at the same time, or another size, gets a new one.

    One call works on several sizes (coarse passes), so that a few are kept, the latest used first.
    """

    _lock = threading.Lock()
    _kept: ClassVar[list[Workspace]] = []

    def __init__(self, height: int, width: int, labels: int, settings: MatcherSettings | None = None) -> None:
        self._key = (height, width, labels, _USUAL if settings is None else layout(settings, labels))

    def __enter__(self) -> Workspace:
        with lease._lock:
            space = next((s for s in lease._kept if s.key == self._key), None)
            if space is not None:
                lease._kept.remove(space)
            else:
                lease._make_room(required_bytes(*self._key))
        if space is None:
            height, width, labels, _ = self._key
            # asked before, because the system hands out memory that it does not have and ends the process later
            what = f"matching {width} x {height} px over {labels} disparities"
            require_memory(required_bytes(*self._key), what=what, advice="narrow the range or use smaller images")
            space = Workspace(*self._key)
        self._space = space
        return space

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:  # interrupted in the middle of something
            return
        with lease._lock:
            lease._make_room(required_bytes(*self._key))
            if required_bytes(*self._key) <= _LARGEST_KEPT_BYTES:
                lease._kept.insert(0, self._space)

    @classmethod
    def _make_room(cls, count: int) -> None:
        """Drop the workspaces used longest ago until `count` more bytes stay within the limit."""
        while cls._kept and (
            len(cls._kept) >= _LARGEST_KEPT_NUMBER or sum(required_bytes(*s.key) for s in cls._kept) + count > _LARGEST_KEPT_BYTES
        ):
            cls._kept.pop()

    @classmethod
    def forget(cls) -> None:
        """Give the kept workspaces back, with a new lock: for a process that has just been forked."""
        cls._lock = threading.Lock()
        cls._kept.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lease.forget)
