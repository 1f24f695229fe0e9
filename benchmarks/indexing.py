"""How many photos a second does each tool index, with the same architecture and random weights, on this machine?

Every contender is a whole command in a process of its own over the same folder, once with few photos and once with many; the
difference, which leaves out start-up and warm-up, gives images/s. Contenders alternate, so that a busy moment meets all of
them. ViT-B-32 at 224 pixels: `imgmatch catalog build`, `imgmatch scan` (design signal, cold cache), clip-retrieval
inference, imagededup CNN. ViT-B-32-256, which is what rclip runs in onnxruntime: `imgmatch catalog build`, rclip. Ours runs
in PyTorch and as its own ONNX exports; bfloat16 is other arithmetic and so no like for like.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.frame import scorer
from benchmarks.frame.job import Job
from benchmarks.peers.environments import HOME, PeerError, call, install, versions

QUESTION = "How many photos a second does each tool index?"
DATA = ("adidas_products", "rendered")
FEW, MANY, ROUNDS = 64, 256, 3  # two batches are start-up
WEIGHTS = HOME / "weights"
PAIRS = {"ViT-B-32": ("clip_retrieval", "imagededup_cnn"), "ViT-B-32-256": ("rclip",)}
"""Architecture: the peers that run it."""


def run(job: Job) -> Iterator[dict[str, Any]]:
    """Time every contender; the peers only where ``--peer`` names them, for their environments take 6 GB."""
    failed: dict[str, str] = {}
    few, many, rounds = job.size((2, 6, 1), (16, 48, 1), (FEW, MANY, ROUNDS))
    with tempfile.TemporaryDirectory(prefix="imgmatch-speed-") as temporary:
        work = Path(temporary)
        folders = {n: _folder(job, n, work) for n in (few, many)}
        contenders = _contenders(work, folders[few], failed, job)
        for round_ in range(rounds):
            for name, index in contenders.items():
                for n, folder in folders.items() if name not in failed else ():
                    scratch = work / "scratch"
                    shutil.rmtree(scratch, ignore_errors=True)
                    scratch.mkdir()
                    start = time.perf_counter()
                    try:
                        done = index(folder, scratch)
                    except (PeerError, subprocess.CalledProcessError) as error:
                        failed[name] = str(error)
                        break
                    seconds = time.perf_counter() - start
                    yield {"contender": name, "round": round_, "photos": done, "asked": n, "seconds": seconds}
    peers = {p: versions(p) for ps in PAIRS.values() for p in ps if p in job.peers}
    job.facts |= {"failed": failed, "peer_versions": peers, "few": few, "many": many}


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    for architecture, name, per_second, whole, ratio in ratios(head, rows):
        against = f"whole command {whole:.1f} s" + (f"; {ratio:.2f} of the best peer" if ratio == ratio else "")
        what = f"indexing, {architecture}, random weights: {name}, images a second"
        yield scorer.Figure(
            what, median(per_second), min(per_second), max(per_second), len(per_second), against=against, form="n"
        )


def ratios(facts: dict[str, Any], rows: list[dict[str, Any]]) -> list[tuple[str, str, list[float], float, float]]:
    """Return per contender architecture, name, images/s of each round, seconds of the command, ratio to the best peer."""
    speed: dict[str, list[float]] = {}
    whole: dict[str, float] = {}
    for name in dict.fromkeys(r["contender"] for r in rows if r["contender"] not in facts["failed"]):
        took = {(r["round"], r["asked"]): r["seconds"] for r in rows if r["contender"] == name}
        n = facts["many"] - facts["few"]
        done = [r for r, asked in took if asked == facts["many"]]
        speed[name] = [n / (took[r, facts["many"]] - took[r, facts["few"]]) for r in done]
        whole[name] = median(took[r, facts["many"]] for r in done)
    out = []
    for architecture in PAIRS:
        mine = [n for n in speed if n.endswith(f", {architecture}")]
        best = max((median(speed[n]) for n in mine if not n.startswith("imgmatch")), default=float("nan"))
        out += [
            (architecture, n.removesuffix(f", {architecture}"), speed[n], whole[n], median(speed[n]) / best) for n in mine
        ]
    return out


def _folder(job: Job, count: int, work: Path) -> Path:
    """Copy photos, each content once (rclip and we encode the same bytes once), into brand/item/photo."""
    chosen = list({p.path.read_bytes(): p.path for p in job.known(job.data.photos)}.values())[:count]
    if len(chosen) < count:
        raise ValueError(f"{job.data.name} has {len(chosen)} photos, fewer than {count}")
    folder = work / f"photos-{count}"
    for number, path in enumerate(chosen):
        item = folder / f"brand{number % 10}" / f"item{number}"
        item.mkdir(parents=True)
        shutil.copy(path, item / f"{number:05d}{path.suffix}")
    return folder


def _contenders(work: Path, few: Path, failed: dict[str, str], job: Job) -> dict[str, Callable[[Path, Path], int]]:
    """Return what to time: a function of folder and scratch folder that says how many photos it indexed."""
    out: dict[str, Callable[[Path, Path], int]] = {}
    for architecture, peers in list(PAIRS.items())[: job.size(1, 1, None)]:
        weights = random_weights(architecture)
        encoder = f"open_clip:{architecture}@{weights}"
        out[f"imgmatch catalog build, PyTorch, {architecture}"] = _built(encoder)
        out[f"imgmatch catalog build, PyTorch bf16 (another space), {architecture}"] = _built(f"torch-bf16:{encoder}")
        if job.smoke:
            return out
        export = work / f"export-{architecture}"
        try:
            _imgmatch("weights", "export", encoder, "--out", str(export), cache=work / "cache")
            vouched = f"{export}#sha256={sha256((export / 'export.json').read_bytes()).hexdigest()}"
            out[f"imgmatch catalog build, ONNX fp32, {architecture}"] = _built(f"onnx:{vouched}")
        except PeerError as error:
            failed[f"imgmatch catalog build, ONNX, {architecture}"] = str(error)
        for peer in (p for p in peers if p in job.peers):
            out[f"{peer}, {architecture}"] = _peer(peer, architecture, weights)
    catalog = work / "catalog"
    encoder = f"open_clip:ViT-B-32@{random_weights('ViT-B-32')}"
    _imgmatch("catalog", "build", str(few), "--out", str(catalog), "--encoder", encoder, cache=work / "cache")
    out["imgmatch scan, PyTorch, ViT-B-32"] = _scanned(catalog)
    return out


def _built(encoder: str) -> Callable[[Path, Path], int]:
    def index(folder: Path, scratch: Path) -> int:
        out = scratch / "catalog"
        _imgmatch("catalog", "build", str(folder), "--out", str(out), "--encoder", encoder, cache=scratch / "cache")
        return len(list(folder.rglob("*.*"))) if (out / "manifest.json").is_file() else 0

    return index


def _scanned(catalog: Path) -> Callable[[Path, Path], int]:
    def index(folder: Path, scratch: Path) -> int:
        flat, out = scratch / "flat", scratch / "out"
        flat.mkdir()
        for path in folder.rglob("*.*"):  # a folder's photos are its listings
            os.link(path, flat / path.name)
        options = ("--catalog", str(catalog), "--out", str(out), "--signals", "design")
        _imgmatch("scan", str(flat), *options, cache=scratch / "cache")
        return sum(1 for _ in open(out / "records.jsonl", encoding="utf-8"))

    return index


def _peer(peer: str, architecture: str, weights: Path) -> Callable[[Path, Path], int]:
    def index(folder: Path, scratch: Path) -> int:
        job = {
            "folder": str(folder),
            "work": str(scratch / "work"),
            "architecture": architecture,
            "weights": str(weights),
            "onnx": str(weights.with_suffix(".onnx")),
            "cores": os.cpu_count(),
        }
        [row] = call(peer, "index", job, scratch)
        return int(row["photos"])

    install(peer)  # before the clock runs
    return index


def _imgmatch(*arguments: str, cache: Path) -> None:
    command = [sys.executable, "-m", "imgmatch.apps.cli", *arguments]
    done = subprocess.run(
        command, env={**os.environ, "IMGMATCH_CACHE": str(cache)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PeerError(f"imgmatch {arguments[0]}: exit {done.returncode}: {done.stderr.strip()[-300:]}")


def random_weights(architecture: str) -> Path:
    """Return random weights of an open_clip architecture, the same for all; for rclip also its image tower as ONNX."""
    file = WEIGHTS / f"{architecture}.safetensors"
    if file.is_file():
        return file
    from imgmatch.encoders._torchvision import ensure_torchvision

    ensure_torchvision()
    import open_clip
    import torch
    from safetensors.torch import save_file

    WEIGHTS.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = open_clip.create_model(architecture, load_weights=False).eval()
    if "rclip" in PAIRS[architecture]:
        size = model.visual.image_size[0]
        names = {"input_names": ["input"], "output_names": ["output"], "dynamic_axes": {"input": {0: "n"}}}
        pixels = torch.zeros(2, 3, size, size)
        torch.onnx.export(model.visual, (pixels,), file.with_suffix(".onnx"), dynamo=False, opset_version=17, **names)
    temporary = file.with_suffix(".tmp")
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, temporary)
    temporary.replace(file)
    return file
