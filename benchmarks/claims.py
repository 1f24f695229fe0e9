"""Does the design signal claim its own brand, and leave what the catalog does not know alone, in catalogs of any size?

Catalogs of 1, 5 and 20 photos a brand. Asked are other photos of the same brands, and strangers: the set's distractors (of
the photos beside the project: everyday photos on which nobody reads a brand of the catalog). A claim is a brand that the
verdict names by design alone, at the level that ships.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from benchmarks.frame import scorer
from benchmarks.frame.data import Photo
from benchmarks.frame.job import Job

QUESTION = "Is what the catalog does not know left alone, and the right brand claimed where it knows it?"
DATA = ("eval_bags_watches", "bags_three_brands", "seller_reposts", "rendered")
SIZES = (1, 5, 20)
MOST = 120  # photos of a kind that a catalog is asked about


def run(job: Job) -> Iterator[dict[str, Any]]:
    from imgmatch import Config, Matcher

    photos = job.known(job.data.photos)
    strangers = job.asked(p for p in photos if p.role == "distractor")
    before = None
    for size in (1, 5) if job.smoke else SIZES:
        catalog, own = known_and_others(photos, size)
        if catalog == before:
            continue  # the set has no more photos of any brand
        before = catalog
        asked = [("own", p) for p in _some(job, job.asked(own))] + [("stranger", p) for p in _some(job, strangers)]
        matcher = Matcher(job.catalog(catalog), Config(signals=("design",)))
        kinds = {p.path: kind for kind, p in asked}
        for photo, record in job.examine(matcher, [p for _, p in asked]):
            verdict = record.verdict
            yield {
                "size": size, "photos": len(catalog), "kind": kinds[photo.path], "query": job.name(photo),
                "unit": photo.group, "split": photo.split, "brand": photo.brand,
                "claimed": verdict.brand if verdict else None,
                "value": next((f.value for f in verdict.findings if f.signal == "design"), None) if verdict else None,
            }  # fmt: skip


def known_and_others(photos: list[Photo], size: int) -> tuple[list[Photo], list[Photo]]:
    """Return `size` photos of each brand, of as many items, and the other photos of these brands."""
    by: dict[str, list[Photo]] = defaultdict(list)
    for p in sorted(photos, key=lambda p: hashlib.sha256(p.path.name.encode()).digest()):
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


def _some(job: Job, photos: list[Photo]) -> list[Photo]:
    return sorted(photos, key=lambda p: hashlib.sha256(job.name(p).encode()).digest())[: 12 if job.smoke else MOST]


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    part = "locked" if head["locked"] else "test"
    for size in dict.fromkeys(r["size"] for r in rows):
        mine = [r for r in rows if r["size"] == size and r["split"] == part]
        own, far = ([r for r in mine if r["kind"] == kind] for kind in ("own", "stranger"))
        named = f"{size} photo{'s' * (size > 1)} a brand"
        if far:
            flags = [r["claimed"] is not None for r in far]
            what = f"a brand claimed by design on photos of unknown things, {named}"
            yield scorer.share(what, flags, [r["unit"] for r in far], target="<= 0.01")
        if own:
            wrong = sum(r["claimed"] not in (None, r["brand"]) for r in own)
            flags = [r["claimed"] == r["brand"] for r in own]
            yield scorer.share(
                f"the right brand claimed, {named}", flags, [r["unit"] for r in own], against=f"{wrong} wrong"
            )
