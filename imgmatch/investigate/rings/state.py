"""What earlier runs saw: condensed listings, near hashes, details of photos, pairs compared. One SQLite file.

Everything here is a pure function of photos and records, so a run that goes on from it finds what one run over all would; so
does one that goes on from a run that was interrupted, because each commit leaves it whole.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.errors import InputError, LockedError

__all__ = ["State"]

_LAYOUT = "2"
_PART = 1000  # listings, or photos and pairs compared, that an interruption may cost: a guess, seconds of work
_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS folders (path TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS listings (row TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hashed (sha256 TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS near (a TEXT, b TEXT, distance INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS details (sha256 TEXT PRIMARY KEY, plain BLOB, mirrored BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS looks (a TEXT, b TEXT, kind TEXT, strength REAL, PRIMARY KEY (a, b)) WITHOUT ROWID;
"""


def _schema(db: sqlite3.Connection) -> set[tuple[str, ...]]:
    return {tuple(row) for row in db.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master")}


def _expected_schema() -> set[tuple[str, ...]]:
    """What a file that nobody tampered with holds: a view in a table's place could go on for ever."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(_TABLES)
        return _schema(db)


class State:
    """The memory of `imgmatch.investigate.rings`.

    Parameters
    ----------
    path : Path, optional
        An SQLite file, made where missing; without one, nothing outlives the object.
    contact_key : bytes
        Contacts are kept as hashes under this key: another key cannot go on with them.

    Raises
    ------
    InputError
        Where the file is of another version or key, or damaged.
    LockedError
        Where another process is writing to it.
    """

    def __init__(self, path: Path | None = None, contact_key: bytes = b"") -> None:
        import hmac

        if path is not None and path.exists() and not path.is_file():
            raise InputError("is a folder, pipe or device, not a file", source=str(path))
        self._db = sqlite3.connect(path or ":memory:")
        self._kept = 0
        about = {"layout": _LAYOUT, "contacts": hmac.new(contact_key, b"imgmatch rings", "sha256").hexdigest()}
        try:
            self._db.execute("PRAGMA trusted_schema = OFF")
            self._db.executescript(_TABLES)
            if _schema(self._db) != _expected_schema():
                raise InputError("holds views, triggers or tables that are not ours", source=str(path))
            known = dict(self._db.execute("SELECT name, value FROM about"))
            if known and known != about:
                if known.get("layout") == _LAYOUT:
                    raise InputError("was made with another contact key; give that one (--contact-key)", source=str(path))
                raise InputError(
                    "is of another version of imgmatch; go on with that, or into a new folder", source=str(path)
                )
            self._db.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", about.items())
            self._db.commit()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise LockedError(f"{path}: another process is writing to it; wait for it and run this again") from error
            raise InputError(f"cannot be used now: {error}; nothing in it was changed", source=str(path)) from error
        except sqlite3.DatabaseError as error:
            advice = "put a copy from before in its place, or go on in a new folder with all records"
            raise InputError(f"is damaged ({error}); {advice}", source=str(path)) from error

    def keep(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add condensed listings."""
        for row in rows:
            self._put("INSERT OR IGNORE INTO listings VALUES (?)", (json.dumps(row, sort_keys=True),))

    def keep_folders(self, paths: Iterable[str]) -> None:
        """Add folders that photo paths are relative to."""
        self._db.executemany("INSERT OR IGNORE INTO folders VALUES (?)", ((path,) for path in paths))

    def folders(self) -> list[str]:
        """Return the folders, as they came."""
        return [path for (path,) in self._db.execute("SELECT path FROM folders WHERE typeof(path) = 'text' ORDER BY rowid")]

    def listings(self) -> Iterator[dict[str, Any]]:
        """Yield all listings, in an order that does not depend on when they came."""
        for (text,) in self._db.execute("SELECT row FROM listings ORDER BY row"):
            yield json.loads(text)

    def hashed(self) -> set[str]:
        """Return the photos whose hashes have met all others."""
        return {sha for (sha,) in self._db.execute("SELECT sha256 FROM hashed")}

    def near(self) -> Iterator[tuple[str, str, int]]:
        """Yield pairs of photos with near hashes and their distances."""
        yield from self._db.execute("SELECT a, b, distance FROM near ORDER BY distance, a, b")

    def keep_near(self, pairs: Iterable[tuple[str, str, int]], hashed: Iterable[str]) -> None:
        self._db.executemany("INSERT OR IGNORE INTO near VALUES (?, ?, ?)", pairs)
        self._db.executemany("INSERT OR IGNORE INTO hashed VALUES (?)", ((sha,) for sha in hashed))
        self._db.commit()  # the pairs and that all were met stand together

    def details(self, sha256: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
        """Return the small details of a photo and of its mirror image, each (n, 32), or None."""
        row = self._db.execute("SELECT plain, mirrored FROM details WHERE sha256 = ?", (sha256,)).fetchone()
        return None if row is None else tuple(np.frombuffer(part, np.uint8).reshape(-1, 32) for part in row)  # type: ignore[return-value]

    def keep_details(self, sha256: str, plain: npt.NDArray[np.uint8], mirrored: npt.NDArray[np.uint8]) -> None:
        self._put("INSERT OR IGNORE INTO details VALUES (?, ?, ?)", (sha256, plain.tobytes(), mirrored.tobytes()))

    def pair(self, a: str, b: str) -> tuple[str, float] | None:
        """Return what the comparison of two photos found, or None."""
        row = self._db.execute("SELECT kind, strength FROM looks WHERE a = ? AND b = ?", (a, b)).fetchone()
        return None if row is None else (row[0], row[1])

    def keep_pair(self, a: str, b: str, kind: str, strength: float) -> None:
        self._put("INSERT OR IGNORE INTO looks VALUES (?, ?, ?, ?)", (a, b, kind, strength))

    def _put(self, sql: str, values: tuple[Any, ...]) -> None:
        """Write one row, and commit now and then."""
        self._db.execute(sql, values)
        self._kept += 1
        if self._kept % _PART == 0:
            self._db.commit()

    def close(self) -> None:
        """Commit and close."""
        self._db.commit()
        self._db.close()
