"""What every suite needs: where the photos are, what machine this is, where raw results go."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["OUT", "RAW", "REPO", "SETS", "environment", "read_raw", "shared_data", "wilson", "write_raw"]

REPO = Path(__file__).resolve().parents[1]
_SMOKE = os.environ.get("IMGMATCH_BENCH")  # set by `python -m benchmarks --smoke`: a folder with a few photos
OUT = Path(_SMOKE, "out") if _SMOKE else REPO / "out"
RAW = Path(_SMOKE, "raw") if _SMOKE else REPO / "benchmarks" / "results" / "raw"
"""Raw rankings, scores and times, one JSONL file per suite; scored later, never by the code that made them."""


SETS = (
    "adidas_products",
    "bags_three_brands",
    "distractors",
    "eval_bags_watches",
    "grocery_iconic_vs_photo",
    "seller_reposts",
    "watches_fashion_catalog",
)
"""The folders of product and everyday photos: all but the marks and the hostile files."""


def shared_data(path: str | Path | None = None) -> Path:
    """Return the folder of real photos, or stop with what to do where it is missing."""
    folder = Path(path) if path else Path(_SMOKE, "data") if _SMOKE else REPO.parent / "shared" / "data"
    if not folder.is_dir():
        raise SystemExit(f"the real photos are not at {folder}; give their place with --data")
    return folder


def environment() -> dict[str, Any]:
    """Return what a result must be read with: commit, versions, processor, threads."""
    import torch

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=REPO, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return {
        "git": git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else ""),
        "python": platform.python_version(),
        "versions": {n: metadata.version(n) for n in ("torch", "numpy", "faiss-cpu", "pillow", "opencv-python-headless")},
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
    }


def write_raw(name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write the raw results of a suite, replacing those of its last run."""
    RAW.mkdir(parents=True, exist_ok=True)
    path = RAW / f"{name}.jsonl"
    with open(path, "w", encoding="utf-8") as f:
        for row in rows:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def read_raw(name: str) -> list[dict[str, Any]]:
    """Return the raw results of a suite, or stop with what to run where there are none."""
    path = RAW / f"{name}.jsonl"
    if not path.is_file():
        raise SystemExit(f"no raw results at {path}; run the suite first")
    return [json.loads(line) for line in open(path, encoding="utf-8")]


def wilson(hits: int, n: int) -> str:
    """Return a share with its 95 % interval as text (Wilson, JASA 1927)."""
    if not n:
        return "-"
    z, share = 1.96, hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return f"{share:.3f} [{max(middle - half, 0):.3f}, {min(middle + half, 1):.3f}] of {n}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            return next(line.split(":")[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
