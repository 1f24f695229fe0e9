"""Bait and switch without words: is a promo photo that leads to something else called, and an honest one left alone?

    honest same        promo and listing show two photos of one article
    honest official    the promo is the catalog's own photo, the listing shows another photo of the article
    honest brand       brand-wide advertising: the promo shows another article of the brand
    switched other     the listing shows a photo of the set's distractors
    switched brand     the listing shows an article of another brand of the catalog

No photo of a promo but the official ones, and none of a listing, is in the catalog. The plain cosine of promo and listing
stands beside it. Thresholds: that of a weak contradiction, and the one that 1 % of dev's honest pairs exceed.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks.frame import scorer
from benchmarks.frame.data import Photo, by_hash, catalog_of
from benchmarks.frame.job import Job, findings

QUESTION = "Does a promo photo lead to something else?"
DATA = ("adidas_products", "eval_bags_watches", "rendered")
WEAK = 0.5
MOST = 40  # articles of a part


def run(job: Job) -> Iterator[dict[str, Any]]:
    from imgmatch import Config, Listing, Matcher

    catalog, pairs = _pairs(job)
    matcher = Matcher(job.catalog(catalog), Config(signals=("mismatch",)))
    photos = list({p.path: p for _, a, b in pairs for p in (a, b)}.values())
    vectors = dict(zip([p.path for p in photos], job.embed(photos), strict=True))
    for kind, promo, offer in pairs:
        names = {"promo": promo.path.read_bytes(), "offer": offer.path.read_bytes()}
        record = matcher.examine(Listing("1", photos=("offer",), promo_photos=("promo",)), photos=names)
        told = [f.value for f in findings(record, "listing_mismatch") if f.value is not None]
        yield {
            "kind": kind, "split": promo.split, "unit": promo.group, "promo": job.name(promo), "offer": job.name(offer),
            "value": max(told) if told else None, "cosine": float(vectors[promo.path] @ vectors[offer.path]),
        }  # fmt: skip


def _pairs(job: Job) -> tuple[list[Photo], list[tuple[str, Photo, Photo]]]:
    known = [p for p in job.known(job.data.photos) if p.item or p.role == "distractor"]
    catalog, asked = catalog_of([p for p in known if p.item])
    shown: dict[str, list[Photo]] = defaultdict(list)
    for p in asked:
        shown[p.item].append(p)
    moved = {}  # of an article whose photos are both, a second one leaves the catalog: promo and listing are two
    for p in sorted(catalog, key=by_hash):
        if p.role == "both" and sum(c.item == p.item for c in catalog) > 2 and p.item not in moved:
            moved[p.item] = p
            shown[p.item].append(replace(p, role="query"))
    catalog = [p for p in catalog if p not in moved.values()]
    official = {p.item: p for p in catalog}
    strangers = sorted((p for p in known if p.role == "distractor"), key=by_hash)
    pairs: list[tuple[str, Photo, Photo]] = []
    for part in ("locked",) if job.locked else ("dev", "test"):
        mine = sorted((i for i, ps in shown.items() if len(ps) > 1 and ps[0].split == part), key=_hash)
        mine = mine[: job.size(3, 12, MOST)]
        far = [p for p in strangers if p.split == part]
        for n, item in enumerate(mine):
            promo, offer = sorted(shown[item], key=by_hash)[:2]
            pairs += [("honest same", promo, offer), ("honest official", replace(official[item], split=part), offer)]
            others = [shown[i][0] for i in mine if i != item]
            pairs += [("honest brand", promo, o) for o in [o for o in others if o.brand == promo.brand][:1]]
            pairs += [("switched brand", promo, o) for o in [o for o in others if o.brand != promo.brand][:1]]
            pairs += [("switched other", promo, far[(2 * n + k) % len(far)]) for k in range(2) if far]
    return catalog, pairs


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    part = "locked" if head["locked"] else "test"
    rows = [{**r, "value": r["value"] or 0.0, "plain": 1.0 - r["cosine"]} for r in rows]
    honest, switched, chosen = (
        [r for r in rows if r["kind"].startswith(kind) and r["split"] == s]
        for kind, s in (("honest", part), ("switched", part), ("honest", "dev"))
    )
    what = "bait and switch found, no words, at the level of a weak contradiction"
    yield scorer.share_of(what, switched, lambda r: r["value"] >= WEAK)
    what = "honest promotions called a switch there"
    yield scorer.share_of(what, honest, lambda r: r["value"] >= WEAK, target="<= 0.01")
    if not head["locked"]:
        limit, plain = (scorer.threshold_at([r[by] for r in chosen], 0.01) for by in ("value", "plain"))
        theirs, false = sum(r["plain"] > plain for r in switched), sum(r["value"] > limit for r in honest)
        against = f"{false} of {len(honest)} honest ones called; plain cosine {theirs} of {len(switched)}"
        what = "bait and switch found at the threshold of 1 % on dev"
        yield scorer.share_of(what, switched, lambda r: r["value"] > limit, against=against)
