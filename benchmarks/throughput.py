"""How fast is a scan, held against the bare loop it cannot beat, and does its memory stay flat?

    python -m benchmarks.throughput --photos ../shared/data/adidas_products --photos ../shared/data/distractors

The bare loop reads, decodes, prepares and encodes the same photos in the same way, does nothing else, and is tuned over
decoding threads, torch threads and batch size; the scan is `run_scan` with the design signal, a cold cache, and all it
writes. Bare and scan alternate within one run, each in its own process; the ratio is taken pair by pair. Memory is the peak
resident size of the whole process at 1,000 and at 20,000 listings (the same photos, hard-linked).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from statistics import median

from benchmarks.common import environment, write_raw

PHOTOS = {".jpg", ".jpeg", ".png", ".webp"}


def bare(folder: Path, workers: int, threads: int, batch: int) -> dict:
    """Decode, prepare and encode every photo of a folder as fast as we know how."""
    import torch

    from imgmatch import load_encoder, load_image
    from imgmatch.images import perceptual_hash
    from imgmatch.parallel import ordered_map

    torch.set_num_threads(threads)
    encoder = load_encoder("mobilenet-v2")
    paths = sorted(folder.iterdir())

    def read(path: Path):
        image = load_image(path, target_side=2 * encoder.input_size)
        perceptual_hash(image)
        return encoder.prepare(image)

    encoder.encode([read(p) for p in paths[:batch]])
    start, waiting = time.perf_counter(), []
    for prepared in ordered_map(read, paths, workers=workers, ahead=2 * batch):
        waiting.append(prepared)
        if len(waiting) == batch:
            encoder.encode(waiting)
            waiting = []
    if waiting:
        encoder.encode(waiting)
    return {"images_per_s": len(paths) / (time.perf_counter() - start)}


def scanned(folder: Path, catalog: Path, out: Path) -> dict:
    """Scan the folder with the design signal; the clock runs as for the bare loop, after one warm-up batch."""
    from imgmatch import Catalog, Config, Matcher
    from imgmatch.records import Listing
    from imgmatch.report import write_report
    from imgmatch.scan import run_scan

    reference = Catalog.load(catalog)
    config = Config.from_dict({"signals": ["design"]})
    paths = sorted(folder.iterdir())
    warm = [Listing(p.name, (p.name,)) for p in paths[: config.scan.batch]]
    Matcher(reference, config).examine_batch(warm, root=folder)
    start = time.perf_counter()
    summary = run_scan(folder, reference, out, config=config, report=write_report)
    seconds = time.perf_counter() - start
    run = json.loads((out / "run.json").read_text())
    return {"images_per_s": summary.rows / seconds, "stages": run["timings"]["stages"], "seconds": seconds}


def _measured(task: str, *arguments: object) -> dict:
    """Run one task in a process of its own with a cold cache; the weights are shared."""
    command = [sys.executable, "-m", "benchmarks.throughput", "--task", task, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", action="append", type=Path, default=[])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--task", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        _task(options.task)
        return
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folder = root / "photos"
        folder.mkdir()
        paths = [p for source in options.photos for p in sorted(source.rglob("*")) if p.suffix.lower() in PHOTOS]
        for number, path in enumerate(paths):
            shutil.copy(path, folder / f"{number:05d}{path.suffix}")
        _measured("catalog", folder, root / "catalog")
        tuning = {
            f"{w} decoding, {t} torch threads, batch {b}": _measured("bare", folder, w, t, b)["images_per_s"]
            for w, t, b in product((1, 2, 3), (1, 2), (16, 32))
        }
        best = max(tuning, key=lambda name: tuning[name])
        w, t, b = (int("".join(c for c in part if c.isdigit())) for part in best.split(","))
        pairs = []
        for n in range(options.pairs):
            one = _measured("bare", folder, w, t, b)
            contender = ("scan", folder, root / "catalog", root / f"out{n}", root / f"cache{n}")
            two, again = _measured(*contender), _measured(*contender)
            pairs.append({"bare": one, "scan": two, "rescan": again, "ratio": two["images_per_s"] / one["images_per_s"]})
            print(f"pair {n + 1}: bare {one['images_per_s']:.1f}/s, scan {two['images_per_s']:.1f}/s", flush=True)
        memory = {}
        for listings in (1_000, 20_000):
            many = root / f"many{listings}"
            many.mkdir()
            files = sorted(folder.iterdir())
            for n in range(listings):
                os.link(files[n % len(files)], many / f"{n:06d}{files[n % len(files)].suffix}")
            memory[listings] = _measured(
                "scan", many, root / "catalog", root / f"mem{listings}", root / f"memcache{listings}"
            )["peak_mib"]
    raw = {"photos": len(paths), "tuning": tuning, "best": best, "pairs": pairs, "memory_mib": memory, **environment()}
    write_raw("throughput", [raw])
    ratio = median(p["ratio"] for p in pairs)
    print(f"bare loop at its best ({best}): {median(p['bare']['images_per_s'] for p in pairs):.1f} images/s")
    print(f"scan, design only: {median(p['scan']['images_per_s'] for p in pairs):.1f} images/s, ratio {ratio:.2f}")
    faster = median(p["rescan"]["images_per_s"] / p["scan"]["images_per_s"] for p in pairs)
    print(f"the same scan again, cached photos, shards removed: {faster:.1f} times as fast")
    print("peak memory: " + ", ".join(f"{n:,} listings {m:.0f} MiB" for n, m in memory.items()))
    stages = pairs[-1]["scan"]["stages"]
    total = sum(stages.values())
    print("share of time by stage (threads added up): " + ", ".join(f"{k} {v / total:.0%}" for k, v in stages.items()))


def _task(task: list[str]) -> None:
    name, *arguments = task
    if name == "catalog":
        print(json.dumps(_own_catalog(*map(Path, arguments))))
    elif name == "bare":
        print(json.dumps(bare(Path(arguments[0]), *map(int, arguments[1:]))))
    else:
        folder, catalog, out, cache = map(Path, arguments)
        # The photo cache is the contender's; the weights stay where they are.
        import imgmatch.scan

        imgmatch.scan.cache_dir = lambda: cache  # type: ignore[assignment]
        shutil.rmtree(out, ignore_errors=True)
        result = scanned(folder, catalog, out)
        result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(result))


def _own_catalog(folder: Path, out: Path) -> dict:
    """Build a catalog of every tenth photo, each an item of one of ten brands."""
    from imgmatch import Catalog

    with tempfile.TemporaryDirectory() as temporary:
        for number, path in enumerate(sorted(folder.iterdir())[::10]):
            item = Path(temporary) / f"brand{number % 10}" / f"item{number}"
            item.mkdir(parents=True)
            shutil.copy(path, item)
        return {"items": len(Catalog.build(temporary, out, encoder="mobilenet-v2").items)}


if __name__ == "__main__":
    main()
