"""The manifest of a catalog: the one file that says which parts are the catalog.

A part's name holds the hash of its content, so a new version never overwrites an old one. Replacing ``manifest.json``
is the only commit: a writer that dies before it leaves the old catalog, after it the new one, never a mix.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imgmatch.errors import CatalogCorruptError, CatalogError, CatalogVersionError
from imgmatch.io.files import atomic_write, is_sha256, open_foreign, sha256_file
from imgmatch.types import EmbeddingSpace

__all__ = ["FORMAT_VERSION", "Manifest", "Part", "Segment", "SpaceParts", "photo_name", "photo_path"]

FORMAT = "imgmatch-catalog"
FORMAT_VERSION = 1
_NAME = "manifest.json"
_MOST_DIM = 1 << 16  # encoders that we know give up to 2,048
_MOST_BYTES = 64 << 20  # of a manifest, which has some hundred bytes per part
# What we call parts; the digits are the first of the part's hash. No other name is opened.
_PART = re.compile(r"(?:[a-z]+-([0-9a-f]{16})\.jsonl|vectors/[0-9a-f]{16}/([0-9a-f]{16})\.(?:f32|photos|faiss))")


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the catalog: POSIX path relative to its folder, hex sha256, size in bytes."""

    path: str
    sha256: str
    bytes: int

    def check(self, root: Path) -> Path:
        """Return the part's path after comparing its content with its checksum.

        Raises
        ------
        CatalogCorruptError
            Where the file is missing or differs.
        """
        path = root / self.path
        try:
            with open_foreign(root, self.path) as f:
                if os.fstat(f.fileno()).st_size == self.bytes and sha256_file(f) == self.sha256:
                    return path
        except OSError as error:
            raise CatalogCorruptError(f"{path}: {error.strerror}; restore it or build the catalog again") from error
        raise CatalogCorruptError(f"{path}: does not have the checksum in the manifest; restore it or build again")


@dataclass(frozen=True, slots=True)
class Segment:
    """Some rows of a space: raw little-endian float32 (rows, dim) in C order, and the photo of each row, one per line."""

    vectors: Part
    photos: Part
    rows: int


