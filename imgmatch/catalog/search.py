"""Searching a catalog: the nearest photos of some roles, the nearest items."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from imgmatch.catalog.items import CatalogPhoto
from imgmatch.catalog.manifest import SpaceParts
from imgmatch.indexes import load_index, new_index
from imgmatch.indexes.base import BoolArray, VectorIndex
from imgmatch.types import Candidate, FloatArray, Neighbors, PhotoRole

__all__ = ["Search"]


class Search:
    """The vector index of a catalog with what each of its rows shows.

    Parameters
    ----------
    path : Path
        Of the catalog.
    parts : SpaceParts
        Of the active space.
    vectors : ndarray, shape (n, d), float32
    rows : sequence of CatalogPhoto or None
        What each vector is of; None where the photo was removed.

    Notes
    -----
    Thread-safe. The index is opened, or built where it is a flat one, at the first search.
    """

    def __init__(self, path: Path, parts: SpaceParts, vectors: FloatArray, rows: Sequence[CatalogPhoto | None]) -> None:
        self._path = path
        self._parts = parts
        self._vectors = vectors
        self._rows = rows
        self._lock = threading.Lock()

    def photos(self, queries: FloatArray, k: int, roles: frozenset[PhotoRole]) -> Neighbors:
        """Return the `k` nearest photos of some roles; ids are row numbers."""
        keep = np.zeros(len(self._rows), np.bool_)
        for role in roles:
            keep |= self._with_role[role]
        with self._lock:
            index = self._index
        return index.search(queries, k, keep=keep)

    def items(self, vector: FloatArray, k: int, brand: str | None) -> list[Candidate]:
        """Return the `k` items nearest to one vector (1, d), best first, each with its nearest photo."""
        best: dict[str, Candidate] = {}
        # An item may own the first many photos: look further until k items are found or there is nothing left.
        width = 4 * k
        while True:
            for row, similarity in next(self.photos(vector, width, frozenset({PhotoRole.REFERENCE})).rows()):
                photo = self._rows[row]
                if photo is None or photo.item_id is None or photo.brand is None or photo.item_id in best:
                    continue
                if brand in (None, photo.brand):
                    found = Candidate(photo.item_id, photo.brand, similarity, photo.sha256, "photo-1", similarity)
                    best[photo.item_id] = found
            if len(best) >= k or width >= len(self._rows):
                return list(best.values())[:k]
            width *= 4

    @cached_property
    def _with_role(self) -> dict[PhotoRole, BoolArray]:
        return {r: np.array([p is not None and p.role is r for p in self._rows], np.bool_) for r in PhotoRole}

    @cached_property
    def _index(self) -> VectorIndex:
        if self._parts.index is not None:
            path = self._parts.index.check(self._path)
            return load_index(path, self._parts.factory, dim=self._parts.space.dim, rows=len(self._vectors))
        index = new_index(self._parts.space.dim, "Flat")
        if len(self._vectors):
            index.add(np.ascontiguousarray(self._vectors))
        return index
