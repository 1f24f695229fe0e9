"""Words in a like typeface are not a brand's mark."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from imgmatch.catalog.items import Brand, LogoReference
from imgmatch.loading.photo import Query
from imgmatch.records import Listing
from imgmatch.signals.logo import lettering
from imgmatch.signals.logo.lettering import spells_another_word
from imgmatch.signals.logo.seen import Seen
from imgmatch.signals.logo.signal import LogoSignal
from imgmatch.types import Finding, FindingStatus
from imgmatch.vision import ocr
from imgmatch.vision.marks import make_reference
from imgmatch.vision.ocr import Reading
from tests.test_lockup import lockup, photo
from tests.test_logo import Pixels, image, mark, scene

BRAND = Brand("merino", "Merino", logos=(LogoReference("a" * 64),))
reads = pytest.mark.skipif(not ocr.available(), reason="needs the extra: pip install 'imgmatch[ocr]'")


def line(text: str, right: float = 100, *, sure: float = 0.95, mirrored: bool = False) -> Reading:
    """A line as high as the mark, from its left edge to `right`."""
    return Reading(text, sure, (sure,) * len(text), ((0, 0), (right, 0), (right, 40), (0, 40)), mirrored)


@pytest.mark.parametrize(
    ("readings", "said"),
    [
        ([line("STRIPES")], True),
        ([line("STRIPES", 50)], True),
        ([line("STRIPES", 49)], False),
        ([line("STRI", 30), line("PES", 30)], True),  # together
        ([line("STRIPES", sure=0.85)], False),
        ([line("STRIPES", mirrored=True)], False),
        ([line("OK")], False),
        ([line("条纹衫")], False),
        ([], False),
        ([line("STRIPES"), line("Merino", 0)], False),  # the brand is read elsewhere
        ([line("STRIPES"), line("Merin0", 0)], False),  # nearly
        ([line("MERI")], False),  # a part of its word
        ([line("fromMERINOwool")], False),  # its word in another
    ],
)
def test_other_words_on_half_of_its_place(monkeypatch: pytest.MonkeyPatch, readings: list[Reading], said: bool) -> None:
    monkeypatch.setattr(lettering.ocr, "read", lambda photo, side: tuple(readings))
    monkeypatch.setattr(lettering.ocr, "available", lambda: True)
    place = [[0.0, 0.0], [100.0, 0.0], [100.0, 40.0], [0.0, 40.0]]
    reference = make_reference("merino", "a" * 64, "figure", image(mark()), None)
    seen = Seen("merino", 5.0, reference, place, sighting=None, shape=None, learnt=None)
    assert spells_another_word(photo(mark()), seen, BRAND, 736) is said
    pattern = Seen("merino", 5.0, reference, place, sighting=SimpleNamespace(repeats=True), shape=None, learnt=None)  # type: ignore[arg-type]
    assert not spells_another_word(photo(mark()), pattern, BRAND, 736)
    monkeypatch.setattr(lettering.ocr, "available", lambda: False)
    assert not spells_another_word(photo(mark()), seen, BRAND, 736)


def printed(lines: Sequence[str], size: int) -> Pixels:
    out = PillowImage.new("RGB", (600, 600), (40, 60, 90))
    for number, text in enumerate(lines):
        place = (20, 20 + int(1.3 * size * number))
        ImageDraw.Draw(out).text(place, text, fill=(240, 235, 225), font=ImageFont.load_default(size))
    return np.array(out)


def found(reference: Pixels, shown: Pixels, brand: Brand = BRAND) -> list[Finding]:
    catalog = SimpleNamespace(
        brands={brand.brand: brand}, photos={}, photo=lambda sha: photo(reference, sha), version=str(uuid4())
    )
    [findings] = LogoSignal(catalog).examine([Query(Listing("1"), [photo(shown)])])  # type: ignore[arg-type]
    return findings


@reads
def test_a_slogan_in_the_typeface_of_a_mark_is_not_the_mark() -> None:
    drawn = np.full((180, 480, 3), 255, np.uint8)
    picture = PillowImage.fromarray(drawn)
    ImageDraw.Draw(picture).text((30, 30), "MERINO", fill=(0, 0, 0), font=ImageFont.load_default(90))
    drawn = np.array(picture)
    [finding] = found(drawn, printed(["LOVE MORE", "WORRY LESS", "GALLERY", "ORIGINAL", "STREIFEN"], 84))
    assert finding.status is FindingStatus.ABSTAINED
    assert "Nearest marks that were not claimed: Merino." in finding.reason
    [finding] = found(drawn, printed(["LOVE MORE", "MERINO", "GALLERY", "ORIGINAL", "STREIFEN"], 84))
    assert (finding.brand, finding.status) == ("merino", FindingStatus.OK)
    assert finding.value is not None
    assert finding.value >= 0.5


def oval(word: str, plate: tuple[int, ...], ink: tuple[int, ...], ground: tuple[int, ...]) -> PillowImage.Image:
    out = PillowImage.new("RGB", (340, 200), ground)
    ImageDraw.Draw(out).ellipse((20, 20, 320, 180), fill=plate)
    ImageDraw.Draw(out).text((170, 100), word, fill=ink, font=ImageFont.load_default(60), anchor="mm")
    return out


@pytest.mark.parametrize(("word", "claimed"), [("php", True), ("cow", False)])
def test_an_oval_with_another_word_is_not_the_brands_oval(word: str, claimed: bool) -> None:
    cloth, white = (200, 180, 120), (255, 255, 255)
    grain = np.random.default_rng(0).normal(0, 6, (500, 500, 1))
    pack = PillowImage.fromarray(np.clip(np.array(cloth) + grain, 0, 255).astype(np.uint8))
    pack.paste(oval(word, (20, 60, 140), (240, 240, 230), cloth).resize((119, 70)), (180, 200))
    drawn = np.array(oval("php", (0, 0, 0), white, white))
    [finding, *_] = found(drawn, np.array(pack), Brand("php", "php", logos=(LogoReference("a" * 64),)))
    assert ((finding.value or 0.0) >= 0.5) is claimed


@reads
def test_a_large_word_beside_the_brands_figure_is_an_alteration(monkeypatch: pytest.MonkeyPatch) -> None:
    """It covers a quarter of this mark: where that were enough to be print, the figure beside it still counts."""
    monkeypatch.setattr(lettering, "COVERED", 0.1)
    brand = Brand("montroux", "Montroux", logos=(LogoReference("a" * 64),))
    findings = found(lockup("Montroux"), scene(lockup("Belluno"), 260), brand)
    assert [f.signal for f in findings] == ["logo", "logo_tamper"]
