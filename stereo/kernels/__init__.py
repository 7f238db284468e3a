"""The only place that compiles. Compile policy: `nogil`, no bounds checks, no fastmath, no prange, cached on disk.

The cache lies in a folder of ours, named after the kernels' sources and Numba's version, so that a changed kernel never meets an
old binary. A torn, foreign or unwritable cache costs a compilation, never a crash (Numba's own cache raises on a torn file).
"""

import contextlib
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import caching

from calib import files

_SOURCES = Path(__file__).parent


@cache
def cache_folder() -> Path:
    """Where compiled kernels are kept: `STEREO_CACHE_DIR`, else the user's cache folder."""
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(_SOURCES.glob("*.py")):
        digest.update(source.read_bytes())
    return files.cache_folder("stereo-kernels") / digest.hexdigest()[:16]


def is_cold() -> bool:
    """True when the first call will have to compile (some seconds)."""
    return not any(cache_folder().glob("*.nbi"))


class _Locator(caching._CacheLocator):  # type: ignore[misc]
    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._py_file = file
        self._lineno = function.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return cache_folder().name

    def get_disambiguator(self) -> str:
        return str(self._lineno)

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> "_Locator":
        return cls(function, file)


class _Impl(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Locator,)


class _Files(caching.IndexDataCacheFile):  # type: ignore[misc]
    """Data files named after what they hold. Numba numbers them, so that two processes that compile at once may swap code."""

    def save(self, key: Any, data: Any) -> None:
        overloads = self._load_index()
        overloads[key] = self._data_name(hashlib.sha256(repr(key).encode()).hexdigest()[:16])
        self._save_data(overloads[key], data)
        self._save_index(overloads)

    def _data_name(self, number: Any) -> str:
        return f"{self._index_name.removesuffix('.nbi')}.{number}.nbc"


class _Cache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _Impl

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        locator = self._impl.locator
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, locator.get_source_stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a torn or foreign file raises anything from EOFError to UnpicklingError
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception:  # read-only or full disk, or an index torn meanwhile: the compiled code still runs
            with contextlib.suppress(OSError):
                self.flush()


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a kernel on its first call, or load it from the cache."""
    dispatcher = numba.njit(nogil=True, boundscheck=False, error_model="numpy")(function)
    dispatcher._cache = _Cache(function)
    return dispatcher


def inlined(function: Callable[..., Any]) -> Any:
    """A helper that is inlined into the kernels that use it."""
    return numba.njit(inline="always", nogil=True, boundscheck=False, error_model="numpy")(function)
