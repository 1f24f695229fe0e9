"""A brand's figure with another word where its own belongs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from types import SimpleNamespace
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from imgmatch.catalog.items import Brand, LogoReference
from imgmatch.errors import ImageError, OutOfTimeError
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.records import Listing
from imgmatch.signals.logo import lockup as lockup_module
from imgmatch.signals.logo.lockup import OTHER_WORD, Lockups, make_lockup
from imgmatch.signals.logo.signal import LogoSignal
from imgmatch.types import Finding, Label
from imgmatch.vision import ocr
from imgmatch.vision.marks import make_reference
from tests.test_logo import Pixels, image, mark, other, scene

pytestmark = pytest.mark.skipif(not ocr.available(), reason="needs the extra: pip install 'imgmatch[ocr]'")

BRAND = Brand("montroux", "Montroux", logos=(LogoReference("a" * 64),))


def lockup(word: str, figure: Pixels | None = None, *, above: bool = False) -> Pixels:
    """A figure of 200 x 200 in a picture of 300 x 300, with a word below it, or above."""
    small = PillowImage.fromarray(mark() if figure is None else figure).resize((220, 220))
    out = PillowImage.new("RGB", (300, 300), (255, 255, 255))
    out.paste(small, (40, 78 if above else 0))
    place = (150, 45 if above else 255)
    ImageDraw.Draw(out).text(place, word, fill=(0, 0, 0), font=ImageFont.load_default(52), anchor="mm")
    return np.array(out)


def photo(pixels: Pixels, photo_id: str = "photo-1") -> PhotoContext:
    return PhotoContext(photo_id, image(pixels))


def altered(shown: Pixels, reference: Pixels) -> list[Finding]:
    catalog = SimpleNamespace(
        brands={BRAND.brand: BRAND}, photos={}, photo=lambda sha: photo(reference, sha), version=str(uuid4())
    )
    [findings] = LogoSignal(catalog).examine([Query(Listing("1"), [photo(shown)])])
    return [f for f in findings if f.signal == "logo_tamper" and f.evidence.get("readings")]


@pytest.mark.parametrize("word", ["Belluno", "SPORTS", "Moto"])
def test_another_word_under_the_figure_is_a_weak_contradiction(word: str) -> None:
    [finding] = altered(scene(lockup(word), 260), lockup("Montroux"))
    assert finding.brand == "montroux"
    assert finding.value == OTHER_WORD < 0.8
    assert finding.labels == (Label.LOOKALIKE,)
    assert word in finding.reason
    assert finding.evidence["readings"][0]["reading"] == word


@pytest.mark.parametrize(
    ("shown", "reference"),
    [
        (lockup("Montroux"), lockup("Montroux")),
        (lockup("Montrouy"), lockup("Montroux")),  # the text signal says whether that is a misspelling
        (lockup("Mont"), lockup("Montroux")),
        (lockup(""), lockup("Montroux")),
        (lockup("Go"), lockup("Montroux")),
        (lockup("山田太郎"), lockup("Montroux")),
        (lockup("Belluno", above=True), lockup("Montroux")),
        (lockup("Belluno", other()), lockup("Montroux")),
        (lockup("Belluno"), lockup("")),
        (lockup("Belluno"), lockup("Original")),  # whose word the picture has, nobody knows
    ],
    ids=[
        "own",
        "near",
        "part",
        "none",
        "short",
        "other script",
        "elsewhere",
        "other figure",
        "figure alone",
        "unknown word",
    ],
)
def test_no_other_word(shown: Pixels, reference: Pixels) -> None:
    assert altered(scene(shown, 260), reference) == []


def test_the_brands_word_anywhere_in_the_photo_settles_it() -> None:
    shown = scene(lockup("SPORTS"), 260)
    canvas = PillowImage.fromarray(shown)
    ImageDraw.Draw(canvas).text((250, 380), "Montroux", fill=(255, 255, 255), font=ImageFont.load_default(30), anchor="mm")
    assert altered(shown, lockup("Montroux"))
    assert altered(np.array(canvas), lockup("Montroux")) == []


def test_a_lockup_knows_its_word_and_the_figure_beside_it() -> None:
    picture = photo(lockup("Montroux"), "reference")
    found = make_lockup(picture, make_reference("montroux", "a" * 64, "figure", picture.image, None), BRAND, 736)
    assert found is not None
    assert found.word[:, 1] == pytest.approx([232, 232, 278, 278], abs=14)
    x0, y0, x1, y1 = found.figure
    assert (x1 - x0, y1 - y0) == pytest.approx((215, 225), abs=20)
    word = make_reference("montroux", "a" * 64, "figure", picture.image, (30, 225, 270, 280))
    assert make_lockup(picture, word, BRAND, 736) is None  # nothing beside it


def test_a_picture_that_went_away_is_no_lockup() -> None:
    pictures = iter([photo(lockup("Montroux"), "a")])

    def gone(sha: str) -> PhotoContext:
        for picture in pictures:
            return picture
        raise ImageError("a.png", "gone")

    catalog = SimpleNamespace(brands={BRAND.brand: BRAND}, photos={}, photo=gone, version=str(uuid4()))
    [findings] = LogoSignal(catalog).examine([Query(Listing("1"), [photo(scene(lockup("Belluno"), 260))])])
    assert [f.signal for f in findings] == ["logo"]


def test_a_lockup_is_known_once_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = photo(lockup("Montroux"), "reference")
    reference = make_reference("montroux", "a" * 64, "figure", picture.image, None)
    lockups = Lockups(SimpleNamespace(photo=lambda sha: picture), 736)
    found = make_lockup(picture, reference, BRAND, 736)

    def late(*_: object) -> None:
        raise OutOfTimeError("it took more than 20 s")

    monkeypatch.setattr(lockup_module, "make_lockup", late)
    with pytest.raises(OutOfTimeError):
        lockups._lockup(reference, BRAND)
    with ThreadPoolExecutor(1) as pool:
        others = []

        def asked_meanwhile(*_: object) -> object:
            others.append(pool.submit(lockups._lockup, reference, BRAND))
            wait(others, timeout=0.2)
            return found

        monkeypatch.setattr(lockup_module, "make_lockup", asked_meanwhile)
        assert lockups._lockup(reference, BRAND) is found
        assert [other.result() for other in others] == [found]
