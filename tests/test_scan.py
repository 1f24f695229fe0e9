"""Scans: sources, one row per listing whatever happens, resuming, killing, locking, tables."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest

from imgmatch import Catalog, Config, Matcher
from imgmatch.errors import InputError, LockedError, ScanError
from imgmatch.io.files import lock
from imgmatch.io.sinks import write_tables
from imgmatch.io.sources import read_listings, with_known
from imgmatch.io.tables import Layout
from imgmatch.records import Listing, PhotoRecord, ScanRecord
from imgmatch.results import read_records
from imgmatch.scan import run_scan, scan_listings
from imgmatch.scan.run import _version, reason_of
from imgmatch.types import FindingStatus
from tests.fakes import GridEncoder, picture, write_tree
from tests.test_tables import EXPORTS

REPO = Path(__file__).parents[1]
SCHEMA = json.loads((REPO / "imgmatch/schemas/record.schema.json").read_text())
CONFIG = Config.from_dict({"signals": ["design"], "scan": {"batch": 4, "shard": 5}})


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    src = write_tree(
        tmp_path / "src", {f"brand{i % 3}/item{i}/{v}.png": picture(10 * i + v) for i in range(6) for v in range(2)}
    )
    return Catalog.build(src, tmp_path / "cat", encoder=GridEncoder())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    layout = {f"{i:02d}.png": picture(10 * (i % 6)) for i in range(12)}
    return write_tree(
        tmp_path / "listings", layout | {"05x.png": b"broken", "many/1.png": picture(1), "many/2.jpg": picture(2)}
    )


def ids(path: Path) -> list[str]:
    return [r.listing_id for r in read_records(path / "records.jsonl")]


def encoded(catalog: Catalog) -> int:
    count: int = catalog.encoder.photos_encoded  # type: ignore[attr-defined]
    return count


# Sources


def test_a_folder(folder: Path) -> None:
    rows = list(read_listings(folder))
    assert [x.listing_id for x, _ in rows] == [f"{i:02d}.png" for i in range(6)] + ["05x.png"] + [
        f"{i:02d}.png" for i in range(6, 12)
    ] + ["many"]
    assert rows[-1][0].photos == ("many/1.png", "many/2.jpg")
    assert all(x.photo_only for x, _ in rows)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_tables_agree(tmp_path: Path, suffix: str) -> None:
    rows = [
        {"listing_id": "1", "photos": ["a.png", "b.png"], "title": "Sac, «neuf»", "price": "€1.299,00", "shade": "blue"},
        {"listing_id": "2", "photos": ["c.png"], "title": None, "price": None, "shade": None},
    ]
    path = tmp_path / f"t{suffix}"
    if suffix == ".csv":
        with open(path, "w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, list(rows[0]))
            writer.writeheader()
            writer.writerows({**r, "photos": json.dumps(r["photos"])} for r in rows)
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    else:
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    listings = [x for x, problem in read_listings(path) if problem is None]
    assert [x.to_dict() for x in listings] == [Listing.from_dict(r).to_dict() for r in rows]


def test_bad_rows_cost_themselves(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"listing_id": "1"}\nnot json\n\n[1]\n{"title": "no id"}\n{"listing_id": "5", "photos": 7}\n{"listing_id": "6"}\n'
    )
    rows = [(x.listing_id, problem) for x, problem in read_listings(path)]
    assert [r[0] for r in rows] == ["1", "t.jsonl:2", "t.jsonl:4", "t.jsonl:5", "5", "6"]
    assert [r[1] is None for r in rows] == [True, False, False, False, False, True]
    assert "photos: expected a list of strings" in rows[4][1]
    ragged = tmp_path / "t.csv"
    ragged.write_bytes(b"listing_id,title\n1,ok\n2,a,b,c\n3,\xff\xfe\x00nul\n" + b'4,"' + b"x" * 300_000 + b'"\n')
    rows = [(x.listing_id, problem) for x, problem in read_listings(ragged)]
    assert [r[0] for r in rows] == ["1", "t.csv:3", "3", "4"]
    assert rows[1][1].endswith("more cells than the header has: 2")


# Scanning


def test_a_table_that_breaks_off_keeps_what_was_read(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    (folder / "t.csv").write_text('listing_id,photos\n1,00.png\n2,01.png\n3,"02.png\n4,03.png\n')
    summary = run_scan(folder / "t.csv", catalog, tmp_path / "out", config=CONFIG)
    assert ids(tmp_path / "out") == ["1", "2"]
    assert "quote that opens in line 4" in str(summary.stopped)


@pytest.mark.parametrize("rows", [3, 1500])
def test_a_scan_without_hope_stops_with_its_reason(catalog: Catalog, tmp_path: Path, rows: int) -> None:
    (tmp_path / "t.csv").write_text("Handle;Title;Variant Price;Image Src\n" + "bag;Tote;59;a.jpg\n" * rows)
    summary = run_scan(tmp_path / "t.csv", catalog, tmp_path / "out", config=CONFIG)
    assert 0 < summary.rows <= 1100
    assert len(ids(tmp_path / "out")) == summary.rows
    assert str(summary.stopped).startswith("every listing" if rows < 1000 else "each of the first 1000 listings")
    for said in ("listing_id: missing or empty", "CSV, semicolon, utf-8", "Variant Price", "--preset shopify"):
        assert said in str(summary.stopped)


def test_many_failures_are_counted_by_reason(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    rows = "1,00.png\n2,01.png\n3,no.png\n4,nor.png\n,02.png\n6,00.png|gone.png\n"
    (folder / "t.csv").write_text("listing_id,photos\n" + rows)
    summary = run_scan(folder / "t.csv", catalog, tmp_path / "out", config=CONFIG)
    assert summary.stopped is None
    said = next(note for note in summary.notes if "of 6 listings failed" in note)
    assert said.startswith(
        "3 of 6 listings failed: 2 nothing could be examined: missing: no such file; 1 listing_id: missing"
    )
    assert "1 photos of listings that were judged could not be read: 1 missing: no such file" in summary.notes


def test_the_five_commonest_reasons_are_named(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    write_tree(folder, {"empty.png": b"", "small.png": picture(3, (4, 4))})
    bad = ["no.png", "05x.png", "https://shop.example/x.png", "../x.png", "empty.png", "small.png"]
    rows = [f"{n}a,{photo}\n{n}b,00.png|{photo}\n" for n, photo in enumerate([*bad, *bad[1:]])]
    (folder / "t.csv").write_text("listing_id,photos\n" + "".join(rows))
    summary = run_scan(folder / "t.csv", catalog, tmp_path / "out", config=CONFIG)
    assert [note.split(": ")[0] for note in summary.notes] == [
        "11 of 22 listings failed",
        "11 photos of listings that were judged could not be read",
    ]
    for note in summary.notes:
        assert note.count("; 2 ") == 4  # five of those that are there twice
        assert "no such file" not in note


def test_reasons_are_counted_up_to_a_limit(
    catalog: Catalog, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many reasons as rows would be no summary: here nothing is kept once there are two, or three from one row."""
    monkeypatch.setattr("imgmatch.scan.run._HOPELESS", 2)
    bad = ["no.png", "05x.png|https://shop.example/x.png", "../x.png"]
    rows = [f"{n}a,00.png|{photos}\n{n}b,{photos}\n" for n, photos in enumerate(bad)]
    (folder / "t.csv").write_text("listing_id,photos\n" + "".join(rows))
    summary = run_scan(folder / "t.csv", catalog, tmp_path / "out", config=CONFIG)
    assert summary.stopped is None
    assert [(len(reasons), reasons.total()) for reasons in (summary.reasons, summary.unread)] == [(2, 2), (3, 3)]


