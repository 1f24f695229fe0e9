"""FAISS behind the same protocol; the factory string is the whole specification."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from imgmatch.errors import CatalogCorruptError
from imgmatch.indexes.base import BoolArray, check_search, check_vectors
from imgmatch.types import FloatArray, Neighbors

__all__ = ["FaissIndex", "default_factory", "one_thread"]

# An index file may not ask for more than this when it is read: 64 GiB of vectors and 2^33 list entries are beyond any
# catalog that one machine serves, and far below what a forged header can claim.
_BYTE_LIMIT = 64 << 30
_LOOP_LIMIT = 1 << 33
# So many lists suit a billion rows (Guidelines-to-choose-an-index, below); no other number of a factory string is larger.
_MOST_LISTS, _MOST_OTHERS = 1 << 22, 4096

# Below this many rows a full scan answers in a few milliseconds and is exact: 100,000 x 512 floats are 200 MB, about
# 20 ms a query on one core (benchmarks/index_scale.py).
_FLAT_ROWS = 100_000

# How much of an approximate index a search looks at: recall@10 of at least 0.99 at 100,000 and 1,000,000 rows
# (benchmarks/index_scale.py, docs/decisions/million-vectors.md).
_PROBES = 24
_EF = 128

# Comparisons under which a search takes one thread: it is over in some 20 ms, and threads that are woken for less cost
# decoders and encoder more than they save (benchmarks/throughput.py). An approximate index compares with a few thousand.
_ALONE = 200_000
_LOOKED_AT = 5_000


def default_factory(rows: int) -> str:
    """Return the factory string used where the user names none.

    Parameters
    ----------
    rows : int
        Vectors in the catalog.

    Returns
    -------
    str
        ``Flat`` (exact) up to 100,000 rows; above, an inverted file (Sivic & Zisserman, ICCV 2003) of half-precision vectors
        with about ``4 sqrt(rows)`` lists, as FAISS advises (https://github.com/facebookresearch/faiss/wiki/
        Guidelines-to-choose-an-index). Builds in less than half of the time that HNSW takes, answers twice as fast at the
        same recall, and grows.
    """
    return "Flat" if rows <= _FLAT_ROWS else f"IVF{2 ** round(math.log2(4 * math.sqrt(rows)))},SQfp16"


class FaissIndex:
    """A FAISS index over inner products of unit vectors, so the score is the cosine similarity.

    Parameters
    ----------
    dim : int
    spec : str
        FAISS factory string, for example ``Flat``, ``HNSW32``, ``IVF1024,SQ8``.

    Raises
    ------
    ValueError
        Where FAISS does not understand the factory string.

    Notes
    -----
    An index that needs training is trained on its first `add`.
    """

    def __init__(self, dim: int, spec: str = "Flat") -> None:
        self.dim = dim
        self.spec = spec
        self._index = _made(dim, spec)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def train(self, sample: FloatArray) -> None:
        """Let an index that needs it learn from a sample of rows; does nothing for one that does not, or has."""
        sample = check_vectors(sample, self.dim, "sample")
        with self._lock:
            if not self._index.is_trained:
                try:
                    self._index.train(sample)
                except RuntimeError as error:
                    raise ValueError(f"{self.spec}: {len(sample)} rows are too few to train it on; use Flat") from error

    def add(self, vectors: FloatArray) -> None:
        vectors = check_vectors(vectors, self.dim, "vectors")
        self.train(vectors)
        with self._lock:
            try:
                self._index.add(vectors)
            except RuntimeError as error:
                raise ValueError(f"{self.spec}: FAISS cannot fill it with {len(vectors)} rows; use Flat") from error

    def search(self, queries: FloatArray, k: int, *, keep: BoolArray | None = None) -> Neighbors:
        queries = check_vectors(queries, self.dim, "queries")
        check_search(k, keep, len(self))
        if not len(queries) or not len(self):
            return Neighbors(np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32))
        parameters = None if keep is None or keep.all() else self._parameters(keep, k)
        small = len(queries) * (len(self) if self.spec == "Flat" else _LOOKED_AT) < _ALONE
        with one_thread() if small else nullcontext():
            similarities, ids = self._index.search(queries, k, params=parameters)
        if len(ids) and ids.max() >= len(self):
            raise CatalogCorruptError(
                f"the {self.spec} index answers with a row that it does not have; build the catalog again"
            )
        # FAISS pads with -1 and the lowest float.
        similarities = np.where(ids < 0, np.float32(-np.inf), similarities).astype(np.float32)
        return Neighbors(ids.astype(np.int64), similarities)

    def _parameters(self, keep: BoolArray, k: int) -> Any:
        faiss = _faiss()
        bits = np.packbits(keep, bitorder="little")
        selector = faiss.IDSelectorBitmap(bits)  # keeps a reference to the array it points into
        if isinstance(self._index, faiss.IndexHNSW):
            return faiss.SearchParametersHNSW(sel=selector, efSearch=max(self._index.hnsw.efSearch, 2 * k))
        if isinstance(self._index, faiss.IndexIVF):
            return faiss.SearchParametersIVF(sel=selector, nprobe=self._index.nprobe)
        return faiss.SearchParameters(sel=selector)

    def save(self, path: Path) -> None:
        faiss = _faiss()
        faiss.write_index(self._index, str(path))

    @classmethod
    def load(cls, path: Path, spec: str) -> FaissIndex:
        """Read an index file whose checksum the caller has verified: FAISS parses it in native code.

        Raises
        ------
        CatalogCorruptError
            Where FAISS does not accept the file all the same.
        """
        faiss = _faiss()
        faiss.set_deserialization_vector_byte_limit(_BYTE_LIMIT)
        faiss.set_deserialization_loop_limit(_LOOP_LIMIT)
        try:
            # Lists that lie in a file of their own would be looked for wherever the index says.
            native = faiss.read_index(str(path), faiss.IO_FLAG_ONDISK_SAME_DIR)
            expected = _made(int(native.d), spec)
        except (RuntimeError, MemoryError, ValueError) as error:
            raise CatalogCorruptError(f"{path}: not a FAISS index: {str(error)[-200:]}") from error
        kind = (type(native), native.metric_type, True)
        if kind != (type(expected), expected.metric_type, native.is_trained):
            raise CatalogCorruptError(f"{path}: is not the {spec} that the catalog names; build it again")
        if isinstance(native, faiss.IndexIVF):
            lists = faiss.downcast_InvertedLists(native.invlists)
            if native.nlist != expected.nlist or type(lists) is not faiss.ArrayInvertedLists:
                raise CatalogCorruptError(f"{path}: is not the {spec} that the catalog names; build it again")
            native.nprobe = expected.nprobe
        if isinstance(native, faiss.IndexHNSW):
            native.hnsw.efSearch = expected.hnsw.efSearch
        index = cls.__new__(cls)
        index.dim, index.spec, index._index, index._lock = int(native.d), spec, native, threading.Lock()
        return index


def _made(dim: int, spec: str) -> Any:
    """Return a new FAISS index with what we set on every one."""
    faiss = _faiss()
    problem = f"{spec!r:.200} is not a FAISS factory string for {dim}-d vectors"
    # A catalog's manifest may come from somebody else: no string may ask for more memory than there is.
    numbers = [(name, int(digits)) for name, digits in re.findall(r"(IVF|)(\d{1,18})", spec)]
    if len(spec) > 100 or any(n > (_MOST_LISTS if name else _MOST_OTHERS) for name, n in numbers):
        raise ValueError(problem)
    try:
        index: Any = faiss.index_factory(dim, spec, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise ValueError(problem) from error
    if isinstance(index, faiss.IndexIVF):
        index.nprobe = min(_PROBES, index.nlist)
    if isinstance(index, faiss.IndexHNSW):
        index.hnsw.efSearch = _EF
    return index


@contextmanager
def one_thread() -> Iterator[None]:
    """Let OpenMP take one thread; PyTorch on the calling thread asks the same setting, so it is put back."""
    faiss = _faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _faiss() -> Any:
    # Its stubs do not know the keyword arguments its Python layer adds.
    return import_module("faiss")
