"""Records that somebody else wrote: whatever a field holds, each reader of ``records.jsonl`` works or says what is wrong."""

from __future__ import annotations

import copy
import json
import logging
import random
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from typer.testing import CliRunner

pytest.importorskip("fastapi", reason="extra desk")
pytest.importorskip("httpx2", reason="extra dev")
pytest.importorskip("reportlab", reason="extra case")

from starlette.testclient import TestClient

import imgmatch.catalog.catalog as catalog_module
from imgmatch import Catalog
from imgmatch.apps.cli import app
from imgmatch.apps.desk.app import create_desk
from imgmatch.apps.desk.desk import Desk
from imgmatch.errors import ImgmatchError, InputError
from imgmatch.investigate.report.rings_page import read_rings
from imgmatch.investigate.rings.ring import Ring
from imgmatch.results import Results, read_records
from tests.desk_market import market, write_ring
from tests.fakes import GridEncoder

WRONG = (
    *(None, True, 0, -1, 1.5, 1e308, float("nan"), float("inf"), 10**30, 10**400),
    *(
        "",
        "x",
        "../x",
        "/etc/passwd",
        "\0",
        "\ud800",
        "a" * 64,
        "x" * 300,
        "=1+1",
        "\x1b[2J",
        "{0.__class__}",
        "%s%n",
        "[/]",
    ),
    *([], [[]], {}, {"x": 1}, [None], [1, 2], ["x"], [[1, 2], [3]], [["a"]], [float("nan")] * 4, [[1e300, 1e300]] * 4),
)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, Path]:
    return market(tmp_path_factory.mktemp("records"))


@pytest.fixture(autouse=True)
def same_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "load_encoder", lambda name: GridEncoder())


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where something stands in plain JSON."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in pairs:
        yield (*path, key)
        yield from places(part, (*path, key))


def put(row: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        row = row[key]
    row[path[-1]] = value


def lines_of(scan: Path) -> list[Any]:
    return [json.loads(line) for line in (scan / "records.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verdict", "rank"), "x"),
        (("verdict", "rank"), True),
        (("verdict", "rank"), float("nan")),
        (("verdict", "certainty"), 10**400),
        (("verdict", "similarity"), "0.5"),
        (("verdict", "probability"), []),
        (("verdict", "brand"), 5),
        (("verdict", "shown_by"), [1]),
        (("verdict", "reasons"), "abc"),
        (("verdict", "reasons"), [None]),
        (("verdict", "candidates", 0, "score"), None),
        (("verdict", "candidates", 0, "item_id"), {}),
        (("verdict", "findings", 0, "evidence"), []),
        (("photos", 0, "path"), 5),
        (("photos", 0, "width"), 1.5),
        (("photos", 0, "width"), 10**30),
        (("contacts",), "abc"),
        (("contacts",), [[1]]),
        (("catalog_version",), 1),
        (("error",), 1),
    ],
)
def test_a_field_of_another_type_is_an_error_of_its_line(
    given: tuple[Catalog, Path], tmp_path: Path, path: tuple[Any, ...], value: Any
) -> None:
    rows = lines_of(given[1])[:2]
    put(rows[1], path, value)
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    name = next(key for key in reversed(path) if isinstance(key, str))
    with pytest.raises(InputError, match=rf"r\.jsonl:2: not a scan record: {name}: .* is not what stands there"):
        list(read_records(tmp_path / "r.jsonl"))


