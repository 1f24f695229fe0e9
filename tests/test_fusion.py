"""The verdict: claim × contradiction, caps, authorised sellers, open set, and what a calibration adds."""

from __future__ import annotations

import itertools
from dataclasses import replace
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgmatch.catalog.items import Brand
from imgmatch.config import Config, FusionConfig
from imgmatch.errors import CalibrationError, ConfigError
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.records import Listing
from imgmatch.types import Basis, Candidate, Decision, EmbeddingSpace, Finding, FindingStatus, Image, Label
from imgmatch.verdicts import Fusion
from imgmatch.verdicts.calibration import Calibration, Coefficient, OperatingPoint
from imgmatch.verdicts.decide import feature_values
from imgmatch.verdicts.rules import Rules

SPACE = EmbeddingSpace("tiny", "0" * 64, "tiny", "none", "fp32", 4)
BRANDS = {
    "aurel": Brand("aurel", "Aurel", official_domains=("aurel.com",), authorised_sellers=(("bazaar", "s-1"),)),
    "brix": Brand("brix", "Brix"),
}
CATALOG: Any = SimpleNamespace(brands=BRANDS, space=SPACE, items={})
TITLE = Listing("L1", photos=("a.jpg",), title="a bag")


def found(signal: str, value: float, brand: str | None = "aurel", photo_id: str | None = None) -> Finding:
    return Finding(signal, FindingStatus.OK, value, f"{signal} says so", brand=brand, photo_id=photo_id)


def query(listing: Listing = TITLE, unreadable: tuple[str, ...] = ()) -> Query:
    image = Image(np.zeros((8, 8, 3), np.uint8), "0" * 64, "<array>", 8, 8, "RAW")
    candidates = [
        Candidate("bag-2", "brix", 0.9, "f" * 64, "photo-1", 0.9),
        Candidate("bag-1", "aurel", 0.8, "e" * 64, "photo-1", 0.8),
    ]
    return Query(listing, [PhotoContext("photo-1", image)], candidates, unreadable)


def calibration(**changes: Any) -> Calibration:
    point = OperatingPoint("balanced", 0.5, 1000, 100, 0.01, (0.005, 0.02), 0.8, (0.7, 0.87))
    made = Calibration(
        name="test",
        fitted_on="self",
        source="numbers",
        dataset="0" * 64,
        created="2026-01-01",
        space={"id": SPACE.id, "description": SPACE.describe()},
        gating=Rules.load().gating,
        examples=1100,
        positives=100,
        training_prevalence=0.1,
        prevalence=0.1,
        intercept=-3.0,
        coefficients={
            "logo_tamper": Coefficient(4.0, 500),
            "price": Coefficient(3.0, 900),
            "copy": Coefficient(1.0, 1100),
        },
        points={"balanced": point},
        refused={"fpr_1e-3": "1000 honest listings cannot support it"},
    )
    return replace(made, **changes)


# The rules alone, case by case: findings -> decision, basis, labels.

