"""Figurative marks: found, named, and compared with their reference."""

from __future__ import annotations

import shutil
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgmatch.apps import commands_catalog
from imgmatch.catalog import Catalog
from imgmatch.catalog.items import Brand, LogoReference
from imgmatch.catalog.manifest import photo_path
from imgmatch.errors import ImageError
from imgmatch.loading.cache import PartCache
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.records import Listing
from imgmatch.signals.logo.marks import Marks
from imgmatch.signals.logo.seen import Seen, apart
from imgmatch.signals.logo.signal import LogoSignal
from imgmatch.types import Finding, FindingStatus, Image, PhotoRole
from imgmatch.vision import geometry
from imgmatch.vision.marks import MarkIndex, MarkReference, ShapeIndex, ink_map, make_reference
from imgmatch.vision.marks.canvas import surroundings
from imgmatch.vision.marks.gradients import BINS, CELL, SQUARE, gradients, levels, template
from imgmatch.vision.marks.placement import Placement, difference, judge
from imgmatch.vision.marks.plain import SHEETS, plain_sheets
from imgmatch.vision.marks.reference import _two_colours
from imgmatch.vision.marks.shape import CHANCE_DEVIATION, CHANCE_MEAN, LEAST_PHOTOS, SECONDED, _detectors
from imgmatch.vision.marks.sighting import Sighting, packed, unpacked
from tests.fakes import GridEncoder, picture, write_tree

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def image(pixels: Pixels) -> Image:
    height, width = pixels.shape[:2]
    return Image(np.ascontiguousarray(pixels), "0" * 64, "<array>", width, height, "RAW")


def mark(*, arm: bool = True, extra: bool = False) -> Pixels:
    """A mark of our own: a ring around a bolt, a bar and a slanted arm, black on white."""
    out = np.full((300, 300, 3), 255, np.uint8)
    cv2.circle(out, (120, 120), 70, (0, 0, 0), 22)
    cv2.rectangle(out, (60, 220), (250, 250), (0, 0, 0), -1)
    bolt = np.array([[128, 78], [92, 126], [118, 124], [106, 164], [150, 110], [124, 112]])
    cv2.fillPoly(out, [bolt], (0, 0, 0))
    cv2.line(out, (60, 262), (160, 262), (0, 0, 0), 9)
    cv2.line(out, (185, 262), (244, 262), (0, 0, 0), 9)
    if arm:
        cv2.fillPoly(out, [np.array([[205, 50], [250, 50], [235, 200], [205, 200]])], (0, 0, 0))
    if extra:
        cv2.rectangle(out, (60, 18), (200, 33), (0, 0, 0), -1)
    return out


def other() -> Pixels:
    out = np.full((300, 300, 3), 255, np.uint8)
    for i in range(4):
        cv2.fillPoly(out, [np.array([[40 + 60 * i, 250], [80 + 60 * i, 250], [100 + 45 * i, 60 + 30 * i]])], (0, 0, 0))
    return out


def scene(drawn: Pixels, size: int = 150, *, ink: tuple[int, ...] = (235, 225, 205), turn: float = 8.0) -> Pixels:
    """The mark in another colour on woven cloth, turned, slightly blurred."""
    rng = np.random.default_rng(3)
    ground = np.array([60.0, 80.0, 110.0]) + rng.normal(0, 5, (400, 500, 1))
    matrix = cv2.getRotationMatrix2D((150, 150), turn, size / 300)
    matrix[:, 2] += (100, 50)
    mask = 255 - cv2.warpAffine(cv2.GaussianBlur(drawn, (0, 0), 1.2), matrix, (500, 400), borderValue=(255, 255, 255))
    alpha = mask.astype(np.float64) / 255
    out = ground * (1 - alpha) + np.array(ink, np.float64) * alpha
    return np.clip(cv2.GaussianBlur(out, (0, 0), 0.7), 0, 255).astype(np.uint8)


def photo(pixels: Pixels, photo_id: str = "photo-1") -> PhotoContext:
    return PhotoContext(photo_id, image(pixels))


@pytest.fixture(scope="module")
def references() -> list[MarkReference]:
    return [
        make_reference("ours", "a" * 64, "figure", image(mark()), None),
        make_reference("theirs", "b" * 64, "figure", image(other()), None),
    ]


@pytest.fixture(scope="module")
def index(references: list[MarkReference]) -> MarkIndex:
    return MarkIndex(references)


def place(index: MarkIndex, pixels: Pixels) -> Placement:
    shown = photo(pixels)
    seen = index.find(shown)[0]
    placed = judge(shown.image, seen.reference, seen.transform)
    assert placed is not None
    return placed


def signal(kind: str = "figure") -> LogoSignal:
    pictures = {"a" * 64: mark(), "b" * 64: other(), "c" * 64: np.full((50, 50, 3), 255, np.uint8)}
    brands = {
        "ours": Brand("ours", "Ours", logos=(LogoReference("a" * 64, kind), LogoReference("c" * 64))),
        "theirs": Brand("theirs", "Theirs", logos=(LogoReference("b" * 64, kind),)),
    }
    catalog = SimpleNamespace(
        brands=brands, photos={}, photo=lambda sha: photo(pictures[sha], sha), version=f"{kind} {uuid4()}"
    )
    return LogoSignal(catalog)  # type: ignore[arg-type]


