"""Rings of sellers: who is tied, why, and that the order of the records cannot matter."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import ImageEnhance, ImageOps
from typer.testing import CliRunner

from benchmarks.rings import SEEDS, Market, measure
from imgmatch.apps.cli import app
from imgmatch.errors import InputError, LockedError
from imgmatch.images import hamming, load_image, perceptual_hash
from imgmatch.investigate.report.rings_page import layout, read_rings, write_rings
from imgmatch.investigate.rings import PhotoAccess, Ring, RingSettings, State, find_rings
from imgmatch.investigate.rings.duplicates import SAME_DISTANCE, group_photos, near_pairs
from imgmatch.investigate.rings.market import photo_opener, rarity
from imgmatch.investigate.rings.pairs import PairLimits
from imgmatch.records import Listing, PhotoRecord, ScanRecord
from imgmatch.types import Basis, Decision, Finding, FindingStatus, Verdict


def phash(seed: int, flips: int = 0) -> str:
    rng = np.random.default_rng(seed)
    bits = np.zeros(256, np.uint8)
    bits[rng.permutation(256)[:128]] = 1
    bits[rng.permutation(256)[:flips]] ^= 1
    return np.packbits(bits).tobytes().hex()


def row(seller: str, listing: str, photos: list[int], **more: Any) -> ScanRecord:
    """A listing; a photo is a number, its hash a function of it; negative numbers are light edits of the photo."""
    copies = more.pop("copies", ())
    rows = tuple(
        PhotoRecord(f"photo-{i}", "listing", f"{n}.jpg", f"{n & 0xFFFF:064x}", phash(abs(n), 6 if n < 0 else 0), 9, 9)
        for i, n in enumerate(photos, 1)
    )
    findings = tuple(Finding("copy", FindingStatus.OK, 0.9, "", photo_id=f"photo-{i}") for i in copies)
    defaults = {"platform": "p", "price": "10", "currency": "EUR"}
    return ScanRecord(
        Listing(listing, seller_id=seller, **{**defaults, **more}),
        verdict=Verdict(Decision.REVIEW, Basis.NO_CONTRADICTION, brand="valmore", findings=findings),
        photos=rows,
    )


def crowd(first: int, sellers: int = 12, listings: int = 4) -> list[ScanRecord]:
    """Honest sellers with photos of their own."""
    return [row(f"h{s}", f"h{s}-{n}", [first + s * 100 + n]) for s in range(sellers) for n in range(listings)]


def names(rings: list[Ring]) -> list[list[str]]:
    return [[s.seller_id for s in ring.sellers] for ring in rings]


# -- golden -------------------------------------------------------------------------------------------------------------


def test_sellers_who_share_photos_of_several_listings_are_tied() -> None:
    records = [row("a", f"a{n}", [n]) for n in (1, 2, 3)] + [row("b", f"b{n}", [n]) for n in (1, 2, 3)] + crowd(1000)
    (ring,) = find_rings(records)
    assert names([ring]) == [["a", "b"]]
    assert ring.edges[0].weight == 3.0  # three photos that only two sellers use weigh 1 each
    assert (ring.density, ring.weakest_link) == (1.0, ring.edges[0].weight)
    assert ring.value == {"EUR": 60.0}
    assert ring.brands == {"valmore": 6}
    assert [s.users for s in ring.shared] == [2, 2, 2]
    assert {s.key for s in ring.shared} == set(ring.edges[0].evidence)


def test_the_settings_are_those_that_the_benchmark_chose() -> None:
    chosen = {"common": 40, "common_share": 0.04, "common_least": 12, "contact_weight": 2.0, "place_weight": 0.5}
    chosen |= {"place_repeats": 6, "least_weight": 2.0, "least_share": 0.2, "split": 0.3}
    assert asdict(RingSettings()) == chosen  # `python -m benchmarks rings` says what another value would do


def test_how_common_a_photo_may_be_follows_the_number_of_sellers() -> None:
    pair = [row(s, f"{s}{n}", [n]) for s in "ab" for n in (1, 2, 3, 4)]
    others = [row(f"o{n}", f"o{n}", [4]) for n in range(13)]  # the fourth photo has fifteen users
    (ring,) = find_rings(pair + others + crowd(1000, sellers=485, listings=1))
    [weight] = [shared.weight for shared in ring.shared if shared.users == 15]
    assert weight == round(float(np.log(20 / 15) / np.log(20 / 2)), 4)  # 4 % of 500 sellers are 20
    assert ring.edges[0].weight == 3.0 + weight


def test_what_most_sellers_share_comes_first() -> None:
    records = [row(s, f"{s}{n}", [n]) for s in "abc" for n in (7, 8, 9)] + [row(s, f"{s}0", [1]) for s in "ab"]
    (ring,) = find_rings(records + crowd(1000))
    assert [s.users for s in ring.shared] == [3, 3, 3, 2]
    assert (len(ring.edges), ring.density) == (3, 1.0)
    assert ring.ring_id == "ring-" + hashlib.sha256(b'["p", "a"]').hexdigest()[:12]


def test_of_what_a_listing_shares_the_rarest_counts() -> None:
    """The first photo is common, and would take a listing that a rare one needs."""
    records = [row("a", f"a{n}", [n, 1]) for n in range(2, 8)] + [row("b", f"b{n}", [n]) for n in range(1, 8)]
    records += [row(f"o{n}", f"o{n}", [1]) for n in range(8)]
    (ring,) = find_rings(records + crowd(1000))
    keys = {s.users: s.key for s in ring.shared}
    assert any(s.key > keys[10] for s in ring.shared if s.users == 2)  # else their order would not tell
    assert ring.edges[0].weight == 6.0


def shared(**photos: int) -> list[ScanRecord]:
    """Sellers and how many photos each pair shares, each photo in a listing of its own: ``shared(ab=3)``."""
    numbers = iter(range(100, 900))
    return [row(s, f"{s}{n}", [n]) for pair, count in photos.items() for n in islice(numbers, count) for s in pair]


def test_what_a_pair_shares_adds_up_by_hand() -> None:
    """A contact of two weighs 2, a photo of two 1, however often each of them shows it."""
    records = [row(s, f"{s}{n}", [n // 2], contacts=("wechat:x",)) for s in "ab" for n in range(2, 8)]
    (ring,) = find_rings(records + crowd(1000), contact_key=b"k")
    assert [(s.kind, s.weight, len(s.uses)) for s in ring.shared] == [("contact", 2.0, 12), *[("photo", 1.0, 4)] * 3]
    assert ring.edges[0].weight == 2.0 + 3 * 1.0
    assert ring.platforms == ("p",)
    assert ring.listings == tuple(("p", s, f"{s}{n}") for s in "ab" for n in range(2, 8))


@pytest.mark.parametrize("one", ["x", "z"])
def test_a_listing_counts_once_on_whichever_side_it_stands(one: str) -> None:
    """Sellers are met in the order of their listings: that of the listing with three photos is the first, or the last."""
    records = [row("a", one, [1, 2, 3]), *(row("b", f"y{n}", [n]) for n in (1, 2, 3))]
    assert find_rings(records + crowd(1000)) == []


@pytest.mark.parametrize(("listings", "tied"), [(10, True), (11, False)])
def test_two_of_ten_listings_are_a_fifth(listings: int, tied: bool) -> None:
    records = [row("a", f"a{n}", [n]) for n in range(1, listings + 1)]
    records += [row("b", f"b{n}", [n if n < 3 else 50 + n]) for n in range(1, 31)]
    assert names(find_rings(records + crowd(1000))) == ([["a", "b"]] if tied else [])


@pytest.mark.parametrize(
    ("photos", "weakest"),
    [
        ({"ab": 4, "bc": 3, "ac": 2}, 3.0),  # a-b and b-c hold the three together
        ({"ac": 5, "ab": 4, "bc": 3}, 4.0),  # a-c and a-b do
        ({"bc": 5, "ab": 4, "ac": 3}, 4.0),
        ({"ab": 5, "cd": 5, "bc": 4, "ad": 3, "ac": 3, "bd": 2}, 4.0),
    ],
)
def test_the_weakest_link_is_the_least_of_those_that_are_needed(photos: dict[str, int], weakest: float) -> None:
    (ring,) = find_rings(shared(**photos) + crowd(1000))
    assert {(names([ring])[0][e.a] + names([ring])[0][e.b]): e.weight for e in ring.edges} == photos
    assert [(e.a, e.b) for e in ring.edges] == sorted((e.a, e.b) for e in ring.edges)
    assert ring.weakest_link == weakest


@pytest.mark.parametrize(("split", "rings"), [(0.25, [["a", "b"], ["c", "d"]]), (0.26, [["a", "b", "c", "d"]])])
def test_a_chain_falls_apart_from_its_modularity_on(split: float, rings: list[list[str]]) -> None:
    """Weights 3, 2, 3, of 8 in all: two halves have 3 each inside, and half of the ends: 2 (3/8 - 1/4) = 1/4."""
    found = find_rings(shared(ab=3, bc=2, cd=3) + crowd(1000), settings=RingSettings(split=split))
    assert sorted(names(found)) == rings


def test_rings_of_many_come_first_then_by_id() -> None:
    found = find_rings(shared(ab=3, cd=3, ef=3, xy=3, yz=3, xz=3) + crowd(1000))
    assert [len(ring.sellers) for ring in found] == [3, 2, 2, 2]
    assert [ring.ring_id for ring in found[1:]] == sorted(ring.ring_id for ring in found[1:])
    assert names(found[1:]) != sorted(names(found[1:]))  # the ids order them, not their sellers


def test_what_sellers_share_is_ordered_by_how_many_do_then_by_weight() -> None:
    """The photo of three comes first though two sellers show another one in more listings; of two pairs the rarer first."""
    records = shared(ab=3, bc=3, ac=3) + [row(s, f"{s}7", [7]) for s in "abc"]
    records += [row(s, f"{s}8-{n}", [8]) for s in "ab" for n in range(4)]
    records += [row(s, f"{s}9", [9]) for s in ("a", "b", "o")]
    (ring,) = find_rings(records + crowd(1000))
    assert (ring.shared[0].users, len({seller for seller, *_ in ring.shared[0].uses})) == (3, 3)
    by_weight = [(s.weight, s.users) for s in ring.shared]
    assert by_weight == [(by_weight[0][0], 3), *[(1.0, 2)] * 10, (by_weight[0][0], 3)]


def test_a_ring_of_others_is_not_superseded() -> None:
    (other,) = find_rings([row(s, f"{s}{n}", [n]) for s in "xy" for n in (4, 5, 6)] + crowd(1000))
    (ring,) = find_rings([row(s, f"{s}{n}", [n]) for s in "ab" for n in (1, 2, 3)] + crowd(1000), previous=[other])
    assert ring.supersedes == ()


@pytest.mark.parametrize(("now", "superseded"), [({"ab": 3, "bc": 3, "ac": 3}, True), ({"ab": 3, "bd": 3, "ad": 3}, False)])
def test_a_ring_goes_on_in_that_of_its_founder(now: dict[str, int], superseded: bool) -> None:
    (before,) = find_rings(shared(cd=3) + crowd(1000))
    assert names([before]) == [["c", "d"]]
    (ring,) = find_rings(shared(**now) + crowd(1000), previous=[before])
    assert ring.supersedes == ((before.ring_id,) if superseded else ())


def test_rarity() -> None:
    assert rarity(2, 40) == 1.0
    assert rarity(1, 40) == rarity(40, 40) == rarity(50, 40) == 0.0
    assert rarity(20, 40) == pytest.approx(np.log(2) / np.log(20))


@pytest.mark.parametrize(
    ("what", "records"),
    [
        ("one shared photo", [row("a", "a1", [1]), row("b", "b1", [1])]),
        (
            "a few of very many",
            [row(s, f"{s}{n}", [n if n < 4 else 2000 + n * 2 + ord(s)]) for s in "ad" for n in range(1, 50)],
        ),
        ("one listing with many shared photos", [row("a", "a1", [1, 2, 3, 4]), row("b", "b1", [1, 2, 3, 4])]),
        ("official photos", [row(s, f"{s}{n}", [n], copies=[1]) for s in "ab" for n in range(1, 5)]),
        ("photos that everybody uses", [row(f"s{s}", f"s{s}-{n}", [n]) for s in range(20) for n in range(1, 9)]),
        ("a contact that everybody names", [row(f"s{s}", f"s{s}", [s], contacts=("x@desk.example",)) for s in range(20)]),
        ("sellers without an id", [row("", f"a{n}", [n]) for n in range(5)] * 2),
    ],
)
def test_what_ties_nobody(what: str, records: list[ScanRecord]) -> None:
    assert find_rings(records + crowd(1000), contact_key=b"k") == [], what


def test_an_edited_copy_of_an_official_photo_is_official() -> None:
    records = [row("a", f"a{n}", [n], copies=[1]) for n in range(1, 5)] + [row("b", f"b{n}", [-n]) for n in range(1, 5)]
    assert find_rings(records + crowd(1000)) == []


def test_edited_copies_tie() -> None:
    records = [row("a", f"a{n}", [n]) for n in range(1, 5)] + [row("b", f"b{n}", [-n]) for n in range(1, 5)]
    (ring,) = find_rings(records + crowd(1000))
    assert names([ring]) == [["a", "b"]]
    assert {s.how for s in ring.shared} == {"near hash"}


def test_contacts_tie_as_keyed_hashes_only() -> None:
    records = [
        row("a", "a1", [1], contacts=("WeChat: LuxBag",)),
        row("b", "b1", [2], contacts=("wechat:luxbag", "tel:+491701")),
        row("a", "a2", [3], contacts=("tel:+491701",)),
        *crowd(1000),
    ]
    assert find_rings(records) == []
    (ring,) = find_rings(records, contact_key=b"secret")
    assert [s.kind for s in ring.shared] == ["contact", "contact"]
    text = json.dumps(ring.to_dict())
    assert "luxbag" not in text.casefold()
    assert "491701" not in text
    (other,) = find_rings(records, contact_key=b"another")
    assert {s.key for s in other.shared}.isdisjoint(s.key for s in ring.shared)


def test_weakest_link_and_density_of_a_chain() -> None:
    chain = [row("a", f"a{n}", [n]) for n in range(1, 5)]
    chain += [row("b", f"b{n}", [n]) for n in range(1, 5)] + [row("b", f"b{n}", [n]) for n in range(11, 14)]
    chain += [row("c", f"c{n}", [n]) for n in range(11, 14)]
    (ring,) = find_rings(chain + crowd(1000, sellers=30))
    assert names([ring]) == [["a", "b", "c"]]
    assert ring.density == 0.6667
    assert [e.weight for e in ring.edges] == [4.0, 3.0]
    assert ring.weakest_link == 3.0


def test_two_gangs_joined_by_one_seller_fall_apart() -> None:
    def gang(letter: str, first: int) -> list[ScanRecord]:
        return [row(f"{letter}{s}", f"{letter}{s}-{n}", [first + n]) for s in range(6) for n in range(10)]

    bridge = [row("a0", f"a0-x{n}", [500 + n]) for n in range(4)] + [row("b0", f"b0-x{n}", [500 + n]) for n in range(4)]
    rings = find_rings(gang("a", 100) + gang("b", 200) + bridge + crowd(1000, sellers=200))
    assert sorted(names(rings)) == [[f"a{s}" for s in range(6)], [f"b{s}" for s in range(6)]]


# -- identity over time -------------------------------------------------------------------------------------------------


def dated(seller: str, photos: range, day: int) -> list[ScanRecord]:
    return [row(seller, f"{seller}{n}", [n], listed_at=f"2026-01-{day:02}T10:00:00Z") for n in photos]


def test_a_ring_keeps_its_id_while_it_grows() -> None:
    week1 = dated("b", range(1, 5), 2) + dated("a", range(1, 5), 3) + crowd(1000)
    week2 = dated("c", range(1, 5), 9)
    (before,) = find_rings(week1)
    (after,) = find_rings(week1 + week2, previous=[before])
    assert names([after]) == [["b", "a", "c"]]
    assert after.ring_id == before.ring_id
    assert after.supersedes == ()
    assert (after.first_seen, after.last_seen) == ("2026-01-02T10:00:00+00:00", "2026-01-09T10:00:00+00:00")


def test_merged_rings_say_what_they_supersede() -> None:
    first = dated("a", range(1, 5), 1) + dated("b", range(1, 5), 2)
    second = dated("c", range(11, 15), 3) + dated("d", range(11, 15), 4)
    before = find_rings(first + second + crowd(1000, sellers=40))
    assert len(before) == 2
    link = [row(s, f"{s}-l{n}", [n]) for s in "bc" for n in range(21, 30)] + [
        row("a", f"a-l{n}", [n]) for n in range(21, 30)
    ]
    link += [row("d", f"d-l{n}", [n]) for n in range(21, 30)]
    (after,) = find_rings(first + second + link + crowd(1000, sellers=40), previous=before)
    old = {ring.sellers[0].seller_id: ring.ring_id for ring in before}
    assert after.ring_id == old["a"]
    assert after.supersedes == (old["c"],)
    (later,) = find_rings(first + second + link + crowd(1000, sellers=40), previous=[after])
    assert later.supersedes == (old["c"],)


def test_a_listing_that_comes_again_counts_once_with_its_latest_price() -> None:
    old = [row(s, f"{s}{n}", [n], price="10", captured_at="2026-01-01") for s in "ab" for n in range(1, 4)]
    new = [row(s, f"{s}{n}", [n], price="30", captured_at="2026-01-08") for s in "ab" for n in range(1, 4)]
    (ring,) = find_rings(new + old + crowd(1000))
    assert ring.value == {"EUR": 180.0}
    assert len(ring.listings) == 6


def test_values_are_converted_only_by_the_users_own_rates() -> None:
    records = [row("a", f"a{n}", [n]) for n in range(1, 4)] + [row("b", f"b{n}", [n], currency="USD") for n in range(1, 4)]
    records += [row("b", "b9", [99], price="ask me")]
    (ring,) = find_rings(records + crowd(1000))
    assert (ring.value, ring.unpriced) == ({"EUR": 30.0, "USD": 30.0}, 1)
    (ring,) = find_rings(records + crowd(1000), rates={"EUR": 1.0, "USD": 0.5}, currency="EUR")
    assert ring.value == {"EUR": 45.0}


# -- properties ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_records_cannot_matter(seed: int) -> None:
    records = list(Market(600, 7).records())
    rings = find_rings(records, contact_key=b"k")
    assert rings
    random.Random(seed).shuffle(records)
    assert find_rings(records, contact_key=b"k") == rings


def test_a_ring_survives_json() -> None:
    for ring in find_rings(Market(600, 7).records(), contact_key=b"k"):
        assert Ring.from_dict(json.loads(json.dumps(ring.to_dict()))) == ring


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 31))
def test_near_pairs_agree_with_brute_force(seed: int, radius: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, (12, 32), dtype=np.uint8)
    bits = np.unpackbits(np.concatenate([base, base, base]), axis=1)
    for i in range(12, 36):
        bits[i, rng.permutation(256)[: rng.integers(0, 40)]] ^= 1
    hashes = np.packbits(bits, axis=1)
    expected = {(i, j) for i, j in combinations(range(36), 2) if int((bits[i] != bits[j]).sum()) <= radius}
    fresh = rng.random(36) < 0.5
    met = set()
    for left, right, _ in near_pairs(hashes, radius, fresh):
        met.update((min(i, j), max(i, j)) for i, j in zip(left.tolist(), right.tolist(), strict=True))
    assert met == {(i, j) for i, j in expected if fresh[i] or fresh[j]}
    found = set()
    for left, right, distance in near_pairs(hashes, radius):
        for i, j, d in zip(left.tolist(), right.tolist(), distance.tolist(), strict=True):
            assert d == int((bits[i] != bits[j]).sum())
            found.add((min(i, j), max(i, j)))
    assert found == expected


def test_flat_pictures_are_never_grouped() -> None:
    groups, doubtful = group_photos(list("abcd"), ["0" * 64, "0" * 64, None, "f" * 64], State(), doubtful=True)
    assert groups.all().tolist() == [0, 1, 2, 3]
    assert doubtful == []


def test_week_by_week_finds_what_one_run_over_all_finds(tmp_path: Path) -> None:
    records = list(Market(600, 7).records())
    random.Random(1).shuffle(records)
    whole = find_rings(records, contact_key=b"k", state=State(contact_key=b"k"))
    for week in range(3):
        state = State(tmp_path / "rings.sqlite", b"k")
        rings = find_rings(records[week::3], contact_key=b"k", state=state)
        state.close()
    assert rings == whole != []
    assert find_rings(records[:5], contact_key=b"k", state=State(tmp_path / "rings.sqlite", b"k")) == whole


def test_a_state_is_of_one_key_and_version(tmp_path: Path) -> None:
    State(tmp_path / "rings.sqlite", b"k").close()
    with pytest.raises(InputError, match="another contact key"):
        State(tmp_path / "rings.sqlite", b"other")
    (tmp_path / "broken.sqlite").write_text("no database, whatever its name says" * 99)
    with pytest.raises(InputError, match=r"is damaged .*put a copy from before in its place"):
        State(tmp_path / "broken.sqlite", b"k")


def test_a_lock_is_not_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rings.sqlite"
    State(path, b"k").close()
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda at: connect(at, timeout=0.01))
    with pytest.raises(LockedError, match="another process is writing to it; wait"):
        State(path, b"k")
    other.close()
    State(path, b"k").close()


def test_an_interrupted_run_keeps_what_it_had_seen(tmp_path: Path) -> None:
    records = list(Market(600, 7).records())
    whole = find_rings(records, contact_key=b"k", state=State(contact_key=b"k"))

    def stopped() -> Iterator[ScanRecord]:
        yield from [*records, *records, *records]  # more than a part, whatever its size
        raise KeyboardInterrupt

    state = State(tmp_path / "rings.sqlite", b"k")
    with pytest.raises(KeyboardInterrupt):
        find_rings(stopped(), contact_key=b"k", state=state)
    [(seen,)] = sqlite3.connect(tmp_path / "rings.sqlite").execute("SELECT count(*) FROM listings")  # nothing was closed
    assert seen >= 300
    state.close()
    assert find_rings(records, contact_key=b"k", state=State(tmp_path / "rings.sqlite", b"k")) == whole


# -- real pixels --------------------------------------------------------------------------------------------------------


def photo(seed: int, size: int = 320) -> PillowImage.Image:
    """A picture with structure at many scales, so that PDQ and keypoints have something to hold."""
    rng = np.random.default_rng(seed)
    image = np.zeros((size, size, 3))
    for step in (8, 20, 64):
        cells = rng.random((step, step, 3)) * 255
        image += np.asarray(
            PillowImage.fromarray(cells.astype(np.uint8)).resize((size, size), PillowImage.Resampling.BICUBIC)
        )
    return PillowImage.fromarray((image / 3).astype(np.uint8))


def test_geometry_joins_what_hashes_leave_in_doubt(tmp_path: Path) -> None:
    rows, n = [], 0
    for seed in range(8):
        image = photo(seed)
        image.save(tmp_path / f"a{seed}.png")
        ImageEnhance.Contrast(image.crop((4, 3, 320, 318))).enhance(1.2).save(tmp_path / f"b{seed}.png")
        a, b = (load_image(tmp_path / f"{s}{seed}.png") for s in "ab")
        ha, hb = perceptual_hash(a)[0], perceptual_hash(b)[0]
        if not SAME_DISTANCE < hamming(ha, hb) <= 31:
            continue
        n += 1
        for seller, image_, h in (("a", a, ha), ("b", b, hb)):
            record = PhotoRecord("photo-1", "listing", f"{seller}{seed}.png", image_.sha256, h, 9, 9)
            rows.append(ScanRecord(Listing(f"{seller}{seed}", seller_id=seller), photos=(record,)))
    assert n >= 3
    assert find_rings(rows + crowd(1000)) == []
    (ring,) = find_rings(rows + crowd(1000), photos=PhotoAccess(photo_opener([tmp_path])))
    assert all(s.how.startswith("geometry") for s in ring.shared)


def test_an_opener_returns_only_the_photo_that_was_scanned(tmp_path: Path) -> None:
    photo(1).save(tmp_path / "x.png")
    sha = load_image(tmp_path / "x.png").sha256
    opened = photo_opener([tmp_path / "elsewhere", tmp_path])
    assert opened(sha, "x.png") is not None
    assert opened("0" * 64, "x.png") is None
    assert opened(sha, "../x.png") is None


def thing(seed: int, ground: int, size: int = 360) -> PillowImage.Image:
    """A thing on a ground: the middle is the thing's, the rest is the ground's."""
    picture = photo(10_000 + ground, size)
    picture.paste(photo(20_000 + seed, size * 2 // 5), (size * 3 // 10, size * 3 // 10))
    return picture


def shown(folder: Path, pictures: dict[str, list[PillowImage.Image]]) -> list[ScanRecord]:
    """Records of sellers who show these pictures, one a listing."""
    rows = []
    for seller, images in pictures.items():
        for n, image in enumerate(images):
            image.save(folder / f"{seller}{n}.png")
            loaded = load_image(folder / f"{seller}{n}.png")
            record = PhotoRecord("photo-1", "listing", f"{seller}{n}.png", loaded.sha256, perceptual_hash(loaded)[0], 9, 9)
            rows.append(ScanRecord(Listing(f"{seller}{n}", seller_id=seller), photos=(record,)))
    return rows


def beside(a: PillowImage.Image, b: PillowImage.Image) -> PillowImage.Image:
    out = PillowImage.new("RGB", (a.width + b.width + 10, a.height), "white")
    out.paste(a, (0, 0))
    out.paste(b, (a.width + 10, 0))
    return out


COPIES: dict[str, Any] = {
    "crop": lambda image: image.crop((50, 40, 300, 310)),
    "border": lambda image: ImageOps.expand(image, 60, "navy"),
    "mirror": ImageOps.mirror,
    "composite": lambda image: beside(photo(77), image),
}


@pytest.mark.parametrize("edit", COPIES)
def test_verified_copies_tie(edit: str, tmp_path: Path) -> None:
    rows = shown(tmp_path, {"a": [photo(n) for n in range(3)], "b": [COPIES[edit](photo(n)) for n in range(3)]})
    assert find_rings(rows + crowd(1000)) == []
    (ring,) = find_rings(rows + crowd(1000), photos=PhotoAccess(photo_opener([tmp_path])))
    assert names([ring]) == [["a", "b"]]
    assert {(s.kind, s.how.split()[0]) for s in ring.shared} == {("photo", "geometry")}


def test_embeddings_propose_too(tmp_path: Path) -> None:
    rows = shown(tmp_path, {"a": [photo(n) for n in range(3)], "b": [COPIES["crop"](photo(n)) for n in range(3)]})
    at = {r.photos[0].sha256: int(r.listing_id[1:]) for r in rows}
    photos = PhotoAccess(
        photo_opener([tmp_path]),
        lambda shas: [np.eye(3, dtype=np.float32)[at[sha]] if sha in at else None for sha in shas],
        PairLimits(votes=10_000),
    )
    (ring,) = find_rings(rows + crowd(1000), photos=photos)
    assert names([ring]) == [["a", "b"]]


def test_one_place_ties_only_when_it_is_used_again_and_again(tmp_path: Path) -> None:
    photos = PhotoAccess(photo_opener([tmp_path]))
    once = shown(tmp_path, {s: [thing(ord(s) * 10 + n, 1) for n in range(2)] for s in "ab"})
    assert find_rings(once + crowd(1000), photos=photos) == []
    often = shown(tmp_path, {s: [thing(ord(s) * 10 + n, 1) for n in range(5)] for s in "ab"})
    (ring,) = find_rings(often + crowd(1000), photos=photos)
    assert names([ring]) == [["a", "b"]]
    assert [s.kind for s in ring.shared] == ["background"]


def test_one_watermark_ties_when_it_is_used_again_and_again(tmp_path: Path) -> None:
    def marked(n: int) -> PillowImage.Image:
        image = photo(30_000 + n, 480)
        image.paste(photo(99, 400).resize((130, 130)), (330, 330))
        return image

    rows = shown(tmp_path, {"a": [marked(n) for n in range(5)], "b": [marked(n) for n in range(5, 10)]})
    (ring,) = find_rings(rows + crowd(1000), photos=PhotoAccess(photo_opener([tmp_path])))
    assert [s.kind for s in ring.shared] == ["watermark"]


def test_plain_white_and_wood_tie_nobody(tmp_path: Path) -> None:
    def on(ground: PillowImage.Image, n: int) -> PillowImage.Image:
        picture = ground.resize((360, 360)).copy()
        picture.paste(photo(40_000 + n, 150), (105, 105))
        return picture

    wood = PillowImage.fromarray(np.repeat(np.random.default_rng(5).integers(120, 160, (1, 90, 3)), 360, 0).astype(np.uint8))
    for ground in (PillowImage.new("RGB", (360, 360), "white"), wood):
        rows = shown(tmp_path, {"a": [on(ground, n) for n in range(6)], "b": [on(ground, n) for n in range(6, 12)]})
        assert find_rings(rows + crowd(1000), photos=PhotoAccess(photo_opener([tmp_path]))) == []


def test_a_part_of_an_official_photo_makes_the_photo_official(tmp_path: Path) -> None:
    rows = shown(tmp_path, {"a": [beside(photo(n), photo(n + 50)) for n in range(4)], "b": [photo(n) for n in range(4)]})
    finding = Finding("copy", FindingStatus.OK, 0.9, "a part", photo_id="photo-1")
    verdict = Verdict(Decision.REVIEW, Basis.NO_CONTRADICTION, findings=(finding,))
    rows[:4] = [replace(r, verdict=verdict) for r in rows[:4]]
    assert find_rings(rows + crowd(1000), photos=PhotoAccess(photo_opener([tmp_path]))) == []


def test_a_later_run_looks_only_at_what_is_new(tmp_path: Path) -> None:
    rows = shown(tmp_path, {s: [f(photo(n)) for n in range(3)] for s, f in (("a", lambda x: x), ("b", COPIES["crop"]))})
    rows += shown(tmp_path, {"c": [COPIES["border"](photo(n)) for n in range(3)]})
    opened: list[str] = []

    def count(sha256: str, path: str) -> Any:
        found = photo_opener([tmp_path])(sha256, path)
        opened.extend([path] if found else [])
        return found

    find_rings(rows + crowd(1000), photos=PhotoAccess(count), state=(state := State()))
    opened.clear()
    again = find_rings([], photos=PhotoAccess(count), state=state)
    assert (names(again), opened) == ([["a", "b", "c"]], [])
    state = State()
    find_rings(rows[:6] + crowd(1000), photos=PhotoAccess(count), state=state)
    assert find_rings(rows[6:], photos=PhotoAccess(count), state=state) == again


@pytest.mark.data
def test_reposts_tie_made_up_sellers(shared_data: Path, tmp_path: Path) -> None:
    """Photos of real listings: a gang of three shows its own edits of the same eight, the others one photo each."""
    paths = sorted((shared_data / "seller_reposts").rglob("*.jpg"))[:40]
    rows = []

    def show(seller: str, number: int, image: PillowImage.Image) -> None:
        path = tmp_path / f"{seller}-{number}.jpg"
        image.convert("RGB").save(path, quality=70)
        loaded = load_image(path)
        record = PhotoRecord("photo-1", "listing", path.name, loaded.sha256, perceptual_hash(loaded)[0], 9, 9)
        rows.append(ScanRecord(Listing(f"{seller}-{number}", seller_id=seller), photos=(record,)))

    for n, path in enumerate(paths):
        image = PillowImage.open(path)
        image.thumbnail((320, 320))
        if n < 8:
            width, height = image.size
            show("gang1", n, image)
            show("gang2", n, image.resize((width // 2, height // 2)))
            show("gang3", n, ImageEnhance.Brightness(image.crop((width // 40, 0, width, height))).enhance(1.15))
        else:
            show(f"other{n % 16}", n, image)
    rings = find_rings(rows, photos=PhotoAccess(photo_opener([tmp_path])))
    assert ["gang1", "gang2", "gang3"] in [sorted(ring) for ring in names(rings)]
    others = {s for ring in names(rings) for s in ring} - {"gang1", "gang2", "gang3"}
    assert len(others) <= 2


# -- the page and the command -------------------------------------------------------------------------------------------


def test_page(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>\u202e"
    records = [row(s, f"{s}{n}", [n], platform=hostile) for s in (hostile, "b") for n in range(1, 5)]
    rings = find_rings(records + crowd(1000))
    write_rings(rings, tmp_path)
    text = (tmp_path / "rings.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;‹U+202E›" in text
    assert "not proof" in text
    assert read_rings(tmp_path / "rings.jsonl") == rings


def test_no_rings_make_a_page_too(tmp_path: Path) -> None:
    write_rings([], tmp_path)
    assert "No two sellers" in (tmp_path / "rings.html").read_text(encoding="utf-8")


def test_layout_is_deterministic_and_inside() -> None:
    (ring,) = find_rings([row(s, f"{s}{n}", [n]) for s in "abc" for n in range(1, 9)] + crowd(1000))
    assert layout(ring) == layout(ring)
    assert all(0 < x < 560 and 0 < y < 400 for x, y in layout(ring))


def test_command(tmp_path: Path) -> None:
    for week, sellers in ((1, "ab"), (2, "c")):
        (tmp_path / f"w{week}").mkdir()
        rows = [row(s, f"{s}{n}", [n], contacts=("wechat:x",)) for s in sellers for n in range(1, 5)] + crowd(5000 * week)
        lines = "".join(json.dumps(r.to_dict()) + "\n" for r in rows)
        (tmp_path / f"w{week}" / "records.jsonl").write_text(lines, encoding="utf-8")
    weeks = [str(tmp_path / f"w{week}" / "records.jsonl") for week in (1, 2)]
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["rings", weeks[0], "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (before,) = read_rings(out / "rings.jsonl")
    CliRunner().invoke(app, ["rings", *weeks, "--out", str(out)], catch_exceptions=False)
    (after,) = read_rings(out / "rings.jsonl")
    assert (len(before.sellers), len(after.sellers)) == (2, 3)
    assert before.ring_id == after.ring_id
    contacts = [{s.key for s in ring.shared if s.kind == "contact"} for ring in (before, after)]
    assert contacts[0] == contacts[1] != set()
    assert (out / "contacts.key").stat().st_mode & 0o077 == 0


def test_a_broken_rings_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "rings.jsonl").write_text('{"ring_id": 1}\n')
    with pytest.raises(InputError, match=r"rings\.jsonl:1"):
        read_rings(tmp_path / "rings.jsonl")


# -- the synthetic market -----------------------------------------------------------------------------------------------


def test_benchmark_market_is_solved_at_a_small_size() -> None:
    result = measure(10_000, SEEDS["dev"][0], RingSettings())
    assert result["right_pairs"] >= 0.9 * result["true_pairs"]
    assert result["right_pairs"] >= 0.95 * result["found_pairs"]


def test_a_page_calls_brands_by_name_names_few_sellers_and_fades_what_is_not_needed(tmp_path: Path) -> None:
    records = [row(s, f"{s}{n}", [n]) for s in "abc" for n in range(1, 5)]
    [ring] = find_rings(records + crowd(1000))
    write_rings([replace(ring, brands={"aurel": 2, "corto": 1})], tmp_path, called={"aurel": "Maison Aurel"})
    text = (tmp_path / "rings.html").read_text("utf-8")
    assert "Maison Aurel (2), corto (1)" in text
    assert text.count('<text class="who"') == 3
    assert (text.count("<line "), text.count('<line class="weak"')) == (3, 1)  # two ties hold three sellers together
    write_rings([ring], tmp_path, lang="zh")
    assert "1 个关联卖家群" in (tmp_path / "rings.html").read_text("utf-8")
