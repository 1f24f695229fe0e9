"""Under fire: killed at random, disks that fill up, folders that may not be written, tables that want to do harm."""

from __future__ import annotations

import contextlib
import csv
import json
import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from imgmatch import Catalog, Config, Listing, Matcher
from imgmatch.errors import CatalogCorruptError, CatalogError, ImgmatchError, ScanError
from imgmatch.fit.fitting import fit
from imgmatch.investigate.report import write_report
from imgmatch.results import read_records
from imgmatch.scan import run_scan
from imgmatch.verdicts.calibration import Calibration
from imgmatch.verdicts.labels import LabelRow, append_labels, read_labels
from tests.fakes import GridEncoder, picture, write_tree
from tests.test_calibration import ABOUT, world

CONFIG = Config.from_dict({"signals": ["design"], "scan": {"batch": 4, "shard": 5, "workers": 2}})
SLOW = pytest.mark.slow

# Children are forked from a clean process that has our modules loaded: a kill hits the work, not the imports.
SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.test_fire"])


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))


def source(root: Path, items: range) -> Path:
    return write_tree(root, {f"brand{i % 3}/item{i}/{v}.png": picture(10 * i + v) for i in items for v in range(2)})


def catalog_of(root: Path, items: range = range(4)) -> Catalog:
    return Catalog.build(source(root / "src", items), root / "cat", encoder=GridEncoder())


def load(path: Path) -> Catalog:
    return Catalog.load(path, encoder=GridEncoder())


# What children do


def _child(work: Callable[..., None], started: Any, cache: str, arguments: tuple[Any, ...]) -> None:
    os.environ["IMGMATCH_CACHE"] = cache
    started.set()
    work(*arguments)


def in_child(work: Callable[..., None], *arguments: Any, kill_after: float | None = None) -> float:
    """Run `work` in a child, killed (-9) so many seconds after it began; return the seconds that it lived."""
    started = SPAWN.Event()
    child = SPAWN.Process(target=_child, args=(work, started, os.environ["IMGMATCH_CACHE"], arguments))
    child.start()
    assert started.wait(60)
    begin = time.monotonic()
    child.join(kill_after)
    child.kill()
    child.join()
    if kill_after is None:
        assert child.exitcode == 0
    return time.monotonic() - begin


def build(src: Path, cat: Path) -> None:
    Catalog.build(src, cat, encoder=GridEncoder())


def add(src: Path, cat: Path) -> None:
    load(cat).add(src)


def remove(_: Path, cat: Path) -> None:
    load(cat).remove(["brand0/item0"])


def merge(other: Path, cat: Path) -> None:
    load(cat).merge(load(other))


def scan(folder: Path, cat: Path, out: Path) -> None:
    run_scan(folder, load(cat), out, config=CONFIG)


def label(path: Path, done: Path) -> None:
    for number in range(10_000):
        append_labels(path, [LabelRow(f"{os.getpid()}-{number}", "confirm", "ann", "2026-01-01T00:00:00+00:00", "random")])
        with open(done, "a") as f:
            f.write(f"{os.getpid()}-{number}\n")


def calibrate(out: Path, prevalence: float) -> None:
    fit(world(400), **{**ABOUT, "prevalence": prevalence}).save(out)


# kill -9