# Golden values


def test_ink_is_what_stands_out_in_any_colours() -> None:
    pixels = np.full((20, 30, 3), (10, 200, 30), np.uint8)
    pixels[5:9, 12:20] = (250, 20, 90)
    ink, box = ink_map(pixels)
    assert box == (12, 5, 20, 9)
    assert ink[6, 14] == 1.0
    assert ink[0, 0] == 0.0


def test_an_empty_picture_is_no_mark() -> None:
    with pytest.raises(ValueError, match="nothing stands out"):
        ink_map(np.full((20, 20, 3), 128, np.uint8))


def test_a_thin_stroke_that_is_missing_is_a_difference() -> None:
    """Strokes thinner than the displacement that is forgiven count too."""
    drawn = mark()
    cv2.line(drawn, (20, 20), (280, 20), (0, 0, 0), 7)
    index = MarkIndex([make_reference("ours", "a" * 64, "figure", image(drawn), None)])
    without = drawn.copy()
    cv2.line(without, (120, 20), (290, 20), (255, 255, 255), 11)
    sizes = [difference(place(index, scene(p, 220, turn=0.0))).size for p in (drawn, without)]
    assert sizes[0] < 0.005
    assert sizes[1] > 0.01


def test_reference_knows_where_it_is_in_its_picture(references: list[MarkReference]) -> None:
    xs, ys = zip(*references[0].polygon(), strict=True)
    assert (min(xs), min(ys), max(xs), max(ys)) == pytest.approx((39, 39, 251, 267), abs=4)


def test_a_box_in_a_photo_is_no_drawing() -> None:
    boxed = make_reference("ours", "a" * 64, "figure", image(scene(mark())), (330, 280, 170, 120))
    assert boxed.ink is None
    assert boxed.box == (170, 120, 330, 280)
    assert judge(image(scene(mark())), boxed, np.eye(3)) is None


def test_cells_of_a_vertical_edge_point_across() -> None:
    pixels = np.zeros((8 * CELL, 8 * CELL, 3), np.uint8)
    pixels[:, 4 * CELL :] = 200
    cells = gradients(pixels)
    assert cells.shape == (8, 8, BINS)
    assert cells[4, 3].argmax() == 0
    assert cells[4, 0].max() == pytest.approx(0, abs=1e-3)


def test_cells_are_the_same_in_inverted_colours() -> None:
    drawn = mark()
    assert np.allclose(template(drawn, (39, 39, 251, 251)), template(255 - drawn, (39, 39, 251, 251)), atol=1e-4)


@pytest.mark.parametrize(("box", "shape"), [((0, 0, 200, 200), (7, 7)), ((0, 0, 290, 60), (4, 14))])
def test_a_template_keeps_proportions(box: tuple[float, ...], shape: tuple[int, int]) -> None:
    assert template(mark(), box).shape[:2] == shape  # type: ignore[arg-type]


# Finding and naming


@pytest.mark.parametrize("ink", [(235, 225, 205), (5, 5, 5)])
@pytest.mark.parametrize("turn", [0.0, -14.0])
def test_found_where_it_is_in_any_polarity(index: MarkIndex, ink: tuple[int, ...], turn: float) -> None:
    seen = index.find(photo(scene(mark(), ink=ink, turn=turn)))
    assert seen[0].reference.brand == "ours"
    assert seen[0].evidence > 2.4
    assert not seen[0].mirrored
    assert np.mean(seen[0].polygon(), axis=0) == pytest.approx((250, 200), abs=12)
    assert difference(place(index, scene(mark(), ink=ink, turn=turn))).size < 0.01


def test_found_by_a_box_in_another_photo() -> None:
    boxed = make_reference("ours", "a" * 64, "figure", image(scene(mark(), turn=0.0)), (165, 115, 335, 285))
    foreign = make_reference("theirs", "b" * 64, "figure", image(scene(other())), (165, 115, 335, 285))
    seen = MarkIndex([foreign, boxed]).find(photo(scene(mark(), 110, turn=20.0)))
    assert seen[0].reference.brand == "ours"
    assert seen[0].evidence > 2.4


def test_a_mirrored_photo_shows_the_mark_too(index: MarkIndex) -> None:
    plain = scene(mark())
    seen = index.find(photo(np.ascontiguousarray(plain[:, ::-1])))[0]
    assert (seen.reference.brand, seen.mirrored) == ("ours", True)
    mirrored_back = [[plain.shape[1] - x, y] for x, y in index.find(photo(plain))[0].polygon()]
    assert np.mean(seen.polygon(), axis=0) == pytest.approx(np.mean(mirrored_back, axis=0), abs=12)


