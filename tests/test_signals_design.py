"""The design signal: golden metric, background, abstention, and the part-by-part look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgmatch.catalog.held_out import HeldOut, Sample, better, held_out, outside
from imgmatch.catalog.items import Brand, CatalogPhoto, Item
from imgmatch.catalog.likeness import PHOTOS, Likeness, sample
from imgmatch.catalog.metric import Metric
from imgmatch.catalog.strangers import UNKNOWN, Prior, share
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.records import Listing
from imgmatch.signals import Signal
from imgmatch.signals.design.local import CloserLook, local_similarity
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
        copied = {i: "".join(list(b)) for b, i, _ in rows}  # equal and not identical, as from a file
        self.items = {i: Item(i, copied[i], model="M", variant=i, photos=tuple(shas[i])) for _, i, _ in rows}
        self.brands = {b: Brand(b, name=b.title()) for b, _, _ in rows}
        self.shared: dict[str, tuple[str, ...]] = {}
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

    @cached_property
    def likeness(self) -> Likeness:
        return Likeness(self)  # type: ignore[arg-type]

    def prepared(self, sha: str) -> str:
        return sha

    def embedding(self, sha: str) -> np.ndarray:
        return self.vectors[self.photo_ids.index(sha)]

    def photo(self, sha: str) -> PhotoContext:
        return PhotoContext(sha, Image(PIXELS.copy(), sha, sha, 8, 8, "RAW"), "reference")

    def nearest(self, queries: np.ndarray, k: int) -> Neighbors:
        sims = queries @ self.vectors.T
        ids = np.argsort(-sims, axis=1)[:, :k]
        return Neighbors(ids.astype(np.int64), np.take_along_axis(sims, ids, 1))


def catalog() -> FakeCatalog:
    """Four brands at right angles, two items each, six photos an item: enough to know a stranger by."""
    rng = np.random.default_rng(0)
    rows = []
    for axis, brand in enumerate(("aurel", "brume", "corto", "delia")):
        for item in range(2):
            centre = np.zeros(12)
            centre[axis], centre[4 + 2 * axis + item] = 3, 1
            rows += [(brand, f"{brand}-{item}", list(centre + 0.15 * rng.normal(size=12))) for _ in range(6)]
    return FakeCatalog(rows)


ROWS = [(b, f"{b}-{item}") for b in ("aurel", "brume", "corto", "delia") for item in (0, 1) for _ in range(6)]


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
    # covariance / trace = diag(1, 0); plus 0.5 / 2: x is scaled by 1.25 ** -0.5, y by 0.25 ** -0.5
    assert sorted(np.linalg.norm(metric.matrix, axis=1)) == pytest.approx([1.25**-0.5, 0.25**-0.5], rel=1e-3)


def test_metric_needs_photos_that_share_a_group() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(300, 4)))
    assert Metric.fit(vectors, np.arange(300).astype(str), shrinkage=0.3) is None


def likeness_with(genuine: object, foreign: object) -> Likeness:
    """A likeness that held out photos with these scores."""
    c = FakeCatalog([("a", "a", [1, 0]), ("b", "b", [0, 1])])
    none = np.zeros(0, np.float32)
    scores = [np.sort(np.float32(x)) for x in (genuine, foreign)]
    names = none.astype(str)
    kinds = len(scores[1])
    c.likeness.learnt = HeldOut(0, np.zeros(4), len(scores[0]), 0.5, *scores, kinds, names, none, names, none, none)
    return c.likeness


def test_certainty_by_hand() -> None:
    """Ten own photos at 0.6, ten of other brands at 0.4: at 0.61 all own ones are below and no other is above."""
    likeness = likeness_with([0.6] * 10, [0.4] * 10)
    # one-sided Wilson limits at z = 1.645 of 10 and 0 of 10: 1 / (1 + z²/10) and z²/10 / (1 + z²/10)
    high, low = 1 / (1 + 1.645**2 / 10), 1.645**2 / 10 / (1 + 1.645**2 / 10)
    assert likeness.certainty(0.61) == pytest.approx(high / (high + low))
    assert likeness.certainty(0.5) == 0.0
    assert likeness.certainty(0.3) == 0.0


@pytest.mark.parametrize(("genuine", "foreign"), [([], [0.4] * 50), ([0.9] * 50, []), ([], [])])
def test_no_evidence_no_certainty(genuine: list[float], foreign: list[float]) -> None:
    assert likeness_with(genuine, foreign).certainty(1.0) == 0.0


@pytest.mark.parametrize(("photos", "certain"), [(14, 0.84), (100, 0.975), (260, 0.99)])
def test_a_small_catalog_cannot_be_certain(photos: int, certain: float) -> None:
    assert likeness_with([0.5] * photos, [0.1] * photos).certainty(1.0) == pytest.approx(certain, abs=0.006)


@pytest.mark.parametrize(
    ("foreign", "kinds", "prior", "score", "expected"),
    [
        # radians: mean 1.1, s = 0.1, n = 3: t = (1.1 - x) / (0.1 sqrt(4 / 3)), 2 degrees; 6.965 is the 0.01 point of tables
        ([1.0, 1.1, 1.2], 3, UNKNOWN, 1.1, 0.5),
        ([1.0, 1.1, 1.2], 3, UNKNOWN, 1.1 - 6.965 * 0.1 * (4 / 3) ** 0.5, 0.01),
        ([1.0, 1.1, 1.2], 3, UNKNOWN, 1.1 + 6.965 * 0.1 * (4 / 3) ** 0.5, 0.99),
        ([1.0, 1.2] * 5, 10, UNKNOWN, 1.1 - 1.833 * 0.1 * (10 / 9) ** 0.5 * 1.1**0.5, 0.05),  # of 9 degrees
        ([1.0, 1.2] * 5, 5, UNKNOWN, 1.1 - 1.833 * 0.1 * (10 / 9) ** 0.5 * 1.2**0.5, 0.05),  # its mean rests on five brands
        # nine photos of deviation 0.2 beside ten: (10 * 0.1 ** 2 + 9 * 0.2 ** 2) / 18, of 18 degrees
        ([1.0, 1.2] * 5, 10, Prior(0.2, 9), 1.1 - 1.734 * (0.46 / 18) ** 0.5 * 1.1**0.5, 0.05),
        ([1.1] * 3, 3, UNKNOWN, 1.09, 0.5 / (0.01 / 1e-6) ** 2 * (4 / 3)),  # the tail goes as 1 / 2t²; s is taken as 1e-6
        ([1.0, 1.2] * 5, 2, UNKNOWN, 0.0, 1.0),  # of two brands
        ([1.0, 1.2], 3, UNKNOWN, 0.0, 1.0),
        ([], 0, UNKNOWN, 0.0, 1.0),
    ],
)
def test_the_share_of_strangers_by_hand(
    foreign: list[float], kinds: int, prior: Prior, score: float, expected: float
) -> None:
    assert share(np.cos(foreign), kinds, np.cos(score), prior) == pytest.approx(expected, rel=1e-3)


def test_the_share_of_strangers_of_a_catalog() -> None:
    likeness = likeness_with([0.9] * 20, np.cos([1.2, 1.1, 1.0]))
    assert likeness.false_claims(float(np.cos(1.1))) == pytest.approx(0.5, abs=1e-5)
    likeness.learnt = replace(likeness.learnt, kinds=2)
    assert likeness.false_claims(1.0) == 1.0


def test_what_is_near_to_everything_by_hand() -> None:
    """The mean of the ten highest cosines outside the best item's group."""
    photos, groups = np.float32([0.9, *[0.5] * 9, 0.1]), np.array([*"abcdefghijk"])
    assert outside(np.float32([0.8, 0.9]), np.array(["b", "a"]), photos, groups) == pytest.approx((9 * 0.5 + 0.1) / 10)
    assert outside(np.float32([0.9, 0.8]), np.array(["b", "a"]), photos, groups) == pytest.approx((0.9 + 8 * 0.5 + 0.1) / 10)
    assert outside(np.float32([0.9]), np.array(["z"]), photos, groups) == pytest.approx((0.9 + 9 * 0.5) / 10)
    assert outside(np.float32([0.9]), np.array(["z"]), np.zeros(0, np.float32), np.array([])) == 0.0


