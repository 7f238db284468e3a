"""Two halves of a job on two threads; the process-wide helper thread survives a fork."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

_A = TypeVar("_A")
_B = TypeVar("_B")


@cache
def _helper() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="stereo-match")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helper.cache_clear)  # a forked child has no worker thread


def run_both(workers: int, here: Callable[[], _A], there: Callable[[], _B]) -> tuple[_A, _B]:
    """Run two halves; with two workers the caller takes the first itself (waking two sleeping threads costs more)."""
    if workers < 2:
        return here(), there()
    other = _helper().submit(there)
    mine = here()
    return mine, other.result()
