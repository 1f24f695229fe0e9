"""What reviewers decide, note and ask for: two tables that only grow, and what of them stands."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path

from imgmatch.apps.desk.index import ScanIndex
from imgmatch.errors import InputError
from imgmatch.io.tables import append_rows, read_table
from imgmatch.verdicts.labels import LabelRow, append_labels, read_decisions

__all__ = ["Decisions", "Event"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something a reviewer did beside deciding.

    Parameters
    ----------
    time : str
        ISO 8601.
    reviewer : str
    what : str
        ``note``, ``contacts`` (asked to see them), ``wrong`` (a finding), ``case``, ``notice`` or ``calibration``.
    platform, seller_id, listing_id : str
    text : str
    """

    time: str
    reviewer: str
    what: str
    platform: str
    seller_id: str
    listing_id: str
    text: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.platform, self.seller_id, self.listing_id


_COLUMNS = tuple(f.name for f in fields(Event))


class Decisions:
    """The labels table that ``imgmatch label`` writes and calibration reads, and a log beside it.

    Parameters
    ----------
    labels : Path
        Made at the first decision; the log is ``NAME-log.csv`` beside it.

    Notes
    -----
    Thread-safe, and safe for several processes: both tables are only ever appended to, under a lock, and read anew when
    they have grown.
    """

    def __init__(self, labels: Path) -> None:
        self.path = labels
        self.log = labels.with_name(f"{labels.stem}-log.csv")
        self.problems: list[str] = []
        self._lock = threading.RLock()
        self._standing: dict[tuple[str, str, str], list[LabelRow]] = {}
        self._read: object = None
        self._version = 0
        self._synced: tuple[int, int] | None = None

    def decide(self, key: tuple[str, str, str], label: str, reviewer: str, sampled_by: str) -> None:
        """Write a decision down."""
        platform, seller, listing_id = key
        append_labels(self.path, [LabelRow(listing_id, label, reviewer, now(), sampled_by, platform, seller)])

    def write(self, what: str, reviewer: str, key: tuple[str, str, str] = ("", "", ""), text: str = "") -> None:
        """Write to the log."""
        append_rows(self.log, [astuple(Event(now(), reviewer, what, *key, text))], _COLUMNS, "a desk's log")

    def standing(self) -> dict[tuple[str, str, str], list[LabelRow]]:
        """Return the decisions that stand, by listing: at most one of each reviewer."""
        with self._lock:
            state = _state(self.path)
            if state != self._read:
                self._standing, self.problems = read_decisions(self.path) if state else ({}, [])
                self._read, self._version = state, self._version + 1
            return self._standing

    def of(self, key: tuple[str, str, str]) -> list[LabelRow]:
        """Return the decisions about a listing that stand."""
        standing = self.standing()
        return standing.get(key) or standing.get(("", "", key[2]), [])

    def events(self, key: tuple[str, str, str] | None = None, what: str = "") -> list[Event]:
        """Return what the log holds, of one listing or of all, oldest first."""
        return [e for e in self._events() if key in (None, e.key) and what in ("", e.what)]

    def sync(self, index: ScanIndex) -> int:
        """Bring the decisions into the temporary table ``standing`` of an index; return a number that grows with changes."""
        with self._lock, index.lock:
            standing = self.standing()
            if self._synced != (id(index), self._version):
                index.db.execute(
                    "CREATE TABLE IF NOT EXISTS temp.standing (listing INTEGER, reviewer TEXT, label TEXT, sampled TEXT)"
                )
                index.db.execute("DELETE FROM temp.standing")
                for key, rows in standing.items():
                    for listing in _listings(index, key):
                        index.db.executemany(
                            "INSERT INTO temp.standing VALUES (?, ?, ?, ?)",
                            [(listing, r.reviewer, r.label, r.sampled_by) for r in rows],
                        )
                index.db.commit()
                self._synced = id(index), self._version
            return self._version

    def _events(self) -> Iterator[Event]:
        for _, row in read_table(self.log) if _state(self.log) else ():
            if not isinstance(row, InputError):
                yield Event(**{name: str(row.get(name) or "") for name in _COLUMNS})


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _listings(index: ScanIndex, key: tuple[str, str, str]) -> Sequence[int]:
    """Return the listings that a decision is about: an id alone tells only where one listing has it."""
    platform, seller, listing_id = key
    query = "SELECT id FROM listings WHERE listing_id = ?"
    if platform or seller:
        query, values = f"{query} AND platform = ? AND seller = ?", [listing_id, platform, seller]
        return [row["id"] for row in index.rows(query, values)]
    found = index.rows(f"{query} LIMIT 2", [listing_id])
    return [row["id"] for row in found] if len(found) == 1 else []


def _state(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_size, stat.st_mtime_ns) if stat.st_size else None
