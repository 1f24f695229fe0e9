"""Attacks that have no better place: hostile numbers and rules, clocks that jump, files that change under a scan, long
animations, resuming with every signal, and a service that is asked ten thousand times."""

from __future__ import annotations

import io
import json
import math
import multiprocessing
import os
import random
import re
import resource
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from imgmatch import Catalog, Config, sample
from imgmatch.errors import CalibrationError, ConfigError, InputError, WeightsError
from imgmatch.fit.fitting import fit
from imgmatch.images import load_image
from imgmatch.investigate.rings.state import State
from imgmatch.results import read_records
from imgmatch.scan import run_scan
from imgmatch.verdicts.calibration import Calibration
from imgmatch.verdicts.rules import Rules
from tests.fakes import GridEncoder, picture, write_tree
from tests.test_calibration import ABOUT, world

CONFIG = Config.from_dict({"signals": ["design"], "scan": {"batch": 4, "shard": 5, "workers": 2}})
SLOW = pytest.mark.slow


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    layout = {f"brand{i % 3}/item{i}/{v}.png": picture(10 * i + v) for i in range(4) for v in range(2)}
    return Catalog.build(write_tree(tmp_path / "src", layout), tmp_path / "cat", encoder=GridEncoder())


# Numbers and rules


NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e300", "-1e300", "1e17")


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("where", ["intercept", "prevalence", "training_prevalence", "weight", "curve", "threshold"])
def test_a_calibration_with_hostile_numbers_is_refused(where: str, number: str) -> None:
    row = json.loads(fit(world(600), **ABOUT).to_json())
    if where == "weight":
        next(iter(row["coefficients"].values()))["weight"] = "HERE"
    elif where == "curve":
        row["curve"] = [[0.0, 0.0], ["HERE", 1.0]]
    elif where == "threshold":
        next(iter(row["points"].values()))["threshold"] = "HERE"
    else:
        row[where] = "HERE"
    with pytest.raises(CalibrationError):
        Calibration.from_json(json.dumps(row).replace('"HERE"', number))


@pytest.mark.parametrize("extreme", [-1000, 1000])
def test_the_largest_numbers_still_give_a_probability(extreme: float) -> None:
    row = json.loads(fit(world(600), **ABOUT).to_json())
    row["intercept"], row["prevalence"], row["training_prevalence"] = extreme, 5e-324, 1 - 1e-16
    for coefficient in row["coefficients"].values():
        coefficient["weight"] = 1000
    probability, parts = Calibration.from_json(json.dumps(row)).rank(dict.fromkeys(row["coefficients"], 1.0))
    assert 0.0 <= probability <= 1.0
    assert all(map(math.isfinite, parts.values()))


def test_a_calibration_of_a_million_mistakes_takes_time_for_its_bytes() -> None:
    row = json.loads(fit(world(600), **ABOUT).to_json())
    start = time.process_time()
    with pytest.raises(CalibrationError, match="curve"):
        Calibration.from_json(json.dumps({**row, "curve": ["x"] * 500_000}))
    assert time.process_time() - start < 3  # it took a dozen


def test_a_curve_that_turns_back_is_refused() -> None:
    row = json.loads(fit(world(600), **ABOUT).to_json())
    for curve in ([[0, 0], [1, 2], [0.5, 3]], [[0, 1], [1, 0]]):
        with pytest.raises(CalibrationError, match="ascend"):
            Calibration.from_json(json.dumps({**row, "curve": curve}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0",
        "[claims]",
        "claims = 5",
        "[claims]\nprice = nan",
        "[claims]\nprice = inf",
        "[claims]\nprice = -1",
        "[claims]\nprice = 1e400",
        "[claims]\nprice = true",
        "[claims]\nprice = '0.5'",
        "[claims]\nprice = [[[[0.5]]]]",
        "[claims]\nprice = 0.5\nprice = 0.6",
        "[claims]\nprice = 0.5\n[contradictions.x]\nsource = 5\nweak = 0.5",
        "[claims]\nprice = 0.5\n[contradictions.x]\nsource = 'x'\nweak = nan",
        "[claims]\nprice = 0.5\n[contradictions.x]\nsource = 'x'\nstrong = 0.5\nweak = 2",
        "[claims]\nprice = 0.5\n[[labels]]\nlabel = 'murder'\nclaims = ['price']\ncontradictions = ['x']",
        "[claims]\nprice = 0.5\nlabels = 7",
        "a." * 5000 + "b = 1",
        "x = " + "[" * 5000 + "]" * 5000,
        "\ud800",
    ],
)
def test_hostile_rules_are_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError, match=r"rules\.toml"):
        Rules.load(path)


# Ring states