@pytest.mark.parametrize(
    ("before", "after", "is_better"),
    [
        ("0000", "0111", True),
        ("0000", "0011", False),
        ("0011", "1100", False),
        ("0" * 8 + "1", "0001" + "0" * 5, False),
        ("01", "01", False),
    ],
)
def test_a_way_is_better_by_a_standard_error_and_more_than_chance(before: str, after: str, is_better: bool) -> None:
    assert better(np.array(list(after)) == "1", np.array(list(before)) == "1") is is_better


def turned(rng: np.random.Generator, noise: float) -> Sample:
    """Forty items of ten brands, five photos each; the first axes tell how a photo was taken, the others what it shows."""
    what = np.repeat(rng.normal(size=(40, 12)), 5, axis=0)
    vectors = np.concatenate([noise * rng.normal(size=(200, 4)), what + 0.25 * rng.normal(size=(200, 12))], axis=1)
    items = np.repeat([f"i{n:02d}" for n in range(40)], 5)
    return Sample(unit(vectors), items, np.repeat([f"b{n}" for n in range(10)], 20))


def test_the_metric_is_used_where_held_out_photos_are_ranked_better_by_it() -> None:
    rng = np.random.default_rng(4)
    by_view = held_out(turned(rng, 4.0))
    assert by_view.recall[2] > by_view.recall[0] + 0.2
    assert by_view.way >= 2
    assert len(by_view.matrix) == 16
    easy = held_out(turned(rng, 0.1))
    assert (easy.way, len(easy.matrix)) == (0, 0)


