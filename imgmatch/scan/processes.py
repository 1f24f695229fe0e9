"""The shards of a scan on the cores of this machine: one process each, with the function that a scan in one process uses."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import chain, islice
from multiprocessing.connection import wait
from pathlib import Path

from imgmatch.catalog import Catalog
from imgmatch.config import Config
from imgmatch.encoders.store import cache_dir
from imgmatch.errors import ImgmatchError, ScanError
from imgmatch.loading.cache import PhotoCache
from imgmatch.matcher import Matcher
from imgmatch.parallel import worker_count
from imgmatch.records import ScanRecord
from imgmatch.scan.stream import Shard
from imgmatch.scan.stream import run_shards as run_shards_here

__all__ = ["Worker", "identity", "run_shards"]

_RETRIES = 3  # a listing that kills whoever examines it would do so for ever

Done = tuple[list[ScanRecord], dict[str, float]]


class Worker:
    """A matcher in a process or machine of its own.

    Raises
    ------
    ScanError
        Where the catalog, the settings or the version of imgmatch are not those of the process that asks.
    """

    def __init__(self, catalog: str, space: str, config: Config, *, root: str, expected: str) -> None:
        import cv2

        # One core is this worker's: reading ahead in one thread is enough to keep it busy, and OpenCV needs no second one.
        cv2.setNumThreads(1)
        config = replace(config, scan=replace(config.scan, workers=1))
        cache = PhotoCache(cache_dir() / "photos.sqlite")
        self._matcher = Matcher(Catalog.load(catalog, space=space), config, cache=cache)
        self._root = Path(root)
        if (mine := identity(self._matcher)) != expected:
            raise ScanError(f"the catalog, the settings or the version of imgmatch differ here: {mine}, expected {expected}")

    def examine(self, shard: Shard) -> Done:
        """Return the records of a shard, in order, and the processor seconds that it took by stage."""
        before = dict(self._matcher.seconds)
        records = [record for _, record in run_shards_here([shard], self._matcher, self._root)]
        return records, {stage: s - before.get(stage, 0.0) for stage, s in self._matcher.seconds.items()}


def identity(matcher: Matcher) -> str:
    """Name what the records of a matcher rest on."""
    return f"catalog {matcher.catalog.version}, settings {matcher.fingerprint}"


def run_shards(shards: Iterable[Shard], matcher: Matcher, root: Path) -> Iterator[tuple[int, ScanRecord]]:
    """Examine shards in ``scan.workers`` processes; a :data:`imgmatch.scan.Runner`.

    Parameters
    ----------
    shards : iterable of Shard
        Read a few ahead. A single one is examined in this process.
    matcher : Matcher
        Each worker makes its own, of the same catalog and settings.
    root : Path
        Folder that photo paths are relative to.

    Yields
    ------
    number : int
        Of the record's shard.
    record : ScanRecord
        In the order of the shards.

    Raises
    ------
    ScanError
        Where a worker cannot begin, sees another catalog or other settings than this process, or dies over a shard again
        and again.
    """
    ahead = iter(shards)
    first = list(islice(ahead, 2))
    workers = worker_count(matcher.config.scan.workers)
    if len(first) < 2 or workers < 2:
        yield from run_shards_here(chain(first, ahead), matcher, root)
        return
    settings = (str(matcher.catalog.path.resolve()), matcher.catalog.space.id, matcher.config, str(root.resolve()))
    queue = chain(first, ahead)
    waiting: deque[Shard] = deque(islice(queue, 2 * workers))
    deaths = 0
    while waiting:
        pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(*settings, identity(matcher))
        )
        try:
            futures: deque[Future[Done]] = deque(pool.submit(_examine, shard) for shard in waiting)
            while futures:
                records, seconds = futures[0].result()
                for stage, spent in seconds.items():
                    matcher.seconds[stage] += spent
                futures.popleft()
                shard, deaths = waiting.popleft(), 0
                yield from ((shard.number, record) for record in records)
                for more in islice(queue, 1):
                    waiting.append(more)
                    futures.append(pool.submit(_examine, more))
        except BrokenProcessPool as error:
            deaths += 1
            if deaths > _RETRIES:
                raise ScanError(
                    f"a worker died over the listings from {waiting[0].rows[0][0].listing_id!r} on, {deaths} times; "
                    "finished shards stay valid, run the same command again once this is put right"
                ) from error
        finally:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)


_worker: Worker | None = None
_refused: ImgmatchError | None = None


def _begin(catalog: str, space: str, config: Config, root: str, expected: str) -> None:
    """Make this process a worker, which ends with the process that started it, however that ends."""
    global _worker, _refused
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    os.environ["OMP_NUM_THREADS"] = "1"  # read by what is imported from here on
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    try:
        _worker = Worker(catalog, space, config, root=root, expected=expected)
    except ImgmatchError as error:  # raised here, it would be taken for a death
        _refused = error


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _examine(shard: Shard) -> Done:
    if _worker is None:
        raise _refused or ScanError("the worker did not begin")
    return _worker.examine(shard)