CLAIM = [found("design", 0.9)]
KNOWN = found("price", 0.0)  # something is known of the offer
ALONE = {
    "nothing near": ([found("design", 0.2)], Decision.CLEAR, Basis.NO_CLAIM, ()),
    "open set": ([Finding.abstained("design", "nothing near")], Decision.CLEAR, Basis.UNKNOWN_BRAND, ()),
    "claim alone": (CLAIM, Decision.UNJUDGED, Basis.NOTHING_KNOWN, ()),
    "claim and an honest price": ([*CLAIM, KNOWN], Decision.CLEAR, Basis.NO_CONTRADICTION, ()),
    "claim and photos that contradict nothing": (
        [*CLAIM, found("copy", 0.0, None)],
        Decision.UNJUDGED,
        Basis.NOTHING_KNOWN,
        (),
    ),
    "every claim, certain": (
        [KNOWN, *(found(s, 1.0) for s in ("design", "local", "text", "logo", "claim"))],
        Decision.CLEAR,
        Basis.NO_CONTRADICTION,
        (),
    ),
    "contradiction without a claim": (
        [found("design", 0.1), found("price", 1.0), found("wording", 1.0, None)],
        Decision.CLEAR,
        Basis.NO_CLAIM,
        (),
    ),
    "official photo": ([found("copy", 0.97)], Decision.REVIEW, Basis.CONTRADICTION, (Label.PHOTO_THEFT,)),
    "cheap": ([*CLAIM, found("price", 0.7)], Decision.REVIEW, Basis.CONTRADICTION, (Label.COUNTERFEIT_SUSPECTED,)),
    "a little cheap": ([*CLAIM, found("price", 0.4)], Decision.CLEAR, Basis.NO_CONTRADICTION, ()),
    "altered mark": (
        [*CLAIM, found("logo_tamper", 0.9)],
        Decision.REVIEW,
        Basis.CONTRADICTION,
        (Label.COUNTERFEIT_SUSPECTED, Label.LOOKALIKE),
    ),
    "altered mark of a plain claim": (
        [found("claim", 1.0), found("logo_tamper", 0.9)],
        Decision.LEAD,
        Basis.CONTRADICTION,
        (Label.COUNTERFEIT_SUSPECTED, Label.LOOKALIKE),
    ),
    "two weak ones of a plain claim": (
        [found("claim", 1.0), found("copy", 0.97), found("price", 0.7)],
        Decision.REVIEW,
        Basis.CONTRADICTION,
        (Label.COUNTERFEIT_SUSPECTED, Label.PHOTO_THEFT),
    ),
    "a shop that nobody authorised": (
        [*CLAIM, found("shop", 1.0)],
        Decision.REVIEW,
        Basis.CONTRADICTION,
        (Label.UNAUTHORISED_SELLER,),
    ),
    "of another brand": ([KNOWN, *CLAIM, found("logo_tamper", 0.4, "brix")], Decision.CLEAR, Basis.NO_CONTRADICTION, ()),
    "disagreement": (
        [found("text", 0.9), found("design", 0.8, "brix")],
        Decision.REVIEW,
        Basis.CONTRADICTION,
        (),
    ),
    "one signal that sees two brands": (
        [KNOWN, found("logo", 0.9), found("logo", 0.8, "brix")],
        Decision.CLEAR,
        Basis.NO_CONTRADICTION,
        (),
    ),
    "two names in one photo": (
        [found("text", 0.9, photo_id="photo-1"), found("text", 0.8, "brix", photo_id="photo-1")],
        Decision.REVIEW,
        Basis.CONTRADICTION,
        (),
    ),
    "two names in a post": (
        [KNOWN, found("text", 0.9, photo_id="promo-1"), found("text", 0.8, "brix", photo_id="promo-1")],
        Decision.CLEAR,
        Basis.NO_CONTRADICTION,
        (),
    ),
    "two names in two photos": (
        [KNOWN, found("text", 0.9, photo_id="photo-1"), found("text", 0.8, "brix", photo_id="photo-2")],
        Decision.CLEAR,
        Basis.NO_CONTRADICTION,
        (),
    ),
    "stranger": ([*CLAIM, found("seller", 1.0)], Decision.CLEAR, Basis.NO_CONTRADICTION, ()),
    "promo shows the brand": (
        [found("listing_mismatch", 0.9)],
        Decision.REVIEW,
        Basis.CONTRADICTION,
        (Label.BAIT_AND_SWITCH,),
    ),
    "broken signal": ([Finding.failed("design", "out of memory")], Decision.REVIEW, Basis.UNREADABLE, ()),
    "broken signal beside one that names no brand": (
        [Finding.failed("text", "out of memory"), found("copy", 0.0, None)],
        Decision.REVIEW,
        Basis.UNREADABLE,
        (),
    ),
    "broken signal beside a claim": (
        [found("claim", 1.0), KNOWN, Finding.failed("logo", "out of memory")],
        Decision.REVIEW,
        Basis.UNREADABLE,
        (),
    ),
}


@pytest.mark.parametrize(("findings", "decision", "basis", "labels"), ALONE.values(), ids=ALONE)
def test_the_rules_alone(findings: list[Finding], decision: Decision, basis: Basis, labels: tuple[Label, ...]) -> None:
    verdict = Fusion(CATALOG, Config()).decide(query(), findings)
    assert (verdict.decision, verdict.basis, verdict.labels) == (decision, basis, labels)
    assert (verdict.rank, verdict.probability, verdict.calibration) == (None, None, None)
    assert verdict.reasons
    assert (decision is Decision.LEAD) == ("by the rules alone" in " ".join(verdict.reasons))


@pytest.mark.parametrize(("others", "brand"), [([], None), ([found("claim", 0.9)], "aurel"), ([found("claim", 0.4)], None)])
def test_a_middling_likeness_alone_is_of_an_unknown_brand(others: list[Finding], brand: str | None) -> None:
    assert Rules.load().assess([found("design", 0.7), *others]).brand == brand


WEAK_WORD, WEAK_MARK = found("text", 0.45, photo_id="photo-1"), found("logo", 0.1, photo_id="photo-1")
AGREEING = {
    "a weak word": ([WEAK_WORD], None),
    "a weak mark": ([WEAK_MARK], None),
    "two weak marks": ([WEAK_MARK, found("logo", 0.2, photo_id="photo-2")], None),
    "both": ([WEAK_WORD, WEAK_MARK], "aurel"),
    "of two brands": ([WEAK_WORD, replace(WEAK_MARK, brand="brix")], None),
    "weaker than weak": ([WEAK_WORD, replace(WEAK_MARK, value=0.02)], None),
    "beside a likeness": ([WEAK_MARK, found("design", 0.6, photo_id="photo-1")], "aurel"),
    "in two photos": ([WEAK_WORD, replace(WEAK_MARK, photo_id="photo-2")], None),
    "beside an ordinary word of the title": ([WEAK_MARK, found("claim", 0.45)], None),
    "both, beside a plain word for another": ([WEAK_WORD, WEAK_MARK, found("text", 0.9, "brix")], "brix"),
    "both, beside half a word for another": ([WEAK_WORD, WEAK_MARK, found("text", 0.51, "brix")], "brix"),
}


@pytest.mark.parametrize(("findings", "brand"), AGREEING.values(), ids=AGREEING)
def test_weak_findings_name_a_brand_where_two_sources_agree(findings: list[Finding], brand: str | None) -> None:
    assert Rules.load().assess(findings).brand == brand