def test_a_metric_is_not_believed_for_having_seen_another_post_of_the_same_thing() -> None:
    """Brands without any likeness, each item shown twice, once a little differently: only the twin is near."""
    rng = np.random.default_rng(6)
    things = rng.normal(size=(80, 96))
    vectors = unit(np.repeat(things, 2, axis=0) + 0.02 * rng.normal(size=(160, 96)))
    brands = np.repeat([f"b{n}" for n in range(8)], 20)
    photos = Sample(vectors, np.repeat([f"i{n:03d}" for n in range(80)], 2), brands)
    assert photos.labels is photos.groups  # the second photo of an item is a copy
    assert (photos.units[::2] == photos.units[1::2]).all()
    assert held_out(photos).recall.max() < 0.3


def test_what_is_near_to_everything_is_taken_off_where_more_can_be_claimed_by_it() -> None:
    """Brands at right angles, and in every photo some of what all show: how much, says how near it is to other brands."""
    rng = np.random.default_rng(3)
    brands = np.repeat([f"b{n}" for n in range(6)], 20)
    own = np.repeat(np.eye(6), 20, axis=0) + 0.1 * rng.normal(size=(120, 6))
    shared = rng.uniform(0, 1.5, size=(120, 1))
    for common, weight in ((shared, 0.5), (np.zeros((120, 1)), 0.0)):
        learnt = held_out(Sample(unit(np.concatenate([own, common], axis=1)), np.arange(120).astype("U3"), brands))
        assert (learnt.weight, learnt.kinds, learnt.way) == (weight, 6, 0)


def test_two_brands_alone_are_not_claimed() -> None:
    c = catalog()
    two = FakeCatalog([(b, i, list(v)) for (b, i), v in zip(ROWS, c.vectors, strict=True) if b in ("aurel", "brume")])
    shown = query(two.vectors[0] + 0.01)
    finding = ask(DesignSignal(two, DesignConfig()), shown)[1]  # type: ignore[arg-type]
    assert finding.status is FindingStatus.ABSTAINED  # type: ignore[attr-defined]
    assert "too few brands" in finding.reason  # type: ignore[attr-defined]
    two.likeness.learnt = replace(two.likeness.learnt, kinds=3, foreign=c.likeness.learnt.foreign)
    assert "too few" not in str(ask(DesignSignal(two, DesignConfig()), shown)[1].reason)  # type: ignore[arg-type, attr-defined]


@pytest.mark.parametrize(("brands", "groups"), [("aabb", "aabb"), ("aabb--", "aabb"), ("aaaa", "0123"), ("aaaa--", "0123")])
def test_how_many_kinds_a_catalog_has(brands: str, groups: str) -> None:
    """Background photos, written -, are none."""
    n = len(brands)
    sample = Sample(
        np.eye(n, dtype=np.float32), np.array([*"012345"[:n]]), np.array(["" if b == "-" else b for b in brands])
    )
    assert sample.groups[sample.known].tolist() == list(groups)
    assert held_out(sample).kinds == len(set(groups))


def test_what_a_metric_makes_of_its_own_photos_is_not_believed() -> None:
    """Brands without any likeness: a metric learnt on the very photos tells them apart, on photos held out it does not."""
    rng = np.random.default_rng(5)
    vectors = unit(rng.normal(size=(160, 96)))
    brands = np.repeat([f"b{n}" for n in range(8)], 20)
    items = np.array([f"{brand}-{n:03d}" for n, brand in enumerate(brands)])
    learnt = held_out(Sample(vectors, items, brands))
    assert learnt.recall.max() < 0.3
    assert np.median(learnt.genuine) < np.quantile(learnt.foreign, 0.9)


@pytest.mark.parametrize("brands", [[], ["b"], ["", "", ""], ["", "", "b"]], ids=str)
def test_a_catalog_with_next_to_nothing_knows_nothing(brands: list[str]) -> None:
    n = len(brands)
    learnt = held_out(Sample(unit(np.eye(n, 4)), np.array([f"i{i}" for i in range(n)], str), np.array(brands, str)))
    assert (learnt.way, learnt.trials, len(learnt.genuine)) == (0, 0, 0)


def test_copies_of_a_photo_say_nothing() -> None:
    """Every photo is there twice and none a third time: there is no second photo."""
    rows = [(brand, brand, list(np.eye(4)[axis])) for axis, brand in enumerate("abcd") for _ in range(2)]
    c = FakeCatalog(rows)
    assert c.likeness.learnt.trials == 0
    assert "no second photo" in ask(DesignSignal(c, DesignConfig()), query([1, 0, 0, 0.1]))[1].reason  # type: ignore[arg-type]
    assert "nothing is certain" in c.likeness.describe()


