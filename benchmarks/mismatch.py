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
from benchmarks.frame.data import Photo, catalog_of
from benchmarks.frame.job import Job

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
        found = [f.value for f in record.verdict.findings if f.signal == "listing_mismatch"] if record.verdict else []
        told = [v for v in found if v is not None]
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
    for p in sorted(catalog, key=_order):
        if p.role == "both" and sum(c.item == p.item for c in catalog) > 2 and p.item not in moved:
            moved[p.item] = p
            shown[p.item].append(replace(p, role="query"))
    catalog = [p for p in catalog if p not in moved.values()]
    official = {p.item: p for p in catalog}
    strangers = sorted((p for p in known if p.role == "distractor"), key=_order)
    pairs: list[tuple[str, Photo, Photo]] = []
    for part in ("locked",) if job.locked else ("dev", "test"):
        mine = sorted((i for i, ps in shown.items() if len(ps) > 1 and ps[0].split == part), key=_hash)
        mine = mine[: 3 if job.smoke else MOST]
        far = [p for p in strangers if p.split == part]
        for n, item in enumerate(mine):
            promo, offer = sorted(shown[item], key=_order)[:2]
            pairs += [("honest same", promo, offer), ("honest official", replace(official[item], split=part), offer)]
            others = [shown[i][0] for i in mine if i != item]
            pairs += [("honest brand", promo, o) for o in [o for o in others if o.brand == promo.brand][:1]]
            pairs += [("switched brand", promo, o) for o in [o for o in others if o.brand != promo.brand][:1]]
            pairs += [("switched other", promo, far[(2 * n + k) % len(far)]) for k in range(2) if far]
    return catalog, pairs


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _order(photo: Photo) -> bytes:
    return _hash(photo.path.name)


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    ours, plain = ([(0.0 if r["value"] is None else r["value"]) for r in rows], [1.0 - r["cosine"] for r in rows])
    part = "locked" if head["locked"] else "test"
    of = {
        (kind, s): [i for i, r in enumerate(rows) if r["kind"].startswith(kind) and r["split"] == s]
        for kind in ("honest", "switched")
        for s in ("dev", part)
    }
    units = {kind: [rows[i]["unit"] for i in of[kind, part]] for kind in ("honest", "switched")}
    told = [ours[i] >= WEAK for i in of["switched", part]]
    yield scorer.share("bait and switch found, no words, at the level of a weak contradiction", told, units["switched"])
    false = [ours[i] >= WEAK for i in of["honest", part]]
    yield scorer.share("honest promotions called a switch there", false, units["honest"], target="<= 0.01")
    if head["locked"]:
        return
    limits = [scorer.threshold_at([values[i] for i in of["honest", "dev"]], 0.01) for values in (ours, plain)]
    theirs = [plain[i] > limits[1] for i in of["switched", part]]
    wrong = [ours[i] > limits[0] for i in of["honest", part]]
    against = f"{sum(wrong)} of {len(wrong)} honest ones called; plain cosine {sum(theirs)} of {len(theirs)}"
    told = [ours[i] > limits[0] for i in of["switched", part]]
    yield scorer.share("bait and switch found at the threshold of 1 % on dev", told, units["switched"], against=against)
