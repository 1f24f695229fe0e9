"""How fast is a scan, held against the bare loop it cannot beat; what does a second scan cost; does memory stay flat?

    python -m benchmarks.throughput                            # mobilenet-v2
    python -m benchmarks.throughput --architecture ViT-B-32    # random weights, PyTorch alone: the default encoder's cost

The bare loop reads, decodes, hashes, prepares and encodes the same photos with the same encoder, does nothing else, and is
tuned over runtime (PyTorch, ONNX), decoding threads, encoder threads and batch size. The scan is `run_scan` as the command
line runs it, with the design signal, an empty cache, and all it writes. Bare and scan alternate within one run, each in a
process of its own; clocks start when models are loaded and one batch has gone through, and ratios are taken pair by pair,
of wall time and of processor time (which a busy machine disturbs less).

The second scan is taken twice: with the photo cache alone (shards removed: every listing is examined anew), and with all
that the first left (unchanged photos are recognised by path, size and time of change; a photo rewritten with both kept
is taken for the same). Start-up is the wall time from starting Python to the first record with a warm cache. Memory is
the peak resident size of a scan of few and of many listings (the same photos, hard-linked), both measured in full.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.common import SETS, environment, shared_data, write_raw
from benchmarks.peers.speed import random_weights

MODEL = "mobilenet-v2"
PHOTOS = {".jpg", ".jpeg", ".png", ".webp"}
STAGES = {"propose": "search", "examine": "examine", "fuse": "verdict"}


def bare(
    folder: Path, runtime: str, workers: int, threads: int, batch: int, limit: int, model: str = MODEL
) -> dict[str, Any]:
    """Decode, hash, prepare and encode the photos of a folder as fast as we know how."""
    from imgmatch import load_encoder, load_image
    from imgmatch.encoders import onnx
    from imgmatch.images import perceptual_hash
    from imgmatch.parallel import ordered_map

    if runtime == "torch":
        import torch

        torch.set_num_threads(threads)
        encoder = load_encoder(f"torch:{model}", device="cpu")
    else:
        encoder = onnx.load(f"onnx:{model}", threads=threads)
    paths = sorted(folder.iterdir())
    paths = paths[:: max(1, len(paths) // limit)] if limit else paths  # evenly: folders differ in the size of their photos

    def read(path: Path):
        image = load_image(path, target_side=2 * encoder.input_size)
        perceptual_hash(image)
        return encoder.prepare(image)

    def loop() -> None:
        waiting = []
        for prepared in ordered_map(read, paths, workers=workers, ahead=workers + 2 * batch):
            waiting.append(prepared)
            if len(waiting) == batch:
                encoder.encode(waiting)
                waiting = []
        encoder.encode(waiting)

    encoder.encode([read(p) for p in paths[:batch]])
    return _clocked(loop) | {"photos": len(paths)}


def scanned(folder: Path, catalog: Path, out: Path, warm: int) -> dict[str, Any]:
    """Scan the folder with the design signal; with `warm`, one batch goes through before the clock starts."""
    from imgmatch import Catalog, Config, Matcher
    from imgmatch.investigate.report import write_report
    from imgmatch.records import Listing
    from imgmatch.scan import run_scan

    reference = Catalog.load(catalog)
    config = Config.from_dict({"signals": ["design"]})
    if warm:
        first = [Listing(p.name, (p.name,)) for p in sorted(folder.iterdir())[: config.scan.batch]]
        Matcher(reference, config).examine_batch(first, photos=folder)
    clock = _clocked(lambda: run_scan(folder, reference, out, config=config, report=write_report))
    run = json.loads((out / "run.json").read_text())
    return clock | {
        "photos": run["counts"]["listings"],
        "counts": run["counts"],
        "stages": run["timings"]["stages"],
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def first_record(folder: Path, catalog: Path, cache: Path) -> dict[str, Any]:
    """Take the first record of a scan; the caller's clock started with this process."""
    from imgmatch import Catalog, Config, Matcher
    from imgmatch.io.sources import read_listings
    from imgmatch.loading.cache import PhotoCache
    from imgmatch.scan import scan_listings

    matcher = Matcher(Catalog.load(catalog), Config.from_dict({"signals": ["design"]}), cache=PhotoCache(cache))
    record = next(scan_listings(read_listings(folder), matcher, root=folder))
    return {"status": record.status, "at": time.time(), "torch": "torch" in sys.modules}


