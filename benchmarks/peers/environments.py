"""Environments of the peers: made once per set of pins under out/peers, with the reason kept where one cannot be made."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.frame.data import REPO

__all__ = ["ADAPTERS", "HOME", "PeerError", "call", "install", "mobilenet_v2", "pins"]

HOME = REPO / "out" / "peers"
ADAPTERS = Path(__file__).parent / "adapters"
_HEAD = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")  # as PEP 723 gives it


class PeerError(ValueError):
    """A peer that cannot be installed or run here; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Pins:
    """What an adapter needs."""

    python: tuple[int, int]
    requirements: tuple[str, ...]


def pins(peer: str) -> Pins:
    """Return what the head of an adapter asks for."""
    known = sorted(p.stem for p in ADAPTERS.glob("*.py") if p.stem != "__init__")
    if peer not in known:
        raise PeerError(f"no peer {peer!r}; there are {', '.join(known)}")
    head = _HEAD.search((ADAPTERS / f"{peer}.py").read_text("utf-8"))
    if head is None:
        raise PeerError(f"{peer}: its adapter has no PEP 723 head")
    fields = dict(line[2:].split(" = ", 1) for line in head["content"].splitlines())
    least = re.search(r"(\d+)\.(\d+)", fields.get("requires-python", ">=3.10"))
    assert least is not None
    return Pins((int(least[1]), int(least[2])), tuple(json.loads(fields["dependencies"])))


def install(peer: str) -> Path:
    """Return the Python of a peer's environment, making it where it is missing or its pins have changed.

    Raises
    ------
    PeerError
        With pip's own last words. The reason is kept, so that the next run does not try again before the pins change.
    """
    wanted, home = pins(peer), HOME / peer
    python, stamp = home / "bin" / "python", home / "pins.json"
    state = {"requirements": list(wanted.requirements), "python": list(sys.version_info[:2])}
    if stamp.is_file() and (kept := json.loads(stamp.read_text("utf-8"))) and kept["asked"] == state:
        if kept["failed"]:
            raise PeerError(kept["failed"])
        return python
    if sys.version_info[:2] < wanted.python:
        raise PeerError(f"needs Python {wanted.python[0]}.{wanted.python[1]}, this is {sys.version.split()[0]}")
    print(f"{peer}: installing {', '.join(wanted.requirements)}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
    command = [str(python), "-m", "pip", "install", "-q", *wanted.requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines() or ["?"]
    failed = said[-1] if done.returncode else ""
    frozen = subprocess.run([str(python), "-m", "pip", "freeze"], capture_output=True, text=True, check=False).stdout
    stamp.write_text(json.dumps({"asked": state, "failed": failed, "versions": frozen.split()}, indent=1), "utf-8")
    if failed:
        raise PeerError(failed)
    return python


def call(peer: str, job: dict[str, Any], work: Path) -> list[dict[str, Any]]:
    """Run an adapter in its environment and return the rows it wrote.

    Raises
    ------
    PeerError
        With the last line of what the peer said.
    """
    python = install(peer)
    asked, answer = work / f"{peer}.job.json", work / f"{peer}.out.jsonl"
    asked.write_text(json.dumps(job), "utf-8")
    # Isolated, so that an adapter named like the package it imports does not import itself.
    command = [str(python), "-I", str(ADAPTERS / f"{peer}.py"), str(asked), str(answer)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerError(f"exit {done.returncode}: " + "; ".join(done.stderr.strip().splitlines()[-3:]))
    return [json.loads(line) for line in answer.read_text("utf-8").splitlines()]


def mobilenet_v2() -> Path:
    """Return torchvision's tensors of our mobilenet-v2 as a file that any torch reads, for peers that take weights."""
    import torch

    from imgmatch.encoders import store

    file = HOME / "weights" / "mobilenet_v2.pt"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(store.read_tensors(store.require("mobilenet-v2", None)), file)
    return file
