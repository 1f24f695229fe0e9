"""A bait-and-switch campaign: one account's posts show a brand's bags, their links lead to other sellers' harmless goods."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from imgmatch.augment import wording
from imgmatch.augment.edits import edit
from imgmatch.world.collection import Product
from imgmatch.world.goods import goods_photo
from imgmatch.world.market import LISTING_COLUMNS, TRUTH_COLUMNS, Market, write_table
from imgmatch.world.render import studio_photo
from imgmatch.world.staging import jpeg

__all__ = ["POST_COLUMNS", "make_campaign"]

POST_COLUMNS = ("link", "photos", "text", "post_id", "account", "posted_at")
"""Of the table of posts, as ``imgmatch scan --posts`` reads it."""

_KINDS = ("dress", "boots", "hoodie", "tshirt", "dress", "boots")
_SHOPS = (("shopgram", "trend_outlet88"), ("bazario", "kids_corner_21"), ("vintly", "soft_wear_home"))


def make_campaign(out: Path, market: Market, seed: int = 0, posts: int = 6) -> None:
    """Add a campaign to a market's tables and write its posts.

    Parameters
    ----------
    out : Path
        Folder that :func:`imgmatch.world.market.make_market` wrote; gains ``posts.csv``, and ``listings.csv`` and
        ``truth.csv`` gain a row for each listing that a post leads to.
    market : Market
    seed : int
    posts : int
        How many, each to a listing of its own, shared by three sellers on three platforms.
    """
    rng = np.random.default_rng([seed, 0xCA])
    account = f"@star_closet{rng.integers(10, 99)}"
    bags = [p for p in market.products if p.spec.category == "bag"]
    promoted = [bags[int(i)] for i in rng.choice(len(bags), 2, replace=False)]
    rows, truth, posted = list(market.listings), list(market.truth), []
    start = max(datetime.fromisoformat(row["captured_at"]) for row in rows) - timedelta(days=9)
    for n in range(posts):
        product = promoted[n % 2]
        row, shown, goods = _destination(out, rng, n, start)
        photo, name = _post_photo(out, rng, n, product, goods)
        rows.append(row)
        truth.append(
            {
                **dict.fromkeys(TRUTH_COLUMNS, ""),
                "listing_id": row["listing_id"],
                "kind": "campaign",
                "bad": True,
                "labels": ["bait_and_switch"],
                "brand": product.spec.brand.brand,
                "item_id": product.spec.item_id,
                "mismatch": "switched",
                "photos": [shown, {"path": photo, "source": "official", "item_id": product.spec.item_id, "edits": [name]}],
            }
        )
        posted.append(
            {
                "link": row["url"] if n % 2 else row["listing_id"],
                "photos": [photo],
                "text": wording.SPEECH["fit"].post(rng, product.spec.brand.name, True),
                "post_id": f"post-{n + 1}",
                "account": account,
                "posted_at": (start + timedelta(hours=20 * n)).isoformat(),
            }
        )
    write_table(out / "listings.csv", rows, LISTING_COLUMNS)
    write_table(out / "truth.csv", truth, TRUTH_COLUMNS)
    write_table(out / "posts.csv", posted, POST_COLUMNS)


def _destination(
    out: Path, rng: np.random.Generator, n: int, start: datetime
) -> tuple[dict[str, Any], dict[str, Any], np.ndarray[Any, Any]]:
    """Write a harmless listing: clothes or children's boots, cheap for the brand and dear for what they are."""
    kind = _KINDS[n % len(_KINDS)]
    platform, seller = _SHOPS[n % len(_SHOPS)]
    goods = goods_photo(kind, 900 + 10 * n + int(rng.integers(10)), plain=True)
    path = f"photos/campaign-{n + 1:02}-shop.jpg"
    (out / path).write_bytes(jpeg(goods, 88))
    listing_id = f"C{n + 1:05d}"
    listed = start + timedelta(hours=20 * n - 5)
    row = {
        **dict.fromkeys(LISTING_COLUMNS, ""),
        "listing_id": listing_id,
        "photos": [path],
        "promo_photos": [],
        "contacts": [],
        "title": wording.unrelated_title(rng, kind),
        "description": wording.SPEECH["fit"].description(rng, True, 1.0, 0.0),
        "price": str(int(rng.integers(95, 190))),
        "currency": "EUR",
        "condition": "new",
        "quantity": "50",
        "seller_id": seller,
        "platform": platform,
        "url": f"https://{platform}.example/item/{90_000 + n}",
        "listed_at": listed.isoformat(),
        "captured_at": (listed + timedelta(hours=30)).isoformat(),
    }
    return row, {"path": path, "source": "goods", "item_id": "", "view": kind, "edits": []}, goods


def _post_photo(
    out: Path, rng: np.random.Generator, n: int, product: Product, goods: np.ndarray[Any, Any]
) -> tuple[str, str]:
    """Write the post's photo: the brand's own, or "order this, get this" beside the goods that the link sells."""
    name: str = ("order_this", "caption", "screenshot")[n % 3]
    others: Sequence[Any] = [goods] if name == "order_this" else ()
    photo = edit(name, studio_photo(product.spec, "front"), rng, 0.4, others).image
    longest = max(photo.shape[:2])
    if longest > 900:
        photo = np.asarray(
            cv2.resize(photo, None, fx=900 / longest, fy=900 / longest, interpolation=cv2.INTER_AREA), np.uint8
        )
    path = f"photos/campaign-{n + 1:02}-post.jpg"
    (out / path).write_bytes(jpeg(photo, 84))
    return path, name
