"""LanceDB behind the same protocol: vectors outside of the catalog's folder, on a disk or an object store."""

from __future__ import annotations

import json
import os
import threading
import uuid
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from imgmatch.errors import CatalogCorruptError, CatalogError, MissingExtraError
from imgmatch.indexes.base import BoolArray, check_search, check_vectors
from imgmatch.types import FloatArray, Neighbors

__all__ = ["LanceIndex"]

# Above this many rows the engine's own index replaces its exhaustive search, as in indexes/faiss.py.
_FLAT_ROWS = 100_000
_BLOCK = 256  # queries per call; bounds the answer that the engine holds
_FOREVER = timedelta(days=36_500)
# Partitions of that index that a search reads: docs/decisions/lancedb.md has the recall.
_PROBES = 16


class LanceIndex:
    """A table of a LanceDB database, searched by inner product of unit vectors.

    Parameters
    ----------
    dim : int
    uri : str, optional
        The database: a folder, or ``s3://``, ``gs://``, ``az://`` with the credentials that LanceDB takes from the
        environment. The variable ``IMGMATCH_LANCEDB`` where none is given: never a file of the catalog, which may come from
        somebody else.

    Raises
    ------
    MissingExtraError
        Without lancedb.
    CatalogError
        Where no database is named.

    Notes
    -----
    Tables are versioned: `save` writes one small file that names a table and its version, and tags that version so that the
    engine's clean-up keeps it. A catalog whose manifest names the file thus reads exactly the rows it was committed with,
    whatever a writer that was killed has added since. Up to 100,000 rows the engine compares all of them; above, `save`
    builds ``IVF_FLAT``. Rows that are left out are named in the query, so many of them make it slower.
    """

    spec = "lancedb"

    def __init__(self, dim: int, uri: str | None = None) -> None:
        import pyarrow as pa

        self.dim = dim
        self._schema = pa.schema([("row", pa.int64()), ("vector", pa.list_(pa.float32(), dim))])
        self._name = f"imgmatch-{uuid.uuid4().hex}"
        self._table: Any = _connect(uri).create_table(self._name, schema=self._schema)
        self._rows = 0
        self._frozen = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._rows

    def train(self, sample: FloatArray) -> None:
        """Do nothing: the engine trains its index itself."""

    def add(self, vectors: FloatArray) -> None:
        import pyarrow as pa

        vectors = check_vectors(vectors, self.dim, "vectors")
        if not len(vectors):
            return
        with self._lock:
            if self._frozen:
                self._table.restore()  # go on from the version that was loaded, not from what came after it
                self._frozen = False
            numbers = np.arange(self._rows, self._rows + len(vectors))
            columns = [pa.array(numbers), pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), self.dim)]
            self._table.add(pa.Table.from_arrays(columns, schema=self._schema))
            self._rows += len(vectors)
            if self._table.count_rows() != self._rows:
                raise CatalogError(f"another process is writing to table {self._name}; run the same command again")

    def search(self, queries: FloatArray, k: int, *, keep: BoolArray | None = None) -> Neighbors:
        queries = check_vectors(queries, self.dim, "queries")
        check_search(k, keep, len(self))
        ids = np.full((len(queries), k), -1, np.int64)
        similarities = np.full((len(queries), k), -np.inf, np.float32)
        if len(self) and (keep is None or keep.any()):
            where = None if keep is None or keep.all() else _where(keep)
            for start in range(0, len(queries), _BLOCK):
                self._fill(queries[start : start + _BLOCK], k, where, ids[start:], similarities[start:])
        return Neighbors(ids, similarities)

    def _fill(self, queries: FloatArray, k: int, where: str | None, ids: Any, similarities: FloatArray) -> None:
        asked = self._table.search(list(queries)).distance_type("dot").limit(k).select(["row", "_distance"])
        if where is not None:
            asked = asked.where(where, prefilter=True)
        if self._rows > _FLAT_ROWS:
            asked = asked.nprobes(_PROBES)
        found = asked.to_arrow()
        rows, near = found["row"].to_numpy(), (1 - found["_distance"].to_numpy()).astype(np.float32)
        query = found["query_index"].to_numpy() if len(queries) > 1 else np.zeros(len(rows), np.int64)
        order = np.lexsort((rows, -near, query))
        rows, near, query = rows[order], near[order], query[order]
        place = np.arange(len(query)) - np.searchsorted(query, query)
        ids[query, place], similarities[query, place] = rows, near

    def save(self, path: Path) -> None:
        """Write the file that names the table and its version; above 100,000 rows the engine's index is built first."""
        with self._lock:
            if self._rows > _FLAT_ROWS and not self._frozen:
                if self._table.list_indices():
                    self._table.optimize(cleanup_older_than=_FOREVER)
                else:
                    index = import_module("lancedb.index").IvfFlat(distance_type="dot")
                    self._table.create_index("vector", config=index)
            version = self._table.version
            if str(version) not in self._table.tags.list():
                self._table.tags.create(str(version), version)
        row = {"engine": "lancedb", "table": self._name, "version": version, "rows": self._rows, "dim": self.dim}
        path.write_text(json.dumps(row, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, path: Path, uri: str | None = None) -> LanceIndex:
        """Open the table and the version that a saved file names.

        Raises
        ------
        CatalogCorruptError
            Where the database does not have them.
        """
        import pyarrow as pa

        database = _connect(uri)
        index = cls.__new__(cls)
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            index.dim, index._name, index._rows = int(row["dim"]), str(row["table"]), int(row["rows"])
            index._table = database.open_table(index._name)
            index._table.checkout(int(row["version"]))
            rows = index._table.count_rows()
        except (ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
            raise CatalogCorruptError(
                f"{path}: LanceDB at {database.uri} cannot open what it names: {str(error).splitlines()[0]:.200}; check "
                "IMGMATCH_LANCEDB, or build the catalog again"
            ) from error
        if rows != index._rows:
            raise CatalogCorruptError(f"{path}: table {index._name} has {rows} rows, expected {index._rows}")
        index._schema = pa.schema([("row", pa.int64()), ("vector", pa.list_(pa.float32(), index.dim))])
        index._frozen, index._lock = True, threading.Lock()
        return index


def _connect(uri: str | None) -> Any:
    try:
        lancedb = import_module("lancedb")
    except ImportError as error:
        raise MissingExtraError("a catalog indexed by LanceDB", "lancedb") from error
    uri = uri or os.environ.get("IMGMATCH_LANCEDB")
    if not uri:
        raise CatalogError("no LanceDB is named: set IMGMATCH_LANCEDB to its folder or s3:// address")
    return lancedb.connect(uri)


def _where(keep: BoolArray) -> str:
    """Name the rows that may be answered in SQL: those, or the others, whichever are fewer."""
    kept = np.flatnonzero(keep)
    if 2 * len(kept) <= len(keep):
        return f"row IN ({','.join(map(str, kept))})"
    return f"row NOT IN ({','.join(map(str, np.flatnonzero(~keep)))})"
