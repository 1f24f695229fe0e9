"""What reviewers decide, note and ask for: two tables that only grow, and what of them stands."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path

from imgmatch.apps.desk.index import ScanIndex
from imgmatch.cells import undefused
from imgmatch.errors import InputError
from imgmatch.io.tables import append_rows, read_table
from imgmatch.verdicts.labels import LABEL_COLUMNS, LabelRow, append_labels, read_rows, standing

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
_STANDING = """
DROP TABLE IF EXISTS temp.standing;
CREATE TEMP TABLE standing (listing INTEGER, reviewer TEXT, label TEXT, sampled TEXT);
CREATE INDEX temp.standing_by_listing ON standing (listing);
"""


_State = tuple[int, int, int]
"""Inode, bytes and time of a file."""


class Decisions:
    """The labels table that ``imgmatch label`` writes and calibration reads, and a log beside it.

    Parameters
    ----------
    labels : Path
        Made at the first decision; the log is ``NAME-log.csv`` beside it.

    Notes
    -----
    Thread-safe, and safe for several processes: both tables are only ever appended to, under a lock, and reread when
    they have grown.
    """

    def __init__(self, labels: Path) -> None:
        self.path = labels
        self.log = labels.with_name(f"{labels.stem}-log.csv")
        self.problems: list[str] = []
        self._lock = threading.RLock()
        self._standing: dict[tuple[str, str, str], list[LabelRow]] = {}
        self._rows: list[LabelRow] = []
        self._read: _State | None = None
        self._version = 0
        self._shown: dict[tuple[str, str, str], list[LabelRow]] = {}
        self._synced: tuple[ScanIndex, int] | None = None

    def decide(self, key: tuple[str, str, str], label: str, reviewer: str, sampled_by: str) -> None:
        """Write a decision down."""
        platform, seller, listing_id = key
        append_labels(
            self.path,
            [
                LabelRow(
                    listing_id,
                    label,
                    reviewer=reviewer,
                    time=now(),
                    sampled_by=sampled_by,
                    platform=platform,
                    seller_id=seller,
                )
            ],
        )

    def write(self, what: str, reviewer: str, key: tuple[str, str, str] = ("", "", ""), text: str = "") -> None:
        """Write to the log."""
        append_rows(self.log, [astuple(Event(now(), reviewer, what, *key, text))], _COLUMNS, "a desk's log")

    def standing(self) -> dict[tuple[str, str, str], list[LabelRow]]:
        """Return the decisions that stand, by listing: at most one of each reviewer."""
        with self._lock:
            state = _state(self.path)
            if state != self._read:
                if state is None:
                    self._rows, self.problems = [], []
                elif not self._read_tail(state):
                    self._rows, self.problems = read_rows(self.path)
                self._standing, self._read, self._version = standing(self._rows), state, self._version + 1
            return self._standing

    def _read_tail(self, state: _State) -> bool:
        """Read what was appended since the last time; return whether that was possible.

        No more is read than the size that was seen, and kept: what others append at the same moment is read the next time.
        """
        if self._read is None or self._read[0] != state[0] or not self._read[1] < state[1]:
            return False
        with open(self.path, "rb") as f:
            if f.readline().decode("utf-8-sig", "replace").strip() != ",".join(LABEL_COLUMNS):
                return False
            f.seek(self._read[1])
            tail = f.read(state[1] - self._read[1])
        if not tail.endswith(b"\n"):
            return False
        try:
            for values in csv.reader(io.StringIO(tail.decode("utf-8"), newline=""), strict=True):
                if values:
                    self._rows.append(LabelRow(*map(undefused, values)))
        except (UnicodeDecodeError, csv.Error, TypeError, InputError):
            return False  # the whole table is read, row by row, and says which row is wrong
        return True

    def of(self, key: tuple[str, str, str]) -> list[LabelRow]:
        """Return the decisions about a listing that stand."""
        found = self.standing()
        return found.get(key) or found.get(("", "", key[2]), [])

    def events(self, key: tuple[str, str, str] | None = None, what: str = "") -> list[Event]:
        """Return what the log holds, of one listing or of all, oldest first."""
        return [e for e in self._events() if key in (None, e.key) and what in ("", e.what)]

    def sync(self, index: ScanIndex) -> int:
        """Bring the decisions into the temporary table ``standing`` of an index; return a number that grows with changes."""
        with self._lock, index.lock:
            stands = self.standing()
            known = None if self._synced is None else self._synced[0]
            if known is not index or self._synced != (index, self._version):
                if known is not index:
                    index.db.executescript(_STANDING)
                    self._shown = {}
                for key in [k for k in {**self._shown, **stands} if self._shown.get(k) != stands.get(k)]:
                    for listing in _listings(index, key):
                        index.db.execute("DELETE FROM temp.standing WHERE listing = ?", (listing,))
                        values = [(listing, r.reviewer, r.label, r.sampled_by) for r in stands.get(key, ())]
                        index.db.executemany("INSERT INTO temp.standing VALUES (?, ?, ?, ?)", values)
                index.db.commit()
                self._shown, self._synced = dict(stands), (index, self._version)
            return self._version

    def _events(self) -> Iterator[Event]:
        for _, row in read_table(self.log) if _state(self.log) else ():
            if not isinstance(row, InputError):
                yield Event(**{name: undefused(str(row.get(name) or "")) for name in _COLUMNS})


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


def _state(path: Path) -> _State | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns) if stat.st_size else None
