"""Which brand do real photos show: by the logo signal alone, by words alone, by what the product makes of both, and by sixty
lines of SIFT on the same references?

    python -m benchmarks marks_real             # dev: the rest of the dev photos, the open distractors
    python -m benchmarks marks_real --locked    # the test half and all 250 distractors
    python -m benchmarks marks_real --dataset flickrlogos32=/data/FlickrLogos-v2

References: the boxes of the first eight dev photos of each of the 20 brands, in a catalog of marks and wordmarks alone. On
dev these eight are also asked of the rest: a second set of answers to tune on. A photo is answered where exactly one brand
is claimed; two are a question, to the product where neither is likelier than not. Some photos show other brands than the one
that the set names: what a person sees nowhere in the photo is counted apart (``labels/marked_photos.csv``). On photos of
nothing a claim is false unless a person sees the brand there (``labels/distractor_brands.csv``). All marks are genuine: a
tampered one is a false alarm.
A third set of references is what a brand has of itself, files of its mark: the drawings in ``reference_logos`` of these
brands, but for those of another mark than the photos show (``labels/unlike_drawings.csv``). They are asked all dev photos of
their brands, or with ``--locked`` the test half.
A fourth set, of all brands that have drawings there, is asked for photos of goods of other brands.
Public sets ask their test part and their own photos of nothing. The open set of FlickrLogos-32 is scored as published: the
share of photos that are given the brand that they show, of all that are given one and of all that show one. Rendered goods
ask drawings of the marks (`rendered_marks`), and so do goods whose figure was altered.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from benchmarks.frame import scorer
from benchmarks.frame.data import REPO, Photo, load
from benchmarks.frame.job import Job
from benchmarks.frame.raw import table
from benchmarks.locked import is_locked
from benchmarks.misspelt import brand_rows
from benchmarks.rendered_marks import altered_goods, drawn_marks
from benchmarks.words import LETTERED

QUESTION = "Which brand do real photos show, by marks, by words and by both?"
DATA = ("logos_in_photos", "seller_reposts", "rendered")
GOODS = ("adidas_products", "bags_three_brands", "eval_bags_watches", "grocery_iconic_vs_photo", "watches_fashion_catalog")
CLAIM, MOST_GOODS = 0.5, 100
SEEN = REPO / "benchmarks" / "labels" / "distractor_brands.csv"
SELLERS = SEEN.with_name("seller_brands.csv")
BESIDE = SEEN.with_name("marked_photos.csv")
UNLIKE = SEEN.with_name("unlike_drawings.csv")
Mark = tuple[str, str, Path, tuple[float, ...]]  # brand, kind, photo, box; no box is the whole picture


def run(job: Job) -> Iterator[dict[str, Any]]:
    if job.data.name == "seller_reposts":
        yield from _sellers(job)
        return
    ours, altered = job.data.name == "logos_in_photos", []
    queries, nothing = (job.asked(p for p in job.data.photos if p.role == role) for role in ("query", "distractor"))
    references = [p for p in job.data.photos if p.role == "catalog"]
    rows = [{"brand": b, "name": b.replace("_", " ")} for b in dict.fromkeys(p.brand for p in references)]
    if ours:
        nothing = [p for p in load("distractors", smoke=job.smoke).photos if job.locked or p.split != "locked"]
        rows = [{"brand": b, "name": mark, "wordmarks": [mark]} for b, mark in LETTERED.items()]
    else:
        queries, nothing = ([p for p in of if p.split == "test"] for of in (queries, nothing))
    boxes = _boxes(references)
    if job.data.card.rendered:
        rows, boxes = drawn_marks(job)
        altered = altered_goods(job)
    asked = [(p.path, p.brand) for p in [*queries, *nothing[: job.limit or None]]]
    if not boxes:
        raise ValueError(f"{job.data.name} has no boxes around marks: a set of marks has (python -m benchmarks datasets)")
    yield from ({**row, "swapped": False} for row in _ours(job, rows, boxes, asked + altered))
    if ours and not job.locked:
        asked_back = [(p.path, p.brand) for p in [*references, *nothing[: job.limit or None]]]
        yield from ({**row, "swapped": True} for row in _ours(job, rows, _boxes(queries), asked_back))
    if ours:
        drawings = _drawings(job)
        drawn = {brand for brand, *_ in drawings}
        shown = [p for p in [*queries, *references] if p.brand in drawn and (p.split == "locked") is job.locked]
        asked_all = [(p.path, p.brand) for p in [*shown, *nothing[: job.limit or None]]]
        yield from ({**row, "swapped": False, "drawn": True} for row in _ours(job, rows, drawings, asked_all))
    if ours and not job.locked:
        yield from _goods(job)
    yield from _peer(boxes, asked)


def _boxes(photos: Sequence[Photo]) -> list[Mark]:
    return [(p.brand, "figure", p.path, (b.x0, b.y0, b.x1, b.y1)) for p in photos for b in p.boxes]


def _drawings(job: Job) -> list[Mark]:
    from imgmatch.names import fold

    unlike = {r["path"] for r in table(UNLIKE)}
    known = job.known(load("reference_logos", smoke=job.smoke).photos)
    drawn = [(fold(p.brand.removeprefix("si_")), p.path) for p in known if "/".join(p.path.parts[-2:]) not in unlike]
    return [(brand, "figure", path, ()) for brand, path in drawn if brand in LETTERED]


def _goods(job: Job) -> Iterator[dict[str, Any]]:
    """Ask a catalog of many drawn marks for photos of goods: most on white, many with print that is like some mark."""
    drawn: list[Mark] = [(p.item, "figure", p.path, ()) for p in job.known(load("reference_logos", smoke=job.smoke).photos)]
    brands = [{"brand": b, "name": b, "wordmarks": [b]} for b in dict.fromkeys(brand for brand, *_ in drawn)]
    asked = [(p.path, p.brand) for name in GOODS for p in _few_goods(job, name)]
    yield from ({**row, "goods": True} for row in _ours(job, brands, drawn, asked))


def _few_goods(job: Job, name: str) -> list[Photo]:
    photos = [p for p in load(name, smoke=job.smoke).photos if p.role != "distractor"]
    return job.some(job.asked(photos), job.size(2, 5, MOST_GOODS))


def _peer(marks: Sequence[Mark], asked: Sequence[tuple[Path, str]]) -> Iterator[dict[str, Any]]:
    from benchmarks.peers.sift_marks import SiftMarks

    peer = SiftMarks([(brand, path, [box]) for brand, _, path, box in marks])
    for path, brand in asked:
        start = time.process_time()
        agreeing = peer.agreeing(path)
        said = {b: n for b, n in agreeing.items() if n >= 5 and n == max(agreeing.values())}
        yield {**_row("sift", path, brand, start), "said": dict(list(said.items())[:1])}


def _sellers(job: Job) -> Iterator[dict[str, Any]]:
    """Figures and canvas on sellers' photos: references are boxes in half of the open groups; for the locked ones in all."""
    rows = table(SELLERS)
    half = {r["group"]: int(hashlib.sha256(r["group"].encode()).hexdigest(), 16) % 2 for r in rows}
    closed = {r["group"] for r in rows if is_locked("seller_reposts", r["group"])}
    boxes, asked = [], []
    for r in rows:
        path = job.data.root / r["path"]
        if r["group"] not in closed and (job.locked or half[r["group"]]):
            for brand, by, corners in (b.split(":") for b in r["boxes"].split(";") if b):
                if by != "word":
                    kind = "monogram" if by == "canvas" else "figure"
                    boxes.append((brand, kind, path, tuple(map(float, corners.split()))))
        elif (r["group"] in closed) is job.locked:
            asked.append((path, r["brand"] if by_mark(r) else ""))
    yield from _ours(job, brand_rows(), boxes, asked[: job.limit])


