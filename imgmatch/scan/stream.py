"""A stream of listings through a matcher, one by one or in shards."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from imgmatch.io.sources import Row
from imgmatch.matcher import Loaded, Matcher
from imgmatch.parallel import ordered_map, worker_count
from imgmatch.records import Listing, ScanRecord

__all__ = ["Runner", "Shard", "run_shards", "scan_listings"]


@dataclass(frozen=True, slots=True)
class Shard:
    """Listings that are examined, written and resumed together; the number is their place in the scan."""

    number: int
    path: Path
    rows: list[Row]


Runner = Callable[[Iterable[Shard], Matcher, Path], Iterator[tuple[int, ScanRecord]]]
"""Examines shards, photos relative to a folder: each record with the number of its shard. The records of a shard come in
order, the shards in any."""


def scan_listings(listings: Iterable[Listing | Row], matcher: Matcher, *, root: str | Path = ".") -> Iterator[ScanRecord]:
    """Examine a stream of listings.

    Parameters
    ----------
    listings : iterable of Listing
        Read lazily.
    matcher : Matcher
    root : path
        Folder that photo paths are relative to.

    Yields
    ------
    ScanRecord
        One per listing, in order.

    Notes
    -----
    Photos are read in threads ahead of the encoder; memory is bounded by ``config.scan.batch`` photos a few times over,
    however many listings there are.
    """
    settings, root = matcher.config.scan, Path(root)
    workers = worker_count(settings.workers)
    rows = (row if isinstance(row, tuple) else (row, None) for row in listings)

    def load(row: Row) -> Loaded | ScanRecord:
        listing, problem = row
        if problem is None:
            return matcher.load(listing, root)
        return ScanRecord(
            listing,
            status="failed",
            error=problem,
            catalog_version=matcher.catalog.version,
            config_fingerprint=matcher.fingerprint,
        )

    batch: list[Loaded | ScanRecord] = []
    photos = 0
    for loaded in ordered_map(load, rows, workers=workers, ahead=workers + 2 * settings.batch):
        batch.append(loaded)
        photos += len(loaded.photos)
        if photos >= settings.batch or len(batch) >= 4 * settings.batch:
            yield from _examined(batch, matcher)
            batch, photos = [], 0
    yield from _examined(batch, matcher)


def _examined(batch: list[Loaded | ScanRecord], matcher: Matcher) -> Iterator[ScanRecord]:
    answers = iter(matcher.examine_loaded([x for x in batch if isinstance(x, Loaded)]))
    for x in batch:
        yield x if isinstance(x, ScanRecord) else next(answers)


def run_shards(shards: Iterable[Shard], matcher: Matcher, root: Path) -> Iterator[tuple[int, ScanRecord]]:
    """Examine shards in this process, one after another; decoding runs on across their borders. A :data:`Runner`."""
    numbers: deque[int] = deque()

    def rows() -> Iterator[Row]:
        for shard in shards:
            numbers.extend([shard.number] * len(shard.rows))
            yield from shard.rows

    for record in scan_listings(rows(), matcher, root=root):
        yield numbers.popleft(), record
