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
from imgmatch.errors import ImageError
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.records import Listing
from imgmatch.signals.logo import lettering
from imgmatch.signals.logo.lettering import Spelt, WordMarks
from imgmatch.signals.logo.seen import Seen
from imgmatch.signals.logo.signal import LogoSignal
from imgmatch.types import Finding, FindingStatus
from imgmatch.vision import ocr
from imgmatch.vision.marks import Sighting, make_reference
from imgmatch.vision.ocr import Reading
from tests.test_lockup import lockup, photo
from tests.test_logo import Pixels, image, mark, scene

BRAND = Brand("merino", "Merino", logos=(LogoReference("a" * 64),))
reads = pytest.mark.skipif(not ocr.available(), reason="needs the extra: pip install 'imgmatch[ocr]'")


def line(
    text: str, right: float = 100, *, left: float = 0, low: float = 40, sure: float = 0.95, mirrored: bool = False
) -> Reading:
    """A line as high as the mark, from its left edge so far."""
    corners = ((left, 0), (left + right, 0), (left + right, low), (left, low))
    return Reading(text, sure, (sure,) * len(text), corners, mirrored)


PLACE = [[0.0, 0.0], [100.0, 0.0], [100.0, 40.0], [0.0, 40.0]]
REFERENCE = make_reference("merino", "a" * 64, "figure", image(mark()), None)
WORD = Spelt(("merlno",), np.float32([[0, 0], [300, 0], [300, 60], [0, 60]]), alone=True)  # so it is read in its own picture


def seen(place: list[list[float]] = PLACE, *, at: Sequence[tuple[float, float]] = (), repeats: bool = False) -> Seen:
    """A mark of which these points of its picture agree, where the photo shows that picture as it is."""
    points = np.float32(at).reshape(-1, 2)
    none = np.zeros((0, 3), np.float32)
    sighting = Sighting(REFERENCE, np.eye(3), 5.0, len(points), False, repeats, points, none) if at or repeats else None
    return Seen("merino", 5.0, REFERENCE, place, sighting=sighting, shape=None, learnt=None)


def told(monkeypatch: pytest.MonkeyPatch, readings: Sequence[Reading], shown: Seen, spelt: Spelt | None = WORD) -> bool:
    monkeypatch.setattr(lettering.ocr, "read", lambda photo, side: tuple(readings))
    monkeypatch.setattr(lettering.ocr, "available", lambda: True)
    words = WordMarks(SimpleNamespace(brands={"merino": BRAND}), 736)  # type: ignore[arg-type]
    words._known[REFERENCE] = spelt
    return words.other_words(photo(mark()), shown)


@pytest.mark.parametrize(
    ("readings", "said"),
    [
        ([line("STRIPES")], True),
        ([line("STRIPES", 50)], True),
        ([line("STRIPES", 49)], False),
        ([line("STRI", 30), line("PES", 30, left=30)], True),  # together
        ([line("STRIPES", 30), line("STRI", 28), line("RIPE", 29)], False),  # read three times
        ([line("STRIPES", sure=0.85)], False),
        ([line("STRIPES", mirrored=True)], False),
        ([line("STRIPES", low=130)], False),  # far higher: a watermark
        ([line("STRIPES", low=110)], True),
        ([Reading("STRIPES", 0.95, (0.95,) * 7, ((0, 0), (40, 40), (20, 60), (-20, 20)))], False),  # across it
        ([line("OK")], False),
        ([line("条纹衫")], False),
        ([], False),
        ([line("STRIPES"), line("Merino", 0)], False),  # the brand is read elsewhere
        ([line("STRIPES"), line("Merlno wool", 0)], False),  # as it is in its own picture
        ([line("STRIPES"), line("Nerin0", 0)], False),  # nearly
        ([line("MERI")], False),  # a part of its word
        ([line("fromMERINOwool")], False),  # its word in another
    ],
)
def test_other_words_on_half_of_its_place(monkeypatch: pytest.MonkeyPatch, readings: list[Reading], said: bool) -> None:
    assert told(monkeypatch, readings, seen()) is said
    assert not told(monkeypatch, readings, seen(repeats=True))
    assert not told(monkeypatch, readings, seen(), None)  # a figure
    assert not told(monkeypatch, readings, seen([[0.0, 0.0], [100.0, 0.0], [100.0, 0.0], [0.0, 0.0]]))
    monkeypatch.setattr(lettering.ocr, "available", lambda: False)
    assert not WordMarks(SimpleNamespace(), 736).other_words(photo(mark()), seen())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("at", "said"), [([(10, 10), (90, 30), (50, 20)], True), ([(10, 10), (90, 30), (50, 70)], False), ([], False)]
)
def test_beside_a_figure_other_words_count_where_all_agrees_on_the_word(
    monkeypatch: pytest.MonkeyPatch, at: list[tuple[float, float]], said: bool
) -> None:
    lockup_of = Spelt(("merino",), np.float32([[0, 0], [100, 0], [100, 40], [0, 40]]), alone=False)
    whole = [[0.0, 0.0], [100.0, 0.0], [100.0, 140.0], [0.0, 140.0]]
    assert told(monkeypatch, [line("STRIPES")], seen(whole, at=at), lockup_of) is said


