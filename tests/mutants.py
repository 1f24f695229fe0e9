"""What share of planted faults do the tests find? ``make mutants``, or ``python -m tests.mutants decide seal``.

Cosmic Ray lists every small change of a module that it knows; at a seeded sample of places one is tried, in a copy of the
tree, and a mutant is killed where the tests named for its module fail. One whose tests do not end in several times the time
that they need without it counts as killed too, and is named: a loop without end, or a machine that was busy. Changes of
annotations, which are never evaluated here, are left out. Mutants that change nothing anybody could see are listed with the
reason in ``mutants_equivalent.toml`` and do not count.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, TestOutcome

from imgmatch.metrics import wilson_interval

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPO = Path(__file__).resolve().parent.parent
EQUIVALENT = Path(__file__).with_name("mutants_equivalent.toml")
SAMPLE = 60
SLOWER = 5.0  # times as long as without a mutant is a loop without end

MODULES = {
    "decide": ("verdicts/decide.py", "test_fusion.py"),
    "rules": ("verdicts/rules.py", "test_fusion.py test_claim.py"),
    "manifest": ("catalog/manifest.py", "test_catalog.py test_hostile_catalogs.py"),
    "seal": ("investigate/case/seal.py", "test_case.py"),
    "background": ("catalog/likeness.py", "test_signals_design.py"),
    "design": ("signals/design/signal.py", "test_signals_design.py"),
    "copy": ("signals/copy/signal.py", "test_signals_copy.py"),
    "matcher": ("matcher.py", "test_matcher.py test_front_door.py::test_misuse_is_refused_with_a_sentence"),
    "scan": ("scan/run.py", "test_scan.py"),
    "rings": ("investigate/rings/find.py", "test_rings.py"),
}
"""By name: the file under ``imgmatch/``, and the tests that are to find what is wrong with it."""


def mutations(path: Path, work: Path) -> list[MutationSpec]:
    """Return all mutations of a file but those of annotations, in an order that does not change."""
    inside = [
        (part.lineno, part.col_offset, part.end_lineno or part.lineno, part.end_col_offset or 0)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if isinstance(part, ast.expr)
    ]
    database = WorkDB(work, WorkDB.Mode.create)
    init([path], database, {})
    found = [item.mutations[0] for item in database.work_items]
    database.close()
    return sorted(
        (m for m in found if not any(a[:2] <= m.start_pos and m.end_pos <= a[2:] for a in inside)),
        key=lambda m: (m.operator_name, m.occurrence),
    )


def one_a_place(every: list[MutationSpec], sample: int, rng: random.Random) -> list[MutationSpec]:
    """Choose places at random and one mutant at each: an operator with twelve replacements counts once."""
    places: dict[tuple[int, int], list[MutationSpec]] = {}
    for mutation in every:
        places.setdefault(mutation.start_pos, []).append(mutation)
    return [rng.choice(places[place]) for place in rng.sample(sorted(places), min(sample, len(places)))]


def changed_lines(diff: str) -> tuple[str, str]:
    """Return what a diff takes out and puts in."""
    rows = [row for row in diff.splitlines() if not row.startswith(("---", "+++"))]
    was, becomes = (" ".join(row[1:].strip() for row in rows if row.startswith(sign)) for sign in "-+")
    return was, becomes


def tried_mutants(name: str, sample: int, seed: int, work: Path) -> Iterator[tuple[str, MutationSpec, tuple[str, str]]]:
    """Try a sample of the mutants of a module; yield what became of each, which it is, and how its line changes."""
    file, tests = MODULES[name]
    path = Path("imgmatch") / file
    command = f"{sys.executable} -m pytest -q -x -p no:cacheprovider " + " ".join(f"tests/{t}" for t in tests.split())
    start = time.monotonic()
    outcome, said = run_tests(command, None)
    if outcome is not TestOutcome.SURVIVED:
        raise SystemExit(f"{name}: its tests fail without any mutant:\n{said}")
    limit = SLOWER * (time.monotonic() - start)
    for mutation in one_a_place(mutations(path, work), sample, random.Random(seed)):
        result = mutate_and_test([mutation], command, limit)
        if result.diff:
            became = "survived" if not result.is_killed else "ran out of time" if result.output == "timeout" else "killed"
            yield became, mutation, changed_lines(result.diff)


def report(name: str, sample: int, seed: int, work: Path) -> None:
    """Print the mutants of a module that survived, and the share that was killed with its interval."""
    equivalent = {(e["module"], e["was"], e["becomes"]) for e in tomllib.loads(EQUIVALENT.read_text("utf-8"))["equivalent"]}
    start, killed, tried, same = time.monotonic(), 0, 0, 0
    for became, mutation, lines in tried_mutants(name, sample, seed, work):
        if became == "survived" and (name, *lines) in equivalent:
            same += 1
            continue
        tried, killed = tried + 1, killed + (became != "survived")
        if became != "killed":
            print(
                f"  {became} {mutation.module_path}:{mutation.start_pos[0]}\n    - {lines[0]}\n    + {lines[1]}", flush=True
            )
    low, high = wilson_interval(killed, tried)
    share = f"{killed / tried:.3f} ({low:.3f} to {high:.3f})" if tried else "none tried"
    print(f"{name}: {killed} of {tried} killed, {share}; {same} equivalent; {time.monotonic() - start:.0f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("modules", nargs="*", choices=[[], *MODULES], help="default: all")
    parser.add_argument("--sample", type=int, default=SAMPLE, help="mutants of each module")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="imgmatch-mutants-") as folder:
        tree = Path(folder)
        for part in ("imgmatch", "tests", "benchmarks", "weights", "examples"):
            shutil.copytree(REPO / part, tree / part, ignore=shutil.ignore_patterns("__pycache__", "results"))
        shutil.copy(REPO / "setup.cfg", tree)
        (tree / "imgmatch" / "weights").symlink_to(tree / "weights")
        os.chdir(tree)  # what is named relatively is the copy's
        for name in options.modules or MODULES:
            report(name, options.sample, options.seed, tree / f"{name}.sqlite")


if __name__ == "__main__":
    main()
