"""The script that waits for a GPU works: every way of embedding is measured, on a CPU with a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import common, gpu_encode


def test_every_way_is_measured_and_held_against_the_bare_forward_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(common, "RAW", tmp_path)
    gpu_encode.main(["--models", "ViT-S-32-alt", "--batch", "2", "--seconds", "0", "--no-compile"])
    rows = common.read_raw("gpu_encode")
    assert [r["what"] for r in rows[:4]] == ["bare", "bare", "encode", "decode on the CPU + encode"]
    assert [r["memory"] for r in rows[:2]] == ["contiguous", "channels_last"]
    assert all(r["images_per_s"] > 0 for r in rows)
    out = capsys.readouterr().out
    assert "ViT-S-32-alt" in out
    assert "channels_last" in out
    assert " 1.00" in out
