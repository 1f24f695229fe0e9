"""Numeric constants of the rooms that decide, and where each says that it comes from.

    python -m benchmarks constants          # the count by room, and those that name no source

A constant is a number that is assigned to a name of a module or is the default of a field, and a number inside a function
that is none of the plain ones (:data:`PLAIN`). It names its source where what is said about it names a suite, a paper, a
standard or a page: the comment or string beside it; of a field, its entry in the class's docstring; inside a function, the
function's docstring. All others are guesses, whether they say so or not, and those beside which "guess" stands;
`benchmarks/guesses.json` holds how many there may be, and that only goes down.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.frame.data import REPO

__all__ = ["LIMITS", "PLAIN", "ROOMS", "Constant", "constants", "show"]

ROOMS = ("signals", "vision", "market", "verdicts")
LIMITS = REPO / "benchmarks" / "guesses.json"
PLAIN = frozenset(
    {-1, 0, 1, 2, 3, 4, 8, 10, 16, 32, 64, 100, 127, 128, 180, 255, 256, 360, 512, 1000, 1024, 0.5, 0.25, 1e-6, 1e-9, 1e-12}
)
"""Numbers that count, halve, name bytes, angles or the smallest float: they were set by nobody."""
_SOURCE = re.compile(
    r"benchmarks|weights/|fit_|arXiv|https?://|doi|\b(?:19|20)\d\d\b|\bITU\b|\bISO\b|\bRFC\b|\bW3C\b|Unicode|PDQ|PP-OCR|"
    r"as measured|measured (?:on|in|by|at|with)\b|dev half|on dev|\(dev\)|settings? chosen on",
)
_GUESS = re.compile(r"\bguess")
_LINES = 3  # above a constant that may be about it


@dataclass(frozen=True, slots=True)
class Constant:
    """A number in the code: where it is, what it is called, and whether the lines about it name a source."""

    room: str
    place: str
    name: str
    value: float
    sourced: bool


def constants(package: Path = REPO / "imgmatch") -> Iterator[Constant]:
    """Yield the numeric constants of the rooms, in the order of the files."""
    for room in ROOMS:
        for file in sorted((package / room).rglob("*.py")):
            source = file.read_text("utf-8")
            yield from _of(ast.parse(source), source.splitlines(), room, str(file.relative_to(package.parent)))


def show() -> int:
    """Print the guesses and the count by room."""
    every = list(constants())
    for c in every:
        if not c.sourced:
            print(f"{c.place}: {c.name} = {c.value:g}")
    limits = json.loads(LIMITS.read_text("utf-8"))
    for room in ROOMS:
        mine = [c for c in every if c.room == room]
        guesses = sum(not c.sourced for c in mine)
        print(f"{room}: {len(mine)} constants, {guesses} without a source (at most {limits[room]})")
    return 0


def _of(tree: ast.AST, lines: list[str], room: str, file: str) -> Iterator[Constant]:
    def walk(node: ast.AST, name: str, about: str, inside: bool) -> Iterator[Constant]:
        if isinstance(node, ast.Compare) and ast.unparse(node.left) == "sys.version_info":
            return
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            about, name = ast.get_docstring(node) or "", node.name
            inside = inside or not isinstance(node, ast.ClassDef)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and not inside:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name = ast.unparse(target)
            about = _entry(about, name)
            about = about + "\n" + "\n".join(_beside(lines, node.end_lineno or node.lineno))  # below a table of numbers
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
            # A name or field is a constant whatever its value; inside a function plain numbers are not.
            if (name and not inside) or node.value not in PLAIN:
                beside = "\n".join(_beside(lines, node.lineno))
                sourced = bool(_SOURCE.search(about + "\n" + beside)) and not _GUESS.search(beside)
                yield Constant(room, f"{file}:{node.lineno}", name, float(node.value), sourced)
            return
        for child in ast.iter_child_nodes(node):
            yield from walk(child, name, about, inside)

    yield from walk(tree, "", "", False)


def _entry(docstring: str, name: str) -> str:
    """Return what a NumPy docstring says of one parameter or attribute."""
    said = re.search(rf"(?ms)^{re.escape(name)} :.*?(?=^\S|\Z)", docstring)
    return said[0] if said else ""


def _beside(lines: list[str], number: int) -> list[str]:
    """Return what is said on a line, the comments right above it and the string or comment right below it."""
    at = number - 1
    found = [lines[at].partition("#")[2]]  # of the line its comment alone: 2000 in code names no year
    for line in reversed(lines[max(0, at - _LINES) : at]):
        if not line.strip().startswith("#"):
            break
        found.append(line)
    for line in lines[at + 1 : at + 1 + _LINES]:
        if not line.strip().startswith(("#", '"""')) and found[-1].count('"""') != 1:
            break
        found.append(line)
    return found
