"""Work that takes longer than a page may: one thing after another, in a thread, with its progress."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from imgmatch.apps.guard import ServiceError
from imgmatch.errors import ImgmatchError

__all__ = ["Job", "Jobs"]

_log = logging.getLogger("imgmatch.desk")
_KEPT, _WAITING = 50, 10

Say = Callable[[int, int, str], None]
"""``say(done, total, what)``: how far a piece of work is."""


@dataclass(slots=True)
class Job:
    """A piece of work: what it is, how far it is, and in the end its result or why there is none.

    `back` is the page that it was begun on: its name and address.
    """

    id: str
    title: str
    reviewer: str
    back: tuple[str, str]
    done: int = 0
    total: int = 1
    step: str = "waiting"
    result: Any = None
    error: str = ""

    @property
    def finished(self) -> bool:
        return bool(self.error) or self.result is not None


class Jobs:
    """Runs pieces of work one after another; remembers the last ones."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="imgmatch-desk")
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def start(self, title: str, reviewer: str, work: Callable[[Job, Say], Any], *, back: tuple[str, str]) -> Job:
        """Begin ``work(job, say)`` as soon as those before it are done.

        Raises
        ------
        ServiceError
            Where too much is waiting.
        """
        job = Job(secrets.token_hex(12), title, reviewer, back)
        with self._lock:
            if sum(not j.finished for j in self._jobs.values()) >= _WAITING:
                raise ServiceError(503, "busy", f"{_WAITING} pieces of work are waiting", "try again when some are done")
            self._jobs[job.id] = job
            for old in [j.id for j in self._jobs.values() if j.finished][: max(len(self._jobs) - _KEPT, 0)]:
                del self._jobs[old]
        self._pool.submit(self._run, job, work)
        return job

    def get(self, job_id: str) -> Job | None:
        with self._lock:
            return self._jobs.get(job_id)

    def _run(self, job: Job, work: Callable[[Job, Say], Any]) -> None:
        def say(done: int, total: int, what: str) -> None:
            job.done, job.total, job.step = done, total, what

        try:
            job.result = work(job, say)
        except (ImgmatchError, OSError, ValueError) as error:
            job.error = str(error) or type(error).__name__
        except Exception as error:
            _log.error("%s failed", job.title, exc_info=error)
            job.error = "an unexpected error, written to the desk's log"
