"""How fast is a scan beside the bare loop that it cannot beat; what does a second scan cost; does memory stay flat?

The bare loop reads, decodes, hashes, prepares and encodes the same photos with the same encoder and settings, and does
nothing else. The scan is `run_scan` as the command line runs it, design signal, empty cache, all it writes. They alternate,
each in a process of its own; clocks start when models are loaded and one batch has gone through; ratios are taken pair by
pair, of wall time and of processor time (which a busy machine disturbs less). *again*: all that the first scan left is
there. *first*: wall time from starting Python to the first record with a warm cache. *memory*: peak resident size of a scan
of few and of many listings (the same photos, hard-linked).
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import scorer
from benchmarks.frame.job import Job

QUESTION = "What share of the bare decode, prepare and encode loop does a scan reach?"
DATA = ("adidas_products", "rendered")
PAIRS, MEMORY = 3, (1_000, 20_000)


def bare(folder: Path, _: str, model: str) -> dict[str, Any]:
    """Decode, hash, prepare and encode the photos of a folder as fast as we know how."""
    from imgmatch import load_encoder, load_image
    from imgmatch.images import perceptual_hash
    from imgmatch.parallel import ordered_map, worker_count

    encoder, paths, workers = load_encoder(model, device="cpu"), sorted(folder.iterdir()), worker_count(0)

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
    return _clocked(loop) | {"photos": len(paths)}


def scanned(folder: Path, root: str, _: str) -> dict[str, Any]:
    """Scan the folder with the design signal; one batch goes through before the clock starts."""
    from imgmatch import Catalog, Config, Listing, Matcher
    from imgmatch.scan import run_scan

    catalog, config = Catalog.load(Path(root) / "catalog"), Config(signals=("design",))
    Matcher(catalog, config).examine_batch(
        [Listing(p.name, (p.name,)) for p in sorted(folder.iterdir())[:32]], photos=folder
    )
    clock = _clocked(lambda: run_scan(folder, catalog, Path(root) / f"out-{folder.name}", config=config))
    return clock | {
        "photos": len(list(folder.iterdir())),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def first(folder: Path, root: str, _: str) -> dict[str, Any]:
    """Take the first record of a scan; the caller's clock started with this process."""
    from imgmatch import Catalog, Config, Matcher, scan_listings
    from imgmatch.io.sources import read_listings
    from imgmatch.loading.cache import PhotoCache

    cache = PhotoCache(Path(os.environ["IMGMATCH_CACHE"]) / "photos.sqlite")
    matcher = Matcher(Catalog.load(Path(root) / "catalog"), Config(signals=("design",)), cache=cache)
    record = next(scan_listings(read_listings(folder), matcher, root=folder))
    return {"status": str(record.status), "at": time.time()}


def _clocked(work: Callable[[], Any]) -> dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor}


def measured(task: str, folder: Path, root: Path, model: str, cache: Path) -> dict[str, Any]:
    """Run one task in a process of its own, with a cache of its own that shares the weights."""
    from imgmatch.encoders.store import cache_dir

    cache.mkdir(parents=True, exist_ok=True)
    if not (cache / "weights").exists():
        (cache / "weights").symlink_to(cache_dir() / "weights")
    command = [sys.executable, "-m", "benchmarks.throughput", task, str(folder), str(root), model]
    environ = {**os.environ, "IMGMATCH_CACHE": str(cache)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environ)
    if done.returncode:
        raise ValueError(f"{task}: {done.stderr.strip()[-300:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def laid_out(job: Job, root: Path, most: int | None = None) -> Path:
    """Copy the set's photos, each content once, into a flat folder, and build a catalog of every fifth beside it."""
    from imgmatch import Catalog

    contents = {p.path.read_bytes(): p.path for p in job.known(job.data.photos)}
    folder = root / "photos"
    folder.mkdir()
    for number, path in enumerate(list(contents.values())[:most]):
        shutil.copy(path, folder / f"{number:05d}{path.suffix}")
        if number % 5 == 0:
            item = root / "source" / f"brand{number % 10}" / f"item{number}"
            item.mkdir(parents=True)
            shutil.copy(path, item)
    Catalog.build(root / "source", root / "catalog", encoder=job.encoder)
    return folder


def run(job: Job) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folder, model = laid_out(job, root), job.encoder_name
        for pair in range(job.size(1, 1, PAIRS)):
            cache = root / f"cache{pair}"
            yield {"what": "bare", "pair": pair, **measured("bare", folder, root, model, cache)}
            yield {"what": "scan", "pair": pair, **measured("scanned", folder, root, model, cache)}
            yield {"what": "again", "pair": pair, **measured("scanned", folder, root, model, cache)}
            started = time.time()
            begun = measured("first", folder, root, model, cache)
            yield {"what": "first", "pair": pair, **begun, "seconds": begun["at"] - started}
            shutil.rmtree(root / f"out-{folder.name}")
        files = sorted(folder.iterdir())
        for count in job.size((50, 200), (200, 1_000), MEMORY):
            many = root / f"many{count}"
            many.mkdir()
            for n in range(count):
                os.link(files[n % len(files)], many / f"{n:06d}{files[n % len(files)].suffix}")
            yield {"what": "memory", "listings": count, **measured("scanned", many, root, model, root / f"mem{count}")}


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    by = {w: [r for r in rows if r["what"] == w] for w in ("bare", "scan", "again", "first", "memory")}

    def figure(what: str, values: list[float], **more: Any) -> scorer.Figure:
        return scorer.Figure(what, float(np.median(values)), min(values), max(values), len(values), form="n", **more)

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
    grown = many["peak_mib"] / few["peak_mib"]
    yield scorer.Figure(
        "peak memory of a scan of many listings, times that of few", grown, against=more, target="<= 1.1", form="n"
    )


if __name__ == "__main__":
    _task, _folder, _root, _model = sys.argv[1:]
    print(json.dumps({"bare": bare, "scanned": scanned, "first": first}[_task](Path(_folder), _root, _model)))