def test_a_ring_state_of_another_make_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rings.sqlite"
    State(path).close()
    State(path).close()  # one of ours goes on
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "DROP TABLE listings; CREATE VIEW listings AS WITH RECURSIVE c(row) AS "
            "(SELECT '{}' UNION ALL SELECT row FROM c) SELECT row FROM c;"
        )
    with pytest.raises(InputError, match="not ours"):
        State(path)
    for name, data in (("text", b"x" * 5000), ("empty header", b"SQLite format 3\0" + b"\xff" * 5000)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError):
            State(tmp_path / name)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe"):
        State(tmp_path / "pipe")


def test_of_the_folders_of_a_ring_state_those_count_that_are_names(tmp_path: Path) -> None:
    with closing(State(tmp_path / "rings.sqlite")) as state:
        state.keep_folders(["a"])
    with closing(sqlite3.connect(tmp_path / "rings.sqlite")) as db:
        db.executemany("INSERT INTO folders VALUES (?)", [(None,), (b"\xff",)])
        db.commit()
    with closing(State(tmp_path / "rings.sqlite")) as state:
        assert state.folders() == ["a"]


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[" * 100_000, b"5", b"{}", b'{"listing": 5}', b"\0" * 100])
def test_records_of_another_make_name_their_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "r.jsonl").write_bytes(data + b"\n")
    with pytest.raises(InputError, match=r"r\.jsonl:1") as refused:
        list(read_records(tmp_path / "r.jsonl"))
    assert not re.search(r"argument|__init__|object|subscriptable", str(refused.value))  # Python's own words


# Clocks


def test_clocks_that_jump_change_no_record(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listings = write_tree(tmp_path / "l", {f"{i}.png": picture(i) for i in range(12)})
    run_scan(listings, catalog, tmp_path / "a", config=CONFIG)
    rng = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: rng.choice([0.0, -1e9, 1e12, 4e9]))
    monkeypatch.setattr(time, "perf_counter", lambda: rng.uniform(-1e9, 1e9))
    summary = run_scan(listings, catalog, tmp_path / "b", config=CONFIG)
    assert summary.rows == 12
    assert (tmp_path / "a/records.jsonl").read_bytes() == (tmp_path / "b/records.jsonl").read_bytes()


@pytest.mark.parametrize("stamp", [0, 1, 2**31, 4_102_444_800, 253_402_300_799])
def test_photos_of_any_age_are_scanned_and_resumed(catalog: Catalog, tmp_path: Path, stamp: int) -> None:
    listings = write_tree(tmp_path / "l", {f"{i}.png": picture(i) for i in range(3)})
    for path in listings.iterdir():
        os.utime(path, (stamp, stamp))
    assert run_scan(listings, catalog, tmp_path / "o", config=CONFIG).rows == 3
    assert run_scan(listings, catalog, tmp_path / "o", config=CONFIG).reused == 3


# Files that change


@pytest.mark.parametrize("how", ["deleted", "replaced", "grown", "cut", "a folder", "a pipe", "unreadable link"])
def test_a_file_that_changes_during_a_scan_fails_alone(catalog: Catalog, tmp_path: Path, how: str) -> None:
    listings = write_tree(tmp_path / "l", {f"{i:03d}.png": picture(i) for i in range(40)})
    last = listings / "039.png"

    def change(done: int, total: int, _: Counter[str]) -> None:
        if done != 1:
            return
        data = last.read_bytes()
        last.unlink()
        if how == "replaced":
            last.write_bytes(picture(99))
        elif how == "grown":
            last.write_bytes(data + b"x" * 1000)
        elif how == "cut":
            last.write_bytes(data[:50])
        elif how == "a folder":
            last.mkdir()
        elif how == "a pipe":
            os.mkfifo(last)
        elif how == "unreadable link":
            last.symlink_to(tmp_path / "l" / "039.png")

    run_scan(listings, catalog, tmp_path / "out", config=CONFIG, progress=change)
    records = list(read_records(tmp_path / "out/records.jsonl"))
    assert [r.status for r in records[:39]] == ["ok"] * 39
    assert records[39].status == ("ok" if how in ("replaced", "grown") else "failed")


# Long animations


def test_of_a_gif_of_ten_thousand_frames_the_first_is_read(tmp_path: Path) -> None:
    first = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
    others = [PIL.Image.new("L", (64, 64), i % 255) for i in range(100)]
    out = io.BytesIO()
    first.save(out, "GIF", save_all=True, append_images=others, loop=0)
    data = out.getvalue()
    frames = data[data.index(b"\x21\xf9", 100) : -1]
    start = time.process_time()
    image = load_image(data[:-1] + frames * 100 + b";")
    assert time.process_time() - start < 5  # of `images.max_seconds`; it takes milliseconds
    assert image.pixels.shape == (64, 64, 3)
    assert image.pixels.std() > 20


# Resuming and remembering with every signal


