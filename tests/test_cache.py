"""What is remembered on disk by what it was computed from."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from imgmatch.apps.cli import app
from imgmatch.loading import cache
from imgmatch.loading.cache import PhotoCache


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path))
    return tmp_path / "derived"


def test_the_same_inputs_are_computed_once_and_others_again(folder: Path) -> None:
    calls = []

    def of(values: np.ndarray, weight: float, name: str = "double") -> np.ndarray:
        def compute() -> dict[str, np.ndarray]:
            calls.append(name)
            return {"x": values * weight}

        return cache.remembered(name, compute, values, weight)["x"]

    a = np.arange(6, dtype=np.float32)
    assert np.array_equal(of(a, 2.0), 2 * a)
    assert np.array_equal(of(a.copy(), 2.0), 2 * a)
    assert len(calls) == 1
    of(a, 3.0)
    of(a.reshape(2, 3), 2.0)
    of(a.astype(np.float64), 2.0)
    of(a, 2.0, "another")
    of(a + 1, 2.0)
    assert len(calls) == 6
    assert len(list(folder.glob("*.npz"))) == 6


@pytest.mark.parametrize("damage", [b"", b"PK\3\4 no zip", b"\x93NUMPY"])
def test_a_damaged_file_is_computed_again(damage: bytes, folder: Path) -> None:
    def compute() -> dict[str, np.ndarray]:
        return {"x": np.ones(3)}

    cache.remembered("ones", compute, 3.0)
    file = next(folder.glob("*.npz"))
    file.write_bytes(damage)
    assert np.array_equal(cache.remembered("ones", compute, 3.0)["x"], np.ones(3))
    assert file.stat().st_size > len(damage)


def test_a_file_with_any_byte_changed_is_read_or_computed_again(folder: Path) -> None:
    def compute() -> dict[str, np.ndarray]:
        return {"x": np.arange(3)}

    cache.remembered("three", compute, 3.0)
    [file] = folder.glob("*.npz")
    whole = file.read_bytes()
    for place, byte in enumerate(whole):
        for flipped in (byte ^ 1, byte ^ 64):
            file.write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
            assert np.array_equal(cache.remembered("three", compute, 3.0)["x"], np.arange(3))


def test_who_asks_while_it_is_computed_waits_for_it(folder: Path) -> None:
    calls, begun = [], threading.Event()

    def compute() -> dict[str, np.ndarray]:
        calls.append(begun.set())
        time.sleep(0.2)
        return {"x": np.arange(3)}

    with ThreadPoolExecutor() as pool:
        first = pool.submit(cache.remembered, "slow", compute, 1.0)
        begun.wait()
        second = pool.submit(cache.remembered, "slow", compute, 1.0)
        assert np.array_equal(first.result()["x"], second.result()["x"])
    assert len(calls) == 1
    assert len(list(folder.glob("*.npz"))) == 1


def test_only_the_newest_are_kept(folder: Path) -> None:
    for n in range(cache._KEPT + 5):
        cache.remembered("n", lambda n=n: {"x": np.array([n])}, float(n))
    assert len(list(folder.glob("*.npz"))) == cache._KEPT


def test_a_folder_that_cannot_be_written_forgets(folder: Path) -> None:
    folder.write_text("a file where the folder would be")
    assert cache.remembered("n", lambda: {"x": np.ones(1)}, 1.0)["x"] == 1


def test_the_cache_is_shown_and_cleared_and_weights_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path))
    PhotoCache(tmp_path / "photos.sqlite").parts.put({"a": (np.ones(3),)}, "recipe")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"kept")
    gc.collect()  # closes the files
    shown = CliRunner().invoke(app, ["cache"])
    assert "photos-parts.sqlite: 0.0 MiB" in shown.output.replace("\n", "")
    assert CliRunner().invoke(app, ["cache", "--clear"]).exit_code == 0
    assert [p.name for p in tmp_path.iterdir()] == ["weights"]
    assert "nothing is cached" in CliRunner().invoke(app, ["cache"]).output
