"""Which brand do sellers' photos show, when an answer is always given: words, marks and look together?

    python -m benchmarks brands             # the open posts, in four parts: each is asked of a catalog of the others
    python -m benchmarks brands --locked    # the locked posts, of a catalog of all open ones

The catalog has the other posts' photos as items, the figures and canvas that are boxed in them as marks, and how 108
brands write themselves. All photos of a post and its reposts are left out together. Asked are photos on which a person is
sure of one brand that the catalog has photos of. The answer is the brand that the verdict says the photo shows, else that of
the first candidate; beside it stand the first candidate alone and the nearest photo by the plain cosine of the same encoder.
On everyday photos and posts on which nobody reads a brand any brand shown is false.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.frame import scorer
from benchmarks.frame.data import REPO, Photo
from benchmarks.frame.job import Job
from benchmarks.frame.raw import table
from benchmarks.misspelt import brand_rows

QUESTION = "Which brand do sellers' photos show, when an answer is always given?"
DATA = ("seller_reposts",)
PARTS = 4
LABELS = REPO / "benchmarks" / "labels" / "seller_brands.csv"
EVERYDAY = LABELS.with_name("distractor_brands.csv")
CONTENDERS = {"answer": "words, marks and look", "first": "first candidate", "plain": "plain cosine"}


def run(job: Job) -> Iterator[dict[str, Any]]:
    from imgmatch import Config, Matcher

    labels = {r["path"]: r for r in table(LABELS)}
    goods, nothing = job.data.of("both"), job.asked(job.data.of("distractor"))
    parts = range(1) if job.locked or job.smoke else range(PARTS)
    for part in parts:

        def held(photo: Photo, part: int = part) -> bool:
            return photo.split == "locked" if job.locked else photo.split != "locked" and _part(photo.group) == part

        known = [p for p in goods if p.split != "locked" and not held(p) and _sure(labels[job.name(p)])]
        catalog = [replace(p, item=f"{p.item}-{p.brand}") for p in known]  # one group of reposts shows two brands
        asked = [p for p in job.asked(goods) if held(p)]
        matcher = Matcher(job.catalog(catalog, _brands(catalog, labels, job)), Config())
        vectors, names = job.embed(catalog), [p.brand for p in catalog]
        asked += nothing if part == 0 else []
        for (photo, record), vector in zip(job.examine(matcher, asked), job.embed(asked), strict=True):
            verdict = record.verdict
            first = verdict.candidates[0].brand if verdict and verdict.candidates else None
            shown = verdict.shows_brand if verdict else None
            label = labels.get(job.name(photo))
            yield {
                "query": job.name(photo), "unit": photo.group, "known": sorted({*names}), "shown": shown,
                "brand": label["brand"] if label and _sure(label) else "", "seen": sorted(_seen(label, photo)),
                "answer": shown or first, "first": first, "plain": names[int((vectors @ vector).argmax())],
            }  # fmt: skip


def _part(group: str) -> int:
    return int(hashlib.sha256(f"part {group}".encode()).hexdigest(), 16) % PARTS


def _sure(label: dict[str, str]) -> bool:
    return bool(label["brand"]) and "|" not in label["brand"] and label["doubt"] != "1"


def _brands(photos: Sequence[Photo], labels: dict[str, dict[str, str]], job: Job) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {b["brand"]: {**b, "logos": []} for b in brand_rows()}
    for photo in photos:
        for brand, by, corners in (b.split(":") for b in labels[job.name(photo)]["boxes"].split(";") if b):
            if by != "word":
                logo = {"path": str(photo.path), "kind": "monogram" if by == "canvas" else "figure"}
                rows.setdefault(brand, {"brand": brand, "logos": []})["logos"].append(
                    {**logo, "box": [*map(float, corners.split())]}
                )
    return list(rows.values())


def _seen(label: dict[str, str] | None, photo: Photo) -> set[str]:
    """Return the brands that a person reads in a photo, sure or not."""
    if label is None:
        of = {r["path"]: r["brands"].lower() for r in table(EVERYDAY)}
        return set(filter(None, of.get("/".join(photo.path.parts[-2:]), "").split("|")))
    return set(filter(None, label["brand"].split("|"))) | {o.split(":")[-1] for o in label["others"].split(";") if o}


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    mine = [r for r in rows if r["brand"] in r["known"]]
    for contender, by in CONTENDERS.items():
        what, target = f"sellers' photos, a brand always answered, right by {by}", ">= 0.85" if contender == "answer" else ""
        yield scorer.share_of(what, mine, lambda r, c=contender: r[c] == r["brand"], target=target)
    yield scorer.share_of("sellers' photos, the right brand shown", mine, lambda r: r["shown"] == r["brand"])
    what = "sellers' photos, another brand shown"
    yield scorer.share_of(what, mine, lambda r: r["shown"] is not None and r["shown"] not in r["seen"])
    far = [r for r in rows if not r["seen"] and not r["brand"]]
    what = "photos without a brand that are given one"
    yield scorer.share_of(what, far, lambda r: r["shown"] is not None, target="<= 0.01")
