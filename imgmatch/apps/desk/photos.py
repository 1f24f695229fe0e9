"""Photos as the desk serves them: by sha256 alone, from the folders that the scans name, decoded and re-encoded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from imgmatch.errors import ImgmatchError
from imgmatch.images import load_image, resolve_within, thumbnail_jpeg
from imgmatch.investigate.report.pictures import Gallery, Picture
from imgmatch.io.files import is_sha256
from imgmatch.records import PhotoRecord
from imgmatch.types import Image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from imgmatch.apps.desk.index import ScanIndex

__all__ = ["SIZES", "LinkedGallery", "Photos"]

SIZES = {"thumb": 160, "large": 900, "full": 2400}
"""Longest side in pixels of what is served."""

_KEPT = 32 << 20  # bytes of small copies that stay in memory


class Photos:
    """Small copies of photos, the last ones used kept.

    Parameters
    ----------
    index : ScanIndex
    catalog : Catalog or None
        For the references.
    """

    def __init__(self, index: ScanIndex, catalog: Any) -> None:
        self._index = index
        self._catalog = catalog
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._bytes = 0

    def jpeg(self, sha256: str, size: str) -> bytes | None:
        """Return a photo of the scans, or of the catalog, as JPEG; None where there is none, or it has changed."""
        if not is_sha256(sha256) or size not in SIZES:
            return None
        key = sha256, size
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        image = self.image(sha256, SIZES[size])
        if image is None:
            return None
        data = thumbnail_jpeg(image, SIZES[size])
        with self._lock:
            if key not in self._kept:
                self._bytes += len(data)
            self._kept[key] = data
            while self._bytes > _KEPT:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return data

    def image(self, sha256: str, side: int | None = None) -> Image | None:
        """Open a photo, provided that its bytes are still those of its sha256."""
        for root, path in self._index.photo(sha256):
            try:
                image = load_image(resolve_within(root, path), target_side=side)
            except (ImgmatchError, OSError, ValueError):
                continue
            if image.sha256 == sha256:
                return image
        if self._catalog is not None and sha256 in self._catalog.photos:
            try:
                image = self._catalog.photo(sha256).image
            except (ImgmatchError, OSError):
                return None
            return image if isinstance(image, Image) else None
        return None


class _Linked(Picture):
    """A picture that a page of the desk links to, where a report holds it."""

    __slots__ = ()

    def uri(self) -> str:
        return f"/photo/{self.image.sha256}/large"


class LinkedGallery(Gallery):
    """Opens photos for drawings whose pictures are addresses of the desk."""

    def __init__(self, roots: Sequence[Path], catalog: Any) -> None:
        super().__init__(roots, catalog)

    def query(self, photo: PhotoRecord) -> Picture | None:
        return _linked(super().query(photo))

    def reference(self, sha256: str | None) -> Picture | None:
        return _linked(super().reference(sha256))


def _linked(picture: Picture | None) -> Picture | None:
    return None if picture is None else _Linked(picture.key, picture.image)
