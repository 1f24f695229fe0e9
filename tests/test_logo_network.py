"""What the trained network says of windows: the same mark alike wherever it shows, and by how much that is above chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgmatch.errors import WeightsError
from imgmatch.signals.logo.closer import LEAD
from imgmatch.signals.logo.marks import LEARNT, LEARNT_FROM, LEARNT_LEAST, LEARNT_MOST, SHAPE_FROM, _Look
from imgmatch.signals.logo.seen import CLAIM
from imgmatch.types import Box
from imgmatch.vision.marks import LearntIndex, LearntMatch, MarkReference, ShapeMatch, Sighting, network
from imgmatch.vision.marks.learnt import CHANCE_DEVIATION, CHANCE_MEAN, RESERVE
from imgmatch.vision.marks.shape import LEAST_PHOTOS, sheets
from tests.test_logo import image, make_reference, mark, other, photo, picture_of_lines, scene, signal


@pytest.fixture(scope="module")
def references() -> list[MarkReference]:
    drawn = {"ours": mark(), "theirs": other()}
    return [make_reference(brand, brand, "figure", image(pixels), None) for brand, pixels in drawn.items()]


@pytest.fixture(scope="module")
def index(references: list[MarkReference]) -> LearntIndex:
    found = LearntIndex(references)
    found.learn([(set(), found.scan(photo(picture_of_lines(n)))[0]) for n in range(LEAST_PHOTOS)])
    return found


def test_windows_cover_the_photo_and_have_unit_vectors() -> None:
    vectors, boxes = network.windows(picture_of_lines(0))
    assert vectors.shape == (len(boxes), network.DIM)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    assert boxes[:, :2].min() == 0
    assert boxes[:, 2].max() == pytest.approx(260, abs=12)
    assert boxes[:, 3].max() == pytest.approx(200, abs=12)
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert {round(float(r), 1) for r in wide / high} == {0.5, 1.0, 2.0, 3.0}


@pytest.mark.parametrize("size", [(8, 8), (1, 400), (400, 1), (31, 700)])
def test_a_photo_too_small_or_too_thin_has_few_windows_or_none(size: tuple[int, int]) -> None:
    vectors, boxes = network.windows(np.full((*size, 3), 128, np.uint8))
    assert len(vectors) == len(boxes)
    assert np.isfinite(vectors).all()


def test_a_window_is_described_as_the_box_that_it_is() -> None:
    pixels = cv2.resize(scene(mark(), 220, turn=0.0), (512, 410), interpolation=cv2.INTER_AREA)
    vectors, boxes = network.windows(pixels)
    at = next(n for n, box in enumerate(boxes) if np.allclose(box, (192, 96, 272, 176), atol=1))  # of level 0.5
    alike = network.described(pixels, tuple(map(float, boxes[at]))) @ vectors[at]
    assert alike[0] > 0.9  # drawn at 48 pixels instead of 40, with less around it
    assert alike.max() > (network.described(pixels, (0.0, 0.0, 80.0, 80.0)) @ vectors[at]).max() + 0.2


@pytest.mark.parametrize("turn", [0.0, 8.0])
@pytest.mark.parametrize("ink", [(235, 225, 205), (20, 20, 20), (200, 40, 40)])
def test_the_mark_is_found_where_it_is_in_any_colour(
    index: LearntIndex, references: list[MarkReference], ink: tuple[int, ...], turn: float
) -> None:
    [first, *rest] = index.find(photo(scene(mark(), 150, ink=ink, turn=turn)))
    assert references[first.reference].brand == "ours"
    assert first.score > 3 > max((m.score for m in rest), default=0.0)
    middle = (first.box.x0 + first.box.x1) / 2, (first.box.y0 + first.box.y1) / 2
    assert middle == pytest.approx((248, 203), abs=20)


def test_chance_is_learnt_from_photos_of_other_brands_and_for_drawings_from_sheets(references: list[MarkReference]) -> None:
    boxed = [replace(r, ink=None) for r in references]
    drawn, cut = LearntIndex(references), LearntIndex(boxed)
    drawn.learn([])
    cut.learn([])
    assert np.isinf(cut.chance).all()
    assert cut.find(photo(scene(mark()))) == []
    kinds = [np.array([drawn.scan(sheet)[0] for sheet in kind]) for kind in sheets()]
    means, deviations = ([of(k, axis=0) for k in kinds] for of in (np.mean, np.std))
    assert drawn.chance[:, 0] == pytest.approx(np.max([*means, [CHANCE_MEAN] * 2], axis=0), rel=1e-4)
    assert drawn.chance[:, 1] == pytest.approx(
        np.max([*np.add(deviations, RESERVE), [CHANCE_DEVIATION] * 2], axis=0), rel=1e-4
    )
    rows = [({"ours"} if n < 4 else set(), np.array([0.5 + n / 20, 0.6], np.float32)) for n in range(LEAST_PHOTOS)]
    cut.learn(rows)
    assert np.isinf(cut.chance[0]).all()  # too few photos that do not show it
    assert cut.chance[1] == pytest.approx((0.6, CHANCE_DEVIATION))
    cut.learn([*rows, *rows])
    seen = np.array([0.5 + n / 20 for n in range(4, LEAST_PHOTOS)])
    assert cut.chance[0] == pytest.approx((seen.mean(), seen.std() + RESERVE), rel=1e-5)


def test_each_brand_has_its_likest_mark_where_its_chance_is_known(references: list[MarkReference]) -> None:
    index = LearntIndex([*references, references[0]])
    index.chance = np.array([(0.5, 0.05), (0.5, 0.1), (0.4, 0.05)])
    boxes = np.arange(12, dtype=np.float32).reshape(3, 4)
    found = index.matches(np.array([0.6, 0.7, 0.6], np.float32), boxes)
    assert [(m.reference, round(m.score, 4)) for m in found] == [(2, 4.0), (1, 2.0)]
    assert (found[0].box.x0, found[0].box.y1) == (8.0, 11.0)
    below = index.matches(np.array([0.4, 0.4, 0.0], np.float32), boxes)
    assert [(m.reference, round(m.score, 4)) for m in below] == [(1, -1.0), (0, -2.0)]  # likeness 0: it was not compared
    index.chance[1] = np.inf
    assert [m.reference for m in index.matches(np.array([0.4, 0.4, 0.0], np.float32), boxes)] == [0]


def test_a_window_of_another_proportion_is_not_compared(index: LearntIndex, references: list[MarkReference]) -> None:
    vectors = np.repeat(references[0].learnt[:1], 2, axis=0)
    boxes = np.array([(0, 0, 100, 100), (0, 0, 300, 100)], np.float32)  # the mark is 212 pixels wide and 229 high
    best, at = index.likest(vectors, boxes)
    assert best[0] == pytest.approx(1.0)
    assert at[0] == pytest.approx(boxes[0])
    assert index.likest(vectors[1:], boxes[1:])[0][0] == 0.0
    assert index.likest(vectors[:0], boxes[:0])[0].tolist() == [0.0, 0.0]


def test_a_mark_too_long_for_any_window_is_not_judged(references: list[MarkReference]) -> None:
    long = replace(references[0], box=(0.0, 0.0, 700.0, 100.0))
    index = LearntIndex([long, references[1]])
    index.learn([])
    assert np.isinf(index.chance[0]).all()
    assert [m.reference for m in index.find(photo(scene(mark())))] == [1]
    assert LearntIndex(references).find(photo(np.full((30, 900, 3), 90, np.uint8))) == []


def test_what_the_network_says_counts_among_what_speaks_for_a_mark() -> None:
    marks, turned = signal()._marks(), np.eye(3)
    by_points = Sighting(
        marks.references[0], turned, evidence=2.0, agreeing=4, mirrored=False, repeats=False,
        points=np.zeros((4, 2), np.float32), places=np.zeros((0, 3), np.float32),
    )  # fmt: skip
    shape = ShapeMatch(0, SHAPE_FROM + 0.2, Box(0.0, 0.0, 50.0, 50.0), None)

    def weighed(score: float | None, sighting: Sighting | None = by_points) -> float:
        learnt = None if score is None else LearntMatch(0, score, Box(0.0, 0.0, 90.0, 90.0))
        seen = marks._weighed("ours", sighting, shape, learnt)
        return 0.0 if seen is None else seen.evidence

    assert weighed(LEARNT_FROM) == weighed(None) == pytest.approx(2.2)
    assert weighed(LEARNT_FROM + 1.0) == pytest.approx(2.2 + LEARNT)
    assert weighed(LEARNT_FROM - 0.5) == pytest.approx(2.2 - 0.5 * LEARNT)
    assert weighed(-9.0) == pytest.approx(2.2 + LEARNT * LEARNT_LEAST)
    assert weighed(50.0) == pytest.approx(2.2 + LEARNT * LEARNT_MOST)
    assert weighed(-9.0, replace(by_points, agreeing=1)) == pytest.approx(2.2)  # too small for a window
    alone = marks._weighed("ours", None, None, LearntMatch(0, 50.0, Box(0.0, 0.0, 90.0, 90.0)))
    assert alone is None or alone.evidence < CLAIM
    seen = marks._weighed("ours", replace(by_points, evidence=0.5), None, LearntMatch(0, 50.0, Box(0.0, 0.0, 90.0, 90.0)))
    assert seen is not None
    assert seen.polygon == [[0.0, 0.0], [90.0, 0.0], [90.0, 90.0], [0.0, 90.0]]


@pytest.mark.parametrize(("evidence", "asked"), [(LEAD + 0.01, True), (LEAD - 0.01, False), (CLAIM, True)])
def test_the_network_is_asked_where_it_can_decide(evidence: float, asked: bool) -> None:
    assert LEAD + LEARNT * LEARNT_MOST < CLAIM
    marks, box = signal()._marks(), Box(0.0, 0.0, 50.0, 50.0)
    said = [LearntMatch(0, LEARNT_FROM + 1.0, box)]
    (seen,) = marks._seen(_Look([], [ShapeMatch(0, SHAPE_FROM + evidence, box, None)], lambda: said))
    assert seen.evidence == pytest.approx(evidence + (LEARNT if asked else 0.0))


def test_a_photo_that_shows_the_mark_is_shown_to_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    marks, shown = signal()._marks(), photo(scene(mark()))
    found = marks.look(shown)[0]
    monkeypatch.setattr(LearntIndex, "find", lambda *_: [])
    without = marks.look(shown)[0]
    assert found.learnt is not None
    assert found.evidence > without.evidence


def test_what_is_remembered_of_a_photo_is_named_by_the_network(index: LearntIndex) -> None:
    assert all(digest in repr(index) for digest in network.SHA256.values())


@pytest.mark.parametrize("file", ["network.onnx", "window.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_a_damaged_network_says_what_to_do(file: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = network.NETWORK.with_name(file).read_bytes()
    if damage != "missing":
        changed = whole[:-2000] + bytes(1000) + whole[-1000:]
        (tmp_path / file).write_bytes(whole[:1000] if damage == "cut" else changed)
    monkeypatch.setattr(network, "NETWORK" if file == network.NETWORK.name else "WINDOW", tmp_path / file)
    monkeypatch.setattr(network, "_network", network._network.__wrapped__)
    monkeypatch.setattr(network, "_window", network._window.__wrapped__)
    for use in (signal, lambda: network.windows(mark())):  # a scan ends before its first photo
        with pytest.raises(WeightsError, match=f"{file}.*install imgmatch again"):
            use()
