"""The rendered world: the same seed gives the same picture, parts are where they are said to be, so are forgeries."""

from __future__ import annotations

import numpy as np
import pytest

from imgmatch.augment.changes import differs
from imgmatch.augment.region_forge import REGION_FORGERIES, forge_region
from imgmatch.types import Box
from imgmatch.world.brands import DEMO_BRANDS, make_brand
from imgmatch.world.collection import make_collection
from imgmatch.world.forge import ITEM_FORGERIES, forge_item, forgeries_of, misspell
from imgmatch.world.logos import LOGO_KINDS, logo_picture
from imgmatch.world.render import OFFICIAL_VIEWS, PHONE_VIEWS, phone_photo, product_view, studio_photo
from imgmatch.world.specs import BagSpec, ItemSpec, WatchSpec

SIZE = 160  # of the pictures here: the same code as at full size, ten times as fast

BAGS = [p.spec for p in make_collection(DEMO_BRANDS[0], 0, bags=4, watches=0, variants=1)]
WATCHES = [p.spec for brand in DEMO_BRANDS for p in make_collection(brand, 0, bags=0, watches=2, variants=1)]

# Well-known marks of the goods that are rendered here; none may appear in an invented world.
REAL = (
    "louis vuitton", "vuitton", "gucci", "chanel", "hermes", "prada", "dior", "celine",
    "fendi", "balenciaga", "burberry", "coach", "michael kors", "saint laurent", "givenchy", "valentino",
    "versace", "bottega", "goyard", "loewe", "chloe", "mulberry", "longchamp", "rolex",
    "omega", "cartier", "patek", "audemars", "iwc", "panerai", "breitling", "tudor",
    "hublot", "zenith", "longines", "tissot", "movado", "seiko", "casio", "nike",
    "adidas", "tiffany", "bulgari", "montblanc", "swatch", "furla", "moschino", "miu miu",
)  # fmt: skip


def changed_mask(spec: ItemSpec, forged: ItemSpec, view: str, size: int) -> np.ndarray:
    """Where two items differ visibly in one view, by the studio photos that one camera takes of both."""
    return differs(studio_photo(spec, view, size), studio_photo(forged, view, size, framed_as=spec))


def test_the_same_item_gives_the_same_picture() -> None:
    first = product_view(BAGS[0], "three_quarter", SIZE)
    product_view.cache_clear()
    again = product_view(BAGS[0], "three_quarter", SIZE)
    assert first is not again
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.alpha, again.alpha)


def test_another_seed_designs_another_collection() -> None:
    a, b = (make_collection(DEMO_BRANDS[0], seed, bags=3, watches=2) for seed in (0, 1))
    assert a == make_collection(DEMO_BRANDS[0], 0, bags=3, watches=2)
    assert [p.spec for p in a] != [p.spec for p in b]


def test_items_have_ids_of_their_own_and_variants_differ_in_looks_alone() -> None:
    products = make_collection(DEMO_BRANDS[1], 0, bags=9, watches=6)
    assert len(products) == 15
    assert len({p.spec.item_id for p in products}) == 15
    bags = [p.spec for p in products if isinstance(p.spec, BagSpec)]
    a, b = bags[0], bags[1]
    assert a.model == b.model
    assert (a.silhouette, a.width, a.clasp, a.logo) == (b.silhouette, b.width, b.clasp, b.logo)
    assert (a.variant, a.colour, a.trim) != (b.variant, b.colour, b.trim)


def test_an_edit_that_cannot_be_seen_is_refused() -> None:
    plain = np.full((64, 64, 3), 120, np.uint8)
    with pytest.raises(ValueError, match="changes nothing visible"):
        forge_region("mirror", plain, Box(10, 10, 40, 40), np.random.default_rng(0))


@pytest.mark.parametrize("spec", [BAGS[0], WATCHES[0]], ids=["bag", "watch"])
def test_every_view_shows_the_product_and_the_views_differ(spec: ItemSpec) -> None:
    views = OFFICIAL_VIEWS[spec.category] + PHONE_VIEWS[spec.category]
    pictures = [product_view(spec, view, SIZE) for view in views]
    for picture in pictures:
        assert 0.08 < (picture.alpha > 127).mean() <= 1
        assert picture.pixels.shape == (SIZE, SIZE, 3)
    flat = [p.pixels.astype(int) for p in pictures]
    for i in range(len(flat)):
        for j in range(i):
            assert np.abs(flat[i] - flat[j]).mean() > 1


