"""Where listings come from: a folder of photos, or a table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from imgmatch.catalog.source import PHOTO_SUFFIXES
from imgmatch.errors import InputError
from imgmatch.records import Listing
from imgmatch.tables import TABLE_SUFFIXES, read_table

__all__ = ["Row", "listing_root", "read_listings"]

_LISTS = frozenset({"photos", "promo_photos", "contacts"})

Row = tuple[Listing, str | None]
"""A listing, and what is wrong with its row where it cannot be examined."""


def listing_root(path: Path) -> Path:
    """Return the folder that the photo paths of a source are relative to."""
    return path if path.is_dir() else path.parent


def read_listings(path: Path) -> Iterator[Row]:
    """Yield each listing of a source, in its order.

    Parameters
    ----------
    path : Path
        A folder, in which each photo is a listing and each subfolder one listing of several photos, or a CSV / JSONL /
        Parquet table with the columns of :class:`imgmatch.records.Listing` (``docs/listings.md``).

    Yields
    ------
    listing : Listing
    problem : str or None
        Why the row cannot be examined; the listing then has only an id (its own, or the row's place).

    Raises
    ------
    InputError
        Where the source as a whole cannot be read.
    """
    if path.is_dir():
        yield from _read_folder(path)
    elif path.suffix.lower() in TABLE_SUFFIXES and path.is_file():
        yield from _read_listing_table(path)
    else:
        raise InputError(
            "no such listings: expected a folder of photos, or a .csv / .jsonl / .parquet table", source=str(path)
        )


def _read_folder(folder: Path) -> Iterator[Row]:
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            photos = sorted(p for p in Path(entry.path).rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
            if photos:
                yield Listing(_safe(entry.name), tuple(p.relative_to(folder).as_posix() for p in photos)), None
        elif Path(entry.name).suffix.lower() in PHOTO_SUFFIXES:
            yield Listing(_safe(entry.name), (entry.name,)), None


def _read_listing_table(path: Path) -> Iterator[Row]:
    for place, row in read_table(path, _LISTS):
        if isinstance(row, InputError):
            yield Listing(place), str(row)
            continue
        try:
            yield Listing.from_dict(row), None
        except InputError as error:
            given = row.get("listing_id")
            yield Listing(_safe(given) if isinstance(given, str) and given else place), f"{place}: {error}"


def _safe(name: str) -> str:
    # File names may hold bytes that are no UTF-8; an id must be writable.
    return name.encode("utf-8", "replace").decode("utf-8")