@pytest.mark.parametrize(("enlarged", "found"), [(1.0, True), (3.0, True), (6.0, False)])
def test_a_mark_that_would_lie_outside_the_photo_is_not_seen(
    index: MarkIndex, monkeypatch: pytest.MonkeyPatch, enlarged: float, found: bool
) -> None:
    """As where a detail of the photo is taken for one of the mark: the mark's middle would lie at the photo's."""
    verify = geometry.verify

    def laid(*args: object, **settings: object) -> object:
        match = verify(*args, **settings)  # type: ignore[arg-type]
        about = np.array([[enlarged, 0, 250 * (1 - enlarged)], [0, enlarged, 200 * (1 - enlarged)], [0, 0, 1]])
        return match and replace(match, transform=about @ match.transform)

    monkeypatch.setattr(geometry, "verify", laid)
    seen = index.find(photo(scene(mark(), size=400)))
    assert bool([s for s in seen if s.agreeing > 1 and s.reference.brand == "ours"]) == found


def test_transform_maps_the_reference_picture(index: MarkIndex) -> None:
    seen = index.find(photo(scene(mark(), turn=0.0)))[0]
    x, y, w = seen.transform @ np.array([120.0, 120.0, 1.0])  # the middle of the ring
    assert (x / w, y / w) == pytest.approx((235, 185), abs=4)


@pytest.mark.parametrize("pixels", [np.zeros((60, 60, 3), np.uint8), np.full((9, 9, 3), 200, np.uint8)])
def test_nothing_on_a_flat_photo(index: MarkIndex, pixels: Pixels) -> None:
    assert index.find(photo(pixels)) == []


def test_a_plain_shape_is_no_mark() -> None:
    disc = np.full((300, 300, 3), 255, np.uint8)
    cv2.circle(disc, (150, 150), 100, (0, 0, 0), -1)
    lone = MarkIndex([make_reference("disc", "d" * 64, "figure", image(disc), None)])
    assert all(s.evidence < 2.4 for s in lone.find(photo(scene(disc))))


def test_no_references_find_nothing() -> None:
    assert MarkIndex([]).find(photo(scene(mark()))) == []
    assert ShapeIndex([]).find(photo(scene(mark()))) == []


@pytest.mark.parametrize("turn", [0.0, 75.0, 160.0])
def test_a_small_mark_is_laid_by_one_feature_and_named_by_the_shape_around_it(index: MarkIndex, turn: float) -> None:
    shown = photo(scene(mark(), 20, turn=turn))
    [seen] = index.find(shown)
    assert (seen.reference.brand, seen.agreeing) == ("ours", 1)
    assert np.mean(seen.polygon(), axis=0) == pytest.approx((250, 200), abs=3)
    assert np.ptp(seen.polygon(), axis=0).max() == pytest.approx(20, rel=0.5)
    asked = signal()
    [first] = asked._marks()._seen(asked._marks()._looked(shown))
    assert first.value >= 0.5
    assert "one point, and the shape around it" in str(asked._by_what(first))
    [[finding]] = asked.examine([Query(Listing("1"), [shown])])
    assert (finding.brand, finding.status) == ("ours", FindingStatus.OK)
    assert (finding.value or 0.0) >= 0.5


def test_one_feature_without_the_shape_around_it_names_nothing(index: MarkIndex) -> None:
    ground = scene(np.full_like(mark(), 255))
    ground[185:206, 245:266] = scene(mark(), 24, turn=75.0)[185:206, 245:266]  # of a mark that is 24 wide, around (250, 200)
    assert [s.agreeing for s in index.find(photo(ground))] == [1]
    [[finding]] = signal().examine([Query(Listing("1"), [photo(ground)])])
    assert finding.status is FindingStatus.ABSTAINED


def test_a_large_mark_is_not_laid_by_one_feature(index: MarkIndex) -> None:
    assert all(s.agreeing >= 3 for s in index.find(photo(scene(mark(), 120))))


def test_what_two_brands_share_names_neither() -> None:
    twins = [make_reference(b, b * 64, "figure", image(mark()), None) for b in ("a", "b")]
    assert MarkIndex(twins).find(photo(scene(mark()))) == []


@settings(max_examples=6, deadline=None)
@given(st.integers(110, 220), st.floats(-40, 40))
def test_any_size_and_turn_is_named_rightly(size: int, turn: float) -> None:
    both = [make_reference(b, b, "figure", image(p), None) for b, p in (("ours", mark()), ("theirs", other()))]
    seen = MarkIndex(both).find(photo(scene(mark(), size, turn=turn)))
    assert seen[0].reference.brand == "ours"


def test_the_likest_place_is_that_of_all_places() -> None:
    wide = scene(mark())[:, :, ::-1]
    boxes = [(170, 120, 330, 280), (170, 120, 330, 180), (150, 100, 210, 290), (100, 60, 400, 300)]
    cut = [make_reference("ours", str(n), "figure", image(wide), box) for n, box in enumerate(boxes)]
    found, shown = ShapeIndex(cut), photo(scene(other()))
    scores, places = found.scan(shown)
    for number, reference in enumerate(cut):
        height, width = reference.cells.shape[:2]
        [detector] = _detectors([reference.cells], found._mean)
        answers = [
            (np.vdot((cells[y : y + height, x : x + width] - found._mean).transpose(2, 0, 1), detector), per, x, y)
            for per, cells in levels(shown)
            for y in range(len(cells) - height + 1)
            for x in range(cells.shape[1] - width + 1)
        ]
        best, per, x, y = max(answers)
        assert scores[number] == pytest.approx(best, abs=1e-3)
        assert places[number] == pytest.approx([v * CELL * per for v in (x, y, x + width, y + height)])


