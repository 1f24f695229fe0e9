"""Folders as people have them: which files are photos, what is skipped and why, which file a table means."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imgmatch.io.files import PHOTO_SUFFIXES

__all__ = ["FileFinder", "Skipped", "holds_photo", "is_photo", "leftover", "photos_in", "visible"]

_LEFTOVERS = re.compile(
    r"""(?xi)
      __macosx | @eadir | @__thumb | \.@__thumb | [\#@]recycle | \#snapshot | @tmp | \$recycle\.bin | recycler
    | @synoresource | @recently-snapshot | syno(photo|file)_thumb_.* | _gsdata_ | __pycache__ | node_modules
    | system\ volume\ information | lost\+found | lost\.dir | found\.\d{3} | network\ trash\ folder | temporary\ items
    | (eh)?thumbs(_\w+)?\.db(:.*)? | albumart.*\.jpg
    | desktop\.ini | picasa\.ini | icon\r | folder\.htt | autorun\.inf | zbthumbnail\.info
    | ~\$.* | .*~ | .*\.(tmp|temp|part|partial|filepart|crdownload|opdownload|download)
    | .*\.(!ut|icloud|lnk|bak|swp)
    | \..*      # hidden: .DS_Store, ._photo.jpg, .Trashes, .stversions
    """
)
"""What macOS, Windows, Synology and QNAP boxes, Dropbox, Syncthing and browsers leave beside photos, as whole names."""

_CONFLICT = re.compile(
    r"""(?xi)
      \.sync-conflict-\d{8}                                 # Syncthing
    | \([^()]*(conflict(?![\s-]?(free|mineral|diamond))|konflik|conflit|конфликт|sprzeczna|冲突|衝突|競合|충돌)[^()]*\)
    | -(desktop|laptop)-[a-z0-9]{7}(?=\.)                  # OneDrive
    | _conf\(\d{4}                                          # Resilio
    """
)
_SIDECARS = frozenset({".xmp", ".aae", ".json", ".thm", ".pp3", ".dop", ".cos", ".on1", ".exif", ".md5", ".sha256"})
_RAW = frozenset(
    {".arw", ".cr2", ".cr3", ".crw", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".sr2", ".srf", ".srw"}
)
_BURST = re.compile(r"(?i)^(?P<burst>.*_BURST\d+?)(?P<n>\d{3})?(?P<cover>_COVER)?(?=\.[^.]+$)")
_EDITED = re.compile(r"^IMG_(\d{4,})(?=\.[^.]+$)")


@dataclass(slots=True)
class Skipped:
    """What lay in a folder and is no photo: how many files by reason, and the first of each."""

    by_reason: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1
        some = self.by_reason.setdefault(reason, [])
        if len(some) < 3:
            some.append(name)

    def notes(self) -> list[str]:
        """Return a line per reason: ``skipped 3: left by a system (.DS_Store, Thumbs.db, …)``."""
        return [
            f"skipped {n}: {reason} ({', '.join(self.by_reason[reason])}{', …' * (n > len(self.by_reason[reason]))})"
            for reason, n in self.counts.items()
        ]


def leftover(name: str) -> str | None:
    """Return why a file or folder is none that its owner put there, None where it may be.

    Examples
    --------
    >>> leftover("Thumbs.db"), leftover("bag (Ann's conflicted copy 2024-05-01).jpg"), leftover("bag.jpg")
    ('left by a system', 'a copy left by a sync conflict', None)
    """
    if _LEFTOVERS.fullmatch(name):
        return "left by a system"
    return "a copy left by a sync conflict" if _CONFLICT.search(name) else None


def visible(folder: Path, passed: Skipped) -> list[os.DirEntry[str]]:
    """Return what lies in a folder but for leftovers, by name."""
    kept = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            reason = leftover(entry.name)
            if reason is None:
                kept.append(entry)
            else:
                passed.add(reason, entry.name)
    return kept


def photos_in(folder: Path, passed: Skipped, *, also: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield the photos below a folder, sorted within each folder; links to folders are not followed.

    Parameters
    ----------
    folder : Path
    passed : Skipped
        Gets what is not a photo.
    also : frozenset of str
        Suffixes that count as photos as well (``.svg``).
    """
    if not folder.is_dir():
        return
    found = []
    folders = [folder]
    while folders:
        entries = visible(folders.pop(), passed)
        names = {entry.name for entry in entries}
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif (path.suffix.lower() in also and entry.is_file()) or is_photo(entry, names, passed):
                found.append(path)
    yield from sorted(found)


def is_photo(entry: os.DirEntry[str], beside: set[str], passed: Skipped) -> bool:
    """Tell whether a file is a photo of its own, by its content where its suffix does not say; else note why not.

    Parameters
    ----------
    entry : os.DirEntry
        As the folder was listed: a file that has gone since then is a row that fails, not a row that is lost.
    beside : set of str
        Names in its folder: of a burst with a cover the cover counts, of a photo and its edited copy the copy.
    passed : Skipped
    """
    path, name = Path(entry.path), entry.name
    suffix = path.suffix.lower()
    reason = None
    if not entry.is_file():
        reason = "a link to nothing, or no file"
    elif suffix in _SIDECARS:
        reason = "a sidecar"
    elif suffix in _RAW:
        reason = "a camera's raw file"
    elif (found := _BURST.match(name)) and not found["cover"] and _has_cover(found["burst"], beside):
        reason = "of a burst whose cover is there"
    elif (edited := _EDITED.match(name)) and f"IMG_E{name[4:]}" in beside and edited:
        reason = "the original of an edited copy that is there"
    elif suffix not in PHOTO_SUFFIXES and not _file_holds_photo(path):
        reason = "not a photo"
    if reason is not None:
        passed.add(reason, name)
    return reason is None


def _has_cover(burst: str, beside: set[str]) -> bool:
    return any("_COVER" in name.upper() and name.startswith(burst) for name in beside)


def _file_holds_photo(path: Path) -> bool:
    try:
        with open(path, "rb") as f:
            return holds_photo(f.read(32))
    except OSError:
        return False


def holds_photo(head: bytes) -> bool:
    """Tell by its first 32 bytes whether a file is in a format that is read."""
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")):
        return True
    if head[:2] == b"BM":
        return len(head) >= 18 and head[6:10] == b"\0\0\0\0" and head[14] in (12, 40, 52, 56, 64, 108, 124)
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF


_HEIF = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")


_MOST_FILES = 2_000_000  # that are looked through for a name that is written otherwise; a guess


class FileFinder:
    """Finds the file that a table means, whichever way it writes the name.

    Parameters
    ----------
    root : Path
        The table's folder; nothing outside it is looked at.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._by_name: dict[str, list[str]] | None = None
        self._taken: dict[str, str] = {}

    def find(self, name: str) -> str:
        """Return the path of the file, relative to the root, as the disk has it; `name` itself where there is none.

        Notes
        -----
        Tried in turn: the name as it stands; composed and decomposed (NFC, NFD), which macOS and zip programs mix; with
        Windows' backslashes; with ``%20`` and its like decoded; whatever its case, where one file is alike. A URL, which is
        never fetched, and a path of another machine (``C:/photos/a.jpg``) mean the one file below the root with their base
        name, as scrapers save it; two that would share a file get none.
        """
        if self._is_there(name):
            return name
        if re.match(r"(?i)(https?:)?//|file:|[a-z]:[/\\]|[/\\]", name):
            return self._saved(name)
        for written in (name, name.replace("\\", "/"), unquote(name), unquote(name.replace("\\", "/")).strip()):
            for form in ("NFC", "NFD"):
                text = unicodedata.normalize(form, written)
                if self._is_there(text):
                    return text
        return self._alike(name) or self._alike(unquote(name)) or name

    def _is_there(self, name: str) -> bool:
        if not name or name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or "\0" in name:
            return False
        try:
            return (self.root / name).is_file()
        except (OSError, ValueError):
            return False

    def _alike(self, name: str) -> str | None:
        """Find the one file whose path is that name but for case and Unicode forms, which may differ from part to part."""
        key = _folded(name.replace("\\", "/").removeprefix("./"))
        found = [path for path in self._names().get(key.rsplit("/", 1)[-1], []) if _folded(path) == key]
        return found[0] if len(found) == 1 else None

    def _saved(self, url: str) -> str:
        try:
            address = urlsplit(url).path if "//" in url else url.replace("\\", "/")
        except ValueError:
            return url
        base = _folded(unquote(address.rsplit("/", 1)[-1]))
        candidates = self._names().get(base, []) if base else []
        if len(candidates) > 1:  # in folders named like the address
            depth = [_common_tail(path, unquote(address)) for path in candidates]
            candidates = [path for path, n in zip(candidates, depth, strict=True) if n == max(depth) and n > 1]
        if len(candidates) != 1 or self._taken.setdefault(candidates[0], address) != address:
            return url
        return candidates[0]

    def _names(self) -> dict[str, list[str]]:
        if self._by_name is None:
            self._by_name = {}
            seen = 0
            for folder, folders, files in os.walk(self.root):
                folders[:] = [name for name in folders if leftover(name) is None]
                seen += len(files)
                if seen > _MOST_FILES:
                    break
                for name in files:
                    if leftover(name) is None:
                        path = (Path(folder) / name).relative_to(self.root).as_posix()
                        self._by_name.setdefault(_folded(name), []).append(path)
        return self._by_name


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _common_tail(path: str, address: str) -> int:
    ours, theirs = path.casefold().split("/")[::-1], address.casefold().split("/")[::-1]
    return next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