@pytest.mark.parametrize(
    "seeds", [(*range(12), 147, 152), pytest.param(range(12, 500), marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_whatever_a_record_holds_it_is_read_or_refused(
    given: tuple[Catalog, Path], tmp_path: Path, seeds: Iterable[int], caplog: pytest.LogCaptureFixture
) -> None:
    catalog, scan = given
    lines = lines_of(scan)
    for seed in seeds:
        rng = random.Random(seed)
        work = tmp_path / str(seed)
        shutil.copytree(scan, work, ignore=shutil.ignore_patterns("desk.sqlite*"))
        rows = copy.deepcopy(lines)
        row = rows[seed % 3]
        place = rng.choice([p for p in places(row) if seed % 2 or "evidence" in p])
        put(row, place, rng.choice(WRONG))
        (work / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        name, seller = lines[seed % 3]["listing_id"], lines[seed % 3]["listing"]["seller_id"]
        records = ("--records", work / "records.jsonl")
        for command in (
            ("report", work, "--catalog", catalog.path),
            ("rings", work / "records.jsonl", "--out", work / "rings"),
            ("case", seller, *records, "--out", work / "case.zip", "--catalog", catalog.path),
            ("explain", name, *records),
            ("label", name, "reject", *records, "--labels", work / "l.csv", "--wrong", "logo_tamper", "--catalog", work),
        ):
            error = CliRunner().invoke(app, list(map(str, command))).exception
            assert isinstance(error, (ImgmatchError, SystemExit, type(None))), (seed, place, command[0], error)
        look_at(work, catalog)
        assert not [r for r in caplog.records if r.levelno >= logging.ERROR], (seed, place)
        shutil.rmtree(work)


@pytest.mark.parametrize("line", [b"\x9c\xff", b"[" * 100_000, b"[1, 2]", b"5", b"\0", "{}".encode("utf-16")])
def test_a_file_that_holds_no_rings_is_refused_by_its_line(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "rings.jsonl").write_bytes(line + b"\n")
    with pytest.raises(InputError, match=r"rings\.jsonl:1: "):
        read_rings(tmp_path / "rings.jsonl")


@pytest.mark.parametrize(
    "seeds", [(*range(20), 273), pytest.param(range(20, 600), marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_whatever_a_ring_holds_it_is_read_or_refused(
    given: tuple[Catalog, Path], tmp_path: Path, seeds: Iterable[int], caplog: pytest.LogCaptureFixture
) -> None:
    catalog, scan = given
    path = tmp_path / "rings.jsonl"
    ring = json.loads(write_ring(path, scan).read_text("utf-8"))
    for seed in seeds:
        rng = random.Random(seed)
        row = copy.deepcopy(ring)
        place = rng.choice(list(places(row)))
        put(row, place, rng.choice(WRONG))
        path.write_text(json.dumps(row) + "\n")
        for command in (
            ("report", scan, "--rings", path, "--catalog", catalog.path, "--out", tmp_path / "r.html"),
            ("case", ring["ring_id"], "--rings", path, "--records", scan / "records.jsonl", "--out", tmp_path / "case.zip"),
        ):
            error = CliRunner().invoke(app, list(map(str, command))).exception
            assert isinstance(error, (ImgmatchError, SystemExit, type(None))), (seed, place, command[0], error)
        if seed % 8 == 0:
            look_at(scan, catalog, path)
        assert not [r for r in caplog.records if r.levelno >= logging.ERROR], (seed, place)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"edges": []}, "edges"),
        ({"edges": [{"a": 0, "b": 0, "weight": 1.0, "evidence": []}]}, "edges"),
        ({"edges": [{"a": 0, "b": 9, "weight": 1.0, "evidence": []}]}, "edges"),
        ({"edges": [{"a": 0, "b": 1, "weight": 0, "evidence": []}]}, "edges"),
        ({"edges": [{"a": 0, "b": 1, "weight": 1.0, "evidence": ["other"]}]}, "shared"),
        ({"platforms": ["other"]}, "sellers"),
        ({"sellers": []}, "sellers"),
        ({"value": {"EUR": float("nan")}}, "value"),
        ({"brands": {"brand0": "2"}}, "brands"),
        ({"listings": [["a", "b", 5]]}, "listings"),
    ],
)
def test_a_ring_whose_ties_lead_nowhere_is_refused(
    given: tuple[Catalog, Path], tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    row = json.loads(write_ring(tmp_path / "rings.jsonl", given[1]).read_text("utf-8"))
    assert Ring.from_dict(row).to_dict() == Ring.from_dict(json.loads(json.dumps(row))).to_dict()
    with pytest.raises(InputError, match=f"not a ring: {why}"):
        Ring.from_dict({**row, **change})


def look_at(scan: Path, catalog: Catalog, rings: Path | None = None) -> None:
    """Open the pages of a desk; what is unexpected there is logged."""
    try:
        desk = Desk([Results(scan)], catalog=catalog, labels=scan / "labels.csv", rings=rings)
    except ImgmatchError:
        return
    with TestClient(create_desk(desk), base_url="http://127.0.0.1") as client:
        client.post("/enter", data={"reviewer": "ann"})
        rows = desk.index.rows("SELECT slug, platform, seller FROM listings LIMIT 3")
        for address in (
            *(f"/queue?sort={sort}" for sort in ("strength", "uncertainty", "value", "newest", "worth")),
            *(f"/listing/{row['slug']}" for row in rows),
            *(f"/seller?{urlencode({'platform': row['platform'], 'seller': row['seller']})}" for row in rows),
            *("/progress", "/queue?q=tote", "/rings", "/ring/ring-0123456789ab"),
        ):
            assert client.get(address).status_code < 500
