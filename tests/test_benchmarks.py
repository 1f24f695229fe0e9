"""The arithmetic of the benchmark suite, by hand, and that its parts fit together."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import discrepancy, discrepancy_tables
from benchmarks.peers.environments import ADAPTERS, pins
from benchmarks.peers.speed import ratios

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


def test_discrepancy_counts_ties_half_and_a_hit_against_chance():
    assert discrepancy_tables._fair([1, 1, 1, 1], [True, False, True, False]) == 0.5
    assert discrepancy_tables._fair([3, 1, 2, 2], [True, False, True, False]) == 0.875
    where = np.zeros((40, 40), bool)
    where[10:15, 10:15] = True
    place = SimpleNamespace(query_polygon=np.array([[12.0, 12], [22, 12], [22, 22], [12, 22]]))
    whole = np.array([[0.0, 0], [39, 0], [39, 39], [0, 39]])
    hit, chance = discrepancy._hit(SimpleNamespace(differences=[place], query_polygon=whole), where)
    assert hit
    # A box of 10 pixels touches columns 10 to 14 from 1 to 14, 14 of the 30 places of its left side; rows alike.
    assert chance == pytest.approx((14 / 30) ** 2)
    assert discrepancy._hit(SimpleNamespace(differences=[], query_polygon=whole), where) == (False, 0.0)


def test_discrepancy_fits_what_tells_and_nothing_else():
    rng = np.random.default_rng(0)
    rows = [{"kind": "forged" if k % 2 else "benign", "x": [k % 2 + 0.3 * rng.normal(), rng.normal()]} for k in range(200)]
    model = discrepancy_tables._fitted(rows, lambda r: r["x"])
    assert discrepancy_tables._fair([model(r) for r in rows], [r["kind"] == "forged" for r in rows]) > 0.97
    assert model({"x": [1.0, 0.0]}) - model({"x": [0.0, 0.0]}) > 5 * abs(model({"x": [0.0, 1.0]}) - model({"x": [0.0, 0.0]}))
