"""Bait and switch on real photos: a promo photo and the listing it leads to, honest or switched, without any words.

    python -m benchmarks.mismatch run      # raw values to benchmarks/results/raw/mismatch.jsonl
    python -m benchmarks.mismatch score    # the table

The catalog: adidas articles (without two views each, held out), watches of seven brands, bags of three. Promo photos are
held-out views or query photos, never catalog photos but where said. Pairs, by kind:

    honest same        another view of the same article
    honest official    promo is the catalog's own photo, the listing shows a held-out view
    honest brand       brand-wide advertising: another article or watch of the same brand
    switched other     everyday photos and generic goods
    switched brand     an article of another catalog brand, another kind of goods
    switched kind      a watch by a brand that the catalog does not know (the hardest: the same kind of goods)

Split by article (``split_of``): the threshold for 1 % false alarms is taken on dev, the figures are of test.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import environment, read_raw, shared_data, write_raw
from imgmatch.metrics import bootstrap_interval, split_of, wilson_interval

HONEST = ("honest same", "honest official", "honest brand")
SWITCHED = ("switched other", "switched brand", "switched kind")


def _rows(data: Path, folder: str) -> list[dict[str, str]]:
    with open(data / folder / "labels.csv", encoding="utf-8") as f:
        return [{**row, "path": str(data / folder / row["path"])} for row in csv.DictReader(f)]


def _pairs(data: Path) -> tuple[dict[str, list[str]], list[dict[str, Any]]]:
    """Return the catalog as {brand/item: paths} and the pairs."""
    catalog: dict[str, list[str]] = {}
    views: dict[str, list[str]] = defaultdict(list)
    for row in _rows(data, "adidas_products"):
        views[row["sku"]].append(row["path"])
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
        else:
            watches[row["brand"]].append(row)
    for row in _rows(data, "bags_three_brands"):
        catalog.setdefault(f"{row['brand']}/{row['product_id']}", []).append(row["path"])
    strangers = [r["path"] for r in _rows(data, "distractors") if r["label"] != "watch"]
    known = {b.lower() for b in watches}
    other_watches = [
        r["path"] for r in _rows(data, "watches_fashion_catalog") if r["brand"].lower().replace(" ", "") not in known
    ]
    pairs = []

    def pair(kind: str, key: str, promo: str, offer: str) -> None:
        pairs.append({"kind": kind, "split": split_of(key), "key": key, "promo": promo, "offer": offer})

    skus, brands = sorted(held), sorted(watches)
    for i, sku in enumerate(skus):
        promo, offer = held[sku]
        pair("honest same", sku, promo, offer)
        pair("honest official", sku, catalog[f"adidas/{sku}"][0], offer)
        pair("honest brand", sku, promo, held[skus[(i + 7) % len(skus)]][1])
        pair("switched other", sku, promo, strangers[(3 * i) % len(strangers)])
        pair("switched other", sku, promo, strangers[(3 * i + 1) % len(strangers)])
        pair("switched brand", sku, promo, watches[brands[i % 7]][i % 30]["path"])
    for b, brand in enumerate(brands):
        for i, row in enumerate(watches[brand]):
            key, mine = row["product_id"] or row["path"], row["path"]
            pair("honest brand", key, mine, watches[brand][(i + 11) % 30]["path"])
            pair("switched other", key, mine, strangers[(7 * (30 * b + i)) % len(strangers)])
            pair("switched brand", key, mine, held[skus[(30 * b + i) % len(skus)]][0])
            pair("switched kind", key, mine, other_watches[(30 * b + i) % len(other_watches)])
    return catalog, pairs


def run(data: Path, work: Path) -> None:
    from imgmatch.catalog import Catalog
    from imgmatch.config import MismatchConfig
    from imgmatch.images import load_image
    from imgmatch.photo import PhotoContext, Query
    from imgmatch.records import Listing
    from imgmatch.signals.mismatch import MismatchSignal

    items, pairs = _pairs(data)
    source = work / "source"
    for item, paths in items.items():
        (source / item).mkdir(parents=True, exist_ok=True)
        for path in paths:
            shutil.copy(path, source / item / Path(path).name)
    catalog = Catalog.build(source, work / "catalog", encoder="mobilenet-v2")
    names = sorted({p for pair in pairs for p in (pair["promo"], pair["offer"])})
    vectors: dict[str, Any] = {}
    waiting = iter(names)
    while part := list(islice(waiting, 32)):
        vectors.update(zip(part, catalog.encoder.encode([load_image(p) for p in part]), strict=True))

    def photo(photo_id: str, path: str) -> PhotoContext:
        context = PhotoContext(photo_id, load_image(path), photo_id.split("-")[0].replace("photo", "listing"))
        context.put("embedding", vectors[path])
        return context

    signal = MismatchSignal(catalog, MismatchConfig())

    def rows() -> Iterator[dict[str, Any]]:
        yield {"environment": environment(), "space": catalog.space.describe(), "items": len(catalog.items)}
        for pair in pairs:
            query = Query(
                Listing("1", photos=("a",), promo_photos=("b",)),
                [photo("photo-1", pair["offer"]), photo("promo-1", pair["promo"])],
            )
            [[finding]] = signal.examine([query])
            cosine = float(vectors[pair["promo"]] @ vectors[pair["offer"]])
            shown = {k: str(Path(pair[k]).relative_to(data)) for k in ("promo", "offer")}
            yield {
                **pair,
                **shown,
                "value": finding.value,
                "status": str(finding.status),
                "brand": finding.brand,
                "cosine": cosine,
                "facts": finding.evidence.get("facts"),
            }

    print(write_raw("mismatch", rows()))


def score() -> None:
    rows = [r for r in read_raw("mismatch") if "kind" in r]
    for r in rows:
        r["score"] = 0.0 if r["value"] is None else r["value"]  # an abstention raises no alarm
        r["plain"] = 1.0 - r["cosine"]
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
        cells = []
        for name, _, threshold in table:
            hit = [r[name] >= threshold for r in some]
            low, high = wilson_interval(sum(hit), len(hit))
            if kind in ("honest", "switched"):  # pairs of one article are not independent
                low, high = bootstrap_interval(np.array(hit, float), groups=np.array([r["key"] for r in some]))
            cells.append(f"{np.mean(hit):.1%} ({low:.1%} to {high:.1%})")
        print(f"| {kind} | {len(some)} | " + " | ".join(cells) + f" | {np.mean([r['value'] is None for r in some]):.0%} |")


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
