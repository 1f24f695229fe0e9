"""An index of finished scans in SQLite: what the queue filters, sorts and searches by. The JSONL stays the truth."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from imgmatch.apps.console import without_contacts
from imgmatch.cells import utc_time
from imgmatch.errors import InputError
from imgmatch.investigate.case.privacy import Masks
from imgmatch.investigate.report.summary import strength
from imgmatch.investigate.report.words import plain
from imgmatch.market.prices import convert, parse_price
from imgmatch.records import ScanRecord
from imgmatch.results import Results
from imgmatch.types import FindingStatus, Verdict

__all__ = ["ScanIndex"]

_LAYOUT = 1
_TITLE = 300  # characters of a title that the queue shows
_TEXT = 2000  # characters of a description that are searched
_ROWS = 2000  # inserted at once
_CHANGED = "has changed since it was indexed; wait until it has been reindexed"

_CREATE = """
CREATE TABLE listings (
    id INTEGER PRIMARY KEY, slug TEXT UNIQUE, scan INTEGER, start INTEGER, length INTEGER,
    platform TEXT, seller TEXT, listing_id TEXT, title TEXT, price TEXT, photo TEXT, photos INTEGER,
    decision TEXT, brand TEXT, labels TEXT, shows_brand INTEGER, value REAL, day TEXT,
    strength REAL, uncertainty REAL, kind TEXT
);
CREATE TABLE photos (sha256 TEXT, listing INTEGER, photo_id TEXT, path TEXT, phash TEXT);
CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='trigram');
"""
_INDEXES = """
CREATE INDEX by_strength ON listings (strength DESC, id);
CREATE INDEX by_decision ON listings (decision, strength DESC, id);
CREATE INDEX by_uncertainty ON listings (uncertainty DESC, id);
CREATE INDEX by_value ON listings (value DESC, id);
CREATE INDEX by_day ON listings (day DESC, id);
CREATE INDEX by_seller ON listings (seller, platform, strength DESC);
CREATE INDEX by_brand ON listings (brand, strength DESC);
CREATE INDEX by_id ON listings (listing_id);
CREATE INDEX photos_by_sha ON photos (sha256);
CREATE INDEX photos_by_listing ON photos (listing);
"""


class ScanIndex:
    """The records of some scans, opened by what they say.

    Parameters
    ----------
    scans : sequence of Results
        The index lies beside the first of them as ``desk.sqlite`` and is rebuilt when any of them has changed.
    progress : callable, optional
        ``progress(done)`` while it is made.

    Attributes
    ----------
    db : sqlite3.Connection
        Ask it under `lock`. Its main database is only read; temporary tables may be made.
    currency : str
        What ``value`` is in: the currency of most prices where the scan's rates convert the others, else empty: the bare
        number.

    Notes
    -----
    Made beside and renamed, so that a desk that is running goes on with the index it has opened. Thread-safe.
    """

    def __init__(self, scans: Sequence[Results], *, progress: Callable[[int], None] | None = None) -> None:
        self.scans = list(scans)
        self.lock = threading.RLock()
        self.state = _state(self.scans)
        path = self.scans[0].records_path.parent / "desk.sqlite"
        if _state_of(path) != self.state:
            _build(path, self.scans, self.state, progress)
        self.db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA cache_size = -65536")  # KiB
        self.db.execute("PRAGMA temp_store = MEMORY")
        self.currency = str(self.db.execute("SELECT value FROM about WHERE name = 'currency'").fetchone()[0])

    @property
    def changed(self) -> bool:
        """Whether a scan is no longer what was indexed."""
        return _state(self.scans) != self.state

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Ask the database."""
        with self.lock:
            return self.db.execute(query, values).fetchall()

    def ids(self, query: str, values: Sequence[Any] = ()) -> list[int]:
        """Ask for one column of numbers, which may be of every listing."""
        with self.lock:
            cursor = self.db.cursor()
            cursor.row_factory = None
            return [number for (number,) in cursor.execute(query, values)]

    def row(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        found = self.rows(query, values)
        return found[0] if found else None

    def record(self, row: sqlite3.Row) -> ScanRecord:
        """Read the record of a row of ``listings`` from its JSONL.

        Raises
        ------
        InputError
            Where the scan has changed meanwhile.
        """
        path = self.scans[row["scan"]].records_path
        with open(path, "rb") as f:
            f.seek(row["start"])
            line = f.read(row["length"])
        try:
            record = ScanRecord.from_dict(json.loads(line))
        except ValueError as error:
            raise InputError(_CHANGED, source=str(path)) from error
        if record.listing_id != row["listing_id"]:
            raise InputError(_CHANGED, source=str(path))
        return record

    def photo(self, sha256: str) -> list[tuple[Path, str]]:
        """Return the folders and paths that a photo may be read from, by what the scans wrote; none where they know none."""
        query = "SELECT DISTINCT scan, path FROM photos JOIN listings ON listing = id WHERE sha256 = ? LIMIT 8"
        return [(self.scans[row["scan"]].photo_root, row["path"]) for row in self.rows(query, (sha256,))]

    def close(self) -> None:
        with self.lock:
            self.db.close()


def _state(scans: Sequence[Results]) -> str:
    files = [(str(s.records_path.resolve()), s.records_path.stat()) for s in scans]
    return json.dumps([_LAYOUT, *([path, s.st_ino, s.st_size, s.st_mtime_ns] for path, s in files)])


def _state_of(path: Path) -> str | None:
    """Return what an index was made of; None where there is none that can be read."""
    if not path.is_file():
        return None
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            return str(db.execute("SELECT value FROM about WHERE name = 'state'").fetchone()[0])
        finally:
            db.close()
    except (sqlite3.DatabaseError, TypeError):
        return None


def _build(path: Path, scans: Sequence[Results], state: str, progress: Callable[[int], None] | None) -> None:
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=".desk.", suffix=".tmp")
    os.close(fd)
    temporary = Path(name)
    try:
        db = sqlite3.connect(temporary, isolation_level=None)
        try:
            # It is rebuilt when a crash leaves half of it: nothing needs a journal.
            db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_CREATE}")
            db.execute("BEGIN")
            currency = _fill(db, scans, progress)
            db.execute("CREATE TABLE about (name TEXT, value TEXT)")
            db.executemany("INSERT INTO about VALUES (?, ?)", [("state", state), ("currency", currency)])
            db.execute("COMMIT")
            db.executescript(f"{_INDEXES} ANALYZE;")
        finally:
            db.close()
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _fill(db: sqlite3.Connection, scans: Sequence[Results], progress: Callable[[int], None] | None) -> str:
    currencies: dict[str, int] = {}
    rows: list[tuple[Any, ...]] = []
    photos: list[tuple[Any, ...]] = []
    words: list[tuple[Any, ...]] = []
    seen: dict[str, int] = {}
    prices: list[tuple[int, float, str, int]] = []
    number = 0

    def flush() -> None:
        db.executemany(f"INSERT INTO listings VALUES ({', '.join('?' * 21)})", rows)  # noqa: S608
        db.executemany("INSERT INTO photos VALUES (?, ?, ?, ?, ?)", photos)
        db.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", words)
        for part in (rows, photos, words):
            part.clear()
        if progress is not None:
            progress(number)

    for scan, results in enumerate(scans):
        for start, length, record in _records(results.records_path):
            number += 1
            price = parse_price(record.listing.price, record.listing.currency)
            if not isinstance(price, str):
                code = price.currencies[0] if len(price.currencies) == 1 else ""
                currencies[code] = currencies.get(code, 0) + 1
                prices.append((number, price.low, code, scan))
            rows.append((number, _slug(record, scan, seen), scan, start, length, *_columns(record)))
            photos += [
                (_utf8(p.sha256), number, _utf8(p.photo_id), _utf8(p.path), _utf8(p.phash))
                for p in record.photos
                if p.sha256
            ]
            words.append((number, _searched(record)))
            if len(rows) >= _ROWS:
                flush()
    flush()
    return _value(db, scans, prices, currencies)


