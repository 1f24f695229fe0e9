"""Are catalog photos found inside edited ones, and are other photos of the same or a like thing left alone?

Where a set has copies of its own (DISC21, Copydays) they are the queries. Elsewhere catalog photos are taken through every
edit of `imgmatch.augment.edits`, at half and full strength by turns, and recompressed. Negatives are photos that are not in
the catalog: other views of an article that is, articles that were held out, queries and distractors of the set.

Contenders: *imgmatch*, the copy findings of `Matcher`; *cosine*, the plain cosine of the same encoder; and the peers
that ``--peer`` names (`benchmarks/peers`), on the very same files. Each at the threshold that it ships with or that its
authors publish, and at the one that 1 % of dev's negatives exceed.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks.frame import scorer
from benchmarks.frame.data import Photo
from benchmarks.frame.job import Job, findings

QUESTION = "Are catalog photos found inside edited ones, and only there?"
DATA = ("seller_reposts", "adidas_products", "rendered")
SHIPPED = {
    "imgmatch": (0.5, "value >= 0.5, from which the signal claims a copy"),
    # Lin et al., Phishpedia, USENIX Security 2021: one similarity threshold for all brands, 0.87 in its configuration
    "cosine": (0.87, "cosine >= 0.87 as Phishpedia's"),
    # github.com/facebook/ThreatExchange, pdq: a confident match at a distance of 31, quality 50 or more
    "pdq": (-31, "distance <= 31, quality >= 50"),
    # ImageHash names none; imagededup.methods.PHash.find_duplicates(max_distance_threshold=10)
    "phash": (-10, "distance <= 10 as imagededup's"),
    # imagededup.methods.CNN.find_duplicates(min_similarity_threshold=0.9)
    "imagededup_cnn": (0.9, "cosine >= 0.9"),
}
COUNTS = 0.95  # from which weights/rules.toml counts a copy as a contradiction
PHOTOS = 10  # of each part, each under every edit
NEGATIVES = 80  # of each kind and part
MATCHES = 10  # that a row keeps, best first
Limits = dict[str, tuple[float, bool]]  # of each contender, and whether a score must exceed it


def run(job: Job) -> Iterator[dict[str, Any]]:
    from benchmarks.peers.environments import install
    from imgmatch import Config, Matcher

    for peer in job.peers:
        install(peer)  # before anything is asked
    catalog, positives, negatives = _roles(job)
    queries = _drawn(job, positives, [p for _, p in negatives][:12]) + [(k, p, "") for k, p in negatives]
    item_of = {str(p.path): p.item for p in catalog}
    found: dict[str, dict[str, list[tuple[str, float]]]] = defaultdict(dict)
    matcher = Matcher(job.catalog(catalog), Config(signals=("copy",)))
    for photo, record in job.examine(matcher, [p for _, p, _ in queries]):
        copies = [f for f in findings(record, "copy") if f.item_id]
        found["imgmatch"][str(photo.path)] = [(f.item_id, f.value) for f in sorted(copies, key=lambda f: -f.value)]
    vectors = job.embed(catalog)
    asked = job.embed([p for _, p, _ in queries])
    background = job.embed([p for p in job.data.photos if p.role == "background"])
    for (_, photo, _), vector in zip(queries, asked, strict=True):
        near = vectors @ vector
        top = (-near).argsort(kind="stable")[:MATCHES]
        found["cosine"][str(photo.path)] = [(catalog[i].item, float(near[i])) for i in top]
    for peer in job.peers:
        found[peer] = _asked(job, peer, catalog, queries, item_of)
    for number, (kind, photo, edit) in enumerate(queries):
        more = {"background": sorted((background @ asked[number]).tolist())[-3:]} if len(background) else {}
        for contender, answers in found.items():
            yield {
                "contender": contender, "query": photo.path.name if edit else job.name(photo), "kind": kind, "edit": edit,
                "split": photo.split, "unit": photo.group, "truth": photo.item if kind == "copy" else None,
                "matches": [[i, round(s, 5)] for i, s in answers[str(photo.path)][:MATCHES]],
                **(more if contender == "cosine" else {}),
            }  # fmt: skip


def _roles(job: Job) -> tuple[list[Photo], list[Photo], list[tuple[str, Photo]]]:
    """Return the catalog, what is copied, and the negatives by kind."""
    photos, own = job.known(job.data.photos), job.data.card.task == "copies"
    given = [p for p in photos if p.role == "query" and own]
    catalog, others = [], [("distractor", p) for p in photos if p.role == "distractor"]
    by_item: dict[str, list[Photo]] = defaultdict(list)
    for p in photos:
        if p.item and p not in given:
            by_item[p.item].append(p)
    for item, mine in by_item.items():
        references = [p for p in mine if p.role == "catalog"] or sorted(mine, key=lambda p: p.path.name)[:1]
        if (
            not given
            and not any(p.role == "catalog" for p in mine)
            and hashlib.sha256(b"held-out " + item.encode()).digest()[0] % 3 == 0
        ):
            others.append(("held out", references[0]))
            continue
        # Each photo of the catalog is an item of its own: what is asked is which photo was copied.
        catalog += references if own else [replace(p, item=f"{item}#{n}", unit=item) for n, p in enumerate(references)]
        if not own:  # the other photos of a re-posted one are the same photo
            others += [("same article", p) for p in mine if p not in references][:3]
    by_kind: dict[tuple[str, str], list[Photo]] = defaultdict(list)
    for kind, p in others:
        by_kind[kind, p.split].append(p)
    # A set with copies of its own counts all that its protocol asks.
    most = len(photos) if given and not job.smoke else job.size(8, 20, NEGATIVES)
    kept = [(k, p) for (k, _), mine in by_kind.items() for p in job.some(job.asked(mine), most)]
    if given:
        return catalog, job.asked(given), kept
    each = job.size(1, 3, 6 if job.data.card.rendered else PHOTOS)
    parts = ("locked",) if job.locked else ("dev", "test")
    chosen = [p for part in parts for p in job.some((p for p in job.asked(catalog) if p.split == part), each)]
    return catalog, chosen, kept


def _drawn(job: Job, positives: list[Photo], beside: list[Photo]) -> list[tuple[str, Photo, str]]:
    """Return the copies as (kind, photo, edit): those of the set, or edits drawn to files."""
    if any(p.role == "query" for p in positives):
        return [("copy", p, "") for p in positives]
    import numpy as np

    from imgmatch import load_image
    from imgmatch.augment.changes import recompressed
    from imgmatch.augment.edits import EDITS, edit
    from imgmatch.world.staging import jpeg

    others = [np.array(load_image(p.path).pixels) for p in beside]
    out = []
    for number, photo in enumerate(positives):
        pixels = np.array(load_image(photo.path).pixels)
        name_of = hashlib.sha256(job.name(photo).encode()).hexdigest()[:12]
        for name in EDITS:
            rng = np.random.default_rng([int(name_of, 16) % 2**32, *name.encode()])
            file = job.work / "queries" / f"{name_of}-{name}.jpg"
            if not file.is_file():
                chosen = [others[i] for i in rng.permutation(len(others))[:4]]
                changed = edit(name, pixels, rng, 1.0 if number % 2 else 0.5, chosen)
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(jpeg(recompressed(changed.image, int(rng.integers(60, 90))), 95))
            out.append(("copy", replace(photo, path=file), name))
    return out


def _asked(job: Job, peer: str, catalog: list[Photo], queries: Any, item_of: dict[str, str]) -> dict[str, Any]:
    from benchmarks.peers.environments import call, mobilenet_v2

    task = {"catalog": list(item_of), "queries": [str(p.path) for _, p, _ in queries], "mobilenet_v2": str(mobilenet_v2())}
    rows = {row["query"]: [(item_of[m], float(s)) for m, s in row["matches"]] for row in call(peer, task, job.work)}
    return {q: rows.get(q, []) for q in task["queries"]}


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    part, contenders = "locked" if head["locked"] else "test", list(dict.fromkeys(r["contender"] for r in rows))
    by = {
        (c, s, k): [r for r in rows if (r["contender"], r["split"], r["kind"] == "copy") == (c, s, k)]
        for c in contenders
        for s in ("dev", part)
        for k in (True, False)
    }
    others = by["imgmatch", part, False]
    shipped = {c: (SHIPPED[c][0], False) for c in contenders}
    dev = {c: (scorer.threshold_at([_best(r) for r in by[c, "dev", False]], 0.01), True) for c in contenders}

    def found(c: str, limits: Limits, right: bool) -> list[bool]:
        return [_claimed(r, *limits[c], right) for r in by[c, part, right]]

    def share(what: str, limits: Limits, right: bool = True, **more: str) -> scorer.Figure:
        flags = found("imgmatch", limits, right)
        return scorer.share(what, flags, [r["unit"] for r in by["imgmatch", part, right]], **more)

    def peers(limits: Limits) -> str:
        told = ((c, _mean(found(c, limits, True)), _mean(found(c, limits, False))) for c in contenders[1:])
        return "; ".join(f"{c} {hits} at {false} false" for c, hits, false in told)

    yield share("copies found where one is claimed", shipped, against="as published: " + peers(shipped))
    if others:
        yield share("a copy claimed where there is none", shipped, False, target="<= 0.01")
        if by["imgmatch", "dev", False] and not head["locked"]:
            yield share("copies found at the threshold of 1 % false on dev", dev, against=peers(dev))
            yield share("… and false ones there", dev, False)
        sure: Limits = {"imgmatch": (COUNTS, False)}
        false = 100 * sum(found("imgmatch", sure, False)) / len(others)
        more = f"none there: {false:.1f} % of {len(others)} others"
        yield share("copies that count as a contradiction (value >= 0.95)", sure, against=more)
    if head["data"] in ("disc21", "copydays"):
        yield from _official([r for r in rows if r["contender"] == "cosine"], head)


def _official(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    """µAP of DISC21 and mAP of Copydays' strong edits by the plain cosine: what papers print of an encoder."""
    copies = [r for r in rows if r["truth"]]
    if head["data"] == "copydays":
        strong = [r for r in copies if r["query"].startswith("strong")]
        aps = [scorer.average_precision([i == r["truth"] for i, _ in r["matches"]], 1) for r in strong]
        low, high = scorer.interval(aps, [r["unit"] for r in strong])
        yield scorer.Figure(
            "published protocol, plain cosine, mAP of strong edits", sum(aps) / max(len(aps), 1), low, high, len(aps)
        )
        return
    plain = [(s, i == r["truth"]) for r in rows for i, s in r["matches"]]
    value = scorer.micro_average_precision([s for s, _ in plain], [k for _, k in plain], len(copies))
    yield scorer.Figure("published protocol, plain cosine, µAP", value, n=len(rows))
    if all("background" in r for r in rows):
        better = [(scorer.normalised(s, r["background"]), i == r["truth"]) for r in rows for i, s in r["matches"]]
        value = scorer.micro_average_precision([s for s, _ in better], [k for _, k in better], len(copies))
        yield scorer.Figure("published protocol, plain cosine, µAP, normalised", value, n=len(rows))


def _best(row: dict[str, Any]) -> float:
    return float(row["matches"][0][1]) if row["matches"] else float("-inf")


def _claimed(row: dict[str, Any], limit: float, strict: bool, right: bool) -> bool:
    """Whether a match reaches the limit (or exceeds it), and, where asked, is the photo that was copied."""
    return any((s > limit if strict else s >= limit) and (not right or i == row["truth"]) for i, s in row["matches"])


def _mean(flags: list[bool]) -> str:
    return f"{sum(flags) / len(flags):.1%}" if flags else "–"
