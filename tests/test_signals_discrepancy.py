"""Where the thing in a photo differs from the reference."""

from __future__ import annotations

import numpy as np
import pytest

from imgmatch.loading.photo import Query
from imgmatch.records import Listing
from imgmatch.signals.base import Signal
from imgmatch.signals.discrepancy.differences import agreed, compare
from imgmatch.signals.discrepancy.measures import ciede2000
from imgmatch.signals.discrepancy.settings import DiscrepancyConfig
from imgmatch.signals.discrepancy.signal import DiscrepancySignal
from imgmatch.types import Candidate, FindingStatus, PhotoRole
from imgmatch.verdicts.rules import Rules
from imgmatch.vision import geometry
from tests.test_geometry import context, placed, scene
from tests.test_signals_copy import FakeCatalog, photo

GENUINE = scene(21, 400, 400)
ALTERED = GENUINE.copy()
ALTERED[180:230, 190:240] = GENUINE[180:230, 190:240][::-1, ::-1] // 2 + np.array([90, 20, 60], np.uint8)


def photographed(pixels):
    """The same picture by another camera: a little turned and tilted, darker, warmer."""
    tilt = placed(3, 0.95, (14, 4))
    tilt[2, :2] = (1e-5, -2e-5)
    drawn, _ = geometry.warp(pixels, tilt, (400, 400))
    return np.clip(drawn * np.array([0.9, 0.82, 0.72]) + 6, 0, 255).astype(np.uint8), tilt


@pytest.fixture
def signal(tmp_path):
    catalog = FakeCatalog(tmp_path, {"bag": (GENUINE, PhotoRole.REFERENCE)})
    catalog.brands = {}  # no marks: the facts about the logo are not told
    for item in catalog.items.values():
        object.__setattr__(item, "photos", (catalog.sha("bag"),))
    return DiscrepancySignal(catalog, DiscrepancyConfig())


def examine(signal, pixels, candidates=True):
    sha = signal._catalog.sha("bag")
    likely = [Candidate("bag", "aurelia", 0.9, sha, "photo-1", 0.9)] if candidates else []
    return signal.examine([Query(Listing("1"), [photo(pixels)], likely)])[0][0]


def test_it_is_a_signal_that_proposes_nothing(signal):
    assert isinstance(signal, Signal)
    assert signal.propose([Query(Listing("1")), Query(Listing("2"))]) == [[], []]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [  # Sharma, Wu & Dalal 2005, table 1: pairs 1, 7, 10, 17, 25
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
        ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0010), 7.1792),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ],
)
def test_ciede2000_by_the_papers_table(a, b, expected):
    assert ciede2000(a, b) == pytest.approx(expected, abs=1e-4)
    assert ciede2000(b, a) == pytest.approx(expected, abs=1e-4)


def test_an_altered_part_is_found_where_it_is(signal):
    pixels, tilt = photographed(ALTERED)
    found = examine(signal, pixels)
    assert found.value > 0
    assert found.item_id == "bag"
    on = {(r["on"], r["label"]): np.array(r["polygon"]) for r in found.evidence["regions"]}
    middle = on["reference", "difference 1"].mean(axis=0)
    assert np.abs(middle - [215, 205]).max() < 25
    assert np.abs(on["query", "difference 1"].mean(axis=0) - geometry.map_points(tilt, [[215, 205]])).max() < 25
    values = np.array(found.evidence["heatmap"]["values"])
    assert max(values.shape) <= 32
    assert 0 <= values.min() <= values.max() <= 1
    assert found.evidence["facts"]["colour difference there in CIEDE2000"] > 5


def test_another_light_and_viewpoint_are_no_difference(signal):
    honest, altered = examine(signal, photographed(GENUINE)[0]), examine(signal, photographed(ALTERED)[0])
    assert honest.status is FindingStatus.OK
    assert honest.value < altered.value
    assert honest.labels == ()


def test_it_abstains_where_the_views_do_not_correspond(signal):
    found = examine(signal, scene(99, 400, 400))
    assert found.status is FindingStatus.ABSTAINED
    assert "same side" in found.reason
    assert compare(context(np.full((200, 200, 3), 255, np.uint8)), context(GENUINE)) is None


def test_it_abstains_without_candidates_and_on_the_reference_itself(signal):
    assert examine(signal, GENUINE, candidates=False).status is FindingStatus.ABSTAINED
    assert examine(signal, GENUINE).status is FindingStatus.ABSTAINED


def test_the_value_stays_below_what_the_rules_count(signal):
    rule = Rules.load().contradictions["discrepancy"]
    assert rule.strength(examine(signal, photographed(ALTERED)[0]).value) is None


def test_what_one_view_explains_is_no_difference():
    """Two views of one design: the alteration shows against both, a smudge on one view against that view alone."""
    smudged = GENUINE.copy()
    smudged[100:140, 100:140] = 250 - smudged[100:140, 100:140]
    query = context(photographed(GENUINE)[0])
    against_smudged, clean = compare(query, context(smudged)), compare(query, context(GENUINE))
    assert against_smudged.strength > 2 * clean.strength
    assert agreed([against_smudged, clean]).strength <= clean.strength
    query = context(photographed(ALTERED)[0])
    both = [compare(query, context(smudged)), compare(query, context(GENUINE))]
    found = agreed(both)
    assert found.strength == min(found.strength, both[0].strength, both[1].strength)
    assert found.strength > 2 * clean.strength
    assert agreed(both[:1]).strength == both[0].strength
