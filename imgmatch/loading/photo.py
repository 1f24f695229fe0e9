"""PhotoContext: one photo and what was computed from it once. Query: one listing under examination."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from imgmatch.encoders.base import Encoder, Prepared
from imgmatch.images import perceptual_hash
from imgmatch.records import Listing
from imgmatch.types import Candidate, FloatArray, Image

__all__ = ["PhotoContext", "Query"]

T = TypeVar("T")


class PhotoContext:
    """A photo with a memory.

    Keypoints, text, regions and hashes are wanted by several signals; whoever asks first pays.

    Parameters
    ----------
    photo_id : str
        ``photo-1`` … for listing photos, ``promo-1`` … for promo photos, the sha256 for catalog photos.
    image : Image or callable
        The decoded photo, or what decodes it when a signal first asks for its pixels: with a cached embedding and hash
        most photos are never decoded again. A callable may raise :class:`imgmatch.errors.ImageError` then.
    role : str
        ``listing``, ``promo`` or ``reference``.
    sha256 : str
        Of the file; needed where `image` is a callable.

    Notes
    -----
    Thread-safe: two threads that ask for the same thing at once compute it once.
    """

    def __init__(
        self, photo_id: str, image: Image | Callable[[], Image], role: str = "listing", *, sha256: str = ""
    ) -> None:
        self.photo_id = photo_id
        self.role = role
        self.sha256 = image.sha256 if isinstance(image, Image) else sha256
        self._decode = image
        self._memory: dict[Any, Any] = {}
        self._ways: dict[Any, Callable[[], Any]] = {}
        self._lock = threading.RLock()

    @property
    def image(self) -> Image:
        return self._decode if isinstance(self._decode, Image) else self.once("image", self._decode)

    @property
    def phash(self) -> tuple[str, int]:
        """The 256-bit PDQ hash in hex and its quality in [0, 100]."""
        return self.once("phash", lambda: perceptual_hash(self.image))

    def once(self, key: Any, compute: Callable[[], T]) -> T:
        """Return what `compute` gives, computed at most once per key for the life of this photo.

        Parameters
        ----------
        key : hashable
            Names the thing and every setting it depends on, for example ``("keypoints", 1024)``.
        compute : callable
            Without arguments. An exception is not remembered.
        """
        with self._lock:
            if key not in self._memory:
                self._memory[key] = self._ways.get(key, compute)()
            value: T = self._memory[key]
            return value

    def put(self, key: Any, value: Any) -> None:
        """Remember a value that was computed in a batch elsewhere."""
        with self._lock:
            self._memory[key] = value

    def defer(self, key: Any, compute: Callable[[], Any]) -> None:
        """Say how a value is to be computed, should anybody ask for it; goes before what `once` is given."""
        self._ways[key] = compute

    def has(self, key: Any) -> bool:
        with self._lock:
            return key in self._memory

    def prepared(self, encoder: Encoder) -> Prepared:
        """The photo as the catalog's encoder takes it, computed once."""
        return self.once("prepared", lambda: encoder.prepare(self.image))

    @property
    def embedding(self) -> FloatArray:
        """The global embedding, shape (d,), put there by the matcher's batched encode."""
        return self.once("embedding", _missing_embedding)


def _missing_embedding() -> FloatArray:
    raise LookupError("the photo has not been encoded; Matcher.examine_batch encodes before it asks the signals")


@dataclass(slots=True)
class Query:
    """One listing under examination, as signals see it.

    Parameters
    ----------
    listing : Listing
    photos : list of PhotoContext
        The readable photos, listing photos first, then promo photos; may be empty.
    candidates : list of Candidate
        Best first; filled by the matcher from what the signals propose, before any of them examines.
    """

    listing: Listing
    photos: list[PhotoContext] = field(default_factory=list)
    candidates: Sequence[Candidate] = ()

    def of_role(self, role: str) -> list[PhotoContext]:
        """Return the photos with role ``listing`` or ``promo``."""
        return [p for p in self.photos if p.role == role]