@pytest.mark.parametrize("times", [3, pytest.param(25, marks=SLOW)])
@pytest.mark.parametrize("change", [build, add, remove, merge])
def test_a_killed_change_leaves_the_old_catalog_or_the_new(
    tmp_path: Path, change: Callable[[Path, Path], None], times: int
) -> None:
    rng = random.Random(times)
    old = catalog_of(tmp_path / "old")
    given = source(tmp_path / "more", range(3, 9))
    if change is merge:
        given = Catalog.build(given, tmp_path / "other", encoder=GridEncoder()).path
    cat = tmp_path / "work"
    old.save(cat)
    duration = in_child(change, given, cat)
    new = load(cat)
    assert new.version != old.version
    for _ in range(times):
        if load(cat).version != old.version:
            shutil.rmtree(cat)
            old.save(cat)
        in_child(change, given, cat, kill_after=rng.uniform(0, duration))
        left = load(cat)
        assert not left.verify()
        assert left.version in (old.version, new.version)
        assert (left.items, left.photos.keys()) in [(c.items, c.photos.keys()) for c in (old, new)]
    if load(cat).version == old.version:
        change(given, cat)
    add(source(tmp_path / "known", range(3, 4)), cat)  # nothing new, but whoever changes a catalog sweeps
    whole = load(cat)
    assert whole.version == new.version
    assert not whole.verify()
    named = {cat / part.path for part in whole.manifest.parts()} | {cat / "manifest.json", cat / ".lock"}
    left_over = [p for p in cat.rglob("*") if p.is_file() and p not in named and p.name not in whole.photos]
    assert not left_over


@pytest.mark.parametrize("times", [3, pytest.param(25, marks=SLOW)])
def test_a_killed_first_build_is_no_catalog_and_can_be_built_again(tmp_path: Path, times: int) -> None:
    rng = random.Random(times)
    src = source(tmp_path / "src", range(8))
    duration = in_child(build, src, tmp_path / "first")
    expected = load(tmp_path / "first").version
    cat = tmp_path / "cat"
    for _ in range(times):
        in_child(build, src, cat, kill_after=rng.uniform(0, duration))
        if (cat / "manifest.json").exists():
            assert not load(cat).verify()
            shutil.rmtree(cat)
        else:
            with pytest.raises(CatalogError, match="no catalog here"):
                load(cat)
    build(src, cat)
    assert load(cat).version == expected


@pytest.mark.parametrize("times", [4, pytest.param(100, marks=SLOW)])
def test_a_killed_scan_goes_on_without_a_lost_doubled_or_torn_row(tmp_path: Path, times: int) -> None:
    rng = random.Random(times)
    cat = catalog_of(tmp_path).path
    listings = write_tree(tmp_path / "listings", {f"{i:03d}.png": picture(i) for i in range(60)} | {"x.png": b"broken"})
    duration = in_child(scan, listings, cat, tmp_path / "whole")
    expected = (tmp_path / "whole/records.jsonl").read_bytes()
    out = tmp_path / "out"
    for _ in range(times):
        in_child(scan, listings, cat, out, kill_after=rng.uniform(0, duration))
        for shard in (out / "shards").glob("*.jsonl"):
            assert len(list(read_records(shard))) in (5, 1)
        if (out / "records.jsonl").exists():  # it was quicker: start over
            assert (out / "records.jsonl").read_bytes() == expected
            shutil.rmtree(out)
    in_child(scan, listings, cat, out)
    assert (out / "records.jsonl").read_bytes() == expected
    with open(out / "records.csv", encoding="utf-8-sig", newline="") as f:
        assert len(list(csv.DictReader(f))) == 61
    run = json.loads((out / "run.json").read_text())
    assert run["counts"]["listings"] == 61


@pytest.mark.parametrize("times", [3, pytest.param(100, marks=SLOW)])
def test_killed_while_labelling_no_decision_is_lost_or_torn(tmp_path: Path, times: int) -> None:
    rng = random.Random(times)
    path, done = tmp_path / "labels.csv", tmp_path / "done"
    for _ in range(times):
        in_child(label, path, done, kill_after=rng.uniform(0.05, 0.3))
    append_labels(path, [LabelRow("last", "reject", "ann", "2026-01-01T00:00:00+00:00", "random")])
    labels, problems = read_labels(path)
    acknowledged = done.read_text().split()
    assert acknowledged
    assert set(acknowledged) | {"last"} <= {listing_id for _, _, listing_id in labels}
    assert len(labels) <= len(acknowledged) + times + 1
    assert not problems


