"""The only place that compiles. Compile policy: `nogil`, no bounds checks, no fastmath, no prange, cached on disk.

The cache lies in a folder of ours, named after the kernels' sources and Numba's version, so that a changed kernel never meets an
old binary. A torn, foreign or unwritable cache costs a compilation, never a crash (Numba's own cache raises on a torn file).
"""

import contextlib
import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import caching

_SOURCES = Path(__file__).parent


@cache
def cache_folder() -> Path:
    """Where compiled kernels are kept: `STEREO_CACHE_DIR`, else the user's cache folder."""
    root = os.environ.get("STEREO_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(_SOURCES.glob("*.py")):
        digest.update(source.read_bytes())
    return Path(root) / "stereo-kernels" / digest.hexdigest()[:16]


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


class _Cache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _Impl

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
