"""Raw results: one compressed file for each suite, data set and encoder, whose first line says what it rests on."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import lzma
import os
import platform
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.frame.data import REPO

__all__ = ["RESULTS", "changed", "code_hash", "environment", "kind", "parts", "read", "write"]

RESULTS = REPO / "benchmarks" / "results"
_ROWS = {f"benchmarks/frame/{name}.py" for name in ("data", "job", "machine")}
"""What of the frame decides which rows there are, and what is in them."""
_DECIDES = ("imgmatch", "weights", "benchmarks/*.py", "benchmarks/*/*.py", "benchmarks/labels")  # what rows come from
_PACKAGES = ("torch", "torchvision", "numpy", "faiss-cpu", "pillow", "opencv-python-headless", "rapidocr", "onnxruntime")


def write(file: Path, head: dict[str, Any], rows: Iterable[dict[str, Any]]) -> Path:
    """Write the rows of one run; the head gets the code loaded by now and, where it lacks it, the environment."""
    kept = [json.dumps(row, ensure_ascii=False, default=float) for row in rows]
    head = {**environment(), **head, "code": _loaded(), "rows": len(kept)}
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".part")
    with lzma.open(beside, "wt", encoding="utf-8", preset=9) as f:
        f.write("\n".join([json.dumps(head, ensure_ascii=False), *kept]) + "\n")
    beside.replace(file)
    return file


def read(file: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return head and rows of a raw file.

    Raises
    ------
    ValueError
        Naming the file, where it is not one.
    """
    try:
        with lzma.open(file, "rt", encoding="utf-8") as f:
            head, *rows = map(json.loads, f)
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        raise ValueError(f"{file}: cannot be read as raw results: {error}") from error
    if not isinstance(head, dict) or not {"data", "commit", "made", "clean", "code"} <= head.keys():
        raise ValueError(f"{file}: its first line does not say what the rows rest on")
    return head, rows


def parts(suite: str, results: Path = RESULTS) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield what there is of a suite, data set by data set."""
    for file in sorted((results / suite).glob("*.jsonl.xz")):
        yield read(file)


def kind(head: dict[str, Any]) -> str:
    """Return what a reader must know of the photos before a figure on them means anything."""
    return "rendered" if head["rendered"] else "locked part" if head["locked"] else "seen" if head["seen"] else "real"


def changed(head: dict[str, Any]) -> list[str]:
    """Return the files whose code is not what these results were made with.

    Comments and docstrings do not count, nor do the parts of the frame that score and print, nor readers of other data sets.
    """
    read = {f"benchmarks/datasets/{name}.py" for name in ("shared", "rendered", "manifest", head["data"])}

    def changes_rows(name: str) -> bool:
        if name.startswith("benchmarks/datasets/"):
            return name in read
        return name in _ROWS if name.startswith("benchmarks/frame/") else name != "benchmarks/__main__.py"

    return [name for name in head["code"] if changes_rows(name) and code_hash(REPO / name) != head["code"][name]]


def code_hash(file: Path) -> str:
    """12 hex digits over what a file does: of Python its tokens without comments and docstrings, else its bytes."""
    if not file.is_file():
        return "gone"
    data = file.read_bytes()
    return _python_hash(data) if file.suffix == ".py" else hashlib.sha256(data).hexdigest()[:12]


@lru_cache(maxsize=1000)  # each raw file asks for the same two hundred
def _python_hash(data: bytes) -> str:
    digest, line = hashlib.sha256(), []
    for token in tokenize.tokenize(io.BytesIO(data).readline):
        if token.type in (tokenize.INDENT, tokenize.DEDENT):
            digest.update(b"<" if token.type == tokenize.DEDENT else b">")
        elif token.type == tokenize.NEWLINE:
            if [t.type for t in line] != [tokenize.STRING]:  # a string alone on a line is a docstring
                digest.update("".join(t.string for t in line).encode() + b";")
            line = []
        elif token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.ENCODING):
            line.append(token)
    return digest.hexdigest()[:12]


def environment() -> dict[str, Any]:
    """Return what a result must be read with: commit, clean tree, versions, processor, threads."""
    torch = sys.modules.get("torch")
    return {
        "commit": _git("rev-parse", "HEAD"),
        "clean": not _git("status", "--porcelain", "-uno", "--", *_DECIDES),
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": {n: v for n in _PACKAGES if (v := _version(n))},
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads() if torch else None,
    }


def _loaded() -> dict[str, str]:
    """Hash the files of this project that the run has loaded, the tables that ship, and the labels made by hand."""
    files = {Path(f) for m in list(sys.modules.values()) if (f := getattr(m, "__file__", None))}
    mine = [f for f in files if f.is_relative_to(REPO) and f.suffix == ".py" and ".venv" not in f.parts]
    mine = [f for f in mine if f.relative_to(REPO).parts[0] in ("imgmatch", "benchmarks")]
    tables = [*(REPO / "weights").glob("*.toml"), *(REPO / "weights").glob("*.json"), *(REPO / "imgmatch").rglob("*.toml")]
    tables += (REPO / "benchmarks" / "labels").glob("*.csv")
    return {str(f.relative_to(REPO)): code_hash(f) for f in sorted([*mine, *tables]) if f.is_file()}


def table(file: Path) -> list[dict[str, str]]:
    """Read a CSV table with a head."""
    with open(file, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=REPO, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            return next(line.split(":")[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