def _scan_all(listings: Path, cat: Path, out: Path, cache: str) -> None:
    os.environ["IMGMATCH_CACHE"] = cache
    config = Config.from_dict({"scan": {"batch": 1, "shard": 1, "workers": 2}})
    run_scan(listings, Catalog.load(cat, encoder=GridEncoder()), out, config=config)


def goods(root: Path, count: int) -> Path:
    write_tree(root, {f"{i:02d}.png": picture(3 * i, (200, 160)) for i in range(count)})
    rows = [
        {"listing_id": str(i), "photos": [f"{i:02d}.png"], "title": "Brand0 bag 1:1", "price": "10 EUR", "seller_id": "s"}
        for i in range(count)
    ]
    (root / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root / "t.jsonl"


@pytest.mark.parametrize("times", [pytest.param(2), pytest.param(20, marks=SLOW)])
def test_a_scan_that_was_killed_gives_the_bytes_of_one_that_was_not(catalog: Catalog, tmp_path: Path, times: int) -> None:
    table = goods(tmp_path / "l", times + 4)
    context = multiprocessing.get_context("spawn")

    def finished() -> int:
        return len(list((tmp_path / "killed/shards").glob("0*.jsonl")))

    def run(out: str, cache: str, kill_later: float | None = None) -> None:
        begun = finished()
        child = context.Process(target=_scan_all, args=(table, catalog.path, tmp_path / out, str(tmp_path / cache)))
        child.start()
        while kill_later is not None and child.is_alive() and finished() == begun:
            time.sleep(0.002)
        child.join(kill_later)
        child.kill()
        child.join()
        assert child.exitcode == (0 if kill_later is None else -9)

    run("whole", "cache-a")
    rng = random.Random(times)
    for _ in range(times):  # once there is a shard more than before, each time on from there
        run("killed", "cache-b", kill_later=rng.uniform(0, 0.02))
    assert finished() < times + 4
    run("killed", "cache-b")
    records = [(tmp_path / out / "records.jsonl").read_bytes() for out in ("whole", "killed")]
    assert records[0] == records[1]


@SLOW
def test_what_is_remembered_gives_the_records_of_what_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real features and every signal, to the last digit: remembered or not, in whatever batch, whoever shares it."""
    monkeypatch.undo()  # the weights are in the user's own cache
    try:
        goods = sample()
    except WeightsError as error:
        pytest.skip(str(error))
    photos = write_tree(tmp_path / "l", dict(goods.photos))
    rows = [x.to_dict() for x in goods.listings]
    for name, order in (("all", rows), ("turned", rows[::-1]), ("some", rows[1:3])):
        (photos / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in order))

    def scanned(table: str, cache: str, batch: int) -> dict[str, str]:
        monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / cache))
        out = tmp_path / f"{table}-{cache}-{batch}"
        config = Config.from_dict({"scan": {"batch": batch, "shard": batch, "workers": 1}})
        run_scan(photos / f"{table}.jsonl", goods.catalog, out, config=config)
        found = (json.loads(line) for line in (out / "records.jsonl").read_text().splitlines())
        return {row["listing_id"]: json.dumps({**row, "config_fingerprint": ""}, sort_keys=True) for row in found}

    fresh = scanned("all", "a", 8)
    assert any('"status": "ok"' in text for text in fresh.values())
    assert scanned("turned", "b", 1) == fresh  # computed alone, in another order
    assert scanned("some", "c", 2).items() <= fresh.items()
    assert scanned("all", "c", 8) == fresh  # half of it remembered
    assert scanned("all", "b", 3) == fresh  # all of it
    for path in (tmp_path / "b").glob("photos-*"):
        path.unlink()
    assert scanned("all", "b", 5) == fresh  # the vectors alone


# Ten thousand requests


@SLOW
def test_the_memory_of_the_service_is_flat(catalog: Catalog) -> None:
    pytest.importorskip("httpx2", reason="extra dev")
    from fastapi.testclient import TestClient

    from imgmatch.apps.service import create_app

    config = Config.from_dict({"signals": ["design", "listing"], "service": {"rate": 0, "poll": 3600.0}})
    photo = {"files": [("photos", ("a.png", picture(7))), ("listing", (None, '{"listing_id": "1", "title": "bag"}'))]}
    grown = []
    with TestClient(create_app(catalog, config, token="0123456789abcdef"), base_url="http://127.0.0.1") as c:
        c.headers["Authorization"] = "Bearer 0123456789abcdef"
        current = Catalog.load(catalog.path, encoder=GridEncoder())
        extra = write_tree(catalog.path.parent / "extra", {"brand9/item9/0.png": picture(90)})
        for number in range(10_000):
            assert c.post("/examine", **photo).status_code == 200
            if number % 500 == 499:
                current = current.remove(["brand9/item9"]) if "brand9/item9" in current.items else current.add(extra)
                assert c.post("/reload").json()["changed"]
                grown.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
    assert grown[-1] < 1.1 * grown[2], grown
