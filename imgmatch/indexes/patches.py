"""An inverted file over binary patch descriptors: which reference pictures share small details with a query."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.indexes.faiss import one_thread
from imgmatch.types import UInt8Array

__all__ = ["PatchIndex", "mutual"]

_BITS = 256


class PatchIndex:
    """Descriptors of many pictures; a query's descriptors vote for the pictures that have near ones.

    Parameters
    ----------
    descriptors : ndarray, shape (N, 32), uint8
        256-bit descriptors, of the first picture first. They are copied.
    counts : ndarray, shape (pictures,), int
        How many of them are of each picture; their sum is N.
    probes : int
        Cells of the inverted file that are looked into per descriptor. 16 take nearly twice as long and propose the same
        copies (``benchmarks/copies.py``, dev, and 78 edited copies among 3,258 photos).
    lists : ndarray, shape (N,), int, optional
        What `lists` of an index of the same descriptors was. Finding them is nearly all that building an index takes: 46 s
        of 48 for six million descriptors.

    Attributes
    ----------
    lists : ndarray, shape (N,), int
        The inverted list that each descriptor is in.

    Raises
    ------
    ValueError
        For descriptors of another shape, and for counts or lists that no index of these descriptors can have.

    Notes
    -----
    Built on ``faiss.IndexBinaryIVF`` with about ``4 sqrt(N)`` cells for N descriptors in all, whose centres are descriptors
    drawn at random (seeded): k-means takes fifteen times as long to build and finds no more
    (``benchmarks/copies.py``). Below 2000 descriptors every one is compared. A search costs O(sqrt(N)) per
    descriptor; memory is 40 bytes per descriptor beside what is given. Thread-safe.
    """

    def __init__(
        self,
        descriptors: UInt8Array,
        counts: npt.NDArray[np.integer[Any]],
        *,
        probes: int = 8,
        lists: npt.NDArray[np.integer[Any]] | None = None,
    ) -> None:
        import faiss

        rows = np.ascontiguousarray(descriptors)
        if rows.shape != (counts.sum(), _BITS // 8) or rows.dtype != np.uint8:
            wanted = f"({counts.sum()}, {_BITS // 8}) uint8, as many as counted"
            raise ValueError(f"expected descriptors {wanted}, got {rows.shape} {rows.dtype}")
        cells = int(4 * np.sqrt(len(rows))) if len(rows) >= 2000 else 1
        if lists is not None and (lists.shape != rows.shape[:1] or not ((lists >= 0) & (lists < cells)).all()):
            raise ValueError(f"expected the lists, 0 to {cells - 1}, of {len(rows)} descriptors, got {lists.shape}")
        self._ends = np.cumsum(counts)  # of the rows of each picture
        self._index: Any = faiss.IndexBinaryFlat(_BITS)
        if cells == 1:
            self.lists: npt.NDArray[np.integer[Any]] = np.zeros(len(rows), np.int32)
            self._index.add(rows)
            return
        self._coarse = faiss.IndexBinaryFlat(_BITS)  # FAISS does not own it: it must live as long as the index
        self._coarse.add(rows[np.random.default_rng(0).permutation(len(rows))[:cells]])
        self._index = faiss.IndexBinaryIVF(self._coarse, _BITS, cells)
        self._index.is_trained = True
        self._index.nprobe = min(probes, cells)
        self.lists = self._coarse.search(rows, 1)[1][:, 0].astype(np.int32) if lists is None else lists
        # List by list, so that each takes the room it needs: one that grows row by row has up to twice that.
        order = np.argsort(self.lists, kind="stable")
        for number, ids in enumerate(np.split(order, np.cumsum(np.bincount(self.lists, minlength=cells))[:-1])):
            codes = rows[ids]
            self._index.invlists.add_entries(number, len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(codes))
        self._index.ntotal = len(rows)

    def __len__(self) -> int:
        return len(self._ends)

    def vote(self, descriptors: UInt8Array, *, neighbors: int = 5, radius: int = 64) -> npt.NDArray[np.float32]:
        """Count, per reference picture, the query's descriptors that have a near one there.

        Parameters
        ----------
        descriptors : ndarray, shape (n, 32), uint8
        neighbors : int
            Nearest references each descriptor may vote for. It has one vote, shared by their pictures: a detail that
            many pictures have says little.
        radius : int
            Largest Hamming distance of a vote. Rublee et al., ICCV 2011, figure 6 has inliers mostly below 64.

        Returns
        -------
        ndarray, shape (pictures,), float32
            Sums to at most n.
        """
        pictures = len(self)
        votes = np.zeros(pictures, np.float32)
        if not len(descriptors) or not self._index.ntotal:
            return votes
        k = min(neighbors, self._index.ntotal)
        with one_thread():  # more of them wait in a loop for so little work, 0.03 to 0.9 s of CPU instead of 0.01
            distances, rows = self._index.search(np.ascontiguousarray(descriptors), k)
        near = (rows >= 0) & (distances <= radius)
        voter = np.repeat(np.arange(len(descriptors)), k).reshape(-1, k)[near]
        owner = np.searchsorted(self._ends, rows[near], side="right")
        # Two near details of one picture are one vote of this descriptor for it.
        voter, picture = np.divmod(np.unique(voter * pictures + owner), pictures)
        shared = np.bincount(voter, minlength=len(descriptors))
        np.add.at(votes, picture, (1.0 / shared[voter]).astype(np.float32))
        return votes


def mutual(query: UInt8Array, reference: UInt8Array, radius: int) -> npt.NDArray[np.int64]:
    """Pair the descriptors of two pictures that are each other's nearest.

    Parameters
    ----------
    query, reference : ndarray, shape (n, 32) and (m, 32), uint8
        Neither empty.
    radius : int
        Largest Hamming distance of a pair.

    Returns
    -------
    ndarray, shape (k, 2), int64
        Rows (index in query, index in reference), nearest first.
    """
    import faiss

    query, reference = np.ascontiguousarray(query), np.ascontiguousarray(reference)
    with one_thread():
        distance, there = faiss.knn_hamming(query, reference, 1)
        _, back = faiss.knn_hamming(reference, query, 1)
    rows = np.flatnonzero((back[there[:, 0], 0] == np.arange(len(query))) & (distance[:, 0] <= radius))
    rows = rows[np.argsort(distance[rows, 0], kind="stable")]
    return np.stack([rows, there[rows, 0]], axis=1).astype(np.int64)
