"""Working memory that is lent out piece by piece: the sums of the paths, which are not needed any more after the winners."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from stereo.kernels.simd import aligned

_ALIGNMENT = 64


class Arena:
    """Arrays in memory that exists already (memory touched for the first time costs more than most of the work in it)."""

    def __init__(self, memory: NDArray[Any]) -> None:
        self._bytes = memory.reshape(-1).view(np.uint8)
        self._taken = 0

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array with undefined content; from fresh memory where what is left does not hold it (tiny images)."""
        count = int(np.prod(shape))
        size = count * np.dtype(dtype).itemsize
        if self._taken + size > len(self._bytes):
            return np.asarray(aligned(count, dtype)).reshape(shape)
        start, self._taken = self._taken, -(-(self._taken + size) // _ALIGNMENT) * _ALIGNMENT
        return self._bytes[start : start + size].view(dtype).reshape(shape)
