"""The arithmetic of the benchmark suite, by hand, and that its parts fit together."""

from __future__ import annotations

import pytest

from benchmarks.indexing import ratios
from benchmarks.peers.environments import ADAPTERS, pins

PEERS = sorted(p.stem for p in ADAPTERS.glob("*.py") if p.stem != "__init__")


def test_speed_is_the_difference_of_two_runs() -> None:
    facts = {"few": 64, "many": 164, "failed": {"imagededup_cnn, ViT-B-32": "broken"}}
    seconds = {
        "imgmatch scan, ViT-B-32": (10, 15),
        "clip_retrieval, ViT-B-32": (100, 110),
        "imagededup_cnn, ViT-B-32": (1, 2),
    }
    rows = [
        {"contender": name, "round": 0, "asked": asked, "seconds": s}
        for name, pair in seconds.items()
        for asked, s in zip((64, 164), pair, strict=True)
    ]
    assert ratios(facts, rows) == [
        ("ViT-B-32", "imgmatch scan", [20.0], 15, 2.0),
        ("ViT-B-32", "clip_retrieval", [10.0], 110, 1.0),
    ]


@pytest.mark.parametrize("peer", PEERS)
def test_every_peer_is_pinned_exactly(peer: str) -> None:
    assert all("==" in requirement for requirement in pins(peer).requirements)
    assert "import imgmatch" not in (ADAPTERS / f"{peer}.py").read_text("utf-8")
