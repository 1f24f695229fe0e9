"""Every message that people read has a translation into every language, with the same placeholders; none is left over."""

from __future__ import annotations

import ast
import json
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import imgmatch
from imgmatch.config import ImageConfig
from imgmatch.errors import ImageError
from imgmatch.images import load_image, resolve_within
from imgmatch.io.sources import read_listings
from imgmatch.messages import language, languages
from imgmatch.records import Listing, ScanRecord

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


# -- what failed --------------------------------------------------------------------------------------------------------

ROWS = [
    ("t.csv", b"listing_id,photos\n1,a.jpg,b,c\n", "t.csv:2：单元格比表头多 2 个"),
    (
        "t.csv",
        b"listing_id,title\n1,\xff\n2,\xe4\xb8\xad\xe6\x96\x87\xe6\xa0\x87\xe9\xa2\x98\xe5\xad\x97\n",
        "t.csv:2：title：含有无法解码的字节",
    ),
    ("t.csv", b"listing_id,title\n,bag\n", "t.csv:2：listing_id：缺失或为空"),
    ("t.csv", b"listing_id,title\n3.64E+11,bag\n", "t.csv:2：listing_id：3.64E+11 已丢失编号的部分数字"),
    ("t.csv", b'listing_id,photos\n1,"[""a.jpg"", 3]"\n', "t.csv:2：photos：应为文本列表"),
    ("t.jsonl", b'{"listing_id": "1"\n{"listing_id": "2"}\n', "t.jsonl:1：不是有效的 JSON："),
    ("t.jsonl", b'{"listing_id": "1", "title": {"a": 1}}\n', "t.jsonl:1：title：应为文本"),
    ("t.jsonl", b'{"listing_id": "1", "title": "a", "title": "b"}\n', "t.jsonl:1：不是有效的 JSON："),
]


@pytest.mark.parametrize(("name", "data", "chinese"), ROWS)
def test_why_a_row_failed_is_said_in_chinese_from_its_record(tmp_path: Path, name: str, data: bytes, chinese: str) -> None:
    (tmp_path / name).write_bytes(data)
    problem = next(problem for _, problem in read_listings(tmp_path / name) if problem is not None)
    record = ScanRecord(Listing("1"), status="failed", error=problem)
    row = json.loads(json.dumps(record.to_dict()))
    assert row["error"] == problem
    again = ScanRecord.from_dict(row)
    assert again == record
    assert again.to_dict() == row
    assert language("zh").say(again.error or "").startswith(chinese)


PHOTOS = [
    ("missing.jpg", None, "missing.jpg：文件不存在"),
    ("folder", None, "folder：是文件夹、管道或设备，不是文件"),
    ("../x.jpg", None, "../x.jpg：应为表格所在文件夹之内的相对路径，且不含“..”"),
    ("https://shop.example/x.jpg", None, "https://shop.example/x.jpg：是网址；本软件不会下载"),
    ("a.jpg", b"", "a.jpg：文件为空"),
    ("a.jpg", b"plain text", "a.jpg：不是受支持格式的图片"),
    ("a.jpg", b"\xff\xd8\xff\xe0 broken", "a.jpg：无法解码："),
    ("a.webp", b"RIFF\xff\xff\0\0WEBPVP8 ", "a.webp：文件长度小于文件头所示"),  # the decoder is another process
    ("a.png", b"\x89PNG\r\n\x1a\n broken", "a.png：开头像 PNG 文件，但文件头已损坏"),
    ("large.jpg", b"\0" * 2000, "large.jpg：超过 1000 字节"),
]


@pytest.mark.parametrize(("name", "data", "chinese"), PHOTOS)
def test_why_a_photo_failed_is_said_in_chinese(tmp_path: Path, name: str, data: bytes | None, chinese: str) -> None:
    (tmp_path / "folder").mkdir()
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError) as caught:
        load_image(resolve_within(tmp_path, name), config=ImageConfig(max_bytes=1000), name=name)
    assert language("zh").say(caught.value.said).startswith(chinese)
    assert str(caught.value).startswith(f"{name}: ")
