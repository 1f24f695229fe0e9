"""PhotoContext: one photo and what was computed from it once. Query: one listing under examination."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from imgmatch.encoders.base import Encoder, Prepared
from imgmatch.images import perceptual_hash
from imgmatch.io.files import package_sha256
from imgmatch.loading.cache import Arrays, PartCache
from imgmatch.parallel import checkpoint
from imgmatch.records import Listing
from imgmatch.types import Candidate, FloatArray, Image

__all__ = ["PIXEL_SIDE", "Cells", "PhotoContext", "Query", "WorkingSet", "producer"]

Cells = npt.NDArray[np.float16]
"""Dense descriptors of a photo's parts, shape (h, w, c), rounded to half precision."""

PIXEL_SIDE = 1024
"""Signals that look at pixels get a photo with its shorter side at least this long, where the photo has that much:
lettering of 1 % of the picture's height is still 10 px high, the least that PP-OCR reads (a guess)."""

_WORKING_SET = 256 << 20
"""Bytes of decoded pixels of the photos under examination (a guess): a batch of 32 photos of 1024 x 1400 px is 138 MB."""

_LOOKERS = ("opencv-python-headless", "pillow", "pdqhash", "rapidocr", "onnxruntime", "numpy")

P = ParamSpec("P")
T = TypeVar("T")


class WorkingSet:
    """The photos whose pixels are in memory: beyond a budget, those used longest ago forget what can be computed again.

    A listing may have ten thousand photos; every signal goes through them one after another.

    Parameters
    ----------
    most : int
        Bytes of decoded pixels.
    """

    def __init__(self, most: int = _WORKING_SET) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._photos: OrderedDict[int, weakref.ref[PhotoContext]] = OrderedDict()

    def touch(self, photo: PhotoContext) -> None:
        """Count a photo as the one used last."""
        with self._lock:
            self._photos[id(photo)] = weakref.ref(photo)
            self._photos.move_to_end(id(photo))
            alive = [(key, known) for key, ref in self._photos.items() if (known := ref()) is not None]
            self._photos = OrderedDict((key, self._photos[key]) for key, _ in alive)
            held = sum(known.decoded_bytes for _, known in alive)
            for key, known in alive[:-1]:
                if held <= self._most:
                    break
                held -= known.decoded_bytes
                if known.forget():
                    del self._photos[key]


