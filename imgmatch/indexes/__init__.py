"""Vector indexes: exact search as the oracle, FAISS for work, LanceDB for what outgrows a machine."""

from __future__ import annotations

from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from imgmatch.errors import CatalogCorruptError
from imgmatch.indexes.base import VectorIndex

__all__ = ["INDEXES", "load_index", "new_index"]

INDEXES: dict[str, Any] = {
    "exact": "imgmatch.indexes.exact:ExactIndex",
    "lancedb": "imgmatch.indexes.lance:LanceIndex",
}
"""Spec -> class, or where it lives; every other spec is a FAISS factory string. An index of your own is a line here
(``INDEXES["mine"] = MyIndex``) or an entry point of the group ``imgmatch.indexes``; see
:func:`imgmatch.testing.check_index`."""


def new_index(dim: int, spec: str) -> VectorIndex:
    """Return an empty index.

    Parameters
    ----------
    dim : int
    spec : str
        A FAISS factory string, or a name of :data:`INDEXES`; ``lancedb`` uses the database that ``IMGMATCH_LANCEDB`` names.

    Raises
    ------
    ValueError
        Where FAISS does not understand the factory string.
    """
    cls = _class(spec)
    if cls is not None:
        index: VectorIndex = cls(dim)
        return index
    from imgmatch.indexes.faiss import FaissIndex

    return FaissIndex(dim, spec)


def load_index(path: Path, spec: str, *, dim: int, rows: int) -> VectorIndex:
    """Read what :meth:`VectorIndex.save` wrote, from a file whose checksum the caller has verified.

    Parameters
    ----------
    path : Path
    spec : str
    dim, rows : int
        What the index must hold.

    Raises
    ------
    CatalogCorruptError
        Where the engine does not accept it all the same, or it holds something else.
    """
    cls = _class(spec)
    index: VectorIndex
    if cls is not None:
        index = cls.load(path)
    else:
        from imgmatch.indexes.faiss import FaissIndex

        index = FaissIndex.load(path, spec)
    if (index.dim, len(index)) != (dim, rows):
        raise CatalogCorruptError(
            f"{path}: holds {len(index)} x {index.dim} numbers, expected {rows} x {dim}; build it again"
        )
    return index


def _class(spec: str) -> Any:
    known = INDEXES.get(spec)
    if known is None:
        added = metadata.entry_points(group="imgmatch.indexes", name=spec)
        return next(iter(added)).load() if added else None
    if isinstance(known, str):
        module, _, attribute = known.partition(":")
        known = getattr(import_module(module), attribute)
    return known