@pytest.mark.parametrize(
    ("text", "why"), [("", "no listing found; read as CSV"), ('1,"00.png\n', "quote that opens in line 2")]
)
def test_a_source_without_a_listing_is_no_scan(catalog: Catalog, tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "t.csv").write_text("listing_id,photos\n" + text)
    with pytest.raises(InputError, match=why):
        run_scan(tmp_path / "t.csv", catalog, tmp_path / "out", config=CONFIG)


def test_links_of_posts_that_lead_nowhere_are_counted_and_three_named(
    catalog: Catalog, folder: Path, tmp_path: Path
) -> None:
    (folder / "t.csv").write_text("listing_id,photos\n1,00.png\n")
    (folder / "posts.csv").write_text("link,text\nd,buy\nb,buy\na,buy\nc,buy\n1,buy\n")
    summary = run_scan(folder / "t.csv", catalog, tmp_path / "out", posts=folder / "posts.csv", config=CONFIG)
    assert "4 links of posts lead to no listing of the table, such as a, b, c" in summary.notes


def test_what_listings_say_is_written_as_it_is_and_impossible_names_cost_the_row(
    catalog: Catalog, folder: Path, tmp_path: Path
) -> None:
    rows = [{"listing_id": "1", "photos": ["00.png"], "title": "Sac à main"}, {"listing_id": "2", "photos": ["a\0.png"]}]
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = run_scan(folder / "t.jsonl", catalog, tmp_path / "out", config=CONFIG)
    assert (summary.rows, summary.counts["failed"]) == (2, 1)
    assert "Sac à main" in (tmp_path / "out/records.jsonl").read_text("utf-8")


