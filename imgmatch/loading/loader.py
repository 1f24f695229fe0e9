"""Photos under examination: read within limits, hashed, prepared for the encoder, embedded in batches, remembered."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image

from imgmatch.config import ImageConfig
from imgmatch.encoders.base import Encoder, Prepared
from imgmatch.errors import ImageError
from imgmatch.images import ImageSource, load_image, perceptual_hash, read_file
from imgmatch.images.decoding import check_size
from imgmatch.loading.cache import CachedPhoto, PhotoCache
from imgmatch.loading.photo import PIXEL_SIDE, Cells, PhotoContext, WorkingSet
from imgmatch.messages import Message
from imgmatch.parallel import StageTimer
from imgmatch.types import EmbeddingSpace, FloatArray, Image

__all__ = ["PhotoLoader"]

_BLOCK, _SPARE = 32 << 20, 128 << 20
"""Bytes of the largest block that glibc is to take from its heap, and of free heap that it is to keep: mallopt(3),
M_MMAP_THRESHOLD and M_TRIM_THRESHOLD. By default it takes pictures from the system and gives them back at once, and each
page is faulted in anew: a tenth of a photo's processor time, as measured. Twice as much free heap saves another
hundredth, and takes a fifth of a GiB more of two workers."""


class PhotoLoader:
    """Makes a :class:`PhotoContext` of a file, and gives many of them their embeddings at once.

    Parameters
    ----------
    encoder : callable
        Returns the catalog's encoder; called only when a photo must be encoded, so that a scan of known photos loads none.
    space : EmbeddingSpace
        Of that encoder.
    limits : ImageConfig
    cache : PhotoCache or None
    batch : int
        Photos per forward pass.
    timer : StageTimer
        Gets the time spent on ``decode`` and ``prepare``.

    Notes
    -----
    Thread-safe. A remembered photo gives the same findings as a fresh one: what it is prepared from is read the same way.
    """

    def __init__(
        self,
        encoder: Callable[[], Encoder],
        space: EmbeddingSpace,
        *,
        limits: ImageConfig,
        cache: PhotoCache | None,
        batch: int,
        timer: StageTimer,
    ) -> None:
        self._encoder = encoder
        self._space = space
        self._limits = limits
        self._cache = cache
        self._batch = batch
        self._timer = timer
        self._working_set = WorkingSet()
        _keep_freed()

    def load(self, photo_id: str, role: str, name: str, source: ImageSource) -> tuple[PhotoContext, tuple[int, int]]:
        """Read one photo; CPU work that many threads may do ahead of :meth:`embed`.

        Returns
        -------
        photo : PhotoContext
            Embedded already where the cache knows it.
        size : tuple of int
            Width and height of the original upright photo in pixels.

        Raises
        ------
        ImageError
            Where it cannot be read.
        """
        with self._timer("decode"):
            source, sha256 = self._identified(source, name)
            known = None if self._cache is None else self._cache.get(sha256, self._space.id)
            if known is None:
                encoder = self._encoder()
                image = self._pixels(source, name, sha256, 2 * encoder.input_size)
                phash, size = perceptual_hash(image), (image.width, image.height)
        prepared = None
        if known is None:
            with self._timer("prepare"):
                prepared = encoder.prepare(image)
        else:
            check_size(known.width, known.height, self._limits, name)  # what is remembered may be from before it was set
            phash, size = (known.phash, known.quality), (known.width, known.height)
        pixels = partial(self._pixels, source, name, sha256)
        photo = PhotoContext(
            photo_id,
            partial(pixels, PIXEL_SIDE),
            role,
            sha256=sha256,
            phash=phash,
            embedding=None if known is None else known.embedding,
            prepare=lambda encoder: encoder.prepare(pixels(2 * encoder.input_size)),
            prepared=prepared,
            working_set=self._working_set,
        )
        photo.parts = None if self._cache is None else self._cache.parts
        photo.cells_from = lambda encoder: self._cells(photo, encoder)
        return photo, size

    def embed(self, photos: Iterable[tuple[PhotoContext, tuple[int, int]]], *, dense: bool) -> None:
        """Give every photo its embedding, in batches; identical photos are encoded once.

        Parameters
        ----------
        photos : iterable of (PhotoContext, size)
            As :meth:`load` returned them.
        dense : bool
            Whether the same forward pass shall give their cells, which some signal will ask for.
        """
        waiting = [(photo, size) for photo, size in photos if not photo.embedded]
        if not waiting:
            return
        encoder = self._encoder()
        first = {photo.sha256: photo for photo, _ in waiting}
        vectors: dict[str, FloatArray] = {}
        cells: dict[str, Cells] = {}
        names = list(first)
        for start in range(0, len(names), self._batch):
            part = names[start : start + self._batch]
            prepared: list[Image | Prepared] = [first[sha].prepared(encoder) for sha in part]
            if dense:
                embedded, parts = encoder.encode_dense(prepared)
                cells.update(zip(part, parts.astype(np.float16), strict=True))
            else:
                embedded = encoder.encode(prepared)
            vectors.update(zip(part, embedded, strict=True))
        entries: dict[str, CachedPhoto] = {}
        for photo, size in waiting:
            photo.embedding = vectors[photo.sha256]
            if dense:
                photo.cells_from = partial(self._kept, photo.sha256, cells[photo.sha256])
            entries[photo.sha256] = CachedPhoto(photo.embedding, *photo.phash, *size)
        if self._cache is not None:
            self._cache.put(entries, self._space.id)

    def _identified(self, source: ImageSource, name: str) -> tuple[ImageSource, str]:
        """Return what the pixels are decoded from, at whatever size and time, and the hash that names it."""
        if isinstance(source, (np.ndarray, PIL.Image.Image, Image)):
            image = load_image(source, config=self._limits, name=name)
            return image.pixels, image.sha256
        data = source if isinstance(source, bytes) else read_file(source, config=self._limits, name=name)  # type: ignore[arg-type]
        return source if isinstance(source, Path) else data, hashlib.sha256(data).hexdigest()

    def _pixels(self, source: ImageSource, name: str, sha256: str, side: int) -> Image:
        image = load_image(source, config=self._limits, target_side=side, name=name)
        if isinstance(source, Path) and image.sha256 != sha256:
            raise ImageError("missing", Message("was changed while it was being examined"), source=name)
        return image

    def _cells(self, photo: PhotoContext, encoder: Callable[[], Encoder]) -> Cells:
        """Return the cells of a photo whose embedding is remembered."""
        known = {} if self._cache is None else self._cache.parts.get([photo.sha256], self._space.id)
        if photo.sha256 in known:
            return known[photo.sha256][0]
        model = encoder()
        _, [cells] = model.encode_dense([photo.prepared(model)])
        return self._kept(photo.sha256, cells.astype(np.float16), encoder)

    def _kept(self, sha256: str, cells: Cells, _: Callable[[], Encoder]) -> Cells:
        """Remember the cells of a photo that somebody asked for: of most photos nobody does."""
        if self._cache is not None:
            self._cache.parts.put({sha256: (cells,)}, self._space.id)
        return cells


def _keep_freed() -> None:
    """Let this process use memory again rather than give it back, where it has the GNU C library."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library
            libc = ctypes.CDLL(None)
            libc.mallopt(-3, _BLOCK)
            libc.mallopt(-1, _SPARE)