def printed(lines: Sequence[str], size: int) -> Pixels:
    out = PillowImage.new("RGB", (600, 600), (40, 60, 90))
    for number, text in enumerate(lines):
        place = (20, 20 + int(1.3 * size * number))
        ImageDraw.Draw(out).text(place, text, fill=(240, 235, 225), font=ImageFont.load_default(size))
    return np.array(out)


def signal(reference: Pixels, brand: Brand = BRAND) -> LogoSignal:
    catalog = SimpleNamespace(
        brands={brand.brand: brand}, photos={}, photo=lambda sha: photo(reference, sha), version=str(uuid4())
    )
    return LogoSignal(catalog)  # type: ignore[arg-type]


def found(by: LogoSignal, shown: Pixels) -> list[Finding]:
    [findings] = by.examine([Query(Listing("1"), [photo(shown)])])
    return findings


@reads
def test_a_slogan_in_the_typeface_of_a_mark_is_not_the_mark() -> None:
    drawn = np.full((180, 480, 3), 255, np.uint8)
    picture = PillowImage.fromarray(drawn)
    ImageDraw.Draw(picture).text((30, 30), "MERINO", fill=(0, 0, 0), font=ImageFont.load_default(90))
    drawn = np.array(picture)
    by = signal(drawn)
    [finding] = found(by, printed(["LOVE MORE", "WORRY LESS", "GALLERY", "ORIGINAL", "STREIFEN"], 84))
    assert finding.status is FindingStatus.ABSTAINED
    assert "Nearest marks that were not claimed: Merino." in finding.reason
    [finding] = found(by, printed(["LOVE MORE", "MERINO", "GALLERY", "ORIGINAL", "STREIFEN"], 84))
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
    [finding, *_] = found(signal(drawn, Brand("php", "php", logos=(LogoReference("a" * 64),))), np.array(pack))
    assert ((finding.value or 0.0) >= 0.5) is claimed


@reads
def test_a_mark_under_a_name_that_it_does_not_spell_is_kept() -> None:
    """The catalog calls it otherwise: what its picture spells is its name as well."""
    drawn = np.full((180, 480, 3), 255, np.uint8)
    picture = PillowImage.fromarray(drawn)
    ImageDraw.Draw(picture).text((30, 30), "MERINO", fill=(0, 0, 0), font=ImageFont.load_default(90))
    brand = Brand("qz", "另一个", logos=(LogoReference("a" * 64),))
    [finding, *_] = found(signal(np.array(picture), brand), printed(["LOVE MORE", "MERINO", "GALLERY"], 84))
    assert (finding.brand, finding.status) == ("qz", FindingStatus.OK)


@reads
def test_another_word_beside_the_brands_figure_is_an_alteration_not_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WordMarks, "other_words", lambda *_: True)
    brand = Brand("montroux", "Montroux", logos=(LogoReference("a" * 64),))
    findings = found(signal(lockup("Montroux"), brand), scene(lockup("Belluno"), 260))
    assert [f.signal for f in findings] == ["logo", "logo_tamper"]


@reads
def test_a_photo_that_cannot_be_read_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, shown = mark(), [scene(mark(), 220), scene(mark(), 200)]
    catalog = SimpleNamespace(brands={"merino": BRAND}, photos={}, photo=lambda sha: photo(drawn, sha), version=str(uuid4()))
    photos = [photo(pixels, f"photo-{n}") for n, pixels in enumerate(shown)]

    def torn(self: WordMarks, context: PhotoContext, seen: Seen) -> bool:
        if context.photo_id == "photo-0":
            raise ImageError("a.jpg", "torn")
        return False

    monkeypatch.setattr(WordMarks, "other_words", torn)
    [findings] = LogoSignal(catalog).examine([Query(Listing("1"), photos)])  # type: ignore[arg-type]
    assert [(f.status, f.photo_id) for f in findings if f.signal == "logo"] == [
        (FindingStatus.FAILED, "photo-0"),
        (FindingStatus.OK, "photo-1"),
    ]
