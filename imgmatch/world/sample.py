"""Something to try the library on: a catalog of two invented brands and four listings, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgmatch.augment.conditions import snapshot
from imgmatch.catalog import Catalog
from imgmatch.encoders import Encoder
from imgmatch.records import Listing
from imgmatch.world.brands import DEMO_BRANDS, BrandDesign
from imgmatch.world.collection import Product, make_collection
from imgmatch.world.forge import forge_item
from imgmatch.world.goods import goods_photo
from imgmatch.world.logos import LOGO_KINDS, logo_picture
from imgmatch.world.render import OFFICIAL_VIEWS, phone_photo
from imgmatch.world.specs import ItemSpec
from imgmatch.world.staging import jpeg, official_jpeg

__all__ = ["Sample", "sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What :func:`sample` makes.

    Parameters
    ----------
    catalog : Catalog
        Six items of two invented brands, three photos each; it goes with the process.
    listings : tuple of Listing
        ``honest``, ``copied``, ``misspelt`` and ``unrelated``, named by what is true of them.
    photos : mapping of str to bytes
        The JPEG files of the listings, by the names that the listings use.
    """

    catalog: Catalog
    listings: tuple[Listing, ...]
    photos: Mapping[str, bytes]

    def __repr__(self) -> str:
        return f"Sample({self.catalog!r}, listings={[x.listing_id for x in self.listings]}, photos={[*self.photos]})"


def sample(encoder: str | Encoder = "mobilenet-v2") -> Sample:
    """Render a small invented catalog and four listings to try the library on.

    Parameters
    ----------
    encoder : str or Encoder
        ``mobilenet-v2`` needs no model hub: `imgmatch weights pull mobilenet-v2`.

    Returns
    -------
    Sample
        The same photos and texts each time.

    Raises
    ------
    ImgmatchError
        Where the encoder's weights are not on this machine; the message names the command that gets them.

    Examples
    --------
    >>> from imgmatch import Matcher, sample                            # doctest: +SKIP
    >>> s = sample()                                                    # doctest: +SKIP
    >>> record = Matcher(s.catalog).examine(s.listings[0], photos=s.photos)  # doctest: +SKIP
    """
    products = [product for brand in DEMO_BRANDS[:2] for product in make_collection(brand, 0, bags=2, watches=1)]
    catalog = Catalog.from_items(map(_item, products), brands=map(_brand, DEMO_BRANDS[:2]), encoder=encoder)
    ours, theirs = products[0], products[1]
    name = ours.spec.brand.name
    rng = np.random.default_rng(0)
    altered = forge_item("misspelt_wordmark", ours.spec, rng, 1.0)
    photos = {
        "honest.jpg": _at_home(ours.spec, "phone_a"),
        "copied.jpg": official_jpeg(theirs.spec, "front"),
        "misspelt.jpg": _at_home(altered, "phone_logo"),
        "unrelated.jpg": jpeg(goods_photo("lamp", 7), 88),
    }
    listings = (
        Listing(
            "honest",
            photos=("honest.jpg",),
            title=f"{name} {ours.spec.model}, worn twice",
            price=round(ours.price * 0.6),
            currency="EUR",
            condition="used",
        ),
        Listing(
            "copied",
            photos=("copied.jpg",),
            title=f"{name} {theirs.spec.model}, 1:1 quality",
            price=round(theirs.price * 0.08),
            currency="EUR",
            condition="new",
        ),
        Listing(
            "misspelt",
            photos=("misspelt.jpg",),
            title=f"{name} bag",
            price=round(ours.price * 0.1),
            currency="EUR",
            condition="new",
        ),
        Listing("unrelated", photos=("unrelated.jpg",), title="Desk lamp", price=20, currency="EUR"),
    )
    return Sample(catalog, listings, photos)


def _item(product: Product) -> dict[str, Any]:
    spec = product.spec
    photos = [official_jpeg(spec, view) for view in OFFICIAL_VIEWS[spec.category][:3]]
    row = {"item_id": spec.item_id, "brand": spec.brand.brand, "name": spec.name, "photos": photos}
    return {**row, "price": product.price, "currency": "EUR", "condition_prices": {"used": product.usual("used")}}


def _brand(brand: BrandDesign) -> dict[str, Any]:
    logos = [{"photo": logo_picture(brand, kind), "kind": kind} for kind in LOGO_KINDS]
    return {"brand": brand.brand, "name": brand.name, "wordmarks": [brand.wordmark], "logos": logos}


def _at_home(spec: ItemSpec, view: str) -> bytes:
    rng = np.random.default_rng(1)
    return jpeg(snapshot(phone_photo(spec, view, rng, ground=("marble", 3)).pixels, rng, 0.3), 88)