def test_a_brand_has_a_floor_of_its_own() -> None:
    """Photos of the tight brand are 0.97 and more alike, those of the loose one some 0.8."""
    rng = np.random.default_rng(0)
    rows = []
    for axis, (brand, noise) in enumerate((("loose", 0.3), ("tight", 0.08))):
        rows += [(brand, f"{brand}{n}", list(np.eye(8)[axis] + noise * rng.normal(size=8))) for n in range(30)]
    rows.append(("small", "small", list(np.eye(8)[2])))
    likeness = FakeCatalog(rows).likeness
    assert likeness.least("loose") < likeness.least("small") < likeness.least("tight") <= 0.98


def test_floors_by_hand() -> None:
    """Pairs at known cosines, at right angles to all else: how near each photo is to another one of its brand is known."""

    def twins(first: int, cosines: list[float]) -> list[list[float]]:
        pairs = [(np.eye(39)[first + 2 * n], np.eye(39)[first + 2 * n + 1], c) for n, c in enumerate(cosines)]
        return [list(v) for x, y, c in pairs for v in (x, c * x + (1 - c * c) ** 0.5 * y)]

    of_brand = {"many": twins(0, [0.09 * n for n in range(1, 11)]), "few": [*twins(20, [0.5] * 9), list(np.eye(39)[38])]}
    likeness = FakeCatalog([(b, f"{b}{n}", v) for b, vs in of_brand.items() for n, v in enumerate(vs)]).likeness
    assert likeness.least("many") == pytest.approx(0.18)  # of 20, 15 % lie between the third and the fourth: 0.18 both
    assert likeness.least("few") == pytest.approx(0.27)  # 19 are too few: of all 39, between the sixth and the seventh
    assert FakeCatalog([("a", "a", [1, 0]), ("b", "b", [0, 1])]).likeness.least("a") == 1.0
    likeness.learnt = replace(likeness.learnt, near=np.float32([0.3, 0.4, 0.5]))  # as the strangers above
    assert likeness.as_far(0.4) == pytest.approx(0.5)
    assert likeness.as_far(0.4 - 6.965 * 0.1 * (4 / 3) ** 0.5) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_scores_where_the_nearest_photo_alone_counts_by_hand(weight: float) -> None:
    """Brands at right angles, cosines of 0.8 and 0.6 to them: the weight's part of that to the other brand is taken off."""
    c = FakeCatalog([("a", "a", [1, 0]), ("b", "b", [0, 1])])
    c.items["stray"] = Item("stray", "of no photo")
    assert (c.likeness.learnt.way, c.likeness.learnt.weight) == (0, 0.0)
    c.likeness.learnt = replace(c.likeness.learnt, weight=weight)
    [compared] = c.likeness.compare(unit([[0.8, 0.6]]))
    assert compared.scores([], []) == []
    assert compared.scores([0.7, 0.6], ["a", "b"]) == pytest.approx([0.7 - 0.6 * weight, 0.6 - 0.6 * weight])
    assert compared.scores([0.9], ["stray"]) == pytest.approx([0.9 - 0.7 * weight])  # of both brands


def test_a_claim_is_about_the_brand_or_the_item_where_there_is_one_brand() -> None:
    assert catalog().likeness.group("aurel-0") == "aurel"
    assert FakeCatalog([("b", "i", [1, 0]), ("b", "j", [0, 1])]).likeness.group("i") == "i"


def test_only_reference_photos_of_the_catalog_stand_for_an_item() -> None:
    c = catalog()
    c.photos["sha0"] = replace(c.photos["sha0"], role=PhotoRole.NEGATIVE)
    del c.photos["sha1"]
    assert c.likeness.references("aurel-0").photos == ["sha2", "sha3", "sha4", "sha5"]


def test_of_a_catalog_without_photos_nothing_is_learnt() -> None:
    c = catalog()
    c.photos.clear()
    rows, photos = sample(c)  # type: ignore[arg-type]
    assert (rows, len(photos.vectors), len(photos.items)) == ([], 0, 0)


def test_the_settings_are_those_that_the_benchmarks_chose() -> None:
    assert (PHOTOS, asdict(DesignConfig())) == (2048, {"neighbors": 50, "candidates": 10, "local_weight": 8.0})


def test_what_is_learnt_from_are_references_of_known_items_and_background_photos() -> None:
    c = FakeCatalog([("b", f"i{n}", list(np.eye(8)[n])) for n in range(7)])
    c.photos["sha1"] = replace(c.photos["sha1"], role=PhotoRole.NEGATIVE)
    c.photos["sha2"] = replace(c.photos["sha2"], item_id="of no catalog")
    c.photos["sha3"] = replace(c.photos["sha3"], item_id=None)
    c.photos["sha4"] = replace(c.photos["sha4"], role=PhotoRole.BACKGROUND, item_id=None)
    del c.photos["sha5"]
    rows, photos = sample(c)  # type: ignore[arg-type]
    assert rows == [4, 0, 6]
    assert photos.items.tolist() == ["\0" + "000000004", "i0", "i6"]
    assert photos.brands.tolist() == ["", "b", "b"]
    assert np.array_equal(photos.vectors, c.vectors[rows])


