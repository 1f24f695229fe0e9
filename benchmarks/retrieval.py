"""Is the same article, object or class the nearest, by the product and by the plain cosine of the same encoder?

    python -m benchmarks retrieval --dataset sop=/data/Stanford_Online_Products --encoder clip-vit-b32

Three contenders. *imgmatch*: the ranking of `Matcher` with the design signal. *plain*: the nearest photo by cosine, on the
same catalog and queries. *official*: plain cosine by the set's own protocol (every photo asks for all others where it has no
roles; AP over a thousand for ILIAS), to stand beside published figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.frame import scorer
from benchmarks.frame.data import catalog_of
from benchmarks.frame.job import Job

QUESTION = "Is the same article, object or class the nearest?"
DATA = ("adidas_products", "grocery_iconic_vs_photo", "eval_bags_watches", "rendered")
FOLDS, MOST = 4, 5_000  # sets up to that size are asked in folds: each photo once, the others are the catalog
OFFICIAL = {"sop": (1, 10, 100, 1000), "inshop": (1, 10, 20, 30), "ilias": (1,)}
"""Sets with a protocol of their own, and the k at which papers give recall."""


def run(job: Job) -> Iterator[dict[str, Any]]:
    from imgmatch import Config, Matcher

    folds = 1 if job.smoke or len(job.data.photos) > MOST else FOLDS
    for fold in range(folds if job.data.of("both") else 1):
        catalog, held = catalog_of(job.data.photos, fold, folds)
        catalog, queries = job.known(catalog), job.asked(held)
        vectors, asked = job.embed(catalog), job.embed(queries)
        items = [p.item for p in catalog]
        for photo, vector in zip(queries, asked, strict=True):
            yield _row(job, "plain", photo, _by_photo(vectors @ vector, items))
        matcher = Matcher(job.catalog(catalog), Config(signals=("design",)))
        for photo, record in job.examine(matcher, queries):
            yield _row(job, "imgmatch", photo, [c.item_id for c in record.verdict.candidates] if record.verdict else [])
    if job.data.name in OFFICIAL:
        yield from _official(job)


def _by_photo(similarity: Any, items: list[str]) -> list[str]:
    """Items by their nearest photo; of equal similarities the later photo counts as nearer to nobody."""
    return list(dict.fromkeys(items[i] for i in (-similarity).argsort(kind="stable")))


def _row(job: Job, contender: str, photo: Any, found: list[str]) -> dict[str, Any]:
    rank = found.index(photo.item) + 1 if photo.item in found else None
    return {"contender": contender, "query": job.name(photo), "item": photo.item, "unit": photo.group, "split": photo.split,
            "rank": rank, "top": found[:5]}  # fmt: skip


def _official(job: Job) -> Iterator[dict[str, Any]]:
    """Rank of the first right photo, pessimistic at ties, and AP over the first thousand."""
    import numpy as np

    photos = [p for p in job.data.photos if p.split == "test"]
    references = [p for p in photos if p.role != "query"]
    queries = job.asked(p for p in photos if p.role in ("query", "both"))
    vectors, asked = job.embed(references), job.embed(queries)
    items, place = np.array([p.item for p in references]), {p.path: i for i, p in enumerate(references)}
    for photo, vector in zip(queries, asked, strict=True):
        similarity = vectors @ vector
        if photo.path in place:
            similarity[place[photo.path]] = -np.inf
        right = (items == photo.item) & np.isfinite(similarity)
        if not right.any():
            continue
        ahead = int(((similarity >= similarity[right].max()) & ~right).sum())
        top = np.lexsort((right, -similarity))[:1000]
        yield {"contender": "official", "query": job.name(photo), "item": photo.item, "unit": photo.group, "split": "test",
               "rank": ahead + 1, "ap": scorer.average_precision(right[top], min(1000, int(right.sum())))}  # fmt: skip


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    """Recall@1 and @5 on the part that chose nothing, the paired gain over plain, official metrics."""
    part = "locked" if head["locked"] else "test"
    mine = {c: {r["query"]: r for r in rows if r["contender"] == c and r["split"] == part} for c in ("plain", "imgmatch")}
    queries = list(mine["imgmatch"])
    units = [mine["imgmatch"][q]["unit"] for q in queries]
    for k in (1, 5) if queries else ():
        ours, plain = (scorer.recall_at([mine[c][q]["rank"] for q in queries], k) for c in ("imgmatch", "plain"))
        gain = ours.astype(float) - plain
        low, high = scorer.interval(gain, units, lambda v: float(v.mean()))
        against = f"plain cosine {plain.mean():.1%}: {100 * gain.mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        yield scorer.share(f"same article, class or brand of goods, recall@{k}", ours, units, against=against)
    official = [r for r in rows if r["contender"] == "official"]
    for k in OFFICIAL[head["data"]] if official else ():
        yield scorer.share_of(f"published protocol, plain cosine, recall@{k}", official, lambda r, k=k: r["rank"] <= k)
    if official and head["data"] == "ilias":
        low, high = scorer.interval([r["ap"] for r in official], [r["unit"] for r in official])
        mean = sum(r["ap"] for r in official) / len(official)
        yield scorer.Figure("published protocol, plain cosine, mAP@1k", mean, low, high, len(official))
