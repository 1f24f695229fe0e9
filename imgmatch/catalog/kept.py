"""Reference photos in use, kept so that what is computed on one is computed once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from imgmatch.loading.photo import PhotoContext

__all__ = ["KeptPhotos"]

# Decoded reference photos kept in memory: keypoints and hashes of a reference are computed once per process.
_PHOTOS_KEPT = 256
_BYTES_KEPT = 256 << 20  # of their pixels: a guess


class KeptPhotos:
    """The photos that were used last, as many as fit; not thread-safe."""

    def __init__(self) -> None:
        self._photos: OrderedDict[str, PhotoContext] = OrderedDict()

    def get(self, sha256: str, make: Callable[[str], PhotoContext]) -> PhotoContext:
        """Return a photo, made where it is not kept; those unused for longest go where they are too many or too large.

        `make` is asked for each time: kept, it would tie the catalog to itself, and its folder would outlive it.
        """
        photo = self._photos.pop(sha256, None) or make(sha256)
        self._photos[sha256] = photo
        while len(self._photos) > _PHOTOS_KEPT or (
            len(self._photos) > 1 and sum(p.decoded_bytes for p in self._photos.values()) > _BYTES_KEPT
        ):
            self._photos.popitem(last=False)
        return photo
