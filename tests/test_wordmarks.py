"""Wordmarks: views of a string, the null, and what a reading is held to be."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgmatch.catalog.items import Brand
from imgmatch.market.wordmarks import (
    FREQUENCY,
    Line,
    WordmarkMatcher,
    align,
    chance_hits,
    edits_allowed,
    lines,
    spelled_as,
    spellings,
)
from imgmatch.vision.ocr import Reading

BRANDS = {
    b.brand: b
    for b in (
        Brand("gucci", "Gucci", ("GUCCI",)),
        Brand("puma", "Puma", ("PUMA",)),
        Brand("dior", "Dior", ("DIOR",)),
        Brand("adidas", "adidas", ("adidas",)),
        Brand("louisvuitton", "Louis Vuitton", ("LOUIS VUITTON",), ("LV",)),
        Brand("michaelkors", "Michael Kors", ("MICHAEL KORS",), ("MK",)),
        Brand("apple", "Apple", ("Apple",)),
        Brand("chanel", "Chanel", ("CHANEL",)),
        Brand("rolex", "Rolex"),
    )
}
MATCHER = WordmarkMatcher(BRANDS, ["apple", "channel"])


def reading(text: str, x: float = 0, y: float = 0, height: float = 20, confidence: float = 0.99) -> Reading:
    width = 12.0 * len(text)
    corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))
    return Reading(text, confidence, (confidence,) * len(text), corners)


# Golden values


def test_chance_hits_by_hand() -> None:
    # Letters of "dior": .043 x (.070 + .040 for the i/l group) x .075 x .060; "dlor" is its skeleton.
    p = 0.043 * (0.070 + 0.040) * 0.075 * 0.060
    assert chance_hits("dlor", 0, 100) == pytest.approx(100 * p)
    # One edit: four places, three letters' worth of the product.
    assert chance_hits("dlor", 1, 100) == pytest.approx(100 * 4 * p ** (3 / 4))


def test_frequencies_are_a_distribution() -> None:
    assert len(FREQUENCY) == 26
    assert sum(FREQUENCY.values()) == pytest.approx(1000, abs=3)


@pytest.mark.parametrize(
    ("a", "b", "pairs"),
    [
        ("PUMBA", "PUMA", [("P", "P"), ("U", "U"), ("M", "M"), ("B", ""), ("A", "A")]),
        ("GUCI", "GUCCI", [("G", "G"), ("U", "U"), ("C", "C"), ("", "C"), ("I", "I")]),
        ("PRADO", "PRADA", [("P", "P"), ("R", "R"), ("A", "A"), ("D", "D"), ("O", "A")]),
    ],
)
def test_align(a: str, b: str, pairs: list[tuple[str, str]]) -> None:
    assert align(a, b) == pairs


@pytest.mark.parametrize(
    ("text", "mark", "right"),
    [
        ("gucci", "GUCCI", True),
        ("Gucci", "GUCCI", True),
        ("LOUISVUITTON", "LOUIS VUITTON", True),
        ("HERMES", "HERMÈS", True),
        ("HÉRMES", "HERMES", False),
        ("GUCCl", "GUCCI", False),
        ("gUCCI", "GUCCI", True),
        ("FedEx", "FEDEX", True),
        ("FedEx", "Fedex", True),
        ("McDonald's.", "MCDONALDS", True),
        ("FedEx", "FedEx", True),
        ("FEDEX", "FedEx", True),
        ("FeDex", "FedEx", False),  # listed in a case of its own
        ("VAN CLEEF and ARPELS", "Van Cleef and Arpels", True),  # a small word or a small s is no case of its own
        ("VICTORIA'S Secret", "Victoria's Secret", True),
        ("ADlDAS", "adidas", False),
    ],
)
def test_spelled_as(text: str, mark: str, right: bool) -> None:
    assert spelled_as(text, mark) is right


# What a reading is held to be


@pytest.mark.parametrize(
    ("texts", "brand", "kind"),
    [
        (["PUMA"], "puma", "exact"),
        (["GUC", "GUCCI"], "gucci", "exact"),
        (["UIS VUITTON"], "louisvuitton", "partial"),
        (["LOUIS VUITTO"], "louisvuitton", "partial"),
        (["GUCC"], "gucci", "partial"),
        (["R0LEX"], "rolex", "exact"),
        (["made by GUCCI in Italy"], "gucci", "exact"),
        (["PUMBA"], "puma", "near"),
        (["daiads"], "adidas", "near"),
        (["abibag"], "adidas", "near"),  # b is d turned over
        (["HANCEL"], "chanel", "near"),
        (["www.gucci.com"], "gucci", "exact"),
    ],
)
def test_nearest_mark(texts: list[str], brand: str, kind: str) -> None:
    best = MATCHER.match([reading(t, y=200.0 * i) for i, t in enumerate(texts)])[0]
    assert (best.brand, best.kind) == (brand, kind)


@pytest.mark.parametrize("text", ["IOR", "LOUIS", "SENIOR", "CHANNEL", "12:30", "", "PU", "古驰", "apples"])
def test_meets_no_mark(text: str) -> None:
    assert MATCHER.match([reading(text)]) == []


@pytest.mark.parametrize(
    ("text", "brand", "whole"),
    [
        ("阿维乐", "arvelle", True),
        ("正品阿维乐包包", "arvelle", False),
        ("ARVELLE阿维乐", "arvelle", False),
        ("シャネル", "shaneru", True),
        ("阿维", None, False),
        ("阿维东", None, False),  # one sign is a syllable: no misreading
        ("ЗАРЯ", None, False),  # the reader knows no Cyrillic letters
    ],
)
def test_names_without_spaces_are_found_in_a_line_to_the_letter(text: str, brand: str | None, whole: bool) -> None:
    named = {"arvelle": ("ARVELLE", "阿维乐"), "shaneru": ("シャネル",), "заря": ("Заря",)}
    matcher = WordmarkMatcher({key: Brand(key, key, names[:1], names[1:]) for key, names in named.items()})
    found = [(m.brand, m.kind, m.whole) for m in matcher.match([reading(text)])]
    assert found == ([] if brand is None else [(brand, "exact", whole)])


def test_marks_split_over_boxes_are_joined() -> None:
    beside = [reading("GUC"), reading("CI", x=44)]
    below = [reading("MICHAEL", y=0), reading("KORS", x=10, y=26)]
    apart = [reading("GUC"), reading("CI", x=400)]
    assert [(m.brand, m.kind) for m in MATCHER.match(beside)] == [("gucci", "exact")]
    assert ("michaelkors", "exact") in [(m.brand, m.kind) for m in MATCHER.match(below)]
    assert not [m for m in MATCHER.match(apart) if m.kind == "exact"]


def test_rolodex_is_two_edits_from_rolex_and_not_near() -> None:
    assert edits_allowed("rolex") == 1
    assert MATCHER.match([reading("ROLODEX")]) == []


def test_chance_grows_with_what_was_read_and_with_the_catalog() -> None:
    alone = MATCHER.match([reading("GUCCI")])[0].chance
    crowded = MATCHER.match([reading("GUCCI"), *(reading(f"other{i}", y=90.0 * i + 90) for i in range(9))])[0].chance
    small = WordmarkMatcher({"gucci": BRANDS["gucci"]}).match([reading("GUCCI")])[0].chance
    assert small < alone < crowded


# Laws


WORDS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 éüЖ语", max_size=14)


@given(WORDS, WORDS)
def test_alignment_spells_both_sides(a: str, b: str) -> None:
    pairs = align(a, b)
    assert "".join(x for x, _ in pairs) == a
    assert "".join(y for _, y in pairs) == b


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12), st.integers(0, 3))
def test_chance_is_finite_and_grows_with_tests(mark: str, distance: int) -> None:
    one, many = chance_hits(mark, distance, 1), chance_hits(mark, distance, 1000)
    assert math.isfinite(one)
    assert many == pytest.approx(1000 * one)


@given(st.sampled_from([m for b in BRANDS.values() for m in (b.wordmarks or (b.name,))]))
def test_every_right_spelling_is_right_and_exact(mark: str) -> None:
    for form in spellings(mark):
        assert spelled_as(form, mark)
        assert MATCHER.match([reading(form)])[0].kind == "exact"


def test_lines_keep_every_reading() -> None:
    readings = [reading("A", y=0), reading("B", y=500)]
    assert lines(readings) == [Line((readings[0],)), Line((readings[1],))]


@pytest.mark.parametrize(
    ("text", "brands"),
    [
        ("DIORE", {"dior"}),
        ("EDIOR", {"dior"}),
        ("DIXOR", {"dior"}),
        ("DXXR", {"dior"}),
        ("DXXX", set()),
        ("chamel", {"chanel"}),
        ("xqhanqq", set()),
        ("applee", set()),
    ],
)
def test_marks_that_an_unsure_reading_may_be_of(text: str, brands: set[str]) -> None:
    assert {brand for brand, _ in MATCHER.akin(text)} == brands
