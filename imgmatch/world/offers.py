"""The kinds of offers on a market, honest and dishonest: what each shows, says and costs, and the truth about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imgmatch.augment import wording
from imgmatch.augment.rates import BAD, HONEST
from imgmatch.world.collection import Product
from imgmatch.world.forge import forge_item, forgeries_of, misspell
from imgmatch.world.goods import GOODS
from imgmatch.world.render import OFFICIAL_VIEWS, studio_photo
from imgmatch.world.specs import ItemSpec
from imgmatch.world.staging import LOGO_FORGERIES, Offer, Seller, World, forged

__all__ = ["BAD_OFFERS", "HONEST_OFFERS", "reachable"]

SHOPLIKE = 0.4
"""Share of dishonest sellers of new goods who describe them as a shop would: our guess."""

TIDY = ("resize", "recompress", "crop", "border", "caption", "watermark")
"""Edits that honest shops make too."""

_OWN = {"bag": ("phone_a", "phone_b", "phone_c", "phone_logo"), "watch": ("phone_a", "phone_dial", "phone_b", "phone_c")}


def _own_views(world: World, spec: ItemSpec, least: int = 1, most: int = 2) -> list[str]:
    names = [str(v) for v in world.rng.permutation(_OWN[spec.category])]
    return names[: int(world.rng.integers(least, most + 1))]


def _official_views(world: World, spec: ItemSpec) -> tuple[str, ...]:
    return OFFICIAL_VIEWS[spec.category][: int(world.rng.integers(1, 3))]


# Honest offers ------------------------------------------------------------------------------------------------------


def _private(world: World, seller: Seller, kind: str = "private_used", asks: str = "") -> Offer:
    product = world.one(world.products)
    spec, condition = product.spec, world.condition(HONEST)
    photos = world.own(spec, _own_views(world, spec), seller, spec.item_id)
    return world.offer(
        seller,
        product,
        photos,
        kind=kind,
        condition=condition,
        price=world.price(product.usual(condition), HONEST, asks),
        title=world.title(spec, condition),
        description=world.says(HONEST),
    )


def _bargain(world: World, seller: Seller) -> Offer:
    """An honest seller who does not know what it is worth."""
    return _private(world, seller, "bargain", "bargain")


def _stock_user(world: World, seller: Seller) -> Offer:
    """A private seller who took the popular photo instead of making one."""
    product = world.one(world.products[:4])
    condition = world.condition(HONEST)
    return world.offer(
        seller,
        product,
        [world.stock(product)],
        kind="stock_user",
        condition=condition,
        price=world.price(product.usual(condition), HONEST),
        title=world.title(product.spec, condition),
        description=world.says(HONEST),
    )


def _reseller(world: World, seller: Seller) -> Offer:
    """A shop for second-hand goods that shows the brand's photos."""
    product = world.one(world.products)
    condition = str(world.rng.choice(["new", "like new"]))
    photos = world.official(product, _official_views(world, product.spec), 0.4, TIDY)
    if world.rng.random() < 0.3:
        photos += world.own(product.spec, _own_views(world, product.spec, 1, 1), seller, product.spec.item_id)
    return world.offer(
        seller,
        product,
        photos,
        kind="reseller_official",
        condition=condition,
        price=world.price(product.usual(condition), HONEST),
        title=world.title(product.spec, condition),
        description=world.says(HONEST, shop=True),
    )


def _grey(world: World, seller: Seller) -> Offer:
    """Genuine new goods outside the brand's own channels, somewhat cheaper."""
    product = world.one(world.products)
    photos = world.official(product, _official_views(world, product.spec), 0.3, TIDY)
    return world.offer(
        seller,
        product,
        photos,
        kind="grey_market",
        condition="new",
        price=world.price(0.8 * product.price, HONEST, "usual"),
        title=world.title(product.spec, "new"),
        description=world.says(HONEST, shop=True),
        labels=["unauthorised_seller"],
    )


def _authorised(world: World, seller: Seller) -> Offer:
    product = world.one(world.products)
    brand = product.spec.brand
    platform, seller_id = world.one(brand.authorised)
    shop = Seller(seller_id, platform, seller.ground, "EUR")
    photos = world.official(product, _official_views(world, product.spec), 0.1, TIDY)
    offer = world.offer(
        shop,
        product,
        photos,
        kind="authorised",
        condition="new",
        price=("usual", product.price * world.rng.choice([1.0, 1.0, 0.85])),
        title=product.spec.name,
        description=world.says(HONEST, shop=True),
    )
    if world.rng.random() < 0.3:
        offer.row["url"] = f"https://{brand.domain}/p/{product.spec.item_id}"
    return offer


def _unknown(world: World, seller: Seller) -> Offer:
    """Goods of a brand that the catalog has not."""
    product = world.one(world.strangers)
    condition = world.condition(HONEST)
    photos = world.own(product.spec, _own_views(world, product.spec), seller, "")
    return world.offer(
        seller,
        None,
        photos,
        kind="unknown_brand",
        condition=condition,
        price=world.price(product.usual(condition), HONEST),
        title=world.title(product.spec, condition),
        description=world.says(HONEST),
    )


