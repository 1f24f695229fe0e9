"""Brute force with numpy: the oracle that every other index must agree with, up to ties."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imgmatch.indexes.base import BoolArray, check_search, check_vectors, padded
from imgmatch.types import FloatArray, Neighbors

__all__ = ["ExactIndex"]

_BLOCK = 256  # queries per product; bounds the score matrix to 256 x n floats


class ExactIndex:
    """Exhaustive cosine search.

    Parameters
    ----------
    dim : int
        Length of a vector.

    Notes
    -----
    O(n d) per query. Ties go to the lower row.
    """

    spec = "exact"

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._vectors: FloatArray = np.empty((0, dim), np.float32)

    def __len__(self) -> int:
        return len(self._vectors)

    def train(self, sample: FloatArray) -> None:
        """Do nothing: there is nothing to learn."""

    def add(self, vectors: FloatArray) -> None:
        vectors = check_vectors(vectors, self.dim, "vectors")
        self._vectors = np.concatenate([self._vectors, vectors]) if len(self) else vectors.copy()

    def search(self, queries: FloatArray, k: int, *, keep: BoolArray | None = None) -> Neighbors:
        queries = check_vectors(queries, self.dim, "queries")
        check_search(k, keep, len(self))
        rows = np.arange(len(self)) if keep is None else np.flatnonzero(keep)
        vectors = self._vectors if keep is None else self._vectors[rows]
        ids, similarities = [], []
        for start in range(0, len(queries), _BLOCK):
            for sims in queries[start : start + _BLOCK] @ vectors.T:
                best = np.argsort(-sims, kind="stable")[:k]
                ids.append(rows[best].astype(np.int64))
                similarities.append(sims[best])
        return padded(ids, similarities, k)

    def save(self, path: Path) -> None:
        with open(path, "wb") as f:
            np.save(f, self._vectors, allow_pickle=False)

    @classmethod
    def load(cls, path: Path) -> ExactIndex:
        vectors = np.load(path, allow_pickle=False)
        index = cls(vectors.shape[1])
        index.add(vectors)
        return index
