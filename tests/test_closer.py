"""A closer look: at doubtful small marks alone, around their place, and what it finds of the same mark there counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from imgmatch.errors import ImageError
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.records import Listing
from imgmatch.signals.logo.closer import LATER, LEAD, SURE, confirmed, doubtful, enlarged
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
    return Seen(brand, evidence, marks.references[0], place, sighting=None, shape=None, learnt=None)


HERE, THERE, LARGE = square(200, 100, 50), square(300, 300, 40), square(0, 0, 126)
DOUBTFUL = {
    "a weak one": ([(1.0, HERE)], [0]),
    "the weakest": ([(LEAD, HERE)], [0]),
    "too weak": ([(LEAD - 0.01, HERE)], []),
    "a quarter of the photo": ([(1.0, square(0, 0, 125))], [0]),
    "more than a quarter": ([(1.0, LARGE)], []),
    "the stronger of two": ([(1.5, HERE), (1.0, THERE)], [0]),
    "the first small one": ([(1.5, LARGE), (1.0, THERE)], [1]),
    "a small claim": ([(CLAIM, HERE), (1.0, THERE)], [0]),
    "two small claims": ([(3.0, HERE), (CLAIM, THERE)], [0, 1]),
    "a claim on more": ([(SURE, HERE), (1.0, THERE)], []),
    "one beside it": ([(SURE, HERE), (CLAIM, THERE)], [1]),
    "a large claim": ([(CLAIM, LARGE), (1.0, THERE)], []),
    "nothing": ([], []),
}


@pytest.mark.parametrize(("found", "again"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_is_looked_at_again(marks: Marks, found: list[tuple[float, Square]], again: list[int]) -> None:
    given = [seen(marks, evidence, place) for evidence, place in found]
    assert [id(s) for s in doubtful(given, photo(scene(mark())))] == [id(given[n]) for n in again]


@pytest.mark.parametrize(("how", "count"), [({}, 1), ({"repeats": True}, 0), ({"agreeing": 1}, 0)])
def test_patterns_and_what_one_feature_lays_are_not_looked_at_again(marks: Marks, how: dict[str, Any], count: int) -> None:
    claimed = replace(seen(marks, 3.0, HERE), sighting=replace(sighting(marks), **how))
    assert len(doubtful([claimed], photo(scene(mark())))) == count


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


CLOSER = {
    "the same mark there": ("ours", 4.0, square(100, 100, 100), 4.0 - LATER),
    "less of it": ("ours", 1.0, square(100, 100, 100), 1.0 - LATER),
    "next to nothing": ("ours", LATER, square(100, 100, 100), None),
    "somewhere else": ("ours", 4.0, square(210, 210, 80), None),
    "another mark there": ("theirs", 4.0, square(100, 100, 100), None),
}


@pytest.mark.parametrize(("brand", "evidence", "place", "left"), CLOSER.values(), ids=CLOSER)
def test_what_a_closer_look_leaves(marks: Marks, brand: str, evidence: float, place: Square, left: float | None) -> None:
    back = np.array([[0.5, 0, 150], [0, 0.5, 50], [0, 0, 1]])
    after = confirmed(seen(marks, 1.0, HERE), [seen(marks, evidence, place, brand)], back)
    assert (after and (after.evidence, after.polygon)) == (left and (pytest.approx(left), HERE))


def sighting(marks: Marks) -> Sighting:
    transform = np.array([[0.1, 0, 20], [0, 0.1, 30], [0, 0, 1]])
    points, places = np.array([[10, 20], [30, 40]], np.float32), np.zeros((0, 3), np.float32)
    return Sighting(
        marks.references[0], transform, 3.0, agreeing=2, mirrored=False, repeats=False, points=points, places=places
    )


def test_what_is_found_in_a_part_lies_in_the_photo(marks: Marks) -> None:
    back = np.array([[0.5, 0, 150], [0, 0.5, 50], [0, 0, 1]])
    moved = replace(seen(marks, 3.0, square(100, 100, 100)), sighting=sighting(marks)).moved(back)
    assert moved.polygon == HERE
    assert moved.sighting is not None
    assert moved.sighting.points.tolist() == [[155, 60], [165, 70]]
    assert moved.sighting.transform @ (100, 0, 1) == pytest.approx((165, 65, 1))


@pytest.mark.parametrize(
    ("first", "later", "left"),
    [(1.3, 5.0, 5.0 - LATER), (3.0, 5.0, 5.0 - LATER), (3.0, 2.5, 2.5 - LATER), (3.0, 0.1, None)],
    ids=["a lead is named", "a claim stands", "a claim falls", "nothing is left"],
)
def test_a_closer_look_decides(
    marks: Marks, monkeypatch: pytest.MonkeyPatch, first: float, later: float, left: float | None
) -> None:
    asked: list[tuple[int, ...]] = []
    looked = Marks._looked

    def look(self: Marks, context: PhotoContext) -> Any:
        asked.append(context.image.pixels.shape[:2])
        return looked(self, context)

    def found(self: Marks, look: Any) -> list[Seen]:
        return [seen(marks, first, HERE)] if len(asked) == 1 else [seen(marks, later, square(100, 100, 100))]

    monkeypatch.setattr(Marks, "_looked", look)
    monkeypatch.setattr(Marks, "_seen", found)
    after = marks.look(photo(scene(mark())))
    assert asked == [(400, 500), (300, 300)]
    assert [(s.evidence, s.polygon) for s in after] == ([] if left is None else [(left, HERE)])


def test_a_weak_mark_is_said_and_claims_nothing(marks: Marks, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [seen(marks, WEAK, square(0, 0, 300)), seen(marks, WEAK - 0.1, square(0, 0, 300), "theirs")]
    monkeypatch.setattr(Marks, "look", lambda self, shown: found)
    [[finding]] = signal().examine([Query(Listing("1"), [photo(scene(mark()))])])
    assert (finding.signal, finding.status, finding.brand) == ("logo", FindingStatus.OK, "ours")
    assert finding.value == pytest.approx(0.03, abs=0.01)
    assert "Something like the mark of Ours" in str(finding.reason)
    assert "too little for a claim by itself" in str(finding.reason)
    assert "Nearest marks that were not claimed: Theirs" in str(finding.reason)


def test_of_two_weak_marks_each_names_the_other_as_the_nearest(marks: Marks, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [seen(marks, WEAK + 0.2, square(0, 0, 300)), seen(marks, WEAK, square(0, 0, 300), "theirs")]
    monkeypatch.setattr(Marks, "look", lambda self, shown: found)
    [findings] = signal().examine([Query(Listing("1"), [photo(scene(mark()))])])
    said = {str(f.brand): str(f.reason).split("not claimed: ")[1] for f in findings}
    assert said == {"ours": "Theirs.", "theirs": "Ours."}


def test_a_mark_whose_part_is_no_picture_stays_as_it_was(marks: Marks, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_picture(*_: Any) -> None:
        raise ImageError("too_large", "too many pixels", source="a.jpg")

    monkeypatch.setattr("imgmatch.signals.logo.marks.enlarged", no_picture)
    monkeypatch.setattr(Marks, "_seen", lambda self, look: [seen(marks, 1.3, HERE)])
    assert [s.evidence for s in marks.look(photo(scene(mark())))] == [1.3]
