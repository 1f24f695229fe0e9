"""Copies of catalog photos inside listing photos."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from imgmatch.catalog.items import CatalogPhoto, Item
from imgmatch.config import EFFORTS
from imgmatch.images import perceptual_hash
from imgmatch.indexes.patches import PatchIndex
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.records import Listing
from imgmatch.signals.base import Signal
from imgmatch.signals.copy.details import agree, stored_details
from imgmatch.signals.copy.settings import CopyConfig
from imgmatch.signals.copy.signal import CopySignal, describe
from imgmatch.signals.copy.verify import Agreement, Copy, _value, agreement
from imgmatch.types import FindingStatus, Image, Label, PhotoRole
from imgmatch.vision import geometry
from imgmatch.vision.geometry import VerifiedMatch
from imgmatch.world.brands import DEMO_BRANDS
from imgmatch.world.collection import make_collection
from imgmatch.world.render import studio_photo
from tests.test_geometry import placed, scene


def picture(pixels: np.ndarray) -> Image:
    pixels = np.ascontiguousarray(pixels)
    return Image(pixels, hashlib.sha256(pixels.tobytes()).hexdigest(), "<array>", pixels.shape[1], pixels.shape[0], "RAW")


def photo(pixels: np.ndarray, photo_id: str = "photo-1") -> PhotoContext:
    context = PhotoContext(photo_id, picture(pixels))
    context.embedding = np.array([1.0, 0.0], np.float32)
    return context


class FakeCatalog:
    """As much of a catalog as the signal asks for."""

    version = "1"

    def __init__(self, path: Path, pictures: dict[str, tuple[np.ndarray, PhotoRole]]) -> None:
        self.path = path
        self.items, self.photos, self._contexts = {}, {}, {}
        self.asked: list[str] = []
        for name, (pixels, role) in pictures.items():
            image = picture(pixels)
            phash, quality = perceptual_hash(image)
            item = name if role is PhotoRole.REFERENCE else None
            self.photos[image.sha256] = CatalogPhoto(
                image.sha256, role, item, "aurelia" if item else None, name, image.width, image.height, phash, quality
            )
            if item:
                self.items[item] = Item(item, "aurelia", name=f"Tote {name}")
            self._contexts[image.sha256] = PhotoContext(image.sha256, image, "reference")

    def of_role(self, role):
        return [p for p in self.photos.values() if p.role is role]

    def photo(self, sha256):
        self.asked.append(sha256)
        return self._contexts[sha256]

    def embedding(self, sha256):
        return np.array([0.6, 0.8], np.float32)

    def sha(self, name):
        return next(p.sha256 for p in self.photos.values() if p.name == name)


SCENES = {name: scene(seed) for name, seed in (("a", 11), ("b", 12), ("c", 13), ("d", 14))}


@pytest.fixture
def catalog(tmp_path):
    return FakeCatalog(tmp_path, {n: (p, PhotoRole.REFERENCE) for n, p in SCENES.items()})


@pytest.fixture
def signal(catalog):
    return CopySignal(catalog, CopyConfig())


def find(signal, *photos):
    query = Query(Listing("1"), list(photos))
    findings = signal.examine([query])[0]
    return findings[0] if len(findings) == 1 else findings


def framed(pixels, canvas=(400, 500), at=(60, 80)):
    out = np.full((*canvas, 3), 235, np.uint8)
    out[at[0] : at[0] + pixels.shape[0], at[1] : at[1] + pixels.shape[1]] = pixels
    return out


def test_it_is_a_signal(signal):
    assert isinstance(signal, Signal)
    assert signal.name == "copy"


def test_settings_are_the_defaults_unless_given(catalog):
    assert CopySignal(catalog).config == CopyConfig(EFFORTS["full"], hash_distance=40)
    assert CopySignal(catalog, CopyConfig(hash_distance=7)).config.hash_distance == 7


# golden values


def test_the_same_bytes_are_a_copy_at_once(signal, catalog):
    found = find(signal, photo(SCENES["b"]))
    assert (found.value, found.item_id, found.brand) == (1.0, "b", "aurelia")
    assert found.labels == (Label.PHOTO_THEFT,)
    assert found.reason == "The photo shows a catalog photo of Tote b: the same file."
    assert found.photo_id == "photo-1"
    assert found.evidence["reference_photo"] == catalog.sha("b")
    assert found.evidence["transform"] == np.eye(3).tolist()
    assert catalog.asked == []


def test_agreement_by_hand():
    a = picture(SCENES["a"])
    same = agreement(a, a, np.eye(3))
    assert same.share == 1.0
    assert same.covered == 0.0
    assert same.tint == 0.0
    assert geometry.area(same.query_polygon) == pytest.approx(320 * 240)
    other = agreement(picture(SCENES["b"]), a, np.eye(3))
    assert other is None or other.share < 0.2
    bright = picture((SCENES["a"] * 0.6 + 40).astype(np.uint8))
    assert agreement(bright, a, np.eye(3)).share > 0.98
    assert (
        agreement(picture(np.full((240, 320, 3), 90, np.uint8)), picture(np.full((240, 320, 3), 80, np.uint8)), np.eye(3))
        is None
    )


@pytest.mark.parametrize(
    ("linear", "changed", "value"),
    [
        ((1, 1), {}, 0.5 * (1 - np.exp(-1))),  # the share half way from 0.4 to 0.8, ten cells
        ((1, 1), {"covered": 0.325}, 0.25 * (1 - np.exp(-1))),
        ((1, 1), {"recoloured": 0.175}, 0.25 * (1 - np.exp(-1))),
        ((1.4, 1), {}, 0.25 * (1 - np.exp(-1))),  # stretched half way from 1.3 to 1.5
        ((1, 1), {"covered": 0.5}, 0.0),
        ((1, 1), {"recoloured": 0.25}, 0.0),
        ((1, 1), {"share": 0.8, "cells": 1000}, 1.0),
    ],
)
def test_the_value_of_a_copy_by_hand(linear, changed, value):
    found = Agreement(0.6, 10, np.zeros((0, 2)), np.zeros((0, 2)), covered=0.0, tint=0.0, recoloured=0.0)
    assert _value(np.diag([*linear, 1.0]), None, dataclasses.replace(found, **changed)) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("linear", "filled", "changed", "words"),
    [
        ([[0.5, 0], [0, 0.5]], (100, 50), {}, ["reduced to 50%", "50% added at the bottom"]),
        ([[0.5, 0], [0, 0.5]], (100, 96), {"tint": 20.0, "covered": 0.08}, ["reduced to 50%"]),
        ([[2, 0], [0, 2]], (90, 100), {}, ["enlarged to 200%", "10% added at the right"]),
        ([[1, 0], [0, 1]], (100, 100), {}, ["unchanged but for compression"]),
        ([[0, -1], [1, 0]], (100, 100), {}, ["turned by 90°"]),
        ([[-1, 0], [0, 1]], (100, 100), {"tint": 20.5}, ["mirrored", "colours or brightness changed"]),
        ([[1.1, 0], [0, 0.9]], (100, 100), {"covered": 0.09}, ["stretched by 22%", "9% of it covered or changed"]),
        ([[1, 0], [0, 1]], (70, 70), {}, ["set in a larger picture, 49% of it"]),
    ],
)
def test_changes_are_described_by_hand(linear, filled, changed, words):
    listing, reference = picture(np.zeros((100, 100, 3), np.uint8)), picture(np.zeros((100, 200, 3), np.uint8))
    transform = np.eye(3)
    transform[:2, :2] = linear
    query_polygon, reference_polygon = geometry.rectangle(*filled), geometry.rectangle(200, 100)
    found = Agreement(0.91234, 7, query_polygon, reference_polygon, covered=0.0, tint=0.0, recoloured=0.0)
    copy = Copy(
        "s", 1.0, transform, query_polygon, reference_polygon, linear[0][0] < 0, None, dataclasses.replace(found, **changed)
    )
    said, facts = describe(copy, listing, reference)
    assert said == words
    assert facts == {
        "share of the catalog photo shown": 1.0,
        "share of this photo filled": filled[0] * filled[1] / 1e4,
        "turned, degrees": 90.0 if linear[0][0] == 0 else 0.0,
        "scale": round(float(np.sqrt(abs(np.linalg.det(linear)))), 3),
        "mirrored": "yes" if linear[0][0] < 0 else "no",
        "pixel agreement": 0.912,
        "agreeing cells": 7,
        "matched keypoints": 0,
    }
    third = dataclasses.replace(copy, reference_polygon=geometry.rectangle(200 / 3, 100))
    said, facts = describe(third, listing, reference)
    assert "cropped to 33%" in said
    assert facts["share of the catalog photo shown"] == 0.333


def test_one_change_of_colour_is_an_edit_and_two_are_another_product():
    a = SCENES["a"]
    filtered = picture(
        np.clip(a @ np.array([[0.5, 0.2, 0.0], [0.3, 0.6, 0.1], [0.0, 0.1, 0.6]]) + 20, 0, 255).astype(np.uint8)
    )
    assert agreement(filtered, picture(a), np.eye(3)).recoloured < 0.05
    parts = a.copy()
    parts[:, :160] = (a[:, :160] * [0.5, 0.7, 1.0]).astype(np.uint8)
    parts[:, 160:] = (a[:, 160:] * [1.0, 0.6, 0.4] + [0, 60, 0]).astype(np.uint8)
    assert agreement(picture(parts), picture(a), np.eye(3)).recoloured > 0.25


def test_votes_by_hand():
    one, two = np.full((1, 32), 0, np.uint8), np.full((1, 32), 255, np.uint8)
    index = PatchIndex(np.concatenate([one, one, one, two]), np.array([2, 2, 0]))
    assert len(index) == 3
    # The first descriptor is shared by two pictures, the second belongs to one; the third is near nothing.
    asked = np.concatenate([one, two, np.full((1, 32), 0x0F, np.uint8)])
    assert index.vote(asked).tolist() == [0.5, 1.5, 0.0]
    assert index.vote(np.zeros((0, 32), np.uint8)).tolist() == [0, 0, 0]
    assert PatchIndex(np.zeros((0, 32), np.uint8), np.zeros(0, np.int64)).vote(asked).shape == (0,)


def test_a_large_index_votes_like_comparing_with_all():
    rng = np.random.default_rng(5)
    rows = rng.integers(0, 256, (60, 50, 32), dtype=np.uint8)
    index = PatchIndex(rows.reshape(-1, 32), np.full(60, 50))
    noisy = rows[17] ^ (rng.random((50, 32)) < 0.3).astype(np.uint8)
    votes = index.vote(noisy)
    assert votes.argmax() == 17
    assert votes[17] > 40


def test_an_index_given_its_lists_is_the_same_index():
    rng = np.random.default_rng(5)
    rows = rng.integers(0, 256, (60, 50, 32), dtype=np.uint8)
    noisy = rows[17] ^ (rng.random((50, 32)) < 0.3).astype(np.uint8)
    given = rows.reshape(-1, 32), np.full(60, 50)
    built = PatchIndex(*given)
    assert len(set(built.lists.tolist())) > 50  # of 219 lists, all but those of unlucky centres have something
    assert np.array_equal(PatchIndex(*given, lists=built.lists).vote(noisy), built.vote(noisy))
    # The lists given are the ones used: with all in one list that no query looks into, nothing is found.
    nearest = PatchIndex(*given, probes=1)
    away = np.full(len(built.lists), (nearest.lists[17 * 50] + 1) % 219)
    assert PatchIndex(*given, probes=1, lists=away).vote(rows[17][:1]).sum() == 0
    assert nearest.vote(rows[17][:1]).sum() == 1


@pytest.mark.parametrize("lists", [np.zeros(2999, np.int64), np.full(3000, 219), np.full(3000, -1)])
def test_lists_of_another_index_are_refused(lists):
    with pytest.raises(ValueError, match="expected the lists, 0 to 218, of 3000 descriptors"):
        PatchIndex(np.zeros((3000, 32), np.uint8), np.full(60, 50), lists=lists)


@pytest.mark.parametrize(
    ("rows", "counts"),
    [(np.zeros((3, 16), np.uint8), [3]), (np.zeros((3, 32), np.int8), [3]), (np.zeros((3, 32), np.uint8), [1, 1])],
    ids=["shorter", "signed", "not counted"],
)
def test_descriptors_that_are_none_are_refused(rows, counts):
    with pytest.raises(ValueError, match="as many as counted"):
        PatchIndex(rows, np.array(counts))


def apart(phash, bits):
    """Return a hash that many bits from another."""
    return (int.from_bytes(phash, "big") ^ ((1 << bits) - 1)).to_bytes(32, "big")


def test_near_hashes_are_proposed_by_hand_nearest_first(signal, catalog, monkeypatch):
    """Two parts of a photo are near catalog photos: one at 3 bits as it is, one at 0 in the mirror; 41 bits are too many."""
    a, b, c = (bytes.fromhex(catalog.photos[catalog.sha(name)].phash) for name in "abc")
    found = (
        np.array([[0, 0, 320, 240], [10, 20, 170, 260], [0, 0, 9, 9]]),
        np.array([False, True, False]),
        np.array([list(apart(b, 3)), list(a), list(apart(c, 41))], np.uint8),
    )
    monkeypatch.setattr("imgmatch.signals.copy.signal.hashes_of", lambda photo: found)
    proposals = signal._proposals(photo(np.full((300, 300, 3), 128, np.uint8)))
    assert list(proposals) == [catalog.sha("a"), catalog.sha("b")]
    ((hints_a, sides_a), (hints_b, sides_b)) = proposals.values()
    assert sides_a == sides_b == (False, True)
    ((there, mirrored),) = hints_a
    assert (there.tolist(), bool(mirrored)) == ([[-0.5, 0, 170], [0, 1, 20], [0, 0, 1]], True)
    ((there, mirrored),) = hints_b
    assert (there.tolist(), bool(mirrored)) == (np.eye(3).tolist(), False)


@pytest.mark.parametrize(
    ("plain", "mirrored", "sides"),
    [(5.0, 0.0, (False,)), (4.9, 5.1, (True,)), (6.0, 7.0, (False, True)), (4.9, 4.9, None)],
)
def test_a_photo_is_looked_at_on_the_sides_that_have_votes_enough(signal, catalog, monkeypatch, plain, mirrored, sides):
    sides_asked = iter((plain, mirrored))
    voted = signal._searched.index(catalog.sha("c"))
    monkeypatch.setattr(PatchIndex, "vote", lambda self, descriptors: next(sides_asked) * (np.arange(4) == voted))
    monkeypatch.setattr("imgmatch.signals.copy.signal.agree", lambda query, known: True)
    proposals = signal._proposals(photo(np.full((300, 300, 3), 128, np.uint8)))
    assert proposals == ({} if sides is None else {catalog.sha("c"): ([], sides)})


# what must be found


def crop_of(p):
    return p[90:220, 120:300], placed(0, 1, (-120, -90)), "cropped"


def mirror_of(p):
    return p[:, ::-1], geometry.flip(320.0), "mirrored"


def caption_of(p):
    out = p.copy()
    out[200:] = 20
    return out, np.eye(3), ""


def caption_and_stickers_of(p):
    out = p.copy()
    out[190:] = 20
    rng = np.random.default_rng(0)
    out[20:110, 30:140] = rng.integers(0, 256, (9, 11, 3)).repeat(10, 0).repeat(10, 1)
    return out, np.eye(3), "of it covered or changed"


def bars_of(p):
    return (
        np.concatenate([np.full((50, 320, 3), 10, np.uint8), p, np.full((50, 320, 3), 10, np.uint8)]),
        placed(0, 1, (0, 50)),
        "added at the top",
    )


def turned_of(p):
    t = placed(7, 0.9, (40, 0))
    return geometry.warp(p, t, (320, 240))[0], t, "turned by 7°"


def tinted_of(p):
    return np.clip(p * np.array([0.6, 0.9, 1.0]) + 20, 0, 255).astype(np.uint8), np.eye(3), "colours or brightness changed"


def small_of(p):
    t = placed(0, 0.5, (0, 0))
    return geometry.draw(picture(p), t, (160, 120))[0], t, "reduced to 50%"


def side_by_side(p):
    return (
        np.concatenate([SCENES["a"], p], axis=1) if p is not SCENES["a"] else np.concatenate([p, p], axis=1),
        placed(0, 1, (320, 0)),
        "set in a larger picture",
    )


def inset(p):
    big = scene(77, 600, 800)
    big[250:490, 300:620] = p
    return big, placed(0, 1, (300, 250)), "set in a larger picture"


@pytest.mark.parametrize(
    "edit",
    [crop_of, mirror_of, caption_of, caption_and_stickers_of, bars_of, turned_of, tinted_of, small_of, inset],
    ids=lambda e: e.__name__,
)
def test_an_edited_copy_is_found_placed_and_described(signal, catalog, edit):
    pixels, truth, words = edit(SCENES["c"])
    found = find(signal, photo(pixels))
    assert found.value >= 0.7
    assert found.item_id == "c"
    assert words in found.reason
    inner = [[160.0, 110.0], [250.0, 190.0]]
    got = geometry.map_points(np.array(found.evidence["transform"]), inner)
    assert np.abs(got - geometry.map_points(truth, inner)).max() < 2.0
    on = {r["on"]: np.array(r["polygon"]) for r in found.evidence["regions"]}
    back = geometry.map_points(np.array(found.evidence["transform"]), on["reference"])
    assert np.abs(back - on["query"]).max() < 1.0
    if "matches" in found.evidence:
        pairs = np.array(found.evidence["matches"])
        assert len(pairs) <= 60
        moved = geometry.map_points(np.array(found.evidence["transform"]), pairs[:, 2:])
        assert np.abs(moved - pairs[:, :2]).max() < 5.0


@pytest.mark.parametrize(("pairs", "step"), [(1, 1), (60, 1), (61, 2), (121, 3)])
def test_at_most_sixty_matches_are_shown_evenly(signal, catalog, pairs, step):
    at = np.stack([np.arange(pairs), np.arange(pairs)], axis=1).astype(np.float32)
    match = VerifiedMatch(np.eye(3), at, at + 1, pairs, rival=0, spread=1.0, cells=36, error=0.1, score=1.0)
    corners = geometry.rectangle(320, 240)
    seen = Agreement(1.0, 100, corners, corners, covered=0.0, tint=0.0, recoloured=0.0)
    copy = Copy(catalog.sha("a"), 1.0, np.eye(3), corners, corners, mirrored=False, match=match, agreement=seen)
    shown = signal._finding(photo(SCENES["a"]), copy).evidence["matches"]
    assert shown == [[n, n, n + 1, n + 1] for n in range(0, pairs, step)]


def test_two_copies_in_one_photo_are_two_findings(signal):
    found = find(signal, photo(np.concatenate([SCENES["a"], SCENES["d"]], axis=1)))
    assert {f.item_id for f in found} == {"a", "d"}
    assert all(f.value > 0.7 for f in found)


def test_proposals_name_the_item_with_the_plain_similarity(signal, catalog):
    query = Query(Listing("1"), [photo(crop_of(SCENES["c"])[0])])
    (candidates,) = signal.propose([query])
    assert [(c.item_id, c.photo, c.proposed_by) for c in candidates] == [("c", catalog.sha("c"), ("copy",))]
    assert candidates[0].similarity == pytest.approx(0.6)


def test_no_more_photos_are_opened_than_asked_for(catalog):
    signal = CopySignal(catalog, CopyConfig(dataclasses.replace(EFFORTS["full"], proposals=1)))
    signal.propose([Query(Listing("1"), [photo(SCENES["a"][:200])])])
    catalog.asked.clear()
    find(signal, photo(crop_of(SCENES["c"])[0]))
    assert set(catalog.asked) == {catalog.sha("c")}


# what must not be


def test_another_picture_is_no_copy(signal):
    found = find(signal, photo(scene(99)))
    assert (found.status, found.value, found.labels) == (FindingStatus.OK, 0.0, ())


def test_two_products_on_white_are_no_copy(tmp_path):
    def product(seed):
        out = np.full((300, 300, 3), 255, np.uint8)
        out[80:220, 90:210] = scene(seed, 140, 120)
        return out

    signal = CopySignal(FakeCatalog(tmp_path, {"a": (product(1), PhotoRole.REFERENCE)}), CopyConfig())
    assert find(signal, photo(product(2))).value == 0.0
    assert find(signal, photo(product(1)[20:])).value > 0.7


def test_two_bags_of_one_monogram_are_no_copy(tmp_path):
    canvas = np.tile(scene(3, 40, 40), (8, 8, 1))

    def bag(seed, dx, dy):
        out = np.full((300, 300, 3), 245, np.uint8)
        out[70:250, 60:240] = canvas[dy : dy + 180, dx : dx + 180]
        out[20:70, 100:200] = scene(seed, 50, 100)
        return out

    signal = CopySignal(FakeCatalog(tmp_path, {"a": (bag(1, 0, 0), PhotoRole.REFERENCE)}), CopyConfig())
    assert find(signal, photo(bag(2, 17, 11))).value < 0.5
    assert find(signal, photo(np.ascontiguousarray(bag(1, 0, 0)[5:, 5:]))).value > 0.7


def test_two_rendered_bags_of_one_monogram_are_no_copy(tmp_path):
    specs = [p.spec for p in make_collection(DEMO_BRANDS[0], 0, bags=12, watches=0)]
    first = specs[0]
    second = next(s for s in specs if s.model != first.model and s.silhouette != first.silhouette)
    covered = [
        dataclasses.replace(
            s, pattern="monogram", material="canvas", colour=first.colour, trim=first.trim, period=first.period
        )
        for s in (first, second)
    ]
    one, other = (np.asarray(studio_photo(s, "front")) for s in covered)
    signal = CopySignal(FakeCatalog(tmp_path, {"a": (one, PhotoRole.REFERENCE)}), CopyConfig())
    assert find(signal, photo(other)).value < 0.5
    for part in (one[60:400, 70:420], one[12:, 8:]):  # once the edges of the smaller crop hid it
        assert find(signal, photo(part)).value > 0.7


def test_a_flat_photo_abstains(signal):
    found = find(signal, photo(np.full((200, 200, 3), 128, np.uint8)))
    assert found.status is FindingStatus.ABSTAINED
    assert "too little structure" in found.reason


@pytest.mark.parametrize(("details", "status"), [(19, FindingStatus.ABSTAINED), (20, FindingStatus.OK)])
def test_twenty_details_are_enough_to_say_that_nothing_is_shown(signal, monkeypatch, details, status):
    monkeypatch.setattr(signal, "copies", lambda photo: ())
    monkeypatch.setattr(signal, "_patches", lambda photo: (range(details), range(details)))
    assert find(signal, photo(SCENES["a"])).status is status


def test_a_listing_without_photos_abstains(signal):
    assert find(signal).status is FindingStatus.ABSTAINED


# roles


def test_an_offenders_photo_has_its_own_finding_and_proposes_no_item(tmp_path):
    catalog = FakeCatalog(tmp_path, {"x": (SCENES["a"], PhotoRole.KNOWN_OFFENDER), "c": (SCENES["c"], PhotoRole.REFERENCE)})
    signal = CopySignal(catalog, CopyConfig())
    query = Query(Listing("1"), [photo(mirror_of(SCENES["a"])[0])])
    assert signal.propose([query]) == [[]]
    by_name = {f.signal: f for f in signal.examine([query])[0]}
    assert by_name["known_offender"].value > 0.7
    assert by_name["known_offender"].labels == (Label.RING_MEMBER,)
    assert by_name["copy"].value == 0.0


def test_a_negative_photo_silences_what_lies_in_the_same_place(tmp_path):
    stock = SCENES["a"].copy()
    stock[:40] = 0
    catalog = FakeCatalog(tmp_path, {"a": (SCENES["a"], PhotoRole.REFERENCE), "s": (stock, PhotoRole.NEGATIVE)})
    found = find(CopySignal(catalog, CopyConfig()), photo(SCENES["a"][50:]))
    assert (found.status, found.photo_id) == (FindingStatus.ABSTAINED, "photo-1")
    assert "many sellers use" in found.reason


def test_a_stock_photo_silences_no_copy_beside_it(tmp_path):
    """One place shows what everybody uses, another a photo of the catalog: the second is still said and proposed."""
    roles = {"a": PhotoRole.NEGATIVE, "d": PhotoRole.REFERENCE, "x": PhotoRole.KNOWN_OFFENDER}
    catalog = FakeCatalog(tmp_path, {n: (SCENES["c" if n == "x" else n], role) for n, role in roles.items()})
    signal = CopySignal(catalog, CopyConfig())
    beside = photo(np.concatenate([SCENES["a"], SCENES["d"]], axis=1))
    found = find(signal, beside)
    assert (found.status, found.item_id) == (FindingStatus.OK, "d")
    assert [c.item_id for c in signal.propose([Query(Listing("1"), [beside])])[0]] == ["d"]
    stock = find(signal, photo(SCENES["a"]), photo(SCENES["c"], "photo-2"))
    by_name = {f.signal: f for f in stock}
    assert by_name["known_offender"].photo_id == "photo-2"
    assert (by_name["copy"].status, by_name["copy"].photo_id) == (FindingStatus.ABSTAINED, "photo-1")


def test_what_is_said_of_copies_depends_on_how_sure_they_are(tmp_path, monkeypatch):
    """Below a half a copy is said with care, proposes nothing, labels nothing, and as a stock photo silences nothing."""
    roles = {"a": PhotoRole.REFERENCE, "d": PhotoRole.REFERENCE, "s": PhotoRole.NEGATIVE}
    catalog = FakeCatalog(tmp_path, {n: (SCENES["b" if n == "s" else n], role) for n, role in roles.items()})
    signal = CopySignal(catalog, CopyConfig())
    whole = signal.copies(photo(SCENES["a"]))[0]
    for stock, a, d in ((0.49, 0.5, 0.49), (0.49, 0.6, 0.7)):
        values = {catalog.sha("s"): stock, catalog.sha("a"): a, catalog.sha("d"): d}
        copies = tuple(dataclasses.replace(whole, sha256=sha, value=value) for sha, value in values.items())
        monkeypatch.setattr(signal, "copies", lambda photo, copies=copies: copies)
        query = Query(Listing("1"), [photo(SCENES["c"])])
        said = {f.item_id: (f.value, "The photo shows" in f.reason, bool(f.labels)) for f in signal.examine([query])[0]}
        assert said == {name: (value, value >= 0.5, value >= 0.5) for name, value in (("a", a), ("d", d))}
        proposed = [(c.item_id, c.score) for c in signal.propose([query])[0]]
        assert proposed == ([("a", 0.5)] if d < 0.5 else [("d", 0.7), ("a", 0.6)])
    for stock, shown in ((0.49, "a"), (0.5, None)):
        values = {catalog.sha("s"): stock, catalog.sha("a"): 0.9}
        copies = tuple(dataclasses.replace(whole, sha256=sha, value=value) for sha, value in values.items())
        monkeypatch.setattr(signal, "copies", lambda photo, copies=copies: copies)
        assert find(signal, photo(SCENES["c"])).item_id == shown
    for stock, status in ((0.49, FindingStatus.OK), (0.5, FindingStatus.ABSTAINED)):
        alone = (dataclasses.replace(whole, sha256=catalog.sha("s"), value=stock),)
        monkeypatch.setattr(signal, "copies", lambda photo, alone=alone: alone)
        assert find(signal, photo(SCENES["c"])).status is status


# stored details


def test_stored_details_are_kept_and_only_new_photos_are_looked_at(catalog):
    shas = sorted(catalog.photos)
    first, _ = stored_details(catalog, shas[:3])
    catalog.asked.clear()
    again, _ = stored_details(catalog, shas)
    assert catalog.asked == [shas[3]]
    assert len(again) == len(shas)
    assert all(np.array_equal(a.descriptors, b.descriptors) for a, b in zip(first, again[:3], strict=True))
    assert all(np.array_equal(a.places, b.places) for a, b in zip(first, again[:3], strict=True))


def test_no_photos_have_no_details(catalog):
    assert stored_details(catalog, [])[0] == []


@pytest.mark.parametrize(
    "change",
    [
        lambda parts: {name: array[:0] for name, array in parts.items()},  # of no photos
        lambda parts: parts | {"counts": parts["counts"] + 2**62},  # of four: their sum overflows to the right one
    ],
)
def test_counts_that_are_none_are_computed_again(catalog, change):
    shas = sorted(catalog.photos)
    details, _ = stored_details(catalog, shas)
    (file,) = (catalog.path / "derived").iterdir()
    with np.load(file) as stored:
        parts = dict(stored)
    np.savez(file, **change(parts))
    again, _ = stored_details(catalog, shas)
    assert [len(d.descriptors) for d in again] == [len(d.descriptors) for d in details]


@pytest.mark.parametrize("junk", [b"", b"PK\x03\x04 cut short", b"not a zip file"])
def test_a_broken_file_of_details_is_computed_again(catalog, junk):
    shas = sorted(catalog.photos)
    stored_details(catalog, shas)
    (file,) = (catalog.path / "derived").iterdir()
    file.write_bytes(junk)
    assert len(stored_details(catalog, shas)[0][0].descriptors) > 50


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("counts", np.full(4, 1.5)),
        ("photos", np.array(5)),
        ("lists", np.zeros(3, "i4,i4")),
        ("places", np.zeros(3, "i4,i4")),
    ],
)
def test_a_file_that_holds_something_else_is_computed_again(catalog, part, wrong):
    shas = sorted(catalog.photos)
    stored_details(catalog, shas)
    (file,) = (catalog.path / "derived").iterdir()
    with np.load(file) as stored:
        parts = dict(stored)
    np.savez(file, **{**parts, part: wrong})
    assert len(stored_details(catalog, shas)[0]) == len(shas)
    with np.load(file) as stored:
        assert all(np.array_equal(stored[name], parts[name]) for name in parts)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_in_place_of_the_details_is_not_waited_for(catalog):
    shas = sorted(catalog.photos)
    stored_details(catalog, shas)
    (file,) = (catalog.path / "derived").iterdir()
    file.unlink()
    os.mkfifo(file)
    assert len(stored_details(catalog, shas)[0]) == len(shas)
    assert file.is_file()


def test_lists_that_do_not_fit_the_details_are_computed_again_and_kept(catalog):
    shas = sorted(catalog.photos)
    _, index = stored_details(catalog, shas)
    (file,) = (catalog.path / "derived").iterdir()
    with np.load(file) as stored:
        parts = dict(stored)
    lists = parts.pop("lists")
    assert np.array_equal(lists, index.lists)
    np.savez(file, **parts, lists=lists[1:])
    catalog.asked.clear()
    assert np.array_equal(stored_details(catalog, shas)[1].lists, index.lists)
    with np.load(file) as stored:
        assert np.array_equal(stored["lists"], index.lists)
    assert not catalog.asked  # the details themselves are sound: they are indexed, not described again


def test_details_agree_where_a_photo_shows_the_other_and_on_its_side_only(catalog):
    known = dict(zip(sorted(catalog.photos), stored_details(catalog, sorted(catalog.photos))[0], strict=True))
    for sha in catalog.photos:
        entry = catalog.photos[sha]
        shown = crop_of(catalog.photo(sha).image.pixels)[0]
        plain, turned = geometry.patches(photo(shown), max_side=640, count=600, mirror=True)
        for other, details in known.items():
            points = details.keypoints(catalog.photos[other].width, catalog.photos[other].height)
            assert agree(plain, points) is (other == sha), entry.name
            assert not agree(turned, points)
        flipped, _ = geometry.patches(photo(shown[:, ::-1]), max_side=640, count=600, mirror=True)
        assert not agree(flipped, known[sha].keypoints(entry.width, entry.height))


def test_findings_do_not_depend_on_the_batch(signal):
    queries = [Query(Listing(n), [photo(crop_of(SCENES[n])[0])]) for n in ("a", "c")]
    together = signal.examine(queries)
    fresh = [Query(Listing(n), [photo(crop_of(SCENES[n])[0])]) for n in ("a", "c")]
    assert together == [signal.examine([q])[0] for q in fresh]
