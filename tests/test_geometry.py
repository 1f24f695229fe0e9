"""Keypoints, verified matches and alignment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgmatch.loading.photo import PhotoContext
from imgmatch.types import Image
from imgmatch.vision import geometry
from imgmatch.vision.geometry import Keypoints


def scene(seed: int, height: int = 240, width: int = 320) -> np.ndarray:
    """A picture with corners at many scales and no repetition."""
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 200, np.uint8)
    for _ in range(70):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        color = tuple(int(c) for c in rng.integers(0, 255, 3))
        w, h = (int(s) for s in rng.integers(4, 50, 2))
        if rng.random() < 0.5:
            cv2.rectangle(pixels, (x, y), (x + w, y + h), color, -1)
        else:
            cv2.ellipse(pixels, (x, y), (w, h), float(rng.integers(180)), 0, 360, color, -1)
    return pixels


def context(pixels: np.ndarray, *, width: int | None = None) -> PhotoContext:
    height = round(pixels.shape[0] * (width or pixels.shape[1]) / pixels.shape[1])
    return PhotoContext("photo-1", Image(pixels, "0" * 64, "<array>", width or pixels.shape[1], height, "RAW"))


def placed(angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    a = np.radians(angle)
    c, s = scale * np.cos(a), scale * np.sin(a)
    return np.array([[c, -s, shift[0]], [s, c, shift[1]], [0.0, 0.0, 1.0]])


def made(n: int, transform: np.ndarray, seed: int = 0) -> tuple[Keypoints, Keypoints]:
    """n features of a reference, and where a transform takes them: the same descriptors, turned and scaled."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(10, 390, (n, 2))
    descriptors = rng.dirichlet(np.ones(128), n) ** 0.5
    size, angle = rng.uniform(4, 20, n), rng.uniform(0, 360, n)
    reference = Keypoints(*(a.astype(np.float32) for a in (xy, size, angle, descriptors)), 400.0, 400.0, 1.0)
    scale = np.hypot(transform[0, 0], transform[1, 0])
    turned = (angle + np.degrees(np.arctan2(transform[1, 0], transform[0, 0]))) % 360
    moved = geometry.map_points(transform, xy)
    query = Keypoints(*(a.astype(np.float32) for a in (moved, size * scale, turned, descriptors)), 400.0, 400.0, 1.0)
    return query, reference


# golden values by hand


def test_map_points_by_hand():
    t = np.array([[2.0, 0.0, 1.0], [0.0, 2.0, -1.0], [0.0, 0.0, 2.0]])
    assert geometry.map_points(t, [[3.0, 5.0]]).tolist() == [[3.5, 4.5]]
    assert geometry.map_points(t, np.zeros((0, 2))).shape == (0, 2)


def test_area_and_overlap_by_hand():
    assert geometry.area([[0, 0], [4, 0], [4, 3], [0, 3]]) == 12.0
    shifted = placed(0, 1.0, (60, 20))
    assert geometry.area(geometry.overlap(shifted, (100, 50), (100, 50))) == pytest.approx(40 * 30)
    assert geometry.overlap(placed(0, 1.0, (500, 0)), (100, 50), (100, 50)).shape == (0, 2)


SQUARE = [[0, 0], [4, 0], [4, 4], [0, 4]]


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        (SQUARE, 16.0),
        (SQUARE[::-1], 16.0),
        ([[1, 1], [2, 1], [2, 3], [1, 3]], 2.0),  # inside
        ([[2, -2], [6, 2], [2, 6], [-2, 2]], 16.0),  # a diamond through the corners
        ([[2, 0], [4, 2], [2, 4], [0, 2]], 8.0),
        ([[3, 1], [9, 1], [9, 2], [3, 2]], 1.0),
        ([[4, 0], [8, 0], [8, 4], [4, 4]], 0.0),  # a common side is no area
        ([[4, 4], [8, 4], [8, 8], [4, 8]], 0.0),
        ([[5, 0], [8, 0], [8, 4], [5, 4]], 0.0),
    ],
)
def test_intersections_by_hand(other, shared):
    for first, second in ((SQUARE, other), (other, SQUARE)):
        found = geometry.intersect(first, second)
        assert geometry.area(found) == pytest.approx(shared, abs=1e-12)
        assert (len(found) >= 3) == (shared > 0)


