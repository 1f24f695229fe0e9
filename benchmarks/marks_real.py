"""Which brand's mark do real photos show: by the logo signal alone, and by sixty lines of SIFT on the same references?

    python -m benchmarks marks_real             # dev: the rest of the dev photos, the open distractors
    python -m benchmarks marks_real --locked    # the test half and all 250 distractors

References: the boxes of the first eight dev photos of each of the 20 brands, in a catalog of marks alone. A photo is
answered where exactly one brand is claimed; two are a question. On photos of nothing a claim is false unless a person sees
the brand there (``labels/distractor_brands.csv``). All marks are genuine: a tampered one is a false alarm.
Published on all of FlickrLogos-32, with SIFT: recall 0.83 at precision 0.99 (Romberg & Lienhart 2013).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.frame import scorer
from benchmarks.frame.data import REPO, Photo, load
from benchmarks.frame.job import Job
from benchmarks.frame.raw import table

QUESTION = "Which brand's mark do real photos show?"
DATA = ("logos_in_photos",)
CLAIM = 0.5
SEEN = REPO / "benchmarks" / "labels" / "distractor_brands.csv"


def run(job: Job) -> Iterator[dict[str, Any]]:
    from benchmarks.peers.sift_marks import SiftMarks

    references = [p for p in job.data.photos if p.role == "catalog" and p.boxes]
    queries = job.asked([p for p in job.data.photos if p.role == "query"])
    open_only = ("dev", "test")
    nothing = [p for p in load("distractors", smoke=job.smoke).photos if job.locked or p.split in open_only]
    nothing = nothing[: job.limit] if job.limit else nothing
    yield from _ours(job, references, [*queries, *nothing])
    peer = SiftMarks([(p.brand, p.path, [(b.x0, b.y0, b.x1, b.y1) for b in p.boxes]) for p in references])
    for photo in [*queries, *nothing]:
        start = time.process_time()
        agreeing = peer.agreeing(photo.path)
        said = {b: n for b, n in agreeing.items() if n >= 5 and n == max(agreeing.values())}
        yield {**_row("sift", photo, start), "said": dict(list(said.items())[:1])}


def _ours(job: Job, references: Sequence[Photo], photos: Sequence[Photo]) -> Iterator[dict[str, Any]]:
    from imgmatch import Listing, load_image
    from imgmatch.loading.photo import PhotoContext, Query
    from imgmatch.signals.logo.signal import LogoSignal

    rows = {}
    for p in references:
        logos = [{"path": str(p.path), "box": [b.x0, b.y0, b.x1, b.y1]} for b in p.boxes]
        rows.setdefault(p.brand, {"brand": p.brand, "logos": []})["logos"] += logos
    signal = LogoSignal(job.catalog([], list(rows.values())))
    start = time.process_time()
    signal.warm_up()
    job.facts["warm_up_cpu_s"] = round(time.process_time() - start, 1)
    for photo in photos:
        image = load_image(photo.path)
        start = time.process_time()
        [findings] = signal.examine([Query(Listing("1"), [PhotoContext("photo-1", image)])])
        row = _row("imgmatch", photo, start)
        said = {f.brand: f.value for f in findings if f.signal == "logo" and f.value is not None}
        altered = [f.brand for f in findings if f.signal == "logo_tamper"]
        facts = {f.brand: f.evidence["facts"] for f in findings if f.signal == "logo" and f.value is not None}
        yield {**row, "said": said, "altered": altered, "facts": facts}


def _row(contender: str, photo: Photo, start: float) -> dict[str, Any]:
    place = str(Path(*photo.path.parts[-2:]))
    ms = round(1000 * (time.process_time() - start), 1)
    return {"contender": contender, "query": place, "brand": photo.brand, "split": photo.split, "cpu_ms": ms}


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    """Right, wrong and asked on photos with a mark, false claims on photos of nothing; the peer beside each."""
    import numpy as np

    shown = {str(Path(*Path(r["path"]).parts[-2:])): r["brands"].lower().split("|") for r in table(SEEN)}
    answers = {c: [(r, _answer(r)) for r in rows if r["contender"] == c] for c in ("imgmatch", "sift")}
    figures: dict[str, list[tuple[str, list[bool], list[str], str]]] = {}
    for contender, given in answers.items():
        marks = [(r, a) for r, a in given if r["brand"]]
        nothing = [(r, a) for r, a in given if not r["brand"]]
        units = [r["query"] for r, _ in marks]
        false = [any(b not in shown.get(r["query"], ()) for b in _claims(r)) for r, _ in nothing]
        figures[contender] = [
            ("marks named rightly, logo signal alone", [a == r["brand"] for r, a in marks], units, ">= 0.65"),
            ("marks named wrongly", [a not in ("", "?", r["brand"]) for r, a in marks], units, "<= 0.01"),
            ("two brands seen: a question", [a == "?" for _, a in marks], units, ""),
            ("photos of nothing given a brand", false, [r["query"] for r, _ in nothing], "<= 0.004"),
        ]
    for (what, ours, units, target), (_, theirs, _, _) in zip(*figures.values(), strict=True):
        against = f"sixty lines of SIFT: {sum(theirs)} of {len(theirs)}"
        yield scorer.share(what, ours, units, against=against, target=target)
    named = [r for r, a in answers["imgmatch"] if a and a == r["brand"]]
    alarms = [bool(r["altered"]) for r in named]
    yield scorer.share("genuine marks called altered, of those named", alarms, [r["query"] for r in named], target="<= 0.02")
    ms = {c: float(np.median([r["cpu_ms"] for r, _ in given])) for c, given in answers.items()}
    yield scorer.Figure(
        "processor time of a photo, ms", ms["imgmatch"], n=len(rows) // 2, form="n", against=f"SIFT {ms['sift']:.0f}"
    )


def _claims(row: dict[str, Any]) -> list[str]:
    return [b for b, v in row["said"].items() if row["contender"] == "sift" or v >= CLAIM]


def _answer(row: dict[str, Any]) -> str:
    claims = _claims(row)
    return claims[0] if len(claims) == 1 else "?" if claims else ""
