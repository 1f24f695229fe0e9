"""The authentic side of a world as the source of a catalog: manifest, brands, logos and a background of unrelated photos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from imgmatch.world.brands import BrandDesign
from imgmatch.world.collection import CONDITION_SHARE, Product
from imgmatch.world.goods import GOODS, goods_photo
from imgmatch.world.logos import LOGO_KINDS, logo_picture
from imgmatch.world.render import OFFICIAL_VIEWS
from imgmatch.world.staging import jpeg, official_jpeg

__all__ = ["write_catalog_source"]


def write_catalog_source(out: Path, products: Sequence[Product], *, views: int = 4, background: int = 20) -> Path:
    """Write what ``imgmatch catalog build`` takes and return the path of the manifest.

    Parameters
    ----------
    out : Path
        Folder for ``manifest.jsonl``, ``brands.jsonl``, ``photos/``, ``logos/`` and ``background/``.
    products : sequence of Product
    views : int
        Official photos of each item, from 1 to 5.
    background : int
        Photos of unrelated goods.
    """
    if not 1 <= views <= 5:
        raise ValueError(f"expected from 1 to 5 views, got {views}")
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for product in products:
        spec = product.spec
        photos = []
        for view in OFFICIAL_VIEWS[spec.category][:views]:
            name = f"photos/{spec.brand.brand}/{spec.item_id}/{view}.jpg"
            _write(out / name, official_jpeg(spec, view))
            photos.append(name)
        rows.append(
            {
                "item_id": spec.item_id,
                "brand": spec.brand.brand,
                "model": spec.model,
                "variant": spec.variant,
                "category": spec.category,
                "name": spec.name,
                "photos": photos,
                "price": product.price,
                "currency": "EUR",
                "condition_prices": {name: product.usual(name) for name in CONDITION_SHARE},
                "url": f"https://{spec.brand.domain}/p/{spec.item_id}",
            }
        )
    _write_lines(out / "manifest.jsonl", rows)
    brands = list({p.spec.brand.brand: p.spec.brand for p in products}.values())
    _write_lines(out / "brands.jsonl", [_brand(out, brand) for brand in brands])
    kinds = list(GOODS)
    for i in range(background):
        photo = goods_photo(kinds[i % len(kinds)], 500 + i, plain=i % 3 == 0)
        _write(out / "background" / f"{i:03d}.jpg", jpeg(photo, 88))
    return out / "manifest.jsonl"


def _brand(out: Path, brand: BrandDesign) -> dict[str, Any]:
    logos = []
    for kind in LOGO_KINDS:
        name = f"logos/{brand.brand}-{kind}.png"
        _write(out / name, bytes(cv2.imencode(".png", logo_picture(brand, kind)[..., ::-1])[1]))
        logos.append({"path": name, "kind": kind})
    return {
        "brand": brand.brand,
        "name": brand.name,
        "wordmarks": [brand.wordmark],
        "aliases": list(brand.aliases),
        "logos": logos,
        "official_domains": [brand.domain],
        "authorised_sellers": [list(pair) for pair in brand.authorised],
    }


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