def shapes(references: list[MarkReference], photos: int = LEAST_PHOTOS) -> ShapeIndex:
    found = ShapeIndex(references)
    found.learn([(set(), found.scan(photo(picture_of_lines(i)))[0]) for i in range(photos)])
    return found


def test_a_shape_stands_above_photos_of_other_things_once_there_are_enough(references: list[MarkReference]) -> None:
    shown = shapes(references).find(photo(scene(mark(), 220, turn=0.0)))
    assert references[shown[0].reference].brand == "ours"
    assert shown[0].score > 2.0
    assert shown[0].box.x0 == pytest.approx(150, abs=35)
    assert ShapeIndex(references).find(photo(scene(mark()))) == []


def test_what_is_chance_is_learnt_from_photos_and_for_drawings_from_sheets_too(
    references: list[MarkReference],
) -> None:
    boxed = [replace(r, ink=None) for r in references]  # as if they were boxes in photos
    found, cut = ShapeIndex(references), ShapeIndex(boxed)
    drawn = [np.array([found.scan(photo(np.dstack([sheet] * 3)))[0] for sheet in kind]) for kind in plain_sheets()]
    means, deviations = np.array([s.mean(axis=0) for s in drawn]), np.array([s.std(axis=0) + 0.3 for s in drawn])
    least = [[CHANCE_MEAN], [CHANCE_DEVIATION]]
    sheets = np.maximum([means.max(axis=0), deviations.max(axis=0)], least).T  # the likest kind
    easy, hard = ([(set(), np.full(2, s, np.float32)) for s in (low, high) * 8] for low, high in ((1, 3), (6, 20)))
    for rows, drawings, boxes in (
        ([], sheets, [[np.inf] * 2] * 2),
        (easy, sheets, [[CHANCE_MEAN, CHANCE_DEVIATION]] * 2),
        (hard, np.maximum([[13.0, 7.3]] * 2, sheets), [[13.0, 7.3]] * 2),
        (hard[1:], sheets, [[np.inf] * 2] * 2),
        (
            [({"ours"}, scores) for _, scores in hard],
            [sheets[0], np.maximum([13.0, 7.3], sheets[1])],
            [[np.inf] * 2, [13.0, 7.3]],
        ),
    ):
        for shapes, chance in ((found, drawings), (cut, boxes)):
            shapes.learn(rows)
            np.testing.assert_allclose(shapes.chance, chance, rtol=1e-5)
    found.learn([])
    assert found.find(photo(scene(mark(), 220, turn=0.0)))[0].score > 2.0


def test_sheets_are_drawn_the_same_every_time_and_hold_print_and_plates() -> None:
    sheets = [sheet for kind in plain_sheets() for sheet in kind]
    assert len(sheets) == SHEETS
    assert all(sheet.shape == (240, 240) and sheet.std() > 10 for sheet in sheets)
    again = [sheet for kind in plain_sheets() for sheet in kind]
    assert all((a == b).all() for a, b in zip(sheets, again, strict=True))


def test_a_drawing_cut_off_at_its_ink_is_like_one_with_ground_around_it() -> None:
    """Letters that fill their file: the border is half ink, but there are two colours, and beyond the file is ground."""
    whole = make_reference("ours", "a" * 64, "figure", image(mark()), None)
    x0, y0, x1, y1 = (round(v) for v in whole.box)
    cut = make_reference("ours", "b" * 64, "figure", image(np.ascontiguousarray(mark()[y0:y1, x0:x1])), None)
    assert cut.box == (0, 0, x1 - x0, y1 - y0)  # in pixels of its own file
    np.testing.assert_allclose(cut.cells, whole.cells, atol=0.02)
    np.testing.assert_allclose(cut.square, whole.square, atol=0.02)
    assert whole.ink is not None
    assert cut.ink is not None
    np.testing.assert_allclose(cut.ink.share, whole.ink.share, atol=0.02)
    assert np.add(cut.ink.origin, (x0, y0)) == pytest.approx(np.array(whole.ink.origin), abs=1e-6)
    assert len(cut.keypoints) == len(whole.keypoints)
    np.testing.assert_allclose(cut.keypoints.xy + np.float32([x0, y0]), whole.keypoints.xy, atol=0.5)
    pattern = make_reference("ours", "b" * 64, "monogram", image(np.ascontiguousarray(mark()[y0:y1, x0:x1])), None)
    assert pattern.ink is None  # it goes on beyond its file


def test_a_pattern_is_not_set_on_ground() -> None:
    disc = cv2.circle(
        np.full((120, 120, 3), 255, np.uint8), (60, 60), 59, (0, 0, 0), -1
    )  # touches the border in four points
    figure, pattern = (make_reference("ours", "a" * 64, kind, image(disc), None) for kind in ("figure", "monogram"))
    assert figure.ink is not None
    assert pattern.ink is not None
    assert pattern.box == figure.box
    assert (pattern.cells == template(disc, (1, 1, 120, 120))).all()
    assert not np.allclose(figure.cells, pattern.cells, atol=0.05)


