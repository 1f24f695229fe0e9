"""What is remembered on disk by what it was computed from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imgmatch.loading import cache


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
    assert len(list(folder.iterdir())) == 6


@pytest.mark.parametrize("damage", [b"", b"PK\3\4 no zip", b"\x93NUMPY"])
def test_a_damaged_file_is_computed_again(damage: bytes, folder: Path) -> None:
    def compute() -> dict[str, np.ndarray]:
        return {"x": np.ones(3)}

    cache.remembered("ones", compute, 3.0)
    file = next(folder.iterdir())
    file.write_bytes(damage)
    assert np.array_equal(cache.remembered("ones", compute, 3.0)["x"], np.ones(3))
    assert file.stat().st_size > len(damage)


def test_only_the_newest_are_kept(folder: Path) -> None:
    for n in range(cache._KEPT + 5):
        cache.remembered("n", lambda n=n: {"x": np.array([n])}, float(n))
    assert len(list(folder.iterdir())) == cache._KEPT


def test_a_folder_that_cannot_be_written_forgets(folder: Path) -> None:
    folder.write_text("a file where the folder would be")
    assert cache.remembered("n", lambda: {"x": np.ones(1)}, 1.0)["x"] == 1
