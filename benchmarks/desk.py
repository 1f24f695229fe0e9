"""How fast does the desk answer over a large scan: its index, the queue's views, a listing, a decision?

Eight records are written again and again with other ids, titles, sellers, prices and days; they share their photos, so that
what is timed is the desk and not the disk. Times are wall seconds of requests in this process, ten of each: other work on
the machine is in them.
"""

from __future__ import annotations

import json
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import scorer
from benchmarks.frame.job import Job

QUESTION = "How fast does the desk answer over a large scan?"
DATA = ("rendered",)
RECORDS, LABELS = 100_000, 5_000
REPEATS = 10
_WORDS = ("leather", "tote", "bag", "vintage", "monogram", "with", "box", "new", "sac", "Tasche", "neu", "cuir", "noir")
_VIEWS = {
    "queue, not reviewed": "/queue?state=unreviewed",
    "queue, leads of a brand": "/queue?decision=lead&brand=brand0",
    "queue, two words": "/queue?q=vintage+monogram",
    "queue, by price above 500": "/queue?sort=value&low=500",
    "queue, most uncertain": "/queue?sort=uncertainty&state=unreviewed",
    "queue, most worth a label": "/queue?sort=worth",
    "queue, random audit": "/queue?sort=audit&seed={n}",
    "queue, a far page": "/queue?page={page}",
}


def written(folder: Path, n: int) -> Any:
    """Write a scan of `n` records: eight examined ones with other ids, titles, sellers, prices and days."""
    from imgmatch.results import Results
    from tests.desk_market import market, record

    catalog, scan = market(folder, 8)
    rows = [record(folder, i, catalog).to_dict() for i in range(8)]
    draw = random.Random(0)
    with open(scan / "records.jsonl", "w", encoding="utf-8") as f:
        for number in range(n):
            row = rows[0 if number % 10 == 0 else 1 + number % 7]
            row["listing_id"] = row["listing"]["listing_id"] = f"N{number:07d}"
            row["listing"] |= {
                "title": f"{' '.join(draw.choices(_WORDS, k=7))} {number}",
                "seller_id": f"seller{draw.randrange(n // 20 + 1)}",
                "price": f"{draw.randrange(20, 5000)}.00",
                "captured_at": f"2026-{draw.randrange(1, 13):02d}-{draw.randrange(1, 28):02d}T10:00:00+00:00",
            }
            row["verdict"]["rank"] = draw.random()
            f.write(json.dumps(row) + "\n")
    return Results(scan)


def run(job: Job) -> Iterator[dict[str, Any]]:
    from fastapi.testclient import TestClient

    from imgmatch.apps.desk.app import create_desk
    from imgmatch.apps.desk.desk import Desk
    from imgmatch.apps.service import LOOPBACK
    from imgmatch.verdicts.labels import LabelRow, append_labels

    records, count = job.size((200, 10), (5_000, 250), (RECORDS, LABELS))
    with tempfile.TemporaryDirectory() as name:
        folder, made = Path(name), written(Path(name), records)
        labels = [LabelRow(f"N{i:07d}", "reject", "bob", "2026-03-01", "random") for i in range(0, count * 7, 7)]
        append_labels(folder / "labels.csv", labels)
        yield _timed("indexed once", lambda _: Desk([made], catalog=None, labels=folder / "labels.csv"), 1)
        job.facts |= {"records": records, "index_bytes": (made.records_path.parent / "desk.sqlite").stat().st_size}
        client = TestClient(
            create_desk(Desk([made], catalog=None, labels=folder / "labels.csv"), hosts=LOOPBACK),
            base_url="http://127.0.0.1:8100",
        )
        client.post("/enter", data={"reviewer": "ann"})
        html = client.get("/queue").text
        [token, *_], slugs = re.findall(r'data-csrf="(\w+)"', html), re.findall(r'href="/listing/(\w+)', html)
        pages = records // 250

        def get(path: str) -> None:
            client.get(path).raise_for_status()

        def decide(n: int) -> None:
            fields = {"csrf": token, "label": "reject", "view": "?state=unreviewed"}
            client.post(f"/listing/{slugs[n]}/decide", data=fields, follow_redirects=True).raise_for_status()

        for what, path in _VIEWS.items():
            yield _timed(what, lambda n, path=path: get(path.format(n=n, page=max(1, pages - n))))
        yield _timed("a listing", lambda n: get(f"/listing/{slugs[n]}?state=unreviewed"))
        yield _timed("decide, and the next listing", decide)


def _timed(what: str, ask: Callable[[int], object], repeats: int = REPEATS) -> dict[str, Any]:
    seconds = []
    for n in range(repeats):
        start = time.perf_counter()
        ask(n)
        seconds.append(time.perf_counter() - start)
    return {"what": what, "seconds": seconds}


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    for row in rows:
        seconds, once = row["seconds"], len(row["seconds"]) == 1
        more = f"index {head['index_bytes'] / 1e6:,.0f} MB" if once else f"worst {max(seconds):.3f}"
        what = f"desk over {head['records']:,} records, {row['what']}, seconds"
        target = "" if once else "<= 0.15"
        yield scorer.Figure(what, float(np.median(seconds)), against=more, target=target, form="n")