@pytest.mark.parametrize(
    ("colours", "drawn"),
    [
        ([(255, 255, 255), (0, 0, 0)], True),
        ([(200, 30, 40), (250, 240, 250)], True),
        ([(255, 255, 255), (0, 0, 0), (230, 30, 30)], False),  # stripes up to the border in three colours: a photo may be so
        ([(90, 90, 90)], False),
    ],
)
def test_a_picture_of_two_colours_is_a_drawing(colours: list[tuple[int, int, int]], drawn: bool) -> None:
    stripes = np.repeat(np.array(colours * 7, np.uint8)[:13], 10, axis=0)
    assert _two_colours(np.broadcast_to(stripes, (90, len(stripes), 3)).copy()) is drawn


def test_a_place_is_compared_with_the_pictures_of_all_brands(references: list[MarkReference]) -> None:
    both, shown = shapes(references), photo(scene(mark(), 220, turn=0.0))
    [ours] = [m for m in both.find(shown) if references[m.reference].brand == "ours"]
    scores, places = both.scan(shown)
    for number, reference in enumerate(references):
        places[number], scores[number] = places[ours.reference], 100.0
        assert reference.square.shape == (SQUARE[0] - 2, SQUARE[1] - 2, BINS)
    margins = {references[m.reference].brand: m.margin for m in both.matches(shown, scores, places)}
    assert margins["ours"] == ours.margin
    assert margins["ours"] is not None
    assert margins["ours"] > 3
    assert margins["theirs"] == pytest.approx(-margins["ours"])
    alone = [r for r in references if r.brand == "ours"]
    assert shapes(alone).find(shown)[0].margin is None


def test_of_many_pictures_of_a_mark_one_alone_is_not_believed() -> None:
    def brand(*drawn: Pixels) -> list[MarkReference]:
        return [make_reference("ours", str(n), "figure", image(p), None) for n, p in enumerate(drawn)]

    def score(*drawn: Pixels) -> float:
        return shapes(brand(*drawn)).find(photo(scene(mark(), 220, turn=0.0)))[0].score

    alone, seconded = score(mark(), other()), score(mark(), mark(), mark())
    assert alone == pytest.approx(seconded)
    assert alone > SECONDED + 0.5
    turned = [np.ascontiguousarray(np.rot90(other(), k)) for k in (1, 2)]
    assert score(mark(), *turned) < alone


def test_a_shape_is_asked_where_the_mark_is_said_to_lie(references: list[MarkReference]) -> None:
    found = ShapeIndex(references)
    shown = photo(scene(mark(), 150, turn=30.0))
    matrix = cv2.getRotationMatrix2D((150, 150), 30.0, 0.5)
    turn = np.array([matrix[0] + [0, 0, 100], matrix[1] + [0, 0, 50], [0, 0, 1]])
    right = found.laid(shown, 0, turn)
    beside = found.laid(shown, 0, np.array([[1, 0, 60], [0, 1, 40], [0, 0, 1]]) @ turn)
    assert right > 10 > 5 > max(beside, found.laid(shown, 1, turn))
    margin = found.margin(shown, 0, turn)
    assert margin is not None
    assert margin > 3
    assert (found.margin(shown, 1, turn) or 0.0) < -3
    assert found.margin(shown, 0, np.array([[1, 0, 5000], [0, 1, 0], [0, 0, 1]]) @ turn) is None
    assert ShapeIndex(references[:1]).margin(shown, 0, turn) is None
    assert found.laid(shown, 0, np.array([[1, 0, 5000], [0, 1, 0], [0, 0, 1]]) @ turn) == -np.inf
    assert found.laid(shown, 0, np.diag([0.0, 0.0, 1.0])) == -np.inf


def picture_of_lines(seed: int) -> Pixels:
    rng = np.random.default_rng(seed)
    out = np.full((200, 260, 3), int(rng.integers(60, 200)), np.uint8)
    for _ in range(12):
        a, b = (tuple(int(v) for v in rng.integers(0, 200, 2)) for _ in range(2))
        cv2.line(out, a, b, tuple(int(v) for v in rng.integers(0, 256, 3)), int(rng.integers(1, 9)))
    return out


@pytest.mark.parametrize(
    ("evidence", "left", "kept"),
    [
        ((9.0, 3.0), (0.0, 5.0), ["ours"]),  # the weaker lies over the stronger
        ((40.0, 30.0), (0.0, 5.0), ["ours"]),  # both as sure as can be
        ((3.1, 3.0), (0.0, 5.0), ["ours", "theirs"]),  # as strong: a question
        ((9.0, 3.0), (0.0, 95.0), ["ours", "theirs"]),  # beside it
    ],
)
def test_one_place_shows_one_mark(
    references: list[MarkReference], evidence: tuple[float, ...], left: tuple[float, ...], kept: list[str]
) -> None:
    squares = [[[x, 0.0], [x + 100, 0.0], [x + 100, 100.0], [x, 100.0]] for x in left]
    seen = [
        Seen(r.brand, e, r, square, sighting=None, shape=None, learnt=None)
        for r, e, square in zip(references, evidence, squares, strict=True)
    ]
    assert [s.brand for s in apart(seen)] == kept


# Differences