@dataclass(frozen=True, slots=True)
class SpaceParts:
    """All that one embedding space has in the catalog.

    Parameters
    ----------
    space : EmbeddingSpace
    segments : tuple of Segment
        In row order.
    factory : str
        FAISS factory string, or ``lancedb``.
    index : Part or None
        The built index, or the file that names an engine's; None for ``Flat``, which is built from the vectors at load.
    """

    space: EmbeddingSpace
    segments: tuple[Segment, ...]
    factory: str
    index: Part | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ``manifest.json`` holds.

    Parameters
    ----------
    items, brands, photos, issues : Part
        ``issues`` lists what the source had and the catalog has not.
    spaces : mapping of space id to SpaceParts
    active : str
        Id of the space that scans use.
    counts : mapping of str to int
    """

    items: Part
    brands: Part
    photos: Part
    issues: Part
    spaces: Mapping[str, SpaceParts]
    active: str
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Identity of what a scan can see: the rows and the active space's vectors; 16 hex digits."""
        parts = [self.items.sha256, self.brands.sha256, self.photos.sha256, self.active]
        parts += [s.vectors.sha256 for s in self.spaces[self.active].segments]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def parts(self) -> Iterator[Part]:
        """Yield every part but the photos, which are named by their own hash."""
        yield from (self.items, self.brands, self.photos, self.issues)
        for space in self.spaces.values():
            for segment in space.segments:
                yield from (segment.vectors, segment.photos)
            if space.index is not None:
                yield space.index

    def with_active(self, space_id: str) -> Manifest:
        if space_id not in self.spaces:
            known = ", ".join(s.space.describe() for s in self.spaces.values())
            raise CatalogError(f"the catalog has no space {space_id}; it has {known}")
        return replace(self, active=space_id)

    def save(self, root: Path) -> None:
        """Commit: from here on this is the catalog."""
        row = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "byte_order": "little",
            "catalog_version": self.version,
            "counts": dict(self.counts),
            "active_space": self.active,
            "items": _row(self.items),
            "brands": _row(self.brands),
            "photos": _row(self.photos),
            "issues": _row(self.issues),
            "spaces": {
                key: {
                    "space": s.space.to_dict(),
                    "factory": s.factory,
                    "index": None if s.index is None else _row(s.index),
                    "segments": [{"rows": g.rows, "vectors": _row(g.vectors), "photos": _row(g.photos)} for g in s.segments],
                }
                for key, s in self.spaces.items()
            },
        }
        # The manifest covers every part, and this line covers the manifest.
        row["checksum"] = _checksum(row)
        with atomic_write(root / _NAME) as f:
            json.dump(row, f, indent=1)
            f.write("\n")

    @classmethod
    def load(cls, root: Path) -> Manifest:
        """Read and validate ``manifest.json``.

        Raises
        ------
        CatalogError
            Where there is none; CatalogVersionError, CatalogCorruptError where it cannot be used.
        """
        path = root / _NAME
        try:
            with open_foreign(root, _NAME) as f:
                text = f.read(_MOST_BYTES + 1).decode("utf-8")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise CatalogError(f"{root}: no catalog here (no {_NAME}); build one with: imgmatch catalog build") from error
        except (OSError, UnicodeDecodeError) as error:
            raise CatalogCorruptError(f"{path}: cannot be read: {error}") from error
        if len(text) > _MOST_BYTES:
            raise CatalogCorruptError(f"{path}: is larger than any manifest")
        try:
            row = json.loads(text)
            if row["format"] != FORMAT:
                raise CatalogCorruptError(f"{path}: not an imgmatch catalog")
            if row["format_version"] > FORMAT_VERSION:
                raise CatalogVersionError(
                    f"{path}: format {row['format_version']} is newer than this version reads ({FORMAT_VERSION}); "
                    "upgrade imgmatch"
                )
            if row["byte_order"] != "little":
                raise CatalogVersionError(f"{path}: vectors are {row['byte_order']}-endian; this version reads little")
            if _checksum(row) != row.pop("checksum", None):
                raise CatalogCorruptError(f"{path}: changed since it was written; restore it or build again")
            spaces = {key: _space(key, parts) for key, parts in row["spaces"].items()}
            if row["active_space"] not in spaces:
                raise ValueError("it has no active space")
            return cls(
                items=_part(row["items"]),
                brands=_part(row["brands"]),
                photos=_part(row["photos"]),
                issues=_part(row["issues"]),
                spaces=spaces,
                active=row["active_space"],
                counts={str(name): int(count) for name, count in row["counts"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise CatalogCorruptError(f"{path}: not a valid manifest: {error!r}") from error


def photo_path(root: Path, sha256: str) -> Path:
    """Where the catalog keeps the bytes of a photo.

    Raises
    ------
    CatalogCorruptError
        Where it is not the sha256 of anything: no other name becomes a path.
    """
    return root / photo_name(root, sha256)


def photo_name(root: Path, sha256: str) -> str:
    """The same relative to the catalog."""
    if not is_sha256(sha256):
        raise CatalogCorruptError(f"{root}: a photo is called {sha256!r:.80}, expected 64 hex digits")
    return f"photos/{sha256[:2]}/{sha256}"


def _row(part: Part) -> dict[str, Any]:
    return {"path": part.path, "sha256": part.sha256, "bytes": part.bytes}


def _space(key: str, row: Mapping[str, Any]) -> SpaceParts:
    space = EmbeddingSpace(**row["space"])
    texts = (space.encoder, space.weights, space.architecture, space.preprocess, space.numeric, row["factory"])
    if not all(isinstance(text, str) for text in texts) or type(space.dim) is not int or not 0 < space.dim <= _MOST_DIM:
        raise ValueError("a space is described by texts and a number of dimensions")
    if space.id != key:
        raise ValueError(f"space {key!r:.40} is {space.id}")
    segments = tuple(Segment(_part(g["vectors"]), _part(g["photos"]), int(g["rows"])) for g in row["segments"])
    for s in segments:
        if s.vectors.bytes != 4 * s.rows * space.dim:
            raise ValueError(f"{s.vectors.path}: {s.vectors.bytes} bytes are not {s.rows} vectors of {space.dim} numbers")
    return SpaceParts(space, segments, row["factory"], None if row["index"] is None else _part(row["index"]))


def _part(row: Mapping[str, Any]) -> Part:
    """Check a part's name: it is ours, so it cannot lead out of the folder, nor be another part's."""
    path, sha256, size = row["path"], row["sha256"], int(row["bytes"])
    match = _PART.fullmatch(path)
    if match is None or not is_sha256(sha256) or (match[1] or match[2]) != sha256[:16] or size < 0:
        raise ValueError(f"not the name of a part: {path!r:.80} {sha256!r:.80}")
    return Part(path, sha256, size)


def _checksum(row: Mapping[str, Any]) -> str:
    rest = {k: v for k, v in row.items() if k != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