@pytest.mark.parametrize("times", [3, pytest.param(100, marks=SLOW)])
def test_a_killed_calibration_leaves_the_old_one_or_the_new(tmp_path: Path, times: int) -> None:
    rng = random.Random(times)
    out = tmp_path / "calibration.json"
    calibrate(out, 0.02)
    old = Calibration.load(out)
    duration = in_child(calibrate, out, 0.1)
    new = Calibration.load(out)
    assert new != old
    for _ in range(times):
        old.save(out)
        in_child(calibrate, out, 0.1, kill_after=rng.uniform(0, duration))
        assert Calibration.load(out) in (old, new)


# Disks and folders


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of so many bytes; skips aloud where none can be mounted."""
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_ends_a_change_and_leaves_the_old_catalog(tmp_path: Path) -> None:
    big = write_tree(tmp_path / "big", {f"b/i{i}/0.png": picture(i, (400, 400)) for i in range(100, 130)})
    with small_disk(tmp_path / "disk", "1m") as disk:
        old = catalog_of(tmp_path / "small").save(disk / "cat")
        with pytest.raises(CatalogError, match=f"{disk}.*No space left on device; the catalog was left whole"):
            old.add(big)
        left = load(disk / "cat")
        assert left.version == old.version
        assert not left.verify()
        with pytest.raises(CatalogError, match="No space left"):
            Catalog.build(big, disk / "other", encoder=GridEncoder())
        with pytest.raises(CatalogError, match="no catalog here"):
            load(disk / "other")


def test_a_full_disk_ends_a_scan_that_goes_on_once_there_is_room(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path)
    listings = write_tree(tmp_path / "listings", {f"{i:03d}.png": picture(i) for i in range(100)})
    with small_disk(tmp_path / "disk", "256k") as disk:
        out, filler = disk / "out", disk / "filler"
        filler.write_bytes(bytes(150_000))
        with pytest.raises(ScanError, match=r"No space left on device; finished shards in .* stay valid"):
            run_scan(listings, catalog, out, config=CONFIG)
        finished = list((out / "shards").glob("*.jsonl"))
        assert finished
        assert not (out / "records.jsonl").exists()
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        summary = run_scan(listings, catalog, out, config=CONFIG)
        assert summary.reused == 5 * len(finished)
        assert [r.listing_id for r in read_records(out / "records.jsonl")] == [f"{i:03d}.png" for i in range(100)]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_folders_that_may_not_be_written() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        cat = catalog_of(root).path
        listings = write_tree(root / "listings", {"a.png": picture(1), "denied.png": picture(2)})
        (listings / "denied.png").chmod(0)
        (root / "open").mkdir()
        (root / "open").chmod(0o777)
        in_child(_as_nobody, listings, cat, root)


def _as_nobody(listings: Path, cat: Path, disk: Path) -> None:
    # Once as root, so that all of Python that the work needs is loaded: it may lie where only root can read.
    run_scan(listings, load(cat), disk / "warm", config=CONFIG)
    load(cat).save(disk / "copy").remove(["brand0/item0"])
    os.setuid(65534)
    os.environ["IMGMATCH_CACHE"] = str(disk / "open/cache")
    with pytest.raises(ScanError, match="Permission denied"):
        run_scan(listings, load(cat), disk / "closed", config=CONFIG)
    with pytest.raises(CatalogError, match="Permission denied"):
        load(cat).remove(["brand0/item0"])
    assert not load(cat).verify()
    run_scan(listings, load(cat), disk / "open/out", config=CONFIG)
    a, denied = read_records(disk / "open/out/records.jsonl")
    assert a.status == "ok"
    assert denied.photos[0].error.startswith("denied: ")


def test_photos_deleted_while_they_are_scanned_cost_themselves(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path)
    listings = write_tree(tmp_path / "listings", {f"{i:03d}.png": picture(i) for i in range(40)})

    def progress(done: int, total: int, _: Counter[str]) -> None:
        (listings / "039.png").unlink(missing_ok=True)

    run_scan(listings, catalog, tmp_path / "out", config=CONFIG, progress=progress)
    records = list(read_records(tmp_path / "out/records.jsonl"))
    assert [r.status for r in records] == ["ok"] * 39 + ["failed"]
    assert "missing" in records[-1].error


# Corruption


@SLOW
def test_a_thousand_flipped_bits_are_all_noticed(tmp_path: Path) -> None:
    cat = Catalog.build(source(tmp_path / "src", range(4)), tmp_path / "cat", encoder=GridEncoder(), factory="HNSW8").path
    files = sorted(p for p in cat.rglob("*") if p.is_file() and p.name != ".lock")
    rng = random.Random(0)
    for _ in range(1000):
        path = rng.choice(files)
        data = path.read_bytes()
        if not data:
            continue
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        with contextlib.suppress(CatalogError):
            c = load(cat)
            assert c.verify(), f"{path} was not noticed"
            if path.suffix in (".faiss", ".f32"):
                with pytest.raises(CatalogCorruptError):
                    c.search(c.vectors[:1], 1)
        path.write_bytes(data)
    assert not load(cat).verify()


# Tables that want to do harm


HOSTILE = [
    {"listing_id": "<script>alert(1)</script>", "title": "<img src=x onerror=alert(1)>", "photos": ["ok.png"]},
    {"listing_id": "=cmd|' /C calc'!A0", "title": '=HYPERLINK("http://x")', "seller_id": "@SUM(1)", "photos": ["ok.png"]},
    {"listing_id": "out", "photos": ["../secret.png", "/etc/passwd", "link.png", "linked/secret.png", "..\\secret.png"]},
    {"listing_id": "url", "photos": ["http://127.0.0.1:1/x.png", "file:///etc/passwd", "data:image/png;base64,AAAA"]},
    {"listing_id": "long", "title": "x" * 10_000_000, "photos": ["ok.png"]},
    {"listing_id": "nul\0", "title": "a\0b", "photos": ["ok.png\0.jpg"]},
    {"listing_id": "\ud800", "title": "\udfff", "shade\ud800": ["\ud800"], "photos": ["\ud800.png"]},
    {"listing_id": "twice", "photos": ["ok.png"]},
    {"listing_id": "twice", "photos": ["ok.png"]},
    {"listing_id": "url2", "url": "javascript:alert(1)", "title": "</script><svg/onload=alert(1)>", "photos": ["ok.png"]},
    {"listing_id": "many", "photos": ["ok.png"] * 500},
    {"listing_id": "nan", "price": float("nan"), "x": float("inf"), "photos": ["ok.png"]},
]


def test_a_hostile_table_goes_through_the_whole_pipeline(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path)
    root = write_tree(tmp_path / "listings", {"ok.png": picture(0)})
    write_tree(tmp_path, {"secret.png": picture(1), "outside/secret.png": picture(2)})
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "linked").symlink_to(tmp_path / "outside")
    table = root / "t.jsonl"
    deep = '{"listing_id": "deep", "photos": ["ok.png"], "x": ' + "[" * 900 + "]" * 900 + "}"
    table.write_text("\n".join([*map(json.dumps, HOSTILE), deep]) + "\n")
    out = tmp_path / "out"
    summary = run_scan(table, catalog, out, config=CONFIG, report=write_report)
    assert summary.rows == len(HOSTILE) + 1

    records = list(read_records(out / "records.jsonl"))
    assert [r.listing_id for r in records[:2]] == [row["listing_id"] for row in HOSTILE[:2]]
    assert [r.listing_id for r in records].count("twice") == 2
    for record in (records[2], records[3]):
        assert record.status == "failed"
        assert all(p.sha256 is None and p.error.split(":")[0] in ("outside_root", "url", "missing") for p in record.photos)
    assert len(records[4].listing.title) == 10_000_000
    with open(out / "records.csv", encoding="utf-8-sig", newline="") as f:
        csv.field_size_limit(1 << 30)
        rows = list(csv.DictReader(f))
    assert len(rows) == summary.rows
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    page = (out / "report.html").read_text(encoding="utf-8")
    for harm in ("<script>alert", "<img src=x", "<svg/onload", 'href="javascript:', "file:///etc", "</script><svg"):
        assert harm not in page
    assert len(page) < 20_000_000
    assert run_scan(table, catalog, out, config=CONFIG).reused == summary.rows


def _scan_rows(cat: Path, table: Path, out: Path, rows: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    config = Config.from_dict({"signals": ["design"], "scan": {"batch": 32, "shard": 4096, "workers": 1}})
    summary = run_scan(table, load(cat), out, config=config)
    assert summary.rows == rows
    (out / "grown").write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))


@SLOW
def test_two_hundred_thousand_rows_of_one_seller_take_no_more_memory_than_twenty_thousand(tmp_path: Path) -> None:
    cat = catalog_of(tmp_path).path
    grown = {}
    for rows in (20_000, 200_000):
        table = tmp_path / f"{rows}.jsonl"
        with open(table, "w") as f:
            for i in range(rows):
                f.write(json.dumps({"listing_id": str(i), "seller_id": "one", "title": "bag", "price": 10}) + "\n")
        in_child(_scan_rows, cat, table, tmp_path / f"out{rows}", rows)
        grown[rows] = int((tmp_path / f"out{rows}/grown").read_text())
    assert grown[200_000] - grown[20_000] < 20_000  # KiB


def _build_measured(src: Path, out: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    Catalog.build(src, out / "cat", encoder=GridEncoder())
    (out / "grown").write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))


@SLOW
def test_a_build_holds_no_more_than_the_rows_of_its_photos(tmp_path: Path) -> None:
    grown = {}
    for photos in (400, 2400):
        out = tmp_path / str(photos)
        layout = {f"b{i % 3}/i{i // 2}/{i}.jpg": picture(i, (300, 300), "JPEG") for i in range(photos)}
        in_child(_build_measured, write_tree(out / "src", layout), out)
        grown[photos] = int((out / "grown").read_text())
    # A photo of this size is 264 KiB decoded; its rows in the tables are about 2 KiB.
    assert grown[2400] - grown[400] < 2000 * 6  # KiB


# Threads


def test_sixteen_threads_answer_like_one(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path)
    root = write_tree(tmp_path / "l", {f"{i}.png": picture(5 * i, (200, 160)) for i in range(8)} | {"bad.png": b"x"})
    listings = [
        Listing(f"{i}-{name.stem}", (name.name,), title="Brand0 replica bag 1:1", price="10", currency="EUR", seller_id="s")
        for name in sorted(root.iterdir())
        for i in range(2)
    ]
    signals = ["design", "copy", "listing", "mismatch"]
    serial = [Matcher(catalog, Config.from_dict({"signals": signals})).examine(x, photos=root).to_dict() for x in listings]
    shared = Matcher(load(catalog.path), Config.from_dict({"signals": signals}))
    together = threading.Barrier(16)

    def examine(x: Listing) -> dict[str, Any]:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(5)
        return shared.examine(x, photos=root).to_dict()

    with ThreadPoolExecutor(16) as pool:
        threaded = list(pool.map(examine, listings))
    assert threaded == serial
    assert not any(f["status"] == "failed" for r in serial if r["verdict"] for f in r["verdict"]["findings"])


def test_two_scans_into_one_folder_in_two_processes(tmp_path: Path) -> None:
    cat = catalog_of(tmp_path).path
    listings = write_tree(tmp_path / "listings", {f"{i:03d}.png": picture(i) for i in range(60)})
    started = SPAWN.Event()
    child = SPAWN.Process(
        target=_child, args=(scan, started, os.environ["IMGMATCH_CACHE"], (listings, cat, tmp_path / "out"))
    )
    child.start()
    try:
        refused = 0
        while child.is_alive():
            try:
                run_scan(listings, load(cat), tmp_path / "out", config=CONFIG)
            except ImgmatchError as error:
                assert "another process" in str(error)  # noqa: PT017
                refused += 1
    finally:
        child.join()
    assert refused or child.exitcode == 1  # whichever came second was refused
    run_scan(listings, load(cat), tmp_path / "out", config=CONFIG)
    assert len(list(read_records(tmp_path / "out/records.jsonl"))) == 60