def _unrelated(world: World, seller: Seller, kind: str = "") -> Offer:
    kind = kind or world.one(tuple(GOODS))
    photos = world.goods(kind, int(world.rng.integers(1, 3)), bool(world.rng.random() < 0.3))
    return world.offer(
        seller,
        None,
        photos,
        kind="unrelated",
        condition=world.condition(HONEST),
        price=("usual", float(world.rng.uniform(8, 120))),
        title=wording.unrelated_title(world.rng, kind),
        description=world.says(HONEST),
    )


def _promoted(world: World, seller: Seller) -> Offer:
    """An honest offer that a post points to with another photo of it, the shop's banner or an ad for the whole brand."""
    offer = _private(world, seller, "promoted")
    product = world.product(offer.truth["item_id"])
    how = world.one(("same_product", "shop_banner", "brand_ad"))
    if how == "same_product":
        promo = world.own(product.spec, _own_views(world, product.spec, 1, 1), seller, product.spec.item_id)
    elif how == "shop_banner":
        promo = [world.banner(product.spec.brand)]
    else:
        promo = world.official(
            world.one([p for p in world.products if p.spec.brand is product.spec.brand]), ("front",), 0.3, TIDY
        )
    offer.row |= {
        "promo_photos": [p["path"] for p in promo],
        "promo_text": world.speech.post(world.rng, product.spec.brand.name, False),
    }
    offer.truth |= {"mismatch": how, "photos": offer.truth["photos"] + promo}
    return offer


def _styled(world: World, seller: Seller) -> Offer:
    """Clothes, honestly for sale, from a post in which a bag of the brand is worn with them."""
    product = world.one(world.products)
    offer = _unrelated(world, seller, world.one(("dress", "hoodie", "tshirt")))
    promo = world.own(product.spec, _own_views(world, product.spec, 1, 1), seller, product.spec.item_id)
    offer.row["promo_photos"] = [p["path"] for p in promo]
    offer.truth |= {"kind": "styled_post", "mismatch": "styled", "photos": offer.truth["photos"] + promo}
    return offer


# Dishonest offers ---------------------------------------------------------------------------------------------------


def reachable(world: World, seller: Seller, offer: Offer, share: float) -> None:
    """Put the seller's contacts into the listing, in their column or in the text."""
    if seller.contacts and world.rng.random() < share:
        if world.rng.random() < 0.5:
            offer.row["contacts"] = list(seller.contacts)
        else:
            offer.row["description"] += " " + " ".join(seller.contacts)


def _from_bank(world: World, seller: Seller) -> tuple[Product, list[dict[str, Any]], str]:
    """Return what a member of a gang offers: an item on the gang's photos, the same bytes or an edited copy; its forgery."""
    pixels, source = world.one(seller.bank)
    photo = world.copied(pixels, source, 0.2, 0.6) if world.rng.random() < 0.6 else dict(source)
    return world.product(source["item_id"]), [photo], source["forgery"]


def _altered(world: World, seller: Seller, logo: bool | None, kind: str) -> Offer:
    """Offer a thing with one part wrong under the brand's name; `logo` None takes either kind of part."""
    if seller.bank:
        product, photos, name = _from_bank(world, seller)
    else:
        product, spec, name = forged(world, logo if logo is not None else bool(world.rng.random() < 0.5))
        close = "phone_logo" if spec.category == "bag" else "phone_dial"
        views = [close, *[v for v in _own_views(world, spec, 1, 2) if v != close]]
        photos = world.own(spec, views, seller, product.spec.item_id)
    condition = world.condition(BAD)
    offer = world.offer(
        seller,
        product,
        photos,
        kind=kind or ("altered_logo" if name in LOGO_FORGERIES else "altered_parts"),
        condition=condition,
        price=world.price(product.usual(condition), BAD),
        title=world.title(product.spec, condition),
        description=world.says(BAD, shop=bool(world.rng.random() < SHOPLIKE)),
        bad=True,
        labels=["counterfeit_suspected"],
        forgery=name,
    )
    return offer


def _altered_logo(world: World, seller: Seller) -> Offer:
    return _altered(world, seller, True, "")


def _altered_parts(world: World, seller: Seller) -> Offer:
    return _altered(world, seller, False, "")


def _unaltered(world: World, seller: Seller) -> Offer:
    """A replica in which nothing that a photo shows is wrong: only what is said and asked can give it away."""
    offer = _private(world, seller, "unaltered")
    product, condition = world.product(offer.truth["item_id"]), world.condition(BAD)
    priced, euros = world.price(product.usual(condition), BAD)
    offer.row["condition"], offer.row["description"] = condition, world.says(BAD)
    offer.row["price"], offer.row["currency"] = wording.price_text(world.rng, euros, seller.currency)
    offer.truth |= {"bad": True, "priced": priced, "labels": ["counterfeit_suspected"]}
    return offer


