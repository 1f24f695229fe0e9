"""Boxes worth looking at by themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgmatch.types import Box, Image
from imgmatch.vision.regions import crop, find_regions, regions
from tests.test_geometry import context, scene


def image(pixels: np.ndarray, enlarged: int = 1) -> Image:
    return Image(pixels, "0" * 64, "<array>", pixels.shape[1] * enlarged, pixels.shape[0] * enlarged, "RAW")


def best(found, box: Box, kind: str | None = None) -> float:
    return max((r.box.iou(box) for r in found if kind in (None, r.kind)), default=0.0)


# golden values


def test_the_whole_photo_comes_first():
    found = find_regions(image(scene(1)))
    assert found[0].kind == "whole"
    assert found[0].box == Box(0, 0, 320, 240)


def test_borders_are_trimmed():
    pixels = np.full((340, 420, 3), 30, np.uint8)
    pixels[50:290, 50:370] = scene(2)
    assert best(find_regions(image(pixels)), Box(50, 50, 370, 290), "trimmed") > 0.95


@pytest.mark.parametrize("gap", [0, 10])
def test_side_by_side_pictures_are_panels(gap):
    bar = np.full((240, gap, 3), 255, np.uint8)
    pixels = np.concatenate([scene(3), bar, 255 - scene(4)], axis=1)
    found = find_regions(image(pixels))
    assert best(found, Box(0, 0, 320, 240), "panel") > 0.9
    assert best(found, Box(320 + gap, 0, 640 + gap, 240), "panel") > 0.9


def test_a_grid_of_four_comes_apart():
    cells = [scene(i, 200, 200) for i in range(4)]
    bar_x, bar_y = np.full((200, 8, 3), 255, np.uint8), np.full((8, 408, 3), 255, np.uint8)
    rows = [np.concatenate([cells[i], bar_x, cells[i + 1]], axis=1) for i in (0, 2)]
    found = find_regions(image(np.concatenate([rows[0], bar_y, rows[1]])))
    for x in (0, 208):
        for y in (0, 208):
            assert best(found, Box(x, y, x + 200, y + 200), "panel") > 0.9


def test_what_stands_out_from_a_plain_ground_is_boxed_in_original_pixels():
    pixels = np.full((300, 300, 3), 250, np.uint8)
    pixels[100:200, 60:220] = scene(5, 100, 160)
    assert best(find_regions(image(pixels, enlarged=3)), Box(180, 300, 660, 600)) > 0.85


@pytest.mark.parametrize("at", [(30, 50), (97, 171), (0, 120)])
def test_a_picture_laid_on_another_is_an_inset(at):
    pixels = scene(6).copy()
    pixels[at[0] : at[0] + 100, at[1] : at[1] + 120] = 255 - scene(9, 100, 120)
    found = find_regions(image(pixels, enlarged=2))
    box = Box(2 * at[1], 2 * at[0], 2 * at[1] + 240, 2 * at[0] + 200)
    assert best(found, box, "inset") > 0.9
    assert sum(r.kind == "inset" for r in found) <= 2


def test_a_photo_of_one_scene_has_no_panels():
    assert all(r.kind != "panel" for r in find_regions(image(scene(6))))
    assert [r.kind for r in find_regions(image(np.full((80, 80, 3), 9, np.uint8)))] == ["whole"]


def test_regions_are_computed_once():
    photo = context(scene(7))
    assert regions(photo) is regions(photo)


def test_a_crop_is_a_picture_of_its_own():
    pixels = scene(8)
    part = crop(image(pixels, enlarged=2), Box(20, 40, 220, 240))
    assert np.array_equal(part.pixels, pixels[20:120, 10:110])
    assert (part.width, part.height, part.scale) == (200, 200, 2.0)
    assert part.sha256 != "0" * 64
    with pytest.raises(ValueError, match="overlaps the 640 x 480 picture"):
        crop(image(pixels, enlarged=2), Box(700, 0, 800, 100))


# properties


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.integers(16, 90), st.integers(16, 90))
def test_boxes_lie_in_the_photo_and_apart(seed, height, width):
    pixels = np.random.default_rng(seed).integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    pixels = np.repeat(np.repeat(pixels, 8, axis=0), 8, axis=1)
    found = find_regions(image(pixels))
    assert 1 <= len(found) <= 13
    for i, region in enumerate(found):
        assert region.box.x0 >= 0
        assert region.box.y0 >= 0
        assert region.box.x1 <= pixels.shape[1] + 1e-6
        assert region.box.y1 <= pixels.shape[0] + 1e-6
        assert all(region.box.iou(other.box) < 0.9 for other in found[:i])
