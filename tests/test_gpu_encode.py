"""The suite that waits for a GPU works: every way of embedding is measured, on a CPU with a tiny model."""

from __future__ import annotations

from pathlib import Path

from benchmarks import gpu_encode
from benchmarks.frame import job, raw


def test_every_way_is_measured_and_compared_with_the_bare_forward_pass(tmp_path: Path) -> None:
    head, rows = raw.read(job.run("gpu_encode", "rendered", tmp_path, "0", smoke=True))
    assert [r["what"] for r in rows[:4]] == ["bare", "bare", "encode", "decode on the CPU + encode"]
    assert [r["memory"] for r in rows[:2]] == ["contiguous", "channels_last"]
    assert all(r["images_per_s"] > 0 for r in rows)
    figures = list(gpu_encode.score(rows, head))
    assert [f.what for f in figures][:1] == ["ViT-S-32-alt, encode: share of the bare pass"]
