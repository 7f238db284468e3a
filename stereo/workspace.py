"""The matcher's big arrays, kept between calls: memory touched for the first time costs more than the matching."""

import os
import threading
from typing import Any, ClassVar

import numpy as np

from stereo.kernels import planes, select
from stereo.kernels.simd import FLOAT_LANES, LANES, WIDE_LANES, aligned
from stereo.memory import require_memory

_LARGEST_KEPT_BYTES = 2**30
"""workspaces beyond this are given back at once: a giant pair should not hold its memory for the life of a process"""
_LARGEST_KEPT_NUMBER = 6


def required_bytes(height: int, width: int, labels: int) -> int:
    """Memory that `match` takes above its inputs, bytes: the uint16 sums, the planes and the small maps."""
    vectors = -(-labels // LANES)
    return height * width * (2 * vectors * LANES + 70) + height * 7 * vectors * 80


class PathStates:
    """One sweep's working rows (both of its halves use them, one after the other)."""

    def __init__(self, width: int, vectors: int) -> None:
        size = vectors * LANES
        self.vertical, self.diagonal, self.antidiagonal = (aligned(width * size, np.uint8) for _ in range(3))
        self.row = aligned(size, np.uint8)
        self.least = np.zeros((3, width), np.uint8)
        self.line = aligned(size + 2 * WIDE_LANES, np.uint16)
        stride = (width - 1) // (2 * vectors) + 2 + WIDE_LANES
        self.right_sum = aligned(2 * vectors * stride, np.uint16).reshape(2 * vectors, stride)
        self.right_label = aligned(2 * vectors * stride, np.uint16).reshape(2 * vectors, stride)

    def arrays(self) -> tuple[np.ndarray[tuple[int, ...], np.dtype[Any]], ...]:
        """In the order of the sweep's arguments."""
        paths = (self.vertical, self.diagonal, self.antidiagonal, self.row, self.least)
        return (*paths, self.line, self.right_sum, self.right_label)

    def reset(self) -> None:
        """Back to "no predecessor" for a new image."""
        for state in (self.vertical, self.diagonal, self.antidiagonal, self.row, self.least):
            state[:] = 0


class Workspace:
    """The arrays of one image size and range."""

    def __init__(self, height: int, width: int, labels: int) -> None:
        self.key = (height, width, labels)
        self.vectors = vectors = -(-labels // LANES)
        size = vectors * LANES
        stride = -(-((width - 1) // vectors + 2 + LANES) // LANES) * LANES
        self.left = aligned(height * planes.LEFT_PLANES * width, np.uint8).reshape(height, planes.LEFT_PLANES, width)
        self.right = aligned(height * planes.RIGHT_PLANES * vectors * stride, np.uint8)
        self.right = self.right.reshape(height, planes.RIGHT_PLANES, vectors, stride)
        self.penalty = np.zeros((4, height + 1, width + 2), np.uint8)
        self.sums = aligned(height * width * size, np.uint16)
        self.states = [PathStates(width, vectors) for _ in range(2)]
        self.winner, self.right_winner = (np.empty((height, width), np.int16) for _ in range(2))
        self.winner_sums = np.empty((3, height, width), np.uint16)
        self.ambiguous = np.empty((height, width), np.bool_)
        order = np.arange(LANES)[None, :] * vectors + np.arange(vectors)[:, None]
        self.padding = np.where(order >= labels, 255, 0).astype(np.uint8).ravel()
        wide = np.arange(WIDE_LANES)[None, :] * 2 * vectors + np.arange(2 * vectors)[:, None]
        self.labels = wide.astype(np.uint16).ravel()
        self.run = np.empty((height, width), np.int32)
        self.parent, self.size = (np.empty(height * width, np.int32) for _ in range(2))
        rounded = -(-width // FLOAT_LANES) * FLOAT_LANES
        shape = (height + 2 * select.MARGIN, rounded + 2 * select.MARGIN + FLOAT_LANES)
        self.label = np.full(shape, select.NO_LABEL, np.float32)
        self.grey = np.zeros(shape, np.float32)
        self.fitted, self.residual = (np.zeros((height, rounded), np.float32) for _ in range(2))


class lease:  # noqa: N801 (used as `with lease(...)`)
    """Lends a kept workspace; a second caller at the same time, or another size, gets a new one.

    One call works on several sizes (coarse passes), so that a few are kept, the latest used first.
    """

    _lock = threading.Lock()
    _kept: ClassVar[list[Workspace]] = []

    def __init__(self, height: int, width: int, labels: int) -> None:
        self._key = (height, width, labels)

    def __enter__(self) -> Workspace:
        with lease._lock:
            space = next((s for s in lease._kept if s.key == self._key), None)
            if space is not None:
                lease._kept.remove(space)
            else:
                lease._make_room(required_bytes(*self._key))
        if space is None:
            height, width, labels = self._key
            # asked before, because the system hands out memory that it does not have and ends the process later
            what = f"matching {width} x {height} px over {labels} disparities"
            require_memory(required_bytes(*self._key), what=what, advice="narrow the range or use smaller images")
            space = Workspace(*self._key)
        self._space = space
        return space

    def __exit__(self, *_: object) -> None:
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
