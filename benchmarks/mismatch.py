"""Bait and switch: a promo photo and the listing it leads to, honest or switched, without any words.

    python -m benchmarks.mismatch run      # raw values to benchmarks/results/raw/mismatch.jsonl
    python -m benchmarks.mismatch score    # the tables

Two sets. *real*: the catalog holds adidas articles (two views each held out), watches of seven brands, bags of three; promo
photos are held-out views or query photos, never catalog photos but where said. *rendered*: invented brands with bags and
watches; official views in the catalog, sellers' snapshots in the listings.

    honest same        another photo of the same article
    honest official    promo is the catalog's own photo, the listing shows another view or a snapshot
    honest brand       brand-wide advertising: another article or watch of the same brand
    honest banner      the brand's mark and name on a coloured ground (rendered)
    switched other     everyday photos and generic goods (real); dresses, boots, hoodies, household things (rendered)
    switched composite promo is "order this, get this": the listing's own photo beside the brand's (rendered)
    switched brand     an article of another catalog brand: another kind of goods (real), the same kind (rendered)
    switched kind      the same kind of goods by a brand that the catalog does not know (the hardest)

Split by article (``split_of``): the threshold for 1 % false alarms is taken on dev, the figures are of test.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import environment, read_raw, shared_data, write_raw
from imgmatch.metrics import bootstrap_interval, split_of, wilson_interval

HONEST = ("honest same", "honest official", "honest brand", "honest banner")
SWITCHED = ("switched other", "switched composite", "switched brand", "switched kind")


def _rows(data: Path, folder: str) -> list[dict[str, str]]:
    with open(data / folder / "labels.csv", encoding="utf-8") as f:
        return [{**row, "path": str(data / folder / row["path"])} for row in csv.DictReader(f)]


def _real(data: Path, work: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Write the source of the catalog; return it and the pairs."""
    catalog: dict[str, list[str]] = {}
    category: dict[str, str] = {}
    views: dict[str, list[str]] = defaultdict(list)
    for row in _rows(data, "adidas_products"):
        if "video" not in row["view"]:  # a still of a film may show anything
            views[row["sku"]].append(row["path"])
        name = row["product_name"].lower()
        kinds = {"shoe": "shoes", "superstar": "shoes", "slide": "shoes", "bag": "bag", "backpack": "bag", "sock": "socks"}
        category[f"adidas/{row['sku']}"] = next((kind for word, kind in kinds.items() if word in name), "clothes")
    held = {}
    for sku, paths in sorted(views.items()):
        # Standard views first in the file names; hold out the second and the last, which differ most from it.
        paths = sorted(paths)
        if len(paths) >= 4:
            held[sku] = (paths[1], paths[-1])
            paths = [p for p in paths if p not in held[sku]]
        catalog[f"adidas/{sku}"] = paths
    watches: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _rows(data, "eval_bags_watches"):
        if row["role"] == "catalog":
            catalog.setdefault(f"{row['brand']}/{row['product_id']}", []).append(row["path"])
            category[f"{row['brand']}/{row['product_id']}"] = "watch"
        else:
            watches[row["brand"]].append(row)
    for row in _rows(data, "bags_three_brands"):
        catalog.setdefault(f"{row['brand']}/{row['product_id']}", []).append(row["path"])
        category[f"{row['brand']}/{row['product_id']}"] = "bag"
    strangers = [r["path"] for r in _rows(data, "distractors") if r["label"] != "watch"]
    known = {b.lower() for b in watches}
    other_watches = [
        r["path"] for r in _rows(data, "watches_fashion_catalog") if r["brand"].lower().replace(" ", "") not in known
    ]
    pairs: list[dict[str, Any]] = []

    def pair(kind: str, key: str, promo: str, offer: str) -> None:
        pairs.append({"set": "real", "kind": kind, "split": split_of(key), "key": key, "promo": promo, "offer": offer})

    skus, brands = sorted(held), sorted(watches)
    for i, sku in enumerate(skus):
        promo, offer = held[sku]
        pair("honest same", sku, promo, offer)
        pair("honest official", sku, catalog[f"adidas/{sku}"][0], offer)
        pair("honest brand", sku, promo, held[skus[(i + 7) % len(skus)]][1])
        pair("switched other", sku, promo, strangers[(3 * i) % len(strangers)])
        pair("switched other", sku, promo, strangers[(3 * i + 1) % len(strangers)])
        theirs = watches[brands[i % len(brands)]]
        pair("switched brand", sku, promo, theirs[i % len(theirs)]["path"])
    for b, brand in enumerate(brands):
        for i, row in enumerate(watches[brand]):
            key, mine = row["product_id"] or row["path"], row["path"]
            pair("honest brand", key, mine, watches[brand][(i + 11) % len(watches[brand])]["path"])
            pair("switched other", key, mine, strangers[(7 * (30 * b + i)) % len(strangers)])
            pair("switched brand", key, mine, held[skus[(30 * b + i) % len(skus)]][0])
            pair("switched kind", key, mine, other_watches[(30 * b + i) % len(other_watches)])
    source = work / "real"
    source.mkdir()
    with open(source / "manifest.jsonl", "w", encoding="utf-8") as f:
        for key, paths in catalog.items():
            brand, item = key.split("/")
            inside = []
            for n, path in enumerate(paths):
                copy = work / "real" / "photos" / brand / item / f"{n}{Path(path).suffix}"
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(Path(path).read_bytes())
                inside.append(str(copy.relative_to(source)))
            f.write(json.dumps({"item_id": item, "brand": brand, "category": category[key], "photos": inside}) + "\n")
    return source / "manifest.jsonl", pairs