def by_mark(row: dict[str, str]) -> bool:
    """Whether a person knows the brand by canvas or figure, and is sure."""
    return bool({"canvas", "figure"} & set(row["by"].split("|"))) and row["doubt"] != "1"


def _ours(
    job: Job, brands: Sequence[dict[str, Any]], boxes: Sequence[Mark], asked: Sequence[tuple[Path, str]]
) -> Iterator[dict[str, Any]]:
    from imgmatch import Config, Listing, Matcher, load_image
    from imgmatch.loading.photo import PhotoContext, Query

    rows: dict[str, dict[str, Any]] = {b["brand"]: {**b, "logos": []} for b in brands}
    for brand, kind, path, box in boxes:
        logo = {"path": str(path), "kind": kind, **({"box": list(box)} if box else {})}
        rows.setdefault(brand, {"brand": brand, "logos": []})["logos"].append(logo)
    matcher = Matcher(job.catalog([], list(rows.values())), Config(signals=("logo", "text")))
    start = time.process_time()
    matcher.warm_up()
    job.facts.setdefault("warm_up_cpu_s", round(time.process_time() - start, 1))
    for path, brand in asked:
        query = Query(Listing("1", (path.name,)), [PhotoContext("photo-1", load_image(path))])
        start = time.process_time()
        found = {signal.name: signal.examine([query])[0] for signal in matcher.signals}
        ms = {
            name: {f.brand: f.value for f in mine if f.signal == name and f.value is not None}
            for name, mine in found.items()
        }
        yield {
            **_row("imgmatch", path, brand, start),
            "said": ms["logo"],
            "words": ms["text"],
            "shows": matcher.fusion.decide(query, [f for mine in found.values() for f in mine]).shows_brand,
            "altered": [f.brand for f in found["logo"] if f.signal == "logo_tamper"],
            "facts": {f.brand: f.evidence["facts"] for f in found["logo"] if f.signal == "logo" and f.value is not None},
        }


