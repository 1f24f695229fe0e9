"""Public conformance suites: what an index, an encoder or a signal of yours must hold to work with imgmatch.

Each check raises AssertionError that says what does not hold; run them under ``python`` or any test runner.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from imgmatch.catalog import Catalog
from imgmatch.encoders.base import Encoder
from imgmatch.indexes.base import VectorIndex
from imgmatch.indexes.exact import ExactIndex
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.records import Listing
from imgmatch.signals import Signal, SignalSource, make_signals
from imgmatch.types import Candidate, Finding, FloatArray, Image, PhotoRole

__all__ = ["check_encoder", "check_index", "check_signal"]


def check_index(make: Callable[[int], VectorIndex], *, recall: float = 0.6, seed: int = 0) -> None:
    """Check a vector index against brute force.

    Parameters
    ----------
    make : callable
        Returns an empty index for vectors of the given length.
    recall : float
        Least share of the true 5 nearest an approximate index must find among 500 clustered vectors.
    seed : int

    Raises
    ------
    AssertionError
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(20, 16))
    vectors = _unit(np.repeat(centres, 25, axis=0) + 0.3 * rng.normal(size=(500, 16)))
    queries = _unit(vectors[::50] + 0.05 * rng.normal(size=(10, 16)))
    index, oracle = make(16), ExactIndex(16)
    assert isinstance(index, VectorIndex), "does not have the attributes and methods of VectorIndex"
    assert len(index) == 0, "a new index is empty"
    empty = index.search(queries, 3)
    assert (empty.ids == -1).all(), "an empty index answers -1 everywhere"
    assert np.isneginf(empty.similarities).all(), "an empty index answers -inf everywhere"
    for part in (vectors[:300], vectors[300:]):
        index.add(part)
        oracle.add(part)
    assert len(index) == 500, f"500 rows were added, len() is {len(index)}"
    _agree(index, oracle, queries, vectors, None, recall)
    keep = rng.random(500) < 0.5
    _agree(index, oracle, queries, vectors, keep, recall)
    none = index.search(queries, 3, keep=np.zeros(500, np.bool_))
    assert (none.ids == -1).all(), "a search that keeps nothing answers nothing"
    one = index.search(queries[:1], 5)
    many = index.search(queries, 5)
    assert np.array_equal(one.ids[0], many.ids[0]), "the answer for a query depends on the batch it is in"
    nothing = index.search(np.empty((0, 16), np.float32), 4)
    assert nothing.ids.shape == (0, 4), "no queries give no rows of width k"
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder) / "index")
        assert (Path(folder) / "index").stat().st_size > 0, "save wrote nothing"


def check_encoder(encoder: Encoder, *, tolerance: float = 1e-4, seed: int = 0) -> None:
    """Check an encoder: shapes, norms, order, and that a photo's vector does not depend on its batch.

    Parameters
    ----------
    encoder : Encoder
    tolerance : float
        Largest difference of a coordinate between a photo encoded alone and in a batch; float rounding for fp32, more
        for half precision.
    seed : int

    Raises
    ------
    AssertionError
    """
    assert isinstance(encoder, Encoder), "does not have the attributes and methods of Encoder"
    rng = np.random.default_rng(seed)
    sizes = ((40, 60), (64, 64), (97, 31), (8, 8), (300, 200))
    photos = [_photo(rng, height, width) for height, width in sizes]
    dim = encoder.space.dim
    vectors = encoder.encode(photos)
    assert vectors.shape == (len(photos), dim), f"expected {(len(photos), dim)}, got {vectors.shape}"
    assert vectors.dtype == np.float32, f"expected float32, got {vectors.dtype}"
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3), "vectors are not of unit norm"
    empty = encoder.encode([])
    assert empty.shape == (0, dim), f"an empty batch gives {(0, dim)}, got {empty.shape}"
    alone = np.concatenate([encoder.encode([photo]) for photo in photos])
    assert np.abs(alone - vectors).max() <= tolerance, "the vector of a photo depends on its batch"
    turned = encoder.encode(photos[::-1])[::-1]
    assert np.abs(turned - vectors).max() <= tolerance, "vectors do not come in the order of the batch"
    prepared = [encoder.prepare(photo) for photo in photos]
    assert len({(p.shape, p.dtype) for p in prepared}) == 1, "prepare gives arrays of more than one shape or dtype"
    assert np.abs(encoder.encode(prepared) - vectors).max() <= tolerance, "prepare and then encode gives other vectors"
    assert np.abs(encoder.encode([photos[0], prepared[1]]) - vectors[:2]).max() <= tolerance, "a mixed batch is not taken"
    dense, cells = encoder.encode_dense(photos[:2])
    assert dense.shape == (2, dim), f"encode_dense: expected vectors {(2, dim)}, got {dense.shape}"
    assert np.abs(dense - vectors[:2]).max() <= tolerance, "encode_dense gives other vectors than encode"
    assert cells.ndim == 4, f"cells have shape (n, h, w, c), got {cells.shape}"
    assert len(cells) == 2, f"cells of 2 photos, got {len(cells)}"
    assert cells.dtype == np.float32, f"expected float32 cells, got {cells.dtype}"
    power = np.square(cells).sum(-1).mean((1, 2))
    assert np.allclose(power, 1, atol=1e-2), "cells are not of mean squared norm 1 per photo"
    assert [len(x) for x in encoder.encode_dense([])] == [0, 0], "an empty batch gives no vectors and no cells"
    try:
        text = encoder.encode_text(["a bag", "a watch"])
    except NotImplementedError:
        return
    assert text.shape == (2, dim), f"texts live in the same space: expected {(2, dim)}, got {text.shape}"
    assert np.allclose(np.linalg.norm(text, axis=1), 1, atol=1e-3), "text vectors are not of unit norm"


