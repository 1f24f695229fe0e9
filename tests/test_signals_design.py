"""The design signal: golden metric, background, abstention, and the part-by-part look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgmatch.catalog.background import Background
from imgmatch.catalog.items import Brand, CatalogPhoto, Item
from imgmatch.catalog.metric import Metric
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.records import Listing
from imgmatch.signals import Signal
from imgmatch.signals.design.local import local_similarity
from imgmatch.signals.design.settings import DesignConfig
from imgmatch.signals.design.signal import DesignSignal
from imgmatch.types import Candidate, FindingStatus, Image, Neighbors, PhotoRole

PIXELS = np.zeros((8, 8, 3), np.uint8)


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))  # cells are remembered by space and photo


def unit(x: object) -> np.ndarray:
    a = np.asarray(x, np.float32)
    return a / np.linalg.norm(a, axis=-1, keepdims=True)


class FakeCatalog:
    """As much of a catalog as the signal reads, over vectors given by hand."""

    def __init__(self, rows: list[tuple[str, str, list[float]]]) -> None:
        self.vectors = unit([v for _, _, v in rows])
        self.photo_ids = [f"sha{i}" for i in range(len(rows))]
        self.space, self.version = SimpleNamespace(id="space"), "1"
        shas: dict[str, list[str]] = {}
        for sha, (_, item, _) in zip(self.photo_ids, rows, strict=True):
            shas.setdefault(item, []).append(sha)
        self.items = {i: Item(i, b, model="M", variant=i, photos=tuple(shas[i])) for b, i, _ in rows}
        self.brands = {b: Brand(b, name=b.title()) for b, _, _ in rows}
        self.photos = {
            sha: CatalogPhoto(sha, PhotoRole.REFERENCE, i, b, sha, 8, 8, "", 0)
            for sha, (b, i, _) in zip(self.photo_ids, rows, strict=True)
        }
        self.see(lambda sha: np.ones((2, 2, 3)))

    def see(self, cells: Callable[[str], np.ndarray]) -> None:
        """Let the encoder see these cells in a photo."""
        self.encoder = SimpleNamespace(
            prepare=lambda photo: photo.sha256, encode_dense=lambda shas: (None, np.stack([unit(cells(s)) for s in shas]))
        )

    def prepared(self, sha: str) -> str:
        return sha

    def embedding(self, sha: str) -> np.ndarray:
        return self.vectors[self.photo_ids.index(sha)]

    def photo(self, sha: str) -> PhotoContext:
        return PhotoContext(sha, Image(PIXELS.copy(), sha, sha, 8, 8, "RAW"), "reference")

    def search(self, queries: np.ndarray, k: int) -> Neighbors:
        sims = queries @ self.vectors.T
        ids = np.argsort(-sims, axis=1)[:, :k]
        return Neighbors(ids.astype(np.int64), np.take_along_axis(sims, ids, 1))


def catalog() -> FakeCatalog:
    """Two brands at right angles, two items each, two photos an item."""
    rng = np.random.default_rng(0)
    rows = []
    for axis, brand in enumerate(("aurel", "brume")):
        for item in range(2):
            centre = np.zeros(6)
            centre[axis], centre[2 + 2 * axis + item] = 3, 1
            rows += [(brand, f"{brand}-{item}", list(centre + 0.1 * rng.normal(size=6))) for _ in range(2)]
    return FakeCatalog(rows)


def query(*vectors: object, role: str = "listing") -> Query:
    photos = []
    for i, vector in enumerate(vectors, 1):
        photo = PhotoContext(f"photo-{i}", Image(PIXELS.copy(), f"q{i}", "q", 8, 8, "RAW"), role)
        photo.embedding = unit(vector)
        photos.append(photo)
    return Query(Listing("1"), photos)


def ask(signal: DesignSignal, q: Query) -> tuple[list[object], object]:
    q.candidates = signal.propose([q])[0]
    return list(q.candidates), signal.examine([q])[0][0]


# Golden values


def test_metric_divides_out_what_varies_within_items() -> None:
    """Deviations along x only: x is whitened, y keeps the shrunk weight, so y tells more than before."""
    rng = np.random.default_rng(1)
    groups = np.repeat([f"g{i}" for i in range(60)], 3)
    vectors = np.stack([rng.normal(size=180), np.repeat(rng.normal(size=60), 3)], 1).astype(np.float32)
    metric = Metric.fit(vectors, groups, shrinkage=0.5)
    assert metric is not None
    gain = np.linalg.norm(np.linalg.svd(metric.matrix)[2] @ metric.matrix.T, axis=0)
    # covariance / trace = diag(1, 0); plus 0.5 / 2: x is scaled by 1.25 ** -0.5, y by 0.25 ** -0.5
    assert sorted(np.linalg.norm(metric.matrix, axis=1)) == pytest.approx([1.25**-0.5, 0.25**-0.5], rel=1e-3), gain


def test_metric_needs_photos_that_share_a_group() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(300, 4)))
    assert Metric.fit(vectors, np.arange(300).astype(str), shrinkage=0.3) is None


def test_certainty_is_half_where_both_errors_are_equal() -> None:
    b = Background(np.zeros((0, 2), np.float32), np.array([], str), 1, 10, np.float32([0.4, 0.6]), np.float32([0.4, 0.6]))
    assert b.certainty(0.5) == 0.5
    assert b.certainty(0.0) < 0.5 < b.certainty(1.0)


def test_what_lies_outside_a_group_by_hand() -> None:
    none = np.zeros(0, np.float32)
    vectors = np.float32([[0.9, 0], [0.8, 0], [0.6, 0], [0.1, 0]])
    background = Background(vectors, np.array(["a", "b", "a", "c"]), 1.0, 2, none, none)
    outside = background.outside(background.similarities(np.float32([1, 0])))
    told = [outside(group) for group in ("a", "b", "c", "another")]
    assert told == pytest.approx([(0.8 + 0.1) / 2, (0.9 + 0.6) / 2, (0.9 + 0.8) / 2, (0.9 + 0.8) / 2])
    empty = Background(np.zeros((0, 2), np.float32), np.array([], str), 1.0, 2, none, none)
    assert empty.outside(empty.similarities(np.float32([1, 0])))("a") == 0.0


def test_a_brand_has_a_floor_of_its_own() -> None:
    """Photos of the tight brand are 0.99 and more alike, those of the loose one some 0.9: 0.95 is near for one of them."""
    rng = np.random.default_rng(0)
    rows = []
    for axis, (brand, noise) in enumerate((("loose", 0.3), ("tight", 0.03))):
        rows += [(brand, brand, list(np.eye(8)[axis] + noise * rng.normal(size=8))) for _ in range(30)]
    rows.append(("small", "small", list(np.eye(8)[2])))
    background = Background.of(FakeCatalog(rows))  # type: ignore[arg-type]
    assert background.least("loose") < 0.95 < background.least("tight")
    assert background.least("small") == background.floor
    assert background.least("loose") < background.floor < background.least("tight")


def test_local_similarity_by_hand() -> None:
    q = np.float32([[[1, 0], [0, 1]]])
    references = np.float32([[[[0, 1], [1, 0]]], [[[1, 0], [1, 0]]]])
    # Moved parts are found again; of the second reference both cells are in the query, but only one of two the other way.
    assert local_similarity(q, references, np.zeros(2, np.float32)).tolist() == pytest.approx([1.0, 0.75])


def test_the_ground_weighs_little() -> None:
    """A thing on a ground: another ground costs less than another thing does."""
    cells = np.tile(unit([1, 0, 0, 0]), (4, 4, 1))
    cells[1:3, 1:3] = unit([0, 1, 0, 0])
    other_ground, other_thing = cells.copy(), cells.copy()
    other_ground[cells[..., 0] > 0.5] = unit([0, 0, 1, 0])
    other_thing[cells[..., 1] > 0.5] = unit([0, 0, 0, 1])
    same, ground, thing = local_similarity(cells, np.stack([cells, other_ground, other_thing]), np.zeros(4, np.float32))
    assert same == pytest.approx(1)
    # 12 cells of ground at 0.001 each, 4 of the thing at 1.001 each
    assert ground == pytest.approx(4.004 / 4.016, abs=1e-4)
    assert thing == pytest.approx(0.012 / 4.016, abs=1e-4)


# Conformance and behaviour


def test_it_is_a_signal() -> None:
    assert isinstance(DesignSignal(catalog(), DesignConfig()), Signal)  # type: ignore[arg-type]


def test_the_item_is_named_with_its_model_and_variant() -> None:
    c = catalog()
    candidates, finding = ask(DesignSignal(c, DesignConfig()), query(c.vectors[2]))  # type: ignore[arg-type]
    assert candidates[0].item_id == finding.item_id == "aurel-1"
    assert candidates[0].similarity == pytest.approx(1)
    assert finding.status is FindingStatus.OK
    assert finding.value >= 0.5
    assert finding.evidence["facts"]["model"] == "M"
    assert finding.evidence["facts"]["next variant"] == "aurel-0"
    assert finding.reason.endswith("; model M; variant aurel-1, next variant aurel-0.")


def test_the_best_of_several_photos_counts() -> None:
    c = catalog()
    _, finding = ask(DesignSignal(c, DesignConfig()), query([1, 1, 0, 0, 0, 0], c.vectors[2]))  # type: ignore[arg-type]
    assert (finding.item_id, finding.photo_id) == ("aurel-1", "photo-2")


def test_two_brands_equally_near_is_no_claim() -> None:
    _, finding = ask(DesignSignal(catalog(), DesignConfig()), query([1, 1, 0.2, 0, 0.2, 0]))  # type: ignore[arg-type]
    assert finding.status is FindingStatus.ABSTAINED
    assert finding.brand is None


def seen_in_parts() -> tuple[FakeCatalog, Query]:
    """A catalog and a photo that is nearest to aurel-1 as a whole, to aurel-0 part by part."""
    c = catalog()
    parts = {"sha0": [1, 0, 0], "sha1": [1, 0, 0], "sha2": [0, 1, 0], "sha3": [0, 1, 0], "q1": [1, 0, 0]}
    c.see(lambda sha: np.tile(parts.get(sha, [0.0, 0.0, 1.0]), (2, 2, 1)))
    return c, query(c.vectors[2] + 0.95 * c.vectors[0])


def test_the_closer_look_can_turn_the_order_but_not_raise_a_score() -> None:
    c, q = seen_in_parts()
    signal = DesignSignal(c, DesignConfig(local_weight=1.0))  # type: ignore[arg-type]
    plain = {x.item_id: x for x in DesignSignal(c, DesignConfig(local_weight=0.0)).propose([q])[0]}  # type: ignore[arg-type]
    closer = signal.propose([q])[0]
    assert next(iter(plain)) == "aurel-1"
    assert closer[0].item_id == "aurel-0"
    assert all(x.score <= plain[x.item_id].score for x in closer)
    q.candidates = tuple(closer)
    assert signal.examine([q])[0][0].evidence["facts"]["part-by-part similarity"] == pytest.approx(1, abs=1e-3)


def test_what_other_signals_proposed_is_ranked_with_the_rest() -> None:
    c, q = seen_in_parts()
    signal = DesignSignal(c, DesignConfig(local_weight=1.0, neighbors=1))  # type: ignore[arg-type]
    own = signal.propose([q])[0]
    assert [x.item_id for x in own] == ["aurel-1"]
    for proposer in ("text", "copy", "logo"):
        other = Candidate("aurel-0", "aurel", 0.0, "", "photo-1", 0.0, (proposer,))
        q.candidates = (*own, other)
        facts = signal.examine([q])[0][0].evidence["facts"]
        assert (facts["variant"], facts["next variant"]) == ("aurel-0", "aurel-1")
        assert facts["part-by-part similarity"] == pytest.approx(1, abs=1e-3)


def test_without_a_photo_it_abstains() -> None:
    candidates, finding = ask(DesignSignal(catalog(), DesignConfig()), query())  # type: ignore[arg-type]
    assert candidates == []
    assert "no readable photo" in finding.reason


def test_promo_photos_claim_nothing() -> None:
    candidates, _ = ask(DesignSignal(catalog(), DesignConfig()), query([1, 0, 0, 0, 0, 0], role="promo"))  # type: ignore[arg-type]
    assert candidates == []


def test_a_query_is_answered_alike_alone_and_in_a_batch() -> None:
    signal = DesignSignal(catalog(), DesignConfig())  # type: ignore[arg-type]
    rows = np.random.default_rng(3).normal(size=(4, 6))
    together = signal.propose([query(r) for r in rows])
    assert together == [signal.propose([query(r)])[0] for r in rows]


# Properties


@settings(max_examples=30, deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1))
def test_certainty_never_falls_as_the_score_rises(a: float, b: float) -> None:
    rng = np.random.default_rng(0)
    genuine, foreign = (np.sort(rng.normal(m, 0.2, 50)).astype(np.float32) for m in (0.4, 0.0))
    background = Background(np.zeros((0, 2), np.float32), np.array([], str), 1.0, 10, genuine, foreign)
    assert background.certainty(min(a, b)) <= background.certainty(max(a, b))


def test_local_similarity_does_not_ask_where_parts_lie() -> None:
    rng = np.random.default_rng(2)
    cells, others = unit(rng.normal(size=(3, 3, 8))), unit(rng.normal(size=(4, 3, 3, 8)))
    centre = np.zeros(8, np.float32)
    base = local_similarity(cells, others, centre)
    assert np.allclose(local_similarity(cells[::-1, ::-1], others[:, ::-1], centre), base, atol=1e-6)
    assert local_similarity(cells, cells[None], centre)[0] == pytest.approx(1)