def _row(contender: str, path: Path, brand: str, start: float) -> dict[str, Any]:
    ms = round(1000 * (time.process_time() - start), 1)
    return {"contender": contender, "query": str(Path(*path.parts[-2:])), "brand": brand, "cpu_ms": ms}


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    """Right, wrong and asked on photos with a mark, false claims on photos of nothing; the peer beside each."""
    if head["data"] == "seller_reposts":
        yield from _score_sellers(rows)
        return
    rows = [{**r, "unit": r["brand"] or r["query"]} for r in rows]  # photos of a brand share its marks and references
    goods, rows = ([r for r in rows if r.get("goods", False) is asked] for asked in (True, False))
    forged = [r for r in rows if r["query"].startswith("altered/")]
    ours, theirs = ([r for r in rows if r["contender"] == c and r not in forged] for c in ("imgmatch", "sift"))
    drawn, ours = ([r for r in ours if r.get("drawn", False) is by] for by in (True, False))
    first = [r for r in ours if not r.get("swapped")]
    peer = (f"sixty lines of SIFT: {round(f.value * f.n)} of {f.n}" for f in _figures(theirs, "said", ""))
    yield from _figures(first, "said", "logo signal alone", (">= 0.65", "<= 0.01", "", "<= 0.004"), peer)
    if "shows" in first[0]:  # raw rows of before words were asked have none
        yield from _figures(first, "words", "words alone")
        yield from _figures(first, "shows", "marks and words", (">= 0.85", "<= 0.02", "", "<= 0.008"))
    if len(first) < len(ours):
        for by, named in (("said", "logo signal alone"), ("shows", "marks and words")):
            yield from _figures(ours, by, f"{named}, either half of the references")
    for by, named in (("said", "logo signal alone"), ("shows", "marks and words")) if drawn else ():
        yield from _figures(drawn, by, f"{named}, drawings as references")
    for by, named in (("said", "logo signal alone"), ("shows", "marks and words")) if goods else ():
        what = f"goods given a brand that is not theirs, {named}, drawings as references"
        yield scorer.share_of(what, goods, lambda r, by=by: not set(_claims(r, by)) <= _theirs(r), target="<= 0.01")
    for of, by in ((first, ""), (drawn, ", drawings as references")):
        named = [r for r in of if r["brand"] and _answer(r, "said") == r["brand"]]
        what = f"genuine marks called altered, of those named{by}"
        if of is first or named:
            yield scorer.share_of(what, named, lambda r: bool(r["altered"]), target="<= 0.02")
    if forged:
        seen = [r for r in forged if r["brand"] in _claims(r, "said")]
        more = f"named {len(seen)} of {len(forged)}"
        what = "altered figures called altered, of those named"
        yield scorer.share_of(what, seen, lambda r: bool(r["altered"]), against=more)
    if head["data"].startswith("flickrlogos"):
        given, marked = [r for r in first if _answer(r, "shows")], [r for r in first if r["brand"]]
        for what, of in (("precision", given), ("recall", marked)):
            yield scorer.share_of(f"published protocol, {what}", of, lambda r: _answer(r, "shows") == r["brand"])
    ms, plain = (sorted(r["cpu_ms"] for r in of)[len(of) // 2] for of in (first, theirs))
    against = f"sixty lines of SIFT: {plain:.0f}"
    yield scorer.Figure("processor time of a photo, ms", ms, n=len(first), form="n", against=against)


def _figures(
    rows: Sequence[dict[str, Any]], by: str, named: str, targets: Sequence[str] = ("",) * 4, against: Iterable[str] = ()
) -> Iterator[scorer.Figure]:
    """Rightly, wrongly, questions, false."""
    seen = {str(Path(*Path(r["path"]).parts[-2:])): r["brands"].lower().split("|") for r in table(SEEN) + table(BESIDE)}
    marks, nothing = [r for r in rows if r["brand"]], [r for r in rows if not r["brand"]]
    looked_at = [r for r in marks if r["query"] in seen]
    counted: tuple[tuple[str, list[dict[str, Any]], Callable[[Any], bool]], ...] = (
        ("marks named rightly", marks, lambda r: _answer(r, by) == r["brand"]),
        ("marks named wrongly", marks, lambda r: _answer(r, by) not in ("", "?", r["brand"])),
        ("two brands seen: a question", marks, lambda r: _answer(r, by) == "?"),
        ("photos of nothing given a brand", nothing, lambda r: not set(_claims(r, by)) <= set(seen.get(r["query"], ()))),
        ("brands named that nobody sees there", looked_at, lambda r: not set(_claims(r, by)) <= set(seen[r["query"]])),
    )
    for (what, of, holds), target, more in zip_longest(counted, targets, against, fillvalue=""):
        if of:
            yield scorer.share_of(f"{what}, {named}", of, holds, target=target, against=more)


def _score_sellers(rows: list[dict[str, Any]]) -> Iterator[scorer.Figure]:
    labels = {r["path"]: r for r in table(SELLERS)}
    rows = [{**r, "unit": labels[r["query"]]["group"], "label": labels[r["query"]]} for r in rows]
    marked, fused = [r for r in rows if r["brand"]], [r for r in rows if "shows" in r]
    what = "sellers' photos named by canvas or figure"
    yield scorer.share_of(what, marked, lambda r: bool(set(_claims(r, "said")) & _one_of(r["brand"])), target=">= 0.6")
    what = "sellers' photos given a brand that a person does not see"
    yield scorer.share_of(what, rows, lambda r: bool(set(_claims(r, "said")) - _shown(r["label"])), target="<= 0.02")
    readable = [r for r in fused if r["label"]["brand"] and r["label"]["doubt"] != "1"]
    if readable:
        what = "sellers' photos named by marks and words"
        yield scorer.share_of(what, readable, lambda r: r["shows"] in _one_of(r["label"]["brand"]))
        what = "sellers' photos given another brand by marks and words"
        yield scorer.share_of(what, fused, lambda r: not set(_claims(r, "shows")) <= _shown(r["label"]), target="<= 0.02")


def _theirs(row: dict[str, Any]) -> set[str]:
    """Of the brands that a photo is given those in its label, which may name a line of the brand: adidas originals."""
    known = {_letters(word) for word in (row["brand"], *row["brand"].split())}
    return {claim for by in ("said", "shows") for claim in _claims(row, by) if _letters(claim) in known}


def _letters(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _one_of(brands: str) -> set[str]:
    return set(brands.split("|"))


def _shown(label: dict[str, str]) -> set[str]:
    return _one_of(label["brand"]) | {o.split(":")[-1] for o in label["others"].split(";") if o}


def _claims(row: dict[str, Any], by: str) -> list[str]:
    if by == "shows":
        return [row["shows"]] if row["shows"] else []
    return [b for b, v in row[by].items() if row["contender"] == "sift" or v >= CLAIM]


def _answer(row: dict[str, Any], by: str) -> str:
    claims = _claims(row, by)
    return claims[0] if len(claims) == 1 else "?" if claims else ""
