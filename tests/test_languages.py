"""Every message that people read has a translation into every language, with the same placeholders; none is left over."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import imgmatch
from imgmatch.messages import language, languages

PACKAGE = Path(imgmatch.__file__).parent
FOUND = {
    str(message)
    for _, _, message, *_ in extract_from_dir(
        PACKAGE,
        method_map=[("**.py", "python"), ("investigate/report/*.html", "jinja2")],
        options_map={"investigate/report/*.html": {"trimmed": "true"}},
        keywords={"Message": None, "gettext": None, "_": None},
    )
}
OTHERS = [code for code in languages() if code != "en"]


def placeholders(text: str) -> set[tuple[str, str]]:
    """Return name and format of each placeholder, ``{share:.0%}`` or ``%(n)s``."""
    named = {(name, spec or "") for _, name, spec, _ in string.Formatter().parse(text) if name is not None}
    return named | {(name, kind) for name, kind in re.findall(r"%\((\w+)\)(\w)", text)}


@pytest.mark.parametrize("code", OTHERS)
def test_every_message_is_translated_and_nothing_else(code: str) -> None:
    with open(PACKAGE / "locale" / f"{code}.po", "rb") as f:
        said = {str(m.id): m for m in read_po(f, locale=code) if m.id}
    assert len(FOUND) > 400
    assert sorted(FOUND - set(said)) == [], "run `make messages` and translate these"
    assert sorted(set(said) - FOUND) == [], "run `make messages`: these are said nowhere"
    assert [m.id for m in said.values() if not m.string or m.fuzzy] == []
    assert [(i, m.string) for i, m in said.items() if placeholders(i) != placeholders(str(m.string))] == []
    assert set(language(code).templates) == set(said)


def test_the_test_knows_a_placeholder_that_is_lost() -> None:
    assert placeholders("a {b} {c:.0%} %(d)s") == {("b", ""), ("c", ".0%"), ("d", "s")}
    assert placeholders("{b:,}") != placeholders("{b}")


def templates(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Message" and node.args:
            yield node


def test_a_template_is_written_where_the_message_is_made() -> None:
    """So that it is found: a text, or one of a table of texts that are written so (``Message("…").id``)."""
    wrong = [
        f"{path.name}:{call.lineno}"
        for path in PACKAGE.rglob("*.py")
        for call in templates(path)
        if not isinstance(call.args[0], (ast.Constant, ast.Subscript))
    ]
    assert wrong == [next(w for w in wrong if w.startswith("words.py"))]  # of a record's own names, see `words.term`


@pytest.mark.parametrize("code", OTHERS)
def test_no_language_says_what_may_not_be_said(code: str) -> None:
    for text in language(code).templates.values():
        assert not re.search(r"是假货|为假货|确认为假|已证实|系假冒", text.replace("并非商品为假货的概率", "")), text