def _replica(world: World, seller: Seller) -> Offer:
    """Says it is a replica, or writes the brand so that a filter misses it."""
    offer = _altered(world, seller, None, "replica_wording")
    words = world.one(world.speech.outright)
    offer.row["description"] = f"{words} {offer.row['description']}".strip()
    if world.rng.random() < 0.6:
        name = world.product(offer.truth["item_id"]).spec.brand.name
        offer.row["title"] = offer.row["title"].replace(name, wording.obfuscated(world.rng, name, world.speech.obfuscations))
        offer.row["brand_claim"] = ""
    return offer


def _thief(world: World, seller: Seller) -> Offer:
    """Shows the brand's or another seller's photo; some ask what a shop would."""
    if seller.bank:
        product, photos, _ = _from_bank(world, seller)
        photos += world.official(product, ("front",), 0.7)
    elif world.seen and world.rng.random() < 0.35:
        pixels, source = world.one(world.seen)
        product = world.product(source["item_id"])
        photos = [world.copied(pixels, {**source, "source": "other_seller"}, 0.2, 0.7)]
    else:
        product = world.one(world.products)
        tidy = TIDY if world.rng.random() < 0.5 else ()
        photos = world.official(product, _official_views(world, product.spec), 0.6, tidy)
    condition = world.condition(BAD)
    return world.offer(
        seller,
        product,
        photos,
        kind="photo_thief",
        condition=condition,
        price=world.price(product.usual(condition), BAD),
        title=world.title(product.spec, condition),
        description=world.says(BAD, shop=bool(world.rng.random() < SHOPLIKE)),
        bad=True,
        labels=["photo_theft", "counterfeit_suspected"],
    )


def _lookalike(world: World, seller: Seller) -> Offer:
    """A cheap thing of nearly the same design under nearly the same name."""
    product = world.one(world.products)
    name = misspell(product.spec.wordmark, world.rng, 1.0)
    spec = product.spec
    for forgery in ("misspelt_wordmark", "altered_figure"):
        if forgery in forgeries_of(spec):
            spec = forge_item(forgery, spec, world.rng, 1.0)
    photos = world.own(spec, _own_views(world, spec, 1, 3), seller, product.spec.item_id)
    return world.offer(
        seller,
        product,
        photos,
        kind="lookalike",
        condition="new",
        price=world.price(product.price, BAD, "cheap"),
        title=world.title(product.spec, "new", name.capitalize()),
        description=world.says(BAD, shop=True),
        bad=True,
        labels=["lookalike"],
        forgery="misspelt_wordmark",
    )


def _bait(world: World, seller: Seller) -> Offer:
    """The post shows the bag, the link leads to children's boots."""
    product = world.one(world.products)
    brand = product.spec.brand
    kind = world.one(("dress", "boots", "hoodie", "tshirt"))
    photos = world.goods(kind, int(world.rng.integers(1, 3)), True)
    pixels = studio_photo(product.spec, world.one(OFFICIAL_VIEWS[product.spec.category][:2]))
    source = {"source": "official", "item_id": product.spec.item_id, "view": "front"}
    if world.rng.random() < 0.5:
        pixels, source = (
            world.taken(product.spec, "phone_a", seller),
            {"source": "own", "item_id": product.spec.item_id, "view": "phone_a"},
        )
    promo = [world.copied(pixels, source, 0.2, 0.6, ("order_this", "screenshot", "caption", "recompress"))]
    offer = world.offer(
        seller,
        None,
        photos,
        kind="bait_switch",
        condition="new",
        price=world.price(product.price, BAD, "cheap"),
        title=wording.unrelated_title(world.rng, kind),
        description=world.says(BAD),
        bad=True,
        labels=["bait_and_switch"],
        mismatch="switched",
        brand=brand.brand,
        item_id=product.spec.item_id,
    )
    offer.row |= {
        "promo_photos": [p["path"] for p in promo],
        "promo_text": world.speech.post(world.rng, brand.name, bool(world.rng.random() < 0.6)),
    }
    offer.truth["photos"] = photos + promo
    return offer


HONEST_OFFERS: dict[str, tuple[Callable[[World, Seller], Offer], float, int]] = {
    "private_used": (_private, 0.34, 3),
    "bargain": (_bargain, 0.05, 2),
    "stock_user": (_stock_user, 0.02, 1),
    "styled_post": (_styled, 0.02, 1),
    "reseller_official": (_reseller, 0.13, 12),
    "grey_market": (_grey, 0.05, 8),
    "authorised": (_authorised, 0.06, 12),
    "unknown_brand": (_unknown, 0.14, 4),
    "unrelated": (_unrelated, 0.14, 4),
    "promoted": (_promoted, 0.05, 3),
}
"""Maker, share of the honest listings, and most listings of one seller, by kind."""

BAD_OFFERS: dict[str, tuple[Callable[[World, Seller], Offer], float, int]] = {
    "photo_thief": (_thief, 0.26, 3),
    "altered_logo": (_altered_logo, 0.2, 3),
    "altered_parts": (_altered_parts, 0.14, 3),
    "unaltered": (_unaltered, 0.1, 3),
    "replica_wording": (_replica, 0.1, 3),
    "lookalike": (_lookalike, 0.1, 4),
    "bait_switch": (_bait, 0.1, 5),
}
"""The same for the dishonest ones."""