@pytest.mark.parametrize(("photos", "items"), [(48, [0, 1, 2, 3, 4, 5, 6, 7]), (47, [0, 2, 4, 6]), (10, [0, 5]), (1, [0])])
def test_a_sample_takes_whole_items_evenly(photos: int, items: list[int]) -> None:
    """Eight items of six photos: of 48 photos every second item makes at most 47, every fifth about ten."""
    rows, _ = sample(catalog(), photos)  # type: ignore[arg-type]
    assert rows == [6 * item + n for item in items for n in range(6)]


def test_the_references_of_items_are_kept_until_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgmatch.catalog.likeness._ITEMS_KEPT", 2)
    likeness = catalog().likeness
    first, second = likeness.references("aurel-0"), likeness.references("aurel-1")
    assert first.photos == [f"sha{n}" for n in range(6)]
    assert likeness.references("aurel-0") is first
    assert likeness.references("aurel-1") is second
    likeness.references("brume-0")
    assert likeness.references("aurel-0") is not first


def test_an_item_without_reference_photos_is_like_nothing() -> None:
    c = catalog()
    c.items["bare"] = Item("bare", "aurel")
    assert [len(part) for part in c.likeness.references("bare")] == [0, 0, 0, 0]
    q = query(c.vectors[9])
    q.candidates = (Candidate("bare", "aurel", 0.0, "", "photo-1", 0.0, ("text",)),)
    [[finding]] = DesignSignal(c, DesignConfig()).examine([q])  # type: ignore[arg-type]
    assert finding.reason == "No catalog item is near enough to compare with."


def test_the_mean_of_opposite_photos_points_nowhere() -> None:
    c = FakeCatalog([("b", "i", [1, 0]), ("b", "i", [-1, 0])])
    assert c.likeness.references("i").mean.tolist() == [0, 0]


def test_each_photo_is_compared_with_the_mean_of_its_brand_where_items_have_one_photo() -> None:
    rows = [
        (b, f"{b}{n}", v)
        for b, vs in (("a", ([3, 4, 0], [4, 3, 0])), ("b", ([0, 0, 1], [0, 1, 0])))
        for n, v in enumerate(vs)
    ]
    likeness = FakeCatalog(rows).likeness
    half = 0.5**0.5
    assert likeness.references("a0").mean.tolist() == pytest.approx([half, half, 0])
    assert likeness.references("b1").mean.tolist() == pytest.approx([0, half, half])


def test_how_items_are_ranked_is_said_in_words() -> None:
    likeness = likeness_with([0.6] * 10, [0.4] * 10)
    shares = {(): "none", (0.25,): "nearest 0.25", (0.25, 0.5): "nearest 0.25, nearest and mean 0.50"}
    for recall, said in shares.items():
        likeness.learnt = replace(likeness.learnt, way=1, recall=np.array([*recall, *[0] * (4 - len(recall))]))
        few = f"nearest and mean; too few photos for a metric (share of 10 held-out photos whose first hit is right: {said})"
        assert likeness.describe() == few
    likeness.learnt = replace(likeness.learnt, way=0, recall=np.array([0.25, 0, 0.2, 0]))
    assert "nearest; no learnt metric ranks better (" in likeness.describe()
    likeness.metric = Metric(np.zeros(2, np.float32), np.eye(2, dtype=np.float32))
    likeness.learnt = replace(likeness.learnt, way=2)
    assert "metric; that ranks best (" in likeness.describe()


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


SEPARABLE = likeness_with(*(np.random.default_rng(0).normal(m, 0.2, 50) for m in (0.4, 0.0)))


# Conformance and behaviour


def test_it_is_a_signal() -> None:
    assert isinstance(DesignSignal(catalog(), DesignConfig()), Signal)  # type: ignore[arg-type]


def test_the_item_is_named_with_its_model_and_variant() -> None:
    c = catalog()
    candidates, finding = ask(DesignSignal(c, DesignConfig()), query(c.vectors[9]))  # type: ignore[arg-type]
    assert candidates[0].item_id == finding.item_id == "aurel-1"
    assert candidates[0].similarity == pytest.approx(1)
    assert finding.status is FindingStatus.OK
    assert finding.value >= 0.5
    assert finding.evidence["facts"]["model"] == "M"
    assert finding.evidence["facts"]["next variant"] == "aurel-0"
    assert finding.reason.endswith(" Model M, nearest variants: aurel-1, aurel-0.")


