"""What does the service cost over the bare encoder, and does it hold 64 clients at once?

    python -m benchmarks.service_load

A real ``imgmatch serve`` process on loopback, design signal only; 64 clients each send one photo after the other as forms,
every photo of the folders once. The bare loop of :mod:`benchmarks.throughput` reads the same photos at the service's own
settings before and after; the share is held against the mean of the two. Clients, service and encoder share one machine, as
a small deployment would.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx2 as httpx
import numpy as np

from benchmarks.common import environment, shared_data, write_raw
from benchmarks.throughput import MODEL, PHOTOS, measured
from imgmatch.encoders import onnx

_CLIENTS = 64


async def load(url: str, paths: list[Path]) -> list[dict]:
    """Send every photo once from many clients; return status and seconds of each answer."""
    waiting = iter(enumerate(paths))
    rows: list[dict] = []

    async def client(c: httpx.AsyncClient) -> None:
        for number, path in waiting:
            fields = {"listing": json.dumps({"listing_id": str(number), "title": "bag"})}
            begin = time.perf_counter()
            answer = await c.post("/examine", data=fields, files={"photos": path.read_bytes()})
            seconds = time.perf_counter() - begin
            right = answer.status_code == 200 and answer.json()["listing_id"] == str(number)
            rows.append({"status": answer.status_code, "right": right, "seconds": round(seconds, 4)})

    async with httpx.AsyncClient(base_url=url, timeout=120, limits=httpx.Limits(max_connections=_CLIENTS)) as c:
        await asyncio.gather(*(client(c) for _ in range(_CLIENTS)))
    return rows


def served(folder: Path, catalog: Path, root: Path) -> dict:
    """Start the service, warm it up, load it, stop it."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    (root / "service.toml").write_text('signals = ["design"]\n[service]\nrate = 0\n')
    command = [sys.executable, "-m", "imgmatch.apps.cli", "serve", "--catalog", catalog, "--port", str(port)]
    process = subprocess.Popen([*command, "--config", root / "service.toml"])
    url, paths = f"http://127.0.0.1:{port}", sorted(folder.iterdir())
    try:
        end = time.monotonic() + 120
        while True:
            try:
                httpx.get(f"{url}/healthz")
                break
            except httpx.TransportError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(0.2)
        asyncio.run(load(url, paths[:_CLIENTS]))
        begin = time.perf_counter()
        rows = asyncio.run(load(url, paths))
        return {"seconds": time.perf_counter() - begin, "rows": rows}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="Folder of the real photos.")
    parser.add_argument("--most", type=int, default=640, help="Photos to send.")
    options = parser.parse_args()
    data = shared_data(options.data)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folder = root / "photos"
        folder.mkdir()
        paths = [p for name in ("distractors", "adidas_products") for p in sorted((data / name).rglob("*"))]
        for number, path in enumerate([p for p in paths if p.suffix.lower() in PHOTOS][: options.most]):
            shutil.copy(path, folder / f"{number:05d}{path.suffix}")
        measured("catalog", folder, root / "catalog", MODEL)
        runtime, cores = "onnx" if onnx.preferred(MODEL) else "torch", len(os.sched_getaffinity(0))

        def bare_loop() -> float:
            told = measured("bare", folder, runtime, cores, cores, 32, 0, MODEL)
            return told["photos"] / told["seconds"]

        before = bare_loop()
        result = served(folder, root / "catalog", root)
        after = bare_loop()
    rows, bare = result["rows"], (before + after) / 2
    rate = len(rows) / result["seconds"]
    write_raw("service_load", [{"clients": _CLIENTS, "bare": [before, after], **result, **environment()}])
    seconds = np.array([row["seconds"] for row in rows])
    print(f"bare loop: {before:.1f} before, {after:.1f} after, images/s")
    print(f"service, {_CLIENTS} clients: {rate:.1f} requests/s with one photo each, {rate / bare:.2f} of the bare loop")
    print(f"latency: median {np.median(seconds):.2f} s, p95 {np.quantile(seconds, 0.95):.2f} s, most {seconds.max():.2f} s")
    wrong = sum(not row["right"] for row in rows)
    print(f"answers: {dict(Counter(row['status'] for row in rows))}, wrong or refused {wrong} of {len(rows)}")


if __name__ == "__main__":
    main()
