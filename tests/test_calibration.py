"""Calibration: the fit, the operating points and their birth certificates, the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgmatch.errors import CalibrationError, SpaceMismatchError
from imgmatch.fit.fitting import Example, fit, threshold_at
from imgmatch.types import EmbeddingSpace
from imgmatch.verdicts.calibration import Calibration, shipped_calibration
from imgmatch.verdicts.rules import Rules

SPACE = EmbeddingSpace("tiny", "0" * 64, "tiny", "none", "fp32", 4)
ABOUT: dict[str, Any] = {"space": SPACE, "rules": "0" * 16, "name": "t", "source": "numbers", "created": "2026-01-01"}


def world(n: int, *, seed: int = 0, noise: str | None = None) -> list[Example]:
    """Listings whose log odds are -8 + 6 tamper + 6 price, with tamper abstaining on a third: about a quarter is bad."""
    rng = np.random.default_rng(seed)
    examples = []
    for i in range(n):
        tamper, price = rng.random(2)
        bad = bool(rng.random() < 1 / (1 + np.exp(8 - 6 * tamper - 6 * price)))
        made = rng.random() > 1 / 3
        values: dict[str, float | None] = {"logo_tamper": float(tamper) if made else None, "price": float(price)}
        if noise:
            values[noise] = float(rng.random() * (0.5 if bad else 1.0))  # honest listings have more of it
        allows = 2 if made and tamper > 0.5 else 1 if price > 0.5 else 0
        examples.append(Example(values, bad, allows, f"seller-{i % 97}", "aurel" if i % 2 else "brix"))
    return examples


def test_fit_is_close_to_calibrated_and_deterministic() -> None:
    made = fit(world(4000), **ABOUT)
    assert made == fit(world(4000), **ABOUT)
    assert made.quality["ece_above_0.1"] < 0.05
    assert made.quality["brier_skill"] > 0.2
    assert made.positives == sum(e.positive for e in world(4000))
    # On listings it never saw the mean probability is the share of bad ones.
    fresh = world(4000, seed=1)
    mean = np.mean([made.probability(e.values)[0] for e in fresh])
    assert mean == pytest.approx(np.mean([e.positive for e in fresh]), abs=0.015)


def test_contributions_sum_and_abstentions_weigh_nothing() -> None:
    made = fit(world(1000), **ABOUT)
    p, parts = made.probability({"logo_tamper": None, "price": 0.9})
    assert p == pytest.approx(1 / (1 + np.exp(-sum(parts.values()))))
    assert parts["logo_tamper"] == 0.0
    assert set(parts) == {"intercept", "logo_tamper", "price"}
    assert made.probability({"logo_tamper": 0.0, "price": 0.9})[0] == p


def test_a_contradiction_never_speaks_for_a_listing() -> None:
    made = fit(world(2000, noise="copy"), **ABOUT)
    assert made.coefficients["copy"].weight == 0.0
    assert all(c.weight >= 0.0 for c in made.coefficients.values())


def test_points_hold_their_rate_and_name_their_data() -> None:
    examples = world(6000)
    made = fit(examples, **ABOUT)
    negatives = sum(not e.positive for e in examples)
    assert set(made.points) == {"fpr_1e-1", "fpr_3e-2", "fpr_1e-2", "fpr_3e-3", "fpr_1e-3", "balanced"}
    for name, rate in (("fpr_1e-1", 0.1), ("fpr_1e-2", 0.01), ("fpr_1e-3", 0.001)):
        point = made.points[name]
        assert point.negatives == negatives
        assert point.fpr <= rate
        assert point.fpr_interval[0] <= point.fpr <= point.fpr_interval[1]
        assert point.review_threshold <= point.threshold
        assert point.review_share <= 0.1 + 1e-9
    assert made.points["fpr_1e-1"].recall >= made.points["fpr_1e-2"].recall >= made.points["fpr_1e-3"].recall
    assert sum(b["negatives"] for b in made.brands.values()) == negatives


def test_a_point_that_n_cannot_support_is_refused() -> None:
    made = fit(world(600), **ABOUT)
    assert "fpr_1e-2" in made.points
    assert "fpr_1e-3" not in made.points
    with pytest.raises(CalibrationError, match=r"cannot support a rate of 0\.001; 3000 are needed"):
        made.point("fpr_1e-3")
    with pytest.raises(CalibrationError, match="it is not known; it has balanced"):
        made.point("fpr_1e-9")


def test_only_a_random_audit_supports_a_rate() -> None:
    flagged = [replace(e, random=False) for e in world(1000)]
    with pytest.raises(CalibrationError, match="drawn at random"):
        fit(flagged, **ABOUT)
    half = [replace(e, random=i % 2 == 0) for i, e in enumerate(world(1000))]
    made = fit(half, **ABOUT)
    assert made.points["fpr_1e-1"].negatives == sum(e.random and not e.positive for e in half)


def test_an_audit_of_flagged_listings_alone_is_no_random_audit() -> None:
    with pytest.raises(CalibrationError, match="had been flagged"):
        fit([replace(e, allows=max(e.allows, 1)) for e in world(1000)], **ABOUT)


@pytest.mark.parametrize("n", [0, 5, 20])
def test_too_few_labels(n: int) -> None:
    with pytest.raises(CalibrationError, match="at least 10 confirmed and 30 rejected"):
        fit(world(n), **ABOUT)


def test_one_seller_of_all_bad_listings_is_not_enough() -> None:
    examples = [replace(e, group="bad" if e.positive else e.group) for e in world(600)]
    with pytest.raises(CalibrationError, match="too few groups"):
        fit(examples, **ABOUT)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([-1.0, 0.0, 0.1, 0.5, 0.9, 0.99]), min_size=1, max_size=40), st.floats(0, 1))
def test_threshold_keeps_the_rate_against_ties(negatives: list[float], rate: float) -> None:
    scores = np.array(negatives)
    threshold = threshold_at(scores, rate)
    assert (scores >= threshold).mean() <= rate + 1e-9 or rate == 1.0
    lower = np.unique(scores[(scores < threshold) & (scores >= 0.0)])
    if len(lower):
        assert (scores >= lower[-1]).mean() > rate - 1e-9


def test_save_load_identity(tmp_path: Path) -> None:
    made = fit(world(600), **ABOUT, synthetic=True).with_prevalence(0.02)
    path = tmp_path / "calibration.json"
    made.save(path)
    assert Calibration.load(path) == made
    assert Calibration.load(path).fingerprint == made.fingerprint
    assert "synthetic" in made.describe()


def test_prevalence_moves_probabilities_not_decisions() -> None:
    examples = world(1000)
    made = fit(examples, **ABOUT)
    rare = made.with_prevalence(0.01)
    values = [e.values for e in examples]
    before, after = ([c.probability(v)[0] >= c.points["balanced"].threshold for v in values] for c in (made, rare))
    assert np.mean([a == b for a, b in zip(before, after, strict=True)]) > 0.998  # up to rounding at the threshold itself
    assert np.mean([rare.probability(v)[0] for v in values]) < np.mean([made.probability(v)[0] for v in values])
    for bad in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(CalibrationError, match="between 0 and 1"):
            made.with_prevalence(bad)


def test_another_space_is_refused() -> None:
    made = fit(world(600), **ABOUT)
    with pytest.raises(SpaceMismatchError):
        made.require(replace(SPACE, dim=8), "0" * 16)
    assert made.fits(SPACE, "0" * 16)
    assert not made.fits(SPACE, "1" * 16)


def edit(**changes: Any) -> Any:
    return lambda row: {**row, **changes}


BROKEN = [
    (lambda row: [], "not a calibration"),
    (edit(format="imgmatch calibration 2"), "format"),
    (edit(points={}), "points"),
    (edit(intercept="low"), "intercept"),
    (edit(prevalence=0), "prevalence"),
    (edit(dataset="abc"), "dataset"),
    (edit(surprise=1), "surprise"),
    (edit(coefficients={"price": {"weight": -1.0, "made": 3}}), "coefficients/price/weight"),
    (lambda row: {k: v for k, v in row.items() if k != "synthetic"}, "synthetic"),
]


@pytest.mark.parametrize(("broken", "message"), BROKEN)
def test_a_file_that_is_not_one(tmp_path: Path, broken: Any, message: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(broken(json.loads(fit(world(600), **ABOUT).to_json()))))
    with pytest.raises(CalibrationError, match=message) as error:
        Calibration.load(path)
    assert "calibration.json" in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"intercept": NaN}', "\x00"])
def test_hostile_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(CalibrationError, match=r"c\.json"):
        Calibration.load(path)
    with pytest.raises(CalibrationError, match="No such file"):
        Calibration.load(tmp_path / "none.json")


def test_nothing_ships_for_a_strange_space() -> None:
    assert shipped_calibration(SPACE) is None


def test_what_ships_fits_the_rules_that_ship() -> None:
    made = Calibration.load(Path(__file__).parents[1] / "weights" / "calibration-mobilenet-v2.json")
    assert made.rules == Rules.load().fingerprint  # after a change of the rules: python -m benchmarks.verdicts fit
    assert made.synthetic
    assert "synthetic" in made.describe()
    assert {"balanced", "fpr_1e-1", "fpr_1e-2"} <= set(made.points)


def test_isotonic_takes_data_enough_and_bends_towards_what_was_seen() -> None:
    rng = np.random.default_rng(3)
    value = rng.random(6000)
    truth = np.where(value < 0.7, 0.1, 0.9)  # a step, which no straight line follows
    examples = [
        Example({"price": float(v)}, bool(rng.random() < t), 2 * (i % 2), f"seller-{i % 500}")
        for i, (v, t) in enumerate(zip(value, truth, strict=True))
    ]
    few, many = (
        fit(some, space=SPACE, rules="0" * 16, name="n", source="s", created="2026-01-01")
        for some in (examples[:600], examples)
    )
    assert not few.curve
    assert many.curve == tuple(sorted(many.curve))
    assert Calibration.from_json(many.to_json()) == many
    grid = np.linspace(0, 1, 101)
    straight, bent = ([c.probability({"price": float(v)})[0] for v in grid] for c in (replace(many, curve=()), many))
    assert (np.diff(bent) >= 0).all()
    wanted = np.where(grid < 0.7, 0.1, 0.9)
    assert np.abs(bent - wanted).mean() < 0.5 * np.abs(straight - wanted).mean()
    p, contributions = many.with_prevalence(0.03).probability({"price": 0.9})
    assert p == pytest.approx(1 / (1 + np.exp(-sum(contributions.values()))))
