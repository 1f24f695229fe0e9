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
    """The photos that were used last, as many as fit; not thread-safe.

    Parameters
    ----------
    make : callable
        ``make(sha256) -> PhotoContext``, for a photo that is not kept.
    """

    def __init__(self, make: Callable[[str], PhotoContext]) -> None:
        self._make = make
        self._photos: OrderedDict[str, PhotoContext] = OrderedDict()

    def get(self, sha256: str) -> PhotoContext:
        """Return a photo; those not used for longest go where there are too many or their pixels are too large."""
        photo = self._photos.pop(sha256, None) or self._make(sha256)
        self._photos[sha256] = photo
        while len(self._photos) > _PHOTOS_KEPT or (
            len(self._photos) > 1 and sum(p.decoded_bytes for p in self._photos.values()) > _BYTES_KEPT
        ):
            self._photos.popitem(last=False)
        return photo
