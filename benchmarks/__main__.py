"""Run every suite, raw results first, then the scores, then the table of the README.

    python -m benchmarks                     # all of it; a suite whose raw results are up to date is not run again
    python -m benchmarks retrieval peers     # some suites
    python -m benchmarks --table             # the table alone, from the raw results that exist
    python -m benchmarks --smoke             # the same code on a handful of photos; figures mean nothing

Raw results are up to date where they were made by this code (commit and changes of imgmatch, weights and benchmarks), these
photos and the same command lines; a stamp beside them says so. What cannot run here is named with the reason. The table goes
to benchmarks/results/table.md, what the suites printed to out/bench. Exit code 1 if a suite failed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
COUNTED = ("imgmatch", "weights", "benchmarks/*.py", "benchmarks/peers", "benchmarks/labels")
ICONS = REPO / "out" / "simple-icons" / "package"


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite: the command lines that write its raw results, the one that scores them, and what it needs.

    In a command line ``DATA``, ``RAW`` and ``OUT`` stand for the folders of photos, raw results and scratch files.
    """

    run: tuple[str, ...]
    score: str
    smoke: tuple[str, ...] | str
    """Its command lines in a smoke run, or why it has none."""
    smoke_score: bool = True
    photos: bool = True
    modules: tuple[str, ...] = ()
    """Packages that it needs beside the project's own."""
    folder: Path | None = None
    """A folder that it needs, fetched as `hint` says."""
    hint: str = ""


