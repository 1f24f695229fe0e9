"""What was computed from a photo's bytes once and need not be computed again: embeddings and hashes, on disk."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.encoders.store import cache_dir
from imgmatch.files import atomic_write
from imgmatch.types import FloatArray

__all__ = ["CachedPhoto", "PhotoCache", "remembered"]

# Part of the table's name: raised when a row comes to mean something else, so that old rows are never read.
_LAYOUT = 1
_CREATE = (
    f"CREATE TABLE IF NOT EXISTS photos_{_LAYOUT} (sha256 TEXT, space TEXT, vector BLOB, phash TEXT, quality INTEGER, "
    "width INTEGER, height INTEGER, PRIMARY KEY (sha256, space)) WITHOUT ROWID"
)


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
    """
    digest = hashlib.sha256(name.encode())
    for value in inputs:
        array = np.ascontiguousarray(value)
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    path = cache_dir() / "derived" / f"{digest.hexdigest()[:32]}.npz"
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile), np.load(path) as kept:
        return {key: kept[key] for key in kept.files}
    arrays = compute()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, "wb") as f:
            np.savez(f, **arrays)  # type: ignore[arg-type]
        for old in sorted(path.parent.glob("*.npz"), key=lambda p: p.stat().st_mtime_ns)[:-_KEPT]:
            old.unlink(missing_ok=True)
    return arrays


@dataclass(frozen=True, slots=True, eq=False)
class CachedPhoto:
    """What a scan needs of a photo without its pixels; `embedding` is None before it is known."""

    embedding: FloatArray | None
    phash: str
    quality: int
    width: int
    height: int


class PhotoCache:
    """An SQLite file keyed by the photo's sha256 and the embedding space.

    Parameters
    ----------
    path : path
        Created with its folders where missing. A file that SQLite cannot read is set aside and a new one begun: a cache
        holds nothing that cannot be computed again.

    Notes
    -----
    Thread-safe, and safe for several processes (write-ahead log). A cache that cannot be written (a full or read-only disk)
    forgets; it never fails a scan.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = self._open()
        except sqlite3.DatabaseError:
            self.path.replace(self.path.with_suffix(".unreadable"))
            self._db = self._open()

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

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            # A power cut may cost the last rows, never the file: fine for a cache, and many times faster.
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(_CREATE)
            db.commit()
        except sqlite3.DatabaseError:
            db.close()
            raise
        return db
