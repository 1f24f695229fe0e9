"""What was computed from a photo's bytes once and need not be again: embeddings, hashes, features, readings, on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from imgmatch.encoders.store import cache_dir
from imgmatch.io.files import DAMAGED, atomic_write
from imgmatch.types import FloatArray

__all__ = ["CachedPhoto", "PartCache", "PhotoCache", "remembered"]

Arrays = tuple[npt.NDArray[Any], ...]

# Part of a table's name: raised when a row comes to mean something else, so that old rows are never read.
_LAYOUT = 1
_PHOTOS = (
    f"CREATE TABLE IF NOT EXISTS photos_{_LAYOUT} (sha256 TEXT, space TEXT, vector BLOB, phash TEXT, quality INTEGER, "
    "width INTEGER, height INTEGER, PRIMARY KEY (sha256, space)) WITHOUT ROWID"
)
_PARTS = (
    f"CREATE TABLE IF NOT EXISTS parts_{_LAYOUT} (number INTEGER PRIMARY KEY, sha256 TEXT, recipe TEXT, arrays BLOB, "
    "UNIQUE (sha256, recipe))"
)
_PAGE = 4096
_IN_MEMORY = 256 << 20  # bytes of a cache that has no disk


_KEPT = 16  # files of `remembered`: some 8 MB each for a metric of 1,280 dimensions


def remembered(
    name: str, compute: Callable[[], Mapping[str, npt.NDArray[Any]]], *inputs: npt.NDArray[Any] | float | str
) -> Mapping[str, npt.NDArray[Any]]:
    """Return what a slow computation gives, from disk where the very same inputs met it before.

    Parameters
    ----------
    name : str
        Of the computation; changed when the computation is.
    compute : callable
        Called where nothing is remembered. Its arrays must follow from `inputs` alone.
    *inputs : ndarray, float or str
        The file is named by their hash, so that it can never be stale.

    Notes
    -----
    The newest 16 files are kept. A file that cannot be read is computed again; a folder that cannot be written forgets.
    Who asks for what another process is computing waits for it: workers that begin together compute it once.
    """
    digest = hashlib.sha256(name.encode())
    for value in inputs:
        array = np.ascontiguousarray(value)
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    path = cache_dir() / "derived" / f"{digest.hexdigest()[:32]}.npz"
    if (known := _kept(path)) is not None:
        return known
    with contextlib.ExitStack() as alone:
        with contextlib.suppress(OSError, NotImplementedError):  # a folder that cannot be written, or not be locked
            path.parent.mkdir(parents=True, exist_ok=True)
            alone.enter_context(FileLock(path.with_suffix(".lock")))
        if (known := _kept(path)) is not None:
            return known
        arrays = compute()
        with contextlib.suppress(OSError):
            with atomic_write(path, "wb") as f:
                np.savez(f, **arrays)  # type: ignore[arg-type]
            for old in sorted(path.parent.glob("*.npz"), key=lambda p: p.stat().st_mtime_ns)[:-_KEPT]:
                old.unlink(missing_ok=True)
                old.with_suffix(".lock").unlink(missing_ok=True)
    return arrays


def _kept(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    """Return the arrays of a file; None where there is none that can be read."""
    with contextlib.suppress(*DAMAGED), np.load(path) as kept:
        return {key: kept[key] for key in kept.files}
    return None


@dataclass(frozen=True, slots=True, eq=False)
class CachedPhoto:
    """What a scan needs of a photo without its pixels; `embedding` is None before it is known."""

    embedding: FloatArray | None
    phash: str
    quality: int
    width: int
    height: int


class PhotoCache:
    """An SQLite file keyed by the photo's sha256 and the embedding space, and beside it a :class:`PartCache`.

    Parameters
    ----------
    path : path
        Created with its folders where missing. A file that SQLite cannot read is set aside and a new one begun: a cache
        holds nothing that cannot be computed again. Where the folder cannot be written, the cache lives in memory.

    Notes
    -----
    Thread-safe, and safe for several processes (write-ahead log). A cache that cannot grow (a full disk) forgets; it never
    fails a scan.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._db = _open(self._path, _PHOTOS)

    @cached_property
    def parts(self) -> PartCache:
        """Cells, features, readings: what the signals asked of each photo."""
        return PartCache(self._path.with_name(f"{self._path.stem}-parts{self._path.suffix}"))

    def get(self, sha256: str, space_id: str) -> CachedPhoto | None:
        """Return what is known of a photo, or None."""
        query = f"SELECT vector, phash, quality, width, height FROM photos_{_LAYOUT} WHERE sha256 = ? AND space = ?"  # noqa: S608
        try:
            with self._lock:
                row = self._db.execute(query, (sha256, space_id)).fetchone()
        except sqlite3.DatabaseError:
            return None
        if row is None:
            return None
        return CachedPhoto(np.frombuffer(row[0], "<f4").astype(np.float32), *row[1:])

    def put(self, photos: Mapping[str, CachedPhoto], space_id: str) -> None:
        """Remember photos by sha256; all of them must have embeddings."""
        rows = []
        for sha, p in photos.items():
            if p.embedding is None:
                raise ValueError(f"photo {sha}: expected an embedding")
            rows.append((sha, space_id, p.embedding.astype("<f4").tobytes(), p.phash, p.quality, p.width, p.height))
        try:
            with self._lock, self._db:
                self._db.executemany(f"INSERT OR REPLACE INTO photos_{_LAYOUT} VALUES (?, ?, ?, ?, ?, ?, ?)", rows)  # noqa: S608
        except sqlite3.DatabaseError:
            return


