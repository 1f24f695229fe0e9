"""The small details of a catalog's photos: described once, kept in the catalog's folder, searched and laid on a query."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgmatch.errors import ImageError
from imgmatch.indexes.patches import PatchIndex, mutual
from imgmatch.io.files import DAMAGED, atomic_write
from imgmatch.types import PhotoRole, UInt8Array
from imgmatch.vision import geometry
from imgmatch.vision.geometry import Keypoints

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["ROLES", "Details", "agree", "describe", "searched", "stored_details"]

ROLES = (PhotoRole.REFERENCE, PhotoRole.KNOWN_OFFENDER, PhotoRole.NEGATIVE)
"""Of the catalog photos that are looked for."""

DESCRIBED = 2000
"""Photos of a catalog that are described in full beforehand, 130 kB and some 50 ms each: of a large catalog most are never
proposed (a guess)."""

_RECIPE = "orb-512-300-lists-1024"  # names the stored file: raise it with anything that changes what is in it
_SIDE, _COUNT = 512, 300

RADIUS = 64
"""Largest Hamming distance of two details that are alike: Rublee et al., ICCV 2011, figure 6 has inliers mostly below."""

AGREEING, SCORE, RIVAL = 8, 0.18, 1.5
"""Least number of details that must agree on one similarity, least score of that match, and how many times more they must
be than what agrees on the next best one, before SIFT is asked (``benchmarks/copies.py``, dev, sellers' photos and shoes). Of
642 edited copies of value 0.5 the least have 10, 0.23 and 2.6; of 420 proposed pairs of value 0, which all have the first,
146 have all three."""


@dataclass(frozen=True, slots=True, eq=False)
class Details:
    """The details of one catalog photo.

    Parameters
    ----------
    descriptors : ndarray, shape (n, 32), uint8
    places : ndarray, shape (n, 4), float16
        x, y and size in pixels of the reduced photo, and direction in degrees.
    """

    descriptors: UInt8Array
    places: npt.NDArray[np.float16]

    def keypoints(self, width: int, height: int) -> Keypoints:
        """Return them as features of a photo of that size in original pixels."""
        scale = max(width, height) / min(_SIDE, max(width, height))
        rows = self.places.astype(np.float32)
        return Keypoints(
            rows[:, :2] * scale,
            rows[:, 2] * scale,
            angle=rows[:, 3],
            descriptors=self.descriptors,
            width=width,
            height=height,
            scale=scale,
        )


def agree(query: Keypoints, reference: Keypoints) -> bool:
    """Tell whether enough details of a photo lie as those of another do: a millisecond, where SIFT takes fifty."""
    if not len(query) or not len(reference):
        return False
    pairs = mutual(query.descriptors, reference.descriptors, RADIUS)
    # Details lie on the pixels of their level, which may be six to one of the photo: hence the wider tolerance.
    match = geometry.verify(query, reference, pairs, tolerance=6.0, min_inliers=AGREEING)
    return match is not None and match.score >= SCORE and len(match) >= RIVAL * match.rival


def searched(catalog: Catalog) -> list[str]:
    """Return the photos looked for, in a fixed order."""
    return sorted(p.sha256 for role in ROLES for p in catalog.of_role(role))


def describe(catalog: Catalog, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Describe a catalog's photos now, so that the first scan need not: the small details of all, and the keypoints of some.

    Parameters
    ----------
    catalog : Catalog
    progress : callable, optional
        Called with (photos done, photos in all).
    """
    shas = searched(catalog)
    full = shas[:DESCRIBED]
    for done, sha in enumerate(full, 1):
        photo = catalog.photo(sha)
        with contextlib.suppress(ImageError):
            geometry.keypoints(photo)
            geometry.patches(photo, max_side=_SIDE, count=_COUNT)
        photo.forget()
        progress(done, len(full))
    stored_details(catalog, shas)


def stored_details(catalog: Catalog, shas: Sequence[str]) -> tuple[list[Details], PatchIndex]:
    """Return the details of catalog photos and their index, computed where the catalog's folder does not have them yet.

    Parameters
    ----------
    catalog : Catalog
    shas : sequence of str

    Returns
    -------
    details : list of Details
        In the order of `shas`.
    index : PatchIndex
        Over their descriptors.
    """
    path = catalog.path / "derived" / f"patches-{_RECIPE}.npz"
    stored = _read(path)
    if stored is None or stored.photos != list(shas):
        stored = _described(catalog, shas, stored)
    index = None
    if stored.lists is not None:
        with contextlib.suppress(ValueError):  # lists of something else: computed again
            index = PatchIndex(stored.descriptors, stored.counts, lists=stored.lists)
    if index is None:
        index = PatchIndex(stored.descriptors, stored.counts)
        _write(path, replace(stored, lists=index.lists))
    return stored.details(), index


@dataclass(frozen=True, slots=True, eq=False)
class _Stored:
    """The details of many photos, one after the other, as the file has them; `lists` is None where they are not known."""

    photos: list[str]
    counts: npt.NDArray[np.int64]
    descriptors: UInt8Array
    places: npt.NDArray[np.float16]
    lists: npt.NDArray[np.integer[Any]] | None = None

    def details(self) -> list[Details]:
        ends = np.cumsum(self.counts)  # nothing is behind the last
        return list(map(Details, np.split(self.descriptors, ends)[:-1], np.split(self.places, ends)[:-1]))


def _described(catalog: Catalog, shas: Sequence[str], stored: _Stored | None) -> _Stored:
    """Return the details of these photos: those that are stored, and others described now."""
    known = {} if stored is None else dict(zip(stored.photos, stored.details(), strict=True))
    for sha in shas:
        if sha not in known:
            points = geometry.patches(catalog.photo(sha), max_side=_SIDE, count=_COUNT)[0]
            places = np.c_[points.xy / points.scale, points.size / points.scale, points.angle]
            known[sha] = Details(points.descriptors, places.astype(np.float16))
    kept = [known[sha] for sha in shas]
    return _Stored(
        list(shas),
        np.array([len(k.descriptors) for k in kept], np.int64),
        np.concatenate([np.zeros((0, 32), np.uint8), *(k.descriptors for k in kept)]),
        np.concatenate([np.zeros((0, 4), np.float16), *(k.places for k in kept)]),
    )


def _write(path: Path, stored: _Stored) -> None:
    if not stored.photos:
        return
    names = np.array([list(bytes.fromhex(sha)) for sha in stored.photos], np.uint8)
    arrays = {name: getattr(stored, name) for name in ("counts", "descriptors", "places", "lists")}
    try:
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path, "wb") as f:
            np.savez(f, photos=names, **arrays)
    except OSError:
        pass  # a read-only catalog works, it only computes this again in every process


def _read(path: Path) -> _Stored | None:
    try:
        if not path.is_file():  # a pipe in somebody else's catalog would be waited for
            return None
        with np.load(path, allow_pickle=False) as file:
            photos = [row.tobytes().hex() for row in file["photos"]]
            counts = file["counts"].astype(np.int64, casting="safe")
            descriptors = file["descriptors"].astype(np.uint8, copy=False).reshape(-1, 32)
            places = file["places"].astype(np.float16, copy=False).reshape(-1, 4)
            lists = file["lists"].astype(np.int32, copy=False)
        # Each is looked at alone: a sum may overflow.
        fits = len(photos) == len(counts) and counts.min(initial=0) >= 0 and counts.max(initial=0) <= len(descriptors)
        if fits and counts.sum() == len(descriptors) == len(places) and np.isfinite(places).all():
            return _Stored(photos, counts, descriptors, places, lists)
    except DAMAGED:
        pass  # cut short: it holds nothing that cannot be computed again
    return None
