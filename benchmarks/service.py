"""What does the HTTP service cost over the bare loop, and does it hold 64 clients at once?

A real ``imgmatch serve`` on loopback, design signal only; 64 clients each send one photo after the other as forms, every
photo once. The bare loop of `benchmarks.throughput` reads the same photos before and after. Clients, service and encoder
share one machine, as a small deployment would.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import scorer
from benchmarks.frame.job import Job
from benchmarks.throughput import laid_out, measured

QUESTION = "What does the HTTP service cost over the bare loop, and does it hold 64 clients at once?"
DATA = ("adidas_products", "rendered")
CLIENTS = 64


async def load(url: str, paths: list[Path], clients: int = CLIENTS) -> list[dict[str, Any]]:
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

    async with httpx.AsyncClient(base_url=url, timeout=300, limits=httpx.Limits(max_connections=clients)) as c:
        await asyncio.gather(*(client(c) for _ in range(clients)))
    return rows


def run(job: Job) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folder = laid_out(job, root, job.size(32, 160, 640))
        yield {"what": "bare", **measured("bare", folder, root, job.encoder_name, root / "cache")}
        begin = time.perf_counter()
        rows = list(_served(folder, root))
        job.facts |= {
            "clients": CLIENTS,
            "seconds": rows[-1]["end"] - rows[-1]["begin"],
            "whole": time.perf_counter() - begin,
        }
        yield from rows[:-1]
        yield {"what": "bare", **measured("bare", folder, root, job.encoder_name, root / "cache")}


def _served(folder: Path, root: Path) -> Iterator[dict[str, Any]]:
    """Start the service, warm it up, load it, stop it."""
    import httpx2 as httpx

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    (root / "service.toml").write_text('signals = ["design"]\n[service]\nrate = 0\n')
    command = [sys.executable, "-m", "imgmatch.apps.cli", "serve", "--catalog", root / "catalog", "--port", str(port)]
    process = subprocess.Popen([*command, "--config", root / "service.toml"])
    url, paths = f"http://127.0.0.1:{port}", sorted(folder.iterdir())
    try:
        end = time.monotonic() + 240
        while True:
            try:
                httpx.get(f"{url}/healthz")
                break
            except httpx.TransportError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(0.2)
        asyncio.run(load(url, paths[:CLIENTS]))
        begin = time.perf_counter()
        yield from asyncio.run(load(url, paths))
        yield {"begin": begin, "end": time.perf_counter()}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    asked = [r for r in rows if r["what"] == "request"]
    bare = float(np.mean([r["photos"] / r["seconds"] for r in rows if r["what"] == "bare"]))
    rate, wrong = len(asked) / head["seconds"], sum(not r["right"] for r in asked)
    more = f"{rate / bare:.2f} of the bare loop's {bare:.0f}; {wrong} of {len(asked)} wrong or refused"
    yield scorer.Figure(f"HTTP service, {head['clients']} clients, requests a second", rate, against=more, form="n")
    yield scorer.Figure("HTTP service, p95, seconds", float(np.quantile([r["seconds"] for r in asked], 0.95)), form="n")
