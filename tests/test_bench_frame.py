"""The frame of the benchmarks: raw files, staleness, tables, fetching from loopback, the locked part, the command line."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import locked
from benchmarks.frame import fetch, job, raw, table
from benchmarks.frame.data import File
from benchmarks.frame.scorer import Figure

BODY = bytes(range(256)) * 8192  # 2 MiB


@pytest.mark.parametrize(
    ("after", "same"),
    [
        ('"""Other words."""\nx = 1\n\n\ndef f():\n    """Told."""\n    return "a"\n', True),
        ('"""Words."""\n# a remark\nx = 1\ndef f():\n    return "a"\n', True),
        ('"""Words."""\nx = 2\n\n\ndef f():\n    return "a"\n', False),
        ('"""Words."""\nx = 1\n\n\ndef f():\n    return "b"\n', False),
    ],
)
def test_comments_and_docstrings_do_not_make_a_result_stale(after: str, same: bool, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('"""Words."""\nx = 1\n\n\ndef f():\n    return "a"\n')
    (tmp_path / "b.py").write_text(after)
    assert (raw.code_hash(tmp_path / "a.py") == raw.code_hash(tmp_path / "b.py")) is same


def test_tables_count_byte_by_byte_and_a_missing_file_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("x = 1")
    before = raw.code_hash(tmp_path / "a.toml")
    (tmp_path / "a.toml").write_text("x = 1 ")
    assert raw.code_hash(tmp_path / "a.toml") != before
    assert raw.code_hash(tmp_path / "none.py") == "gone"


def test_a_raw_file_says_what_it_rests_on(tmp_path: Path) -> None:
    rows = [{"query": "é.jpg", "rank": None}, {"query": "b", "rank": 2}]
    head, back = raw.read(raw.write(tmp_path / "s" / "set@enc.jsonl.xz", {"suite": "s", "data": "set"}, iter(rows)))
    assert back == rows
    assert {"suite", "commit", "clean", "made", "versions", "cpu", "cores", "threads", "code", "rows"} <= set(head)
    assert "benchmarks/frame/raw.py" in head["code"]
    assert raw.changed(head) == []
    silent = ("frame/raw", "frame/scorer", "__main__", "datasets/sop")
    loud = ("locked", "frame/job", "datasets/shared", "datasets/set")
    head["code"] = {f"benchmarks/{name}.py": "0" * 12 for name in silent + loud}
    assert raw.changed(head) == [f"benchmarks/{name}.py" for name in loud]
    assert not list(tmp_path.rglob("*.part"))


def head(**more: Any) -> dict[str, Any]:
    plain = {"suite": "s", "data": "some_set", "encoder": job.ENCODER, "rendered": False, "seen": False, "locked": False}
    return plain | more


def test_real_and_rendered_stand_in_one_row() -> None:
    figure = Figure("found", 0.5, target=">= 0.4", against="theirs 10 %")
    cells = {("s", "found"): [(head(seen=True), figure), (head(data="rendered", rendered=True), Figure("found", 0.9))]}
    assert list(table.lines(cells))[2:] == [
        "| found | some set, seen: **50.0 %**; theirs 10 % | **90.0 %** | >= 0.4 met (some set) | `s` |"
    ]
    assert list(table.lines(cells, (("s", "other"),)))[2:] == ["| other | not measured | – | – | `s` |"]


def test_a_rendered_figure_never_stands_alone() -> None:
    cells = {("s", "found"): [(head(rendered=True), Figure("found", 0.9))]}
    assert "not measured" in list(table.lines(cells))[2]


def test_a_page_keeps_its_text_around_the_table() -> None:
    page = f"before\n{table._BEGIN}\nold\n{table._END}\nafter\n"
    assert table.written(page, "new") == f"before\n{table._BEGIN}\nnew\n{table._END}\nafter\n"
    with pytest.raises(ValueError, match="expected the lines"):
        table.written("no marks", "new")


class Server(BaseHTTPRequestHandler):
    """Serves BODY: whole, in ranges, cut off in the middle at first, or not at all."""

    cut = False

    def do_GET(self) -> None:
        if self.path == "/none.zip":
            self.send_error(404)
            return
        asked = self.headers.get("Range") if self.path == "/ranged.zip" else None
        start = int(asked.split("=")[1].rstrip("-")) if asked else 0
        if start >= len(BODY):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(BODY) - start))
        self.end_headers()
        end = len(BODY) // 2 if Server.cut and not asked else len(BODY)
        self.wfile.write(BODY[start:end])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    Server.cut = False
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def test_a_file_is_fetched_and_compared_with_its_published_checksum(address: str, tmp_path: Path) -> None:
    said = fetch.fetch_file(File(f"{address}/ranged.zip", hashlib.sha256(BODY).hexdigest()), tmp_path)
    assert "as published" in said
    assert (tmp_path / "ranged.zip").read_bytes() == BODY


@pytest.mark.parametrize("name", ["ranged.zip", "plain.zip"])
def test_a_fetch_that_was_cut_off_goes_on(address: str, tmp_path: Path, name: str) -> None:
    Server.cut = True
    with pytest.raises(OSError):
        fetch.fetch_file(File(f"{address}/{name}"), tmp_path)
    assert not (tmp_path / name).exists()
    Server.cut = False
    said = fetch.fetch_file(File(f"{address}/{name}"), tmp_path)
    assert (tmp_path / name).read_bytes() == BODY
    assert "none is published: recorded" in said
    assert hashlib.sha256(BODY).hexdigest() in (tmp_path / f"{name}.sha256").read_text()


def test_a_part_that_is_whole_needs_no_byte_more(address: str, tmp_path: Path) -> None:
    (tmp_path / "ranged.zip.part").write_bytes(BODY)
    fetch.fetch_file(File(f"{address}/ranged.zip", hashlib.sha256(BODY).hexdigest()), tmp_path)
    assert (tmp_path / "ranged.zip").read_bytes() == BODY


def test_other_bytes_than_those_published_are_removed(address: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="published is 0000"):
        fetch.fetch_file(File(f"{address}/ranged.zip", "0" * 64), tmp_path)
    assert not list(tmp_path.glob("*.zip*"))


@pytest.mark.parametrize(
    ("files", "by_request", "words"),
    [
        ((File("{}/none.zip"),), "", "answered 404"),
        ((File("http://127.0.0.1:1/x.zip"),), "", "does not answer"),
        ((), "sign here", "not fetched: sign here"),
    ],
)
def test_fetch_says_the_licence_and_why_nothing_came(
    files: tuple[File, ...], by_request: str, words: str, address: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    from dataclasses import replace

    from benchmarks.datasets import sop

    files = tuple(File(f.url.replace("{}", address)) for f in files)
    card = replace(sop.CARD, files=files, by_request=by_request)
    monkeypatch.setattr(fetch, "names", lambda: {"sop": card})
    assert fetch.fetch("sop", tmp_path) == 1
    printed = capsys.readouterr()
    assert words in printed.out + printed.err
    assert "licence: none stated" in printed.out
    assert fetch.fetch("nosuch", tmp_path) == 1


def test_the_locked_part_is_opened_once_a_version(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(locked, "OPENED", tmp_path / "opened.jsonl")
    job._open_locked("retrieval", "some_set", "1.0")
    job._open_locked("retrieval", "some_set", "1.1")
    job._open_locked("copies", "some_set", "1.0")
    with pytest.raises(PermissionError, match=r"for version 1.0 on .* would be tuning"):
        job._open_locked("retrieval", "some_set", "1.0")
    rows = [json.loads(x) for x in (tmp_path / "opened.jsonl").read_text().splitlines()]
    assert [set(r) for r in rows] == [{"suite", "data", "version", "when", "commit", "clean"}] * 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nosuch"], 2, "no suite 'nosuch'; there are"),
        (["retrieval", "--dataset", "sop=/nowhere"], 1, "not run: sop: no folder /nowhere"),
        (["retrieval", "--dataset", "nosuch"], 1, "no data set 'nosuch'"),
        (["datasets"], 0, "Stanford Online Products"),
        (["fetch", "inshop"], 1, "sign the agreement"),
        (["fetch"], 2, "fetch needs the name of a data set"),
        (["fetch", "rendered"], 1, "drawn here"),
        (["fetch", "folder"], 1, "it is yours"),
        (["retrieval", "nosuch"], 2, "no suite 'nosuch'; there are"),
        (["retrieval", "--locked", "--smoke"], 2, "--locked is asked in full"),
        (["retrieval", "--locked", "--dataset", "folder=FOLDER"], 1, "folder has no locked part"),
        (["retrieval", "--locked", "--dataset", "folder=FOLDER", "--encoder", "nosuch"], 1, "no encoder 'nosuch'"),
        (["retrieval", "--dataset", "folder=FOLDER"], 1, "not a photo in a supported format"),
        (["retrieval", "--dataset", "manifest=FOLDER"], 1, "KeyError: 'path' (benchmarks/datasets/manifest.py, line"),
        (["brands", "--dataset", "folder=FOLDER"], 1, "labels that only seller_reposts has"),
        (["misspelt", "--dataset", "folder=FOLDER"], 1, "its figures would be called real"),
        (["table"], 1, "has no raw results: run a suite first"),
        (["plots"], 1, "has no raw results of copies, marks_real or encoders"),
        (["table", "copies"], 2, "table stands alone, got copies"),
        (["copies", "--limit", "-3"], 2, "expected a whole number above 0, got -3"),
        (
            ["copies", "--dataset", "rendered", "--smoke", "--peer", "nosuch"],
            1,
            "no peer 'nosuch'; there are imagededup_cnn",
        ),
    ],
)
def test_the_command_line_answers_in_words(
    arguments: list[str], code: int, words: str, tmp_path: Path, capsys, monkeypatch
) -> None:
    own, results = tmp_path / "own", tmp_path / "results"
    for n in range(2):  # a folder of goods whose photos are none, and a table without paths
        (own / "brand" / "item").mkdir(parents=True, exist_ok=True)
        (own / "brand" / "item" / f"{n}.jpg").write_bytes(b"not a photo")
    (own / "manifest.csv").write_text("item,brand\nx,y\n")
    arguments = [a.replace("FOLDER", str(own)) if "=" in a else a for a in arguments]
    monkeypatch.setattr(locked, "OPENED", tmp_path / "opened.jsonl")
    try:
        answer = command.main([*arguments, "--results", str(results), "--to", str(tmp_path)])
    except SystemExit as end:  # as argparse says what was wrong
        answer = end.code
    printed = capsys.readouterr()
    assert answer == code
    assert words in printed.out + printed.err
    assert "Traceback" not in printed.out + printed.err
    assert not locked.OPENED.exists()  # nothing of this looks at a locked part


@pytest.mark.parametrize("what", ["table", "stale", "plots"])
@pytest.mark.parametrize("junk", [b"junk", b"", lzma.compress(b""), lzma.compress(b'{"suite": "copies"}\n{}\n')])
def test_a_raw_file_that_cannot_be_read_is_named(what: str, junk: bytes, tmp_path: Path, capsys) -> None:
    file = tmp_path / "copies" / "set@encoder.jsonl.xz"
    file.parent.mkdir()
    file.write_bytes(junk)
    assert command.main([what, "--results", str(tmp_path)]) == 1
    assert f"{file}: " in capsys.readouterr().err


@pytest.mark.parametrize("name", job.SUITES)
def test_a_suite_asks_a_question_runs_and_scores(name: str) -> None:
    module = job.suite(name)
    assert module.QUESTION.endswith("?")
    assert module.DATA
    assert callable(module.run)
    assert callable(module.score)


@cache
def collected() -> Any:
    """Return all figures, intervals computed."""
    return table.collected(raw.RESULTS)


@pytest.mark.parametrize("page", table.PLACES)
def test_the_pages_say_what_the_raw_results_say(page: str) -> None:
    """Where this fails: python -m benchmarks table --write."""
    text = (raw.REPO / page).read_text("utf-8")
    printed = "\n".join(table.lines(collected(), table.PLACES[page]))
    assert table.written(text, printed) == text


def test_every_committed_raw_file_is_called_current_or_stale(capsys) -> None:
    assert table.stale(raw.RESULTS) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + len(list(raw.RESULTS.rglob("*.xz")))
    assert any("worlds, fit-1, mobilenet-v2" in line for line in printed)


def test_raw_results_are_small_and_name_a_clean_commit() -> None:
    for name in job.SUITES:
        folder = raw.RESULTS / name
        assert sum(f.stat().st_size for f in folder.glob("*")) < 2 * 2**20
        for head, rows in raw.parts(name):
            assert len(head["commit"]) == 40
            assert head["clean"], f"{name}, {head['data']}: made with uncommitted changes"
            assert head["rows"] == len(rows)


def _numbers(suite: str) -> set[str]:
    """Every number that a suite's figures print, and these rounded to a whole one."""
    printed = []
    for (name, what), found in collected().items():
        for _, f in found if name == suite else ():
            hits = f"{f.value * f.n:.0f}" if f.form == "%" and f.n else ""
            bounds = "" if f.form == "%" else f"{f.value:.3f} {f.low:.3f} {f.high:.3f}"
            printed += re.findall(r"\d+(?:\.\d+)?", f"{what} {f.text()} {f.against} {hits} {bounds}")
    return {n for p in printed for n in (p, p.removeprefix("0"), f"{float(p):.0f}")}


def test_what_the_readme_says_in_prose_its_suites_print() -> None:
    """Each limit names the command that measured it: a number there that no figure of that suite has is made up or old."""
    text = (raw.REPO / "README.md").read_text("utf-8")
    limits = re.findall(r"(?ms)^- \*\*(?:(?!^- ).)*?`python -m benchmarks (\w+)`(.*?)(?=^- \*\*|^$)", text)
    assert len(limits) >= 4
    for suite, said in limits:
        said = re.sub(r"\(?target:? [^);.]*", "", " ".join(said.split()))
        lost = set(re.findall(r"(?<![\w])\d*\.?\d+", said)) - _numbers(suite)
        assert not lost, f"{suite}: {', '.join(sorted(lost))} in README.md"