@pytest.mark.parametrize("drawn", [mark(arm=False), mark(extra=True)], ids=["missing", "added"])
def test_a_difference_is_measured_and_located(drawn: Pixels, index: MarkIndex) -> None:
    placed = place(index, scene(drawn))
    found = difference(placed)
    assert found.size > 0.04
    assert found.rest > placed.explained
    assert found.where.shape == placed.ink.share.shape
    assert 0.5 < found.where.max() <= 1.0


def test_a_pattern_is_places_that_agree_in_scale_and_direction() -> None:
    tile = cv2.resize(mark(), (120, 120), interpolation=cv2.INTER_AREA)
    canvas = np.tile(tile, (4, 5, 1))
    ours, theirs = (
        make_reference(b, b * 64, "monogram", image(p), None) for b, p in (("ours", mark()), ("theirs", other()))
    )
    seen = MarkIndex([ours, theirs]).find(photo(canvas))
    assert (seen[0].reference.brand, seen[0].repeats) == ("ours", True)
    assert seen[0].evidence > 4
    assert all(s.evidence < 2 for s in seen if s.reference.brand == "theirs")


def test_one_corner_all_over_a_cloth_is_no_pattern() -> None:
    """A weave that shows a single one of the pattern's corners again and again is not the pattern."""
    reference = make_reference("ours", "a" * 64, "monogram", image(mark()), None)
    corner = cv2.resize(mark()[40:130, 190:280], (45, 45), interpolation=cv2.INTER_AREA)
    assert all(s.evidence < 2 for s in MarkIndex([reference]).find(photo(np.tile(corner, (8, 9, 1)))) if s.repeats)


def test_what_surrounds_the_places_of_a_pattern_is_looked_at() -> None:
    """The canvas itself is like the reference around every place, also turned; another cloth is not."""
    reference = make_reference("ours", "a" * 64, "monogram", image(mark()), None)
    tile = cv2.resize(mark(), (120, 120), interpolation=cv2.INTER_AREA)
    canvas = np.tile(tile, (5, 5, 1))
    turn = cv2.getRotationMatrix2D((300, 300), 25.0, 1.0)
    for shown in (photo(canvas), photo(cv2.warpAffine(canvas, turn, (600, 600), borderMode=cv2.BORDER_REFLECT))):
        best = MarkIndex([reference]).find(shown)[0]
        assert surroundings(shown, best) > 7.0
        assert surroundings(photo(np.tile(picture_of_lines(1), (3, 3, 1))), best) < 4.0
    assert surroundings(shown, replace(best, points=best.points[:0], places=best.places[:0])) == 0.0


def test_sightings_are_the_same_once_packed(index: MarkIndex) -> None:
    pattern = MarkIndex([make_reference("ours", "a" * 64, "monogram", image(mark()), None)])
    canvas = np.tile(cv2.resize(mark(), (120, 120), interpolation=cv2.INTER_AREA), (4, 5, 1))
    for asked, shown in ((index, scene(mark())), (pattern, canvas), (index, np.full((200, 200, 3), 90, np.uint8))):
        seen = [replace(s, margin=[None, -0.5][n % 2]) for n, s in enumerate(2 * asked.find(photo(shown)))]
        assert bool(seen) == bool(shown.std())
        again = unpacked(packed(seen, asked.references), asked.references)
        for one, other in zip(seen, again, strict=True):
            for field in fields(Sighting):
                assert np.array_equal(getattr(one, field.name), getattr(other, field.name))


# The signal


def test_what_marks_find_is_remembered_by_photo_and_marks(tmp_path: Path) -> None:
    """Another catalog with these very marks asks no photo again; one with another mark, box or number of features does."""
    cache, pictures = PartCache(tmp_path / "parts.sqlite"), {"a" * 64: mark(), "b" * 64: other(), "p": scene(mark())}

    def asked(marks: list[tuple[str, str, tuple[float, ...] | None]], side: int = 640) -> tuple[list[Any], Any, int]:
        reads: list[int] = []
        shown = PhotoContext("photo-1", lambda: reads.append(1) or image(pictures["p"]), sha256="p")  # type: ignore[func-returns-value]
        shown.parts = cache
        logos = {brand: Brand(brand, logos=(LogoReference(sha, "figure", box),)) for brand, sha, box in marks}
        photos = SimpleNamespace(photos={}, brands=logos, photo=lambda sha: photo(pictures[sha], sha), version=str(uuid4()))
        known = Marks(photos, side)  # type: ignore[arg-type]
        return known._sighted(shown), known.shapes.scan(shown), len(reads)

    ours, theirs = ("ours", "a" * 64, None), ("theirs", "b" * 64, None)
    seen, scores, reads = asked([ours, theirs])
    assert reads
    assert seen[0].reference.brand == "ours"
    again, same, reads = asked([ours, theirs])
    assert not reads
    assert [(s.reference.brand, s.evidence) for s in again] == [(s.reference.brand, s.evidence) for s in seen]
    assert all(map(np.array_equal, scores, same))
    assert asked([("ours", "b" * 64, None), ("theirs", "a" * 64, None)])[2]
    assert asked([ours, ("theirs", "b" * 64, (30.0, 30.0, 250.0, 250.0))])[2]
    assert asked([ours])[2]
    assert asked([ours, theirs], side=450)[2]


