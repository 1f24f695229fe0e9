"""Words in a like typeface are not a brand's mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
from imgmatch.types import Box, Finding, FindingStatus
from imgmatch.vision import ocr
from imgmatch.vision.geometry import Transform
from imgmatch.vision.marks import Sighting, make_reference
from imgmatch.vision.marks.learnt import LearntMatch
from imgmatch.vision.marks.shape import ShapeMatch
from imgmatch.vision.ocr import Reading
from tests.test_lockup import lockup, photo
from tests.test_logo import Pixels, image, mark, scene

BRAND = Brand("merino", "Merino", aliases=("Tops",), logos=(LogoReference("a" * 64),))
reads = pytest.mark.skipif(not ocr.available(), reason="needs the extra: pip install 'imgmatch[ocr]'")


def line(
    text: str,
    right: float = 100,
    *,
    left: float = 0,
    top: float = 0,
    low: float = 40,
    sure: float = 0.95,
    mirrored: bool = False,
) -> Reading:
    """A line over the mark, from its left edge so far."""
    corners = ((left, top), (left + right, top), (left + right, top + low), (left, top + low))
    return Reading(text, sure, (sure,) * len(text), corners, mirrored)


def turned(degrees: float) -> Reading:
    """A line over the mark, turned around its middle."""
    along, down = (np.array([np.cos(a), np.sin(a)]) for a in np.radians([degrees, degrees + 90]))
    corners = [np.array([50.0, 20.0]) + x * along + y * down for x, y in ((-50, -20), (50, -20), (50, 20), (-50, 20))]
    return Reading("STRIPES", 0.95, (0.95,) * 7, tuple((float(x), float(y)) for x, y in corners))


def stacked(*texts: str, low: float) -> list[Reading]:
    return [line(text, top=low * number, low=low) for number, text in enumerate(texts)]


PLACE = [[0.0, 0.0], [100.0, 0.0], [100.0, 40.0], [0.0, 40.0]]
REFERENCE = make_reference("merino", "a" * 64, "figure", image(mark()), None)
WORD = Spelt(("lana",), np.float32([[0, 0], [300, 0], [300, 60], [0, 60]]), alone=True)  # the brand is called Merino
LAID = np.diag([1 / 3, 2 / 3, 1.0])  # its picture over the mark's place


def seen(
    *,
    at: Sequence[tuple[float, float]] = ((50, 20),),
    repeats: bool = False,
    mirrored: bool = False,
) -> Seen:
    """A mark, and which points of the photo agree on it."""
    points, none = np.float32(at).reshape(-1, 2), np.zeros((0, 3), np.float32)
    sighting = Sighting(REFERENCE, LAID, 5.0, len(points), mirrored, repeats, points, none) if at else None
    return Seen("merino", 5.0, REFERENCE, PLACE, sighting=sighting, shape=None, learnt=None)


def laid(transform: Transform) -> Seen:
    shown = seen()
    assert shown.sighting is not None
    return replace(shown, sighting=replace(shown.sighting, transform=transform))


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
        ([line("STRIPES", 30), line("STRI", 28, left=10)], False),  # most of it twice
        ([line("STRIPES", 60), line("STRIPE", 45)], True),  # of what is read twice, the longer
        ([line("STRIPES", sure=0.85)], False),
        ([line("STRIPES", mirrored=True)], False),
        ([line("STRIPES", low=130)], False),  # far higher: a watermark
        ([line("STRIPES", low=110)], True),
        (stacked("STRI", "PES", "RIPE", low=13), False),  # far lower
        (stacked("STRI", "PES", "RIPE", low=14), True),
        ([turned(15)], True),
        ([turned(20)], False),  # a watermark across it
        ([turned(180)], False),  # the mark itself, read upside down
        ([line("OK")], False),
        ([line("APOLLO 11")], True),
        ([line("100% A")], False),
        ([line("@lux_bags88")], False),
        ([line("luxbags.ru")], False),
        ([line("条纹衫")], False),
        ([], False),
    ],
)
def test_other_words_on_half_of_its_place(monkeypatch: pytest.MonkeyPatch, readings: list[Reading], said: bool) -> None:
    assert told(monkeypatch, readings, seen()) is said
    assert not told(monkeypatch, readings, seen(repeats=True))
    assert not told(monkeypatch, readings, seen(), None)  # a figure
    assert not told(monkeypatch, readings, laid(np.diag([1 / 3, 0.0, 1.0])))  # on a line
    monkeypatch.setattr(lettering.ocr, "available", lambda: False)
    assert not WordMarks(SimpleNamespace(), 736).other_words(photo(mark()), seen())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Merino", False),  # what the catalog calls it
        ("LANA", False),  # what its own picture spells
        ("Merlno wool", False),
        ("Nerin0 wool", False),  # a word of the line, nearly
        ("NER IMO", False),  # the line, nearly
        ("MARINE", False),
        ("PERSON", True),
        ("MERK", True),
        ("TOPS", False),  # what the catalog calls it as well
        ("MERI", False),  # a part of it
        ("fromMERINOwool", False),  # in another
    ],
)
def test_where_its_word_is_read_elsewhere_or_nearly_it_is_the_mark(
    monkeypatch: pytest.MonkeyPatch, text: str, said: bool
) -> None:
    assert told(monkeypatch, [line("STRIPES"), line(text, 0)], seen()) is said


@pytest.mark.parametrize(("text", "said"), [("MOTHPROOF", True), ("hp", False), ("by HP", False)])
def test_a_short_word_is_read_as_a_word(monkeypatch: pytest.MonkeyPatch, text: str, said: bool) -> None:
    short = Spelt(("hp",), WORD.corners, alone=True)
    assert told(monkeypatch, [line("STRIPES"), line(text, 0)], seen(), short) is said


@pytest.mark.parametrize(
    ("at", "mirrored", "said"),
    [
        ([(5, 5), (55, 30)], False, True),
        ([(5, 5), (55, 30), (70, 30)], False, False),  # one of them is no print
        ([(5, 5), (55, 30)], True, False),  # the word in a mirror is read as another
    ],
)
def test_what_is_agreed_on_must_lie_on_the_print(
    monkeypatch: pytest.MonkeyPatch, at: list[tuple[float, float]], mirrored: bool, said: bool
) -> None:
    assert told(monkeypatch, [line("STRIPES", 60)], seen(at=at, mirrored=mirrored)) is said


def test_a_mark_that_more_than_features_speaks_for_is_no_print(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, window = ShapeMatch(0, 3.0, Box(0, 0, 9, 9), None), LearntMatch(0, 3.0, Box(0, 0, 9, 9))
    assert told(monkeypatch, [line("STRIPES")], seen())
    assert not told(monkeypatch, [line("STRIPES")], replace(seen(), shape=shape))
    assert not told(monkeypatch, [line("STRIPES")], replace(seen(), learnt=window))
    assert not told(monkeypatch, [line("STRIPES")], replace(seen(), sighting=None, shape=shape))


@pytest.mark.parametrize(
    ("at", "said"), [([(10, 10), (90, 30), (50, 20)], True), ([(10, 10), (90, 30), (50, 70)], False), ([], False)]
)
def test_beside_a_figure_other_words_count_where_all_agrees_on_the_word(
    monkeypatch: pytest.MonkeyPatch, at: list[tuple[float, float]], said: bool
) -> None:
    lockup_of = Spelt(("lana",), WORD.corners, alone=False)
    lines = [line("STRIPES"), line("OF MANY COLOURS", top=50)]
    assert told(monkeypatch, lines, seen(at=at), lockup_of) is said


def test_a_word_alone_is_where_the_word_of_its_picture_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Laid higher than the line, so that the line covers less than half of it, it is none."""
    assert told(monkeypatch, [line("STRIPES")], seen())
    assert not told(monkeypatch, [line("STRIPES")], laid(np.diag([1 / 3, 1.5, 1.0])))


