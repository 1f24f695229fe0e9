"""Vector indexes: exact search as the oracle, FAISS for work, LanceDB for what outgrows a machine."""

from __future__ import annotations

from pathlib import Path

from imgmatch.errors import CatalogCorruptError
from imgmatch.indexes.base import VectorIndex

__all__ = ["load_index", "new_index"]


def new_index(dim: int, spec: str) -> VectorIndex:
    """Return an empty index.

    Parameters
    ----------
    dim : int
    spec : str
        A FAISS factory string, or ``lancedb`` (the database that ``IMGMATCH_LANCEDB`` names).

    Raises
    ------
    ValueError
        Where FAISS does not understand the factory string.
    """
    if spec == "lancedb":
        from imgmatch.indexes.lance import LanceIndex

        return LanceIndex(dim)
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
    if spec == "lancedb":
        from imgmatch.indexes.lance import LanceIndex

        index: VectorIndex = LanceIndex.load(path)
    else:
        from imgmatch.indexes.faiss import FaissIndex

        index = FaissIndex.load(path, spec)
    if (index.dim, len(index)) != (dim, rows):
        raise CatalogCorruptError(
            f"{path}: holds {len(index)} x {index.dim} numbers, expected {rows} x {dim}; build it again"
        )
    return index
