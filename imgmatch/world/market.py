"""A synthetic market: listings as a platform's table has them, and the truth about each in a table of its own."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

from imgmatch.augment import wording
from imgmatch.augment.changes import Photo
from imgmatch.augment.edits import EDITS
from imgmatch.augment.rates import BAD, HONEST
from imgmatch.world.brands import DEMO_BRANDS, BrandDesign, make_brand
from imgmatch.world.collection import Product, make_collection
from imgmatch.world.forge import ITEM_FORGERIES
from imgmatch.world.offers import BAD_OFFERS, HONEST_OFFERS, reachable
from imgmatch.world.staging import PLATFORMS, Offer, PhotoStore, Seller, World, forged, jpeg

__all__ = ["LISTING_COLUMNS", "TRUTH_COLUMNS", "Market", "make_market", "write_table"]

LISTING_COLUMNS = (
    "listing_id", "photos", "title", "description", "price", "currency", "condition", "quantity", "seller_id", "platform",
    "url", "brand_claim", "promo_photos", "promo_text", "contacts", "listed_at", "captured_at",
)  # fmt: skip
"""Of the listing table, as ``imgmatch scan`` reads it."""

TRUTH_COLUMNS = (
    "listing_id",
    "kind",
    "priced",
    "bad",
    "labels",
    "brand",
    "item_id",
    "forgery",
    "mismatch",
    "ring_id",
    "photos",
)
"""Of the truth.

``kind`` is a key of HONEST_OFFERS or BAD_OFFERS; ``priced`` usual | bargain | cheap; ``bad`` is true where the offer is
dishonest; ``labels`` are those of :class:`imgmatch.types.Label` that hold; ``brand`` and ``item_id`` what it is shown
as, empty for unrelated goods and unknown brands; ``forgery`` the design edit; ``mismatch`` switched | same_product |
shop_banner | brand_ad | styled where there is a promo photo; ``ring_id`` the gang; ``photos`` every photo with {path,
source, item_id, view, edits}, where source is own | official | other_seller | stock | goods | banner.
"""

_DAY_ZERO = datetime(2026, 3, 2, 8, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Market:
    """What :func:`make_market` made.

    Parameters
    ----------
    listings, truth : tuple of dict
        Rows of the two tables, in the same order; lists are lists.
    products : tuple of Product
        The authentic catalog.
    """

    listings: tuple[dict[str, Any], ...]
    truth: tuple[dict[str, Any], ...]
    products: tuple[Product, ...] = field(repr=False)


def make_market(
    out: Path,
    *,
    seed: int = 0,
    listings: int = 200,
    base_rate: float = 0.03,
    brands: Sequence[BrandDesign] = DEMO_BRANDS,
    bags: int = 6,
    watches: int = 4,
    rings: int | None = None,
    forgeries: Sequence[str] = tuple(ITEM_FORGERIES),
    copy_edits: Sequence[str] = tuple(EDITS),
    market: str = "fit",
) -> Market:
    """Invent a market and write ``listings.csv``, ``truth.csv`` and ``photos/`` to a folder.

    Parameters
    ----------
    out : Path
    seed : int
        The same arguments always give the same market, byte for byte.
    listings : int
        How many, in all.
    base_rate : float
        Share of dishonest listings, in [0, 1].
    brands : sequence of BrandDesign
        Of the authentic catalog; worlds for fitting and for testing have different ones.
    bags, watches : int
        Items of each brand.
    rings : int, optional
        Gangs of three to five sellers that share photos, place and contacts; by default one for every twenty dishonest
        listings, which gives gangs about half of them.
    forgeries, copy_edits : sequence of str
        Names in ITEM_FORGERIES and EDITS that exist in this world, so that others can be kept for testing.
    market : str
        ``fit`` or ``test``: whose phrases (:data:`imgmatch.augment.wording.SPEECH`) and price laws
        (:data:`imgmatch.augment.rates.PRICE_LAWS`) these are.

    Raises
    ------
    ValueError
        For a rate outside [0, 1], no brands, or unknown names of edits.
    """
    if not 0 <= base_rate <= 1:
        raise ValueError(f"expected base_rate in [0, 1], got {base_rate}")
    if not brands:
        raise ValueError("expected at least one brand")
    unknown = (set(forgeries) - set(ITEM_FORGERIES)) | (set(copy_edits) - set(EDITS))
    if unknown:
        raise ValueError(f"unknown edits: {', '.join(sorted(unknown))}")
    if market not in wording.SPEECH:
        raise ValueError(f"expected market to be one of {', '.join(wording.SPEECH)}, got {market!r}")
    rng = np.random.default_rng([seed, 0x3A5])
    products = [p for brand in brands for p in make_collection(brand, seed, bags=bags, watches=watches, variants=2)]
    known, faces = {brand.brand for brand in brands}, sorted({brand.letters.face for brand in brands})
    others = [b for b in (make_brand(seed * 1000 + 900_000 + i, faces) for i in range(8)) if b.brand not in known]
    strangers = [p for brand in others for p in make_collection(brand, seed, bags=2, watches=1, variants=1)]
    store = PhotoStore(out / "photos")
    world = World(
        rng,
        products,
        strangers=strangers,
        store=store,
        forgeries=frozenset(forgeries),
        copy_edits=frozenset(copy_edits),
        market=market,
    )
    bad = round(listings * base_rate)
    offers = [*_quota(world, listings - bad, HONEST_OFFERS)]
    gangs = round(bad / 20) if rings is None else rings
    for i in range(gangs):
        offers += _gang(world, f"ring-{i + 1}", min(10, bad // max(gangs, 1)))
    offers += _quota(world, listings - len(offers), BAD_OFFERS)
    rows, truth = _numbered(world, offers)
    write_table(out / "listings.csv", rows, LISTING_COLUMNS)
    write_table(out / "truth.csv", truth, TRUTH_COLUMNS)
    return Market(tuple(rows), tuple(truth), tuple(products))


def _quota(
    world: World, total: int, kinds: dict[str, tuple[Callable[[World, Seller], Offer], float, int]]
) -> Iterator[Offer]:
    """Make `total` offers in the shares of their kinds; each kind's sellers have from one to the most listings."""
    shares = np.array([share for _, share, _ in kinds.values()])
    ends = np.round(total * np.cumsum(shares) / shares.sum()).astype(
        int
    )  # rounded together, so that no kind pays for the rest
    for (make, _, most), count in zip(kinds.values(), np.diff(ends, prepend=0).tolist(), strict=True):
        while count > 0:
            seller = world.seller()
            if world.rng.random() < (BAD if kinds is BAD_OFFERS else HONEST).reachable:
                seller.contacts = wording.contacts(world.rng)
            for _ in range(min(count, int(world.rng.integers(1, most + 1)))):
                offer = make(world, seller)
                reachable(world, seller, offer, 0.7)
                yield offer
                count -= 1


