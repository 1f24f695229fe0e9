"""What answers the service's requests: one matcher for all of them, in batches, replaced whole when the catalog changes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from imgmatch.catalog import Catalog
from imgmatch.catalog.manifest import Manifest
from imgmatch.config import Config
from imgmatch.errors import CatalogError, ImgmatchError, SpaceMismatchError
from imgmatch.matcher import Loaded, Matcher
from imgmatch.parallel import time_limit, worker_count
from imgmatch.records import Listing, ScanRecord
from imgmatch.types import Candidate, FindingStatus
from imgmatch.verdicts import negatives

__all__ = ["Engine"]

T = TypeVar("T")

_log = logging.getLogger("imgmatch.service")


@dataclass(slots=True, eq=False)
class _Job:
    """A listing whose photos have been read, waiting for the matcher that read them."""

    matcher: Matcher
    loaded: Loaded
    answer: asyncio.Future[ScanRecord]


class Engine:
    """Answer concurrent requests with one matcher, and go over to a new one when what it rests on changes on disk.

    Parameters
    ----------
    catalog : Catalog
        Already loaded; its folder is watched, and the files of rules and calibration that the config names.
    config : Config
    on_batch : callable, optional
        Called with the number of listings of each batch, from another thread.

    Attributes
    ----------
    matcher : Matcher
        What new requests are answered by.
    problem : str or None
        Why the catalog on disk could not be loaded; the engine then goes on with the one it has.

    Notes
    -----
    A request is read, examined and fused by the matcher that was current when it came, or again from the start by a newer
    one: never by two. Photos are read in threads, requests that come together share a forward pass, and each listing is then
    examined in one of as many threads as there are cores (``scan.workers``), within its own time (``service.budget``); one
    that nobody waits for any more stops. While all of them are at work, the next batch gathers.
    """

    def __init__(self, catalog: Catalog, config: Config, *, on_batch: Callable[[int], None] | None = None) -> None:
        self.matcher = _ready(catalog, config)
        self.problem: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._config = config
        self._watched = _watched(catalog.path, config)
        self._on_batch = on_batch
        self._workers = worker_count(config.scan.workers)
        self._readers = ThreadPoolExecutor(self._workers, thread_name_prefix="imgmatch-read")
        self._examiners = ThreadPoolExecutor(self._workers, thread_name_prefix="imgmatch-examine")

    async def start(self) -> None:
        """Begin to batch and to watch the catalog, in the running event loop."""
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._asked = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tasks = [asyncio.create_task(self._batch_forever()), asyncio.create_task(self._watch_forever())]
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._examiners.shutdown(cancel_futures=True)

    async def examine(self, listing: Listing, photos: Mapping[str, bytes]) -> ScanRecord:
        """Examine a listing; `photos` holds the bytes of its photos by the names it gives them."""
        while True:
            matcher = self.matcher
            record = await self._examine(matcher, listing, photos)
            # A change of the catalog may have removed what this matcher was about to look at: then the new one answers.
            if not _broken(record) or not await self._outdated(matcher):
                return record

    async def search(self, photo: bytes, k: int) -> tuple[Catalog, list[Candidate]]:
        """Find the `k` items of the catalog that look most like a photo.

        Raises
        ------
        ImageError
            Where the photo cannot be read.
        """
        catalog = self.matcher.catalog
        return catalog, await asyncio.get_running_loop().run_in_executor(self._readers, catalog.search, photo, k)

    def reload_soon(self) -> None:
        """Look for a new catalog at once; may be called from any thread or from a signal handler."""
        if self._loop is not None:  # before the start there is nothing older to replace
            self._loop.call_soon_threadsafe(self._asked.set)

    async def reload(self) -> bool:
        """Go over to the catalog, decisions, calibration and rules that are on disk; return whether anything is new.

        Raises
        ------
        ImgmatchError
            Where it cannot be loaded; requests go on being answered by the old one.
        """
        async with self._reloading:
            old = self.matcher
            try:
                new = await asyncio.to_thread(_newer, old, self._config)
            except (ImgmatchError, OSError) as error:
                self.problem = str(error)
                raise
            except Exception as error:
                _log.error("the catalog on disk broke its reader", exc_info=error)
                self.problem = "an unexpected error, written to the service's log"
                raise CatalogError(self.problem) from error
            self.problem = None
            if new is None:
                return False
            self.matcher = new
            versions = (f"{m.catalog.version} {m.fingerprint}" for m in (new, old))
            _log.info("catalog and settings %s are now answered from instead of %s", *versions)
            return True

    async def _examine(self, matcher: Matcher, listing: Listing, photos: Mapping[str, bytes]) -> ScanRecord:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[ScanRecord] = loop.create_future()

        def load() -> Loaded:
            with time_limit(self._config.service.budget, answer.done):
                return matcher.load(listing, photos)

        try:
            loaded = await loop.run_in_executor(self._readers, load)
            self._jobs.put_nowait(_Job(matcher, loaded, answer))
            return await answer
        finally:
            answer.cancel()  # where the request was given up: what goes on for it stops at its next step

    async def _outdated(self, matcher: Matcher) -> bool:
        if self.matcher is not matcher:
            return True
        try:
            return await self.reload()
        except (ImgmatchError, OSError):
            return False

    async def _batch_forever(self) -> None:
        at_work: set[asyncio.Future[None]] = set()
        while True:
            jobs = await self._gather()
            for matcher in {id(job.matcher): job.matcher for job in jobs}.values():
                at_work |= await self._begun(matcher, [job for job in jobs if job.matcher is matcher])
            while len(at_work) >= self._workers:
                _, at_work = await asyncio.wait(at_work, return_when=asyncio.FIRST_COMPLETED)

    async def _gather(self) -> list[_Job]:
        """Take the first job and what comes within the window, up to one forward pass of photos."""
        jobs = [await self._jobs.get()]
        until = time.monotonic() + self._config.service.window
        size = self._config.scan.batch
        while sum(len(job.loaded.photos) for job in jobs) < size and len(jobs) < size:
            try:
                jobs.append(await asyncio.wait_for(self._jobs.get(), until - time.monotonic()))
            except asyncio.TimeoutError:
                break
        return jobs

    async def _begun(self, matcher: Matcher, jobs: Sequence[_Job]) -> set[asyncio.Future[None]]:
        """Embed the photos of a batch in one forward pass, and begin to examine its listings."""
        wanted = [job for job in jobs if not job.answer.done()]  # who gave up waiting is not examined
        if not wanted:
            return set()
        if self._on_batch:
            self._on_batch(len(wanted))
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._examiners, matcher.embed, [job.loaded for job in wanted])
        except Exception as error:
            for job in wanted:
                _answer(job, error)
            return set()
        return {loop.run_in_executor(self._examiners, self._examined, job) for job in wanted}

    def _examined(self, job: _Job) -> None:
        """Examine a listing in an examiner's thread."""
        if job.answer.done():
            return
        try:
            with time_limit(self._config.service.budget, job.answer.done):
                [record] = job.matcher.examine_loaded([job.loaded])
        except Exception as error:
            _answer(job, error)
        else:
            _answer(job, record)

    async def _watch_forever(self) -> None:
        seen = None  # the catalog may have changed between its loading and now
        while True:
            try:
                await asyncio.wait_for(self._asked.wait(), self._config.service.poll)
            except asyncio.TimeoutError:
                # A catalog that could not be loaded is tried again: the rest of a copy may be on its way.
                if _state(self._watched) == seen and self.problem is None:
                    continue
            self._asked.clear()
            seen, before = _state(self._watched), self.problem
            try:
                await self.reload()
            except Exception as error:  # whatever is wrong there, watching goes on
                if str(error) != before:
                    _log.error("the catalog was not reloaded: %s", error)


