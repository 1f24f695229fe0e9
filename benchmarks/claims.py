"""Does the design signal claim its own brand, and leave what the catalog does not know alone, in catalogs of any size?

Catalogs of 1, 2, 5 and 20 photos a brand. Asked are other photos of the same brands, and strangers: the set's distractors
(of the photos beside the project: everyday photos on which nobody reads a brand of the catalog), goods of the other sets,
and watches of brands that a catalog of watches does not have, the hardest kind. A claim is a brand that the verdict names by
design alone, at the level that ships.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from benchmarks.frame import scorer
from benchmarks.frame.data import Photo, by_hash, load
from benchmarks.frame.job import Job, findings

QUESTION = "Is what the catalog does not know left alone, and the right brand claimed where it knows it?"
DATA = ("eval_bags_watches", "bags_three_brands", "seller_reposts", "rendered")
SIZES = (1, 2, 5, 20)
MOST = 120  # photos of a kind that a catalog is asked about
GOODS = ("watches_fashion_catalog", "bags_three_brands", "adidas_products", "grocery_iconic_vs_photo")
KINDS = {"stranger": "photos of unknown things", "goods": "other goods", "like": "watches of other brands"}
SURE = 0.9  # certainty from which a claim should nearly always be right


def run(job: Job) -> Iterator[dict[str, Any]]:
    from imgmatch import Config, Matcher
    from imgmatch.loading.cache import PhotoCache

    photos, cache = job.known(job.data.photos), PhotoCache(job.work / "photos.sqlite")
    most = 12 if job.smoke else MOST
    far = {kind: job.some(job.asked(of), most) for kind, of in _strangers(job, photos).items()}
    before = None
    for size in (1, 5) if job.smoke else SIZES:
        catalog, own = known_and_others(photos, size)
        if catalog == before:
            continue  # the set has no more photos of any brand
        before = catalog
        asked = [(kind, p) for kind, of in {"own": job.some(job.asked(own), most), **far}.items() for p in of]
        matcher = Matcher(job.catalog(catalog), Config(signals=("design",)), cache=cache)
        kinds = {p.path: kind for kind, p in asked}
        for photo, record in job.examine(matcher, [p for _, p in asked]):
            verdict = record.verdict
            yield {
                "size": size, "photos": len(catalog), "kind": kinds[photo.path], "query": job.name(photo),
                "unit": photo.group, "split": photo.split, "brand": photo.brand,
                "claimed": verdict.brand if verdict else None,
                "value": next((f.value for f in findings(record, "design")), None),
            }  # fmt: skip


def known_and_others(photos: list[Photo], size: int) -> tuple[list[Photo], list[Photo]]:
    """Return `size` photos of each brand, of as many items, and the other photos of these brands."""
    by: dict[str, list[Photo]] = defaultdict(list)
    for p in sorted(photos, key=by_hash):
        if p.item and p.brand and p.brand != "unbranded":
            by[p.brand].append(p)
    catalog, own = [], []
    for mine in by.values():
        known = list({p.group: p for p in mine if p.role != "query"}.values())
        known = known[: min(size, len(known) - (0 if any(p.role == "query" for p in mine) else 1))]
        units = {p.group for p in known if p.role == "both"}
        catalog += known
        own += [p for p in mine if known and p not in known and p.group not in units and p.role != "catalog"]
    return catalog, own


def _strangers(job: Job, photos: list[Photo]) -> dict[str, list[Photo]]:
    """Return photos of what no catalog of this set has, by kind."""
    far = {"stranger": [p for p in photos if p.role == "distractor"]}
    brands = {p.brand for p in photos}
    for name in () if job.data.card.rendered or job.smoke else GOODS:
        if name == job.data.name or not (job.data.root.parent / name).is_dir():
            continue
        one_each = {p.item: p for p in load(f"{name}={job.data.root.parent / name}").photos if p.role != "distractor"}
        kind = "like" if (job.data.name, name) == ("eval_bags_watches", "watches_fashion_catalog") else "goods"
        far.setdefault(kind, []).extend(p for p in job.known(one_each.values()) if p.brand not in brands)
    return far


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    test = [r for r in rows if r["split"] == ("locked" if head["locked"] else "test")]
    sure = [r for r in test if r["kind"] == "own" and r["claimed"] and r["value"] >= SURE]
    if sure:
        what = f"brands claimed with certainty {SURE} or more: right"
        yield scorer.share_of(what, sure, lambda r: r["claimed"] == r["brand"])
    for size in dict.fromkeys(r["size"] for r in rows):
        named = f"{size} photo{'s' * (size > 1)} a brand"
        by = {kind: [r for r in test if (r["size"], r["kind"]) == (size, kind)] for kind in (*KINDS, "own")}
        for kind, what in KINDS.items():
            if by[kind]:
                what = f"a brand claimed by design on {what}, {named}"
                yield scorer.share_of(what, by[kind], lambda r: r["claimed"] is not None, target="<= 0.01")
        if by["own"]:
            wrong = f"{sum(r['claimed'] not in (None, r['brand']) for r in by['own'])} wrong"
            what = f"the right brand claimed, {named}"
            yield scorer.share_of(what, by["own"], lambda r: r["claimed"] == r["brand"], against=wrong)
