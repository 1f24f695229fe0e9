"""Does the design signal leave alone what is not in the catalog?

    python -m benchmarks.open_set run      # raw rows
    python -m benchmarks.open_set score    # the table

The catalog: watches of seven brands, bags of three, and adidas articles, each without the photo that is asked about. Known
queries: the watch queries, and one kept-out photo of every adidas article and every bag that has several. Unknown queries:
the distractors, without those on which a person saw a brand of the catalog (``benchmarks/labels/marks.csv``); reported
apart for watches, bags and the rest.

One thing was tuned here: the share of a brand's photos that its floor cuts off, on the known queries of the dev half and on
the unknown photos of the dev half (``split_of`` of the distractor's path). Known queries are asked of the test half only;
the unknown photos of both halves are, and told apart: the figures to quote are those of the test half.

AUROC tells known from unknown by the nearest item's plain cosine, by its normalised score, and by what decides: how far the
cosine lies above the floor of the item's brand. A claim is a finding ``design`` with value of at least 0.5.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import REPO, environment, read_raw, shared_data, write_raw
from imgmatch.metrics import auroc, split_of, wilson_interval


def _rows(data: Path, folder: str) -> list[dict[str, str]]:
    with open(data / folder / "labels.csv", encoding="utf-8") as f:
        return [{**row, "file": str(data / folder / row["path"])} for row in csv.DictReader(f)]


def _id(brand: str) -> str:
    return "".join(c for c in brand.lower() if c.isalnum())


def catalog_and_queries(data: Path) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Return the catalog as {brand/item/file: path} and the queries."""
    catalog: dict[str, str] = {}
    queries: list[dict[str, Any]] = []
    for row in _rows(data, "eval_bags_watches"):
        if row["role"] == "catalog":
            catalog[f"{row['brand']}/{row['product_id']}/{Path(row['file']).name}"] = row["file"]
        elif split_of(row["product_id"]) == "test":
            queries.append({"file": row["file"], "known": True, "group": "watch", "brand": row["brand"], "half": "test"})
    for folder, key in (("adidas_products", "sku"), ("bags_three_brands", "product_id")):
        photos: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row in _rows(data, folder):
            photos[row["brand"], row[key]].append(row["file"])
        for (brand, item), files in photos.items():
            files.sort()
            if len(files) > 1 and split_of(item) == "test":
                group = "shoe or garment" if folder == "adidas_products" else "bag"
                queries.append({"file": files.pop(), "known": True, "group": group, "brand": brand, "half": "test"})
            for file in files:
                catalog[f"{brand}/{item}/{Path(file).name}"] = file
    brands = {_id(name.split("/")[0]) for name in catalog}
    with open(REPO / "benchmarks" / "labels" / "marks.csv", encoding="utf-8") as f:
        seen = {row["path"]: {_id(name) for name in row["brands"].split("|")} for row in csv.DictReader(f)}
    for row in _rows(data, "distractors"):
        if seen.get(f"distractors/{row['path']}", set()) & brands:
            continue
        text = row["label"].lower()
        group = "watch" if "watch" in text else "bag" if any(w in text for w in ("bag", "purse", "wallet")) else "the rest"
        queries.append({"file": row["file"], "known": False, "group": group, "brand": None, "half": split_of(row["path"])})
    return catalog, queries


def run(data: Path) -> None:
    """Build the catalog, ask about every query, write raw rows."""
    from imgmatch import Catalog, Config, Listing, Matcher

    catalog, queries = catalog_and_queries(data)
    with tempfile.TemporaryDirectory() as temporary:
        for name, file in catalog.items():
            target = Path(temporary, "source", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        built = Catalog.build(Path(temporary, "source"), Path(temporary, "catalog"), encoder="mobilenet-v2")
        matcher = Matcher(built, Config(signals=("design",)))
        rows: list[dict[str, Any]] = [{**environment(), "photos": len(built.photos)}]
        for start in range(0, len(queries), 32):
            part = queries[start : start + 32]
            listings = [Listing(str(i), (str(Path(q["file"]).relative_to(data)),)) for i, q in enumerate(part)]
            for query, record in zip(part, matcher.examine_batch(listings, photos=data), strict=True):
                if record.verdict is None:
                    continue
                best = record.verdict.candidates[0] if record.verdict.candidates else None
                design = [f for f in record.verdict.findings if f.signal == "design"]
                claims = [f for f in design if (f.value or 0) >= 0.5]
                facts = design[0].evidence["facts"] if design and "facts" in design[0].evidence else None
                rows.append(
                    {
                        **{k: query[k] for k in ("known", "group", "brand", "half")},
                        "similarity": best.similarity if best else -1.0,
                        "score": best.score if best else -1.0,
                        "margin": facts["similarity"] - facts["least similarity of a claim"] if facts else -1.0,
                        "claimed": claims[0].brand if claims else None,
                    }
                )
    write_raw("open_set", rows)


def score() -> None:
    """Print the table."""
    environment_row, *rows = read_raw("open_set")
    counts = {half: sum(not r["known"] and r["half"] == half for r in rows) for half in ("test", "dev")}
    print(f"{environment_row['photos']} catalog photos, {sum(r['known'] for r in rows)} known queries, unknown: {counts}")
    test = [r for r in rows if r["half"] == "test"]
    known = np.array([r["known"] for r in test])
    for name in ("similarity", "score", "margin"):
        values = np.array([r[name] for r in test])
        rng = np.random.default_rng(0)
        samples = []
        for _ in range(1000):
            chosen = np.concatenate([rng.choice(np.flatnonzero(m), m.sum()) for m in (known, ~known)])
            samples.append(auroc(values[chosen], known[chosen]))
        low, high = np.percentile(samples, [2.5, 97.5])
        print(f"AUROC on the test half by {name:10s} {auroc(values, known):.3f} [{low:.3f}, {high:.3f}]")
    for is_known, half in ((True, "test"), (False, "test"), (False, "dev")):
        chosen_rows = [r for r in rows if r["known"] is is_known and r["half"] == half]
        for group in (*dict.fromkeys(r["group"] for r in chosen_rows), "all"):
            part = [r for r in chosen_rows if group in ("all", r["group"])]
            claims = sum(r["claimed"] is not None for r in part)
            low, high = wilson_interval(claims, len(part))
            right = sum(r["claimed"] == r["brand"] for r in part if r["claimed"] is not None)
            said = f", {right} of these the right brand" if is_known else ", which chose the floor" if half == "dev" else ""
            kind = f"{'known' if is_known else 'unknown'}, {half}"
            print(f"{kind:14s}{group:16s} {claims}/{len(part)} claimed [{low:.3f}, {high:.3f}]{said}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("run", "score"))
    parser.add_argument("--data")
    arguments = parser.parse_args()
    if arguments.what == "run":
        run(shared_data(arguments.data))
    else:
        score()