@pytest.mark.parametrize("spec", [BAGS[0], WATCHES[0]], ids=["bag", "watch"])
def test_parts_are_visible_parts_of_the_product(spec: ItemSpec) -> None:
    picture = product_view(spec, "front", SIZE)
    assert {"logo", "clasp" if spec.category == "bag" else "hands"} <= set(picture.parts)
    for name, mask in picture.parts.items():
        assert mask[picture.alpha == 0].max(initial=0) <= 64, name
    x0, y0, x1, y1 = picture.box("logo") or (0, 0, 0, 0)
    assert 0 < x0 < x1 < SIZE
    assert 0 < y0 < y1 < SIZE


def test_what_lies_below_is_not_a_visible_part() -> None:
    watch = product_view(WATCHES[0], "dial", SIZE)
    assert np.minimum(watch.parts["hands"], watch.parts["dial"]).max() < 200
    assert (watch.parts["hands"] > 127).any()


def test_a_logo_close_up_is_about_the_logo() -> None:
    front, close = (product_view(BAGS[0], view, SIZE) for view in ("front", "logo"))
    assert (close.parts["logo"] > 127).sum() > 3 * (front.parts["logo"] > 127).sum()


def test_the_homography_of_a_phone_photo_maps_the_product() -> None:
    spec = BAGS[0]
    view = product_view(spec, "phone_a")
    photo = phone_photo(spec, "phone_a", np.random.default_rng(4), size=(420, 560), ground=("sheet", 1))
    assert photo.pixels.shape == (560, 420, 3)
    x0, y0, x1, y1 = view.box("logo") or (0, 0, 0, 0)
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2, 1.0])
    mapped = photo.homography @ middle
    x, y = (mapped[:2] / mapped[2]).round().astype(int)
    patch = photo.pixels[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(axis=0)
    here = (
        view.pixels[round(middle[1]) - 1 : round(middle[1]) + 2, round(middle[0]) - 1 : round(middle[0]) + 2]
        .reshape(-1, 3)
        .mean(axis=0)
    )
    assert np.abs(patch - here).max() < 40
    same = phone_photo(spec, "phone_a", np.random.default_rng(4), size=(420, 560), ground=("sheet", 1))
    assert np.array_equal(photo.pixels, same.pixels)


def _cases() -> list[tuple[str, ItemSpec]]:
    """One item for every forgery, and a second one where there is one of the other category."""
    cases = []
    for name in ITEM_FORGERIES:
        for specs in (BAGS, WATCHES):
            spec = next((s for s in specs if name in forgeries_of(s)), None)
            if spec is not None:
                cases.append((name, spec))
    return cases


def test_every_forgery_has_an_item_to_be_tested_on() -> None:
    assert {name for name, _ in _cases()} == set(ITEM_FORGERIES)


@pytest.mark.parametrize(("name", "spec"), _cases(), ids=lambda v: v if isinstance(v, str) else v.category)
def test_a_forgery_changes_the_design_where_its_mask_says_and_nowhere_else(name: str, spec: ItemSpec) -> None:
    forged = forge_item(name, spec, np.random.default_rng(2), 0.9)
    assert forged != spec
    assert forged.item_id == spec.item_id
    view = "front" if spec.category == "bag" else "dial"
    mask = changed_mask(spec, forged, view, SIZE)
    a, b = studio_photo(spec, view, SIZE), studio_photo(forged, view, SIZE, framed_as=spec)
    assert mask.any()
    assert not mask.all()
    assert np.abs(a.astype(int) - b)[~mask].max() < 10  # what is not marked is the same to the eye
    assert (np.abs(a.astype(int) - b).max(axis=2)[mask] >= 10).mean() > 0.3  # what is marked is not all gap


@pytest.mark.parametrize("name", ["moved_logo", "resized_logo", "misspelt_wordmark"])
def test_a_forged_logo_is_marked_at_the_logo(name: str) -> None:
    spec = BAGS[0]
    forged = forge_item(name, spec, np.random.default_rng(0), 0.6)
    mask = changed_mask(spec, forged, "front", SIZE)
    logos = np.maximum(
        product_view(spec, "front", SIZE).parts["logo"], product_view(forged, "front", SIZE, spec).parts["logo"]
    )
    y, x = np.nonzero(mask)
    ly, lx = np.nonzero(logos > 0)
    assert abs(x.mean() - lx.mean()) < 0.06 * SIZE
    assert abs(y.mean() - ly.mean()) < 0.06 * SIZE


def test_a_view_that_does_not_show_the_forgery_has_an_empty_mask() -> None:
    watch = next(w for w in WATCHES if isinstance(w, WatchSpec))
    forged = forge_item("different_hands", watch, np.random.default_rng(0))
    assert not changed_mask(watch, forged, "back", SIZE).any()


def test_a_stronger_forgery_moves_the_logo_farther() -> None:
    spec = BAGS[0]
    assert isinstance(spec, BagSpec)
    weak, strong = (forge_item("moved_logo", spec, np.random.default_rng(1), s) for s in (0.0, 1.0))
    assert isinstance(weak, BagSpec)
    assert isinstance(strong, BagSpec)
    assert abs(strong.logo_x - spec.logo_x) > 3 * abs(weak.logo_x - spec.logo_x)


@pytest.mark.parametrize("name", sorted(REGION_FORGERIES))
def test_a_forged_region_of_any_photo_changes_near_its_box_alone(name: str) -> None:
    photo = studio_photo(BAGS[0], "front")
    box = Box(*(product_view(BAGS[0], "front").box("logo") or (0, 0, 1, 1)))
    before = photo.copy()
    forged = forge_region(name, photo, box, np.random.default_rng(3), 0.8)
    assert np.array_equal(photo, before)
    assert np.array_equal(forged.image, forge_region(name, photo, box, np.random.default_rng(3), 0.8).image)
    assert forged.mask.any()
    assert np.abs(forged.image.astype(int) - photo)[~forged.mask].max() < 10
    y, x = np.nonzero(forged.mask)
    assert box.x0 - box.width <= x.min()
    assert x.max() <= box.x1 + box.width
    assert box.y0 - box.height <= y.min()
    assert y.max() <= box.y1 + box.height


def test_misspelt_words_are_other_words_that_begin_alike() -> None:
    rng = np.random.default_rng(0)
    for strength in (0.0, 1.0):
        words = {misspell("HALVENNE", rng, strength) for _ in range(60)}
        assert "HALVENNE" not in words
        assert len(words) > 10
        assert all(w.startswith("H") for w in words)


def test_invented_brands_differ_and_none_is_real() -> None:
    brands = [*DEMO_BRANDS, *(make_brand(seed) for seed in range(300))]
    assert make_brand(7) == make_brand(7)
    assert len({b.brand for b in brands}) > 250
    for brand in brands:
        for text in (
            brand.brand,
            brand.name,
            brand.wordmark,
            brand.domain,
            *brand.bag_models,
            *brand.watch_models,
            *brand.aliases,
        ):
            assert not any(name in text.lower() for name in REAL), text
        assert brand.domain.endswith(".example")  # reserved, RFC 2606
        assert any(ord(c) > 0x3000 for alias in brand.aliases for c in alias)  # also in other scripts


def test_logos_of_two_brands_differ() -> None:
    for kind in LOGO_KINDS:
        a, b = (logo_picture(brand, kind) for brand in DEMO_BRANDS[:2])
        assert a.dtype == np.uint8
        assert a.shape != b.shape or np.abs(a.astype(int) - b).mean() > 3


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: product_view(BAGS[0], "dial"), "expected one of front"),
        (lambda: forge_item("different_hands", BAGS[0], np.random.default_rng(0)), "for a bag like this"),
        (lambda: forge_item("moved_logo", BAGS[0], np.random.default_rng(0), 2.0), "strength"),
        (
            lambda: forge_region("melt", studio_photo(BAGS[0], "front"), Box(0, 0, 9, 9), np.random.default_rng(0)),
            "expected one of move",
        ),
        (lambda: forge_region("move", studio_photo(BAGS[0], "front"), Box(0, 0, 5, 9), np.random.default_rng(0)), "8 by 8"),
    ],
)
def test_misuse_says_what_was_expected(call, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=says):
        call()
