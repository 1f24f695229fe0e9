"""Searching the photos of indexed scans and of the catalog, for the desk's page and for ``imgmatch search``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imgmatch.apps.commands_rings import cached_embeddings
from imgmatch.apps.desk.index import ScanIndex
from imgmatch.errors import InputError
from imgmatch.investigate.lookup import PhotoLookup, Seen, context_of
from imgmatch.investigate.rings.market import photo_opener
from imgmatch.loading.photo import PhotoContext
from imgmatch.matcher import Matcher
from imgmatch.signals.copy.signal import CopySignal, describe

__all__ = ["Found", "InCatalog", "look_for", "lookup_of"]

_ITEMS = 8


@dataclass(frozen=True, slots=True)
class InCatalog:
    """A photo of the catalog that was found: whose, and how (``copy`` with its value, or ``similar`` with the cosine)."""

    sha256: str
    item: str
    brand: str
    kind: str
    value: float
    words: str


@dataclass(frozen=True, slots=True)
class Found:
    """Where a photo was seen: photos of the scans with the rows of their listings, and photos of the catalog."""

    photo: PhotoContext
    scans: tuple[tuple[Seen, list[Any]], ...]
    catalog: tuple[InCatalog, ...]
    photos: int
    embedded: int


def lookup_of(index: ScanIndex, space: str) -> PhotoLookup:
    """Return what searches the photos of an index, by the embeddings of a space that its scans left in the cache."""
    rows = index.rows(
        "SELECT sha256, max(phash) AS phash, scan, path FROM photos JOIN listings ON listing = id GROUP BY sha256"
    )
    paths = {row["sha256"]: row["path"] for row in rows}
    roots = list(dict.fromkeys(scan.photo_root for scan in index.scans))
    opener = photo_opener(roots)
    return PhotoLookup(
        {row["sha256"]: row["phash"] or "" for row in rows},
        lambda sha256: opener(sha256, paths[sha256]),
        cached_embeddings([scan.records_path for scan in index.scans]) if _same_space(index, space) else None,
    )


def look_for(photo: bytes, index: ScanIndex, lookup: PhotoLookup, matcher: Matcher) -> Found:
    """Find a photo in scans and catalog.

    Raises
    ------
    ImageError
        Where it cannot be read.
    """
    context = context_of(matcher, photo, called="the photo")
    query = """SELECT DISTINCT listings.*, photo_id FROM photos JOIN listings ON listing = id WHERE sha256 = ?
        ORDER BY strength DESC, id LIMIT 20"""
    scans = tuple((seen, index.rows(query, (seen.sha256,))) for seen in lookup.find(context))
    return Found(context, scans, tuple(_in_catalog(context, matcher)), len(lookup), lookup.embedded)


def _in_catalog(photo: PhotoContext, matcher: Matcher) -> list[InCatalog]:
    catalog = matcher.catalog
    names = {i: item.name or i for i, item in catalog.items.items()}
    signal = next((s for s in matcher.signals if isinstance(s, CopySignal)), None) or CopySignal(catalog)
    found = []
    for copy in signal.copies(photo):
        entry = catalog.photos[copy.sha256]
        words = ", ".join(describe(copy, photo.image, entry)[0])
        item = names.get(entry.item_id or "", f"a photo of role {entry.role}")
        found.append(InCatalog(copy.sha256, item, entry.brand or "", "copy", copy.value, words))
    taken = {f.sha256 for f in found}
    near = (c for c in catalog.search(photo.image.pixels, _ITEMS) if c.photo not in taken)
    return [*found, *(InCatalog(c.photo, names[c.item_id], c.brand, "similar", c.similarity, "looks alike") for c in near)]


def _same_space(index: ScanIndex, space: str) -> bool:
    try:
        return all(scan.space.id == space for scan in index.scans)
    except InputError:
        return False
