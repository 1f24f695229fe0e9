"""What does a full scan take of a machine: processor and memory by workers, and what does the service add with 16 clients?

A catalog of large reference photos (12 megapixels) that the listings show parts of, so that references are described and
laid over photos; the default signals. `imgmatch scan` runs with one worker and with two, each with an empty cache; memory is
what its processes hold together (proportional set size, so that what they share counts once), looked at twice a second. Then
`imgmatch serve` answers the same photos to 16 clients. Wall time is of the machine as it is: only a quiet one says how busy
its cores are kept; processor time says what a second worker costs.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import scorer
from benchmarks.frame.data import Photo
from benchmarks.frame.job import Job

QUESTION = "What processor time and memory does a full scan take by workers, and does the service keep up with it?"
DATA = ("adidas_products", "rendered")
CLIENTS = 16
SHARD = 8


def run(job: Job) -> Iterator[dict[str, Any]]:
    photos = job.known(p for p in job.data.photos if p.role != "distractor")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        size = job.size((400, 300), (4000, 3000), (4000, 3000))
        _laid_out(root, photos, job.size(4, 24, 24), job.size(8, 48, 640), size)
        for workers in (1, 2):
            yield {"what": "scan", "workers": workers, **_scanned(root, workers, job.encoder_name)}
        yield from _served(root)


def _laid_out(root: Path, photos: Sequence[Photo], references: int, listings: int, size: tuple[int, int]) -> None:
    """Write references enlarged to `size`, and as listings other photos and parts of the references by turns."""
    import cv2

    for name in ("source/brand", "listings"):
        (root / name).mkdir(parents=True)
    for number in range(max(references, listings)):
        pixels = cv2.imread(str(photos[number % len(photos)].path), cv2.IMREAD_COLOR)
        if number < references:
            folder = root / "source" / "brand" / f"item{number}"
            folder.mkdir()
            cv2.imwrite(str(folder / "1.jpg"), cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC))
        if number < listings:
            height, width = pixels.shape[:2]
            shown = pixels[height // 10 :, width // 10 :] if number % 2 else cv2.flip(pixels, 0)
            cv2.imwrite(str(root / "listings" / f"{number}.jpg"), np.ascontiguousarray(shown))


def _scanned(root: Path, workers: int, encoder: str) -> dict[str, Any]:
    from imgmatch import Catalog
    from imgmatch.encoders.store import cache_dir

    if not (root / "catalog").exists():
        Catalog.build(root / "source", root / "catalog", encoder=encoder)
    cache = root / f"cache{workers}"
    cache.mkdir()
    (cache / "weights").symlink_to(cache_dir() / "weights")
    (root / "scan.toml").write_text(f"[scan]\nworkers = {workers}\nshard = {SHARD}\n")
    command = [sys.executable, "-m", "imgmatch.apps.cli", "scan", root / "listings", "--catalog", root / "catalog"]
    environ = {**os.environ, "IMGMATCH_CACHE": str(cache), **{f"{n}_NUM_THREADS": "1" for n in ("OMP", "OPENBLAS", "MKL")}}
    before, begin, peak = _children(), time.perf_counter(), 0
    process = subprocess.Popen(
        [*map(str, command), "--out", str(root / f"out{workers}"), "--config", str(root / "scan.toml")],
        env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while process.poll() is None:
        peak = max(peak, sum(map(_held, _family(process.pid))))
        time.sleep(0.5)
    if process.returncode:
        raise ValueError(f"the scan ended: {process.stderr.read()[-300:] if process.stderr else ''}")
    seconds = json.loads((root / f"out{workers}" / "run.json").read_text("utf-8")).get("seconds")
    facts = {"wall": time.perf_counter() - begin, "cpu": _children() - before, "memory": peak, "seconds": seconds}
    return {**facts, "photos": len(list((root / "listings").iterdir()))}


def _children() -> float:
    """Return processor seconds of all child processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _family(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    yield pid
    try:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
    except OSError:  # gone
        return
    for child in below:
        yield from _family(int(child))


def _held(pid: int) -> int:
    """Return the proportional set size of a process in bytes."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _served(root: Path) -> Iterator[dict[str, Any]]:
    """Let clients ask the service, warm and with its own cache, for every photo once."""
    import httpx2 as httpx

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    (root / "service.toml").write_text("[service]\nrate = 0\n")
    command = [sys.executable, "-m", "imgmatch.apps.cli", "serve", "--catalog", root / "catalog", "--port", str(port)]
    process = subprocess.Popen([*map(str, command), "--config", str(root / "service.toml")])
    paths = sorted((root / "listings").iterdir())
    try:
        end = time.monotonic() + 240
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz")
                break
            except httpx.TransportError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(0.2)
        begin, before = time.perf_counter(), _spent(process.pid)
        rows = asyncio.run(_asked(f"http://127.0.0.1:{port}", paths))
        wall, cpu = time.perf_counter() - begin, _spent(process.pid) - before
        yield from rows
        yield {
            "what": "service",
            "wall": wall,
            "cpu": cpu,
            "memory": sum(map(_held, _family(process.pid))),
            "photos": len(paths),
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


async def _asked(url: str, paths: list[Path]) -> list[dict[str, Any]]:
    """Send every photo once from many clients; return status and seconds of each answer."""
    import httpx2 as httpx

    waiting, rows = iter(enumerate(paths)), []

    async def client(c: httpx.AsyncClient) -> None:
        for number, path in waiting:
            fields = {"listing": json.dumps({"listing_id": str(number), "title": "bag"})}
            begin = time.perf_counter()
            answer = await c.post("/examine", data=fields, files={"photos": path.read_bytes()})
            right = answer.status_code == 200 and answer.json()["listing_id"] == str(number)
            rows.append(
                {"what": "request", "status": answer.status_code, "right": right, "seconds": time.perf_counter() - begin}
            )

    async with httpx.AsyncClient(base_url=url, timeout=300, limits=httpx.Limits(max_connections=CLIENTS)) as c:
        await asyncio.gather(*(client(c) for _ in range(CLIENTS)))
    return rows


def _spent(pid: int) -> float:
    """Return processor seconds of a running process and those below it."""
    ticks = 0
    for one in _family(pid):
        fields = Path(f"/proc/{one}/stat").read_text("utf-8").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    one, two = ({**r, "rate": r["photos"] / r["wall"]} for r in rows if r["what"] == "scan")
    yield scorer.Figure("scan, two workers to one, processor time", two["cpu"] / one["cpu"], form="n")
    yield scorer.Figure("scan, two workers to one, photos a second", two["rate"] / one["rate"], form="n", target=">= 1.85")
    yield scorer.Figure(
        "scan, two workers, cores busy", two["cpu"] / two["wall"], form="n", against="start and end included"
    )
    for scan in (one, two):
        name = f"scan, {scan['workers']} of workers, references of 12 megapixels, GiB of memory"
        yield scorer.Figure(name, scan["memory"] / 2**30, form="n", target="<= 1.5")
    served = next(r for r in rows if r["what"] == "service")
    asked = [r for r in rows if r["what"] == "request"]
    wrong = sum(not r["right"] for r in asked)
    rate = served["photos"] / served["wall"]
    more = f"{rate / two['rate']:.2f} of the scan's {two['rate']:.2f}; {wrong} of {len(asked)} wrong or refused"
    yield scorer.Figure(f"service, {CLIENTS} clients, requests a second", rate, against=more, form="n")
    yield scorer.Figure("service, p95, seconds", float(np.quantile([r["seconds"] for r in asked], 0.95)), form="n")
    yield scorer.Figure("service, processor seconds a photo", served["cpu"] / served["photos"], form="n")