def _value(
    db: sqlite3.Connection,
    scans: Sequence[Results],
    prices: Sequence[tuple[int, float, str, int]],
    currencies: dict[str, int],
) -> str:
    """Write asking prices in one currency where the scans' own rates convert all of them; else the bare numbers."""
    most = max(sorted(currencies), key=lambda code: currencies[code], default="")
    rates = [_rates(results) for results in scans]
    if most and all(convert(1.0, code, most, rates[scan]) is not None for _, _, code, scan in prices):
        values = [(convert(amount, code, most, rates[scan]), number) for number, amount, code, scan in prices]
    else:
        most, values = "", [(amount, number) for number, amount, _, _ in prices]
    db.executemany("UPDATE listings SET value = ? WHERE id = ?", values)
    return most


def _rates(results: Results) -> dict[str, float]:
    config = results.run.get("config")
    listing = config.get("listing") if isinstance(config, dict) else {}
    rates = listing.get("rates", {}) if isinstance(listing, dict) else {}
    return {str(k): float(v) for k, v in rates.items() if isinstance(v, (int, float))} if isinstance(rates, dict) else {}


def _records(path: Path) -> Iterator[tuple[int, int, ScanRecord]]:
    start = 0
    with open(path, "rb") as f:
        for number, line in enumerate(f, 1):
            try:
                record = ScanRecord.from_dict(json.loads(line))
            except (ValueError, InputError, RecursionError) as error:
                raise InputError(str(error), source=f"{path}:{number}") from error
            yield start, len(line), record
            start += len(line)


