"""Synthetic markets: the truth has one row for every listing and agrees with it."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.frame.scorer import auroc
from imgmatch.augment import wording
from imgmatch.augment.rates import BAD, HONEST, Manner, asked
from imgmatch.io.sources import read_listings, read_posts
from imgmatch.market.lexicon import Lexicon
from imgmatch.records import Listing
from imgmatch.types import Label
from imgmatch.world.brands import make_brand
from imgmatch.world.campaign import make_campaign
from imgmatch.world.catalog_source import write_catalog_source
from imgmatch.world.demo import DEMO_RATES
from imgmatch.world.goods import GOODS, goods_photo
from imgmatch.world.logos import wordmark_ink
from imgmatch.world.market import LISTING_COLUMNS, TRUTH_COLUMNS, Market, make_market
from imgmatch.world.offers import BAD_OFFERS, HONEST_OFFERS
from tests.test_world import REAL


def build(out: Path, **options: object) -> Market:
    settings = {"seed": 3, "listings": 40, "base_rate": 0.5, "bags": 1, "watches": 1, "rings": 1, **options}
    return make_market(out, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("market")


@pytest.fixture(scope="module")
def market(folder: Path) -> Market:
    return build(folder)


def test_every_listing_has_its_one_row_of_truth(market: Market, folder: Path) -> None:
    assert len(market.listings) == 40
    assert [r["listing_id"] for r in market.listings] == [t["listing_id"] for t in market.truth]
    assert len({r["listing_id"] for r in market.listings}) == 40
    for name, columns, rows in (("listings", LISTING_COLUMNS, market.listings), ("truth", TRUTH_COLUMNS, market.truth)):
        with open(folder / f"{name}.csv", encoding="utf-8", newline="") as f:
            table = csv.DictReader(f)
            assert table.fieldnames == list(columns)
            assert [r["listing_id"] for r in table] == [r["listing_id"] for r in rows]


def test_listings_are_listings(market: Market) -> None:
    for row in market.listings:
        listing = Listing.from_dict(row)
        assert not listing.extra
        assert listing.photos
        assert not listing.photo_only


def test_photos_exist_and_are_those_of_the_truth(market: Market, folder: Path) -> None:
    for row, truth in zip(market.listings, market.truth, strict=True):
        assert [*row["photos"], *row["promo_photos"]] == [p["path"] for p in truth["photos"]]
        for photo in truth["photos"]:
            assert cv2.imread(str(folder / photo["path"])) is not None


def test_the_base_rate_is_kept_and_kinds_are_of_their_side(market: Market) -> None:
    assert sum(t["bad"] for t in market.truth) == 20
    for truth in market.truth:
        assert truth["kind"] in (BAD_OFFERS if truth["bad"] else HONEST_OFFERS)
        assert set(truth["labels"]) <= {str(label) for label in Label}
        if truth["bad"]:
            assert truth["labels"]
            assert truth["brand"]
        items = {p.spec.item_id: p.spec.brand.brand for p in market.products}
        assert items.get(truth["item_id"], "") == truth["brand"]


def test_a_ring_shares_photos_across_sellers_and_platforms(market: Market) -> None:
    ring = [(r, t) for r, t in zip(market.listings, market.truth, strict=True) if t["ring_id"]]
    assert {t["ring_id"] for _, t in ring} == {"ring-1"}
    assert len({r["seller_id"] for r, _ in ring}) >= 3
    assert len({r["platform"] for r, _ in ring}) >= 2
    shown = defaultdict(set)
    for row, truth in ring:
        assert "ring_member" in truth["labels"]
        for photo in truth["photos"]:
            if photo["source"] == "own":
                shown[photo["item_id"], photo["view"]].add(row["seller_id"])
    assert max(len(sellers) for sellers in shown.values()) >= 2
    outside = {r["seller_id"] for r, t in zip(market.listings, market.truth, strict=True) if not t["ring_id"]}
    assert not outside & {r["seller_id"] for r, _ in ring}


def test_only_the_dishonest_say_replica_and_some_honest_ones_can_be_reached_outside(market: Market) -> None:
    reachable: dict[bool, list[bool]] = {True: [], False: []}
    for row, truth in zip(market.listings, market.truth, strict=True):
        text = f"{row['contacts']} {row['description']}"
        reachable[truth["bad"]].append("telegram:" in text or "whatsapp:" in text)
        said = any(words in row["description"] for words in wording.SPEECH["fit"].outright)
        assert said == (truth["kind"] == "replica_wording")
    honest, bad = (np.mean(reachable[is_bad]) for is_bad in (False, True))
    assert 0 <= honest < bad


def test_a_bait_shows_a_brand_and_leads_to_something_else(market: Market) -> None:
    promoted = [(r, t) for r, t in zip(market.listings, market.truth, strict=True) if r["promo_photos"]]
    assert {t["mismatch"] == "switched" for _, t in promoted} == {True, False}
    for row, truth in promoted:
        assert (truth["mismatch"] == "switched") == (truth["kind"] == "bait_switch")
        assert (truth["mismatch"] == "styled") == (truth["kind"] == "styled_post")
        if truth["bad"]:
            assert {p["source"] for p in truth["photos"][: len(row["photos"])]} == {"goods"}
            assert truth["photos"][-1]["item_id"] == truth["item_id"]
    for row, truth in zip(market.listings, market.truth, strict=True):
        assert bool(truth["mismatch"]) == bool(row["promo_photos"])


def test_an_authorised_seller_is_one_of_the_brand(market: Market) -> None:
    brands = {p.spec.brand.brand: p.spec.brand for p in market.products}
    own = {pair for brand in brands.values() for pair in brand.authorised}
    for row, truth in zip(market.listings, market.truth, strict=True):
        assert ((row["platform"], row["seller_id"]) in own) == (truth["kind"] == "authorised")


def test_no_real_brand_is_named_anywhere(market: Market, folder: Path) -> None:
    text = (folder / "listings.csv").read_text(encoding="utf-8").lower()
    words = {w.strip(",.:-\"'[]") for w in text.split()}
    assert not words & set(REAL)
    assert not any(name in text for name in REAL if len(name) > 6)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    def digest(name: str) -> dict[str, str]:
        out = tmp_path / name
        build(out, listings=12)
        return {p.relative_to(out).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(out.rglob("*.*"))}

    assert digest("a") == digest("b")


def test_worlds_can_be_kept_apart(tmp_path: Path) -> None:
    brand = make_brand(11)
    market = build(
        tmp_path, listings=16, brands=[brand], forgeries=["moved_logo", "part_colour"], copy_edits=["crop"], rings=0
    )
    assert {t["brand"] for t in market.truth} <= {brand.brand, ""}
    assert {t["forgery"] for t in market.truth if t["kind"].startswith("altered")} <= {"moved_logo", "part_colour"}


def test_a_catalog_source_names_files_that_exist(market: Market, tmp_path: Path) -> None:
    manifest = write_catalog_source(tmp_path / "source", market.products[:2], views=2, background=3)
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    assert [r["item_id"] for r in rows] == [p.spec.item_id for p in market.products[:2]]
    brands = [json.loads(line) for line in (manifest.parent / "brands.jsonl").read_text(encoding="utf-8").splitlines()]
    names = [p for r in rows for p in r["photos"]] + [g["path"] for b in brands for g in b["logos"]]
    assert len(names) == 4 + 4
    assert all((manifest.parent / name).is_file() for name in names)
    assert len(list((manifest.parent / "background").iterdir())) == 3


def test_who_copies_an_official_photo_unchanged_has_the_catalogs_bytes(market: Market, folder: Path, tmp_path: Path) -> None:
    copies = [p for t in market.truth for p in t["photos"] if p["source"] == "official" and not p["edits"]]
    assert copies
    product = next(p for p in market.products if p.spec.item_id == copies[0]["item_id"])
    write_catalog_source(tmp_path, [product], views=5, background=0)
    official = tmp_path / f"photos/{product.spec.brand.brand}/{product.spec.item_id}/{copies[0]['view']}.jpg"
    assert official.read_bytes() == (folder / copies[0]["path"]).read_bytes()


def test_prices_as_written_by_hand() -> None:
    rng = np.random.default_rng(0)
    seen = {wording.price_text(rng, 1299.0, "EUR") for _ in range(300)}
    assert {("€1.300,00", ""), ("1,300.00 EUR", ""), ("1300", "EUR"), ("1.299 €", "")} <= seen
    assert DEMO_RATES["EUR"] == 1.0
    assert DEMO_RATES["USD"] == pytest.approx(0.917, abs=0.001)


def test_an_obfuscated_name_is_not_the_name() -> None:
    rng = np.random.default_rng(0)
    for speech in wording.SPEECH.values():
        names = {wording.obfuscated(rng, "Halvenne", speech.obfuscations) for _ in range(60)}
        assert "Halvenne" not in names
        assert {"H.a.l.v.e.n.n.e", "H a l v e n n e"} & names


def phrases(speech: wording.Speech) -> set[str]:
    said = {p for words in speech.conditions.values() for p in words}
    return said | {
        *speech.titles,
        *speech.private,
        *speech.shop,
        *speech.hints,
        *speech.outright,
        *speech.posts,
        *speech.hidden,
    }


def test_the_two_markets_share_no_phrase_and_none_is_copied_from_the_lexicon() -> None:
    fit, test = wording.SPEECH["fit"], wording.SPEECH["test"]
    assert not phrases(fit) & phrases(test)
    assert not set(fit.obfuscations) & set(test.obfuscations)
    lexicon = Lexicon.load()
    for speech in (fit, test):
        entries = {p.text for line in phrases(speech) for p in lexicon.find(line)}
        assert not {line.casefold() for line in phrases(speech)} & {e.casefold() for e in entries}
        known = [any(p.strength == "strong" for p in lexicon.find(line)) for line in speech.outright]
        assert 0 < np.mean(known) <= 0.5  # the rest the lexicon would have to know by luck
        assert not any(p.strength == "strong" for line in (*speech.private, *speech.shop) for p in lexicon.find(line))


@pytest.mark.parametrize("market", ["fit", "test"])
def test_no_price_separates_honest_from_dishonest(market: str) -> None:
    rng = np.random.default_rng(1)
    bad, honest = ([asked(rng, side, market)[1] for _ in range(4000)] for side in (BAD, HONEST))
    assert 0.2 < np.mean(np.array(bad) > 0.7) < 0.6  # many of the bad ask what is usual
    assert 0.03 < np.mean(np.array(honest) < 0.5) < 0.2  # and some of the honest next to nothing
    assert 0.6 < auroc([-price for price in bad], [-price for price in honest]) < 0.8
    assert asked(np.random.default_rng(0), Manner(0, 1, 0, 0, 0, 0), market)[0] == "cheap"


def test_fonts_of_a_world_are_named(tmp_path: Path) -> None:
    brand = make_brand(3101, ("DejaVuSerif",))
    assert brand.letters.face == "DejaVuSerif"
    plain, serif = (wordmark_ink("HALVENNE", b.letters) for b in (make_brand(3101), brand))
    assert plain.shape != serif.shape or (plain != serif).mean() > 0.05


@pytest.mark.parametrize("kind", sorted(GOODS))
def test_unrelated_goods_are_photos(kind: str) -> None:
    photo = goods_photo(kind, 1, plain=True, size=120)
    assert photo.shape == (120, 120, 3)
    assert photo.std() > 10
    assert np.array_equal(photo, goods_photo(kind, 1, plain=True, size=120))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"base_rate": 1.5}, "base_rate"),
        ({"brands": ()}, "at least one brand"),
        ({"forgeries": ["melt"]}, "unknown edits: melt"),
        ({"copy_edits": ["melt"]}, "unknown edits: melt"),
        ({"market": "moon"}, "market to be one of fit, test"),
    ],
)
def test_misuse_says_what_was_expected(tmp_path: Path, options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        build(tmp_path, **options)


def test_a_campaign_leads_from_one_account_to_other_sellers_harmless_goods(tmp_path: Path) -> None:
    market = make_market(tmp_path, seed=3, listings=4, base_rate=0.0, brands=[make_brand(41)], bags=2, watches=1, rings=0)
    make_campaign(tmp_path, market, seed=3, posts=4)
    rows = [listing for listing, problem in read_listings(tmp_path / "listings.csv") if problem is None]
    assert len(rows) == 8
    posts = read_posts(tmp_path / "posts.csv", tmp_path)
    led = [row for row, _ in map(posts.attach, ((r, None) for r in rows)) if row.promo_photos]
    assert (posts.problems, posts.unused) == ([], set())
    assert {row.extra["posts"][0]["account"] for row in led} == {led[0].extra["posts"][0]["account"]}
    assert len({(row.platform, row.seller_id) for row in led}) == 3
    assert all((tmp_path / p).is_file() for row in led for p in (*row.photos, *row.promo_photos))
