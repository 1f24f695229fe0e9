"""README and docs: every block of Python runs and prints what stands below it, every command line is one that there is."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer.main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return (language, text) of the fenced blocks of a page."""
    return BLOCK.findall(page.read_text("utf-8"))


def programs(page: Path) -> list[tuple[str, str | None]]:
    """Return (code, what is said to be printed) of the blocks of Python."""
    found = blocks(page)
    return [
        (text, found[i + 1][1] if i + 1 < len(found) and found[i + 1][0] == "text" else None)
        for i, (language, text) in enumerate(found)
        if language == "python"
    ]


WITH_CODE = [page for page in PAGES if programs(page)]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_the_python_of_a_page_prints_what_the_page_shows(page: Path) -> None:
    names: dict[str, object] = {}
    for code, shown in programs(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), names)
        if shown is not None:
            assert printed.getvalue().rstrip() == shown.rstrip(), page.name


def test_the_python_of_the_pages_holds_for_a_type_checker(tmp_path: Path) -> None:
    for page in WITH_CODE:
        (tmp_path / f"{page.stem.replace('.', '_')}_snippets.py").write_text("\n".join(code for code, _ in programs(page)))
    command = [sys.executable, "-m", "mypy", "--config-file", "", "--strict", "--follow-imports=silent"]
    done = subprocess.run([*command, "--ignore-missing-imports", str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def command_lines() -> Iterator[tuple[str, str]]:
    """Yield (page, line) of each `imgmatch …` line in a block, its continuation lines joined."""
    for page in [*PAGES, ROOT / "examples" / "investigator_day.sh"]:
        text = page.read_text("utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            match = re.match(r"(?: {4}|\$ )?(imgmatch [a-z].*)", line)
            if match and (line.startswith((" ", "$")) or page.suffix == ".sh"):
                yield page.name, match[1].split("  #")[0].replace("…", "").strip()


def test_the_command_lines_of_the_pages_are_understood() -> None:
    from imgmatch.apps.cli import app

    lines = list(command_lines())
    assert len(lines) > 30
    for page, line in lines:
        args = shlex.split(re.split(r" [|>&] ?| &$", line)[0])[1:]
        command: click.Command = typer.main.get_command(app)
        context = click.Context(command, info_name="imgmatch")
        while isinstance(command, click.Group):
            name, command, args = command.resolve_command(context, args)
            assert command is not None, f"{page}: {line}"
            context = click.Context(command, info_name=name, parent=context)
        try:
            command.make_parser(context).parse_args(list(args))
        except click.UsageError as error:
            pytest.fail(f"{page}: {line}: {error.format_message()}")
