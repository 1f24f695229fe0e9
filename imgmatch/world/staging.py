"""The stage that offers are set on: sellers, their photos and the files these are in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from imgmatch.augment import wording
from imgmatch.augment.changes import Photo
from imgmatch.augment.conditions import snapshot
from imgmatch.augment.edits import edit
from imgmatch.augment.rates import PRICE_LAWS, Manner, asked
from imgmatch.augment.surfaces import SURFACES
from imgmatch.augment.textures import Colour
from imgmatch.world.brands import BrandDesign
from imgmatch.world.collection import CONDITION_SHARE, Product
from imgmatch.world.draw import Sheet
from imgmatch.world.forge import forge_item, forgeries_of
from imgmatch.world.goods import goods_photo
from imgmatch.world.logos import figure_ink, wordmark_ink
from imgmatch.world.render import phone_photo, studio_photo
from imgmatch.world.specs import ItemSpec

__all__ = ["LOGO_FORGERIES", "PLATFORMS", "Offer", "PhotoStore", "Seller", "World", "forged", "jpeg", "official_jpeg"]

PLATFORMS = ("bazario", "vintly", "shopgram", "markethall")

LOGO_FORGERIES = ("misspelt_wordmark", "altered_figure", "moved_logo", "resized_logo")
"""Edits that a logo examiner can see; the rest alter other parts."""


def jpeg(pixels: Photo, quality: int) -> bytes:
    """Encode a photo."""
    return bytes(cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def official_jpeg(spec: ItemSpec, view: str) -> bytes:
    """Return the file that the brand publishes; whoever copies it unchanged has the same bytes."""
    return jpeg(studio_photo(spec, view), 92)


class PhotoStore:
    """The photo files of a market: numbered, so that no name tells what a photo shows; shared where the photo is shared.

    Parameters
    ----------
    folder : Path
        Where files are written; its name begins their paths in tables.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._paths: dict[object, str] = {}

    def put(self, data: bytes, key: object = None) -> str:
        """Write a file once per key and return its path as tables have it."""
        if key is not None and key in self._paths:
            return self._paths[key]
        name = f"{len(self._paths) + 1:06d}.jpg"
        (self.folder / name).write_bytes(data)
        self._paths[key if key is not None else name] = path = f"{self.folder.name}/{name}"
        return path


@dataclass(slots=True)
class Seller:
    """Who offers.

    Parameters
    ----------
    seller_id, platform : str
    ground : (surface, seed)
        Where they take their photos.
    currency : str
    contacts : tuple of str
        Outside the platform.
    bank : list of (pixels, provenance)
        Photos that a gang shares; empty for others.
    """

    seller_id: str
    platform: str
    ground: tuple[str, int]
    currency: str
    contacts: tuple[str, ...] = ()
    bank: list[tuple[Photo, dict[str, Any]]] = field(default_factory=list)


@dataclass(slots=True)
class Offer:
    """A listing in the making, with its truth."""

    row: dict[str, Any]
    truth: dict[str, Any]


