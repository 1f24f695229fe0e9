"""Simple measured facts: golden values drawn by hand, and when they are not told."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from imgmatch.signals.discrepancy.measures import TOLERANCES, colours, outline, pattern_period, plate, subject
from tests.test_geometry import context


def lettered(shift=0, stretch=1.0, size=300):
    """A plain thing on white with a dark plate of letters on it."""
    pixels = np.full((size, size, 3), 255, np.uint8)
    cv2.rectangle(pixels, (40, 50), (260, 250), (150, 110, 70), -1)
    word = np.full((40, 90, 3), (230, 220, 190), np.uint8)
    cv2.putText(word, "VELA", (8, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (20, 20, 20), 2)
    word = cv2.resize(word, (round(90 * stretch), 40))
    x = 105 + shift
    pixels[130:170, x : x + word.shape[1]] = word
    return pixels


PLATE = np.array([[105.0, 130], [195, 130], [195, 170], [105, 170]])


def test_a_moved_plate_is_measured_where_it_is():
    shape, left, top = plate(context(lettered(shift=12)).image, context(lettered()).image, np.eye(3), PLATE)
    assert left.reference == pytest.approx((150 - 40) / 220, abs=0.03)
    assert left.query - left.reference == pytest.approx(12 / 220, abs=0.012)
    assert left.unusual
    assert not top.unusual
    assert not shape.unusual


def test_a_stretched_plate_has_another_proportion():
    shape, *_ = plate(context(lettered(stretch=1.2)).image, context(lettered()).image, np.eye(3), PLATE)
    assert shape.reference == pytest.approx(90 / 40)
    assert shape.query == pytest.approx(1.2 * 90 / 40, rel=0.06)
    assert shape.unusual
    words = shape.words()
    assert words["reference"] == "2.25"
    assert words["apart"] == f"{shape.deviation:.1%}"
    assert words["unusual"] is True


def test_the_plate_is_not_told_where_it_is_small_or_not_there():
    here = context(lettered()).image
    assert plate(here, here, np.eye(3), PLATE / 10) == ()
    blank = context(np.full((300, 300, 3), 90, np.uint8)).image
    assert plate(blank, here, np.eye(3), PLATE) == ()


def stripes(period, size=200):
    x = np.arange(size, dtype=np.float32)
    return np.tile(60 + 20 * np.cos(2 * np.pi * x / period), (size, 1)).astype(np.float32)


@pytest.mark.parametrize("period", [12.0, 17.5, 24.0])
def test_a_pattern_period_is_found_to_a_fraction_of_a_pixel(period):
    known = np.ones((200, 200), bool)
    found = pattern_period(stripes(period * 1.1), stripes(period), known)
    assert found.reference == pytest.approx(period, rel=0.03)
    assert found.query == pytest.approx(1.1 * period, rel=0.03)
    assert found.unusual
    assert not pattern_period(stripes(period), stripes(period), known).unusual


def test_no_pattern_has_no_period():
    noise = np.random.default_rng(0).normal(60, 10, (200, 200)).astype(np.float32)
    known = np.ones((200, 200), bool)
    assert pattern_period(noise, stripes(20), known) is None
    assert pattern_period(np.full((200, 200), 50, np.float32), stripes(20), known) is None


def test_dominant_colours_are_compared_place_by_place():
    lab = np.full((40, 40, 3), (60, 20, 10), np.float32)
    lab[:, 20:] = (30, -10, 0)
    other = lab.copy()
    other[:, 20:] += (10, 0, 20)
    known = np.ones((40, 40), bool)
    assert colours(lab, lab, known).deviation == 0
    found = colours(other, lab, known)
    assert found.reference == 30
    assert found.query == 40
    assert found.unusual


def test_a_stretched_outline_is_told_on_plain_grounds_alone():
    def thing(width):
        pixels = np.full((200, 200, 3), 250, np.uint8)
        cv2.rectangle(pixels, (100 - width // 2, 50), (100 + width // 2, 149), (40, 60, 80), -1)
        return subject(context(pixels).image)

    found = outline(thing(130), thing(100))
    assert found.deviation == pytest.approx(0.3, abs=0.04)  # the rim of a subject is left out, on all sides alike
    assert found.unusual
    assert not outline(thing(100), thing(100)).unusual
    busy = np.random.default_rng(1).integers(0, 255, (200, 200, 3)).astype(np.uint8)
    assert subject(context(busy).image) is None
    assert outline(None, thing(100)) is None
    assert outline(np.ones((9, 9), bool), thing(100)) is None


def test_every_tolerance_is_positive():
    assert all(v > 0 for v in TOLERANCES.values())
