"""Reference photos in use, kept so that what is computed on one is computed once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property

from imgmatch.encoders.store import cache_dir
from imgmatch.loading.cache import PartCache
from imgmatch.loading.photo import PhotoContext

__all__ = ["KeptPhotos", "reference_parts"]

# Decoded reference photos kept in memory: keypoints and hashes of a reference are computed once per process.
_PHOTOS_KEPT = 256
_BYTES_KEPT = 128 << 20  # of their pixels, 14 photos of 12 megapixels as they are decoded: a guess


class KeptPhotos:
    """The photos that were used last, as many as fit; not thread-safe.

    What is found in one by `PhotoContext.lasting` is remembered on this machine, for every later scan and process.
    """

    def __init__(self) -> None:
        self._photos: OrderedDict[str, PhotoContext] = OrderedDict()

    def get(self, sha256: str, make: Callable[[str], PhotoContext]) -> PhotoContext:
        """Return a photo, made where it is not kept; those unused for longest go where they are too many or too large.

        `make` is asked for each time: kept, it would tie the catalog to itself, and its folder would outlive it.
        """
        photo = self._photos.pop(sha256, None) or make(sha256)
        photo.parts = self._parts
        self._photos[sha256] = photo
        while len(self._photos) > _PHOTOS_KEPT or (
            len(self._photos) > 1 and sum(p.decoded_bytes for p in self._photos.values()) > _BYTES_KEPT
        ):
            self._photos.popitem(last=False)
        return photo

    @cached_property
    def _parts(self) -> PartCache:
        return reference_parts()


def reference_parts() -> PartCache:
    """Open what this machine remembers of reference photos."""
    return PartCache(cache_dir() / "references-parts.sqlite")