def check_signal(signal: SignalSource, catalog: Catalog) -> None:
    """Check a signal: a row per query, in order, the same alone and in any batch, from any thread, and again.

    Parameters
    ----------
    signal : Signal or callable
        As for :class:`imgmatch.Matcher`.
    catalog : Catalog
        With at least two reference photos; they are the photos of the listings that the signal is asked about.

    Raises
    ------
    AssertionError
    """
    (one,) = make_signals([signal], catalog)
    assert isinstance(one.name, str), f"name: expected a text, got {one.name!r}"
    assert one.name, "name: is empty"
    one.warm_up()
    one.warm_up()
    assert one.fingerprint() == make_signals([signal], catalog)[0].fingerprint(), "the fingerprint differs from call to call"
    assert list(one.propose([])) == [], "propose: no queries give no rows"
    assert list(one.examine([])) == [], "examine: no queries give no rows"
    together = _answers(one, catalog, range(5))
    for answers in (_answers(one, catalog, range(5)), _answers(one, catalog, reversed(range(5)))[::-1]):
        assert answers == together, "the same queries in another order, or again, get other answers"
    alone = [_answers(one, catalog, [number])[0] for number in range(5)]
    assert alone == together, "a query gets another answer alone than in a batch"
    with ThreadPoolExecutor(4) as pool:
        threads = list(pool.map(lambda number: _answers(one, catalog, [number])[0], range(5)))
    assert threads == together, "a query gets another answer in another thread"


def _answers(signal: Signal, catalog: Catalog, numbers: Iterable[int]) -> list[tuple[list[Candidate], list[Finding]]]:
    """Ask about listings: without anything, with words, with one photo, with two."""
    shas = [photo.sha256 for photo in catalog.of_role(PhotoRole.REFERENCE)]
    assert len(shas) > 1, "the catalog has fewer than two reference photos"

    def photo(number: int, sha: str) -> PhotoContext:
        image = catalog.photo(sha).image
        return PhotoContext(f"photo-{number}", image, phash=catalog.photo(sha).phash, embedding=catalog.embedding(sha))

    def query(number: int) -> Query:
        listing = Listing(str(number), title=("", "A bag, 100 EUR", "", "Bag", "Watch")[number])
        photos = [photo(i, sha) for i, sha in enumerate(shas[: max(number - 1, 0)][:2], 1)]
        return Query(listing, photos)

    queries = [query(number) for number in numbers]
    proposed = signal.propose(queries)
    assert len(proposed) == len(queries), f"propose: expected {len(queries)} rows, got {len(proposed)}"
    for one, candidates in zip(queries, proposed, strict=True):
        assert all(c.item_id in catalog.items for c in candidates), "proposes an item that the catalog has not"
        assert [c.score for c in candidates] == sorted((c.score for c in candidates), reverse=True), "best first"
        one.candidates = tuple(candidates)
    found = signal.examine(queries)
    assert len(found) == len(queries), f"examine: expected {len(queries)} rows, got {len(found)}"
    for findings in found:
        assert findings, "a query without a finding: a signal that cannot tell abstains and says why"
        for finding in findings:
            assert isinstance(finding, Finding), f"expected a Finding, got {finding!r}"
            assert finding.reason.strip(), f"{finding.signal}: a finding without a reason"
            json.dumps(dict(finding.evidence))
    return [(list(c), list(f)) for c, f in zip(proposed, found, strict=True)]


def _photo(rng: np.random.Generator, height: int, width: int) -> Image:
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    pixels = np.repeat(np.repeat(coarse, -(-height // 4), 0), -(-width // 4), 1)[:height, :width]
    return Image(np.ascontiguousarray(pixels), f"{height}x{width}", "<test>", width, height, "RAW")


def _agree(
    index: VectorIndex,
    oracle: VectorIndex,
    queries: FloatArray,
    vectors: FloatArray,
    keep: np.ndarray | None,
    recall: float,
) -> None:
    answer, truth = index.search(queries, 5, keep=keep), oracle.search(queries, 5, keep=keep)
    assert answer.ids.shape == truth.ids.shape == (len(queries), 5), "answers have shape (n, k)"
    found = 0
    for mine, true in zip(answer.ids, truth.ids, strict=True):
        ids = mine[mine >= 0]
        assert len(set(ids.tolist())) == len(ids), "a row is answered twice"
        assert keep is None or keep[ids].all(), "a row is answered that was to be left out"
        found += len(set(ids.tolist()) & set(true.tolist()))
    assert found >= recall * truth.ids.size, f"recall@5 is {found / truth.ids.size:.2f}, expected at least {recall}"
    assert (np.diff(answer.similarities, axis=1) <= 1e-6).all(), "similarities must fall from left to right"


def _unit(rows: np.ndarray) -> FloatArray:
    return np.ascontiguousarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
