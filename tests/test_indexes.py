"""Indexes: golden values by hand, one conformance suite for all, agreement with the oracle, errors."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgmatch import Catalog
from imgmatch.catalog.manifest import Manifest
from imgmatch.errors import CatalogCorruptError, CatalogError, MissingExtraError
from imgmatch.images import load_image
from imgmatch.indexes.exact import ExactIndex
from imgmatch.indexes.faiss import FaissIndex, default_factory
from imgmatch.indexes.lance import LanceIndex
from imgmatch.testing import check_index
from tests.fakes import GridEncoder, picture, write_tree


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_exact_by_hand() -> None:
    index = ExactIndex(2)
    index.add(np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32))
    found = index.search(np.array([[0, 1]], np.float32), 2)
    assert found.ids.tolist() == [[1, 2]]
    np.testing.assert_allclose(found.similarities, [[1.0, 0.8]], atol=1e-6)


def test_exact_ties_go_to_the_lower_row() -> None:
    index = ExactIndex(2)
    index.add(np.array([[0, 1], [1, 0], [0, 1]], np.float32))
    assert index.search(np.array([[0, 1]], np.float32), 3).ids.tolist() == [[0, 2, 1]]


@pytest.mark.parametrize("spec", ["exact", "Flat", "HNSW16", "IVF4,Flat", "SQ8"])
def test_conformance(spec: str) -> None:
    check_index(lambda dim: ExactIndex(dim) if spec == "exact" else FaissIndex(dim, spec))


def test_lancedb_conforms(tmp_path: Path) -> None:
    pytest.importorskip("lancedb", reason="needs the extra lancedb")
    check_index(lambda dim: LanceIndex(dim, str(tmp_path / "db")), recall=1.0)


def test_lancedb_builds_its_own_index_once_there_are_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lancedb", reason="needs the extra lancedb")
    monkeypatch.setattr("imgmatch.indexes.lance._FLAT_ROWS", 1000)
    monkeypatch.setenv("IMGMATCH_LANCEDB", str(tmp_path / "db"))
    rng = np.random.default_rng(0)
    vectors, more = unit(rng.normal(size=(2000, 16))), unit(rng.normal(size=(50, 16)))
    index, exact = LanceIndex(16), ExactIndex(16)
    index.add(vectors)
    index.save(tmp_path / "first")
    assert [i.columns for i in index._table.list_indices()] == [["vector"]]
    grown = LanceIndex.load(tmp_path / "first")
    grown.add(more)
    grown.save(tmp_path / "second")
    exact.add(np.concatenate([vectors, more]))
    keep = rng.random(2050) < 0.9
    loaded = LanceIndex.load(tmp_path / "second")
    queries = unit(np.concatenate([more, vectors[::100]]) + 0.1 * rng.normal(size=(70, 16)))
    for mask in (None, keep):
        found, truth = loaded.search(queries, 10, keep=mask), exact.search(queries, 10, keep=mask)
        hits = sum(len(set(a) & set(b)) for a, b in zip(found.ids.tolist(), truth.ids.tolist(), strict=True))
        assert hits >= 0.9 * truth.ids.size
    assert len(LanceIndex.load(tmp_path / "first")) == 2000
    assert LanceIndex.load(tmp_path / "first").search(queries, 10).ids.max() < 2000


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60), k=st.integers(1, 12), share=st.floats(0, 1))
def test_flat_agrees_with_the_oracle(seed: int, n: int, k: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    vectors, queries = unit(rng.normal(size=(n, 8))), unit(rng.normal(size=(5, 8)))
    keep = rng.random(n) < share
    exact, flat = ExactIndex(8), FaissIndex(8)
    for index in (exact, flat):
        index.add(vectors)
    truth, answer = exact.search(queries, k, keep=keep), flat.search(queries, k, keep=keep)
    # Up to ties: the similarities agree, and each answered row really has the similarity it is given.
    np.testing.assert_allclose(answer.similarities, truth.similarities, atol=1e-5)
    for q, row in enumerate(answer.rows()):
        for i, similarity in row:
            assert keep[i]
            assert similarity == pytest.approx(float(queries[q] @ vectors[i]), abs=1e-5)


def test_default_factory_is_exact_until_that_stops_being_sensible() -> None:
    assert default_factory(100_000) == "Flat"
    assert default_factory(100_001) == "IVF1024,SQfp16"
    assert default_factory(1_000_000) == "IVF4096,SQfp16"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.add(np.zeros((1, 3), np.float32)), r"expected shape \(n, 2\), got \(1, 3\)"),
        (lambda i: i.add(np.zeros((1, 2), np.float64)), "expected float32, got float64"),
        (lambda i: i.add(np.full((1, 2), np.nan, np.float32)), "expected finite"),
        (lambda i: i.search(np.zeros((1, 2), np.float32), 0), "k: expected at least 1, got 0"),
        (lambda i: i.search(np.zeros((1, 2), np.float32), 1, keep=np.ones(5, bool)), r"keep: expected shape \(0,\) bool"),
    ],
)
@pytest.mark.parametrize("make", [ExactIndex, FaissIndex])
def test_misuse(make: type, call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(make(2))  # type: ignore[operator]


def test_a_small_search_leaves_the_callers_threads_alone() -> None:
    """PyTorch asks the same setting: an encoder ran on one core after the first search."""
    faiss = pytest.importorskip("faiss")
    before = faiss.omp_get_max_threads()
    index = FaissIndex(2, "Flat")
    index.add(np.eye(2, dtype=np.float32))
    try:
        faiss.omp_set_num_threads(3)
        index.search(np.eye(2, dtype=np.float32), 1)
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)


def test_a_wrong_factory_string_is_named() -> None:
    with pytest.raises(ValueError, match="'Flatt' is not a FAISS factory string"):
        FaissIndex(4, "Flatt")


def test_too_few_rows_to_train_is_said() -> None:
    with pytest.raises(ValueError, match="rows are too few to train it on; use Flat"):
        FaissIndex(4, "IVF64,Flat").add(unit(np.eye(4)))


def test_a_file_that_is_no_index_is_corrupt(tmp_path) -> None:
    path = tmp_path / "x.faiss"
    path.write_bytes(b"IxFI" + b"\xff" * 64)
    with pytest.raises(CatalogCorruptError):
        FaissIndex.load(path, "Flat")


def source(root: Path, items: range) -> Path:
    return write_tree(root, {f"brand{i % 3}/item{i}/{v}.png": picture(10 * i + v) for i in items for v in range(2)})


@pytest.fixture
def lance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    pytest.importorskip("lancedb", reason="needs the extra lancedb")
    monkeypatch.setenv("IMGMATCH_LANCEDB", str(tmp_path / "db"))
    return Catalog.build(source(tmp_path / "src", range(6)), tmp_path / "cat", encoder=GridEncoder(), factory="lancedb")


def same_answers(one: Catalog, other: Catalog) -> None:
    queries = GridEncoder().encode([load_image(picture(seed)) for seed in range(0, 90, 7)])
    mine, theirs = one.nearest(queries, 5), other.nearest(queries, 5)
    np.testing.assert_allclose(mine.similarities, theirs.similarities, atol=1e-5)
    assert [[one.photo_ids[i] for i in row] for row in mine.ids] == [[other.photo_ids[i] for i in row] for row in theirs.ids]


def test_a_catalog_in_lancedb_answers_like_one_in_faiss(lance: Catalog, tmp_path: Path) -> None:
    flat = Catalog.build(source(tmp_path / "src", range(6)), tmp_path / "flat", encoder=GridEncoder())
    same_answers(lance, flat)
    more = source(tmp_path / "more", range(6, 9))
    lance, flat = lance.add(more), flat.add(more)
    same_answers(lance, flat)
    lance, flat = lance.remove(["brand0/item0"]), flat.remove(["brand0/item0"])
    same_answers(lance, flat)
    assert not lance.verify()
    same_answers(Catalog.load(lance.path), flat)
    same_answers(lance.save(tmp_path / "copy"), flat)


def test_rows_of_a_killed_change_are_not_there(lance: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Catalog.load(lance.path, encoder=GridEncoder())
    flat = Catalog.build(source(tmp_path / "src", range(6)), tmp_path / "flat", encoder=GridEncoder())
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            lance.add(source(tmp_path / "lost", range(20, 24)))
    same_answers(before, flat)
    same_answers(Catalog.load(lance.path), flat)
    more = source(tmp_path / "more", range(6, 9))
    same_answers(before.add(more), flat.add(more))


def test_lancedb_that_is_not_named_or_not_there_is_said(
    lance: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = lance.vectors[:1]
    monkeypatch.setenv("IMGMATCH_LANCEDB", str(tmp_path / "elsewhere"))
    with pytest.raises(CatalogCorruptError, match=r"elsewhere cannot open what it names: .*; check IMGMATCH_LANCEDB"):
        Catalog.load(lance.path).nearest(query, 1)
    monkeypatch.delenv("IMGMATCH_LANCEDB")
    with pytest.raises(CatalogError, match="no LanceDB is named: set IMGMATCH_LANCEDB"):
        Catalog.load(lance.path).nearest(query, 1)
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'imgmatch\[lancedb\]'"):
        Catalog.load(lance.path).nearest(query, 1)
