"""What does a full scan take of a machine: processor and memory by workers, and what does the service add with 16 clients?

A catalog of large reference photos (12 megapixels) that the listings show parts of, so that references are described and
laid over photos; the default signals. `imgmatch scan` runs with one worker and with two, each with an empty cache; memory is
what its processes hold together (proportional set size, so that what they share counts once), looked at every two seconds:
a look takes 22 ms of a core, and the workers' pages wait for it. Then
`imgmatch serve` answers the same photos to 16 clients. Wall time is of the machine as it is: only a quiet one says how busy
its cores are kept; processor time says what a second worker costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import machine, scorer
from benchmarks.frame.data import Photo
from benchmarks.frame.job import Job

QUESTION = "What processor time and memory does a full scan take by workers, and does the service keep up with it?"
DATA = ("adidas_products", "rendered")
CLIENTS = 16
SHARD = 8
LOOK = 2.0
"""Seconds between looks at the memory of a scan."""


def run(job: Job) -> Iterator[dict[str, Any]]:
    from imgmatch import Catalog

    photos = job.known(p for p in job.data.photos if p.role != "distractor")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        size = job.size((400, 300), (4000, 3000), (4000, 3000))
        _laid_out(root, photos, job.size(4, 8, 24), job.size(8, 24, 640), size)
        Catalog.build(root / "source", root / "catalog", encoder=job.encoder_name)
        for workers in (1, 2):
            yield {"what": "scan", "workers": workers, **_scanned(root, workers)}
        yield from _served(root)


def _laid_out(root: Path, photos: Sequence[Photo], references: int, listings: int, size: tuple[int, int]) -> None:
    """Write references enlarged to `size`, and as listings other photos and parts of the references by turns."""
    import cv2

    (root / "listings").mkdir()
    for number in range(max(references, listings)):
        pixels = cv2.imread(str(photos[number % len(photos)].path), cv2.IMREAD_COLOR)
        if number < references:
            folder = root / "source" / "brand" / f"item{number}"
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / "1.jpg"), cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC))
        if number < listings:
            height, width = pixels.shape[:2]
            shown = pixels[height // 10 :, width // 10 :] if number % 2 else cv2.flip(pixels, 0)
            cv2.imwrite(str(root / "listings" / f"{number}.jpg"), np.ascontiguousarray(shown))


def _scanned(root: Path, workers: int) -> dict[str, Any]:
    settings, out = root / "scan.toml", root / f"out{workers}"
    settings.write_text(f"[scan]\nworkers = {workers}\nshard = {SHARD}\n")
    command = [*machine.CLI, "scan", root / "listings", "--catalog", root / "catalog", "--out", out, "--config", settings]
    environ = machine.own_cache(root / f"cache{workers}") | machine.ONE_THREAD
    before, begin, peak = _children(), time.perf_counter(), 0
    process = subprocess.Popen(
        list(map(str, command)), env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while process.returncode is None:
        peak = max(peak, machine.held(process.pid))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK)
    if process.returncode:
        raise ValueError(f"the scan ended: {process.stderr.read()[-300:] if process.stderr else ''}")
    facts = {"wall": time.perf_counter() - begin, "cpu": _children() - before, "memory": peak}
    return {**facts, "photos": len(list((root / "listings").iterdir()))}


def _children() -> float:
    """Return processor seconds of all child processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _served(root: Path) -> Iterator[dict[str, Any]]:
    """Let clients ask the service, warm and with its own cache, for every photo once."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    settings, paths = root / "service.toml", sorted((root / "listings").iterdir())
    settings.write_text("[service]\nrate = 0\n")
    command = [*machine.CLI, "serve", "--catalog", root / "catalog", "--port", port, "--config", settings]
    process = subprocess.Popen(list(map(str, command)), env=machine.own_cache(root / "cache-service"))
    try:
        _wait(process, f"http://127.0.0.1:{port}/healthz")
        begin, before = time.perf_counter(), machine.spent(process.pid)
        yield from asyncio.run(_asked(f"http://127.0.0.1:{port}", paths))
        facts = {"wall": time.perf_counter() - begin, "cpu": machine.spent(process.pid) - before}
        yield {"what": "service", **facts, "memory": machine.held(process.pid), "photos": len(paths)}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _wait(process: subprocess.Popen[bytes], url: str, seconds: float = 240) -> None:
    """Return when the service answers; raise where it has ended or does not in time."""
    import httpx2 as httpx

    end = time.monotonic() + seconds
    while True:
        try:
            httpx.get(url)
            return
        except httpx.TransportError:
            if time.monotonic() > end or process.poll() is not None:
                raise
            time.sleep(0.2)


async def _asked(url: str, paths: list[Path]) -> list[dict[str, Any]]:
    """Send every photo once from many clients; return status and seconds of each answer."""
    import httpx2 as httpx

    waiting, rows = iter(enumerate(paths)), []

    async def client(c: httpx.AsyncClient) -> None:
        for number, path in waiting:
            fields = {"listing": json.dumps({"listing_id": str(number), "title": "bag"})}
            begin = time.perf_counter()
            answer = await c.post("/examine", data=fields, files={"photos": path.read_bytes()})
            seconds, status = time.perf_counter() - begin, answer.status_code
            right = status == 200 and answer.json()["listing_id"] == str(number)
            rows.append({"what": "request", "status": status, "right": right, "seconds": seconds})

    async with httpx.AsyncClient(base_url=url, timeout=300, limits=httpx.Limits(max_connections=CLIENTS)) as c:
        await asyncio.gather(*(client(c) for _ in range(CLIENTS)))
    return rows


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    def figure(what: str, value: float, against: str = "", target: str = "") -> scorer.Figure:
        return scorer.Figure(what, value, form="n", against=against, target=target)

    one, two = ({**r, "rate": r["photos"] / r["wall"]} for r in rows if r["what"] == "scan")
    yield figure("scan, two workers to one, processor time", two["cpu"] / one["cpu"])
    yield figure("scan, two workers to one, photos a second", two["rate"] / one["rate"], target=">= 1.85")
    yield figure("scan, two workers, cores busy", two["cpu"] / two["wall"], "start and end included")
    for scan in (one, two):
        name = f"scan, {scan['workers']} of workers, references of 12 megapixels, GiB of memory"
        yield figure(name, scan["memory"] / 2**30, target="<= 1.5")
    served = next(r for r in rows if r["what"] == "service")
    asked = [r for r in rows if r["what"] == "request"]
    wrong = sum(not r["right"] for r in asked)
    rate = served["photos"] / served["wall"]
    more = f"{rate / two['rate']:.2f} of the scan's {two['rate']:.2f}, which counts its start and end; "
    more += f"{wrong} of {len(asked)} wrong or refused"
    yield figure(f"service, {CLIENTS} clients, requests a second", rate, more)
    yield figure("service, p95, seconds", float(np.quantile([r["seconds"] for r in asked], 0.95)))
    yield figure("service, processor seconds a photo", served["cpu"] / served["photos"])