def test_signal_names_the_mark_with_evidence() -> None:
    [[finding]] = signal().examine([Query(Listing("1"), [photo(scene(mark()))])])
    assert (finding.signal, finding.brand, finding.status) == ("logo", "ours", FindingStatus.OK)
    assert finding.evidence["reference_photo"] == "a" * 64
    assert {r["on"] for r in finding.evidence["regions"]} == {"query", "reference"}


def test_signal_shows_what_was_altered() -> None:
    [findings] = signal().examine([Query(Listing("1"), [photo(scene(mark(extra=True)))])])
    [tamper] = [f for f in findings if f.signal == "logo_tamper"]
    assert tamper.brand == "ours"
    values = np.array(tamper.evidence["heatmap"]["values"])
    assert values.max() <= 1.0
    assert len(tamper.evidence["heatmap"]["polygon"]) == 4


def test_signal_abstains_and_survives() -> None:
    def broken() -> Image:
        raise ImageError("truncated", "the file ends early", source="a.jpg")

    queries = [
        Query(Listing("1")),
        Query(Listing("2"), [photo(np.zeros((64, 64, 3), np.uint8))]),
        Query(Listing("3"), [PhotoContext("photo-1", broken, sha256="0" * 64), photo(scene(mark()), "photo-2")]),
    ]
    none, flat, half = signal().examine(queries)
    assert [f.status for f in none] == [FindingStatus.ABSTAINED]
    assert [f.status for f in flat] == [FindingStatus.ABSTAINED]
    assert [(f.photo_id, f.status) for f in half] == [("photo-1", FindingStatus.FAILED), ("photo-2", FindingStatus.OK)]
    assert signal().propose(queries) == [[], [], []]


def test_a_catalog_without_marks_abstains() -> None:
    bare = LogoSignal(SimpleNamespace(brands={"a": Brand("a")}, photos={}, version=str(uuid4())))  # type: ignore[arg-type]
    [[finding]] = bare.examine([Query(Listing("1"), [photo(scene(mark()))])])
    assert finding.status is FindingStatus.ABSTAINED


def test_monogram_is_a_pattern() -> None:
    tile = cv2.resize(mark(), (120, 120), interpolation=cv2.INTER_AREA)
    [findings] = signal("monogram").examine([Query(Listing("1"), [photo(np.tile(tile, (4, 5, 1)))])])
    assert [(f.signal, f.brand) for f in findings] == [("logo", "ours")]
    assert findings[0].evidence["facts"]["agreeing points"] >= 4


# Marks of a catalog


def png(pixels: Pixels) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def test_a_white_mark_on_transparent_ground_is_laid_on_black_and_an_empty_one_is_an_issue(tmp_path: Path) -> None:
    white = np.dstack([np.full((300, 300, 3), 255, np.uint8), 255 - mark()[:, :, 0]])
    empty = np.full((60, 60, 3), 255, np.uint8)
    layout = {"ours/logo/white.png": png(white), "ours/logo/empty.png": png(empty), "ours/bag/a.png": picture(1)}
    write_tree(tmp_path / "src", layout)
    catalog = Catalog.build(tmp_path / "src", tmp_path / "cat", encoder=GridEncoder())
    [logo] = catalog.brands["ours"].logos
    assert catalog.photo(logo.photo).image.pixels[0, 0].max() == 0
    assert logo.photo in catalog.photo_ids
    assert [i.place for i in catalog.issues] == ["ours/logo/empty.png"]
    [[finding]] = LogoSignal(catalog).examine([Query(Listing("1"), [photo(scene(mark()))])])
    assert finding.brand == "ours"


def test_a_mark_boxed_in_an_items_photo_leaves_the_photo_to_its_item(tmp_path: Path) -> None:
    boxed = '{"brand": "ours", "logos": [{"path": "ours/bag/a.png", "box": [165, 115, 335, 285]}]}\n'
    write_tree(tmp_path / "src", {"ours/bag/a.png": png(scene(mark())), "brands.jsonl": boxed.encode()})
    catalog = Catalog.build(tmp_path / "src", tmp_path / "cat", encoder=GridEncoder())
    assert not catalog.issues
    [logo] = catalog.brands["ours"].logos
    [item] = catalog.items.values()
    assert item.photos == (logo.photo,)
    assert catalog.photos[logo.photo].role is PhotoRole.REFERENCE


def test_a_small_mark_boxed_in_a_large_photo_of_an_item_is_looked_for_as_it_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shape(photo: PhotoContext) -> tuple[np.ndarray[Any, Any], ...]:
        return (np.array(photo.image.pixels.shape),)

    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))
    pixels = np.full((2100, 2100, 3), 90, np.uint8)
    pixels[1000:1020, 1000:1020] = np.random.default_rng(0).integers(0, 2, (10, 10, 1)).repeat(2, 0).repeat(2, 1) * 255
    goods = {"ours/bag/a.png": png(pixels)}
    boxed = b'{"brand": "ours", "logos": [{"path": "ours/bag/a.png", "box": [1000, 1000, 1020, 1020]}]}\n'
    shapes = []
    for name, tree in {"goods": goods, "boxed": goods | {"brands.jsonl": boxed}}.items():
        catalog = Catalog.build(write_tree(tmp_path / f"{name}-src", tree), tmp_path / name, encoder=GridEncoder())
        assert not catalog.issues
        [sha] = catalog.photos
        shapes.append(catalog.photo(sha).lasting(shape)[0].tolist())
    assert shapes == [[1050, 1050, 3], [2100, 2100, 3]]  # what is remembered of the one is not taken for the other
    assert len(Marks(catalog, 960).references) == 1