def test_the_best_of_several_photos_counts() -> None:
    c = catalog()
    _, finding = ask(DesignSignal(c, DesignConfig()), query([1, 1, *[0] * 10], c.vectors[9]))  # type: ignore[arg-type]
    assert (finding.item_id, finding.photo_id) == ("aurel-1", "photo-2")


def test_the_only_brand_of_a_kind_is_not_distinguished_from_its_kind() -> None:
    """Shoes of four brands and two bags of a fifth: another bag is near to these, and far from all that could tell it."""
    rows = [(brand, item, [*vector, 1.0]) for (brand, item), vector in zip(ROWS, catalog().vectors, strict=True)]
    bags = [[0.0] * 11 + [1.0, 0.2], [0.0] * 10 + [0.3, 1.0, 0.2]]
    c = FakeCatalog([*rows, *(("solo", f"solo-{n}", bag) for n, bag in enumerate(bags))])
    q = query([0.0] * 10 + [0.15, 1.0, 0.0])
    _, finding = ask(DesignSignal(c, DesignConfig(local_weight=0.0)), q)  # type: ignore[arg-type]
    assert finding.status is FindingStatus.ABSTAINED
    assert "nothing else like it" in finding.reason


def sure(**changed: object) -> FakeCatalog:
    """The four brands; less than one stranger in a hundred is expected above 0.19, unless something is changed."""
    c = catalog()
    c.likeness.learnt = replace(c.likeness.learnt, genuine=np.linspace(0.2, 1, 400), foreign=np.linspace(-1, 0, 400))
    for name, value in {"least": lambda group: 0.5, **changed}.items():
        setattr(c.likeness, name, value)
    return c


BETWEEN = [1, 0.9, 0, 0, 0.2, 0, 0.2, *[0] * 5]
"""Nearer to aurel, and nearly as near to brume."""


@pytest.mark.parametrize(
    ("changed", "vector", "why"),
    [
        ({}, [3, 0.3, 0, 0, 1, *[0] * 7], None),
        ({}, BETWEEN, "Two brands are about equally near: Aurel M (0.76) and Brume M (0.72)."),
        ({"least": lambda group: 0.99}, BETWEEN, "Nothing in the catalog is near enough"),
        ({"least": lambda group: 0.99 if group == "brume" else 0.5}, BETWEEN, "Two brands are about equally near"),
        ({"false_claims": lambda score: 0.011}, [3, 0.3, 0, 0, 1, *[0] * 7], "Nothing in the catalog is near enough"),
        ({"certainty": lambda score: 0.6 if score > 0.5 else 0.49}, [3, 0.3, 0, 0, 1, *[0] * 7], None),
        ({"certainty": lambda score: 0.6 if score > 0.5 else 0.5}, [3, 0.3, 0, 0, 1, *[0] * 7], "Two brands are"),
        ({"alone": lambda group: group == "aurel"}, [3, 0.3, 0, 0, 1, *[0] * 7], "nothing else like it"),
    ],
)
def test_each_doubt_alone_is_enough_to_claim_nothing(
    changed: dict[str, object], vector: list[float], why: str | None
) -> None:
    candidates, finding = ask(DesignSignal(sure(**changed), DesignConfig(local_weight=0.0)), query(vector))  # type: ignore[arg-type]
    assert (candidates[0].brand, finding.photo_id) == ("aurel", "photo-1")
    assert finding.status is (FindingStatus.OK if why is None else FindingStatus.ABSTAINED)
    assert (finding.brand, finding.item_id) == (("aurel", candidates[0].item_id) if why is None else (None, None))
    assert (
        why
        or f"The photo looks like Aurel M (similarity {candidates[0].similarity:.2f}). Model M, nearest variants: aurel-0,"
    ) in finding.reason
    facts = finding.evidence["facts"]
    rival = next(c for c in candidates if c.brand != "aurel")
    assert facts["next brand"] == rival.brand == "brume"
    assert facts["margin over the next brand"] == round(candidates[0].score - rival.score, 4)
    assert facts["similarity"] == round(candidates[0].similarity, 4)
    needed = facts["largest such share at which a brand is claimed"], facts["similarity needed for a claim"]
    near_enough = facts["share of other goods expected to score so high"] <= needed[0] and facts["similarity"] >= needed[1]
    assert near_enough == ("Nothing in the catalog is near enough" not in finding.reason)
    assert "part-by-part similarity" not in facts


