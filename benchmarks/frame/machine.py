"""Measure other processes: with a cache of their own, the processor time they spend and the memory they hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.frame.data import REPO

__all__ = ["CLI", "ONE_THREAD", "call", "clocked", "family", "held", "own_cache", "run", "spent"]

CLI = (sys.executable, "-m", "imgmatch.apps.cli")
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}


def own_cache(folder: Path) -> dict[str, str]:
    """Return the environment of a process whose cache is `folder`; the weights are those of this process."""
    from imgmatch.encoders.store import cache_dir

    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "weights").exists():
        (folder / "weights").symlink_to(cache_dir() / "weights")
    return {**os.environ, "IMGMATCH_CACHE": str(folder)}


def run(command: Sequence[object], environ: dict[str, str], cwd: Path | None = None) -> str:
    """Run a command to its end and return what it printed; ValueError with its last words where it failed."""
    told = list(map(str, command))
    done = subprocess.run(told, env=environ, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{' '.join(told[1:5])}: exit {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def call(work: Callable[[Any], Any], task: Any, environ: dict[str, str], code: Path = REPO) -> Any:
    """Return what a function of a suite makes of a task, in a process of its own that imports the library from `code`."""
    name = work.__name__
    program = f"import json, sys; from {work.__module__} import {name}; print(json.dumps({name}(json.loads(sys.argv[1]))))"
    environ = {**environ, "PYTHONPATH": os.pathsep.join(map(str, (code, REPO)))}
    return json.loads(run([sys.executable, "-c", program, json.dumps(task)], environ, cwd=code).splitlines()[-1])


def clocked(work: Callable[[], object]) -> dict[str, float]:
    """Return wall and processor seconds of some work in this process."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor}


def family(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    yield pid
    try:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
    except OSError:  # gone
        return
    for child in below:
        yield from family(int(child))


def held(pid: int) -> int:
    """Return the proportional set size in bytes of a process and those below it: what they share counts once."""
    total = 0
    for one in family(pid):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text("utf-8").splitlines()
        except OSError:  # gone
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def spent(pid: int) -> float:
    """Return processor seconds of a running process and those below it, with the children they have waited for."""
    ticks = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text("utf-8").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
