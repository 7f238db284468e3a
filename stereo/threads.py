"""Parts of a job on several threads; the process-wide helper threads survive a fork."""

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

from calib.errors import UsageError

_A = TypeVar("_A")
_B = TypeVar("_B")

MOST_THREADS = 64
"""more are not started"""
_DEFAULT_LIMIT = 8


@cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_THREADS - 1, thread_name_prefix="stereo-match")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.cache_clear)  # a forked child has no worker threads


def checked_threads(threads: int | None) -> int:
    """How many to use: as asked, but no more than `MOST_THREADS`; by default the usable processors, at most 8."""
    if threads is None:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(usable, _DEFAULT_LIMIT)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise UsageError(f"threads is {threads}; it must be a whole number, at least 1")
    return min(threads, MOST_THREADS)


def run_both(workers: int, here: Callable[[], _A], there: Callable[[], _B]) -> tuple[_A, _B]:
    """Run two halves; with two workers the caller takes the first itself (waking two sleeping threads costs more)."""
    if workers < 2:
        return here(), there()
    other = _helpers().submit(there)
    try:
        mine = here()
    finally:  # an interrupted caller must not leave while the other still writes
        wait([other])
    return mine, other.result()


def run_all(workers: int, jobs: Sequence[Callable[[], _A]]) -> list[_A]:
    """Run every job, the first one on the calling thread; their results in order. No job may wait for a later one."""
    if workers < 2 or len(jobs) < 2:
        return [job() for job in jobs]
    others = [_helpers().submit(job) for job in jobs[1:]]
    try:
        mine = jobs[0]()
    finally:
        wait(others)
    return [mine, *(other.result() for other in others)]


def row_edges(workers: int, height: int) -> list[int]:
    """First rows of the bands into which `run_rows` cuts `height` rows, and `height` itself."""
    bands = max(min(workers, height, MOST_THREADS), 1)
    return [height * i // bands for i in range(bands + 1)]


def run_rows(workers: int, height: int, job: Callable[[int, int], _A]) -> list[_A]:
    """`job(y0, y1)` for the rows 0 ... `height` in as many bands as there are workers; results from top to bottom."""
    edges = row_edges(workers, height)
    return run_all(workers, [lambda y0=y0, y1=y1: job(y0, y1) for y0, y1 in itertools.pairwise(edges)])  # type: ignore[misc]