def test_a_photo_is_compared_in_the_space_of_the_metric_and_its_similarity_stays_plain() -> None:
    """How a photo was taken outweighs what it shows: plain, a photo of i00 is nearest to one of another item."""
    photos = turned(np.random.default_rng(4), 4.0)
    c = FakeCatalog([(b, i, list(v)) for b, i, v in zip(photos.brands, photos.items, photos.vectors, strict=True)])
    likeness = c.likeness
    assert likeness.metric is not None
    likeness.learnt = replace(likeness.learnt, weight=0.5)
    shown = (unit(np.concatenate([taken[:4], c.vectors[0][4:]])) for taken in c.vectors[5:])  # i00, taken like another
    seen = next(v for v in shown if (c.vectors @ v).argmax() >= 5)
    mapped = unit((c.vectors - likeness.learnt.mean) @ likeness.learnt.matrix)
    by_hand = unit((seen - likeness.learnt.mean) @ likeness.learnt.matrix)
    assert np.allclose(likeness.compare(seen[None])[0].similarities, mapped @ by_hand, atol=1e-5)
    best = DesignSignal(c, DesignConfig(neighbors=200)).propose([query(seen)])[0][0]  # type: ignore[arg-type]
    assert best.item_id == "i00"
    nearest = int((mapped[:5] @ by_hand).argmax())
    assert best.photo == f"sha{nearest}"
    assert best.similarity == pytest.approx(float(c.vectors[nearest] @ seen), abs=1e-5)
    mean = unit(mapped[:5].mean(axis=0))
    others = mapped[photos.brands != "b0"] @ by_hand
    score = (float(mapped[nearest] @ by_hand) + float(mean @ by_hand)) / 2 - 0.5 * np.sort(others)[-10:].mean()
    assert best.score == pytest.approx(score, abs=1e-4)


def test_two_brands_equally_near_is_no_claim() -> None:
    _, finding = ask(DesignSignal(catalog(), DesignConfig()), query([1, 1, 0, 0, 0.2, 0, 0.2, *[0] * 5]))  # type: ignore[arg-type]
    assert finding.status is FindingStatus.ABSTAINED
    assert finding.brand is None


def seen_in_parts() -> tuple[FakeCatalog, Query]:
    """A catalog and a photo that is nearest to aurel-1 as a whole, to aurel-0 part by part."""
    c = catalog()
    parts = {f"sha{n}": [1, 0, 0] if n < 6 else [0, 1, 0] for n in range(12)} | {"q1": [1, 0, 0]}
    c.see(lambda sha: np.tile(parts.get(sha, [0.0, 0.0, 1.0]), (2, 2, 1)))
    return c, query(c.vectors[6] + 0.9 * c.vectors[0])


def test_the_closer_look_can_turn_the_order_but_not_raise_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CloserLook, "helps", True)
    c, q = seen_in_parts()
    signal = DesignSignal(c, DesignConfig(local_weight=1.0))  # type: ignore[arg-type]
    plain = {x.item_id: x for x in DesignSignal(c, DesignConfig(local_weight=0.0)).propose([q])[0]}  # type: ignore[arg-type]
    closer = signal.propose([q])[0]
    assert next(iter(plain)) == "aurel-1"
    assert closer[0].item_id == "aurel-0"
    assert all(x.score <= plain[x.item_id].score for x in closer)
    q.candidates = tuple(closer)
    assert signal.examine([q])[0][0].evidence["facts"]["part-by-part similarity"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("weight", "metric", "helps", "dense"),
    [(8.0, None, True, True), (8.0, None, False, False), (8.0, "one", True, False), (0.0, None, True, False)],
)
def test_photos_are_looked_at_part_by_part_where_it_helps_and_there_is_no_metric(
    weight: float, metric: str | None, helps: bool, dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CloserLook, "helps", helps)
    c = catalog()
    monkeypatch.setattr(c.likeness, "metric", metric)
    assert DesignSignal(c, DesignConfig(local_weight=weight)).dense is dense  # type: ignore[arg-type]


@pytest.mark.parametrize(("candidates", "helps", "looked"), [(2, True, True), (1, True, False), (2, False, False)])
def test_one_candidate_needs_no_closer_look(
    candidates: int, helps: bool, looked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CloserLook, "helps", helps)
    c, q = seen_in_parts()
    _, finding = ask(DesignSignal(c, DesignConfig(candidates=candidates)), q)  # type: ignore[arg-type]
    assert ("part-by-part similarity" in finding.evidence["facts"]) is looked  # type: ignore[attr-defined]


