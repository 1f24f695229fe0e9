"""How fast the desk answers over a large scan: the index, the queue's views, a listing, a decision.

    python -m benchmarks.desk [--records 100000] [--labels 5000]

Eight records are written again and again with other ids, titles, sellers, prices and days; they share their photos, so that
what is timed is the desk and not the disk. Times are wall seconds of requests in this process, median and worst of ten,
printed beside what is aimed at; nothing is asserted: other work on the machine is in them.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient

from imgmatch.apps.desk.app import create_desk
from imgmatch.apps.desk.desk import Desk
from imgmatch.apps.service import LOOPBACK
from imgmatch.results import Results
from imgmatch.verdicts.labels import LabelRow, append_labels
from tests.desk_market import market, record

_WORDS = (
    "Leather",
    "tote",
    "bag",
    "vintage",
    "monogram",
    "with",
    "box",
    "new",
    "sac",
    "Tasche",
    "wie",
    "neu",
    "cuir",
    "noir",
)
_REPEATS = 10
_VIEWS = {
    "queue, not reviewed": "/queue?state=unreviewed",
    "queue, leads of a brand": "/queue?decision=lead&brand=brand0",
    "queue, two words": "/queue?q=vintage+monogram",
    "queue, by price above 500": "/queue?sort=value&low=500",
    "queue, most uncertain": "/queue?sort=uncertainty&state=unreviewed",
    "queue, most worth a label": "/queue?sort=worth",
    "queue, random audit": "/queue?sort=audit&seed={n}",
    "queue, page 400": "/queue?page={page}",
}


def write(folder: Path, n: int) -> Results:
    """Write a scan of `n` records: eight examined ones with other ids, titles, sellers, prices and days."""
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


def timed(ask: Callable[[int], object]) -> list[float]:
    seconds = []
    for n in range(_REPEATS):
        start = time.perf_counter()
        ask(n)
        seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--labels", type=int, default=5_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = write(folder, options.records)
        labels = [LabelRow(f"N{i:07d}", "reject", "bob", "2026-03-01", "random") for i in range(0, options.labels * 7, 7)]
        append_labels(folder / "labels.csv", labels)
        start = time.perf_counter()
        desk = Desk([results], catalog=None, labels=folder / "labels.csv")
        size = (results.records_path.parent / "desk.sqlite").stat().st_size
        print(
            f"{options.records:,} records, {results.records_path.stat().st_size / 1e6:,.0f} MB; index {size / 1e6:,.0f} MB"
        )
        print(f"{'indexed once':32} {time.perf_counter() - start:8.1f} s")
        start = time.perf_counter()
        desk = Desk([results], catalog=None, labels=folder / "labels.csv")
        client = TestClient(create_desk(desk, hosts=LOOPBACK), base_url="http://127.0.0.1:8100")
        client.post("/enter", data={"reviewer": "ann"})
        html = client.get("/queue").text
        print(f"{'opened, first page':32} {time.perf_counter() - start:8.3f} s      aimed at: 1")
        token = re.search(r'data-csrf="(\w+)"', html)
        slugs = re.findall(r'href="/listing/(\w+)', html)
        if token is None:
            raise SystemExit("the first page has no token")

        def get(path: str) -> None:
            if client.get(path).status_code != 200:
                raise SystemExit(f"{path} was not answered")

        def decide(n: int) -> None:
            fields = {"csrf": token[1], "label": "reject", "view": "?state=unreviewed"}
            client.post(f"/listing/{slugs[n]}/decide", data=fields, follow_redirects=True)

        tasks: dict[str, Callable[[int], object]] = {
            what: lambda n, path=path: get(path.format(n=n, page=390 + n)) for what, path in _VIEWS.items()
        }
        tasks["a listing"] = lambda n: get(f"/listing/{slugs[n]}?state=unreviewed")
        tasks["decide, and the next listing"] = decide
        for what, ask in tasks.items():
            seconds = sorted(timed(ask))
            print(f"{what:32} {seconds[len(seconds) // 2]:8.3f} s, worst {seconds[-1]:.3f}      aimed at: 0.15")


if __name__ == "__main__":
    main()