def _rendered(work: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Render the brands, their official photos, snapshots of their goods, and unrelated goods; return source and pairs."""
    from imgmatch.augment.edits import edit
    from imgmatch.world.brands import make_brand
    from imgmatch.world.catalog_source import write_catalog_source
    from imgmatch.world.collection import make_collection
    from imgmatch.world.goods import GOODS, goods_photo
    from imgmatch.world.render import studio_photo
    from imgmatch.world.staging import PhotoStore, World, jpeg

    rng = np.random.default_rng(71)
    ours, theirs = ([make_brand(7_100 + 50 * k + i) for i in range(6)] for k in (0, 1))
    products, strangers = (
        [p for brand in brands for p in make_collection(brand, 71, bags=4, watches=3, variants=1)]
        for brands in (ours, theirs)
    )
    world = World(rng, products, strangers, PhotoStore(work / "snapshots"), frozenset(), frozenset())
    manifest = write_catalog_source(work / "rendered", products)
    pairs: list[dict[str, Any]] = []
    kinds = list(GOODS)

    def file(pixels: Any) -> str:
        return str(work / world.store.put(jpeg(pixels, int(rng.integers(70, 92)))))

    def snapshot(spec: Any, view: str = "phone_b") -> str:
        return file(world.taken(spec, view, world.seller()))

    for i, product in enumerate(products):
        spec = product.spec
        other = next(p.spec for p in products[i + 1 :] + products if p.spec.brand is spec.brand and p is not product)
        rival = world.one([p.spec for p in products if p.spec.brand is not spec.brand and p.spec.category == spec.category])
        unknown = world.one([p.spec for p in strangers if p.spec.category == spec.category])
        official = studio_photo(spec, "front")
        for _ in range(2):
            kind = kinds[int(rng.integers(len(kinds)))] if rng.random() < 0.4 else kinds[int(rng.integers(4))]
            goods = goods_photo(kind, int(rng.integers(400)), plain=bool(rng.random() < 0.5))
            thing = file(goods)
            composite = edit("order_this", official, rng, 0.4, [goods]).image
            promo = snapshot(spec, "phone_a")
            rows = (
                ("honest same", promo, snapshot(spec)),
                ("honest official", file(official), snapshot(spec)),
                ("honest brand", file(studio_photo(other, "front")), snapshot(spec)),
                ("honest banner", str(work / world.banner(spec.brand)["path"]), snapshot(spec)),
                ("switched other", promo, thing),
                ("switched composite", file(composite), thing),
                ("switched brand", promo, snapshot(rival)),
                ("switched kind", promo, snapshot(unknown)),
            )
            pairs += [
                {"set": "rendered", "kind": k, "split": split_of(spec.item_id), "key": spec.item_id, "promo": a, "offer": b}
                for k, a, b in rows
            ]
    return manifest, pairs


def run(data: Path, work: Path, encoder: Any = "mobilenet-v2") -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"environment": environment()}
        for source, pairs in (_real(data, work), _rendered(work)):
            yield from _examined(source, pairs, work, data, encoder)

    print(write_raw("mismatch", rows()))


def _examined(source: Path, pairs: list[dict[str, Any]], work: Path, data: Path, encoder: Any) -> Iterator[dict[str, Any]]:
    from imgmatch.catalog import Catalog
    from imgmatch.images import load_image
    from imgmatch.loading.photo import PhotoContext, Query
    from imgmatch.records import Listing
    from imgmatch.signals.mismatch.settings import MismatchConfig
    from imgmatch.signals.mismatch.signal import MismatchSignal

    catalog = Catalog.build(source, work / f"catalog-{pairs[0]['set']}", encoder=encoder)
    yield {"space": catalog.space.describe(), "items": len(catalog.items), "photos": len(catalog.photos)}
    names = sorted({p for pair in pairs for p in (pair["promo"], pair["offer"])})
    vectors: dict[str, Any] = {}
    waiting = iter(names)
    while part := list(islice(waiting, 32)):
        vectors.update(zip(part, catalog.encoder.encode([load_image(p) for p in part]), strict=True))

    def photo(photo_id: str, path: str) -> PhotoContext:
        context = PhotoContext(photo_id, load_image(path), photo_id.split("-")[0].replace("photo", "listing"))
        context.embedding = vectors[path]
        return context

    signal = MismatchSignal(catalog, MismatchConfig())
    for pair in pairs:
        query = Query(
            Listing("1", photos=("a",), promo_photos=("b",)),
            [photo("photo-1", pair["offer"]), photo("promo-1", pair["promo"])],
        )
        [[finding]] = signal.examine([query])
        home = data if pair["set"] == "real" else work
        yield {
            **pair,
            **{k: str(Path(pair[k]).relative_to(home)) for k in ("promo", "offer")},
            "value": finding.value,
            "status": str(finding.status),
            "brand": finding.brand,
            "cosine": float(vectors[pair["promo"]] @ vectors[pair["offer"]]),
            "facts": finding.evidence.get("facts"),
        }


def score() -> None:
    rows = [r for r in read_raw("mismatch") if "kind" in r]
    for r in rows:
        r["score"] = 0.0 if r["value"] is None else r["value"]  # an abstention raises no alarm
        r["plain"] = 1.0 - r["cosine"]
    for name in ("real", "rendered"):
        print(f"{name} photos\n")
        _table([r for r in rows if r["set"] == name])


def _table(rows: list[dict[str, Any]]) -> None:
    table = []
    for name in ("score", "plain"):
        dev = sorted((r[name] for r in rows if r["split"] == "dev" and r["kind"] in HONEST), reverse=True)
        threshold = float(np.nextafter(dev[int(0.01 * len(dev))], 9))
        table.append((name, "1 % on dev", threshold))
    table += [("score", "weak", 0.5), ("score", "strong", 0.8)]
    print("| pairs (test) | n | " + " | ".join(f"{n}: {how} ({t:.2f})" for n, how, t in table) + " | abstained |")
    print("| --- | ---: |" + " ---: |" * (len(table) + 1))
    test = [r for r in rows if r["split"] == "test"]
    for kind in (*HONEST, "honest", *SWITCHED, "switched"):
        some = [r for r in test if r["kind"] == kind or (kind in ("honest", "switched") and r["kind"].startswith(kind))]
        if not some:
            continue
        cells = []
        for name, _, threshold in table:
            hit = [r[name] >= threshold for r in some]
            low, high = wilson_interval(sum(hit), len(hit))
            if kind in ("honest", "switched"):  # pairs of one article are not independent
                low, high = bootstrap_interval(np.array(hit, float), groups=np.array([r["key"] for r in some]))
            cells.append(f"{np.mean(hit):.1%} ({low:.1%} to {high:.1%})")
        print(f"| {kind} | {len(some)} | " + " | ".join(cells) + f" | {np.mean([r['value'] is None for r in some]):.0%} |")
    print()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "score"])
    parser.add_argument("--data", help="folder of the real photos")
    arguments = parser.parse_args()
    if arguments.what == "run":
        with tempfile.TemporaryDirectory() as folder:
            run(shared_data(arguments.data), Path(folder))
    else:
        score()