@pytest.mark.parametrize(("text", "said"), [("Belluno", True), ("Bel luno!", True), ("Belluno 2", False), ("Béllu", False)])
def test_a_word_is_of_latin_letters_alone(text: str, said: bool) -> None:
    assert lettering.is_word(line(text)) is said


@pytest.mark.parametrize(
    ("texts", "box", "words", "alone"),
    [
        (["Lana"], (0, 0, 100, 40), ("lana",), True),
        (["Lana"], (0, 0, 100, 50), ("lana",), True),
        (["Lana"], (0, 0, 100, 54), ("lana",), False),  # a quarter of it is more than its word
        (["Lana", "TM"], (0, 0, 100, 40), ("lana",), True),
        (["HP"], (0, 0, 100, 40), ("hp",), True),
        (["V"], (0, 0, 100, 40), None, True),
        (["Lana"], (120, 0, 200, 40), None, True),  # on another part of the photo
    ],
)
def test_what_the_picture_of_a_mark_spells(
    texts: list[str], box: tuple[float, float, float, float], words: tuple[str, ...] | None, alone: bool
) -> None:
    spelt = lettering._spelt([line(text) for text in texts], box)
    assert (None if spelt is None else (spelt.words, spelt.alone)) == (None if words is None else (words, alone))


def test_a_picture_of_a_mark_that_cannot_be_read_spells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering.ocr, "available", lambda: True)
    asked: list[str] = []

    def gone(sha: str) -> PhotoContext:
        asked.append(sha)
        raise ImageError("a.png", "torn")

    words = WordMarks(SimpleNamespace(brands={"merino": BRAND}, photo=gone), 736)  # type: ignore[arg-type]
    assert not any(words.other_words(photo(mark()), seen()) for _ in range(2))
    assert asked == [REFERENCE.photo]


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