def test_what_marks_score_by_chance_is_measured_once_for_a_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))
    goods = {f"theirs/{n}/a.png": png(picture_of_lines(n)) for n in range(LEAST_PHOTOS + 2)}
    write_tree(tmp_path / "src", {"ours/logo/a.png": png(mark()), **goods})
    catalog = Catalog.build(tmp_path / "src", tmp_path / "cat", encoder=GridEncoder())

    def asked() -> tuple[object, list[Finding]]:
        fresh = LogoSignal(catalog)
        [findings] = fresh.examine([Query(Listing("1"), [photo(scene(mark()))])])
        return fresh._marks().shapes.chance.tolist(), findings

    before = asked()
    assert np.isfinite(before[0]).all()
    shutil.rmtree(tmp_path / "cache")
    commands_catalog._describe(catalog)  # as `catalog build` and `add` do
    monkeypatch.setattr(type(LogoSignal(catalog)._marks()), "_measured", lambda *_: pytest.fail("measured again"))
    assert asked() == before


@pytest.mark.parametrize("away", ["marks", "goods"])
def test_what_was_measured_while_photos_were_away_is_not_used_when_they_are_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))
    goods = {f"third/{n}/a.png": png(picture_of_lines(n)) for n in range(LEAST_PHOTOS + 2)}
    marks = {"ours/logo/a.png": png(mark()), "theirs/logo/a.png": png(other())}
    write_tree(tmp_path / "src", marks | goods)
    catalog = Catalog.build(tmp_path / "src", tmp_path / "cat", encoder=GridEncoder())
    drawn = {logo.photo for brand in ("ours", "theirs") for logo in catalog.brands[brand].logos}
    for sha in [catalog.brands["ours"].logos[0].photo] if away == "marks" else catalog.photos.keys() - drawn:
        photo_path(catalog.path, sha).rename(tmp_path / sha)
    LogoSignal(catalog).warm_up()
    for file in tmp_path.glob("?" * 64):
        file.rename(photo_path(catalog.path, file.name))
    fresh = LogoSignal(Catalog.load(tmp_path / "cat", encoder=GridEncoder()))
    assert np.isfinite(fresh._marks().shapes.chance).all()
    [[finding]] = fresh.examine([Query(Listing("1"), [photo(scene(mark()))])])
    assert (finding.brand, finding.status) == ("ours", FindingStatus.OK)


def test_what_marks_score_rests_on_the_statistics_of_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))
    write_tree(tmp_path / "src", {"ours/logo/a.png": png(mark())})
    catalog = Catalog.build(tmp_path / "src", tmp_path / "cat", encoder=GridEncoder())
    LogoSignal(catalog).warm_up()
    kept = set((tmp_path / "cache/derived").glob("*.npz"))
    (tmp_path / "others.npz").write_bytes(b"of other photos")
    monkeypatch.setattr("imgmatch.vision.marks.shape.STATISTICS", tmp_path / "others.npz")
    LogoSignal(catalog).warm_up()
    assert len(set((tmp_path / "cache/derived").glob("*.npz")) - kept) == 1


def test_marks_and_words_alone_are_a_catalog(tmp_path: Path) -> None:
    write_tree(tmp_path / "src", {"ours/logo/a.png": png(mark())})
    catalog = Catalog.build(tmp_path / "src", tmp_path / "cat", encoder=GridEncoder())
    assert len(catalog.brands["ours"].logos) == 1
    [[finding]] = LogoSignal(catalog).examine([Query(Listing("1"), [photo(scene(mark()))])])
    assert finding.brand == "ours"


def test_drawings_alone_are_compared_by_what_they_are_like_on_drawn_sheets(tmp_path: Path) -> None:
    marks = {"ours/logo/a.png": png(mark()), "theirs/logo/a.png": png(other())}
    photos = {f"third/{n}/a.png": png(picture_of_lines(n)) for n in range(LEAST_PHOTOS + 2)}
    chance = []
    for name, tree in {"drawn": marks, "photos": marks | photos}.items():
        catalog = Catalog.build(write_tree(tmp_path / f"{name}-src", tree), tmp_path / name, encoder=GridEncoder())
        found = LogoSignal(catalog)._marks()
        sheets = found._margins([(set(), matches) for matches in found.shapes.matches_on_sheets()])
        assert set(sheets) == {"ours", "theirs"}
        chance.append((found._margin_chance, sheets))
    assert chance[0][0] == pytest.approx(chance[0][1])
    assert chance[1][0] != pytest.approx(chance[1][1])  # photos of other things say it better


def test_alone_and_in_a_batch_are_the_same() -> None:
    make = lambda: [Query(Listing(str(i)), [photo(scene(d))]) for i, d in enumerate((mark(), other()))]  # noqa: E731
    one = signal()
    assert one.examine(make()) == [one.examine([q])[0] for q in make()]
