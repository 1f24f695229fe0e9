"""Scans in several processes: the same bytes for any number, and what becomes of a worker that dies."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from imgmatch import Catalog, Config, Matcher
from imgmatch.encoders import load_encoder
from imgmatch.errors import ScanError, WeightsError
from imgmatch.scan import processes, run_scan
from tests.fakes import picture, write_tree

CONFIG = Config.from_dict({"signals": ["design"], "scan": {"batch": 4, "shard": 5, "workers": 2}})


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    try:
        encoder = load_encoder("mobilenet-v2")
    except WeightsError as error:
        pytest.skip(str(error))
    root = tmp_path_factory.mktemp("processes")
    tree = {f"brand{i % 3}/item{i}/{v}.png": picture(10 * i + v) for i in range(4) for v in range(2)}
    return Catalog.build(write_tree(root / "src", tree), root / "cat", encoder=encoder)


@pytest.fixture
def listings(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "l", {f"{i:02d}.png": picture(i) for i in range(16)} | {"05x.png": b"broken"})


def test_any_number_of_processes_gives_the_same_bytes(catalog: Catalog, listings: Path, tmp_path: Path) -> None:
    run_scan(listings, catalog, tmp_path / "one", config=CONFIG)
    summary = run_scan(listings, catalog, tmp_path / "two", config=CONFIG, runner=processes.run_shards)
    assert summary.rows == 17
    for name in ("records.jsonl", "records.csv"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_a_worker_that_dies_is_replaced_and_one_that_always_dies_ends_the_scan(
    catalog: Catalog, listings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []
    pool = processes.ProcessPoolExecutor

    def killing(most: int) -> object:
        class Pool(pool):  # type: ignore[misc, valid-type]
            def submit(self, *args: object) -> object:
                future = super().submit(*args)
                # Once all are there: the pool's own thread does not bear one more beside a dead one.
                if len(begun) < most and len(self._processes) == CONFIG.scan.workers:
                    begun.append(self)
                    with contextlib.suppress(ProcessLookupError):  # dead already
                        os.kill(next(iter(self._processes)), signal.SIGKILL)
                return future

        return Pool

    monkeypatch.setattr(processes, "ProcessPoolExecutor", killing(1))
    summary = run_scan(listings, catalog, tmp_path / "out", config=CONFIG, runner=processes.run_shards)
    assert summary.rows == 17
    begun.clear()
    monkeypatch.setattr(processes, "ProcessPoolExecutor", killing(1000))
    with pytest.raises(ScanError, match=r"a worker died over the listings from '.*' on, 4 times"):
        run_scan(listings, catalog, tmp_path / "never", config=CONFIG, runner=processes.run_shards)


def test_a_worker_that_sees_other_settings_refuses(catalog: Catalog, tmp_path: Path) -> None:
    matcher = Matcher(catalog, CONFIG)
    with pytest.raises(ScanError, match="differ here"):
        processes.Worker(str(catalog.path), catalog.space.id, replace(CONFIG, candidates=3), root=".",
                         expected=processes.identity(matcher))  # fmt: skip


def test_a_single_shard_starts_no_process(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> Iterator[object]:
        raise AssertionError

    monkeypatch.setattr(processes, "ProcessPoolExecutor", never)
    few = write_tree(tmp_path / "few", {"1.png": picture(1)})
    assert run_scan(few, catalog, tmp_path / "out", config=CONFIG, runner=processes.run_shards).rows == 1
