"""The vectors of a catalog: segments that are appended to, and the index over them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from imgmatch.catalog.manifest import Part, Segment, SpaceParts
from imgmatch.catalog.parts import SegmentWriter, write_index
from imgmatch.catalog.reading import open_vectors, read_names
from imgmatch.errors import CatalogError
from imgmatch.indexes import load_index, new_index
from imgmatch.indexes.base import VectorIndex
from imgmatch.indexes.faiss import default_factory
from imgmatch.types import EmbeddingSpace

__all__ = ["batches", "checked_index", "compacted", "copied", "grown", "indexed"]

T = TypeVar("T")

# An index that needs training sees at most this many rows, evenly spread: 39, the least that FAISS asks for, for each of
# the 4,096 lists of a million rows.
_TRAINING_ROWS = 160_000
# Beyond these, `add` and `remove` rewrite the vectors as one segment without the dead rows.
_MOST_SEGMENTS = 8
_MOST_DEAD = 0.25


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def indexed(root: Path, space: EmbeddingSpace, segments: tuple[Segment, ...], factory: str | None) -> SpaceParts:
    """Train and fill an index over segments, where their size or the user asks for one."""
    rows = sum(s.rows for s in segments)
    factory = factory or default_factory(rows)
    index: Part | None = None
    if factory != "Flat" and rows:
        vectors = open_vectors(root, segments, space.dim)
        built = checked_index(space.dim, factory)
        try:
            built.train(np.ascontiguousarray(vectors[:: -(-rows // _TRAINING_ROWS)]))
            for start in range(0, rows, _TRAINING_ROWS):
                built.add(np.ascontiguousarray(vectors[start : start + _TRAINING_ROWS]))
        except ValueError as error:
            raise CatalogError(str(error)) from error
        index = write_index(root, space.id, built)
    return SpaceParts(space, segments, factory, index)


def checked_index(dim: int, factory: str) -> VectorIndex:
    """Make an empty index; a factory that cannot be one is an error of the catalog."""
    try:
        return new_index(dim, factory)
    except ValueError as error:
        raise CatalogError(str(error)) from error


def grown(root: Path, parts: SpaceParts, segment: Segment) -> SpaceParts:
    """Append a segment, to the index too where there is one."""
    segments = (*parts.segments, segment)
    if parts.index is None:
        return indexed(root, parts.space, segments, None if parts.factory == "Flat" else parts.factory)
    rows = sum(s.rows for s in parts.segments)
    index = load_index(parts.index.check(root), parts.factory, dim=parts.space.dim, rows=rows)
    index.add(np.ascontiguousarray(open_vectors(root, [segment], parts.space.dim)))
    return SpaceParts(parts.space, segments, parts.factory, write_index(root, parts.space.id, index))


def compacted(root: Path, parts: SpaceParts, photos: Container[str]) -> SpaceParts:
    """Return the space as it is, or as one segment without dead rows where these have become too many."""
    names = [sha for s in parts.segments for sha in read_names(root, s)]
    alive = [row for row, sha in enumerate(names) if sha in photos]
    if len(parts.segments) <= _MOST_SEGMENTS and len(alive) >= (1 - _MOST_DEAD) * len(names):
        return parts
    for s in parts.segments:
        s.vectors.check(root)
    segment = copied(root, parts.space.id, open_vectors(root, parts.segments, parts.space.dim), names, alive)
    return indexed(root, parts.space, (segment,) if segment else (), parts.factory)


def copied(root: Path, key: str, vectors: np.ndarray, names: Sequence[str], rows: Sequence[int]) -> Segment | None:
    """Write some rows of vectors as a segment of their own."""
    writer = SegmentWriter(root, key)
    try:
        for batch in batches(rows, 4096):
            writer.append(vectors[list(batch)], [names[row] for row in batch])
        return writer.finish()
    except BaseException:
        writer.discard()
        raise
