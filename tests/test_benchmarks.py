"""Other tools that the benchmarks ask."""

from __future__ import annotations

import pytest

from benchmarks.peers.environments import ADAPTERS, pins

PEERS = sorted(p.stem for p in ADAPTERS.glob("*.py") if p.stem != "__init__")


@pytest.mark.parametrize("peer", PEERS)
def test_every_peer_is_pinned_exactly(peer: str) -> None:
    assert all("==" in requirement for requirement in pins(peer).requirements)
    assert "import imgmatch" not in (ADAPTERS / f"{peer}.py").read_text("utf-8")