class PhotoContext:
    """A photo with a memory.

    Keypoints, text, regions and hashes are wanted by several signals; whoever asks first pays, see :meth:`once`.

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
    phash : tuple of str and int, optional
        256-bit PDQ hash in hex and its quality in [0, 100], where they are known already.
    embedding : ndarray, shape (d,), float32, optional
    prepare : callable, optional
        How the encoder's input is made of this photo; by default from `image`.
    prepared : ndarray, optional
        The encoder's input, where it is made already.
    working_set : WorkingSet, optional
        Bounds the pixels in memory; needs a callable `image`.
    side : int or None
        The ``target_side`` that `image` is decoded with, see :func:`imgmatch.images.load_image`; None in full.

    Attributes
    ----------
    cells_from : callable or None
        Where :meth:`cells` come from, given what returns the encoder; by default from a forward pass of their own.
    parts : PartCache or None
        Where :meth:`lasting` arrays are remembered between scans.

    Notes
    -----
    Thread-safe: two threads that ask for the same thing at once compute it once.
    """

    def __init__(
        self,
        photo_id: str,
        image: Image | Callable[[], Image],
        role: str = "listing",
        *,
        sha256: str = "",
        phash: tuple[str, int] | None = None,
        embedding: FloatArray | None = None,
        prepare: Callable[[Encoder], Prepared] | None = None,
        prepared: Prepared | None = None,
        working_set: WorkingSet | None = None,
        side: int | None = PIXEL_SIDE,
    ) -> None:
        self.photo_id = photo_id
        self.role = role
        self.sha256 = image.sha256 if isinstance(image, Image) else sha256
        self.cells_from: Callable[[Callable[[], Encoder]], Cells] | None = None
        self.parts: PartCache | None = None
        self._decode = image
        self._image = image if isinstance(image, Image) else None
        self._phash = phash
        self._embedding = embedding
        self._prepare = prepare
        self._prepared = prepared
        self._working_set = working_set
        self._side = side
        self._cells: Cells | None = None
        self._memory: dict[Any, Any] = {}
        self._lock = threading.RLock()

    @property
    def image(self) -> Image:
        """The decoded photo, decoded once as long as memory allows."""
        with self._lock:
            image = self._image
            if image is None:
                image = self._image = self._decode if isinstance(self._decode, Image) else self._decode()
                if self._working_set is not None:
                    self._working_set.touch(self)
            return image

    def forget(self) -> bool:
        """Give back what can be computed again; False where somebody is at work on it."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._image = self._prepared = self._cells = None
            self._memory.clear()
        finally:
            self._lock.release()
        return True

    @property
    def decoded_bytes(self) -> int:
        """Bytes of its pixels that are in memory."""
        image = self._image
        return 0 if image is None else image.pixels.nbytes

    @property
    def phash(self) -> tuple[str, int]:
        """The 256-bit PDQ hash in hex and its quality in [0, 100]."""
        with self._lock:
            if self._phash is None:
                self._phash = perceptual_hash(self.image)
            return self._phash

    @property
    def embedding(self) -> FloatArray:
        """The global embedding, shape (d,), float32, set by the matcher's batched encode."""
        if self._embedding is None:
            raise LookupError("the photo has not been encoded; Matcher.examine_batch encodes before it asks the signals")
        return self._embedding

    @embedding.setter
    def embedding(self, vector: FloatArray) -> None:
        self._embedding = vector
        self._prepared = None  # it has done its work: 600 kB a photo

    @property
    def embedded(self) -> bool:
        """Whether the embedding is known."""
        return self._embedding is not None

    def prepared(self, encoder: Encoder) -> Prepared:
        """Return the photo as the catalog's encoder takes it, computed once."""
        with self._lock:
            if self._prepared is None:
                self._prepared = encoder.prepare(self.image) if self._prepare is None else self._prepare(encoder)
            return self._prepared

    def cells(self, encoder: Callable[[], Encoder]) -> Cells:
        """Return the descriptors of the photo's parts, shape (h, w, c), computed once.

        Parameters
        ----------
        encoder : callable
            Returns the catalog's encoder; called only where the cells are not remembered.
        """
        with self._lock:
            if self._cells is None:
                if self.cells_from is not None:
                    self._cells = self.cells_from(encoder)
                else:
                    model = encoder()
                    self._cells = model.encode_dense([self.prepared(model)])[1][0].astype(np.float16)
            return self._cells

    def once(self, compute: Callable[Concatenate[PhotoContext, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return ``compute(photo, *args, **kwargs)``, computed at most once for the life of this photo.

        Parameters
        ----------
        compute : callable
            A function or a bound method; it and its arguments, which must be hashable, name what is remembered. An
            exception is not remembered.
        """
        key = compute, args, tuple(sorted(kwargs.items()))
        with self._lock:
            if key not in self._memory:
                checkpoint()
                self._memory[key] = compute(self, *args, **kwargs)
            value: T = self._memory[key]
            return value

    def lasting(
        self, compute: Callable[Concatenate[PhotoContext, P], Arrays], /, *args: P.args, **kwargs: P.kwargs
    ) -> Arrays:
        """Return the arrays ``compute(photo, *args, **kwargs)``, from disk where an earlier scan computed them.

        Parameters
        ----------
        compute : callable
            A function of a module: its name, the `repr` of its arguments, the size that the photo is decoded to and the code
            of imgmatch name what is remembered. Its arrays must follow from those and the photo's pixels alone, not from
            its catalog or settings. They are not kept in memory: see `once`.
        """
        if self.parts is None:
            return compute(self, *args, **kwargs)
        settings = [*args, *sorted(kwargs.items())]
        recipe = f"{compute.__module__}.{compute.__qualname__} {settings} {self._side} {producer()}"
        known = self.parts.get([self.sha256], recipe).get(self.sha256)
        if known is None:
            known = compute(self, *args, **kwargs)
            self.parts.put({self.sha256: known}, recipe)
        return known

    def remember(
        self, value: T, compute: Callable[Concatenate[PhotoContext, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Take `value` as what ``once(compute, *args, **kwargs)`` returns: it was computed in a batch elsewhere."""
        with self._lock:
            self._memory[compute, args, tuple(sorted(kwargs.items()))] = value

    def remembers(self, compute: Callable[Concatenate[PhotoContext, P], Any], /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Tell whether ``once(compute, *args, **kwargs)`` is known already."""
        with self._lock:
            return (compute, args, tuple(sorted(kwargs.items()))) in self._memory


@cache
def producer() -> str:
    """Return a short hash of the code, and of the versions of the libraries, that look at pixels."""
    known = {d.metadata["Name"]: d.version for d in map(_distribution, _LOOKERS) if d is not None}
    return hashlib.sha256(f"{package_sha256()} {sorted(known.items())}".encode()).hexdigest()[:16]


def _distribution(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


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
    unreadable : tuple of str
        Ids of the photos that could not be read.
    """

    listing: Listing
    photos: list[PhotoContext] = field(default_factory=list)
    candidates: Sequence[Candidate] = ()
    unreadable: tuple[str, ...] = ()

    def of_role(self, role: str) -> list[PhotoContext]:
        """Return the photos with role ``listing`` or ``promo``."""
        return [p for p in self.photos if p.role == role]