def _slug(record: ScanRecord, scan: int, seen: dict[str, int]) -> str:
    """Name a listing in addresses: the same each time the index is made, without what a seller wrote."""
    slug = hashlib.sha256(json.dumps([scan, *record.listing.key]).encode()).hexdigest()[:16]
    seen[slug] = seen.get(slug, 0) + 1
    return slug if seen[slug] == 1 else hashlib.sha256(f"{slug} {seen[slug]}".encode()).hexdigest()[:16]


def _columns(record: ScanRecord) -> tuple[Any, ...]:
    listing, verdict = record.listing, record.verdict
    contacts = (*listing.contacts, *record.contacts)
    title = listing.title[: 4 * _TITLE] if listing.title else ""
    shown = [p.sha256 for p in record.photos if p.status == "ok" and p.sha256]
    price = " ".join(str(x) for x in (listing.price, listing.currency) if x is not None)
    when = utc_time(listing.captured_at) or utc_time(listing.listed_at) or ""
    return (
        _utf8(listing.platform),
        _utf8(listing.seller_id),
        _utf8(listing.listing_id),
        plain(without_contacts(Masks(contacts)(title) if contacts else title), _TITLE),
        plain(price, 40),
        shown[0] if shown else "",
        len(shown),
        str(verdict.decision) if verdict else "failed",
        _utf8(verdict.brand) if verdict else "",
        f";{';'.join(map(str, verdict.labels))};" if verdict else ";",
        bool(verdict and verdict.shows_brand),
        None,
        when[:10],
        _strength(verdict),
        _uncertainty(verdict),
        _kind(verdict),
    )


def _utf8(text: str | None) -> str:
    """Return text as a database can hold it; JSON can bring in lone surrogates."""
    return (text or "").encode("utf-8", "backslashreplace").decode("utf-8")


def _strength(verdict: Verdict | None) -> float:
    """Return one number that orders as `imgmatch.investigate.report.listings.strength` does; -1 for a row that failed."""
    if verdict is None:
        return -1.0
    decision, second, similarity = strength(verdict)
    return decision + 0.9 * min(max(second, 0.0), 1.0) + 1e-4 * similarity


def _uncertainty(verdict: Verdict | None) -> float:
    """Return how near to even the odds are, in [0, 1]; nothing is uncertain where there is neither rank nor probability."""
    if verdict is None:
        return 0.0
    odds = verdict.probability if verdict.probability is not None else verdict.rank
    return 0.0 if odds is None else 1.0 - abs(2.0 * odds - 1.0)


def _kind(verdict: Verdict | None) -> str:
    """Return what kind of listing it is to a model: the claimed brand and the findings that point to something."""
    if verdict is None:
        return ""
    made = sorted(
        {f.signal for f in verdict.findings if f.status is FindingStatus.OK and f.labels and (f.value or 0) >= 0.5}
    )
    return " ".join([_utf8(verdict.brand), *made])


def _searched(record: ScanRecord) -> str:
    listing = record.listing
    brand = record.verdict.brand if record.verdict else None
    known = (listing.listing_id, listing.seller_id, listing.platform, listing.url, brand, listing.brand_claim, listing.title)
    texts = [text[:_TEXT] for text in (*known, listing.description, listing.promo_text) if text]
    return _utf8("\n".join(texts))