def test_times_are_those_of_the_clock(
    catalog: Catalog, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run_scan(folder, catalog, out, config=CONFIG)
    (folder / "00.png").write_bytes(picture(4242))
    wall, own = iter((10.0, 14.1234567, 20.7654321)), iter((1.0, 1.4567891))
    clock = SimpleNamespace(perf_counter=lambda: next(wall), thread_time=lambda: next(own))
    monkeypatch.setattr("imgmatch.scan.run.time", clock)
    assert run_scan(folder, catalog, out, config=CONFIG).seconds == pytest.approx(10.7654321)
    timings = json.loads((out / "run.json").read_text())["timings"]
    assert (timings["seconds"], timings["examine_seconds"]) == (10.765, 4.123)
    assert timings["listings_per_second"] == 1.21  # 5 of the 14 were examined
    assert timings["processor_seconds"]["write"] == 0.457


@pytest.mark.parametrize("preset", EXPORTS)
def test_each_preset_is_scanned_end_to_end(catalog: Catalog, tmp_path: Path, preset: str) -> None:
    text, want = EXPORTS[preset]
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(picture(0))
    (tmp_path / "t.csv").write_text(text)
    summary = run_scan(tmp_path / "t.csv", catalog, tmp_path / "out", layout=Layout.load(preset), config=CONFIG)
    records = list(read_records(tmp_path / "out/records.jsonl"))
    assert [r.listing_id for r in records] == [row[0] for row in want]
    assert [len(r.photos) for r in records] == [len(row[3]) for row in want]
    assert records[0].status == "ok"
    assert summary.stopped is None


def test_one_row_each_in_order_and_to_the_schema(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    summary = run_scan(folder, catalog, tmp_path / "out", config=CONFIG)
    records = list(read_records(tmp_path / "out/records.jsonl"))
    assert [r.listing_id for r in records] == [x.listing_id for x, _ in read_listings(folder)]
    for record in records:
        jsonschema.validate(record.to_dict(), SCHEMA)
    assert [r.listing_id for r in records if r.status == "failed"] == ["05x.png"]
    assert summary.rows == 14
    assert sum(summary.counts.values()) == 14
    assert summary.stopped is None  # one of them failed, not all
    assert [note.split(":")[0] for note in summary.notes if "failed" in note] == ["1 of 14 listings failed"]
    text = (tmp_path / "out/run.json").read_text()
    assert text.startswith('{\n "source"')  # a line a field, for people
    run = json.loads(text)
    assert run["counts"]["listings"] == 14
    assert run["catalog"]["version"] == catalog.version
    assert {r.config_fingerprint for r in records} == {run["config_fingerprint"]}
    with open(tmp_path / "out/records.csv", encoding="utf-8-sig", newline="") as f:
        assert [row["listing_id"] for row in csv.DictReader(f)] == [r.listing_id for r in records]


def test_a_second_run_reuses_everything(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    run_scan(folder, catalog, tmp_path / "out", config=CONFIG)
    first = (tmp_path / "out/records.jsonl").read_bytes()
    before = encoded(catalog)
    assert run_scan(folder, catalog, tmp_path / "out", config=CONFIG).reused == 14
    assert encoded(catalog) == before
    assert (tmp_path / "out/records.jsonl").read_bytes() == first


@pytest.mark.parametrize("change", ["config", "catalog", "photo", "row"])
def test_nothing_stale_is_reused(catalog: Catalog, folder: Path, tmp_path: Path, change: str) -> None:
    run_scan(folder, catalog, tmp_path / "out", config=CONFIG)
    config, again = CONFIG, catalog
    if change == "config":
        config = Config.from_dict({**CONFIG.to_dict(), "candidates": 2})
    elif change == "catalog":
        again = catalog.remove(["brand0/item0"])
    elif change == "photo":
        (folder / "00.png").write_bytes(picture(4242))
    else:
        (folder / "00a.png").write_bytes(picture(1))
    reused = run_scan(folder, again, tmp_path / "out", config=config).reused
    # Shards of five: a changed photo touches the first shard only, a new row shifts all that come after it.
    assert reused == (9 if change == "photo" else 0)
    assert ids(tmp_path / "out") == [x.listing_id for x, _ in read_listings(folder)]


def test_a_row_is_examined_again_when_anything_it_depends_on_has_changed(
    catalog: Catalog, folder: Path, tmp_path: Path
) -> None:
    table, out = folder / "t.jsonl", tmp_path / "out"
    row: dict[str, object] = {
        "listing_id": "1",
        "photos": ["00.png"],
        "promo_photos": ["01.png"],
        "title": "Tote",
        "price": 900,
    }

    def reused() -> int:
        table.write_text(json.dumps(row) + "\n")
        return run_scan(table, catalog, out, config=CONFIG).reused

    assert (reused(), reused()) == (0, 1)
    changes = {"title": "Tote, mirror quality", "price": 90, "seller_id": "x", "shade": "blue", "mood": "good"}
    for name, value in {**changes, "promo_photos": ["02.png"]}.items():
        row[name] = value
        assert (name, reused(), reused()) == (name, 0, 1)
    row = dict(reversed(row.items()))
    assert reused() == 1  # the same in another order
    [shard] = (out / "shards").iterdir()  # those of rows that were otherwise are gone
    assert re.fullmatch(r"000000-[0-9a-f]{16}\.jsonl", shard.name)
    for photo in ("00.png", "02.png"):
        stat = (folder / photo).stat()
        os.utime(folder / photo, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))  # same bytes, another time
        assert (photo, reused(), reused()) == (photo, 0, 1)
        (folder / photo).write_bytes((folder / photo).read_bytes() + b" ")
        os.utime(folder / photo, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))  # same time, another size
        assert (photo, reused(), reused()) == (photo, 0, 1)
        (folder / photo).unlink()
        assert (photo, reused()) == (photo, 0)


def test_resume_can_be_declined(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    run_scan(folder, catalog, tmp_path / "out", config=CONFIG)
    assert run_scan(folder, catalog, tmp_path / "out", config=CONFIG, resume=False).reused == 0


def test_what_did_not_change_is_not_written_again(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_scan(folder, catalog, out, config=CONFIG)
    names = ("records.jsonl", "records.csv")
    before = {name: (out / name).read_bytes() for name in names}
    inodes = {name: (out / name).stat().st_ino for name in names}
    run_scan(folder, catalog, out, config=CONFIG)
    assert {name: (out / name).stat().st_ino for name in names} == inodes
    (out / "records.csv").write_text("edited")
    (out / "records.jsonl").unlink()
    run_scan(folder, catalog, out, config=CONFIG)
    assert {name: (out / name).read_bytes() for name in names} == before
    (out / "run.json").unlink()
    run_scan(folder, catalog, out, config=CONFIG)
    assert (out / "run.json").exists()
    calls = []
    run_scan(folder, catalog, out, config=CONFIG, report=lambda *a, **k: calls.append(k))
    assert calls, "a report that was not asked for before is written now"


def test_without_parquet_nothing_is_written_again_either(
    catalog: Catalog, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    out = tmp_path / "out"
    run_scan(folder, catalog, out, config=CONFIG)
    assert not (out / "records.parquet").exists()
    inode = (out / "records.jsonl").stat().st_ino
    run_scan(folder, catalog, out, config=CONFIG)
    assert (out / "records.jsonl").stat().st_ino == inode


def test_failed_rows_are_retried_when_asked(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    run_scan(folder, catalog, tmp_path / "out", config=CONFIG)
    assert run_scan(folder, catalog, tmp_path / "out", config=CONFIG, retry_failed=True).reused == 9


@pytest.mark.parametrize(
    ("photo", "finding"), [("failed", FindingStatus.OK), ("ok", FindingStatus.FAILED)], ids=["a photo", "a signal"]
)
def test_what_failed_in_a_row_that_did_not_is_retried_when_asked(
    catalog: Catalog, folder: Path, tmp_path: Path, photo: str, finding: FindingStatus
) -> None:
    out = tmp_path / "out"
    run_scan(folder, catalog, out, config=CONFIG)
    assert run_scan(folder, catalog, out, config=CONFIG, retry_failed=True).reused == 9
    good = next(p for p in sorted((out / "shards").iterdir()) if '"failed"' not in p.read_text())
    rows = [json.loads(line) for line in good.read_text().splitlines()]
    rows[0]["photos"][0]["status"] = photo
    rows[0]["verdict"]["findings"].append({"signal": "x", "status": str(finding), "value": None, "reason": "broke"})
    if finding is FindingStatus.OK:
        rows[0]["verdict"]["findings"].pop()
    good.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run_scan(folder, catalog, out, config=CONFIG).reused == 14
    assert run_scan(folder, catalog, out, config=CONFIG, retry_failed=True).reused == 9 - len(rows)


def test_what_is_known_of_all_listings_is_on_each(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    known = {"url": "https://shop.example", "condition": "new"}
    run_scan(folder, catalog, tmp_path / "out", config=CONFIG, known=known)
    for record in read_records(tmp_path / "out/records.jsonl"):
        assert (record.listing.url, record.listing.condition) == ("https://shop.example", "new")
    with pytest.raises(InputError, match="'colour' is not known of listings; expected one of"):
        run_scan(folder, catalog, tmp_path / "other", config=CONFIG, known={"colour": "red"})
    listing = Listing("a", condition="used")
    assert with_known((listing, None), known)[0] == replace(listing, url="https://shop.example")


def test_a_torn_shard_is_done_again(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    run_scan(folder, catalog, tmp_path / "out", config=CONFIG)
    shard = min((tmp_path / "out/shards").iterdir())
    shard.write_bytes(shard.read_bytes()[:-40])
    assert run_scan(folder, catalog, tmp_path / "out", config=CONFIG).reused == 9
    assert len(ids(tmp_path / "out")) == 14


def test_stopping_the_stream_keeps_finished_shards(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int, counts: object) -> None:
        assert total == 14
        if done == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_scan(folder, catalog, tmp_path / "out", config=CONFIG, progress=stop)
    assert not (tmp_path / "out/records.jsonl").exists()
    assert run_scan(folder, catalog, tmp_path / "out", config=CONFIG).reused == 10
    assert len(ids(tmp_path / "out")) == 14


SCANNER = """
    import sys
    from pathlib import Path
    from imgmatch import Catalog, Config
    from imgmatch.scan import run_scan
    from tests.fakes import GridEncoder
    folder, cat, out = map(Path, sys.argv[1:4])
    config = Config.from_dict({"signals": ["design"], "scan": {"batch": 4, "shard": 5}})
    run_scan(folder, Catalog.load(cat, encoder=GridEncoder()), out, config=config)
"""


@pytest.mark.slow
def test_killed_twenty_times_it_loses_nothing(catalog: Catalog, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "many", {f"{i:03d}.png": picture(i) for i in range(120)})
    out = tmp_path / "out"
    command = [sys.executable, "-c", textwrap.dedent(SCANNER), folder, catalog.path, out]
    for attempt in range(20):
        process = subprocess.Popen(command, cwd=REPO)
        time.sleep(1.0 + 0.1 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for shard in (out / "shards").glob("*.jsonl"):
            assert len(list(read_records(shard))) == 5
    subprocess.run(command, cwd=REPO, check=True)
    assert ids(out) == [f"{i:03d}.png" for i in range(120)]


def test_two_scans_into_one_folder(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with lock(tmp_path / "out"), pytest.raises(LockedError, match="another process"):
        run_scan(folder, catalog, tmp_path / "out", config=CONFIG)


def test_a_full_disk_is_said_and_costs_only_the_rest(catalog: Catalog, folder: Path, tmp_path: Path, monkeypatch) -> None:
    import imgmatch.scan.run as module

    real, calls = module._write_shard, []

    def full(path: Path, records: list[ScanRecord]) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", str(path))
        real(path, records)

    monkeypatch.setattr(module, "_write_shard", full)
    with pytest.raises(ScanError, match=r"jsonl: No space left on device; finished shards"):
        run_scan(folder, catalog, tmp_path / "out", config=CONFIG)
    monkeypatch.setattr(module, "_write_shard", real)
    assert run_scan(folder, catalog, tmp_path / "out", config=CONFIG).reused == 5


def test_an_error_that_names_no_file_is_said_of_the_folder(
    catalog: Catalog, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, records: list[ScanRecord]) -> None:
        raise OSError("out of luck")

    monkeypatch.setattr("imgmatch.scan.run._write_shard", broken)
    with pytest.raises(ScanError, match=f"^{tmp_path / 'out'}: out of luck; finished shards in "):
        run_scan(folder, catalog, tmp_path / "out", config=CONFIG)


def test_versions_are_those_of_what_is_installed() -> None:
    assert _version("numpy") == np.__version__
    assert _version("of no package at all") is None


@pytest.mark.parametrize("what", ["nothing", "empty folder", "text"])
def test_sources_that_cannot_be_used(catalog: Catalog, tmp_path: Path, what: str) -> None:
    path = tmp_path / what.replace(" ", "-")
    if what == "empty folder":
        path.mkdir()
    elif what == "text":
        path.with_suffix(".txt").write_text("x")
    with pytest.raises(InputError):
        run_scan(path, catalog, tmp_path / "out", config=CONFIG)


def test_scan_is_lazy_and_bounded(catalog: Catalog, folder: Path) -> None:
    taken: list[str] = []

    def endless():
        n = 0
        while True:
            taken.append(str(n))
            yield Listing(str(n), ("00.png",))
            n += 1

    stream = scan_listings(endless(), Matcher(catalog, CONFIG), root=folder)
    first = [next(stream).listing_id for _ in range(10)]
    stream.close()
    assert first == [str(i) for i in range(10)]
    assert len(taken) < 40


@pytest.mark.parametrize("schema", sorted((REPO / "imgmatch/schemas").glob("*.json")), ids=lambda path: path.stem)
def test_schemas_are_schemas(schema: Path) -> None:
    """Held against the standard here, so that no start has to."""
    jsonschema.Draft202012Validator.check_schema(json.loads(schema.read_text("utf-8")))


# Tables


def test_csv_cells_are_no_formulas(catalog: Catalog, tmp_path: Path) -> None:
    titles = ["=1+1", "+1", "-1", "＝1", "\tx", 'a,b\n"c"', "nul\0", "fine", "x" * 100_000]
    records = [ScanRecord(Listing(str(i), title=t)) for i, t in enumerate(titles)]
    assert list(write_tables(records, tmp_path, [])) == records
    with open(tmp_path / "records.csv", encoding="utf-8-sig", newline="") as f:
        cells = [row["title"] for row in csv.DictReader(f)]
    assert cells[:4] == ["'=1+1", "'+1", "'-1", "'＝1"]
    assert cells[4:8] == ["\\tx", 'a,b\n"c"', "nul\\x00", "fine"]
    assert len(cells[8]) == 32_000


@pytest.mark.parametrize(
    ("photo", "said", "reason"),
    [
        (
            "a: b.png",
            "too_small: a: b.png: 1 x 6000: a side is under 8 pixels",
            "too_small: … x …: a side is under … pixels",
        ),
        (
            "c.jpg",
            "truncated: c.jpg: cannot be decoded: image file is truncated (100 bytes not processed)",
            "truncated: cannot be decoded",
        ),
        ("https://x.example/a: 1.jpg", "url: https://x.example/a: 1.jpg: is a URL; nothing is fetched", "url: is a URL"),
        ("is.jpg", "missing: is.jpg: no such file", "missing: no such file"),
        ("missing", "missing: missing: no such file", "missing: no such file"),
        ("is: no such file\x1b.jpg", "missing: is: no such file\\x1b.jpg: no such file", "missing: no such file"),
        ("", "the listing has no photo", "the listing has no photo"),
    ],
)
def test_what_photos_fail_for_is_grouped_without_their_names(photo: str, said: str, reason: str) -> None:
    photos = (PhotoRecord("photo-1", "listing", photo, status="failed", error=said),) if photo else ()
    record = ScanRecord(Listing("1"), status="failed", error=f"nothing could be examined: {said}", photos=photos)
    assert reason_of(record).startswith(f"nothing could be examined: {reason}")


def test_what_rows_fail_for_is_grouped_without_their_places() -> None:
    record = ScanRecord(Listing("1"), status="failed", error="t.csv:17: price: expected an amount, got 'x'")
    assert reason_of(record) == "price: expected an amount, got …"
    assert reason_of(replace(record, error="x" * 200)) == "x" * 160
