"""The scorer of the benchmarks: golden values worked out by hand; it must not import the library that it scores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import marks_real, verdicts
from benchmarks.frame import plots, scorer
from benchmarks.frame.job import SUITES

REPO = Path(__file__).resolve().parents[1]


def test_recall_at_k_counts_queries_whose_first_right_photo_is_near_enough() -> None:
    # Stanford Online Products: ranks 1, 3, never, 2 → recall@1 1/4, @2 2/4, @10 3/4
    ranks = [1, 3, None, 2]
    assert [scorer.recall_at(ranks, k).mean() for k in (1, 2, 10)] == [0.25, 0.5, 0.75]


def test_average_precision_divides_by_all_positives_found_or_not() -> None:
    # hits at ranks 1 and 3 of 4 positives: (1/1 + 2/3) / 4
    assert scorer.average_precision([True, False, True], 4) == pytest.approx((1 + 2 / 3) / 4)
    assert np.isnan(scorer.average_precision([], 0))


def test_micro_average_precision_ranks_all_predictions_together_and_ties_against() -> None:
    # DISC21: 0.9 right, 0.8 wrong, 0.8 right (tied: wrong first), 0.1 wrong; three copies exist: (1/1 + 2/3) / 3
    scores, right = [0.8, 0.9, 0.1, 0.8], [True, True, False, False]
    assert scorer.micro_average_precision(scores, right, 3) == pytest.approx((1 + 2 / 3) / 3)


def test_score_normalisation_takes_the_mean_of_the_three_nearest_background_photos_away() -> None:
    assert scorer.normalised(0.9, [0.1, 0.6, 0.2, 0.4, 0.0]) == pytest.approx(0.9 - (0.6 + 0.4 + 0.2) / 3)


def test_normalisation_can_mend_an_order() -> None:
    # a wrong match of a query that is like everything, above a right one of a query that is like nothing
    raw = [(0.80, [0.79, 0.78, 0.77], False), (0.70, [0.1, 0.1, 0.1], True)]
    assert scorer.micro_average_precision([s for s, _, _ in raw], [r for *_, r in raw], 1) == 0.5
    assert scorer.micro_average_precision([scorer.normalised(s, b) for s, b, _ in raw], [r for *_, r in raw], 1) == 1.0


def test_auroc_counts_a_tie_half() -> None:
    # pairs: 2>1 yes, 2>2 half, 1>1 half, 1>2 no → (1 + 0.5 + 0.5 + 0) / 4
    assert scorer.auroc([2, 1], [1, 2]) == 0.5
    assert np.isnan(scorer.auroc([], [1.0]))


@pytest.mark.parametrize(("rate", "above"), [(0.01, 2), (0.1, 20), (0.0, 0), (1 / 200, 1)])
def test_threshold_is_exceeded_by_the_share_it_names(rate: float, above: int) -> None:
    negatives = list(range(200))
    assert sum(x > scorer.threshold_at(negatives, rate) for x in negatives) == above


def test_threshold_of_nothing_lets_everything_pass() -> None:
    assert scorer.threshold_at([], 0.01) == float("-inf")


def test_wilson_as_published() -> None:
    # 0 of 100: upper end z² / (n + z²)
    low, high = scorer.wilson(0, 100)
    assert (low, round(high, 4)) == (0.0, 0.0370)


def test_interval_draws_units_not_rows() -> None:
    # two articles, one always right, one never: whole units give 0, ½ or 1; single rows would give a narrow interval
    values, units = [1.0] * 50 + [0.0] * 50, ["a"] * 50 + ["b"] * 50
    assert scorer.interval(values, units) == (0.0, 1.0)
    low, high = scorer.interval(values, list(range(100)))
    assert 0.35 < low < 0.45
    assert 0.55 < high < 0.65


def test_interval_of_no_failure_counts_each_unit_once() -> None:
    assert scorer.interval([1.0] * 60, ["a", "b", "c"] * 20) == scorer.wilson(3, 3)


def test_interval_of_units_that_are_alike_is_not_a_point() -> None:
    # two articles, each right every other time; by hand: p = 1/2, n = 2, half = z * sqrt(1/8 + z²/16) / (1 + z²/2)
    low, high = scorer.interval([1, 0, 1, 0], ["a", "a", "b", "b"])
    assert (round(low, 3), round(high, 3)) == (0.095, 0.905)
    assert scorer.interval([0.5, 0.5, 0.5], range(3), lambda v: float(v.mean())) == scorer.wilson(1.5, 3)
    assert scorer.interval([0.0, 0.0, 0.0], range(3), lambda v: float(v.mean())) == (0.0, 0.0)  # a gain, not a share


def test_precision_recall_by_hand() -> None:
    recall, precision = scorer.precision_recall([0.9, 0.5, 0.4], [True, False, True], 4)
    assert recall.tolist() == [0.25, 0.25, 0.5]
    assert precision.tolist() == [1.0, 0.5, pytest.approx(2 / 3)]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_micro_average_precision_does_not_depend_on_order(rows: list[tuple[float, bool]]) -> None:
    positives = sum(r for _, r in rows) + 1
    one = scorer.micro_average_precision([s for s, _ in rows], [r for _, r in rows], positives)
    other = scorer.micro_average_precision([s for s, _ in rows[::-1]], [r for _, r in rows[::-1]], positives)
    assert one == pytest.approx(other)
    assert 0 <= one <= 1


@pytest.mark.parametrize(
    ("figure", "text", "met"),
    [
        (scorer.Figure("x", 0.5, 0.25, 0.75, 8, 4, target=">= 0.4"), "50.0 % [25.0, 75.0] of 8 in 4", "met, uncertain"),
        (scorer.Figure("x", 0.5, 0.45, 0.55, target=">= 0.4"), "50.0 % [45.0, 55.0]", "met"),
        (scorer.Figure("x", 0.5, target=">= 0.4"), "50.0 %", "met"),
        (scorer.Figure("x", 0.0, 0.0, 0.008, target="<= 0.01"), "0.0 % [0.0, 0.8]", "met"),
        (scorer.Figure("x", 0.0, 0.0, 0.077, target="<= 0.01"), "0.0 % [0.0, 7.7]", "met, uncertain"),
        (scorer.Figure("x", 0.02, 0.005, 0.04, target="<= 0.01"), "2.0 % [0.5, 4.0]", "missed"),
        (scorer.Figure("x", 0.02, target="<= 0.01"), "2.0 %", "missed"),
        (scorer.Figure("x", 1847.2, form="n"), "1,847", ""),
        (scorer.Figure("x", float("nan"), target=">= 1"), "–", ""),
    ],
)
def test_a_figure_prints_itself_and_knows_its_target(figure: scorer.Figure, text: str, met: str) -> None:
    assert (figure.text(), figure.met) == (text, met)


def test_scores_are_computed_without_the_library() -> None:
    code = (
        "import sys; sys.modules['imgmatch'] = None\n"
        "from benchmarks.frame import job, table, raw\n"
        "for name in job.SUITES: job.suite(name)\n"
        "table.collected(raw.RESULTS)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert SUITES


def row(contender: str, kind: str, matches: list[tuple[str, float]], split: str = "test", **more: Any) -> dict[str, Any]:
    truth = "right" if kind == "copy" else None
    return {
        "contender": contender,
        "query": "q",
        "kind": kind,
        "split": split,
        "unit": "u",
        "truth": truth,
        "matches": matches,
        **more,
    }


def test_copies_are_right_only_where_the_photo_that_was_copied_is_named() -> None:
    from benchmarks import copies

    rows = [
        row("imgmatch", "copy", [("right", 0.9)]),
        row("imgmatch", "copy", [("wrong", 0.9), ("right", 0.6)]),
        row("imgmatch", "copy", [("wrong", 0.9)]),
        row("imgmatch", "copy", []),
        row("imgmatch", "held out", [("x", 0.5)]),
        row("imgmatch", "held out", []),
        row("imgmatch", "held out", [("x", 0.7)], split="dev"),
    ]
    cosine = [{**r, "contender": "cosine", "matches": [[i, 0.88] for i, _ in r["matches"]]} for r in rows]
    found = {f.what: f for f in copies.score(rows + cosine, {"locked": False, "data": "any"})}
    assert found["copies found where one is claimed"].value == 0.5  # 0.9 and 0.6 of the right photo
    assert found["copies found where one is claimed"].against.startswith("as published: cosine 50.0% at 50.0% false")
    assert found["a copy claimed where there is none"].value == 0.5
    # one negative on dev at 0.7: a copy must exceed it
    assert found["copies found at the threshold of 1 % false on dev"].value == 0.25
    assert found["copies that count as a contradiction (value >= 0.95)"].value == 0.0


def test_disc_is_scored_with_and_without_normalisation() -> None:
    from benchmarks import copies

    rows = [
        row("cosine", "distractor", [("x", 0.8)], background=[0.79, 0.78, 0.77]),
        row("cosine", "copy", [("right", 0.7)], background=[0.1, 0.1, 0.1]),
    ]
    plain, better = (f.value for f in copies._official(rows, {"data": "disc21"}))
    assert (plain, better) == (0.5, 1.0)


def test_copydays_is_scored_on_its_strong_edits() -> None:
    from benchmarks import copies

    rows = [
        {**row("cosine", "copy", [("right", 0.7)]), "query": "strong/200001.jpg"},
        {**row("cosine", "copy", [("x", 0.9), ("right", 0.7)]), "query": "strong/200101.jpg"},
        {**row("cosine", "copy", []), "query": "crops/10/200000.jpg"},
    ]
    (figure,) = copies._official(rows, {"data": "copydays"})
    assert (figure.value, figure.n) == (0.75, 2)


def test_retrieval_is_scored_on_the_part_that_chose_nothing() -> None:
    from benchmarks import retrieval

    ranks = {"imgmatch": (1, 1, None, 1), "plain": (1, 2, None, 1)}
    rows = [
        {"contender": c, "query": str(n), "unit": str(n), "split": "dev" if n == 3 else "test", "rank": rank}
        for c, mine in ranks.items()
        for n, rank in enumerate(mine)
    ]
    one, five = retrieval.score(rows, {"locked": False, "data": "any"})
    assert (one.value, five.value, one.n) == (pytest.approx(2 / 3), pytest.approx(2 / 3), 3)
    assert one.against.startswith("plain cosine 33.3%: +33.3")


def test_official_recall_is_given_at_the_k_of_the_papers() -> None:
    from benchmarks import retrieval

    ranks = (1, 15, 25, 40)
    rows = [
        {"contender": c, "query": str(n), "unit": str(n), "split": "test", "rank": rank}
        for c in ("imgmatch", "plain", "official")
        for n, rank in enumerate(ranks)
    ]
    figures = [f for f in retrieval.score(rows, {"locked": False, "data": "inshop"}) if f.what.startswith("published")]
    assert [(f.what.rpartition("@")[2], f.value) for f in figures] == [("1", 0.25), ("10", 0.25), ("20", 0.5), ("30", 0.75)]


def test_no_threshold_is_chosen_where_a_set_has_no_dev_part() -> None:
    from benchmarks import copies

    rows = [row(c, kind, [("right", 0.4)]) for c in ("imgmatch", "cosine") for kind in ("copy", "distractor")]
    assert not [f.what for f in copies.score(rows, {"locked": False, "data": "any"}) if "on dev" in f.what]


def test_an_answer_for_every_photo_of_a_seller_by_hand() -> None:
    """Of three of known brands two are answered rightly, one by its first candidate; of two of nothing one is false."""
    from benchmarks import brands

    def row(brand: str, shown: str | None, first: str, plain: str, *seen: str) -> dict[str, Any]:
        said = {"shown": shown, "answer": shown or first, "first": first, "plain": plain}
        return {**said, "unit": brand + first, "brand": brand, "known": ["a", "b"], "seen": [brand, *seen] if brand else []}

    rows = [row("a", "a", "b", "b"), row("a", None, "a", "b"), row("b", "a", "b", "b"), row("c", "c", "a", "a")]
    rows += [row("", "a", "a", "a"), row("", None, "b", "b")]
    figures = [f.value for f in brands.score(rows, {})]
    # answer, first candidate, plain cosine, the right brand shown, another one shown; false
    assert figures == pytest.approx([2 / 3, 2 / 3, 1 / 3, 1 / 3, 1 / 3, 1 / 2])


def listing(unit: str, bad: bool, alone: str, balanced: str, rank: float) -> dict[str, Any]:
    return {
        "unit": unit,
        "split": "test",
        "bad": bad,
        "kind": "photo_thief" if bad else "unknown_brand",
        "priced": "usual",
        "brand": "acme" if bad else "",
        "labels": [],
        "ranks": dict.fromkeys(verdicts.ARMS, rank),
        "said": {"rules alone": alone, "balanced": balanced},
        "named": "acme" if bad else None,
        "given": [],
        "loud": dict.fromkeys(verdicts.ARMS, bad),
        "looks": {"pixels": 1, "saturation": 1},
    }


def test_verdicts_are_scored_at_each_point_and_by_what_a_listing_is() -> None:
    rows = [listing("a", True, "review", "lead", 0.9), listing("b", True, "review", "clear", 0.2)]
    rows += [listing("c", False, "lead", "lead", 0.4), listing("d", False, "clear", "clear", 0.1)]
    figures = {f.what: f for f in verdicts.score(rows, {"points": ["balanced"]})}
    led = figures["bad listings flagged as leads (balanced, the default)"]
    assert led.value == 0.5
    assert "50.0% lead or review; of all leads right, at 3% bad: 3%" in led.against
    assert figures["bad listings flagged as leads (rules alone)"].value == 0
    assert figures["honest listings flagged as leads (rules alone)"].value == 0.5
    assert figures["AUROC of bad listings: everything"].value == 0.75
    assert figures["what pixels add to AUROC"].value == 0
    assert figures["bad, stolen photos: flagged as leads"].n == 2
    assert figures["said to be of no brand of the catalog: unknown brands"].value == 1
    assert figures["listings given a brand that they do not show"].value == 0


def mark(query: str, brand: str, said: dict[str, float], shows: str | None, **more: Any) -> dict[str, Any]:
    return {"contender": "imgmatch", "query": query, "brand": brand, "said": said, "words": {}, "shows": shows,
            "altered": [], "swapped": False, "cpu_ms": 1.0} | more  # fmt: skip


def test_flickrlogos_is_scored_with_its_open_set_as_published() -> None:
    """Four photos with a mark and two without; four are given a brand, two of these theirs."""
    rows = [mark("t/1", "adidas", {"adidas": 0.9}, "adidas"), mark("t/2", "adidas", {"bmw": 0.7}, "bmw")]
    rows += [mark("t/3", "bmw", {"bmw": 0.8}, "bmw"), mark("t/4", "bmw", {"bmw": 0.2}, None)]
    rows += [mark("n/5", "", {}, None), mark("n/6", "", {"bmw": 0.6}, "bmw")]
    rows += [{**r, "contender": "sift", "said": {}} for r in rows]
    figures = {f.what: f for f in marks_real.score(rows, {"data": "flickrlogos32"})}
    assert figures["published protocol, precision"].value == 0.5
    assert figures["published protocol, recall"].value == 0.5
    recall, precision = plots.curves(rows)["imgmatch"]
    assert precision.tolist() == [1, 1, pytest.approx(2 / 3), 0.5, pytest.approx(3 / 5)]
    assert recall[-1] == 0.75


def test_drawings_as_references_are_counted_apart_from_boxes_in_photos() -> None:
    rows = [mark("t/1", "bmw", {"bmw": 0.9}, "bmw"), mark("t/1", "bmw", {"bmw": 0.8, "adidas": 0.6}, "bmw", drawn=True)]
    rows += [mark("n/2", "", {"bmw": 0.7}, None, drawn=True), {**rows[0], "contender": "sift", "said": {}}]
    rows += [mark("t/3", "bmw", {"bmw": 0.9}, "bmw", drawn=True, altered=["bmw"])]
    figures = {f.what: f for f in marks_real.score(rows, {"data": "logos_in_photos"})}
    assert figures["marks named rightly, logo signal alone"].value == 1
    by_drawings = "logo signal alone, drawings as references"
    assert figures[f"marks named rightly, {by_drawings}"].value == 0.5
    assert figures[f"two brands seen: a question, {by_drawings}"].value == 0.5
    assert figures[f"photos of nothing given a brand, {by_drawings}"].value == 1
    assert figures["marks named rightly, marks and words, drawings as references"].value == 1
    assert figures["genuine marks called altered, of those named, drawings as references"].value == 1
    assert "photos of nothing given a brand, logo signal alone" not in figures
    assert plots.curves(rows)["imgmatch"][1].tolist() == [1]


def test_goods_whose_figure_was_altered_are_counted_apart_from_genuine_ones() -> None:
    rows = [mark("t/1", "acme", {"acme": 0.9}, "acme"), mark("altered/2", "acme", {"acme": 0.9}, "acme", altered=["acme"])]
    rows += [{**rows[0], "contender": "sift"}, mark("altered/3", "acme", {}, None)]
    figures = {f.what: f for f in marks_real.score(rows, {"data": "rendered"})}
    assert figures["altered figures called altered, of those named"].text().startswith("100.0 %")
    assert figures["altered figures called altered, of those named"].against == "named 1 of 2"
    assert figures["genuine marks called altered, of those named"].value == 0