def test_each_photo_is_compared_part_by_part_with_its_own_nearest_references(monkeypatch: pytest.MonkeyPatch) -> None:
    c = catalog()
    asked: list[tuple[str, list[str]]] = []

    def similarities(self: CloserLook, photo: PhotoContext, references: list[str]) -> list[float]:
        asked.append((photo.photo_id, list(references)))
        return [0.123456] * len(references)

    monkeypatch.setattr(CloserLook, "helps", True)
    monkeypatch.setattr(CloserLook, "similarities", similarities)
    signal = DesignSignal(c, DesignConfig(neighbors=1))  # type: ignore[arg-type]
    _, finding = ask(signal, query(c.vectors[0], c.vectors[47]))
    assert asked == [("photo-1", ["sha0"]), ("photo-2", ["sha47"])]
    assert finding.evidence["facts"]["part-by-part similarity"] == 0.1235  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"model": "M", "variant": "red", "next variant": "blue"}, " Model M, nearest variants: red, blue."),
        ({"model": "M", "variant": "red"}, " Model M, nearest variants: red."),
        ({"model": "M", "next variant": "blue"}, " Model M, nearest variants: blue."),
        ({"model": "M"}, ""),
        ({"variant": "red", "next variant": "blue"}, ""),
    ],
)
def test_the_model_and_the_variants_are_named_where_they_are_known(facts: dict[str, str], words: str) -> None:
    best = Candidate("aurel-0", "aurel", 0.7, "sha0", "photo-1", 0.5, ("design",))
    said = DesignSignal(catalog(), DesignConfig())._reason(best, facts)  # type: ignore[arg-type]
    assert said == f"The photo looks like Aurel M (similarity 0.70).{words}"


@pytest.mark.parametrize(("variant", "called"), [("red", "red"), (None, "aurel-0")])
def test_the_next_variant_is_called_by_its_item_where_it_has_no_name(variant: str | None, called: str) -> None:
    c = catalog()
    c.items["aurel-0"] = replace(c.items["aurel-0"], variant=variant)
    _, finding = ask(DesignSignal(c, DesignConfig()), query(c.vectors[9]))  # type: ignore[arg-type]
    assert finding.evidence["facts"]["next variant"] == called  # type: ignore[attr-defined]


def test_a_model_of_another_brand_by_the_same_name_is_no_variant() -> None:
    c = catalog()
    c.items["aurel-0"] = replace(c.items["aurel-0"], model="N")
    _, finding = ask(DesignSignal(c, DesignConfig()), query(c.vectors[9]))  # type: ignore[arg-type]
    assert "next variant" not in finding.evidence["facts"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("strangers", "first"), [(0.98, "aurel-0"), (0.99, "aurel-1"), (1.0, "aurel-1")])
def test_what_nearly_every_stranger_is_nearer_than_is_not_looked_at_closely(
    strangers: float, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CloserLook, "helps", True)
    c, q = seen_in_parts()
    monkeypatch.setattr(c.likeness, "false_claims", lambda score: strangers)
    assert DesignSignal(c, DesignConfig(local_weight=1.0)).propose([q])[0][0].item_id == first  # type: ignore[arg-type]


@pytest.mark.parametrize(("parts_know", "helps"), [(True, True), (False, False)])
def test_the_closer_look_is_used_where_held_out_photos_are_ranked_better_by_it(parts_know: bool, helps: bool) -> None:
    """Photos whose vectors say nothing; the parts of an item's photos are alike, or as random."""
    rng = np.random.default_rng(6)
    c = FakeCatalog([("b", f"i{n:02d}", list(rng.normal(size=6))) for n in range(12) for _ in range(3)])
    of_item, of_photo = unit(rng.normal(size=(12, 3))), unit(rng.normal(size=(36, 3)))
    c.see(lambda sha: np.tile(of_item[int(sha[3:]) // 3] if parts_know else of_photo[int(sha[3:])], (2, 2, 1)))
    assert CloserLook(c, 8.0).helps is helps  # type: ignore[arg-type]


def test_what_other_signals_proposed_is_ranked_with_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CloserLook, "helps", True)
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
    candidates, _ = ask(DesignSignal(catalog(), DesignConfig()), query([1, *[0] * 11], role="promo"))  # type: ignore[arg-type]
    assert candidates == []


def test_a_query_is_answered_alike_alone_and_in_a_batch() -> None:
    signal = DesignSignal(catalog(), DesignConfig())  # type: ignore[arg-type]
    rows = np.random.default_rng(3).normal(size=(4, 12))
    together = signal.propose([query(r) for r in rows])
    assert together == [signal.propose([query(r)])[0] for r in rows]


# Properties


@settings(max_examples=30, deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1))
def test_certainty_never_falls_as_the_score_rises(a: float, b: float) -> None:
    rng = np.random.default_rng(0)
    assert SEPARABLE.certainty(min(a, b)) <= SEPARABLE.certainty(max(a, b))
    assert SEPARABLE.certainty(rng.uniform(-2, 2)) <= 0.99  # of 50 photos


def test_local_similarity_does_not_ask_where_parts_lie() -> None:
    rng = np.random.default_rng(2)
    cells, others = unit(rng.normal(size=(3, 3, 8))), unit(rng.normal(size=(4, 3, 3, 8)))
    centre = np.zeros(8, np.float32)
    base = local_similarity(cells, others, centre)
    assert np.allclose(local_similarity(cells[::-1, ::-1], others[:, ::-1], centre), base, atol=1e-6)
    assert local_similarity(cells, cells[None], centre)[0] == pytest.approx(1)
