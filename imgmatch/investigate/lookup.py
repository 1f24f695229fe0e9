"""Look further: where else a photo, or a part of it, was seen; two photos side by side through every signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgmatch.errors import ImgmatchError
from imgmatch.images import ImageSource, load_image, pdq_dihedral
from imgmatch.investigate.rings.pairs import compare as look
from imgmatch.loading.photo import PhotoContext
from imgmatch.matcher import Matcher
from imgmatch.messages import Message
from imgmatch.records import Listing, ScanRecord
from imgmatch.signals.copy.signal import describe
from imgmatch.signals.copy.verify import Copy, verified
from imgmatch.types import Finding, FloatArray

__all__ = ["Compared", "PhotoLookup", "Seen", "compare_photos", "context_of", "copy_evidence"]

_NEAR = 31
"""Bits within which PDQ hashes propose a copy. Meta, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing
Algorithm", 2019."""
_LOOKED_AT = 32
"""Photos that are laid on the one looked for, 0.1 s each: those of near hashes, then the nearest by embedding. A guess."""
_COPY = 0.5  # least value of a copy that counts, as for the copy signal
_QUALITY = 50  # below it a hash says nothing (ibid.)

OpenPhoto = Callable[[str], "PhotoContext | None"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A photo that was found.

    Parameters
    ----------
    sha256 : str
    kind : str
        ``same`` (the same file), ``copy`` (of it, or of a part of it) or ``similar``.
    value : float
        1 for the same file; of a copy as :func:`imgmatch.signals.copy.verify.verified` gives it; else the cosine of the
        embeddings, which is no percentage chance.
    words : str
        What was done to it, in plain words.
    """

    sha256: str
    kind: str
    value: float
    words: str


class PhotoLookup:
    """Photos of scans, to be searched by a photo.

    Parameters
    ----------
    phashes : mapping of str to str
        PDQ hashes in hex by sha256; empty where a photo has none.
    open_photo : callable
        Opens a photo by sha256; None where it is not there any more.
    embeddings : callable or None
        Returns the embeddings of photos by sha256, None for each that is not known: what scans left in the cache. Without
        them, hashes alone propose.

    Attributes
    ----------
    embedded : int
        Photos whose embeddings are known.

    Notes
    -----
    Hashes of the photo in its eight orientations, and embeddings, propose; keypoints and pixels dispose. A small part of a
    photo in a picture of something else is found only where one of the two proposes it. Both tables are searched whole:
    linear in the photos, a few milliseconds for 100,000.
    """

    def __init__(
        self,
        phashes: Mapping[str, str],
        open_photo: OpenPhoto,
        embeddings: Callable[[Sequence[str]], Sequence[FloatArray | None]] | None = None,
    ) -> None:
        self._shas = list(phashes)
        self._hashes = np.array([_bits(h) for h in phashes.values()], np.uint64).reshape(-1, 4)
        self._hashed = np.array([bool(h) for h in phashes.values()], np.bool_)
        self._open = open_photo
        known = [] if embeddings is None else list(embeddings(self._shas))
        rows = [(i, v) for i, v in enumerate(known) if v is not None]
        self._rows = np.array([i for i, _ in rows], np.int64)
        # Half precision costs a cosine some 1e-4 and half the memory.
        self._vectors = np.array([v for _, v in rows], np.float16) if rows else np.zeros((0, 0), np.float16)
        self.embedded = len(rows)

    def __len__(self) -> int:
        return len(self._shas)

    def find(self, photo: PhotoContext, k: int = 24) -> list[Seen]:
        """Find a photo, copies first, then what is similar.

        Parameters
        ----------
        photo : PhotoContext
            With its embedding, where embeddings are known.
        k : int
            Most similar ones that are no copies.
        """
        near = self._near_hashes(photo)
        similar = self._near_vectors(photo)
        same = [sha for sha in self._shas if sha == photo.sha256]
        proposed = [s for s in dict.fromkeys([*near, *(s for s, _ in similar)]) if s != photo.sha256]
        copies: list[Seen] = []
        for sha in proposed[:_LOOKED_AT]:
            other = self._open(sha)
            found = None if other is None else _laid(photo, other)
            if found is not None and other is not None:
                words = ", ".join(describe(found, photo.image, other.image)[0])
                copies.append(Seen(sha, "copy", found.value, words))
            elif sha in near:
                words = f"nearly the same picture: {near[sha]} of 256 bits of its hash differ"
                copies.append(Seen(sha, "copy", _COPY, words))
        copies.sort(key=lambda seen: -seen.value)
        taken = {seen.sha256 for seen in copies} | set(same)
        rest = [Seen(sha, "similar", cosine, "looks alike") for sha, cosine in similar if sha not in taken]
        return [*(Seen(sha, "same", 1.0, "the same file") for sha in same), *copies, *rest[:k]]

    def _near_hashes(self, photo: PhotoContext) -> dict[str, int]:
        if not len(self._hashes) or photo.phash[1] < _QUALITY:
            return {}
        distance = np.full(len(self._hashes), 256)
        for phash in pdq_dihedral(photo.image):
            differ = np.bitwise_count(self._hashes ^ np.array(_bits(phash), np.uint64)).sum(axis=1, dtype=np.int64)
            distance = np.minimum(distance, differ)
        rows = np.flatnonzero((distance <= _NEAR) & self._hashed)
        return {self._shas[i]: int(distance[i]) for i in rows[np.argsort(distance[rows], kind="stable")]}

    def _near_vectors(self, photo: PhotoContext) -> list[tuple[str, float]]:
        if not self.embedded or not photo.embedded:
            return []
        cosine = np.concatenate(
            [part.astype(np.float32) @ photo.embedding for part in np.array_split(self._vectors, -(-self.embedded // 8192))]
        )
        best = np.argsort(-cosine, kind="stable")[: 2 * _LOOKED_AT]
        return [(self._shas[self._rows[i]], float(cosine[i])) for i in best]


@dataclass(frozen=True, slots=True)
class Compared:
    """Two photos side by side.

    Parameters
    ----------
    cosine : float
        Of their embeddings; a similarity, not a percentage chance.
    bits : int or None
        In which their 256-bit PDQ hashes differ; None where one has too little structure.
    copy : Copy or None
        Where one, or a part of it, lies on the other: the second is the reference.
    words : str
        What they share, in plain words.
    alone : tuple of ScanRecord
        Each through every signal against the catalog, as the only photo of a listing.
    leads : Finding or None
        The first as the photo of a post, the second as that of the listing it leads to; None where that is not asked.
    """

    cosine: float
    bits: int | None
    copy: Copy | None
    words: str
    alone: tuple[ScanRecord, ScanRecord]
    leads: Finding | None


def context_of(matcher: Matcher, photo: ImageSource, name: str = "photo-1", *, called: str = "") -> PhotoContext:
    """Read a photo and embed it with the catalog's encoder; messages name it as `called`, or else by its path.

    Raises
    ------
    ImageError
        Where it cannot be read.
    """
    image = load_image(photo, config=matcher.config.images, name=called)
    return PhotoContext(name, image, embedding=matcher.catalog.encoder.encode([image])[0])


def compare_photos(matcher: Matcher, first: bytes, second: bytes) -> Compared:
    """Compare two photos with each other, and each with the catalog.

    Raises
    ------
    ImageError
        Where one cannot be read.
    """
    a, b = context_of(matcher, first, called="the first photo"), context_of(matcher, second, called="the second photo")
    # A signal states what it sees best in a listing: two photos in one would hide what the weaker one shows.
    alone = tuple(matcher.examine(Listing("compared", photos=("it",)), photos={"it": data}) for data in (first, second))
    led = Listing("compared", photos=("second",), promo_photos=("first",))
    verdict = matcher.examine(led, photos={"first": first, "second": second}).verdict
    leads = next((f for f in verdict.findings if f.signal == "listing_mismatch"), None) if verdict else None
    found = _laid(a, b)
    hashed = a.phash[1] >= _QUALITY and b.phash[1] >= _QUALITY
    bits = (int(a.phash[0], 16) ^ int(b.phash[0], 16)).bit_count() if hashed else None
    if a.sha256 == b.sha256:
        words = "They are the same file."
    elif found is not None:
        words = f"The second, or a part of it, is in the first: {', '.join(describe(found, a.image, b.image)[0])}."
    else:
        kind = look(a, b).kind
        shared = {"background": "the same place behind different things", "watermark": "the same watermark"}.get(kind)
        words = f"They share {shared}." if shared else "Neither is a copy of the other, or of a part of it."
    return Compared(float(a.embedding @ b.embedding), bits, found, words, (alone[0], alone[1]), leads)


def copy_evidence(copy: Copy) -> dict[str, Any]:
    """Return where a copy lies, as evidence that reports draw (`imgmatch.types.EVIDENCE_KEYS`)."""
    polygons = {"query": copy.query_polygon, "reference": copy.reference_polygon}
    evidence: dict[str, Any] = {
        "regions": [
            {"on": on, "polygon": polygon.tolist(), "label": Message("shared part")} for on, polygon in polygons.items()
        ],
        "transform": copy.transform.tolist(),
    }
    if copy.match is not None:
        evidence["matches"] = np.c_[copy.match.query_xy, copy.match.reference_xy].tolist()
    return evidence


def _laid(photo: PhotoContext, other: PhotoContext) -> Copy | None:
    try:
        found = verified(photo, other)
    except ImgmatchError:  # a photo that cannot be decoded any more
        return None
    return found if found is not None and found.value >= _COPY else None


def _bits(phash: str) -> list[int]:
    """Return a hash as four 64-bit words."""
    text = phash or "0" * 64
    return [int(text[i : i + 16], 16) for i in range(0, 64, 16)]
