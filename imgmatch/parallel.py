"""Run a function over a stream in threads, in order and bounded; add up the time that stages take."""

from __future__ import annotations

import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["StageTimer", "ordered_map", "worker_count"]

A = TypeVar("A")
B = TypeVar("B")


def worker_count(asked: int) -> int:
    """Return `asked`, or one per usable core where it is 0."""
    if asked:
        return asked
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def ordered_map(function: Callable[[A], B], items: Iterable[A], *, workers: int, ahead: int) -> Iterator[B]:
    """Yield ``function(item)`` for each item, in order.

    Parameters
    ----------
    function : callable
        Runs in `workers` threads; an exception surfaces at its item's turn.
    items : iterable
        Read lazily from the caller's thread.
    workers : int
    ahead : int
        Most items in flight or finished and not yet taken; bounds memory.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="imgmatch") as pool:
        waiting: deque[Future[B]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class StageTimer:
    """Adds up the time spent by stage; thread-safe enough for a display (a rare lost addition shows nowhere).

    Attributes
    ----------
    seconds : dict of str to float
        Wall-clock seconds by stage, summed over threads.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start
