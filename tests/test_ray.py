"""Scans on Ray: shards in any order give the same files; a killed worker's shards are done by another."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from imgmatch import Catalog, Config, Matcher
from imgmatch.apps.ray import run_shards as run_on_ray
from imgmatch.encoders import load_encoder
from imgmatch.encoders.store import cache_dir
from imgmatch.errors import MissingExtraError, ScanError, WeightsError
from imgmatch.records import ScanRecord
from imgmatch.scan import Shard, run_scan, run_shards
from tests.fakes import GridEncoder, picture, write_tree

CONFIG = Config.from_dict({"signals": ["design"], "scan": {"batch": 4, "shard": 5}})


def source(root: Path) -> Path:
    return write_tree(root, {f"brand{i % 3}/item{i}/{v}.png": picture(10 * i + v) for i in range(6) for v in range(2)})


def backwards(shards: Iterable[Shard], matcher: Matcher, root: Path) -> Iterator[tuple[int, ScanRecord]]:
    for shard in reversed(list(shards)):
        yield from run_shards([shard], matcher, root)


def test_shards_that_come_back_in_any_order_give_the_same_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))
    catalog = Catalog.build(source(tmp_path / "src"), tmp_path / "cat", encoder=GridEncoder())
    listings = write_tree(tmp_path / "l", {f"{i:02d}.png": picture(i) for i in range(17)} | {"05x.png": b"broken"})
    run_scan(listings, catalog, tmp_path / "one", config=CONFIG)
    summary = run_scan(listings, catalog, tmp_path / "other", config=CONFIG, runner=backwards)
    assert summary.rows == 18
    for name in ("records.jsonl", "records.csv"):
        assert (tmp_path / "other" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    # What one runner has finished, another takes up.
    assert run_scan(listings, catalog, tmp_path / "other", config=CONFIG).reused == 18


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"a scan on Ray needs .* pip install 'imgmatch\[ray\]'"):
        next(run_on_ray([], None, Path()))  # type: ignore[arg-type]


@pytest.fixture
def two_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    ray = pytest.importorskip("ray", reason="needs the extra ray: pip install 'imgmatch[ray]'")
    try:
        encoder = load_encoder("mobilenet-v2")
    except WeightsError as error:
        pytest.skip(str(error))
    # Weights from the real cache, embeddings of photos from nowhere.
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/weights").symlink_to(cache_dir() / "weights")
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield Catalog.build(source(tmp_path / "src"), tmp_path / "cat", encoder=encoder)
    ray.shutdown()


def workers_of_this_process() -> list[int]:
    parents, workers = {}, []
    for entry in Path("/proc").iterdir():
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if (entry / "cmdline").read_bytes().startswith(b"ray::MapWorker"):
                workers.append(int(entry.name))
        except (OSError, ValueError):
            continue

    def ours(pid: int) -> bool:
        return pid == os.getpid() or (pid in parents and ours(parents[pid]))

    return [pid for pid in workers if ours(pid)]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers by /proc")
def test_a_scan_on_two_workers_of_which_one_is_killed(two_workers: Catalog, tmp_path: Path, monkeypatch) -> None:
    listings = write_tree(tmp_path / "l", {f"{i:03d}.png": picture(i, (300, 300)) for i in range(200)} | {"x.png": b"bad"})
    killed: list[int] = []

    def kill_one(done: int, total: int, _: Counter[str]) -> None:
        if not killed and done < total / 2:
            workers = workers_of_this_process()
            assert len(workers) == 2
            killed.append(workers[0])
            os.kill(workers[0], signal.SIGKILL)

    summary = run_scan(listings, two_workers, tmp_path / "ray", config=CONFIG, runner=run_on_ray, progress=kill_one)
    assert killed
    assert summary.rows == 201
    assert summary.counts["failed"] == 1
    assert killed[0] not in workers_of_this_process()
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "other"))
    here = Catalog.load(two_workers.path, encoder=two_workers.encoder)
    run_scan(listings, here, tmp_path / "local", config=CONFIG)
    assert (tmp_path / "ray/records.jsonl").read_bytes() == (tmp_path / "local/records.jsonl").read_bytes()


@pytest.mark.slow
def test_workers_that_see_another_catalog_refuse(two_workers: Catalog, tmp_path: Path) -> None:
    listings = write_tree(tmp_path / "l", {"0.png": picture(0)})
    smaller = Catalog.load(two_workers.path, encoder=two_workers.encoder)
    smaller.remove(["brand0/item0"])
    with pytest.raises(ScanError, match="the catalog, the settings or the version of imgmatch differ"):
        run_scan(listings, two_workers, tmp_path / "out", config=CONFIG, runner=run_on_ray)