def test_flip_maps_the_left_edge_to_the_right_one():
    assert geometry.map_points(geometry.flip(100.0), [[0.0, 7.0], [99.5, 7.0]]).tolist() == [[100.0, 7.0], [0.5, 7.0]]


def test_warp_keeps_pixel_centres():
    pixels = scene(1, 40, 60)
    same, covered = geometry.warp(pixels, np.eye(3), (60, 40))
    assert np.array_equal(same, pixels)
    assert covered.all()
    mirror, _ = geometry.warp(pixels, geometry.flip(60.0), (60, 40))
    assert np.array_equal(mirror, pixels[:, ::-1])
    _, half = geometry.warp(pixels, placed(0, 1.0, (30, 0)), (60, 40))
    assert not half[:, :29].any()
    assert half[:, 31:].all()


# properties


@settings(max_examples=25, deadline=None)
@given(
    st.floats(-180, 180),
    st.floats(0.3, 3.0),
    st.floats(-100, 100),
    st.integers(12, 40),
    st.integers(0, 60),
    st.integers(0, 99),
)
def test_verify_recovers_any_similarity_among_strays(angle, scale, shift, good, stray, seed):
    truth = placed(angle, scale, (shift, -shift))
    query, reference = made(good + stray, truth, seed)
    rng = np.random.default_rng(seed)
    query.xy[good:] = rng.uniform(0, 400, (stray, 2))
    pairs = np.stack([np.arange(good + stray)] * 2, axis=1)[rng.permutation(good + stray)]
    found = geometry.verify(query, reference, pairs)
    assert found is not None
    corners = geometry.rectangle(400, 400)
    assert np.abs(geometry.map_points(found.transform, corners) - geometry.map_points(truth, corners)).max() < 4.0 * max(
        scale, 1
    )
    assert 0.0 <= found.score <= 1.0
    assert 0.0 <= found.spread <= 1.0


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_nothing_is_verified_among_strays_alone(seed):
    query, reference = made(60, np.eye(3), seed)
    query.xy[:] = np.random.default_rng(seed + 1).uniform(0, 400, (60, 2))
    assert geometry.verify(query, reference, np.stack([np.arange(60)] * 2, axis=1)) is None


# behaviour on pictures


@pytest.mark.parametrize("model", ["similarity", "affine", "homography"])
def test_a_turned_and_reduced_copy_is_aligned_within_a_pixel(model):
    pixels = scene(3)
    truth = placed(6, 0.8, (40, 10))
    drawn, _ = geometry.warp(pixels, truth, (320, 240))
    query, reference = geometry.extract(drawn), geometry.extract(pixels)
    found = geometry.verify(query, reference, geometry.match(query, reference), model=model)
    assert found is not None
    inner = [[20.0, 20.0], [260.0, 20.0], [260.0, 200.0]]
    assert np.abs(geometry.map_points(found.transform, inner) - geometry.map_points(truth, inner)).max() < 1.0
    assert found.rival < len(found) / 4
    assert found.score > 0.7


def test_homography_follows_a_perspective_that_a_similarity_cannot():
    pixels = scene(4)
    truth = np.array([[0.9, 0.05, 20.0], [-0.04, 0.95, 15.0], [0.0004, -0.0003, 1.0]])
    drawn, _ = geometry.warp(pixels, truth, (320, 240))
    query, reference = geometry.extract(drawn), geometry.extract(pixels)
    pairs = geometry.match(query, reference)
    flat = geometry.verify(query, reference, pairs, model="homography")
    plain = geometry.verify(query, reference, pairs)
    assert flat is not None
    assert len(flat) > len(plain or ())
    assert (
        np.abs(geometry.map_points(flat.transform, [[200.0, 150.0]]) - geometry.map_points(truth, [[200.0, 150.0]])).max()
        < 1
    )


