"""A closer look: at small leads alone, around their place, and it counts where it finds the same mark there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.records import Listing
from imgmatch.signals.logo.closer import LATER, LEAD, enlarged, leads, surer
from imgmatch.signals.logo.marks import Marks
from imgmatch.signals.logo.seen import CLAIM, Seen
from imgmatch.signals.logo.signal import WEAK
from imgmatch.types import FindingStatus, Image
from imgmatch.vision.marks import Sighting
from tests.test_logo import mark, photo, scene, signal

Square = list[list[float]]


def square(x: float, y: float, side: float) -> Square:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]


@pytest.fixture(scope="module")
def marks() -> Marks:
    return signal()._marks()


def seen(marks: Marks, evidence: float, place: Square, brand: str = "ours") -> Seen:
    return Seen(brand, evidence, marks.references[0], place, None, None)


HERE = square(200, 100, 50)
LEADS = {
    "a weak one": ([(1.0, HERE)], 1),
    "the weakest": ([(LEAD, HERE)], 1),
    "too weak": ([(LEAD - 0.01, HERE)], 0),
    "a quarter of the photo": ([(1.0, square(0, 0, 125))], 1),
    "more than a quarter": ([(1.0, square(0, 0, 126))], 0),
    "beside a claim": ([(CLAIM, square(300, 300, 40)), (1.0, HERE)], 0),
    "two of three": ([(1.5, HERE), (1.0, square(300, 300, 40)), (0.5, square(10, 10, 40))], 2),
    "nothing": ([], 0),
}


@pytest.mark.parametrize(("found", "count"), LEADS.values(), ids=LEADS)
def test_what_is_looked_at_again(marks: Marks, found: list[tuple[float, Square]], count: int) -> None:
    given = [seen(marks, evidence, place) for evidence, place in found]
    assert leads(given, photo(scene(mark()))) == given[:count] if count else not leads(given, photo(scene(mark())))


@pytest.mark.parametrize("place", [HERE, square(-20, -20, 60), square(480, 380, 60), square(499, 399, 1)])
@pytest.mark.parametrize("scale", [1, 2])
def test_pixels_are_where_they_are_in_the_photo(marks: Marks, place: Square, scale: int) -> None:
    rows, columns = np.mgrid[:400, :500]
    pixels = np.stack([columns / 2, rows / 2, 0 * rows], axis=2).astype(np.uint8)  # each pixel says where it is
    shown = PhotoContext("photo-1", Image(pixels, "0" * 64, "<array>", 500 * scale, 400 * scale, "RAW"))
    larger, back = enlarged(shown, seen(marks, 1.0, [[x * scale, y * scale] for x, y in place]))
    height, width = larger.image.pixels.shape[:2]
    for x, y in ((3, 3), (width - 4, height - 4), (width // 2, height // 2)):
        at_x, at_y, _ = back @ (x, y, 1.0) / scale
        assert larger.image.pixels[y, x, :2] * 2.0 == pytest.approx((at_x, at_y), abs=3)


def test_three_sides_twice_as_large(marks: Marks) -> None:
    larger, back = enlarged(photo(scene(mark())), seen(marks, 1.0, HERE))
    assert larger.image.pixels.shape == (300, 300, 3)
    assert (back @ (0, 0, 1)).tolist() == [150, 50, 1]
    assert (back @ (300, 300, 1)).tolist() == [300, 200, 1]


SURER = {
    "the same mark there": ("ours", 4.0, square(100, 100, 100), 4.0 - LATER),
    "hardly more": ("ours", 1.0 + LATER, square(100, 100, 100), None),
    "somewhere else": ("ours", 4.0, square(210, 210, 80), None),
    "another mark there": ("theirs", 4.0, square(100, 100, 100), None),
}


@pytest.mark.parametrize(("brand", "evidence", "place", "counted"), SURER.values(), ids=SURER)
def test_what_a_closer_look_counts(marks: Marks, brand: str, evidence: float, place: Square, counted: float | None) -> None:
    lead = seen(marks, 1.0, HERE)
    back = np.array([[0.5, 0, 150], [0, 0.5, 50], [0, 0, 1]])
    after = surer(lead, [seen(marks, evidence, place, brand)], back)
    if counted is None:
        assert after is lead
    else:
        assert (after.evidence, after.polygon) == (pytest.approx(counted), HERE)


def test_what_is_found_in_a_part_lies_in_the_photo(marks: Marks) -> None:
    transform = np.array([[0.1, 0, 20], [0, 0.1, 30], [0, 0, 1]])
    none = np.zeros((0, 3), np.float32)
    sighting = Sighting(
        marks.references[0], transform, 3.0, agreeing=2, mirrored=False, repeats=False,
        points=np.array([[10, 20], [30, 40]], np.float32), places=none,
    )  # fmt: skip
    back = np.array([[0.5, 0, 150], [0, 0.5, 50], [0, 0, 1]])
    moved = replace(seen(marks, 3.0, square(100, 100, 100)), sighting=sighting).moved(back)
    assert moved.polygon == HERE
    assert moved.sighting is not None
    assert moved.sighting.points.tolist() == [[155, 60], [165, 70]]
    assert moved.sighting.transform @ (100, 0, 1) == pytest.approx((165, 65, 1))


def test_a_lead_is_named_where_a_closer_look_finds_it(marks: Marks, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, asked = photo(scene(mark())), []
    looked = Marks._looked

    def first_unsure(self: Marks, context: PhotoContext) -> Any:
        asked.append(context.image.pixels.shape[:2])
        return looked(self, context)

    def found(self: Marks, look: Any) -> list[Seen]:
        return [seen(marks, 1.3, HERE)] if len(asked) == 1 else [seen(marks, 5.0, square(100, 100, 100))]

    monkeypatch.setattr(Marks, "_looked", first_unsure)
    monkeypatch.setattr(Marks, "_seen", found)
    [after] = marks.look(shown)
    assert asked == [(400, 500), (300, 300)]
    assert (after.evidence, after.polygon) == (5.0 - LATER, HERE)


def test_a_weak_mark_is_said_and_claims_nothing(marks: Marks, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [seen(marks, WEAK, square(0, 0, 300)), seen(marks, WEAK - 0.1, square(0, 0, 300), "theirs")]
    monkeypatch.setattr(Marks, "look", lambda self, shown: found)
    [[finding]] = signal().examine([Query(Listing("1"), [photo(scene(mark()))])])
    assert (finding.signal, finding.status, finding.brand) == ("logo", FindingStatus.OK, "ours")
    assert finding.value == pytest.approx(0.03, abs=0.01)
    assert "Something like the mark of Ours" in str(finding.reason)
    assert "too little for a claim by itself" in str(finding.reason)
    assert "Nearest marks that were not claimed: Theirs" in str(finding.reason)
