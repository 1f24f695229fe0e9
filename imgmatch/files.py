"""Files that are whole or not there: atomic writes, hashes, locks."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from imgmatch.errors import LockedError

__all__ = ["atomic_write", "lock", "sha256_file", "sync_dir"]


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file beside `path` that takes its place when the block ends well, and vanishes when it does not.

    Parameters
    ----------
    path : path
        What to write; its folder must exist.
    mode : str
        ``w`` for UTF-8 text or ``wb``.

    Notes
    -----
    Written beside, flushed to disk, renamed: a crash at any moment leaves the old file or the new one.
    """
    path = Path(path)
    # A lone surrogate, which JSON can bring in, is written as its JSON escape.
    text = {"encoding": "utf-8", "newline": "\n", "errors": "backslashreplace"} if "b" not in mode else {}
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(fd, mode, **text) as f:  # type: ignore[call-overload]
            yield f
            f.flush()
            os.fsync(f.fileno())
        # mkstemp makes private files; what we publish gets the mode any other new file would.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        sync_dir(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_dir(folder: Path) -> None:
    """Make renames in `folder` survive a power cut, where the platform can."""
    try:
        fd = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open folders
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def sha256_file(path: str | Path) -> str:
    """Return the hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while piece := f.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@contextmanager
def lock(folder: str | Path) -> Iterator[None]:
    """Hold the folder's ``.lock`` for one writer.

    Raises
    ------
    LockedError
        Where another process holds it. The lock goes with its process, so a killed writer leaves none behind.
    """
    try:
        with FileLock(Path(folder) / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise LockedError(f"{folder}: another process is writing here; wait for it or choose another folder") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
