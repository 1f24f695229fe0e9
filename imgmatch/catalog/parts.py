"""Writing the parts of a catalog: each is staged, hashed while it is written, and named by its hash."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np

from imgmatch.catalog.manifest import Manifest, Part, Segment, photo_path
from imgmatch.errors import CatalogCorruptError
from imgmatch.indexes.base import VectorIndex
from imgmatch.io.files import atomic_write, sync_dir
from imgmatch.types import FloatArray

__all__ = ["SegmentWriter", "copy_catalog", "refuse_links", "store_photo", "sweep", "write_index", "write_rows"]

_STAGING = ".staging-"


def write_rows(root: Path, stem: str, rows: Iterable[Mapping[str, Any]]) -> Part:
    """Write JSON lines as ``stem-<hash>.jsonl``."""
    return _write_lines(root, f"{stem}-{{}}.jsonl", (json.dumps(row, ensure_ascii=False) for row in rows))


class SegmentWriter:
    """Append vectors to a new segment without holding them: memory does not grow with the number of photos.

    Parameters
    ----------
    root : Path
        The catalog's folder.
    space_id : str
    """

    def __init__(self, root: Path, space_id: str) -> None:
        self._root = root
        self._folder = f"vectors/{space_id}"
        (root / self._folder).mkdir(parents=True, exist_ok=True)
        self._staged = root / self._folder / f"{_STAGING}{os.getpid()}.f32"
        self._staged.unlink(missing_ok=True)
        self._file = open(self._staged, "xb")  # noqa: SIM115 - closed by finish or discard
        self._digest = hashlib.sha256()
        self.photos: list[str] = []

    def append(self, vectors: FloatArray, photos: Iterable[str]) -> None:
        data = np.ascontiguousarray(vectors, "<f4").tobytes()
        self._digest.update(data)
        self._file.write(data)
        self.photos.extend(photos)

    def finish(self) -> Segment | None:
        """Publish the segment under its hash; None where nothing was appended."""
        size = self._file.tell()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if not self.photos:
            self._staged.unlink()
            return None
        digest = self._digest.hexdigest()
        path = f"{self._folder}/{digest[:16]}.f32"
        self._staged.replace(self._root / path)
        sync_dir(self._root / self._folder)
        names = _write_lines(self._root, f"{self._folder}/{{}}.photos", self.photos)
        return Segment(Part(path, digest, size), names, len(self.photos))

    def discard(self) -> None:
        self._file.close()
        self._staged.unlink(missing_ok=True)


def write_index(root: Path, space_id: str, index: VectorIndex) -> Part:
    folder = root / "vectors" / space_id
    staged = folder / f"{_STAGING}{os.getpid()}.faiss"
    staged.unlink(missing_ok=True)
    try:
        index.save(staged)
        digest = hashlib.sha256()
        with open(staged, "rb") as f:
            while piece := f.read(1 << 20):
                digest.update(piece)
            os.fsync(f.fileno())
        path = f"vectors/{space_id}/{digest.hexdigest()[:16]}.faiss"
        size = staged.stat().st_size
        staged.replace(root / path)
        sync_dir(folder)
        return Part(path, digest.hexdigest(), size)
    finally:
        staged.unlink(missing_ok=True)


def store_photo(root: Path, sha256: str, data: bytes) -> None:
    """Keep the bytes of a photo under their hash; a photo that is there already is left alone.

    Raises
    ------
    CatalogCorruptError
        Where the hash is not that of the bytes.
    """
    path = photo_path(root, sha256)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CatalogCorruptError(f"{path}: the photo was changed on its way here")
    if path.exists() and path.stat().st_size == len(data):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "wb") as f:
        f.write(data)


def refuse_links(root: Path) -> None:
    """Raise where a link stands for a folder that a change would write to or sweep: the catalog may be somebody else's."""
    for folder in (root / "photos", root / "vectors"):
        for path in [folder, *_inside(folder)]:
            if path.is_symlink() and (path == folder or path.is_dir()):
                raise CatalogCorruptError(f"{path}: is a symbolic link; a catalog holds its files itself")


def sweep(root: Path, manifest: Manifest, photos: Iterable[str], before: Set[Path]) -> None:
    """Remove what neither the manifest nor the catalog `before` it names: old parts, abandoned stages, removed photos."""
    keep = {root / part.path for part in manifest.parts()} | {photo_path(root, sha) for sha in photos} | before
    folders = [*_inside(root / "vectors"), *_inside(root / "photos")]
    candidates = [*root.glob("*-*.jsonl"), *root.glob(".*.tmp"), *(path for folder in folders for path in _inside(folder))]
    for path in candidates:
        if path not in keep and (path.is_file() or path.is_symlink()):
            path.unlink(missing_ok=True)
    for folder in folders:
        if not folder.is_symlink() and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _inside(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def _write_lines(root: Path, pattern: str, lines: Iterable[str]) -> Part:
    text = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
    digest = hashlib.sha256(text).hexdigest()
    path = pattern.format(digest[:16])
    with atomic_write(root / path, "wb") as f:
        f.write(text)
    return Part(path, digest, len(text))


def copy_catalog(root: Path, manifest: Manifest, out: Path) -> None:
    """Copy a catalog to a new folder; the manifest goes last, so that a copy that was cut short is no catalog at all."""
    shutil.copytree(root, out, ignore=_not_copied)
    manifest.save(out)


def _not_copied(folder: str, names: list[str]) -> set[str]:
    """Name what a copy leaves behind: the manifest, what is hidden, links, pipes and devices."""
    paths = [Path(folder, name) for name in names]
    return {
        p.name
        for p in paths
        if p.name == "manifest.json" or p.name.startswith(".") or p.is_symlink() or not (p.is_file() or p.is_dir())
    }
