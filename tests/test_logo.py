"""Figurative marks: found, named, and held against their reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from imgmatch.catalog import Catalog
from imgmatch.catalog.items import Brand, LogoReference
from imgmatch.errors import ImageError
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.records import Listing
from imgmatch.signals.logo.settings import LogoConfig
from imgmatch.signals.logo.signal import LogoSignal
from imgmatch.types import Box, FindingStatus, Image, PhotoRole
from imgmatch.vision.marks import (
    MarkIndex,
    MarkReference,
    Window,
    WindowIndex,
    difference,
    ink_map,
    make_reference,
    repeats,
    views,
)
from tests.fakes import GridEncoder, picture, write_tree

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def image(pixels: Pixels) -> Image:
    height, width = pixels.shape[:2]
    return Image(np.ascontiguousarray(pixels), "0" * 64, "<array>", width, height, "RAW")


def mark(*, arm: bool = True, extra: bool = False) -> Pixels:
    """A mark of our own: a ring, a bar and a slanted arm, black on white."""
    out = np.full((300, 300, 3), 255, np.uint8)
    cv2.circle(out, (120, 120), 70, (0, 0, 0), 22)
    cv2.rectangle(out, (60, 220), (250, 250), (0, 0, 0), -1)
    if arm:
        cv2.fillPoly(out, [np.array([[205, 50], [250, 50], [235, 200], [205, 200]])], (0, 0, 0))
    if extra:
        cv2.line(out, (60, 205), (190, 60), (0, 0, 0), 16)
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


def signal(kind: str = "figure") -> LogoSignal:
    pictures = {"a" * 64: mark(), "b" * 64: other(), "c" * 64: np.full((50, 50, 3), 255, np.uint8)}
    brands = {
        "ours": Brand("ours", "Ours", logos=(LogoReference("a" * 64, kind), LogoReference("c" * 64))),
        "theirs": Brand("theirs", "Theirs", logos=(LogoReference("b" * 64, kind),)),
    }
    return LogoSignal(
        SimpleNamespace(brands=brands, photo=lambda sha: photo(pictures[sha], sha)),  # type: ignore[arg-type]
        LogoConfig(),
    )


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
    reference = make_reference("ours", "a" * 64, "figure", image(drawn), None)
    without = drawn.copy()
    cv2.line(without, (120, 20), (290, 20), (255, 255, 255), 11)
    sizes = [difference(MarkIndex([reference]).find(photo(scene(p, 220, turn=0.0)))[0]).size for p in (drawn, without)]
    assert sizes[0] < 0.005
    assert sizes[1] > 0.01


def test_a_mark_that_is_nearly_its_mirror_image_is_told_from_it() -> None:
    drawn = np.full((300, 300, 3), 255, np.uint8)
    cv2.circle(drawn, (150, 150), 100, (0, 0, 0), 30)
    cv2.line(drawn, (150, 60), (150, 240), (0, 0, 0), 26)
    cv2.line(drawn, (150, 150), (90, 210), (0, 0, 0), 26)
    index = MarkIndex([make_reference("ours", "a" * 64, "figure", image(drawn), None)])
    found = [index.find(photo(scene(p)))[0].mirrored for p in (drawn, np.ascontiguousarray(drawn[:, ::-1]))]
    assert found == [False, True]


def test_reference_knows_where_it_is_in_its_picture(references: list[MarkReference]) -> None:
    xs, ys = zip(*references[0].polygon(), strict=True)
    assert (min(xs), min(ys), max(xs), max(ys)) == pytest.approx((39, 39, 251, 251), abs=4)


# Finding and naming


@pytest.mark.parametrize("ink", [(235, 225, 205), (5, 5, 5)])
@pytest.mark.parametrize("turn", [0.0, -14.0])
def test_found_where_it_is_in_any_polarity(index: MarkIndex, ink: tuple[int, ...], turn: float) -> None:
    placed = index.find(photo(scene(mark(), ink=ink, turn=turn)))
    assert placed[0].reference.brand == "ours"
    assert placed[0].likeness > 0.7
    assert not placed[0].mirrored
    centre = np.mean(placed[0].polygon(), axis=0)
    assert centre == pytest.approx((250, 200), abs=8)
    assert difference(placed[0]).size < 0.01


def test_a_mirror_image_is_told_from_the_mark(index: MarkIndex) -> None:
    placed = index.find(photo(scene(np.ascontiguousarray(mark()[:, ::-1]))))[0]
    assert (placed.reference.brand, placed.mirrored) == ("ours", True)
    assert placed.likeness > 0.7


def test_transform_maps_the_reference_picture(index: MarkIndex) -> None:
    placed = index.find(photo(scene(mark(), turn=0.0)))[0]
    x, y, w = placed.from_reference() @ np.array([120.0, 120.0, 1.0])  # the middle of the ring
    assert (x / w, y / w) == pytest.approx((235, 185), abs=3)


@pytest.mark.parametrize("pixels", [np.zeros((60, 60, 3), np.uint8), np.full((9, 9, 3), 200, np.uint8)])
def test_nothing_on_a_flat_photo(index: MarkIndex, pixels: Pixels) -> None:
    assert index.find(photo(pixels)) == []


def test_a_plain_shape_is_no_mark() -> None:
    disc = np.full((300, 300, 3), 255, np.uint8)
    cv2.circle(disc, (150, 150), 100, (0, 0, 0), -1)
    lone = MarkIndex([make_reference("disc", "d" * 64, "figure", image(disc), None)])
    assert lone.plainness[0] > 0.95
    assert all(p.likeness < 0.5 for p in lone.find(photo(scene(disc))))


def test_no_references_find_nothing() -> None:
    assert MarkIndex([]).find(photo(scene(mark()))) == []


# Differences


@pytest.mark.parametrize("drawn", [mark(arm=False), mark(extra=True)], ids=["missing", "added"])
def test_a_difference_is_measured_and_located(drawn: Pixels, index: MarkIndex) -> None:
    placed = index.find(photo(scene(drawn)))[0]
    assert placed.reference.brand == "ours"
    found = difference(placed)
    assert found.size > 0.04
    assert found.rest > placed.likeness
    assert found.where.shape == placed.reference.ink.shape
    assert 0.5 < found.where.max() <= 1.0


def test_repeats_are_counted(references: list[MarkReference]) -> None:
    tile = cv2.resize(mark(), (120, 120), interpolation=cv2.INTER_AREA)
    canvas = np.tile(tile, (4, 5, 1))
    assert len(repeats(photo(canvas), references[0])) >= 12
    assert len(repeats(photo(canvas), references[1])) < 6
    assert len(repeats(photo(np.zeros((50, 50, 3), np.uint8)), references[0])) == 0


# The signal


def test_signal_names_the_mark_with_evidence() -> None:
    [[finding]] = signal().examine([Query(Listing("1"), [photo(scene(mark()))])])
    assert (finding.signal, finding.brand, finding.status) == ("logo", "ours", FindingStatus.OK)
    assert finding.evidence["reference_photo"] == "a" * 64
    assert {r["on"] for r in finding.evidence["regions"]} == {"query", "reference"}


def test_signal_shows_what_was_altered() -> None:
    [findings] = signal().examine([Query(Listing("1"), [photo(scene(mark(arm=False)))])])
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
    bare = LogoSignal(SimpleNamespace(brands={"a": Brand("a")}), LogoConfig())  # type: ignore[arg-type]
    [[finding]] = bare.examine([Query(Listing("1"), [photo(scene(mark()))])])
    assert finding.status is FindingStatus.ABSTAINED


def test_monogram_is_a_pattern() -> None:
    tile = cv2.resize(mark(), (120, 120), interpolation=cv2.INTER_AREA)
    [findings] = signal("monogram").examine([Query(Listing("1"), [photo(np.tile(tile, (4, 5, 1)))])])
    assert [(f.signal, f.brand) for f in findings] == [("logo", "ours")]
    assert findings[0].evidence["facts"]["repeats"] >= 12


class CellEncoder(GridEncoder):
    """Cells are the darkness of an 8 x 8 grid in 16 directions: enough to tell our two marks apart."""

    def encode_dense(self, batch: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        out = []
        for x in batch:
            gray = cv2.resize(cv2.cvtColor(x.pixels, cv2.COLOR_RGB2GRAY), (64, 64)).astype(np.float32)
            angle, size = np.arctan2(*np.gradient(gray)), np.hypot(*np.gradient(gray))
            bins = ((angle + np.pi) / (2 * np.pi) * 16).astype(int) % 16
            planes = np.stack([cv2.resize(size * (bins == k), (8, 8), interpolation=cv2.INTER_AREA) for k in range(16)], 2)
            out.append(planes / max(float(np.sqrt((planes**2).sum(2).mean())), 1e-6))
        return self.encode(batch), np.array(out, np.float32)


def test_windows_point_to_the_mark(references: list[MarkReference]) -> None:
    shown = photo(scene(mark(), turn=0.0))
    windows = WindowIndex(references, CellEncoder()).rank(shown, 4)
    assert len(windows) == 4
    assert [w.score for w in windows] == sorted((w.score for w in windows), reverse=True)
    ours = next(w for w in windows if references[w.reference].brand == "ours")
    assert ours.box.x0 < 335
    assert ours.box.x1 > 165
    assert ours.box.y0 < 285
    assert ours.box.y1 > 115
    placed = MarkIndex(references).find(shown, 0, [Window(0, Box(175, 125, 320, 270), 1.0)])
    assert placed[0].likeness > 0.7
    assert MarkIndex(references).find(shown, 0) == []


def test_views_are_many_and_the_same_each_time(references: list[MarkReference]) -> None:
    first, again = views(references[0]), views(references[0])
    assert len({v.pixels.tobytes() for v in first}) == 10
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, again, strict=True))


def test_a_plain_mark_is_held_by_embedding_against_the_rest_of_the_catalog(tmp_path: Path) -> None:
    disc = np.full((300, 300, 3), 255, np.uint8)
    cv2.circle(disc, (150, 150), 100, (0, 0, 0), -1)
    png = lambda pixels: cv2.imencode(".png", pixels)[1].tobytes()  # noqa: E731
    layout = {"ours/logo/m.png": png(disc), "theirs/logo/m.png": png(other())}
    write_tree(tmp_path / "src", {**layout, "ours/bag/a.png": picture(1), "theirs/bag/a.png": picture(2)})
    catalog = Catalog.build(tmp_path / "src", tmp_path / "cat", encoder=CellEncoder())
    assert sum(catalog.photos[sha].role is PhotoRole.LOGO for sha in catalog.photo_ids) == 20
    found = catalog.nearest(CellEncoder().encode([image(disc)]), 40)
    assert {catalog.photos[catalog.photo_ids[row]].role for row, _ in next(found.rows())} == {PhotoRole.REFERENCE}
    canvas = np.full((400, 400, 3), 255, np.uint8)
    canvas[100:300, 100:300] = cv2.resize(disc, (200, 200))
    query = Query(Listing("1"), [photo(canvas)])
    [findings] = LogoSignal(catalog, LogoConfig(windows=8)).examine([query])
    assert all(f.value is None or f.value < 0.5 for f in findings if f.brand)
    [without] = LogoSignal(catalog, LogoConfig()).examine([query])
    assert [f.status for f in without] == [FindingStatus.ABSTAINED]


def test_alone_and_in_a_batch_are_the_same() -> None:
    make = lambda: [Query(Listing(str(i)), [photo(scene(d))]) for i, d in enumerate((mark(), other()))]  # noqa: E731
    one = signal()
    assert one.examine(make()) == [one.examine([q])[0] for q in make()]
