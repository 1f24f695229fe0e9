"""Which brand a listing presents itself as: sources weighed, never outvoted by one that cannot be sure."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgmatch.types import Finding, FindingStatus
from imgmatch.verdicts.claim import weigh

TRUST = {"text": 0.97, "logo": 0.97, "design": 0.9, "copy": 0.98}


def named(signal: str, brand: str | None, value: float, photo_id: str = "photo-1") -> Finding:
    return Finding(signal, FindingStatus.OK, value, f"{signal} says {brand}", photo_id=photo_id, brand=brand)


def test_one_source_is_as_sure_as_it_is_and_no_surer_than_it_is_right() -> None:
    (claim,) = weigh([named("design", "omega", 0.7)], TRUST)
    assert (claim.brand, claim.probability) == ("omega", pytest.approx(0.7))
    (claim,) = weigh([named("design", "omega", 0.99)], TRUST)
    assert claim.probability == pytest.approx(0.9)


def test_a_word_read_for_sure_is_not_outvoted_by_a_likeness() -> None:
    seiko, omega = weigh([named("design", "omega", 0.99), named("text", "seiko", 1.0)], TRUST)
    # odds 0.97 / 0.03 against 0.9 / 0.1, and 1 for none
    assert (seiko.brand, seiko.probability) == ("seiko", pytest.approx((97 / 3) / (97 / 3 + 9 + 1)))
    assert (omega.brand, omega.probability) == ("omega", pytest.approx(9 / (97 / 3 + 9 + 1)))
    assert omega.describe("Omega") == "Omega 21% (Design likeness 0.99)"


CASES = [
    ("two sources beat one of them", [("text", "a", 0.8), ("design", "a", 0.8), ("text", "b", 0.9)], "a"),
    ("a mark and a likeness beat a word", [("logo", "a", 1.0), ("design", "a", 0.8), ("text", "b", 1.0)], "a"),
    ("said twice by one source is said once", [("design", "a", 0.7), ("design", "a", 0.75), ("design", "b", 0.8)], "b"),
    ("a source that the table does not know", [("mine", "a", 1.0), ("text", "b", 1.0)], "b"),
]


@pytest.mark.parametrize(("findings", "brand"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_which_brand(findings: list[tuple[str, str, float]], brand: str) -> None:
    assert weigh([named(*f) for f in findings], TRUST)[0].brand == brand


def test_two_brands_named_equally_surely_are_a_question() -> None:
    first, second = weigh([named("text", "omega", 1.0), named("text", "seiko", 1.0, "photo-2")], TRUST)
    assert first.probability == second.probability < 0.5


def test_nothing_named_is_no_claim() -> None:
    assert weigh([], TRUST) == []
    assert weigh([named("text", None, 1.0), named("text", "a", 0.0)], TRUST) == []


FINDINGS = st.lists(
    st.builds(named, st.sampled_from(["text", "logo", "design"]), st.sampled_from(["a", "b", "c"]), st.floats(0.01, 1.0)),
    max_size=5,
)


@given(FINDINGS)
def test_order_changes_nothing_and_probabilities_leave_room_for_none(findings: list[Finding]) -> None:
    claims = weigh(findings, TRUST)
    assert sum(c.probability for c in claims) < 1.0
    for other in itertools.islice(itertools.permutations(findings), 6):
        assert weigh(other, TRUST) == claims
