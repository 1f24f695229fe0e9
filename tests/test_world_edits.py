"""Copy edits and benign conditions: the homography says where the source went, the mask what was added."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgmatch.augment.changes import then
from imgmatch.augment.conditions import CONDITIONS, condition, snapshot
from imgmatch.augment.edits import EDITS, edit


def photo(seed: int = 0, height: int = 180, width: int = 240) -> np.ndarray:
    """A smooth, colourful picture without repetition."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def plain(seed: int = 0) -> np.ndarray:
    """A thing on plain white ground."""
    page = np.full((200, 200, 3), 246, np.uint8)
    page[60:140, 50:150] = photo(seed, 80, 100)
    return page


GEOMETRIC = [
    "crop",
    "resize",
    "caption",
    "border",
    "flip",
    "rotate",
    "screenshot",
    "collage",
    "side_by_side",
    "order_this",
    "picture_in_picture",
]


@pytest.mark.parametrize("name", GEOMETRIC)
@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_the_source_warped_by_the_homography_is_what_the_edited_photo_shows(name: str, strength: float) -> None:
    source = photo()
    changed = edit(name, source, np.random.default_rng(3), strength, [photo(9)])
    h, w = changed.image.shape[:2]
    warped = cv2.warpPerspective(source, changed.homography, (w, h), flags=cv2.INTER_LINEAR)
    covered = cv2.warpPerspective(np.full(source.shape[:2], 255, np.uint8), changed.homography, (w, h)) > 254
    shown = covered & ~changed.mask
    assert shown.mean() > 0.05
    error = np.abs(warped.astype(int) - changed.image)[shown]
    assert np.percentile(error, 95) <= 12  # only resampling differs


@pytest.mark.parametrize("name", ["resize", "crop", "perspective"])
def test_conditions_that_move_the_picture_say_where(name: str) -> None:
    source = photo()
    changed = condition(name, source, np.random.default_rng(5), 0.9)
    h, w = changed.image.shape[:2]
    warped = cv2.warpPerspective(source, changed.homography, (w, h), flags=cv2.INTER_LINEAR)
    assert np.percentile(np.abs(warped.astype(int) - changed.image)[~changed.mask], 90) <= 14


def test_corners_of_a_flip_and_of_a_crop() -> None:
    source = photo()
    flipped = edit("flip", source, np.random.default_rng(0))
    assert flipped.corners(240, 180).tolist() == [[239.5, -0.5], [-0.5, -0.5], [-0.5, 179.5], [239.5, 179.5]]
    cropped = edit("crop", source, np.random.default_rng(0), 1.0)
    assert cropped.image.shape[0] * cropped.image.shape[1] == pytest.approx(0.2 * 180 * 240, rel=0.02)


@pytest.mark.parametrize(
    "name", ["caption", "watermark", "border", "screenshot", "collage", "side_by_side", "order_this", "picture_in_picture"]
)
def test_added_pixels_are_marked(name: str) -> None:
    changed = edit(name, photo(), np.random.default_rng(2), 0.7)
    assert changed.mask.any()
    assert not changed.mask.all()


@pytest.mark.parametrize("name", ["dirt", "occlusion", "background"])
def test_conditions_mark_what_they_cover_and_leave_the_rest(name: str) -> None:
    source = plain()
    changed = condition(name, source, np.random.default_rng(2), 0.7)
    differs = np.abs(changed.image.astype(int) - source).max(axis=2) > 12
    assert differs.any()
    grown = cv2.dilate(changed.mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert not (differs & ~grown).any()


def test_background_swap_keeps_the_product() -> None:
    source = plain()
    changed = condition("background", source, np.random.default_rng(2), 1.0)
    assert np.array_equal(changed.image[70:130, 60:140], source[70:130, 60:140])


@pytest.mark.parametrize("name", sorted(EDITS))
def test_edits_are_deterministic_and_leave_the_source_alone(name: str) -> None:
    source = photo()
    before = source.copy()
    a, b = (edit(name, source, np.random.default_rng(7), 0.6) for _ in range(2))
    assert np.array_equal(a.image, b.image)
    assert np.array_equal(a.homography, b.homography)
    assert np.array_equal(source, before)


@pytest.mark.parametrize("name", sorted(CONDITIONS))
def test_conditions_are_deterministic_and_leave_the_source_alone(name: str) -> None:
    source = plain()
    before = source.copy()
    a, b = (condition(name, source, np.random.default_rng(7), 0.6) for _ in range(2))
    assert np.array_equal(a.image, b.image)
    assert np.array_equal(source, before)


def test_changes_that_follow_one_another_keep_track_of_the_source() -> None:
    source = photo()
    rng = np.random.default_rng(1)
    first = edit("border", source, rng, 0.5)
    both = then(first, CONDITIONS["resize"], rng, 0.5)
    sx = both.image.shape[1] / first.image.shape[1]
    expected = (first.corners(240, 180) + 0.5) * sx - 0.5
    assert np.allclose(both.corners(240, 180), expected, atol=1.0)
    assert both.mask.mean() == pytest.approx(first.mask.mean(), abs=0.03)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(EDITS)),
    st.integers(16, 90),
    st.integers(16, 90),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_every_edit_gives_a_photo_for_any_size_and_strength(name: str, h: int, w: int, strength: float, seed: int) -> None:
    changed = edit(name, photo(1, h, w), np.random.default_rng(seed), strength)
    assert changed.image.dtype == np.uint8
    assert changed.image.shape[2] == 3
    assert changed.mask.shape == changed.image.shape[:2]
    assert abs(np.linalg.det(changed.homography)) > 1e-6


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(set(CONDITIONS) - {"background"})),
    st.integers(16, 90),
    st.integers(16, 90),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_every_condition_gives_a_photo_for_any_size_and_strength(
    name: str, h: int, w: int, strength: float, seed: int
) -> None:
    changed = condition(name, photo(1, h, w), np.random.default_rng(seed), strength)
    assert changed.image.dtype == np.uint8
    assert changed.mask.shape == changed.image.shape[:2]


def test_a_snapshot_moves_nothing() -> None:
    source = photo()
    taken = snapshot(source, np.random.default_rng(0), 0.6)
    assert taken.shape == source.shape
    assert np.corrcoef(taken.ravel(), source.ravel())[0, 1] > 0.8
    assert not np.array_equal(taken, source)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: edit("melt", photo(), np.random.default_rng(0)), "expected one of crop"),
        (lambda: condition("melt", photo(), np.random.default_rng(0)), "expected one of light"),
        (lambda: edit("crop", photo()[..., 0], np.random.default_rng(0)), "expected \\(H, W, 3\\)"),
        (lambda: edit("crop", photo().astype(float), np.random.default_rng(0)), "uint8"),
        (lambda: edit("crop", photo(), np.random.default_rng(0), 1.5), "strength"),
        (lambda: edit("crop", photo()[:8], np.random.default_rng(0)), "16 pixels"),
        (lambda: condition("background", photo(), np.random.default_rng(0)), "not plain"),
    ],
)
def test_misuse_says_what_was_expected(call, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=says):
        call()
