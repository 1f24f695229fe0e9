"""Every number that decides names its source, or is counted as a guess; what was tuned on which data is written down."""

from __future__ import annotations

import ast
import csv
import json
import re
from pathlib import Path

import pytest

from benchmarks.frame import constants, job
from benchmarks.frame.data import REPO

NAMED = re.compile(r"benchmarks/(\w+)\.py(?!`*[ \n]at [0-9a-f]{7})|-m benchmarks (\w+)")
TUNED = sorted((REPO / "benchmarks" / "tuned").glob("*.csv"))


@pytest.mark.parametrize("room", constants.ROOMS)
def test_guesses_only_become_fewer(room: str) -> None:
    guesses = [c for c in constants.constants() if c.room == room and not c.sourced]
    limit = json.loads(constants.LIMITS.read_text("utf-8"))[room]
    assert len(guesses) <= limit, f"{len(guesses)} of {limit}: name the suite, paper or page that set the new one"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("LIMIT = 0.7\n", [("LIMIT", 0.7, False)]),
        ("LIMIT = 0.7  # dev half of benchmarks/copies.py\n", [("LIMIT", 0.7, True)]),
        ("# Lowe, IJCV 2004\nLIMIT = 0.7\n", [("LIMIT", 0.7, True)]),
        ('LIMIT = 0.7\n"""Set by ``python -m benchmarks copies``."""\n', [("LIMIT", 0.7, True)]),
        ("LIMIT = 0.7  # our guess\n", [("LIMIT", 0.7, False)]),
        ("def f(x):\n    return x > 0.37 or x < 0\n", [("f", 0.37, False)]),
        ('def f(x):\n    """Otsu 1979."""\n    return x > 0.37\n', [("f", 0.37, True)]),
        ("class C:\n    a: int = 3\n    b: bool = True\n", [("a", 3.0, False)]),
        ("NAME = 'x'\n", []),
        ("LIMIT = 2000\n", [("LIMIT", 2000.0, False)]),
        ("LIMIT = 0.7  # Lowe 2004 has 0.8; a guess\n", [("LIMIT", 0.7, False)]),
        ("LIMIT = 7  # photos on which scores are measured\n", [("LIMIT", 7.0, False)]),
        (
            'class C:\n    """Settings.\n\n    a : int\n        Ours.\n    b : int\n        By ``benchmarks/copies.py``.\n'
            '    """\n\n    a: int = 3\n    b: int = 4\n',
            [("a", 3.0, False), ("b", 4.0, True)],
        ),
        ('TABLE = (\n    0.7,\n    0.9,\n)\n"""Lowe, IJCV 2004."""\n', [("TABLE", 0.7, True), ("TABLE", 0.9, True)]),
        ("if sys.version_info >= (3, 11):\n    pass\n", []),
    ],
)
def test_a_constant_and_its_source_are_found(code: str, expected: list[tuple[str, float, bool]], tmp_path: Path) -> None:
    file = tmp_path / "imgmatch" / "signals" / "a.py"
    file.parent.mkdir(parents=True)
    file.write_text(code, "utf-8")
    assert [(c.name, c.value, c.sourced) for c in constants.constants(tmp_path / "imgmatch")] == expected


@pytest.mark.parametrize("file", TUNED, ids=lambda p: p.stem)
def test_what_was_tuned_is_what_the_code_has(file: Path) -> None:
    with open(file, encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    assert rows
    for row in rows:
        assert set(row) == {"constant", "value", "data", "part", "set_by"}
        assert all(row.values()), row
        place, _, name = row["constant"].partition("::")
        tree = ast.parse((REPO / "imgmatch" / place).read_text("utf-8"))
        values = [
            ast.literal_eval(node.value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Assign, ast.AnnAssign))
            and node.value is not None
            and ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target) == name
        ]
        assert values, f"{row['constant']} is gone: take its line out"
        assert values[0] == ast.literal_eval(row["value"]), f"{row['constant']}: say what set its new value"


def test_every_suite_that_the_code_or_a_page_names_exists_or_names_its_commit() -> None:
    commands = {*job.SUITES, "table", "stale", "plots", "constants", "datasets", "fetch", "worlds", "fit", "all"}
    pages = [*REPO.glob("*.md"), *(f for r in ("docs", "imgmatch", "weights") for f in (REPO / r).rglob("*"))]
    lost = []
    for file in (f for f in pages if f.suffix in (".py", ".md", ".toml")):
        for found in NAMED.finditer(file.read_text("utf-8")):
            name = found[1] or found[2]
            exists = (REPO / "benchmarks" / f"{name}.py").is_file() if found[1] else name in commands
            lost += [] if exists else [f"{file.relative_to(REPO)}: {found[0]}"]
    assert not lost
