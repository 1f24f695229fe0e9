"""What a reader can hold: the length of files and functions, and how many arguments are told apart by their place alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "imgmatch").rglob("*.py"))

LINES, BODY, POSITIONAL = 400, 60, 6


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring."""
    first = function.body[0]
    described = ast.get_docstring(function) is not None
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    return total - ((first.end_lineno or first.lineno) - first.lineno + 1 if described else 0)


def too_large(path: Path) -> Iterator[str]:
    text = path.read_text("utf-8")
    where = path.relative_to(ROOT)
    if (lines := text.count("\n")) > LINES:
        yield f"{where}: {lines} lines, at most {LINES}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and body_lines(node) > BODY:
            yield f"{where}:{node.lineno}: {node.name} has {body_lines(node)} lines beside its docstring, at most {BODY}"
        # OpenCV names its arguments otherwise from release to release: their places are what it documents.
        if isinstance(node, ast.Call) and len(node.args) > POSITIONAL and not ast.unparse(node.func).startswith("cv2."):
            yield f"{where}:{node.lineno}: a call with {len(node.args)} arguments by place, at most {POSITIONAL}"


def test_the_rule_sees_what_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "large.py"
    body = "\n".join(f"    x = {i}" for i in range(60))
    path.write_text(f'def f():\n    """Doc."""\n{body}\n\n\ng(1, 2, 3, 4, 5, 6, 7)\n' + "\n" * 400)
    assert [line.split(": ")[1].split(",")[0] for line in too_large(path)] == [
        "465 lines",
        "f has 61 lines beside its docstring",
        "a call with 7 arguments by place",
    ]


def test_files_functions_and_calls_stay_small() -> None:
    assert [line for path in FILES for line in too_large(path)] == []
