"""A source written from what is in memory, so that there is one way in: items with their pictures become a manifest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage

from imgmatch.errors import InputError
from imgmatch.images import ImageSource, load_image

__all__ = ["write_source"]


def write_source(items: Iterable[Mapping[str, Any]], brands: Iterable[Mapping[str, Any]], folder: Path) -> Path:
    """Write a manifest with its photos.

    Parameters
    ----------
    items, brands : iterable of mapping
        As for :meth:`imgmatch.Catalog.from_items`.
    folder : Path
        Empty; gets ``manifest.jsonl``, ``brands.jsonl`` and the photos.

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    InputError
        Where a row is no mapping, or its photos are no list.
    ImageError
        Where a picture in memory cannot be read; a path or bytes that hold none are an issue of the catalog.
    """
    written = 0

    def store(photo: ImageSource) -> str:
        nonlocal written
        written += 1
        if isinstance(photo, (str, os.PathLike)):
            path = Path(photo)
            name = f"{written:06d}-{path.name}"
            try:
                shutil.copyfile(path, folder / name)
            except OSError as error:
                raise InputError(f"cannot be read: {error.strerror or error}", source=str(path)) from error
            return name
        if isinstance(photo, bytes):
            name = f"{written:06d}.jpg"  # what it really is, its content says
            (folder / name).write_bytes(photo)
            return name
        name = f"{written:06d}.png"
        PillowImage.fromarray(load_image(photo).pixels).save(folder / name)
        return name

    rows = []
    for number, row in enumerate(items, 1):
        if not isinstance(row, Mapping):
            raise InputError(f"item {number}: expected a mapping with item_id, brand and photos, got {row!r:.80}")
        photos = row.get("photos")
        if isinstance(photos, (str, bytes)) or not isinstance(photos, Iterable):
            raise InputError(f"item {number}: photos: expected a list of pictures, got {photos!r:.80}")
        rows.append({**row, "photos": [store(photo) for photo in photos]})
    marks = []
    for row in brands:
        logos = [
            {**{k: v for k, v in logo.items() if k != "photo"}, "path": store(logo["photo"])}
            for logo in row.get("logos", ())
        ]
        marks.append({**row, "logos": logos})
    _write_rows(folder / "brands.jsonl", marks)
    return _write_rows(folder / "manifest.jsonl", rows)


def _write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
