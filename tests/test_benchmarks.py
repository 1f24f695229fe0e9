"""The arithmetic of the benchmark suite, by hand, and that its parts fit together."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import discrepancy, discrepancy_tables, open_set, retrieval
from benchmarks.__main__ import SUITES, _filled, _inputs, _lacking
from benchmarks.peers.accuracy import at_rate, fixed
from benchmarks.peers.environments import ADAPTERS, pins
from benchmarks.peers.speed import ratios
from benchmarks.table import ROWS, _limit
from benchmarks.thin import KEYS, thin

VARIANTS = ("plain", "metric or local")
PEERS = sorted(p.stem for p in ADAPTERS.glob("*.py") if p.stem != "__init__")

# score, positive, right, group: four edited photos of two originals, four others
TABLE = np.array(
    [
        [0.9, 1, 1, 0],
        [0.8, 1, 0, 0],  # another photo was nearer
        [0.5, 1, 1, 1],
        [-np.inf, 1, 0, 1],  # the peer abstained
        [0.7, 0, 0, 2],
        [0.5, 0, 0, 3],
        [0.2, 0, 0, 4],
        [0.1, 0, 0, 5],
    ]
)


def test_fixed_threshold_counts_right_and_near_enough() -> None:
    recall, (low, high), false, n = fixed(TABLE, 0.6)
    assert (recall, false, n) == (0.25, 1, 4)
    assert (low, high) == (0.0, 0.5)  # whole originals are drawn: one has a half, the other nothing


@pytest.mark.parametrize(("rate", "expected"), [(0.01, 0.25), (0.25, 0.25), (0.5, 0.5)])
def test_recall_at_a_rate_counts_ties_against(rate: float, expected: float) -> None:
    # at 25 % the limit is 0.5 itself, which the third copy only reaches
    assert at_rate(TABLE, rate) == expected


def test_limit_is_exceeded_by_one_in_a_hundred() -> None:
    negatives = list(range(200))
    assert sum(x > _limit(negatives) for x in negatives) == 2


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


def test_every_suite_has_rows_and_a_module() -> None:
    assert set(SUITES) == set(ROWS)
    for suite in SUITES.values():
        smoke = () if isinstance(suite.smoke, str) else suite.smoke
        for command in (*suite.run, *smoke, *filter(None, [suite.score])):
            assert importlib.util.find_spec(f"benchmarks.{command.split()[0]}") is not None


def test_places_are_filled_into_command_lines() -> None:
    places = {"DATA": "/photos", "RAW": "/raw"}
    assert [_filled(w, places) for w in ["rings", "--out", "RAW/rings.json", "DATA", "out/x"]] == [
        "rings",
        "--out",
        "/raw/rings.json",
        "/photos",
        "out/x",
    ]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert "real photos" in _lacking(SUITES["retrieval"], tmp_path / "none")
    assert _lacking(SUITES["rings"], tmp_path / "none") == ""


def test_inputs_change_with_the_photos(tmp_path: Path) -> None:
    before = _inputs(SUITES["retrieval"], tmp_path)
    assert before == _inputs(SUITES["retrieval"], tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    assert before != _inputs(SUITES["retrieval"], tmp_path)


@pytest.mark.data
def test_a_handful_of_photos_keeps_their_rows(shared_data: Path, tmp_path: Path) -> None:
    thin(shared_data, tmp_path)
    for folder in (*KEYS, "seller_reposts"):
        with open(tmp_path / folder / "labels.csv", encoding="utf-8") as f:
            rows = list(csv.DictReader(f))
        assert 0 < len(rows) < 40
        assert all((tmp_path / folder / row["path"]).is_file() for row in rows)


def test_open_set_quotes_the_half_that_chose_nothing(monkeypatch, capsys) -> None:
    known = {"known": True, "group": "bag", "brand": "a", "half": "test", "similarity": 0.9, "score": 0.5, "margin": 0.1}
    unknown = {**known, "known": False, "brand": None, "similarity": 0.2, "claimed": None}
    tuned = {**unknown, "half": "dev", "similarity": 0.99, "claimed": "a"}
    rows = [{"photos": 7}, {**known, "claimed": "a"}, {**known, "claimed": None}, unknown, tuned]
    monkeypatch.setattr(open_set, "read_raw", lambda name: rows)
    open_set.score()
    printed = capsys.readouterr().out
    assert "7 catalog photos, 2 known queries, unknown: {'test': 1, 'dev': 1}" in printed
    assert "by similarity 1.000" in printed  # the photo of the dev half, nearest of all, takes no part
    assert "all              1/2 claimed" in printed
    assert "1/1 claimed [0.207, 1.000], which chose the floor" in printed


def test_retrieval_rows_without_times_are_scored(monkeypatch, capsys) -> None:
    row = {"half": "test", "query": "q", "label": "a", "rank": 1, "uses_metric": False}
    rows = [{**row, "set": s, "half": h, "variant": v} for s in retrieval.SETS for h in ("dev", "test") for v in VARIANTS]
    monkeypatch.setattr(retrieval, "read_raw", lambda name: [{"environment": {}}, *rows])
    monkeypatch.setattr("sys.argv", ["retrieval", "score"])
    retrieval.main()
    assert capsys.readouterr().out.count("'gain': 0.0") == 6


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
