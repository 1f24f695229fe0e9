"""What a vector index is, and how one is made by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from imgmatch.types import FloatArray, Neighbors

__all__ = ["VectorIndex", "check_vectors"]

BoolArray = npt.NDArray[np.bool_]


@runtime_checkable
class VectorIndex(Protocol):
    """Rows of unit vectors that can be searched by cosine similarity. Searching is thread-safe, adding is not.

    Attributes
    ----------
    dim : int
    spec : str
        What it is, printable: ``exact``, a FAISS factory string, ``lancedb``.
    """

    dim: int
    spec: str

    def __len__(self) -> int: ...

    def train(self, sample: FloatArray) -> None:
        """Let an index that must learn from a sample of rows before the first `add` do so; others do nothing."""
        ...

    def add(self, vectors: FloatArray) -> None:
        """Append rows (n, dim) float32 of unit norm; they are numbered on from ``len(self)``."""
        ...

    def search(self, queries: FloatArray, k: int, *, keep: BoolArray | None = None) -> Neighbors:
        """Find the `k` most similar rows of each query.

        Parameters
        ----------
        queries : ndarray, shape (n, dim), float32
        k : int
            At least 1.
        keep : ndarray, shape (len(self),), bool, optional
            Rows that may be answered: the others do not exist for this search. This is how removed rows and other
            roles are left out without a rebuild.

        Returns
        -------
        Neighbors
            Shape (n, k), padded with -1 / -inf where fewer rows exist.
        """
        ...

    def save(self, path: Path) -> None:
        """Write one file that the index can be opened from again, by a class method ``load(path)``."""
        ...


def check_vectors(vectors: FloatArray, dim: int, what: str) -> FloatArray:
    """Return C-contiguous float32 (n, dim), or raise ValueError that says expected and got."""
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise ValueError(f"{what}: expected shape (n, {dim}), got {vectors.shape}")
    if vectors.dtype != np.float32:
        raise ValueError(f"{what}: expected float32, got {vectors.dtype}")
    if not np.isfinite(vectors).all():
        raise ValueError(f"{what}: expected finite numbers")
    return np.ascontiguousarray(vectors)


def check_search(k: int, keep: BoolArray | None, rows: int) -> None:
    if k < 1:
        raise ValueError(f"k: expected at least 1, got {k}")
    if keep is not None and (keep.shape != (rows,) or keep.dtype != np.bool_):
        raise ValueError(f"keep: expected shape ({rows},) bool, got {keep.shape} {keep.dtype}")


def padded(ids: Sequence[npt.NDArray[np.int64]], similarities: Sequence[FloatArray], k: int) -> Neighbors:
    """Stack ragged answers to one :class:`Neighbors` of width `k`."""
    out_ids = np.full((len(ids), k), -1, np.int64)
    out_sims = np.full((len(ids), k), -np.inf, np.float32)
    for row, (i, s) in enumerate(zip(ids, similarities, strict=True)):
        out_ids[row, : len(i)] = i
        out_sims[row, : len(s)] = s
    return Neighbors(out_ids, out_sims)