def test_what_weak_findings_say_together_is_said_so() -> None:
    verdict = Fusion(CATALOG, Config()).decide(query(), [WEAK_WORD, WEAK_MARK, KNOWN])
    assert (verdict.brand, verdict.shows_brand, verdict.shown_by) == ("aurel", "aurel", ("text", "logo"))
    assert verdict.certainty == pytest.approx(2.25 / 3.25)  # 0.6 twice: odds of 1.5 * 1.5
    assert "Weak findings that agree name the brand; none of them would by itself." in verdict.reasons
    verdict = Fusion(CATALOG, Config()).decide(query(), [WEAK_MARK, found("text", 0.9, photo_id="photo-1")])
    assert (verdict.shown_by, verdict.certainty) == (("text",), 0.9)  # a claim needs no weak mark
    assert not any("Weak findings" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("claims", [[WEAK_WORD, WEAK_MARK], [found("text", 0.9), WEAK_MARK]])
def test_a_weak_mark_makes_no_more_of_a_contradiction(claims: list[Finding]) -> None:
    bare = [f for f in claims if f is not WEAK_MARK]
    for contradiction in (found("logo_tamper", 0.9), found("text", 0.6, "brix", photo_id="photo-1")):
        allowed = Rules.load().assess([*bare, contradiction]).allows
        assert Rules.load().assess([*claims, contradiction]).allows.rank <= allowed.rank
    assert not Rules.load().assess([WEAK_WORD, WEAK_MARK, found("logo_tamper", 0.9)]).plain


def test_what_only_weak_findings_claim_goes_to_review_at_most() -> None:
    against = [found("price", 0.9), found("contact", 0.8), found("seller", 0.9)]
    assert Rules.load().assess([found("text", 0.9), *against]).allows is Decision.LEAD
    assert Rules.load().assess([WEAK_WORD, WEAK_MARK, *against]).allows is Decision.REVIEW


def test_a_claim_may_be_set_below_a_half() -> None:
    rules = Rules.from_dict({"claims": {"text": 0.3}, "contradictions": {}})
    assert rules.assess([found("text", 0.35)]).brand == "aurel"


def test_candidate_is_of_the_claimed_brand() -> None:
    verdict = Fusion(CATALOG, Config()).decide(query(), CLAIM)
    assert (verdict.brand, verdict.item_id, verdict.similarity) == ("aurel", "bag-1", 0.8)


def test_unreadable_photos_are_not_cleared() -> None:
    verdict = Fusion(CATALOG, Config()).decide(Query(TITLE), [Finding.abstained("design", "no photo")])
    assert (verdict.decision, verdict.basis) == (Decision.REVIEW, Basis.UNREADABLE)


UNREAD = {
    "no listing photo was read": (Query(TITLE), (), Decision.REVIEW),
    "one of several": (query(unreadable=("photo-2",)), (), Decision.REVIEW),
    "a promo photo": (query(replace(TITLE, promo_photos=("b.jpg",)), ("promo-1",)), (), Decision.REVIEW),
    "settled by another": (query(unreadable=("photo-2",)), (found("wording", 1.0),), Decision.LEAD),
    "an authorised seller": (
        query(Listing("L1", platform="bazaar", seller_id="s-1", photos=("a.jpg", "b.jpg")), ("photo-2",)),
        (),
        Decision.CLEAR,
    ),
    "all were read": (query(), (), Decision.CLEAR),
}


@pytest.mark.parametrize(("asked", "more", "decision"), UNREAD.values(), ids=UNREAD)
def test_unreadable_is_not_innocent(asked: Query, more: tuple[Finding, ...], decision: Decision) -> None:
    verdict = Fusion(CATALOG, Config()).decide(asked, [found("claim", 1.0), KNOWN, *more])
    assert verdict.decision is decision
    assert (verdict.basis is Basis.UNREADABLE) == (decision is Decision.REVIEW)


@pytest.mark.parametrize(
    ("listing", "basis"),
    [(TITLE, Basis.UNREADABLE), (replace(TITLE, photos=()), Basis.NO_CLAIM)],
    ids=["no photo was read", "no photo was given"],
)
def test_a_photo_that_nobody_could_read_is_not_of_no_brand(listing: Listing, basis: Basis) -> None:
    assert Fusion(CATALOG, Config()).decide(Query(listing), [found("claim", 0.0)]).basis is basis


def test_which_brand_is_shown_and_by_what() -> None:
    findings = [found("claim", 1.0), found("text", 0.7, photo_id="photo-1"), found("logo", 0.9, photo_id="photo-1")]
    verdict = Fusion(CATALOG, Config()).decide(query(), findings)
    assert (verdict.shows_brand, verdict.shown_by, verdict.certainty) == ("aurel", ("logo", "text"), 0.9)
    verdict = Fusion(CATALOG, Config()).decide(query(), findings[:1])
    assert (verdict.brand, verdict.shows_brand, verdict.shown_by, verdict.certainty) == ("aurel", None, (), None)


@pytest.mark.parametrize(("other", "shows"), [(0.97, None), (0.7, "aurel")])
def test_two_brands_seen_as_surely_are_a_question(other: float, shows: str | None) -> None:
    two = [found("text", 0.97, photo_id="photo-1"), found("logo", other, brand="borel", photo_id="photo-1")]
    verdict = Fusion(CATALOG, Config()).decide(query(), two)
    assert verdict.shows_brand == shows
    assert bool(verdict.shown_by) == bool(shows)


def test_a_declared_unknown_brand_is_said() -> None:
    verdict = Fusion(CATALOG, Config()).decide(query(replace(TITLE, brand_claim="Casio")), [found("design", 0.1)])
    assert verdict.basis is Basis.UNKNOWN_BRAND
    assert "Casio" in verdict.reasons[0]


# What the rules allow: pairs of contradictions beside a claim.

ALLOWED = [
    (["logo_tamper"], Decision.LEAD),
    (["wording"], Decision.LEAD),
    (["listing_mismatch"], Decision.LEAD),
    (["copy", "price"], Decision.LEAD),
    (["known_offender", "price"], Decision.LEAD),
    (["copy", "known_offender"], Decision.REVIEW),  # one photo, one source
    (["copy", "seller"], Decision.REVIEW),  # the stranger who sells new goods is the one who shows the official photo
    (["price", "seller"], Decision.LEAD),
    (["price", "contact"], Decision.LEAD),
    (["copy", "contact"], Decision.REVIEW),  # so do honest shops
    (["seller", "contact"], Decision.CLEAR),  # honest shops do both
    (["contact"], Decision.CLEAR),
]


@pytest.mark.parametrize(("names", "allows"), ALLOWED, ids=lambda x: "+".join(x) if isinstance(x, list) else "")
def test_what_the_rules_allow(names: list[str], allows: Decision) -> None:
    assessment = Rules.load().assess([*CLAIM, *(found(n, 0.97) for n in names)])
    assert assessment.allows is allows


def test_what_the_calibration_never_saw_is_left_to_a_person() -> None:
    fusion = Fusion(CATALOG, Config(), calibration())
    verdict = fusion.decide(query(), [*CLAIM, found("wording", 0.9)])
    assert verdict.decision is Decision.REVIEW
    assert "too few cases of: Replica wording." in " ".join(verdict.reasons)
    for intercept in (-40.0, 40.0):  # whatever a listing without any contradiction would rank
        verdict = Fusion(CATALOG, Config(), calibration(intercept=intercept)).decide(
            query(), [*CLAIM, found("wording", 0.9)]
        )
        assert verdict.decision is Decision.REVIEW
        assert "the rank counts nothing of what contradicts the claim" in " ".join(verdict.reasons)
    verdict = fusion.decide(query(), [found("claim", 1.0), found("wording", 0.9)])
    assert verdict.decision is Decision.LEAD
    assert "A lead by the rules alone: a strong contradiction of a plain claim" in " ".join(verdict.reasons)


def test_one_finding_is_not_both_claim_and_strong_contradiction() -> None:
    assert Rules.load().assess([found("logo_tamper", 1.0)]).allows is Decision.REVIEW
    assert Rules.load().assess([found("logo_tamper", 1.0), found("text", 0.6)]).allows is Decision.LEAD


# Authorised sellers.

AUTHORISED = [
    Listing("L1", title="bag", platform="Bazaar", seller_id="s-1"),
    Listing("L1", title="bag", url="https://www.aurel.com/bag"),
]
STRANGERS = [
    Listing("L1", title="Aurel official store", platform="bazaar", seller_id="s-10"),
    Listing("L1", title="bag", platform="elsewhere", seller_id="s-1"),
    Listing("L1", title="bag", seller_id="s-1"),
    Listing("L1", title="bag", url="https://aurel.com.shop.example/bag"),
    Listing("L1", title="bag", url="https://aurel.com@evil.example/bag"),
    Listing("L1", title="bag", url="https://evil.example/aurel.com"),
]


@pytest.mark.parametrize("listing", AUTHORISED)
def test_authorised_sellers_are_cleared_and_the_signals_kept(listing: Listing) -> None:
    findings = [*CLAIM, found("copy", 1.0), found("price", 1.0)]
    verdict = Fusion(CATALOG, Config(), calibration()).decide(query(listing), findings)
    assert (verdict.decision, verdict.basis, verdict.labels) == (Decision.CLEAR, Basis.AUTHORISED, ())
    assert verdict.findings[:3] == tuple(findings)
    assert any(r.startswith("Note: ") for r in verdict.reasons)


@pytest.mark.parametrize("listing", AUTHORISED)
def test_a_strong_contradiction_of_an_authorised_seller_is_reviewed(listing: Listing) -> None:
    findings = [*CLAIM, found("logo_tamper", 1.0), found("wording", 1.0)]
    verdict = Fusion(CATALOG, Config(), calibration(intercept=9.0)).decide(query(listing), findings)
    assert (verdict.decision, verdict.basis) == (Decision.REVIEW, Basis.CONTRADICTION)
    assert "authorised" in verdict.reasons[0] or "official" in verdict.reasons[0]


@pytest.mark.parametrize("listing", STRANGERS)
def test_strangers_are_not_cleared(listing: Listing) -> None:
    verdict = Fusion(CATALOG, Config()).decide(query(listing), [*CLAIM, found("copy", 1.0)])
    assert verdict.decision is Decision.REVIEW


# With a calibration.


def test_contributions_sum_to_the_logit_by_hand() -> None:
    # -3 + 4 * 0.9 + 3 * 0.7 + 0 (copy abstained) = 2.7; 1 / (1 + e^-2.7) = 0.93703…
    findings = [*CLAIM, found("logo_tamper", 0.9), found("price", 0.7), Finding.abstained("copy", "too flat")]
    verdict = Fusion(CATALOG, Config(), calibration()).decide(query(), findings)
    assert verdict.probability == pytest.approx(0.9370266)
    (shown,) = [f for f in verdict.findings if f.signal == "rank"]
    assert shown.evidence["facts"] == {"intercept": -3.0, "logo_tamper": 3.6, "price": 2.1, "copy": 0.0}
    (fine,) = [
        f
        for f in Fusion(CATALOG, Config(), calibration(intercept=-1 / 3)).decide(query(), []).findings
        if f.signal == "rank"
    ]
    assert fine.evidence["facts"]["intercept"] == -0.3333
    assert verdict.decision is Decision.LEAD
    assert verdict.calibration is not None
    assert "probabilities among listings made of the catalog's own photos" in verdict.calibration


@pytest.mark.parametrize(("fitted_on", "earned"), [("rendered", False), ("self", True), ("reviews", True)])
def test_only_what_was_fitted_on_ones_own_gives_a_probability(fitted_on: str, earned: bool) -> None:
    made = Fusion(CATALOG, Config(), calibration(fitted_on=fitted_on))
    verdict = made.decide(query(), [*CLAIM, found("logo_tamper", 0.9)])
    assert verdict.rank is not None
    assert verdict.probability == (verdict.rank if earned else None)
    assert ("not probabilities" in (verdict.calibration or "")) != earned


def test_prevalence_shifts_the_log_odds() -> None:
    # From 10 % to 50 %: log odds up by ln 9, so -3 becomes -0.80278.
    half = calibration().with_prevalence(0.5)
    assert half.rank({})[1]["intercept"] == pytest.approx(-3.0 + np.log(9.0))
    assert half.points["balanced"].threshold == pytest.approx(0.9)  # odds 1 become odds 9


def test_a_lead_needs_rules_and_probability() -> None:
    fusion = Fusion(CATALOG, Config(), calibration())
    probable = [*CLAIM, found("price", 1.0), Finding.abstained("copy", "-")]
    # One weak contradiction at p = 0.5: review. The rules hold it there whatever the probability.
    assert fusion.decide(query(), probable).decision is Decision.REVIEW
    sure = Fusion(CATALOG, Config(), calibration(intercept=9.0))
    assert sure.decide(query(), probable).decision is Decision.REVIEW
    # Two weak ones that the rules would let through: the rank keeps them back, never out.
    unsure = Fusion(CATALOG, Config(), calibration(intercept=-9.0))
    verdict = unsure.decide(query(), [*CLAIM, found("price", 0.6), found("copy", 0.96)])
    assert verdict.decision is Decision.REVIEW
    assert any("the rank is below" in r for r in verdict.reasons)


def test_photo_only_is_capped_at_review() -> None:
    bare = Listing("L1", photos=("a.jpg",))
    verdict = Fusion(CATALOG, Config(), calibration()).decide(query(bare), [*CLAIM, found("logo_tamper", 1.0)])
    assert verdict.decision is Decision.REVIEW
    assert any("nothing is known about the listing but its photos" in r for r in verdict.reasons)


def test_disagreement_is_never_cleared() -> None:
    unsure = Fusion(CATALOG, Config(), calibration(intercept=-20.0))
    verdict = unsure.decide(query(), [found("text", 0.9), found("design", 0.8, "brix")])
    assert verdict.decision is Decision.REVIEW
    (derived,) = [f for f in verdict.findings if f.signal == "disagreement"]
    assert derived.value == 0.8


# Properties.

NAMES = ["design", "copy", "text", "logo_tamper", "wording", "price", "known_offender", "seller"]
findings_lists = st.lists(
    st.builds(
        found,
        st.sampled_from(NAMES),
        st.floats(0, 1),
        st.sampled_from(["aurel", "brix", None]),
    ),
    max_size=8,
)


@settings(max_examples=100, deadline=None)
@given(findings_lists, st.randoms(use_true_random=False), st.booleans())
def test_order_changes_nothing(findings: list[Finding], random: Any, calibrated: bool) -> None:
    fusion = Fusion(CATALOG, Config(), calibration() if calibrated else None)
    shuffled = random.sample(findings, len(findings))
    assert replace(fusion.decide(query(), shuffled), findings=()) == replace(fusion.decide(query(), findings), findings=())


CALIBRATIONS = st.one_of(st.none(), st.builds(lambda z: calibration(intercept=z), st.floats(-30, 30)))
LISTINGS = st.sampled_from([TITLE, Listing("L1", photos=("a.jpg",)), *AUTHORISED, *STRANGERS])


@settings(max_examples=300, deadline=None)
@given(findings_lists, CALIBRATIONS, LISTINGS, st.sampled_from([(), ("photo-2",), ("promo-1",)]))
def test_the_rules_bind_both_ways(
    findings: list[Finding], calibration: Calibration | None, listing: Listing, unreadable: tuple[str, ...]
) -> None:
    fusion = Fusion(CATALOG, Config(), calibration)
    verdict = fusion.decide(query(listing, unreadable), findings)
    assessment = fusion.rules.assess(findings)
    trusted = listing in AUTHORISED and assessment.brand == "aurel"
    strengths = {strength for _, strength in assessment.contradictions}
    if assessment.brand is None:
        assert verdict.decision in (Decision.CLEAR, Decision.REVIEW)
        assert verdict.basis in (Basis.NO_CLAIM, Basis.UNKNOWN_BRAND, Basis.UNREADABLE)
    elif "strong" in strengths or (strengths & {"weak"} and not trusted):
        assert verdict.decision.rank >= Decision.REVIEW.rank
        assert verdict.basis is Basis.CONTRADICTION
    elif unreadable and not trusted:
        assert (verdict.decision, verdict.basis) == (Decision.REVIEW, Basis.UNREADABLE)
    else:
        assert verdict.decision in (Decision.CLEAR, Decision.UNJUDGED)
    if verdict.decision is Decision.LEAD:
        assert assessment.allows is Decision.LEAD
        assert not trusted
        assert not listing.photo_only
        if calibration is None:
            assert "strong" in strengths
            assert any("by the rules alone" in r for r in verdict.reasons)
    if verdict.decision is Decision.CLEAR:
        assert verdict.basis in (Basis.AUTHORISED, Basis.NO_CLAIM, Basis.UNKNOWN_BRAND, Basis.NO_CONTRADICTION)
        assert not verdict.labels
        assert not any(r.startswith(("Strong contradiction", "Weak contradiction")) for r in verdict.reasons)


SEEN = ("logo_tamper", "price", "copy")


def test_every_set_of_contradictions_at_every_strength() -> None:
    """Exhaustive where hypothesis samples: each pair of findings, at each strength, under ranks of 0, 1 and none."""
    levels = (None, 0.1, 0.6, 1.0)
    rules = Rules.load()
    fusions = [Fusion(CATALOG, Config(), c) for c in (None, calibration(intercept=-40.0), calibration(intercept=40.0))]
    for a, b in itertools.combinations([n for n in rules.contradictions if n != "disagreement"], 2):
        for x, y in itertools.product(levels, repeat=2):
            findings = [found("claim", 1.0), *(found(n, v) for n, v in ((a, x), (b, y)) if v is not None)]
            allows = rules.assess(findings).allows
            alone, low, high = (f.decide(query(), findings).decision for f in fusions)
            if allows is Decision.CLEAR:
                assert {alone, low, high} <= {Decision.CLEAR, Decision.UNJUDGED}
            else:
                unseen = {f.signal for f, s in rules.assess(findings).contradictions if s == "strong"} - set(SEEN)
                assert low is (Decision.LEAD if unseen - {"logo_tamper"} else Decision.REVIEW)
                weighed = {f.signal for f, s in rules.assess(findings).contradictions if s != "note"} & set(SEEN)
                assert high is (allows if weighed or allows is not Decision.LEAD else low)
                assert alone in (Decision.REVIEW, allows)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["logo_tamper", "price", "copy"]), st.floats(0, 1), st.floats(0, 1))