@dataclass(slots=True)
class World:
    """What offers are made of.

    Parameters
    ----------
    rng : numpy.random.Generator
    products : sequence of Product
        The authentic catalog.
    strangers : sequence of Product
        Of brands that the catalog does not know.
    store : PhotoStore
    forgeries, copy_edits : frozenset of str
        Which design edits and copy edits exist in this world.
    market : str
        ``fit`` or ``test``: whose phrases and price laws these are.
    seen : list of (pixels, provenance)
        Private photos that thieves may copy.
    """

    rng: np.random.Generator
    products: Sequence[Product]
    strangers: Sequence[Product]
    store: PhotoStore
    forgeries: frozenset[str]
    copy_edits: frozenset[str]
    market: str = "fit"
    seen: list[tuple[Photo, dict[str, Any]]] = field(default_factory=list)

    def one(self, things: Sequence[Any]) -> Any:
        return things[int(self.rng.integers(len(things)))]

    def seller(self, platform: str | None = None) -> Seller:
        """Invent a seller."""
        number = int(self.rng.integers(10**5, 10**6))
        name = self.one(
            ("anna", "marco", "li", "petra", "jo", "sam", "nadia", "tom", "yuki", "ines", "closet", "second", "time", "loft")
        )
        return Seller(
            f"{name}{number}",
            platform or self.one(PLATFORMS),
            (self.one(SURFACES), int(self.rng.integers(64))),
            self.one(("EUR", "EUR", "EUR", "USD", "USD", "GBP", "CHF")),
        )

    # Photos, each with where it comes from.

    def own(self, spec: ItemSpec, views: Sequence[str], seller: Seller, item_id: str) -> list[dict[str, Any]]:
        """Photograph an item at the seller's home; what is of the catalog may be copied by thieves later."""
        out = []
        for view in views:
            pixels = self.taken(spec, view, seller)
            path = self.store.put(jpeg(pixels, int(self.rng.integers(76, 93))))
            out.append({"path": path, "source": "own", "item_id": item_id, "view": view, "edits": []})
            if item_id and len(self.seen) < 64:
                self.seen.append((pixels, out[-1]))
        return out

    def product(self, item_id: str) -> Product:
        """Return a product of the catalog."""
        return next(p for p in self.products if p.spec.item_id == item_id)

    def taken(self, spec: ItemSpec, view: str, seller: Seller) -> Photo:
        size = self.one(((480, 480), (480, 600), (560, 420)))
        photo = phone_photo(spec, view, self.rng, size=size, ground=seller.ground)
        return snapshot(photo.pixels, self.rng, float(self.rng.uniform(0.3, 0.9)))

    def official(
        self, product: Product, views: Sequence[str], edited: float, names: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Copy the brand's photos; each is edited with probability `edited`, in one of `names`."""
        out = []
        for view in views:
            item = product.spec.item_id
            source = {"source": "official", "item_id": item, "view": view}
            if self.rng.random() < edited:
                out.append(self.copied(studio_photo(product.spec, view), source, 0.15, 0.6, names))
            else:
                path = self.store.put(official_jpeg(product.spec, view), ("official", item, view))
                out.append({"path": path, **source, "edits": []})
        return out

    def copied(
        self, pixels: Photo, source: dict[str, Any], least: float, most: float, names: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Write an edited copy of a photo."""
        name = self.one([n for n in names if n in self.copy_edits] or sorted(self.copy_edits))
        others = [studio_photo(self.one(self.products).spec, "front") for _ in range(3)]
        changed = edit(name, pixels, self.rng, float(self.rng.uniform(least, most)), others)
        path = self.store.put(jpeg(changed.image, int(self.rng.integers(60, 92))))
        return {**source, "path": path, "edits": [*source.get("edits", ()), name]}

    def stock(self, product: Product) -> dict[str, Any]:
        """Return the one photo of this item that a magazine printed and everybody uses."""
        item = product.spec.item_id
        rng = np.random.default_rng([5, *item.encode()])
        key = ("stock", item)
        pixels = phone_photo(product.spec, "phone_a", rng, ground=("marble", 3)).pixels
        return {
            "path": self.store.put(jpeg(pixels, 88), key),
            "source": "stock",
            "item_id": item,
            "view": "phone_a",
            "edits": [],
        }

    def goods(self, kind: str, count: int, plain: bool) -> list[dict[str, Any]]:
        out = []
        for _ in range(count):
            seed = int(self.rng.integers(40))
            path = self.store.put(jpeg(goods_photo(kind, seed, plain=plain), 88), ("goods", kind, seed, plain))
            out.append({"path": path, "source": "goods", "item_id": "", "view": kind, "edits": []})
        return out

    def banner(self, brand: BrandDesign) -> dict[str, Any]:
        """Return a shop's banner: a mark and a name on a coloured ground."""
        seed = int(self.rng.integers(12))
        path = self.store.put(jpeg(_banner(brand, seed), 88), ("banner", brand.brand, seed))
        return {"path": path, "source": "banner", "item_id": "", "view": "banner", "edits": []}

    # The offer.

    def offer(
        self,
        seller: Seller,
        product: Product | None,
        photos: list[dict[str, Any]],
        *,
        kind: str,
        price: tuple[str, float],
        title: str,
        description: str,
        condition: str,
        **truth: Any,
    ) -> Offer:
        """Put a listing together; `price` is how it is priced, and EUR; other keywords go to the truth."""
        written, currency = wording.price_text(self.rng, price[1], seller.currency)
        if self.rng.random() < 0.04:
            written, currency = "", ""
        spec = product.spec if product is not None else None
        row = {
            "photos": [p["path"] for p in photos],
            "title": title,
            "description": description,
            "price": written,
            "currency": currency,
            "condition": condition,
            "quantity": "1",
            "seller_id": seller.seller_id,
            "platform": seller.platform,
            "brand_claim": spec.brand.name if spec is not None and self.rng.random() < 0.6 else "",
            "promo_photos": [],
            "promo_text": "",
            "contacts": [],
        }
        base = {
            "kind": kind,
            "priced": price[0],
            "bad": False,
            "labels": [],
            "brand": spec.brand.brand if spec is not None else "",
            "item_id": spec.item_id if spec is not None else "",
            "forgery": "",
            "mismatch": "",
            "ring_id": "",
            "photos": photos,
        }
        return Offer(row, {**base, **truth})

    @property
    def speech(self) -> wording.Speech:
        return wording.SPEECH[self.market]

    def price(self, usual: float, manner: Manner, asks: str = "") -> tuple[str, float]:
        """Return how a seller prices what usually costs so many EUR, and the price; `asks` settles how."""
        how, share = asked(self.rng, manner, self.market)
        return (asks, usual * PRICE_LAWS[self.market][asks](self.rng)) if asks else (how, usual * share)

    def condition(self, manner: Manner) -> str:
        rest = np.array([0.3, 0.4, 0.15])
        shares = [manner.new, *(rest / rest.sum() * (1 - manner.new))]
        return str(self.rng.choice(list(CONDITION_SHARE), p=shares))

    def says(self, manner: Manner, shop: bool = False) -> str:
        return self.speech.description(self.rng, shop, manner.hints, manner.silent)

    def title(self, spec: ItemSpec, condition: str, name: str | None = None) -> str:
        return self.speech.title(self.rng, name or spec.brand.name, spec.model, spec.category, spec.variant, condition)


def _banner(brand: BrandDesign, seed: int) -> Photo:
    rng = np.random.default_rng([seed, 0xBA])
    s = Sheet(0, 0, 2, 1, 360)
    ground: Colour = tuple(float(v) for v in rng.uniform(20, 120, 3))  # type: ignore[assignment]
    s.lay(None, s.fill([(0, 0), (2, 0), (2, 1), (0, 1)]), ground)
    s.lay(None, s.fill([(0, 0.82), (2, 0.82), (2, 1), (0, 1)]), (236, 226, 206))
    ink: Colour = (240, 228, 196)
    s.lay(None, s.stamp(figure_ink(brand.figure), 1, 0.28, 0.3), ink)
    s.lay(None, s.stamp(wordmark_ink(brand.wordmark, brand.letters), 1, 0.6, 1.2), ink)
    return np.asarray(s.rgb, np.uint8)


def forged(world: World, logo: bool) -> tuple[Product, ItemSpec, str]:
    """Return a product, a copy of it with one thing wrong, and what that is."""
    for _ in range(200):
        product = world.one(world.products)
        names = [n for n in forgeries_of(product.spec) if (n in LOGO_FORGERIES) == logo and n in world.forgeries]
        if names:
            name = world.one(names)
            return product, forge_item(name, product.spec, world.rng, float(world.rng.uniform(0.2, 1.0))), name
    raise ValueError(f"no item of this world can be forged with {', '.join(sorted(world.forgeries))}")
