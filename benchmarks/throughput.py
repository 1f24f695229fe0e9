"""How fast is a scan beside the bare loop that it cannot beat; what does a second scan cost; does memory stay flat?

The bare loop reads, decodes, hashes, prepares and encodes the same photos with the same encoder and settings, and does
nothing else. The scan is `run_scan` as the command line runs it, design signal, empty cache, all it writes. They alternate,
each in a process of its own; clocks start when models are loaded and one batch has gone through; ratios are taken pair by
pair, of wall time and of processor time (which a busy machine disturbs less). *again*: all that the first scan left is
there. *first*: wall time from starting Python to the first record with a warm cache. *memory*: peak resident size of a scan
of few and of many listings (the same photos, hard-linked).
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import machine, scorer
from benchmarks.frame.job import Job, link

QUESTION = "What share of the bare decode, prepare and encode loop does a scan reach?"
DATA = ("adidas_products", "rendered")
PAIRS, MEMORY = 3, (1_000, 20_000)
Task = dict[str, str]  # photos: a folder; catalog: its folder; out: where the scan goes; encoder: its name


def bare(task: Task) -> dict[str, Any]:
    """Decode, hash, prepare and encode the photos of a folder as fast as we know how."""
    from imgmatch import load_encoder, load_image
    from imgmatch.images import perceptual_hash
    from imgmatch.parallel import ordered_map, worker_count

    encoder, workers = load_encoder(task["encoder"], device="cpu"), worker_count(0)
    paths = sorted(Path(task["photos"]).iterdir())

    def read(path: Path) -> Any:
        image = load_image(path, target_side=2 * encoder.input_size)
        perceptual_hash(image)
        return encoder.prepare(image)

    def loop() -> None:
        waiting: list[Any] = []
        for prepared in ordered_map(read, paths, workers=workers, ahead=workers + 64):
            waiting.append(prepared)
            if len(waiting) == 32:
                encoder.encode(waiting)
                waiting = []
        if waiting:
            encoder.encode(waiting)

    encoder.encode([read(p) for p in paths[:32]])
    return machine.clocked(loop) | {"photos": len(paths)}


def scanned(task: Task) -> dict[str, Any]:
    """Scan the folder with the design signal; one batch goes through before the clock starts."""
    from imgmatch import Catalog, Config, Listing, Matcher
    from imgmatch.scan import run_scan

    folder, catalog, config = Path(task["photos"]), Catalog.load(task["catalog"]), Config(signals=("design",))
    names = sorted(p.name for p in folder.iterdir())
    Matcher(catalog, config).examine_batch([Listing(n, (n,)) for n in names[:32]], photos=folder)
    clock = machine.clocked(lambda: run_scan(folder, catalog, Path(task["out"]), config=config))
    return clock | {"photos": len(names), "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def first(task: Task) -> dict[str, Any]:
    """Take the first record of a scan; the caller's clock started with this process."""
    from imgmatch import Catalog, Config, Matcher, scan_listings
    from imgmatch.io.sources import read_listings
    from imgmatch.loading.cache import PhotoCache

    cache = PhotoCache(Path(os.environ["IMGMATCH_CACHE"]) / "photos.sqlite")
    matcher = Matcher(Catalog.load(task["catalog"]), Config(signals=("design",)), cache=cache)
    folder = Path(task["photos"])
    record = next(scan_listings(read_listings(folder), matcher, root=folder))
    return {"status": str(record.status), "at": time.time()}


def run(job: Job) -> Iterator[dict[str, Any]]:
    contents = list({p.path.read_bytes(): p for p in job.known(job.data.photos)}.values())  # each content once
    known = [replace(p, item=f"item{n}", brand=f"brand{n % 2}") for n, p in enumerate(contents[::5])]
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)

        def laid_out(name: str, count: int) -> Task:
            folder = root / name
            folder.mkdir()
            for n in range(count):
                path = contents[n % len(contents)].path
                link(path, folder, f"{n:06d}{path.suffix}")
            more = {"catalog": str(job.catalog_folder(known)), "encoder": job.encoder_name}
            return {"photos": str(folder), "out": str(root / f"out-{name}"), **more}

        task = laid_out("photos", len(contents))
        for pair in range(job.size(1, 1, PAIRS)):
            environ = machine.own_cache(root / f"cache{pair}")
            for what, work in (("bare", bare), ("scan", scanned), ("again", scanned)):
                yield {"what": what, "pair": pair, **machine.call(work, task, environ)}
            started = time.time()
            begun = machine.call(first, task, environ)
            yield {"what": "first", "pair": pair, **begun, "seconds": begun["at"] - started}
            shutil.rmtree(task["out"])
        for count in job.size((50, 200), (100, 500), MEMORY):
            environ = machine.own_cache(root / f"memory{count}")
            yield {"what": "memory", "listings": count, **machine.call(scanned, laid_out(f"many{count}", count), environ)}


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    by = {w: [r for r in rows if r["what"] == w] for w in ("bare", "scan", "again", "first", "memory")}

    def figure(what: str, values: list[float], against: str = "", **more: Any) -> scorer.Figure:
        runs = f"{len(values)} runs, {min(values):.2f} to {max(values):.2f}"
        against = "; ".join(filter(None, (runs, against)))
        return scorer.Figure(what, float(np.median(values)), form="n", against=against, **more)

    def ratio(a: str, b: str, clock: str) -> list[float]:
        return [x[clock] / y[clock] for x, y in zip(by[a], by[b], strict=True)]

    speed = [r["photos"] / r["seconds"] for r in by["scan"]]
    yield figure("scan, design only, empty cache, photos a second", speed, against=f"{head['cores']} cores of {head['cpu']}")
    processor = f"by processor time {np.median(ratio('bare', 'scan', 'cpu_seconds')):.2f}"
    yield figure("share of the bare loop", ratio("bare", "scan", "seconds"), against=processor, target=">= 0.95")
    yield figure("the same scan again, times as fast", ratio("scan", "again", "seconds"), target=">= 50")
    yield figure("first record, warm cache, seconds", [r["seconds"] for r in by["first"]], target="<= 2")
    few, many = by["memory"]
    more = f"{few['listings']:,} to {many['listings']:,} listings"
    what = "peak memory of a scan of many listings, times that of few"
    yield scorer.Figure(what, many["peak_mib"] / few["peak_mib"], against=more, target="<= 1.1", form="n")
