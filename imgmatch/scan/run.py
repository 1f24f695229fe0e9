"""A scan into a folder: shards that survive whatever happens, tables and a report of them, and what the run was.

A shard's file name holds a hash of all that its records depend on: settings, rules, calibration, code, catalog, the rows
themselves and the state of their photo files. Resuming is therefore nothing but finding the file there, and a stale shard
can never be taken for a fresh one.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import imgmatch
from imgmatch.catalog import Catalog
from imgmatch.config import Config
from imgmatch.encoders.store import cache_dir
from imgmatch.errors import InputError, ScanError, printable
from imgmatch.io.files import atomic_write, lock
from imgmatch.io.pages import is_capture, unpack
from imgmatch.io.sinks import write_tables
from imgmatch.io.sources import Listings, Posts, Row, listing_root, read_listings, read_posts, with_known
from imgmatch.io.tables import Layout
from imgmatch.loading.cache import PhotoCache
from imgmatch.matcher import Matcher
from imgmatch.records import ScanRecord
from imgmatch.results import read_records
from imgmatch.scan.stream import Runner, Shard, run_shards
from imgmatch.types import FindingStatus

__all__ = ["ScanSummary", "run_scan"]

_HOPELESS = 1000  # rows that all fail for one reason: the source is not what it was taken for
_PUBLISHED = frozenset({"records.jsonl", "records.csv", "records.parquet", "report.html"})

Progress = Callable[[int, int, Counter[str]], None]


@dataclass(slots=True)
class ScanSummary:
    """What a scan came to.

    Parameters
    ----------
    out : Path
    rows, reused : int
        Listings in all, and those taken from an earlier run.
    counts : Counter
        By decision, and ``failed``.
    seconds : float
    notes : list of str
        What the user should know, such as a missing extra.
    stopped : str or None
        Why the scan stopped before the end of its source, or has nothing to show for all of it; the rows read are kept.
    reasons : Counter
        Of the rows that failed, see :func:`reason_of`.
    unread : Counter
        The same of photos that could not be read, in listings that were judged by the rest.
    """

    out: Path
    rows: int = 0
    reused: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    stopped: str | None = None
    reasons: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)


def run_scan(
    source: str | Path,
    catalog: Catalog,
    out: str | Path,
    *,
    posts: str | Path | None = None,
    known: Mapping[str, str] | None = None,
    layout: Layout | None = None,
    config: Config | None = None,
    resume: bool = True,
    retry_failed: bool = False,
    report: Callable[..., None] | None = None,
    progress: Progress | None = None,
    runner: Runner = run_shards,
) -> ScanSummary:
    """Scan a folder or table of listings into a folder of results.

    Parameters
    ----------
    source : path
        See :func:`imgmatch.io.sources.read_listings`.
    catalog : Catalog
    out : path
        Gets ``records.jsonl`` (the truth), ``records.csv``, ``records.parquet`` (with extra ``parquet``), ``report.html``,
        ``run.json`` and ``shards/`` (what a later run resumes from).
    posts : path, optional
        Table of posts that lead to the listings, see :func:`imgmatch.io.sources.read_posts`.
    known : mapping of str to str, optional
        What is known of all the listings, by field of :class:`imgmatch.records.Listing`; a listing's own row goes before it.
    layout : Layout, optional
        Where the fields come from in somebody else's table.
    config : Config, optional
    resume : bool
        Take finished shards of an earlier run that would come out the same.
    retry_failed : bool
        Examine the shards again in which anything failed: a row, a photo, or a signal.
    report : callable, optional
        Writes ``report.html``; :func:`imgmatch.investigate.report.write_report` has the signature.
    progress : callable, optional
        Called with (rows done, rows in all, counts by decision) after each row.
    runner : callable
        Where the work is done; :func:`imgmatch.apps.ray.run_shards` spreads it over the machines of a Ray cluster.

    Returns
    -------
    ScanSummary

    Raises
    ------
    ScanError
        Where results cannot be written; shards finished before stay valid.
    LockedError
        Where another scan writes to `out`.
    InputError
        Where the source as a whole cannot be read.
    """
    source, out = Path(source), Path(out)
    try:
        (out / "shards").mkdir(parents=True, exist_ok=True)
        with lock(out):
            captured: list[str] = []
            if is_capture(source):
                source, captured = unpack(source, out / "pages")
            listings = read_listings(source, layout)
            run = _Run(
                listings=listings,
                posts=Posts() if posts is None else read_posts(Path(posts), listing_root(source)),
                known=known or {},
                matcher=Matcher(catalog, config or Config(), cache=PhotoCache(cache_dir() / "photos.sqlite")),
                out=out,
                resume=resume,
                retry_failed=retry_failed,
                report=report,
                progress=progress,
                runner=runner,
            )
            run.summary.notes += captured
            return run.run()
    except OSError as error:
        raise ScanError(
            f"{error.filename or out}: {error.strerror or error}; finished shards in {out / 'shards'} stay valid, "
            "run the same command again once this is put right"
        ) from error


@dataclass(slots=True)
class _Run:
    """One call of :func:`run_scan`."""

    listings: Listings
    posts: Posts
    known: Mapping[str, str]
    matcher: Matcher
    out: Path
    resume: bool
    retry_failed: bool
    report: Callable[..., None] | None
    progress: Progress | None
    runner: Runner
    summary: ScanSummary = field(init=False)
    total: int = 0
    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def __post_init__(self) -> None:
        self.summary = ScanSummary(self.out)

    @property
    def source(self) -> Path:
        return self.listings.path

    @property
    def root(self) -> Path:
        """Folder that photo paths are relative to."""
        return listing_root(self.source)

    def run(self) -> ScanSummary:
        start = time.perf_counter()
        # Counting reads the source once more, which is nothing beside reading its photos.
        self.total, self.summary.stopped = sum(1 for _ in self._rows()), None
        shards: list[Path] = []
        # By number: the file, how many records it will hold, and those that are there.
        pending: dict[int, tuple[Path, int, list[ScanRecord]]] = {}
        for number, record in self.runner(self._unfinished(shards, pending), self.matcher, self.root):
            path, size, records = pending[number]
            records.append(record)
            self._count(record)
            if len(records) == size:
                _write_shard(path, records)
                del pending[number]
        if not self.summary.rows:
            raise InputError(self.summary.stopped or f"{self.source}: no listing found; read as {self.listings.how}")
        self._judge_failures(at_end=True)
        self.summary.notes += [*self.listings.notes(), *self.posts.problems]
        if self.posts.unused:
            some = ", ".join(sorted(self.posts.unused)[:3])
            self.summary.notes.append(
                f"{len(self.posts.unused)} links of posts lead to no listing of the table, such as {some}"
            )
        examined = time.perf_counter()
        state = hashlib.sha256("\n".join(path.name for path in shards).encode()).hexdigest()
        if self.summary.reused < self.summary.rows or not self._is_published(state):
            self._publish(shards)
        self.summary.seconds = time.perf_counter() - start
        self._write_run(examined - start, state)
        return self.summary

    def _unfinished(self, shards: list[Path], pending: dict[int, tuple[Path, int, list[ScanRecord]]]) -> Iterator[Shard]:
        rows = map(self.posts.attach, (with_known(row, self.known) for row in self._rows()))
        while self.summary.stopped is None and (chunk := list(islice(rows, self.matcher.config.scan.shard))):
            number = len(shards)
            path = self.out / "shards" / f"{number:06d}-{self._key(chunk)}.jsonl"
            shards.append(path)
            known = _read_shard(path) if self.resume else None
            if known is not None and not (self.retry_failed and any(map(_has_failure, known))):
                self.summary.reused += len(known)
                for record in known:
                    self._count(record)
                continue
            pending[number] = (path, len(chunk), [])
            yield Shard(number, path, chunk)

    def _rows(self) -> Iterator[Row]:
        """Yield the listings as far as they can be read; why no further is in the summary."""
        try:
            yield from self.listings
        except InputError as error:
            self.summary.stopped = str(error)

    def _judge_failures(self, *, at_end: bool = False) -> None:
        """Stop where every row failed for one and the same reason."""
        summary = self.summary
        if summary.counts["failed"] == summary.rows and len(summary.reasons) == 1 and (at_end or summary.rows == _HOPELESS):
            reason = next(iter(summary.reasons))
            what = "every listing" if at_end and summary.rows < _HOPELESS else f"each of the first {summary.rows} listings"
            summary.stopped = summary.stopped or f"{what} failed: {reason}. {self.source} was read as {self.listings.how}"
        elif at_end and summary.reasons:
            most = "; ".join(f"{n} {reason}" for reason, n in summary.reasons.most_common(5))
            summary.notes.append(f"{summary.counts['failed']} of {summary.rows} listings failed: {most}")
        if at_end and summary.unread:
            most = "; ".join(f"{n} {reason}" for reason, n in summary.unread.most_common(5))
            summary.notes.append(f"{summary.unread.total()} photos of listings that were judged could not be read: {most}")

    def _key(self, chunk: list[Row]) -> str:
        """Hash all that the records of these rows depend on."""
        digest = hashlib.sha256(f"{self.matcher.fingerprint} {self.matcher.catalog.version}".encode())
        for listing, problem in chunk:
            digest.update(json.dumps([listing.to_dict(), problem], sort_keys=True).encode())
            for photo in (*listing.photos, *listing.promo_photos):
                try:
                    stat = (self.root / photo).stat()  # a photo outside is refused when it is read
                    digest.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
                except (OSError, ValueError):
                    digest.update(b"-")
        return digest.hexdigest()[:16]

    def _count(self, record: ScanRecord) -> None:
        self.summary.rows += 1
        self.summary.counts["failed" if record.verdict is None else str(record.verdict.decision)] += 1
        if record.verdict is None and len(self.summary.reasons) < _HOPELESS:
            self.summary.reasons[reason_of(record)] += 1
        elif record.verdict is not None and len(self.summary.unread) < _HOPELESS:
            failed = [photo.error for photo in record.photos if photo.status == "failed"]
            self.summary.unread.update(reason_of(replace(record, error=error)) for error in failed)
        self._judge_failures()
        if self.progress:
            self.progress(self.summary.rows, self.total, self.summary.counts)

    def _outputs(self) -> dict[str, list[int]]:
        """Size and time of change of what a run publishes."""
        stats = {f.name: f.stat() for f in self.out.iterdir() if f.name in _PUBLISHED}
        return {name: [s.st_size, s.st_mtime_ns] for name, s in sorted(stats.items())}

    def _is_published(self, state: str) -> bool:
        """Tell whether tables and report are as the last run left them, of these very shards: nothing needs writing then."""
        try:
            published = json.loads((self.out / "run.json").read_text(encoding="utf-8"))["published"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        wanted = {"records.jsonl", "records.csv", *(("report.html",) if self.report is not None else ())}
        return bool(published == {"shards": state, "files": self._outputs()}) and wanted <= set(published["files"])

    def _publish(self, shards: list[Path]) -> None:
        """Write the tables and the report from the shards, one record in memory at a time."""
        out, start = self.out, time.thread_time()
        with atomic_write(out / "records.jsonl", "wb") as f:
            for path in shards:
                f.write(path.read_bytes())
        keep = set(shards)
        for path in (out / "shards").iterdir():
            if path not in keep:
                path.unlink()
        records = write_tables(read_records(out / "records.jsonl"), out, self.summary.notes)
        if self.report is not None:
            self.report(
                records, photo_root=self.root, catalog=self.matcher.catalog, run=self._run(), out=out / "report.html"
            )
        deque(records, maxlen=0)  # reads on where no report did
        self.matcher.seconds["write"] = time.thread_time() - start

    def _run(self) -> dict[str, Any]:
        catalog, summary = self.matcher.catalog, self.summary
        fitted = self.matcher.fusion.calibration
        calibration = None if fitted is None else fitted.describe()
        return {
            "source": str(self.source),
            "known": dict(self.known),
            "started": self.started.isoformat(timespec="seconds"),
            "imgmatch": imgmatch.__version__,
            "python": platform.python_version(),
            "versions": {
                name: _version(name) for name in ("torch", "faiss-cpu", "numpy", "pillow", "opencv-python-headless")
            },
            "catalog": {
                "path": str(catalog.path),
                "version": catalog.version,
                "items": len(catalog.items),
                "photos": len(catalog.photos),
                "space": catalog.space.to_dict() | {"id": catalog.space.id},
            },
            "calibration": calibration,
            "messages": {} if calibration is None else {"calibration": calibration.to_dict()},
            "config": self.matcher.config.to_dict(),
            "signals": {signal.name: signal.fingerprint() for signal in self.matcher.signals},
            "config_fingerprint": self.matcher.fingerprint,
            "counts": {"listings": summary.rows, "reused": summary.reused, **summary.counts},
            "read_as": self.listings.how,
            "stopped": summary.stopped,
        }

    def _write_run(self, examine_seconds: float, state: str) -> None:
        fresh = self.summary.rows - self.summary.reused
        timings = {
            "seconds": round(self.summary.seconds, 3),
            "examine_seconds": round(examine_seconds, 3),
            "listings_per_second": round(fresh / examine_seconds, 2) if examine_seconds else None,
            "processor_seconds": {k: round(v, 3) for k, v in self.matcher.seconds.items()},
        }
        with atomic_write(self.out / "run.json") as f:
            published = {"shards": state, "files": self._outputs()}
            json.dump({**self._run(), "timings": timings, "published": published}, f, indent=1)
            f.write("\n")


def reason_of(record: ScanRecord) -> str:
    """Return why a row failed, without what is the row's own: its place, the names of its photos, numbers."""
    said = re.sub(r"^[^\s:][^:]*:\d+: ", "", record.error or "")
    for photo in record.photos:
        said = said.replace(f"{printable(photo.path)}: ", "", 1)
    return re.sub(r"'[^']*'|\"[^\"]*\"|\d+", "…", said)[:160]


def _write_shard(path: Path, records: list[ScanRecord]) -> None:
    with atomic_write(path) as f:
        for record in records:
            f.write(json.dumps(record.to_dict(), ensure_ascii=False) + "\n")


def _read_shard(path: Path) -> list[ScanRecord] | None:
    try:
        return list(read_records(path))
    except (OSError, InputError):
        return None


def _has_failure(record: ScanRecord) -> bool:
    """Tell whether a record would be another if what failed had not: the row, one of its photos, or a signal."""
    findings = () if record.verdict is None else record.verdict.findings
    return (
        record.status == "failed"
        or any(photo.status == "failed" for photo in record.photos)
        or any(finding.status is FindingStatus.FAILED for finding in findings)
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