def test_a_stronger_contradiction_never_lowers_the_probability(name: str, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert calibration().rank({name: low})[0] <= calibration().rank({name: high})[0]


# Errors.


def test_another_space_or_other_rules_are_refused() -> None:
    other: Any = SimpleNamespace(brands=BRANDS, space=replace(SPACE, dim=5), items={})
    with pytest.raises(CalibrationError, match=r"space: .*imgmatch calibrate"):
        Fusion(other, Config(), calibration())
    with pytest.raises(CalibrationError, match=r"rules: .*other findings make a claim"):
        Fusion(CATALOG, Config(), calibration(gating="0" * 16))
    rules = Rules.load()
    fewer = replace(rules, contradictions={n: c for n, c in rules.contradictions.items() if n != "price"})
    with pytest.raises(CalibrationError, match=r"rules: .*the rules have no price"):
        Fusion(CATALOG, Config(), calibration(), fewer)


def test_a_calibration_outlives_what_it_does_not_depend_on() -> None:
    rules = Rules.load()
    price = replace(rules.contradictions["price"], weak=0.3, source="money")
    edited = replace(rules, labels=(), contradictions={**rules.contradictions, "price": price, "mine": price})
    assert edited.fingerprint != rules.fingerprint
    Fusion(CATALOG, Config(), calibration(), edited)


def test_what_does_not_fit_is_said_once_with_what_to_do(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    catalog: Any = SimpleNamespace(brands=BRANDS, space=SPACE, items={}, path=tmp_path)
    fusion = Fusion.from_config(catalog, Config())
    assert fusion.calibration is None
    (said,) = caplog.messages
    assert said.startswith("no calibration (space)")
    assert f"imgmatch calibrate --self {tmp_path}" in said
    caplog.clear()
    calibration(gating="0" * 16).save(tmp_path / "calibration.json")
    assert Fusion.from_config(catalog, Config()).calibration is None
    (said,) = caplog.messages
    assert said.startswith("not used (rules)")
    caplog.clear()
    calibration().save(tmp_path / "calibration.json")
    assert Fusion.from_config(catalog, Config()).calibration == calibration()
    assert not caplog.messages


def test_an_unsupported_operating_point_says_why() -> None:
    with pytest.raises(CalibrationError, match="1000 honest listings cannot support it"):
        Fusion(CATALOG, Config(operating_point="fpr_1e-3"), calibration())


BAD_RULES: list[tuple[dict[str, Any], str]] = [
    ({}, "at least one"),
    ({"claims": {"design": 2}}, r"claims.design: expected a number in \(0, 1\]"),
    ({"claims": {"design": 0.5}, "weights": {}}, "unknown key weights"),
    ({"claims": {"design": 0.5}, "contradictions": {"price": {"weak": 0.5}}}, "price.source"),
    ({"claims": {"design": 0.5}, "contradictions": {"price": {"source": "p"}}}, "at least one of"),
    (
        {"claims": {"design": 0.5}, "contradictions": {"price": {"source": "p", "weak": 0.9, "strong": 0.5}}},
        "strong >= weak",
    ),
    ({"claims": {"design": 0.5}, "labels": [{"label": "nonsense"}]}, "labels.0..label: expected one of"),
    ({"claims": {"design": 0.5}, "labels": [{"label": "lookalike", "claims": ["x"]}]}, "x is not in the table"),
    ({"claims": {"design": 0.5}, "labels": [{"label": "lookalike", "claims": ["design"]}]}, "contradictions"),
    ({"claims": 3}, "claims"),
    ({"claims": {"text": {"least": 0.5, "plain": "no"}}}, "claims.text.plain: expected true or false"),
    *(
        (
            {"claims": {"design": 0.5}, "contradictions": {"price": {"source": "p", "weak": 0.5, key: "no"}}},
            f"contradictions.price.{key}: expected true or false",
        )
        for key in ("alone", "beside", "photo")
    ),
]


@pytest.mark.parametrize(("table", "message"), BAD_RULES)
def test_bad_rules_say_where(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Rules.from_dict(table)


def test_rules_by_path(tmp_path: Any) -> None:
    mine = tmp_path / "rules.toml"
    mine.write_text('[claims]\ndesign = 0.5\n[contradictions]\nprice = { source = "price", strong = 0.2 }\n')
    rules = Rules.load(mine)
    assert rules.assess([*CLAIM, found("price", 0.3)]).allows is Decision.LEAD
    assert rules.fingerprint != Rules.load().fingerprint
    mine.write_text("[claims")
    with pytest.raises(ConfigError, match=r"rules\.toml"):
        Rules.load(mine)
    with pytest.raises(ConfigError, match="No such file"):
        Rules.load(tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["wording", "price", "listing_mismatch"])
def test_what_is_found_about_another_brand_counts_for_nothing(name: str) -> None:
    about = [found("claim", 1.0), found(name, 1.0, "brix", "photo-2")]
    assert Rules.load().assess([*about[:1], found(name, 1.0)]).contradictions
    assert [f.signal for f, _ in Rules.load().assess(about).contradictions if f.signal == name] == []
    assert feature_values(Rules.load(), Rules.load().assess(about), about)[name] is None


@pytest.mark.parametrize("values", [(0.55, 0.95), (0.95, 0.55)])
def test_the_strongest_finding_of_a_name_is_kept(values: tuple[float, float]) -> None:
    claims = [found("claim", 1.0), *(found("text", v, photo_id=f"photo-{n}") for n, v in enumerate(values))]
    assessment = Rules.load().assess([*claims, *(found("wording", v) for v in values)])
    assert [(f.value, strength) for f, strength in assessment.contradictions] == [(0.95, "strong")]
    assert [f.value for f in assessment.claims if f.signal == "text"] == [0.95]


def test_of_findings_that_are_as_strong_the_order_decides_nothing() -> None:
    rows = [found("claim", 1.0), *(found("wording", 0.9, photo_id=f"photo-{n}") for n in (2, 1))]
    for order in itertools.permutations(rows):
        assert [f.photo_id for f, _ in Rules.load().assess(order).contradictions] == ["photo-1"]


def test_the_fingerprint_is_of_what_the_rules_say_not_of_their_order() -> None:
    rules = Rules.load()
    turned = replace(
        rules,
        claims=dict(reversed(list(rules.claims.items()))),
        contradictions=dict(reversed(list(rules.contradictions.items()))),
    )
    assert turned.fingerprint == rules.fingerprint
    assert [len(Fusion(CATALOG, Config(), calibration(), r).fingerprint) for r in (rules, turned)] == [16, 16]


def test_fingerprint_covers_rules_and_calibration() -> None:
    rules = Rules.load()
    loose = replace(rules, claims={**rules.claims, "design": 0.4})
    prints = {
        Fusion(CATALOG, Config()).fingerprint,
        Fusion(CATALOG, Config(), None, loose).fingerprint,
        Fusion(CATALOG, Config(), calibration()).fingerprint,
        Fusion(CATALOG, Config(), calibration(intercept=1.0)).fingerprint,
    }
    assert len(prints) == 4


def test_no_reason_says_what_we_may_not_say() -> None:
    fusion = Fusion(CATALOG, Config(), calibration())
    said = " ".join(
        r
        for a, b in itertools.combinations(NAMES, 2)
        for r in fusion.decide(query(), [found("design", 0.9), found(a, 0.97), found(b, 0.97)]).reasons
    )
    assert not any(word in said.lower() for word in ("fake", "confirmed", "admissible", "counterfeit"))


def test_the_brand_read_for_sure_is_not_outvoted_by_a_likeness() -> None:
    findings = [found("text", 1.0, "brume", "photo-1"), found("design", 0.99, "aurel", "photo-1")]
    assessment = Rules.load().assess(findings)
    assert assessment.brand == "brume"
    assert [claim.brand for claim in assessment.named] == ["brume", "aurel"]
    verdict = Fusion(CATALOG, Config()).decide(query(), findings)
    assert verdict.decision is Decision.REVIEW
    assert (
        "Several brands are named: brume 76% (Lettering in the photo 1.00), Aurel 21% (Design likeness 0.99)."
        in verdict.reasons
    )
    other = "Lettering in the photo points to brume, Design likeness to Aurel."  # a brand by its name
    assert f"Weak contradiction: {other}" in verdict.reasons


@pytest.mark.parametrize("trust", [0.0, 1.0, 2, "much", True])
def test_no_source_is_always_right(trust: object) -> None:
    with pytest.raises(ConfigError, match=r"claims\.text\.trust"):
        Rules.from_dict({"claims": {"text": {"least": 0.5, "trust": trust}}})


@pytest.mark.parametrize("name", ["a.json", "own.json", "zzz.json"])
def test_paths_of_a_config_start_at_its_folder(tmp_path: Any, name: str) -> None:
    catalog: Any = SimpleNamespace(brands=BRANDS, space=SPACE, items={}, path=None)
    calibration(name="mine").save(tmp_path / name)
    shipped = (files("imgmatch.weights") / "rules.toml").read_text("utf-8")
    (tmp_path / "mine.toml").write_text(shipped.replace("price = {", "price = { beside = true,"), "utf-8")
    config = Config(fusion=FusionConfig(rules="mine.toml", calibration=name), folder=tmp_path)
    fusion = Fusion.from_config(catalog, config)
    assert fusion.calibration == calibration(name="mine")
    assert fusion.rules.contradictions["price"].beside
    assert Fusion.from_config(catalog, replace(config, fusion=FusionConfig(calibration="none"))).calibration is None


def test_the_best_candidate_of_the_claimed_brand_is_named() -> None:
    asked = query()
    asked.candidates.append(replace(asked.candidates[1], item_id="bag-3", score=0.7, similarity=0.7))
    verdict = Fusion(CATALOG, Config()).decide(asked, [found("claim", 1.0)])
    assert (verdict.item_id, verdict.similarity) == ("bag-1", 0.8)


def test_a_rank_at_the_threshold_leads() -> None:
    findings = [found("claim", 1.0), found("logo_tamper", 0.9)]
    rank = Fusion(CATALOG, Config(), calibration()).decide(query(), findings).rank
    assert rank is not None
    for threshold, decision in ((rank, Decision.LEAD), (np.nextafter(rank, 1.0), Decision.REVIEW)):
        points = {"balanced": replace(calibration().points["balanced"], threshold=float(threshold))}
        assert Fusion(CATALOG, Config(), calibration(points=points)).decide(query(), findings).decision is decision


def test_only_what_failed_is_named_as_failed() -> None:
    findings = [found("price", 0.0), Finding.abstained("design", "nothing near"), Finding.failed("text", "no memory")]
    verdict = Fusion(CATALOG, Config()).decide(Query(replace(TITLE, photos=())), findings)
    assert (verdict.basis, verdict.reasons) == (Basis.UNREADABLE, ("no memory",))


def test_a_note_that_no_calibration_has_seen_is_not_what_keeps_a_lead_back() -> None:
    rules = Rules.load()
    noted = replace(rules.contradictions["wording"], strong=None, weak=None, note=0.1)
    rules = replace(rules, contradictions={**rules.contradictions, "wording": noted})
    fusion = Fusion(CATALOG, Config(), calibration(intercept=-20.0), rules)
    beside = rules.assess([found("claim", 1.0), found("wording", 0.9), found("contact", 0.97)])
    assert [strength for _, strength in beside.contradictions] == ["note", "note"]  # a note is nothing to stand beside
    verdict = fusion.decide(query(), [found("claim", 1.0), found("logo_tamper", 0.9), found("wording", 0.9)])
    assert verdict.decision is Decision.REVIEW
    assert "no calibration has seen enough" not in " ".join(verdict.reasons)


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([found("design", 0.9), found("text", 0.6, "brix"), found("wording", 0.95)], 0.6),
        ([found("design", 0.9), found("wording", 0.95)], 0.0),
        ([], 0.0),
    ],
    ids=["two brands", "one brand", "no claim"],
)
def test_what_the_model_sees_of_a_disagreement(findings: list[Finding], expected: float) -> None:
    rules = Rules.load()
    assert feature_values(rules, rules.assess(findings), findings)["disagreement"] == expected
