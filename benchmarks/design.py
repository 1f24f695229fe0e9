"""Does the design signal know its own, leave strangers alone in catalogs of any size, and rank better than a cosine?

    python -m benchmarks.design run                # raw rows to benchmarks/results/raw/design.jsonl, no locked units
    python -m benchmarks.design run --locked       # the locked units alone; written down in locked_opened.jsonl
    python -m benchmarks.design score [--locked]

Claims: catalogs of 1, 2, 5 and 20 photos a brand (adidas: an article) of watches of seven brands, bags of three,
articles of one brand, photos of the marks of twenty and sellers' listings. Asked are other photos of the same brands (of
marks: those after the first 8), and strangers: everyday photos on which nobody reads a brand of the catalog, and catalog
photos of other goods; apart from these, watches of brands that are not in the catalog, the hardest kind. A claim is a
finding with status ok.

Ranks: the brand (for adidas the article, of groceries the package) of the first candidate, always answered, beside the
plain cosine to the same photos. Watches: 300 catalog photos. Adidas: five folds by photo, the other four are the catalog.
Sellers' listings: ten folds by group of reposts, the other nine are the catalog, less what is as near as 0.98 to a query.
Groceries: one catalog photo each.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import OUT, REPO, environment, read_raw, shared_data, wilson, write_raw
from benchmarks.locked import OPENED, is_locked

SETS = (
    "adidas_products",
    "bags_three_brands",
    "distractors",
    "eval_bags_watches",
    "grocery_iconic_vs_photo",
    "logos_in_photos",
    "seller_reposts",
    "watches_fashion_catalog",
)
UNIT = {"adidas_products": "sku", "grocery_iconic_vs_photo": "class_id", "bags_three_brands": "product_id"}
CATALOGS = ("watches", "bags", "adidas", "marks", "sellers")
SIZES = (1, 2, 5, 20)
OWN_GOODS = {"watches": (), "bags": ("bags_three_brands",), "adidas": ("adidas_products",), "marks": (), "sellers": ()}
"""Sets that are no strangers to a catalog: they hold photos of its brands."""


@dataclass(frozen=True)
class Photo:
    """A photo: its data set, path, brand or article, the item it is of, and whether its unit is locked."""

    folder: str
    path: str
    brand: str
    item: str
    group: str
    role: str
    locked: bool
    vector: Any


def photos(data: Path) -> dict[str, list[Photo]]:
    """Read and embed all sets; embeddings are kept in OUT, by embedding space."""
    from imgmatch import load_encoder, load_image

    encoder = load_encoder("mobilenet-v2")

    def embedded(folder: str, paths: list[str]) -> Any:
        kept = OUT / "design" / f"{folder}-{encoder.space.id}.npy"
        if not kept.is_file():
            side = 2 * encoder.input_size
            parts = [paths[i : i + 64] for i in range(0, len(paths), 64)]
            vectors = [encoder.encode([load_image(data / folder / p, target_side=side) for p in part]) for part in parts]
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(kept, np.concatenate(vectors))
        return np.load(kept)

    labels = {
        f: {r["path"]: r for r in _table(REPO / "benchmarks" / "labels" / f"{f}.csv")}
        for f in ("seller_brands", "distractor_brands")
    }
    found: dict[str, list[Photo]] = {}
    for folder in SETS:
        rows = _table(data / folder / "labels.csv")
        found[folder] = []
        for row, vector in zip(rows, embedded(folder, [r["path"] for r in rows]), strict=True):
            label = labels["seller_brands"].get(row["path"], {}) if folder == "seller_reposts" else {}
            brand = label.get("brand", row.get("brand", ""))
            if folder == "distractors":
                brand = labels["distractor_brands"][row["path"]]["brands"]
            group = label.get("group", row["path"])
            unit = {"logos_in_photos": row.get("half", ""), "seller_reposts": group}.get(
                folder, row[UNIT.get(folder, "path")]
            )
            item = row.get("sku") or row.get("class_id") or row.get("product_id") or group
            usable = "" if folder == "seller_reposts" and ("|" in brand or label["doubt"] == "1") else brand
            role = row.get("role") or row.get("half") or "catalog"
            found[folder].append(Photo(folder, row["path"], usable, item, group, role, is_locked(folder, unit), vector))
    return found


def _table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8") as f:
        return list(csv.DictReader(f))


class VectorCatalog:
    """As much of a catalog as the design signal asks for, over photos that are embedded already.

    Parameters
    ----------
    data : Path
    photos : sequence of Photo
        Each of a brand; `item` may repeat.
    encoder : Encoder
    """

    def __init__(self, data: Path, known: Sequence[Photo], encoder: Any) -> None:
        from imgmatch.catalog.items import Brand, CatalogPhoto, Item
        from imgmatch.types import PhotoRole

        self._data, self._known = data, known
        self.shared: dict[str, Any] = {}
        self.encoder, self.space = encoder, encoder.space
        self.photo_ids = [hashlib.sha256(f"{p.folder}/{p.path}".encode()).hexdigest() for p in known]
        self.vectors = np.stack([p.vector for p in known])
        self.version = hashlib.sha256("".join(self.photo_ids).encode()).hexdigest()[:12]
        shas: dict[tuple[str, str], list[str]] = defaultdict(list)
        for sha, photo in zip(self.photo_ids, known, strict=True):
            shas[photo.brand, photo.item].append(sha)
        self.items = {f"{b}/{i}": Item(f"{b}/{i}", b, photos=tuple(s)) for (b, i), s in shas.items()}
        self.brands = {p.brand: Brand(p.brand, p.brand) for p in known}
        self.photos = {
            sha: CatalogPhoto(sha, PhotoRole.REFERENCE, f"{p.brand}/{p.item}", p.brand, p.path, 8, 8, "0" * 64, 0)
            for sha, p in zip(self.photo_ids, known, strict=True)
        }

    @cached_property
    def likeness(self) -> Any:
        from imgmatch.catalog.likeness import Likeness

        return Likeness(self)  # type: ignore[arg-type]

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {sha: row for row, sha in enumerate(self.photo_ids)}

    def embedding(self, sha: str) -> Any:
        return self.vectors[self._row_of[sha]]

    def prepared(self, sha: str) -> Any:
        from imgmatch import load_image

        photo = self._known[self._row_of[sha]]
        return self.encoder.prepare(
            load_image(self._data / photo.folder / photo.path, target_side=2 * self.encoder.input_size)
        )

    def nearest(self, queries: Any, k: int) -> Any:
        from imgmatch.types import Neighbors

        similarities = queries @ self.vectors.T
        ids = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
        return Neighbors(ids.astype(np.int64), np.take_along_axis(similarities, ids, 1))


def claims_catalog(found: dict[str, list[Photo]], kind: str, size: int) -> tuple[list[Photo], list[Photo]]:
    """Return the photos of a catalog and other photos of the same brands (adidas: of the same articles)."""
    rng = np.random.default_rng(0)
    folder = {
        "watches": "eval_bags_watches",
        "bags": "bags_three_brands",
        "adidas": "adidas_products",
        "marks": "logos_in_photos",
    }
    by: dict[str, list[Photo]] = defaultdict(list)
    seen = set()
    for photo in found[folder.get(kind, "seller_reposts")]:
        if not photo.brand or (kind == "marks" and photo.role == "test" and not photo.locked):
            continue
        if kind == "sellers" and (photo.group in seen or seen.add(photo.group)):  # type: ignore[func-returns-value]
            continue  # one of each group of reposts
        by[photo.item if kind == "adidas" else photo.brand].append(photo)
    catalog, own = [], []
    for _, mine in sorted(by.items()):
        known = [p for p in mine if p.role in ("catalog", "dev")]
        if kind == "marks":
            known, others = known[:8], known[8:] + [p for p in mine if p.role == "test"]
        else:
            known = [known[i] for i in rng.permutation(len(known))]
            others = [p for p in mine if p.role not in ("catalog", "dev")]
        if kind in ("adidas", "sellers") and len(known) < 2:
            continue
        taken = known[: min(size, len(known) - 1) if kind in ("adidas", "sellers") else size]
        catalog += taken
        own += others + (known[len(taken) :] if kind in ("bags", "adidas", "sellers") else [])
    return catalog, own


def strangers(found: dict[str, list[Photo]], kind: str, brands: set[str]) -> dict[str, list[Photo]]:
    """Return photos of what is not in the catalog, by kind of stranger."""
    everyday = [p for p in found["distractors"] if not brands & set(p.brand.split("|"))]
    goods = [p for p in found["grocery_iconic_vs_photo"] if p.role == "catalog"]
    for folder in ("bags_three_brands", "adidas_products"):
        if folder not in OWN_GOODS[kind] and not (kind == "sellers" and folder == "adidas_products"):
            goods += list({p.item: p for p in found[folder]}.values())
    likes = {"watches of other brands": found["watches_fashion_catalog"]} if kind == "watches" else {}
    if kind != "watches":
        goods += found["watches_fashion_catalog"][:120]
    return {"everyday": everyday, "other goods": goods, **likes}


def run(data: Path, locked: bool) -> Iterator[dict[str, Any]]:
    """Yield a row per catalog and query."""
    from imgmatch import load_encoder

    found, encoder = photos(data), load_encoder("mobilenet-v2")
    for kind in CATALOGS:
        for size in SIZES:
            known, own = claims_catalog(found, kind, size)
            others = strangers(found, kind, {p.brand for p in known})
            queries = [("own", p) for p in own] + [(k, p) for k, ps in others.items() for p in ps]
            queries = [(part, p) for part, p in queries if p.locked is locked]
            if any(part == "own" for part, _ in queries) and known:
                yield from _asked({"suite": "claims", "catalog": kind, "size": size}, data, known, encoder, queries)
    for name, known, asked in rank_sets(found):
        queries = [("own", p) for p in asked if p.locked is locked]
        yield from _asked({"suite": "ranks", "catalog": name, "size": len(known)}, data, known, encoder, queries)


def rank_sets(found: dict[str, list[Photo]]) -> Iterator[tuple[str, list[Photo], list[Photo]]]:
    """Yield catalogs and the photos asked of them; the `brand` is what counts as right."""
    watches = found["eval_bags_watches"]
    yield "watches", [p for p in watches if p.role == "catalog"], [p for p in watches if p.role != "catalog"]
    groceries = [replace(p, brand=p.item) for p in found["grocery_iconic_vs_photo"]]
    yield "groceries", [p for p in groceries if p.role == "catalog"], [p for p in groceries if p.role != "catalog"]
    for name, folder, folds in (("adidas", "adidas_products", 5), ("sellers", "seller_reposts", 10)):
        usable = [p for p in found[folder] if p.brand]
        fold = [int.from_bytes(hashlib.sha256(p.group.encode()).digest()[:4], "big") % folds for p in usable]
        for f in range(folds):
            known = [p for p, g in zip(usable, fold, strict=True) if g != f]
            asked = {p.vector.tobytes(): p for p, g in zip(usable, fold, strict=True) if g == f}.values()
            vectors = np.stack([p.vector for p in asked])
            known = [p for p in known if (vectors @ p.vector).max() < 0.98] if name == "sellers" else known
            answerable = {p.item if name == "adidas" else p.brand for p in known}
            yield name, known, [p for p in asked if (p.item if name == "adidas" else p.brand) in answerable]


def _asked(
    head: dict[str, Any], data: Path, known: list[Photo], encoder: Any, queries: list[tuple[str, Photo]]
) -> Iterator[dict[str, Any]]:
    from imgmatch import Listing, load_image
    from imgmatch.loading.photo import PhotoContext, Query
    from imgmatch.signals.design.settings import DesignConfig
    from imgmatch.signals.design.signal import DesignSignal

    catalog: Any = VectorCatalog(data, known, encoder)
    # A closer look only ever lowers scores, so that claims without it are the most there can be.
    signal = DesignSignal(catalog, DesignConfig() if head["suite"] == "ranks" else DesignConfig(local_weight=0.0))
    signal.warm_up()
    for start in range(0, len(queries), 64):
        part = queries[start : start + 64]
        asked = []
        for number, (_, photo) in enumerate(part):
            path = data / photo.folder / photo.path
            context = PhotoContext("photo-1", lambda path=path: load_image(path, target_side=448), sha256=photo.path)
            context.embedding = photo.vector
            asked.append(Query(Listing(str(number)), [context]))
        before = time.process_time()
        for query, candidates in zip(asked, signal.propose(asked), strict=True):
            query.candidates = tuple(candidates)
        findings = signal.examine(asked)
        seconds = (time.process_time() - before) / len(part)
        for (kind, photo), query, (finding,) in zip(part, asked, findings, strict=True):
            first = query.candidates[0]
            nearest = known[int((catalog.vectors @ photo.vector).argmax())]
            yield {
                **head,
                "photos": len(known),
                "way": catalog.likeness.describe(),
                "closer": signal.dense,
                "kind": kind,
                "path": f"{photo.folder}/{photo.path}",
                "brand": photo.brand,
                "item": photo.item,
                "first": first.brand,
                "first_item": first.item_id.split("/", 1)[1],
                "cosine": nearest.brand,
                "cosine_item": nearest.item,
                "claimed": finding.brand if finding.value is not None else None,
                "value": finding.value,
                "score": first.score,
                "similarity": first.similarity,
                "reason": finding.reason,
                "seconds": seconds,
            }


def score(rows: list[dict[str, Any]]) -> None:
    """Print the tables."""
    print("claims by design (a finding with status ok); strangers: share claimed")
    for kind in CATALOGS:
        for size in SIZES:
            mine = [r for r in rows if (r["suite"], r["catalog"], r["size"]) == ("claims", kind, size)]
            own = [r for r in mine if r["kind"] == "own"]
            if not own:
                continue
            right = sum(r["claimed"] == r["brand"] for r in own)
            wrong = sum(r["claimed"] not in (None, r["brand"]) for r in own)
            line = (
                f"{kind:8s}{size:3d} a brand, {own[0]['photos']:3d} photos: right {wilson(right, len(own))}, wrong {wrong}"
            )
            for other in dict.fromkeys(r["kind"] for r in mine if r["kind"] != "own"):
                part = [r for r in mine if r["kind"] == other]
                line += f"; {other} {sum(r['claimed'] is not None for r in part)} of {len(part)}"
            print(line, f"[{own[0]['way'].split(' (')[0]}]")
    claims = [r for r in rows if r["suite"] == "claims" and r["kind"] == "own" and r["value"] is not None]
    for low, high in ((0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 0.95), (0.95, 1.01)):
        part = [r for r in claims if low <= r["value"] < high]
        right = wilson(sum(r["claimed"] == r["brand"] for r in part), len(part))
        print(f"of own photos claimed with certainty {low:.2f} to {min(high, 1):.2f}: right {right}")
    print("first candidate, always answered, beside the plain cosine to the same photos")
    for name in dict.fromkeys(r["catalog"] for r in rows if r["suite"] == "ranks"):
        mine = [r for r in rows if r["suite"] == "ranks" and r["catalog"] == name]
        what = "item" if name == "adidas" else "brand"
        suffix = "_item" if what == "item" else ""
        ours, plain = (np.array([r[f"{by}{suffix}"] == r[what] for r in mine]) for by in ("first", "cosine"))
        labels = np.array([r[what] for r in mine])
        line = f"{name:10s} {wilson(int(ours.sum()), len(ours))}, cosine {plain.mean():.3f}"
        if name == "watches":
            means = [float(np.mean([v[labels == b].mean() for b in np.unique(labels)])) for v in (ours, plain)]
            line += f"; mean over brands {means[0]:.3f}, cosine {means[1]:.3f}"
        print(
            line,
            f"[{mine[0]['way'].split(' (')[0]}{', closer look' if mine[0]['closer'] else ''}; "
            f"{1000 * np.mean([r['seconds'] for r in mine]):.0f} ms of CPU a photo]",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "score"))
    parser.add_argument("--data")
    parser.add_argument("--locked", action="store_true", help="the locked units alone, which are opened once a version")
    arguments = parser.parse_args()
    name = "design-locked" if arguments.locked else "design"
    if arguments.what == "run":
        data, made_by = shared_data(arguments.data), environment()
        print(write_raw(name, [{"environment": made_by}, *run(data, arguments.locked)]))
        if arguments.locked:
            with open(OPENED, "a", encoding="utf-8") as f:
                row = {"suite": "design", "data": "all of SETS", "when": time.strftime("%Y-%m-%d"), "commit": made_by["git"]}
                f.write(json.dumps(row) + "\n")
        return
    score(read_raw(name)[1:])


if __name__ == "__main__":
    main()
