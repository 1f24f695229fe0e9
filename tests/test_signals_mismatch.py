"""Promo against destination: same thing, something else, a side missing."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import PIL.Image
import pytest

from imgmatch.catalog.items import Brand, CatalogPhoto, Item
from imgmatch.catalog.likeness import Likeness
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.records import Listing
from imgmatch.signals.base import Signal
from imgmatch.signals.mismatch.settings import MismatchConfig
from imgmatch.signals.mismatch.signal import MismatchSignal
from imgmatch.types import Box, EmbeddingSpace, Finding, FindingStatus, Image, Label, Neighbors, PhotoRole

SIDE = 64


def pattern(seed: int, jitter: int = 0) -> np.ndarray:
    """A photo of thing number `seed`: a 4 x 4 grid of colours; `jitter` is another shot of the same thing."""
    cells = np.random.default_rng(seed).integers(0, 256, (4, 4, 3))
    noise = np.random.default_rng(1000 * seed + jitter).integers(-40, 41, (4, 4, 3)) if jitter else 0
    small = PIL.Image.fromarray(np.clip(cells + noise, 0, 255).astype(np.uint8))
    return np.asarray(small.resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC))  # smooth: no seams within


def encode(pixels: np.ndarray) -> np.ndarray:
    h, w = pixels.shape[:2]
    cells = np.array(
        [
            [pixels[h * i // 4 : h * (i + 1) // 4, w * j // 4 : w * (j + 1) // 4].mean((0, 1)) for j in range(4)]
            for i in range(4)
        ]
    )
    flat = np.append(cells.reshape(-1) - 128, 1.0)
    return (flat / np.linalg.norm(flat)).astype(np.float32)


class TinyEncoder:
    space = EmbeddingSpace("tiny", "0" * 64, "grid", "none", "fp32", 49)

    def encode(self, batch: Any) -> np.ndarray:
        return np.stack([encode(image.pixels) for image in batch])


class TinyCatalog:
    """Two brands, eight items of two kinds, three photos each."""

    def __init__(self) -> None:
        self.encoder = TinyEncoder()
        self.space = self.encoder.space
        self.brands = {"aurel": Brand("aurel", "Aurel"), "brix": Brand("brix", "Brix")}
        self.items, self.photos, self.photo_ids, vectors = {}, {}, [], []
        for n in range(16):
            brand, kind = ("aurel", "brix")[n % 2], ("bag", "watch")[n // 2 % 2]
            shas = tuple(f"{n:032x}{shot:032x}" for shot in range(3))
            self.items[f"i{n}"] = Item(f"i{n}", brand, category=kind, name=f"{kind} {n}", photos=shas)
            for shot, sha in enumerate(shas):
                self.photos[sha] = CatalogPhoto(sha, PhotoRole.REFERENCE, f"i{n}", brand, "", SIDE, SIDE, "0" * 64, 100)
                self.photo_ids.append(sha)
                vectors.append(encode(pattern(n, shot)))
        self.vectors = np.stack(vectors)

    @cached_property
    def likeness(self) -> Likeness:
        return Likeness(self)  # type: ignore[arg-type]

    def embedding(self, sha: str) -> np.ndarray:
        return self.vectors[self.photo_ids.index(sha)]

    def nearest(self, vectors: np.ndarray, k: int) -> Neighbors:
        similarities = vectors @ self.vectors.T
        ids = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
        return Neighbors(ids, np.take_along_axis(similarities, ids, axis=1))


CATALOG: Any = TinyCatalog()
SIGNAL = MismatchSignal(CATALOG, MismatchConfig())
PROMO, SAME, SIBLING, RIVAL, UNKNOWN = pattern(4), pattern(4, 7), pattern(8, 7), pattern(3, 7), pattern(99)


def photo(photo_id: str, pixels: np.ndarray) -> PhotoContext:
    image = Image(pixels, f"{hash(pixels.tobytes()):064x}"[-64:], "<array>", pixels.shape[1], pixels.shape[0], "RAW")
    context = PhotoContext(
        photo_id, lambda: image, "promo" if photo_id.startswith("promo") else "listing", sha256=image.sha256
    )
    context.embedding = encode(pixels)
    return context


def examine(promo: list[np.ndarray], offer: list[np.ndarray], signal: MismatchSignal = SIGNAL, **fields: Any) -> Finding:
    photos = [photo(f"photo-{i}", x) for i, x in enumerate(offer, 1)] + [
        photo(f"promo-{i}", x) for i, x in enumerate(promo, 1)
    ]
    listing = Listing("L", photos=("a",) * len(offer), promo_photos=("b",) * len(promo), **fields)
    ((finding,),) = signal.examine([Query(listing, photos)])
    return finding


def value(finding: Finding) -> float:
    assert finding.value is not None, finding.reason
    return finding.value


def test_something_else_is_a_mismatch_with_its_evidence() -> None:
    finding = examine([PROMO], [UNKNOWN], title="lovely summer dress")
    assert value(finding) > 0.8
    assert (finding.brand, finding.item_id, finding.photo_id) == ("aurel", "i4", "promo-1")
    assert finding.labels == (Label.BAIT_AND_SWITCH,)
    assert finding.evidence["reference_photo"] in CATALOG.photos
    assert "neither names Aurel nor shows" in finding.reason


HONEST = [
    ("the same thing again", [SAME], {}),
    ("the same photo", [PROMO], {}),
    ("another item of the brand", [SIBLING], {}),
    ("one of two photos shows it", [UNKNOWN, SAME], {}),
    ("the words name the brand", [UNKNOWN], {"title": "Aurel bag, well kept"}),
    ("the brand column does", [UNKNOWN], {"brand_claim": "AUREL"}),
]


@pytest.mark.parametrize(("offer", "fields"), [h[1:] for h in HONEST], ids=[h[0] for h in HONEST])
def test_honest_pairs(offer: list[np.ndarray], fields: dict[str, str]) -> None:
    assert value(examine([PROMO], offer, **fields)) < 0.5


def test_another_brand_is_a_mismatch() -> None:
    assert value(examine([PROMO], [RIVAL])) > 0.5


def test_a_region_of_the_promo_is_enough() -> None:
    composite = np.full((SIDE, 2 * SIDE + 12, 3), 255, np.uint8)  # order this | get this
    composite[:, :SIDE], composite[:, SIDE + 12 :] = PROMO, pattern(98)
    finding = examine([composite], [UNKNOWN])
    assert value(finding) > 0.5
    (region,) = finding.evidence["regions"]
    xs = [x for x, _ in region["polygon"]]
    assert Box(min(xs), 0, max(xs), SIDE).iou(Box(0, 0, SIDE, SIDE)) > 0.8


def test_words_alone_make_no_strong_claim() -> None:
    finding = examine([], [UNKNOWN], promo_text="new Aurel bags, link in bio", title="dress")
    assert 0.5 <= value(finding) <= 0.6


ABSTENTIONS = [
    ([], [SAME], {}, "no promo"),
    ([PROMO], [], {}, "neither a readable photo nor words"),
    ([PROMO], [], {"title": "dress"}, "No listing photo could be read"),
    ([UNKNOWN], [SAME], {}, "claims no brand"),
]


@pytest.mark.parametrize(("promo", "offer", "fields", "reason"), ABSTENTIONS)
def test_abstains(promo: list[np.ndarray], offer: list[np.ndarray], fields: dict[str, str], reason: str) -> None:
    finding = examine(promo, offer, **fields)
    assert finding.status is FindingStatus.ABSTAINED
    assert reason in finding.reason


def test_a_catalog_without_a_second_photo_of_a_brand_cannot_say_what_is_far() -> None:
    catalog: Any = TinyCatalog()
    catalog.likeness.learnt = replace(catalog.likeness.learnt, near=np.zeros(0, np.float32))
    finding = examine([PROMO], [UNKNOWN], MismatchSignal(catalog, MismatchConfig()))
    assert finding.status is FindingStatus.ABSTAINED
    assert "too few photos" in finding.reason


def test_unreadable_promo() -> None:
    ((finding,),) = SIGNAL.examine([Query(Listing("L", promo_photos=("broken.jpg",)), [photo("photo-1", SAME)])])
    assert finding.status is FindingStatus.ABSTAINED
    assert "could be read" in finding.reason


def test_is_a_signal_and_a_batch_is_one_by_one() -> None:
    assert isinstance(SIGNAL, Signal)
    assert SIGNAL.examine([]) == []
    queries = [
        Query(Listing(str(i), photos=("a",), promo_photos=("b",)), [photo("photo-1", x), photo("promo-1", PROMO)])
        for i, x in enumerate([SAME, UNKNOWN, RIVAL])
    ]
    assert SIGNAL.examine(queries) == [SIGNAL.examine([q])[0] for q in queries]
    assert SIGNAL.propose(queries) == [[], [], []]
