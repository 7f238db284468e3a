"""Work on several threads that can be left behind: one job that never ends does not hang the run.

The executors of the standard library wait for every thread, at the latest when the interpreter ends.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")
_MOST_REPLACED = 2  # times as many as threads
_LAST_WAIT_S = 5.0  # for threads that are at work when the run is stopped


class _Slot(Generic[Job, Result]):
    """One job and what became of it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.started_s: float | None = None
        self.ended = threading.Event()
        self.thread: threading.Thread | None = None
        self.is_replaced = False
        self.is_dropped = False
        self.result: Result
        self.error: BaseException | None = None


def in_order(
    work: Callable[[Job], Result], jobs: Iterable[Job], *, threads: int, limit_s: float, late: Callable[[Job], Result]
) -> Iterator[Result]:
    """The results of jobs in the jobs' order.

    Parameters
    ----------
    work : callable
        Called on several threads at once; what it raises is raised here.
    jobs : iterable
        Drawn from this thread, at most twice as many as threads ahead of the results.
    threads : int
    limit_s : float
        A job that takes longer is left to itself, and its thread is replaced, at most twice as often as there are threads; when
        all of them hang, what was not begun is late, too.
    late : callable
        Gives the result for such a job.

    Yields
    ------
    result
    """
    todo: queue.SimpleQueue[_Slot[Job, Result] | None] = queue.SimpleQueue()
    team: list[threading.Thread] = []

    def serve() -> None:
        while (slot := todo.get()) is not None:
            if slot.is_dropped:
                continue
            slot.thread, slot.started_s = threading.current_thread(), time.monotonic()
            try:
                slot.result = work(slot.job)
            except BaseException as error:
                slot.error = error
            slot.ended.set()
            if slot.is_replaced:  # another thread has taken this one's place
                return

    def enlist() -> None:
        team.append(threading.Thread(target=serve, daemon=True, name="board search"))
        team[-1].start()

    waiting: deque[_Slot[Job, Result]] = deque()
    source = iter(jobs)
    hanging: list[_Slot[Job, Result]] = []

    def is_hopeless() -> bool:
        """No thread is there to begin anything."""
        return sum(not slot.ended.is_set() for slot in hanging) >= sum(thread.is_alive() for thread in team)

    for _ in range(threads):
        enlist()
    try:
        is_empty = False
        while waiting or not is_empty:
            while not is_empty and len(waiting) < 2 * threads:
                for job in source:
                    waiting.append(_Slot(job))
                    todo.put(waiting[-1])
                    break
                else:
                    is_empty = True
            if not waiting:
                break
            slot = waiting.popleft()
            if _is_done(slot, limit_s, is_hopeless):
                if slot.error is not None:
                    raise slot.error
                yield slot.result
            else:
                slot.is_dropped = True
                if slot.thread is not None:
                    hanging.append(slot)
                    if len(team) < (1 + _MOST_REPLACED) * threads:
                        slot.is_replaced = True
                        enlist()
                yield late(slot.job)
    finally:
        with suppress(queue.Empty):  # nothing new is begun
            while True:
                todo.get_nowait()
        for _ in team:
            todo.put(None)
        end_s = time.monotonic() + _LAST_WAIT_S
        for thread in team:
            if all(thread is not slot.thread or slot.ended.is_set() for slot in hanging):
                thread.join(max(0.0, end_s - time.monotonic()))


def _is_done(slot: _Slot[Job, Result], limit_s: float, is_hopeless: Callable[[], bool]) -> bool:
    """Wait for a job; False when its time is over, or no thread will ever begin it."""
    while not slot.ended.wait(0.05):
        if slot.started_s is not None and time.monotonic() - slot.started_s > limit_s:
            return slot.ended.is_set()
        if slot.started_s is None and is_hopeless():
            return False
    return True
