"""Run a function over a stream in threads, in order and bounded; bound and add up the time that work takes."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from imgmatch.errors import OutOfTimeError

__all__ = ["StageTimer", "checkpoint", "one_blas_thread", "ordered_map", "time_limit", "worker_count"]

_limits = threading.local()

_blas_lock = threading.Lock()
_blas_limit = ExitStack()
_blas_users = 0

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


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let the matrix products of this process take one thread each.

    Notes
    -----
    NumPy's products are small here, and idle BLAS threads busy-wait: on two cores a photo took 0.245 processor seconds
    instead of 0.128. A BLAS on OpenMP is left alone: the encoder may share its threads. Uses may overlap: the first sets the
    limit, which takes 1 ms, and the last to end restores what was before.
    """
    global _blas_users
    with _blas_lock:
        if not _blas_users:
            _blas_limit.enter_context(ThreadpoolController().select(threading_layer="pthreads").limit(limits=1))
        _blas_users += 1
    try:
        yield
    finally:
        with _blas_lock:
            _blas_users -= 1
            if not _blas_users:
                _blas_limit.close()


class StageTimer:
    """Adds up processor time by stage; thread-safe enough for a display (a rare lost addition shows nowhere).

    Attributes
    ----------
    seconds : dict of str to float
        Processor seconds of the threads that did the work, by stage; threads that a library starts are not seen.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.thread_time()
        try:
            yield
        finally:
            self.seconds[stage] += time.thread_time() - start


@contextmanager
def time_limit(seconds: float, given_up: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Let what this thread does in the block end at its first `checkpoint` after so many seconds.

    Parameters
    ----------
    seconds : float
    given_up : callable
        Tells, at a checkpoint, whether nobody waits for the result any more.

    Notes
    -----
    A thread cannot be stopped from outside. What lies between two checkpoints is bounded by the size of one photo or text.
    """
    before = getattr(_limits, "now", None)
    _limits.now = (time.monotonic() + seconds, seconds, given_up)
    try:
        yield
    finally:
        _limits.now = before


def checkpoint() -> None:
    """Raise where this thread's `time_limit` has passed; called between the steps of anything that may take long.

    Raises
    ------
    OutOfTimeError
    """
    limit = getattr(_limits, "now", None)
    if limit is None:
        return
    end, seconds, given_up = limit
    if given_up():
        raise OutOfTimeError("nobody is waiting for it any more")
    if time.monotonic() > end:
        raise OutOfTimeError(f"it took more than {seconds:g} s")
