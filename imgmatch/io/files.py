"""Files that are whole or not there: atomic writes, hashes, locks."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, BinaryIO

from filelock import FileLock, Timeout

from imgmatch.errors import InputError, LockedError

__all__ = [
    "DAMAGED",
    "PHOTO_SUFFIXES",
    "append_lines",
    "atomic_write",
    "foreign_file",
    "is_sha256",
    "lock",
    "open_foreign",
    "package_sha256",
    "sha256_file",
    "sync_dir",
]

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
"""Files that count as photos in a folder; what a file really is, its bytes say later."""

DAMAGED = (OSError, ValueError, TypeError, LookupError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)
"""What reading an ``.npz`` raises that is damaged or holds something else: one bit, and it is encrypted or too new a zip."""


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


def append_lines(path: str | Path, lines: str, *, header: str) -> None:
    """Append whole lines to a text table that only ever grows; it is made, with its header, where it does not exist.

    Parameters
    ----------
    path : path
    lines : str
        Each ended by a newline.
    header : str
        The first line that the file has to have, without its newline.

    Raises
    ------
    ValueError
        Where the file begins otherwise; nothing is written then.

    Notes
    -----
    Written in one piece and flushed to disk, under a lock, so that concurrent writers lose nothing. A line that a crash cut
    short is closed first, never joined with the next one.
    """
    with FileLock(f"{path}.lock"), open(path, "a+b") as f:
        f.seek(0)
        first = f.readline().decode("utf-8-sig", "replace").strip()
        size = f.seek(0, os.SEEK_END)
        if size == 0:
            f.write(f"{header}\n".encode())
        elif first != header:
            raise ValueError(f"expected the header {header}")
        else:
            f.seek(size - 1)
            if f.read(1) != b"\n":
                f.write(b"\n")
        f.write(lines.encode("utf-8", "backslashreplace"))
        f.flush()
        os.fsync(f.fileno())


@lru_cache(maxsize=1)
def package_sha256() -> str:
    """Return a hash of imgmatch's own code and data files: whatever of it changes may change a verdict."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".toml")):
        digest.update(str(path.relative_to(root)).encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


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


def sha256_file(file: str | Path | IO[bytes]) -> str:
    """Return the hex sha256 of a file, by its path or from where it is open to its end, read in pieces."""
    if isinstance(file, (str, Path)):
        with open(file, "rb") as f:
            return sha256_file(f)
    digest = hashlib.sha256()
    while piece := file.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()


_MOST_FOREIGN = 256 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_sha256(value: object) -> bool:
    """Tell whether something read from outside is a sha256 as we write it, and so safe as a file's name."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def open_foreign(root: str | Path, name: str) -> BinaryIO:
    """Open a file of a folder that somebody else may have made.

    Parameters
    ----------
    root : path
        The folder; it may be a link itself, for it is the user who named it.
    name : str
        Relative to it, ``/`` between folders.

    Raises
    ------
    ValueError
        Where the name leads out of the folder.
    OSError
        Where there is no such file, or it is a link, pipe or device instead of a file or folder.
    """
    parts = name.split("/")
    if not all(parts) or "\\" in name or "\0" in name or not {".", ".."}.isdisjoint(parts) or Path(name).is_absolute():
        raise ValueError(f"not the name of a file below a folder: {name!r:.200}")
    path = Path(root)
    for part in parts:
        path /= part
        if path.is_symlink():
            raise OSError(errno.ELOOP, "is a symbolic link, which is not followed here", str(path))
    # O_NONBLOCK: opening a pipe must not wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "is not a file", str(path))
    return open(fd, "rb")


def foreign_file(folder: str | Path, name: str) -> Path | None:
    """Return the path of an optional file in a folder that somebody else may have made; None where there is none.

    Raises
    ------
    InputError
        Where a link, pipe or device has that name, or a file that is larger than any of ours.
    """
    path = Path(folder) / name
    try:
        with open_foreign(folder, name) as f:
            if os.fstat(f.fileno()).st_size > _MOST_FOREIGN:  # a file with holes takes its maker no space
                raise InputError(f"is larger than {_MOST_FOREIGN} bytes", source=str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(error.strerror or str(error), source=str(path)) from error
    return path


@contextmanager
def lock(folder: str | Path) -> Iterator[None]:
    """Hold the folder's ``.lock`` for one writer.

    Raises
    ------
    LockedError
        Where another process holds it, or it is a link. The lock goes with its process: a killed writer leaves none behind.
    """
    path = Path(folder) / ".lock"
    if path.is_symlink():
        raise LockedError(f"{path}: is a symbolic link; remove it")
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout as error:
        raise LockedError(f"{folder}: another process is writing here; wait for it or choose another folder") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