def _gang(world: World, ring_id: str, total: int) -> list[Offer]:
    """Make the offers of one gang: sellers on several platforms who share photos, place and contacts."""
    rng = world.rng
    ground = world.seller().ground
    contacts = wording.contacts(rng)
    platforms = [PLATFORMS[i] for i in rng.permutation(len(PLATFORMS))]
    sellers = [world.seller(platforms[i % 3]) for i in range(int(rng.integers(3, 6)))]
    bank = [_banked(world, Seller("", "", ground, "EUR")) for _ in range(max(2, total // 3))]
    offers: list[Offer] = []
    for i in range(total):
        seller = sellers[i % len(sellers)]
        seller.ground, seller.contacts, seller.bank = ground, contacts, bank
        kind = world.one(("altered_logo", "altered_parts", "replica_wording", "photo_thief"))
        offer = BAD_OFFERS[kind][0](world, seller)
        reachable(world, seller, offer, 0.5)
        offer.truth |= {"ring_id": ring_id, "labels": [*offer.truth["labels"], "ring_member"]}
        offers.append(offer)
    return offers


def _banked(world: World, seller: Seller) -> tuple[Photo, dict[str, Any]]:
    """Photograph one forged item at the gang's place."""
    product, spec, forgery = forged(world, bool(world.rng.random() < 0.6))
    view = world.one(("phone_a", "phone_b", "phone_logo" if spec.category == "bag" else "phone_dial"))
    pixels = world.taken(spec, view, seller)
    path = world.store.put(jpeg(pixels, 86))
    return pixels, {
        "path": path,
        "source": "own",
        "item_id": product.spec.item_id,
        "view": view,
        "edits": [],
        "forgery": forgery,
    }


def _numbered(world: World, offers: Sequence[Offer]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Shuffle, number and date the offers, so that neither order nor id tells anything."""
    rows, truth = [], []
    for number, i in enumerate(world.rng.permutation(len(offers)), start=1):
        offer = offers[i]
        listing_id = f"L{number:06d}"
        listed = _DAY_ZERO + timedelta(minutes=int(world.rng.integers(0, 90 * 24 * 60)))
        captured = listed + timedelta(hours=int(world.rng.integers(2, 240)))
        dated = {
            "listing_id": listing_id,
            "url": f"https://{offer.row['platform']}.example/item/{number + 40_000}",
            "listed_at": listed.isoformat(),
            "captured_at": captured.isoformat(),
        }
        row = {**dated, **offer.row}
        rows.append({name: row[name] for name in LISTING_COLUMNS})
        truth.append({"listing_id": listing_id, **offer.truth})
    return rows, truth


def write_table(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Write rows as CSV; lists as JSON, truth values as true and false."""
    with open(path, "w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, columns)
        writer.writeheader()
        for row in rows:
            writer.writerow({k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in row.items()})