def _answer(job: _Job, answer: ScanRecord | Exception) -> None:
    """Answer a job, from any thread."""

    def put() -> None:
        if job.answer.done():
            return
        if isinstance(answer, Exception):
            job.answer.set_exception(answer)
        else:
            job.answer.set_result(answer)

    job.answer.get_loop().call_soon_threadsafe(put)


def _ready(catalog: Catalog, config: Config) -> Matcher:
    """Make a matcher and load what it would load at its first request."""
    catalog.nearest(catalog.encoder.encode([]), 1)
    matcher = Matcher(catalog, config)
    matcher.warm_up()
    return matcher


def _newer(old: Matcher, config: Config) -> Matcher | None:
    """Reload what changed, keeping what still fits; None if nothing changed."""
    path = old.catalog.path
    if Manifest.load(path).version == old.catalog.version:
        # The signals stay, warm as they are: only the verdicts can be others.
        new = Matcher(old.catalog, config, signals=old.signals)
        return None if new.fingerprint == old.fingerprint else new
    try:
        catalog = Catalog.load(path, encoder=old.catalog.encoder, device=old.catalog.device)
    except SpaceMismatchError:
        catalog = Catalog.load(path, device=old.catalog.device)
    return _ready(catalog, config)


def _watched(catalog: Path, config: Config) -> list[Path]:
    """Return the files that verdicts rest on and that may change while the service runs."""
    fusion = config.fusion
    named = [fusion.rules, "" if fusion.calibration in ("auto", "none") else fusion.calibration]
    files = [catalog / name for name in ("manifest.json", "calibration.json", negatives.FILE)]
    return [*files, *(config.folder / name for name in named if name)]


def _state(files: Sequence[Path]) -> list[tuple[int, int, int]]:
    """What tells that a file was replaced or grew, without reading it."""
    found = []
    for file in files:
        try:
            stat = file.stat()
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
        except OSError:
            found.append((0, 0, 0))
    return found


def _broken(record: ScanRecord) -> bool:
    return record.verdict is not None and any(f.status is FindingStatus.FAILED for f in record.verdict.findings)
