"""Invented brands, drawn by `imgmatch.world`: what runs in a fresh clone. Every figure on it is called rendered."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.datasets.manifest import read as read_manifest
from benchmarks.frame.data import REPO, Card, Photo

CARD = Card(
    title="rendered brands",
    licence="Apache-2.0, as the project",
    cite="this project",
    protocol="studio views are the catalog, phone photos of the same goods the queries, goods of unknown brands distractors",
    url="",
    task="articles",
    rendered=True,
)
BRANDS = {"dev": range(8100, 8104), "test": range(8200, 8204)}
"""Seeds of the brands; fitting worlds, other suites and the locked seeds have others."""


def read(root: Path) -> Iterator[Photo]:
    yield from read_manifest(root)


def render(out: Path, *, smoke: bool = False) -> Path:
    """Draw the set to a folder named after what it is drawn with; one that is there is taken as it is."""
    brands, bags, watches = (2, 1, 1) if smoke else (4, 3, 2)
    key = hashlib.sha256(repr((BRANDS, brands, bags, watches)).encode())
    for source in sorted([*(REPO / "imgmatch" / "world").glob("*.py"), Path(__file__)]):
        key.update(source.read_bytes())
    folder = out / f"rendered-{key.hexdigest()[:12]}"
    if (folder / "manifest.jsonl").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    rows = [row for split in BRANDS for row in _half(folder, split, brands, bags, watches)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    return folder


def _half(folder: Path, split: str, count: int, bags: int, watches: int) -> Iterator[dict[str, Any]]:
    import numpy as np

    from imgmatch.augment.conditions import snapshot
    from imgmatch.world.brands import make_brand
    from imgmatch.world.collection import make_collection
    from imgmatch.world.goods import GOODS, goods_photo
    from imgmatch.world.render import OFFICIAL_VIEWS, PHONE_VIEWS, phone_photo, studio_photo
    from imgmatch.world.staging import jpeg

    def file(name: str, data: bytes) -> str:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        return name

    for seed in BRANDS[split][:count]:
        brand = make_brand(seed)
        for product in make_collection(brand, seed, bags=bags, watches=watches, variants=2):
            spec = product.spec
            said = {"item": spec.item_id, "brand": brand.brand, "split": split}
            for view in OFFICIAL_VIEWS[spec.category][:3]:
                name = file(f"{spec.item_id}/{view}.jpg", jpeg(studio_photo(spec, view), 90))
                yield said | {"path": name, "role": "catalog"}
            for view in PHONE_VIEWS[spec.category][:2]:
                rng = np.random.default_rng([seed, *spec.item_id.encode(), *view.encode()])
                name = file(f"{spec.item_id}/{view}.jpg", jpeg(snapshot(phone_photo(spec, view, rng).pixels, rng, 0.6), 82))
                yield said | {"path": name, "role": "query"}
    for number in range(2 * count):  # goods of brands that no catalog has
        stranger = make_brand(BRANDS[split][0] + 50 + number)
        for product in make_collection(stranger, 7, bags=1, watches=1, variants=1):
            rng = np.random.default_rng([number, *product.spec.item_id.encode()])
            view = PHONE_VIEWS[product.spec.category][0]
            taken = snapshot(phone_photo(product.spec, view, rng).pixels, rng, 0.6)
            name = file(f"unknown-{split}/{product.spec.item_id}.jpg", jpeg(taken, 82))
            yield {"path": name, "role": "distractor", "split": split}
    for number, kind in enumerate(list(GOODS) * (1 if count < 4 else 3)):
        seed = 700 + number + (0 if split == "dev" else 100)
        name = file(f"goods-{split}/{kind}-{number}.jpg", jpeg(goods_photo(kind, seed, plain=number % 3 == 0), 85))
        yield {"path": name, "role": "distractor", "split": split}