def test_mirrored_features_are_those_of_the_mirror_image():
    pixels = scene(5)
    there, looked = geometry.mirrored(geometry.extract(pixels)), geometry.extract(np.ascontiguousarray(pixels[:, ::-1]))
    found = geometry.verify(there, looked, geometry.match(there, looked))
    assert found is not None
    assert np.abs(found.transform - np.eye(3)).max() < 0.5
    assert len(found) > 0.6 * len(looked)
    plain = geometry.extract(pixels)
    assert geometry.verify(plain, looked, geometry.match(plain, looked)) is None


def test_points_are_in_original_pixels_of_a_photo_decoded_at_reduced_size():
    pixels = scene(6)
    small, large = context(pixels), context(pixels, width=960)
    assert np.allclose(geometry.keypoints(large).xy, geometry.keypoints(small).xy * 3, atol=1e-2)
    assert geometry.keypoints(large).width == 960
    assert geometry.keypoints(large) is geometry.keypoints(large)


def test_a_crop_keeps_the_positions_of_the_whole():
    pixels = scene(7)
    crop = geometry.extract(pixels[60:200, 80:300].copy(), origin=(80.0, 60.0))
    whole = geometry.extract(pixels)
    found = geometry.verify(crop, whole, geometry.match(crop, whole))
    assert found is not None
    assert np.abs(found.transform - np.eye(3)).max() < 0.5


def test_keypoints_are_spread_over_the_picture():
    pixels = np.full((200, 400, 3), 255, np.uint8)
    pixels[:, :200] = np.random.default_rng(0).integers(0, 255, (200, 200, 3))
    pixels[60:140, 260:340] = scene(1, 80, 80)
    kept = geometry.extract(pixels, max_keypoints=100)
    assert len(kept) <= 100
    assert (kept.xy[:, 0] > 230).sum() > 15


def test_a_flat_picture_has_no_features_and_matches_nothing():
    flat, other = geometry.extract(np.full((100, 100, 3), 255, np.uint8)), geometry.extract(scene(1))
    assert len(flat) == 0
    assert len(geometry.match(flat, other)) == len(geometry.match(other, flat)) == 0
    assert len(geometry.mirrored(flat)) == 0


# misuse


def test_wrong_arguments_are_named():
    query, reference = made(20, np.eye(3))
    with pytest.raises(ValueError, match="similarity, affine or homography"):
        geometry.verify(query, reference, np.zeros((8, 2), np.int64), model="projective")
    with pytest.raises(ValueError, match="max_keypoints >= 1"):
        geometry.extract(scene(1), max_keypoints=0)


# regressions


def test_rectangles_whose_edges_nearly_coincide_meet():
    # What OpenCV's intersectConvexConvex calls disjoint: a photo cropped by 8 and 12 px, laid on itself.
    mapped = [
        [2.073812055414237e-08, -0.011453120882483958],
        [472.00084740575, 2.0562374280705398e-08],
        [471.9999999792618, 468.0114531208825],
        [-0.0008474057500315751, 467.99999997943763],
    ]
    assert geometry.area(geometry.intersect(mapped, geometry.rectangle(472, 468))) == pytest.approx(472 * 468, rel=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(-6, -1))
def test_nearly_the_same_rectangle_shares_nearly_all(seed, exponent):
    moved = np.random.default_rng(seed).uniform(-1, 1, (4, 2)) * 10.0**exponent
    a = geometry.rectangle(472, 468)
    for first, second in ((a, a + moved), (a + moved, a)):
        assert abs(geometry.area(geometry.intersect(first, second)) - 472 * 468) <= 2 * (472 + 468) * 10.0**exponent