SUITES = {
    "retrieval": Suite(("retrieval run --data DATA",), "retrieval score", ("retrieval run --data DATA",)),
    "open_set": Suite(("open_set run --data DATA",), "open_set score", ("open_set run --data DATA",)),
    "copy": Suite(
        (
            *(f"copy_detection run --split {s} --data DATA --cache OUT/copy" for s in ("dev", "test")),
            "copy_detection cost --data DATA --cache OUT/copy",
        ),
        "copy_detection score",
        tuple(f"copy_detection run --split {s} --data DATA --cache OUT/copy" for s in ("dev", "test")),
    ),
    "marks": Suite(
        ("marks read", "marks letters", "marks logos", "marks compare"),
        "marks score",
        ("marks read", "marks letters --genuine 4 --each 2", "marks logos", "marks compare"),
        modules=("rapidocr", "rendercv_fonts"),
    ),
    "figures": Suite(
        (f"figures icons {ICONS}", "figures photos"),
        "figures score",
        "needs the icons of an npm package; its code is run by tests/test_logo.py",
        folder=ICONS,
        hint="in out/simple-icons: npm pack simple-icons && tar xzf simple-icons-*.tgz",
        modules=("resvg_py",),
    ),
    "discrepancy": Suite(
        (
            *(f"discrepancy run --split {s} --data DATA" for s in ("dev", "test")),
            *(f"discrepancy world --split {s}" for s in ("dev", "test")),
            "discrepancy angles --data DATA",
        ),
        "discrepancy score",
        tuple(f"discrepancy run --split {s} --data DATA" for s in ("dev", "test")),
        smoke_score=False,  # it needs the rendered world too, which takes minutes
    ),
    "mismatch": Suite(("mismatch run --data DATA",), "mismatch score", ("mismatch run --data DATA",)),
    "rings": Suite(("rings --out RAW/rings.json",), "", ("rings --sizes 400 --out RAW/rings.json",), photos=False),
    "verdicts": Suite(
        ("verdicts run",),
        "verdicts score",
        ("verdicts run test-1 test-2 --limit 8",),
        photos=False,
        modules=("rapidocr",),
    ),
    "peers": Suite(
        ("peers accuracy run --data DATA",),
        "peers accuracy score",
        ("peers accuracy run --data DATA --only pdq --only phash --only cosine",),
    ),
    "speed": Suite(("peers speed run --data DATA",), "peers speed score", "its environments take 6 GB"),
    "throughput": Suite(
        ("throughput --data DATA", "throughput --data DATA --architecture ViT-B-32 --limit 600 --tune 100 --memory"),
        "",
        "a handful of photos says nothing of speed",
    ),
    "runtimes": Suite(("runtimes --data DATA",), "", "a handful of photos says nothing of speed"),
    "index_scale": Suite(("index_scale --data DATA",), "", "a small index says nothing of a large one"),
    "service": Suite(("service_load --data DATA",), "", "a handful of photos says nothing of speed"),
    "adversarial": Suite(
        ("adversarial run --data DATA",), "adversarial score", ("adversarial run --data DATA --queries 1",)
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--data", type=Path, default=REPO.parent / "shared" / "data", help="folder of the real photos")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--again", action="store_true", help="run suites whose raw results are up to date as well")
    parser.add_argument("--smoke", action="store_true", help="a handful of photos, results thrown away")
    options = parser.parse_args()
    unknown = set(options.suites) - set(SUITES)
    if unknown:
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    names = options.suites or list(SUITES)
    if not options.smoke:
        return bench(names, options.data, run=not options.table, again=options.again, smoke=False)
    with tempfile.TemporaryDirectory(prefix="imgmatch-bench-") as temporary:
        os.environ["IMGMATCH_BENCH"] = temporary  # where benchmarks.common of this and every other process looks
        data = Path(temporary, "data")
        if options.data.is_dir():
            from benchmarks.thin import thin

            thin(options.data, data)
        return bench(names, data, run=not options.table, again=False, smoke=True)


def bench(names: list[str], data: Path, *, run: bool, again: bool, smoke: bool) -> int:
    """Run what is not up to date, score, print the table; return 1 if a suite failed."""
    from benchmarks.common import OUT, RAW, environment
    from benchmarks.table import ROWS

    logs = OUT / "bench"
    logs.mkdir(parents=True, exist_ok=True)
    RAW.mkdir(parents=True, exist_ok=True)
    places = {"DATA": str(data), "RAW": str(RAW), "OUT": str(OUT)}
    failed, skipped, lines = [], {}, []
    for name in names:
        suite = SUITES[name]
        lacking = _lacking(suite, data) or (suite.smoke if smoke and isinstance(suite.smoke, str) else "")
        stamp = RAW / f"{name}.stamp.json"
        if lacking and run:
            skipped[name] = lacking
            print(f"\n== {name}: SKIPPED: {lacking}", flush=True)
            continue
        try:
            if run:
                state = {"inputs": _inputs(suite, data), "git": environment()["git"]}
                kept = json.loads(stamp.read_text("utf-8")) if stamp.is_file() else {}
                if kept.get("inputs") == state["inputs"] and not again:
                    print(f"\n== {name}: raw results of {kept['git'][:12]} are up to date", flush=True)
                else:
                    stamp.unlink(missing_ok=True)
                    print(f"\n== {name}", flush=True)
                    for command in suite.smoke if smoke else suite.run:
                        _call(command, places, logs / f"{name}.log")
                    stamp.write_text(json.dumps(state), "utf-8")
                if suite.score and (suite.smoke_score or not smoke):
                    print(_call(suite.score, places, logs / f"{name}.txt"), flush=True)
            for what, result, against in ROWS[name]():
                lines.append(f"| {what} | {result} | {against} | `python -m benchmarks {name}` |")
        except (Exception, SystemExit) as error:  # a suite that fails costs its own rows
            failed.append(name)
            print(f"== {name}: FAILED: {error!r}", flush=True)
    table = "\n".join(["| what | result | held against | command |", "| --- | --- | --- | --- |", *lines])
    print(f"\n{table}\n\nwhere: {json.dumps(environment())}")
    for name, reason in skipped.items():
        print(f"not run: {name}: {reason}")
    if not smoke:
        (RAW.parent / "table.md").write_text(f"{table}\n\n{json.dumps(environment())}\n", "utf-8")
    print(f"failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _lacking(suite: Suite, data: Path) -> str:
    """Return what a suite needs and does not have, or nothing."""
    if suite.photos and not data.is_dir():
        return f"the real photos are not at {data}"
    if suite.folder and not suite.folder.is_dir():
        return f"{suite.folder} is missing; {suite.hint}"
    for module in suite.modules:
        if importlib.util.find_spec(module) is None:
            return f"the package {module} is not installed; pip install -e .[bench]"
    return ""


def _inputs(suite: Suite, data: Path) -> str:
    """Return a hash of the code, the command lines and the photos' names and sizes."""
    digest = hashlib.sha256(repr((suite.run, suite.score)).encode())
    for command in (("ls-files", "-s"), ("diff", "HEAD"), ("ls-files", "-o", "--exclude-standard")):
        done = subprocess.run(["git", *command, "--", *COUNTED], cwd=REPO, capture_output=True, check=False)
        digest.update(done.stdout)
    if suite.photos:
        for path in sorted(p for p in data.rglob("*") if p.is_file()):
            digest.update(f"{path.relative_to(data)} {path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _call(command: str, places: dict[str, str], log: Path) -> str:
    """Run one command line of a suite; return what it printed, kept in `log` too."""
    words = [_filled(word, places) for word in command.split(" ")]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{words[0]}", *words[1:]], cwd=REPO, capture_output=True, text=True
    )
    log.write_text(done.stdout + done.stderr, "utf-8")
    print(f"   {command}: {time.perf_counter() - start:.0f} s", flush=True)
    if done.returncode:
        raise RuntimeError(f"{command}: exit {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout


def _filled(word: str, places: dict[str, str]) -> str:
    head, slash, rest = word.partition("/")
    return places.get(head, head) + slash + rest


if __name__ == "__main__":
    sys.exit(main())