class PartCache:
    """What was computed from photos, as arrays in an SQLite file: what a closer look costs, paid once.

    Parameters
    ----------
    path : path
        As for :class:`PhotoCache`.
    limit : int
        Bytes that the file may take; beyond, the oldest make room.

    Notes
    -----
    A row is named by the photo's sha256 and a recipe: all that the arrays depend on beside the photo. Thread-safe, and safe
    for several processes. On a full disk, too, the oldest make room.
    """

    def __init__(self, path: str | Path, limit: int = 4 << 30) -> None:
        self._lock = threading.Lock()
        self._db = _open(Path(path), _PARTS, limit)

    def get(self, sha256s: Sequence[str], recipe: str) -> dict[str, Arrays]:
        """Return the arrays of those photos that are known, by sha256; they are not to be written to."""
        query = f"SELECT arrays FROM parts_{_LAYOUT} WHERE sha256 = ? AND recipe = ?"  # noqa: S608
        found = {}
        for sha256 in sha256s:
            with contextlib.suppress(sqlite3.DatabaseError, ValueError, TypeError, LookupError):  # a damaged row is none
                with self._lock:
                    row = self._db.execute(query, (sha256, recipe)).fetchone()
                if row is not None:
                    found[sha256] = _unpacked(row[0])
        return found

    def put(self, parts: Mapping[str, Arrays], recipe: str) -> None:
        """Remember the arrays of photos by sha256; where there is no room, the oldest tenth is forgotten."""
        rows = [(sha, recipe, _packed(arrays)) for sha, arrays in parts.items()]
        add = f"INSERT OR IGNORE INTO parts_{_LAYOUT} (sha256, recipe, arrays) VALUES (?, ?, ?)"  # noqa: S608
        ends = f"SELECT min(number), max(number) FROM parts_{_LAYOUT}"  # noqa: S608
        with contextlib.suppress(sqlite3.DatabaseError), self._lock:
            try:
                with self._db:
                    self._db.executemany(add, rows)
            except sqlite3.OperationalError:
                with self._db:
                    oldest, newest = self._db.execute(ends).fetchone()
                    if oldest is not None:
                        last = oldest + (newest - oldest) // 10
                        self._db.execute(f"DELETE FROM parts_{_LAYOUT} WHERE number <= ?", (last,))  # noqa: S608
                with self._db:
                    self._db.executemany(add, rows)


def _packed(arrays: Arrays) -> bytes:
    """Lay arrays one after another, behind a line that says their types and shapes."""
    head = json.dumps([[a.dtype.str, a.shape] for a in arrays])
    return b"".join([head.encode(), b"\n", *(np.ascontiguousarray(a).tobytes() for a in arrays)])


def _unpacked(data: bytes) -> Arrays:
    at = data.index(b"\n") + 1
    arrays = []
    for kind, shape in json.loads(data[:at]):
        array = np.frombuffer(data, kind, math.prod(shape), at).reshape(shape)
        at += array.nbytes
        arrays.append(array)
    return tuple(arrays)


def _open(path: Path, create: str, limit: int | None = None) -> sqlite3.Connection:
    """Open a cache on disk; in memory, and then it keeps little, where the file cannot be opened or the folder written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _connect(path, create, limit)
        except sqlite3.OperationalError:  # locked, read-only, out of space: another's file, and nothing wrong with it
            raise
        except sqlite3.DatabaseError:
            path.replace(path.with_suffix(".unreadable"))
            return _connect(path, create, limit)
    except (OSError, sqlite3.DatabaseError):
        return _connect(":memory:", create, _IN_MEMORY)


def _connect(path: str | Path, create: str, limit: int | None) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, check_same_thread=False)
    try:
        db.execute(f"PRAGMA page_size = {_PAGE}")  # of a new file
        if limit is not None:
            db.execute(f"PRAGMA max_page_count = {limit // _PAGE}")
        db.execute("PRAGMA journal_mode = WAL")
        # A power cut may cost the last rows, never the file: fine for a cache, and many times faster.
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(create)
        db.commit()
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db
