"""Foreign text on terminals, in logs and in tables is shown, never sent."""

from __future__ import annotations

import csv
import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from typer.testing import CliRunner

from imgmatch import Catalog, Config
from imgmatch.apps import console as room
from imgmatch.apps.cli import app, main
from imgmatch.apps.desk.decisions import Decisions
from imgmatch.errors import printable
from imgmatch.scan import run_scan
from imgmatch.verdicts.labels import LabelRow, append_labels
from imgmatch.verdicts.negatives import NegativeBank, NegativeRow
from tests.fakes import GridEncoder, picture, write_tree

HARM = "a\x1b[2J\x1b]0;pwned\x07\x1b[31mred\x9b5n\u202egab\u2066\u200b\b\r\x00\ud800\u2028b"
HIDDEN = set(HARM) - set("a[2J]0;pwnedredgab5nb31m")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Sac à main «neuf» 包 1\u00a0299\u202f€ \u3000", "Sac à main «neuf» 包 1\u00a0299\u202f€ \u3000"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\u202egab\u2069\u200b", r"\u202egab\u2069\u200b"),
        ("\x9b5n\x7f\ud800\U000e0041", r"\x9b5n\x7f\ud800\U000e0041"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_nothing_that_is_printed_moves_anything(text: str) -> None:
    assert all(c.isprintable() or c.isspace() for c in printable(text))
    assert not set(printable(text)) & HIDDEN


def printed(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> str:
    file = io.StringIO()
    shown = room._Console(file=file, force_terminal=terminal, soft_wrap=True, width=200, color_system=None)
    monkeypatch.setattr(room, "console", shown)
    monkeypatch.setattr(room, "errors", shown)
    shown.print(HARM, highlight=False, markup=False)
    shown.print(f"[bold]{HARM}[/]")
    room.fail(HARM)
    room.show_table(HARM, ["x", HARM], [[HARM, 1]])
    table = Table(HARM)
    table.add_row(HARM)
    shown.print(table)
    with room.progress_bar(HARM) as update:
        update(1, 1, HARM)
    return file.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_consoles_show_what_is_foreign(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    text = printed(monkeypatch, terminal) + capsys.readouterr().err
    assert r"\x1b[2J" in text
    own = set("\x1b\r") if terminal else set()  # of the progress bar
    assert not set(text) & (HIDDEN - own)
    for sent in ("\x1b[2J", "\x1b]0;", "\x9b"):
        assert sent not in text


def test_logs_show_what_is_foreign_and_mask_contacts() -> None:
    try:
        raise ValueError(f"{HARM} seller@shop.example +41 79 555 12 34")
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "f.py", 5, "failed: %s", (HARM,), (ValueError, error, error.__traceback__)
        )
    text = room.LogFormatter().format(record)
    assert not set(text) & HIDDEN
    assert "Traceback" in text
    assert "seller@shop" not in text
    assert "555" not in text
    plain = "catalog 2a93a60d854554c0 of 2026-11-25 10:00 listens on http://127.0.0.1:8000, 12 photos"
    record = logging.LogRecord("x", logging.INFO, "f.py", 5, plain, (), None)
    assert "2a93a60d854554c0" in room.LogFormatter().format(record)


def test_what_a_library_warns_of_is_shown_too() -> None:
    """warcio logs addresses of an archive as they are; without a handler, Python prints them."""
    code = (
        "import logging; from imgmatch.apps.cli import app; app(['--version'], standalone_mode=False);"
        "logging.getLogger('warcio').warning('\x1b[2J seller@shop.example')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "WARNING: \\x1b[2J …\n"


@pytest.mark.parametrize("name", ["=1+1", "'=1", "+41", "-7", "@x", "＝1", "\n=1", "'s-Gravenhage", "''", "x"])
def test_tables_that_grow_hold_no_formula_and_are_read_as_they_were(tmp_path: Path, name: str) -> None:
    row = LabelRow(name, "confirm", name, "2026", "flagged", name, name)
    bad = NegativeRow(name, "copy", name, "a" * 64, "", "", name, "")
    append_labels(tmp_path / "labels.csv", [row])
    NegativeBank.append(tmp_path, [bad])
    decisions = Decisions(tmp_path / "labels.csv")
    assert decisions.of(row.key) == [row]
    decisions.decide(("p", "s", name), "reject", name, "")  # read from the tail of the table
    assert [r.reviewer for r in decisions.of(("p", "s", name))] == [name]
    decisions.write("note", name, row.key, name)
    assert [(e.key, e.text, e.reviewer) for e in decisions.events()] == [(row.key, name, name)]
    assert NegativeBank.of_catalog(tmp_path).rows == (bad,)
    for path in tmp_path.glob("*.csv"):
        with open(path, encoding="utf-8", newline="") as f:
            assert not [x for r in csv.reader(f) for x in r if x.startswith(("=", "+", "-", "@", "＝", "\n"))]


def test_commands_and_tables_show_what_is_foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))
    harm = HARM.replace("\x00", "").replace("\ud800", "")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"x{harm.replace('/', '')}.sqlite").write_bytes(b"x")
    names = {f"brand/item{harm}/{v}{harm}.png": picture(v) for v in range(2)}
    source = write_tree(tmp_path / "src", {**names, f"brand/item{harm}/bad{harm}.png": b"no photo"})
    catalog = Catalog.build(source, tmp_path / "cat", encoder=GridEncoder())
    root = write_tree(tmp_path / "l", {"a.png": picture(0)})
    fields = ("listing_id", "title", "description", "seller_id", "platform", "url", "brand_claim", "price", "condition")
    row = {**{name: f"{name}{HARM}\nnext line" for name in fields}, "photos": ["a.png", f"missing{HARM}.png"]}
    (root / f"t{harm}.jsonl").write_text(json.dumps(row) + "\n")
    out = tmp_path / "out"
    config = Config.from_dict({"signals": ["design", "text", "listing"]})
    run_scan(root / f"t{harm}.jsonl", catalog, out, config=config)
    table = (out / "records.csv").read_text("utf-8-sig")
    assert not set(table) & (HIDDEN - {"\r"})
    [record] = csv.DictReader(io.StringIO(table))
    assert record["title"].endswith("\nnext line")
    assert r"\x1b[2J" in record["title"]
    commands = [
        ["catalog", "info", str(catalog.path)],
        ["catalog", "issues", str(catalog.path)],
        ["catalog", "verify", str(catalog.path)],
        ["explain", str(out / "records.jsonl"), row["listing_id"]],
        ["catalog", "info", str(tmp_path / harm)],
        ["case", "verify", str(tmp_path / harm)],
        ["cache"],
        ["cache", "--clear"],
        ["report", str(out)],
        ["rings", str(out / "records.jsonl"), "--out", str(tmp_path / "rings")],
        ["case", row["seller_id"], str(out / "records.jsonl"), "--out", str(tmp_path / "case.zip")],
        ["case", "verify", str(tmp_path / "case.zip"), "--privacy"],
        ["case", harm, str(out / "records.jsonl"), "--out", str(tmp_path / "case.zip")],
        ["label", str(out / "records.jsonl"), row["listing_id"], "confirm", "--labels", str(tmp_path / "labels.csv")],
        ["calibrate", "--records", str(out), "--labels", str(tmp_path / "labels.csv"), "--out", str(tmp_path / harm)],
        ["search", str(root / "a.png"), "--scans", str(out)],
        ["compare", str(root / f"b{harm}.png"), str(root / "a.png"), "--catalog", str(catalog.path)],
        ["desk", str(tmp_path / harm)],
        ["scan", str(tmp_path / harm), "--catalog", str(catalog.path), "--out", str(tmp_path / harm)],
        [harm],
        ["catalog", harm],
        ["scan", "--no" + harm],
    ]
    for command in commands:
        result = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
        assert not set(result.output) & HIDDEN, command


def test_a_terminal_that_lacks_letters_shows_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    monkeypatch.setattr(sys, "argv", ["imgmatch", "--version"])
    with pytest.raises(SystemExit):
        main()
    print("price 1200 → 1250 “new”")
    sys.stdout.flush()
    assert b"price 1200 ? 1250 ?new?" in sys.stdout.buffer.getvalue()  # type: ignore[attr-defined]