def own_catalog(folder: Path, out: Path, model: str = MODEL) -> dict[str, Any]:
    """Build a catalog of every fifth photo, each an item of one of ten brands."""
    from imgmatch import Catalog

    with tempfile.TemporaryDirectory() as temporary:
        for number, path in enumerate(sorted(folder.iterdir())[::5]):
            item = Path(temporary) / f"brand{number % 10}" / f"item{number}"
            item.mkdir(parents=True)
            shutil.copy(path, item)
        return {"items": len(Catalog.build(temporary, out, encoder=model).items)}


def exported() -> dict[str, Any]:
    """Export the model into the suite's own cache, so that both runtimes are there."""
    from imgmatch import load_encoder
    from imgmatch.encoders import onnx
    from imgmatch.encoders.onnx_export import export

    told = export(load_encoder(f"torch:{MODEL}", device="cpu"), onnx.export_folder(MODEL))
    return {"faster": told["faster"], "parity": told["parity"], "default": type(load_encoder(MODEL, device="cpu")).__name__}


def measured(task: str, *arguments: object, **environ: str) -> dict[str, Any]:
    """Run one task in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.throughput", "--task", task, *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **environ})
    if done.returncode:
        raise SystemExit(f"{task} {arguments}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def _clocked(work: Callable[[], Any]) -> dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor}


def _speed(result: dict[str, Any]) -> float:
    return result["photos"] / result["seconds"]


class _Suite:
    def __init__(self, root: Path, photos: list[Path], model: str) -> None:
        from imgmatch.encoders.store import require

        self.model = model
        self.root, self.folder, self.catalog = root, root / "photos", root / "catalog"
        self.folder.mkdir()
        for number, path in enumerate(photos):
            shutil.copy(path, self.folder / f"{number:05d}{path.suffix}")
        weights = root / "cache" / "weights"
        weights.mkdir(parents=True)
        if model == MODEL:
            (weights / f"{MODEL}.safetensors").symlink_to(require(MODEL))

    def run(self, task: str, *arguments: object, cache: str = "cache") -> dict[str, Any]:
        """Run one task in a process of its own, with a cache of its own that shares the weights."""
        if cache != "cache" and not (own := self.root / cache).exists():
            own.mkdir()
            (own / "weights").symlink_to(self.root / "cache" / "weights")
        return measured(task, *arguments, IMGMATCH_CACHE=str(self.root / cache))

    def pair(self, n: int, best: tuple[str, int, int, int]) -> dict[str, Any]:
        one = self.run("bare", self.folder, *best, 0, self.model)
        cache, out = f"cache{n}", self.root / f"out{n}"
        result = {"bare": one, "scan": self.run("scan", self.folder, self.catalog, out, 1, cache=cache)}
        started = time.time()
        result["first"] = self.run("first", self.folder, self.catalog, self.root / cache / "photos.sqlite", cache=cache)
        result["first"]["seconds"] = result["first"]["at"] - started
        result["unchanged"] = self.run("scan", self.folder, self.catalog, out, 1, cache=cache)
        shutil.rmtree(out)
        result["cached"] = self.run("scan", self.folder, self.catalog, out, 1, cache=cache)
        return result

    def memory(self, listings: int) -> dict[str, Any]:
        many = self.root / f"many{listings}"
        many.mkdir()
        files = sorted(self.folder.iterdir())
        for n in range(listings):
            os.link(files[n % len(files)], many / f"{n:06d}{files[n % len(files)].suffix}")
        return self.run("scan", many, self.catalog, self.root / f"mem{listings}", 0, cache=f"memcache{listings}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the real photos")
    parser.add_argument("--photos", action="append", type=Path, default=[], help="scan these folders instead")
    parser.add_argument("--architecture", help="of open_clip, with random weights, in place of mobilenet-v2")
    parser.add_argument("--limit", type=int, default=0, help="take only so many photos, evenly")
    parser.add_argument("--tune", type=int, default=400, help="photos that the bare loop is tuned on")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", default=[1_000, 100_000], help="listings to measure memory at")
    parser.add_argument("--task", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        _task(*options.task)
        return
    folders = options.photos or [shared_data(options.data) / name for name in SETS]
    found = (p for folder in folders for p in sorted(folder.rglob("*")) if p.suffix.lower() in PHOTOS)
    # The same bytes twice would be encoded once by a scan, and twice by the bare loop.
    paths = list({hashlib.sha256(p.read_bytes()).digest(): p for p in found}.values())
    paths = paths[:: max(1, len(paths) // options.limit)] if options.limit else paths
    model, file = MODEL, "throughput"
    if options.architecture:
        model, file = f"open_clip:{options.architecture}@{random_weights(options.architecture)}", "throughput_clip"
    with tempfile.TemporaryDirectory() as temporary:
        suite = _Suite(Path(temporary), paths, model)
        raw: dict[str, Any] = {"model": options.architecture or MODEL, "photos": len(paths), **environment()}
        runtimes = ("torch",) if options.architecture else ("torch", "onnx")
        if model == MODEL:
            raw["export"] = suite.run("export")
        raw["catalog"] = suite.run("catalog", suite.folder, suite.catalog, model)
        settings = list(product(runtimes, (1, 2, 3), (1, 2), (32,)))  # encoders cut batches to chunks anyway
        tuning = {s: _speed(suite.run("bare", suite.folder, *s, options.tune, model)) for s in settings}
        best = max(tuning, key=lambda s: tuning[s])
        raw |= {"tuning": [[*s, speed] for s, speed in tuning.items()], "best": best, "pairs": []}
        for n in range(options.pairs):
            raw["pairs"].append(suite.pair(n, best))
            write_raw(file, [raw])
        raw["memory"] = {str(n): suite.memory(n) for n in options.memory}
        print(f"raw: {write_raw(file, [raw])}")
    show(raw)


def show(raw: dict[str, Any]) -> None:
    """Print what the raw results come to."""
    pairs, parity = raw["pairs"], raw.get("export", {}).get("parity", {})

    def middle(value: Callable[[dict[str, Any]], float]) -> str:
        values = sorted(value(p) for p in pairs)
        return f"{median(values):.2f} (of {len(values)}: {values[0]:.2f} to {values[-1]:.2f})"

    def best_of(runtime: str) -> str:
        *how, speed = max((row for row in raw["tuning"] if row[0] == runtime), key=lambda row: row[-1])
        return f"{speed:.1f} images/s with {how[1]} decoding, {how[2]} encoder threads, batches of {how[3]}"

    print(f"{raw['photos']} photos, {raw['cores']} cores, {raw['cpu']}; {raw['model']}")
    for kind, row in ((k, parity[k]) for k in ("torch", "onnx", "onnx-int8") if k in parity):
        near = f", cosine to it at least {row['cosine_min']:.5f}" if "cosine_min" in row else ""
        print(f"encode alone, {kind}: {row['photos_per_s']:.1f} images/s{near}")
    for runtime in dict.fromkeys(row[0] for row in raw["tuning"]):
        print(f"bare loop tuned on fewer photos, {runtime}: {best_of(runtime)}")
    print(f"bare loop at its best: {middle(lambda p: _speed(p['bare']))} images/s")
    print(f"scan, design only: {middle(lambda p: _speed(p['scan']))} images/s")
    print(f"scan / bare, wall time: {middle(lambda p: _speed(p['scan']) / _speed(p['bare']))}")
    print(f"scan / bare, processor time: {middle(lambda p: p['bare']['cpu_seconds'] / p['scan']['cpu_seconds'])}")
    for key, words in (("unchanged", "nothing changed"), ("cached", "cached photos, examined anew")):
        times = middle(lambda p, key=key: p["scan"]["seconds"] / p[key]["seconds"])
        print(f"scanned again, {words}: {times} times as fast, {middle(lambda p, key=key: _speed(p[key]))} images/s")
    torch = "with" if pairs[-1]["first"]["torch"] else "without"
    print(f"start-up to the first record, warm cache: {middle(lambda p: p['first']['seconds'])} s, {torch} PyTorch loaded")
    for listings, row in raw.get("memory", {}).items():
        print(f"peak memory, {int(listings):,} listings: {row['peak_mib']:.0f} MiB ({_speed(row):.1f} listings/s)")
    stages = pairs[-1]["scan"]["stages"]
    total = sum(stages.values())
    shares = ", ".join(f"{STAGES.get(k, k)} {v / total:.1%}" for k, v in stages.items())
    print(f"share of time by stage, threads added up: {shares}")


def _task(name: str, *arguments: str) -> None:
    if name == "bare":
        folder, runtime, *numbers, model = arguments
        result = bare(Path(folder), runtime, *map(int, numbers), model=model)
    elif name == "scan":
        folder, catalog, out, warm = arguments
        result = scanned(Path(folder), Path(catalog), Path(out), int(warm))
    elif name == "catalog":
        folder, out, model = arguments
        result = own_catalog(Path(folder), Path(out), model)
    else:
        result = {"first": first_record, "export": exported}[name](*map(Path, arguments))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
