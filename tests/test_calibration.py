"""Calibration: the fit, the operating points and their birth certificates, the file."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgmatch.errors import CalibrationError
from imgmatch.fit.fitting import Example, fit, threshold_at
from imgmatch.types import EmbeddingSpace
from imgmatch.verdicts.calibration import Calibration, shipped_calibration
from imgmatch.verdicts.rules import Rules

SPACE = EmbeddingSpace("tiny", "0" * 64, "tiny", "none", "fp32", 4)
ABOUT: dict[str, Any] = {
    "space": SPACE,
    "gating": Rules.load().gating,
    "fitted_on": "reviews",
    "name": "t",
    "source": "numbers",
    "created": "2026-01-01",
}


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
        may_lead = made and bool(tamper > 0.5)
        examples.append(
            Example(
                values, bad, may_lead, not may_lead and bool(price <= 0.5), f"seller-{i % 97}", "aurel" if i % 2 else "brix"
            )
        )
    return examples


def test_fit_is_close_to_calibrated_and_deterministic() -> None:
    made = fit(world(4000), **ABOUT)
    assert made == fit(world(4000), **ABOUT)
    assert made.quality["ece_above_0.1"] < 0.05
    assert made.quality["brier_skill"] > 0.2
    assert made.positives == sum(e.positive for e in world(4000))
    # On listings it never saw the mean probability is the share of bad ones.
    fresh = world(4000, seed=1)
    mean = np.mean([made.rank(e.values)[0] for e in fresh])
    assert mean == pytest.approx(np.mean([e.positive for e in fresh]), abs=0.015)


def test_contributions_sum_and_abstentions_weigh_nothing() -> None:
    made = fit(world(1000), **ABOUT)
    p, parts = made.rank({"logo_tamper": None, "price": 0.9})
    assert p == pytest.approx(1 / (1 + np.exp(-sum(parts.values()))))
    assert parts["logo_tamper"] == 0.0
    assert set(parts) == {"intercept", "logo_tamper", "price"}
    assert made.rank({"logo_tamper": 0.0, "price": 0.9})[0] == p


def test_a_contradiction_never_speaks_for_a_listing() -> None:
    made = fit(world(2000, noise="copy"), **ABOUT)
    assert made.coefficients["copy"].weight == 0.0
    assert all(c.weight >= 0.0 for c in made.coefficients.values())


def test_points_hold_their_rate_and_name_their_data() -> None:
    examples = world(6000)
    made = fit(examples, **ABOUT)
    negatives = sum(not e.positive for e in examples)
    assert {"fpr_3e-2", "fpr_1e-2", "fpr_3e-3", "fpr_1e-3", "balanced"} <= set(made.points)
    for name, rate in (("fpr_3e-2", 0.03), ("fpr_1e-2", 0.01), ("fpr_1e-3", 0.001)):
        point = made.points[name]
        assert point.negatives == negatives
        assert point.fpr <= rate
        assert point.fpr_interval[0] <= point.fpr <= point.fpr_interval[1]
    assert sum(b["negatives"] for b in made.brands.values()) == negatives


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([200, 700, 2000]), st.floats(0.0, 1.0))
def test_points_are_monotone_and_distinct(seed: int, n: int, allowed: float) -> None:
    examples = [
        replace(e, may_lead=e.may_lead and (i * 7919) % 1000 < 1000 * allowed) for i, e in enumerate(world(n, seed=seed))
    ]
    made = fit(examples, **ABOUT)
    points = list(made.points.values())
    for strict, loose in itertools.pairwise(points):
        assert strict.threshold >= loose.threshold
        assert strict.fpr <= loose.fpr
        assert strict.recall <= loose.recall
        assert (strict.fpr, strict.recall) != (loose.fpr, loose.recall)
    for name, why in made.refused.items():
        assert ("same listings as" in why) != ("cannot support" in why), name
    if "fpr_1e-1" not in made.points:
        with pytest.raises(CalibrationError, match="the same listings as"):
            made.point("fpr_1e-1")


def test_what_a_point_says_holds_at_its_threshold_by_hand() -> None:
    """One finding, so that the rank rises with it whichever fold it was fitted on: what is led can be counted by hand."""
    examples = [
        Example({"price": v}, bad, may_lead, False, f"s{i}")
        for i, (v, bad, may_lead) in enumerate(
            [(0.1, False, True)] * 60 + [(0.9, False, False)] * 39 + [(0.9, False, True)] + [(0.9, True, True)] * 30
            + [(0.9, True, False)] * 20
        )
    ]  # fmt: skip
    examples += [Example({"price": 0.0}, False, False, True, f"q{i}") for i in range(20)]
    made = fit(examples, **ABOUT)
    assert [(p.name, p.fpr, p.recall) for p in made.points.values()] == [("balanced", 1 / 120, 30 / 50)]
    assert made.refused["fpr_1e-1"] == "it would lead the same listings as balanced"


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
        fit([replace(e, quiet=False) for e in world(1000)], **ABOUT)


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
    made = fit(world(600), **{**ABOUT, "fitted_on": "rendered"}).with_prevalence(0.02)
    path = tmp_path / "calibration.json"
    made.save(path)
    assert Calibration.load(path) == made
    assert Calibration.load(path).fingerprint == made.fingerprint
    assert "ranks, not probabilities" in made.describe()


def test_prevalence_moves_probabilities_not_decisions() -> None:
    examples = world(1000)
    made = fit(examples, **ABOUT)
    rare = made.with_prevalence(0.01)
    values = [e.values for e in examples]
    before, after = ([c.rank(v)[0] >= c.points["balanced"].threshold for v in values] for c in (made, rare))
    assert np.mean([a == b for a, b in zip(before, after, strict=True)]) > 0.998  # up to rounding at the threshold itself
    assert np.mean([rare.rank(v)[0] for v in values]) < np.mean([made.rank(v)[0] for v in values])
    for bad in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(CalibrationError, match="between 0 and 1"):
            made.with_prevalence(bad)


def test_what_it_depends_on() -> None:
    made, rules = fit(world(600), **ABOUT), Rules.load()
    assert made.misfit(SPACE, rules) is None
    assert (made.misfit(replace(SPACE, dim=8), rules) or "")[0] == "space"
    looser = replace(rules, claims={**rules.claims, "design": 0.4})
    assert (made.misfit(SPACE, looser) or "")[0] == "rules"


def edit(**changes: Any) -> Any:
    return lambda row: {**row, **changes}


BROKEN = [
    (lambda row: [], "not a calibration"),
    (edit(format="imgmatch calibration 1"), "earlier version; fit it again"),
    (edit(format="imgmatch calibration 9"), "format"),
    (edit(points={}), "points"),
    (edit(intercept="low"), "intercept"),
    (edit(prevalence=0), "prevalence"),
    (edit(dataset="abc"), "dataset"),
    (edit(surprise=1), "surprise"),
    (edit(coefficients={"price": {"weight": -1.0, "made": 3}}), "coefficients/price/weight"),
    (lambda row: {k: v for k, v in row.items() if k != "fitted_on"}, "fitted_on"),
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
    assert made.gating == Rules.load().gating  # after a change of what makes a claim: python -m benchmarks fit
    assert not made.earns_probability
    assert "balanced" in made.points


def test_isotonic_takes_data_enough_and_bends_towards_what_was_seen() -> None:
    rng = np.random.default_rng(3)
    value = rng.random(6000)
    truth = np.where(value < 0.7, 0.1, 0.9)  # a step, which no straight line follows
    examples = [
        Example({"price": float(v)}, bool(rng.random() < t), i % 2 == 1, i % 2 == 0, f"seller-{i % 500}")
        for i, (v, t) in enumerate(zip(value, truth, strict=True))
    ]
    few, many = (fit(some, **ABOUT) for some in (examples[:600], examples))
    assert not few.curve
    assert many.curve == tuple(sorted(many.curve))
    assert Calibration.from_json(many.to_json()) == many
    grid = np.linspace(0, 1, 101)
    straight, bent = ([c.rank({"price": float(v)})[0] for v in grid] for c in (replace(many, curve=()), many))
    assert (np.diff(bent) >= 0).all()
    wanted = np.where(grid < 0.7, 0.1, 0.9)
    assert np.abs(bent - wanted).mean() < 0.5 * np.abs(straight - wanted).mean()
    p, contributions = many.with_prevalence(0.03).rank({"price": 0.9})
    assert p == pytest.approx(1 / (1 + np.exp(-sum(contributions.values()))))
