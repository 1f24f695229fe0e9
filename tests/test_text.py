"""The text signal, and the reading it stands on."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from imgmatch.catalog.items import Brand
from imgmatch.encoders.runtime import session
from imgmatch.errors import ImageError
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.market.wordmarks import WordmarkMatcher
from imgmatch.records import Listing
from imgmatch.signals.text.misspelt import another_word
from imgmatch.signals.text.settings import TextConfig
from imgmatch.signals.text.signal import EVERYDAY, TextSignal
from imgmatch.types import Candidate, Finding, FindingStatus, FloatArray, Image
from imgmatch.vision import lines, ocr
from imgmatch.vision.ctc import ctc_log_likelihood
from imgmatch.vision.ocr import Reading

BRANDS = {
    b.brand: b
    for b in (
        Brand("arvelle", "Arvelle", ("ARVELLE",), ("阿维乐",)),
        Brand("montroux", "Montroux", ("MONTROUX",)),
        Brand("coach", "Coach", ("COACH",)),
        Brand("guess", "Guess"),  # as the next one
        Brand("feldmont & sons", "Feldmont & Sons"),  # of a folder: nobody listed how it is written
    )
}
needs_ocr = pytest.mark.skipif(not ocr.available(), reason="needs the extra: pip install 'imgmatch[ocr]'")


def drawn(text: str, size: int = 64, *, mirrored: bool = False, photo_id: str = "photo-1") -> PhotoContext:
    canvas = PillowImage.new("RGB", (640, 400), (235, 228, 214))
    ImageDraw.Draw(canvas).text((320, 200), text, fill=(40, 30, 30), font=ImageFont.load_default(size), anchor="mm")
    pixels = np.array(canvas)
    if mirrored:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    return PhotoContext(photo_id, Image(pixels, "0" * 64, "<array>", 640, 400, "RAW"))


def signal() -> TextSignal:
    return TextSignal(SimpleNamespace(brands=BRANDS), TextConfig())


def examine(photos: list[PhotoContext] | None = None, likely: str = "", **listing: str) -> dict[str, list[Finding]]:
    candidates = [Candidate("item", likely, 0.9, "0" * 64, "photo-1", 0.9)] if likely else []
    [findings] = signal().examine([Query(Listing("1", **listing), photos or [], candidates)])
    return {
        name: list(group)
        for name, group in itertools.groupby(sorted(findings, key=lambda f: f.signal), key=lambda f: f.signal)
    }


# Golden values


def test_ctc_by_hand() -> None:
    # Two steps, classes (blank, a): "a" is aa, a- or -a.
    logs = np.log([[0.6, 0.4], [0.7, 0.3]])
    assert ctc_log_likelihood(logs, [1]) == pytest.approx(math.log(0.4 * 0.3 + 0.4 * 0.7 + 0.6 * 0.3))
    assert ctc_log_likelihood(logs, []) == pytest.approx(math.log(0.6 * 0.7))
    assert ctc_log_likelihood(logs, [1, 1]) == -math.inf  # a repeat needs a blank between


def test_ctc_probabilities_of_all_strings_sum_to_one() -> None:
    logs = np.log(np.random.default_rng(0).dirichlet(np.ones(3), size=4))
    strings = [s for n in range(5) for s in itertools.product((1, 2), repeat=n)]
    assert sum(math.exp(ctc_log_likelihood(logs, s)) for s in strings) == pytest.approx(1.0)


def test_room_of_one_letter_by_hand() -> None:
    line = Reading("GUCC", 0.99, (0.99,) * 4, ((100, 50), (140, 50), (140, 70), (100, 70)))
    assert ocr.with_room(line).polygon == ((90, 50), (150, 50), (150, 70), (90, 70))
    assert ocr.with_room(line).text == "GUCC"


# The listing's own words


def test_title_claims_a_brand() -> None:
    [claim] = examine(title="ARVELLE tote, used once")["claim"]
    assert (claim.brand, claim.status, claim.evidence["readings"][0]["reading"]) == ("arvelle", FindingStatus.OK, "ARVELLE")
    assert claim.value is not None
    assert claim.value > 0.9


def test_an_ordinary_word_needs_a_second_sign() -> None:
    weak, backed, column = (
        examine(title="coach bag")["claim"][0].value,
        examine(title="coach bag", likely="coach")["claim"][0].value,
        examine(title="bag", brand_claim="Coach")["claim"][0].value,
    )
    assert weak == EVERYDAY
    assert backed is not None
    assert backed > 0.9
    assert column == 1.0


def test_replica_wording_and_disguise() -> None:
    found = examine(title="A r v e l l e tote", description="mirror quality, 1:1")["wording"]
    assert {(f.brand, (f.value or 0) >= 0.8) for f in found} == {("arvelle", True), (None, True)}
    [weak] = examine(title="inspired by the runway")["wording"]
    assert weak.value is not None
    assert 0.5 <= weak.value < 0.8


def test_says_what_it_cannot_tell() -> None:
    found = examine()
    assert {name: [f.status for f in group] for name, group in found.items()} == {
        "text": [FindingStatus.ABSTAINED],
        "claim": [FindingStatus.ABSTAINED],
        "wording": [FindingStatus.ABSTAINED],
    }
    assert all(f.reason for group in found.values() for f in group)


def test_without_the_extra_photos_abstain_and_words_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "available", lambda: False)
    found = examine([drawn("ARVELLE")], title="Arvelle bag")
    assert "imgmatch[ocr]" in found["text"][0].reason
    assert found["claim"][0].brand == "arvelle"


def test_a_photo_that_cannot_be_decoded_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "available", lambda: True)

    def broken() -> Image:
        raise ImageError("truncated", "the file ends early", source="a.jpg")

    good = drawn("x", photo_id="photo-2")
    good.remember(
        (Reading("ARVELLE", 0.99, (0.99,) * 7, ((0, 0), (90, 0), (90, 20), (0, 20))),),
        ocr._read,
        TextConfig().effort.reading,
    )
    findings = examine([PhotoContext("photo-1", broken, sha256="0" * 64), good])["text"]
    assert [(f.photo_id, f.status) for f in findings] == [("photo-1", FindingStatus.FAILED), ("photo-2", FindingStatus.OK)]


def test_replica_wording_printed_in_a_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "available", lambda: True)
    photo = drawn("x")
    box = ((0, 0), (90, 0), (90, 20), (0, 20))
    lines = (Reading("MIRROR QUALITY 1:1", 0.97, (0.97,), box), Reading("inspired by", 0.97, (0.97,), box))
    photo.remember(lines, ocr._read, TextConfig().effort.reading)
    printed = [f for f in examine([photo])["wording"] if f.photo_id == "photo-1"]
    assert len(printed) == 1
    assert "mirror quality" in printed[0].reason
    assert "inspired" not in printed[0].reason


def test_a_claim_is_aligned_with_the_spelling_it_has() -> None:
    [claim] = examine(title="Arvelle tote")["claim"]
    assert all(a == b for a, b in claim.evidence["readings"][0]["alignment"])


# Real reading


@needs_ocr
def test_a_mark_is_held_against_what_was_read_unsurely() -> None:
    photo, stranger = drawn("MONTROUX"), drawn("QUEBRACHO")
    for p in (photo, stranger):
        [line] = ocr.read(p)
        p.remember((replace(line, text="MCNTRCVX", confidence=0.6),), ocr._read, TextConfig().effort.reading)
    [text] = examine([photo])["text"]
    assert (text.brand, text.status) == ("montroux", FindingStatus.OK)
    assert "barely readable" in text.reason
    assert examine([stranger])["text"][0].status is FindingStatus.ABSTAINED


@pytest.mark.parametrize("values", [(0.47, 0.85), (0.85, 0.47)])
def test_the_surest_of_the_unsure_lines_counts(values: tuple[float, float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "available", lambda: True)
    monkeypatch.setattr(ocr, "read", lambda photo, effort: ())
    monkeypatch.setattr(ocr, "passed_over", lambda photo, effort: ())
    lines = [Finding("text", FindingStatus.OK, value, "r", photo_id="photo-1", brand="arvelle") for value in values]
    monkeypatch.setattr(TextSignal, "_rescored", lambda self, photo, readings: iter(lines))
    [text] = examine([drawn("x")])["text"]
    assert text.value == 0.85


@needs_ocr
@pytest.mark.parametrize("mirrored", [False, True])
def test_reads_a_drawn_mark(mirrored: bool) -> None:
    photo = drawn("MONTROUX", mirrored=mirrored)
    found = examine([photo])
    [text] = found["text"]
    assert (text.brand, text.photo_id) == ("montroux", "photo-1")
    assert text.value is not None
    assert text.value > 0.8
    [reading] = text.evidence["readings"]
    xs, ys = zip(*reading["polygon"], strict=True)
    assert 0 <= min(xs) < 320 < max(xs) <= 640
    assert 0 <= min(ys) < 200 < max(ys) <= 400
    assert "logo_tamper" not in found


@needs_ocr
def test_a_misspelt_mark_is_shown_letter_by_letter() -> None:
    [tamper] = examine([drawn("MONTRUOX")])["logo_tamper"]
    assert tamper.brand == "montroux"
    assert tamper.value is not None
    assert tamper.value >= 0.8
    pairs = tamper.evidence["readings"][0]["alignment"]
    assert "".join(a for a, _ in pairs) == "MONTRUOX"
    assert "".join(b for _, b in pairs) == "MONTROUX"


@needs_ocr
@pytest.mark.parametrize(
    ("shown", "called"),
    [
        ("FELDMONT & SONS", False),
        ("FeldMont & Sons", False),
        ("feldmont and sons", False),
        ("Feldmont & Sons's", False),
        ("FELDNOMT & SONS", True),
        ("FELDMUNT & SONS", True),
    ],
)
def test_a_name_that_nobody_listed_says_its_letters_but_not_their_case(shown: str, called: bool) -> None:
    found = examine([drawn(shown, size=48)])
    assert [f.brand for f in found.get("logo_tamper", [])] == ["feldmont & sons"] * called
    assert [f.brand for f in found["text"]] == [None if called else "feldmont & sons"]


@pytest.mark.parametrize(
    ("marks", "lines", "nats", "said"),
    [
        ("Sprite", ["PRIME"], [-12.0], True),
        ("Sprite", ["PRIME"], [-9.0], False),
        ("Sprite", ["Spite"], [-40.0], False),  # one letter of six
        ("MONTROUX ARVELLE", ["MOTROUX", "ARVLLE"], [-40.0, -40.0], False),  # two of fifteen
        ("APPLEMUSIC", ["APPLE", "JUICE"], [-0.1, -12.0], True),  # of two lines one
        ("APPLEMUSIC", ["APPLE", "JUICE"], [-0.1, -9.0], False),
        ("Compaq", ["THE COMPANY"], [-12.0], True),
        ("Compaq", ["THE COMPANY"], [-9.0], False),
        ("Feldmont & Sons", ["feldmont and sons"], [-40.0], False),  # as it may be written
        ("JACQUEMUS", ["JAGOUEMUS"], [-12.0], True),  # two of nine
        ("MONTROUXAB", ["MONTRAXAB"], [-40.0], False),  # two of ten
        ("Sprite", ["Sprit"], [-40.0], False),  # cut off
        ("Sprite", ["(PRIME)"], [-12.0], True),
        ("Sprite", ["PRIME"], [-math.inf], False),  # letters that the reader does not know
    ],
)
def test_a_word_far_from_a_mark_is_the_mark_only_where_it_may_be_misread(
    monkeypatch: pytest.MonkeyPatch, marks: str, lines: list[str], nats: list[float], said: bool
) -> None:
    brand = Brand("one", marks)
    readings = [
        Reading(t, 0.99, (0.99,) * len(t), ((9, y), (150, y), (150, y + 20), (9, y + 20)))
        for y, t in zip((0, 25), lines, strict=False)
    ]
    asked: list[list[str]] = []

    def scored(photo: PhotoContext, part: Reading, strings: list[str]) -> FloatArray:
        asked.append(strings)
        scores = np.array([[0.0, *[nats[lines.index(part.text)]] * (len(strings) - 1)]] * 2)
        scores[0, 1:] -= 50  # another re-reading says less
        return np.asarray(scores, np.float32)

    monkeypatch.setattr(ocr, "log_likelihoods", scored)
    [match, *_] = WordmarkMatcher({"one": brand}).match(readings)
    assert match.kind == ("partial" if lines == ["Sprit"] else "near")
    assert another_word(drawn(""), match, brand) is said
    assert all(strings[0] in lines for strings in asked)
    if len(lines) == 2 and asked:
        assert [strings[1].lower() for strings in asked] == ["apple", "music"]
    if lines == ["THE COMPANY"]:
        assert all(text.startswith("THE ") for text in asked[0])


@needs_ocr
@pytest.mark.parametrize(("shown", "claimed"), [("PRIME", False), ("Sprite", True), ("Spite", True)])
def test_a_word_that_is_surely_read_is_not_a_mark_far_from_it(shown: str, claimed: bool) -> None:
    catalog = SimpleNamespace(brands={"sprite": Brand("sprite", "Sprite")})
    [findings] = TextSignal(catalog).examine([Query(Listing("1"), [drawn(shown, 30)])])
    [(value, reason)] = [(f.value or 0.0, f.reason) for f in findings if f.brand == "sprite"]
    assert (value >= 0.5) is claimed
    assert ("it may be another word" in reason) is not claimed


@needs_ocr
@pytest.mark.parametrize(("shown", "called"), [("ArVelle", False), ("MontRoux", False), ("MontRuox", True)])
def test_a_mark_listed_in_capitals_may_be_written_in_any_case(shown: str, called: bool) -> None:
    found = examine([drawn(shown)])
    assert len(found.get("logo_tamper", [])) == called
    assert (found["text"][0].brand is None) == called


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        (["COACH"], 0.99),
        (["COACH", "coach of the year"], EVERYDAY),
        (["Coach"], None),
        (["GUESS"], 0.99),
        (["Guess"], 0.99),
        (["guess"], None),
        (["GUESS", "who?"], EVERYDAY),
        (["GUESS", "Y"], 0.99),  # a lone sign is no word
    ],
)
def test_an_ordinary_word_that_stands_alone_as_listed_or_in_capitals_is_a_claim(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], value: float | None
) -> None:
    monkeypatch.setattr(ocr, "available", lambda: True)
    photo = drawn("x")
    read = [
        Reading(t, 0.99, (0.99,) * len(t), ((280, y), (370, y), (370, y + 20), (280, y + 20)))
        for y, t in zip((180, 204), lines, strict=False)
    ]
    photo.remember(tuple(read), ocr._read, TextConfig().effort.reading)
    [claim] = examine([photo])["text"]
    assert claim.brand == (None if value is None else lines[0].lower())
    assert claim.value == (None if value is None else pytest.approx(value, abs=0.02))


def test_a_word_that_was_read_twice_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "available", lambda: True)
    photo = drawn("x")
    read = [
        Reading(t, 0.99, (0.99,) * len(t), ((280, y), (370, y), (370, y + height), (280, y + height)))
        for t, y, height in (("COACH", 180, 20), ("COAGN", 170, 40))
    ]
    photo.remember(tuple(read), ocr._read, TextConfig().effort.reading)
    [claim] = examine([photo])["text"]
    assert (claim.brand, claim.value) == ("coach", pytest.approx(0.99, abs=0.02))


@pytest.mark.parametrize(
    ("x", "y", "height", "likely", "value"),
    [
        (540, 370, 18, "", EVERYDAY),  # a book in the corner
        (540, 370, 18, "montroux", 0.99),
        (500, 340, 50, "", 0.99),  # large
        (300, 370, 18, "", 0.99),  # a caption
        (300, 190, 18, "", 0.99),
    ],
)
def test_a_small_name_in_a_corner_may_be_of_a_prop(
    monkeypatch: pytest.MonkeyPatch, x: float, y: float, height: float, likely: str, value: float
) -> None:
    monkeypatch.setattr(ocr, "available", lambda: True)
    photo = drawn("x")
    box = ((x, y), (x + 90, y), (x + 90, y + height), (x, y + height))
    photo.remember((Reading("MONTROUX", 0.99, (0.99,) * 8, box),), ocr._read, TextConfig().effort.reading)
    [text] = examine([photo], likely)["text"]
    assert text.value == pytest.approx(value, abs=0.02)
    assert ("in a corner" in text.reason) is (value == EVERYDAY)


@needs_ocr
@pytest.mark.parametrize(("shown", "covered", "told"), [("MONTROU", False, True), ("MONTROUX", True, False)])
def test_a_dropped_last_letter_is_distinguished_from_a_covered_one(shown: str, covered: bool, told: bool) -> None:
    photo = drawn(shown)
    if covered:
        [line] = ocr.read(photo)
        pixels = photo.image.pixels.copy()
        pixels[:, int(line.polygon[1][0] - 1.2 * (line.polygon[1][0] - line.polygon[0][0]) / 8) :] = (40, 60, 90)
        photo = PhotoContext("photo-1", Image(pixels, "0" * 64, "<array>", 640, 400, "RAW"))
    assert ("logo_tamper" in examine([photo])) is told


@needs_ocr
@pytest.mark.parametrize(
    ("shown", "covered", "told"),
    [("OMNTROUX", 0.0, True), ("KONTROUX", 0.0, True), ("DANTROUX", 0.0, False), ("MONTROUX", 0.5, False)],
)
def test_a_differing_end_is_distinguished_from_a_covered_letter(shown: str, covered: float, told: bool) -> None:
    photo = drawn(shown)
    [line] = ocr.read(photo)
    left, right = line.polygon[0][0], line.polygon[1][0]
    # The word fills its picture: what lies beyond its ends is not seen.
    first = max(round(left + covered * (right - left) / len(shown)) - 4, 0)
    pixels = photo.image.pixels[:, first : round(right) + 4].copy()
    height, width = pixels.shape[:2]
    photo = PhotoContext("photo-1", Image(pixels, "0" * 64, "<array>", width, height, "RAW"))
    assert ("logo_tamper" in examine([photo])) is told


@needs_ocr
def test_alone_and_in_a_batch_are_the_same() -> None:
    queries = [Query(Listing(str(i)), [drawn(t)]) for i, t in enumerate(("ARVELLE", "bread", "MONTRUOX"))]
    again = [Query(Listing(str(i)), [drawn(t)]) for i, t in enumerate(("ARVELLE", "bread", "MONTRUOX"))]
    assert signal().examine(queries) == [signal().examine([q])[0] for q in again]
    assert signal().propose(queries) == [[], [], []]
    assert signal().examine([]) == []


@pytest.mark.parametrize(("longest", "side"), [(128, 128), (319, 319), (320, 320), (321, 320), (4000, 320)])
def test_nothing_is_enlarged_to_be_glanced_at(longest: int, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sides = []
    monkeypatch.setattr(ocr, "find_lines", lambda pixels, side: sides.append(side))
    for height, width in ((longest, 90), (90, longest)):
        photo = PhotoContext(
            "photo-1", Image(np.zeros((height, width, 3), np.uint8), "0" * 64, "<array>", width, height, "RAW")
        )
        ocr._glanced(photo)
    assert sides == [side, side]


@needs_ocr
def test_the_detector_has_no_subnormal_weights() -> None:
    onnx = pytest.importorskip("onnx")
    tiny = np.finfo(np.float32).tiny
    given = np.tile(np.array([tiny / 2, -tiny / 2, tiny, -0.25], np.float32), 64)
    shape = np.arange(1, 129, dtype=np.int64)  # as floats these bytes are subnormal
    one = np.array([1e-45], np.float32)  # its bytes stand in the shape, too
    named = {"w": given, "whole": shape, "one": one}
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", [name], [f"{name}_out"]) for name in named],
        "reader",
        [],
        [
            onnx.helper.make_tensor_value_info(f"{name}_out", onnx.helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for name, x in named.items()
        ],
        [onnx.numpy_helper.from_array(x, name) for name, x in named.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    weights, whole, single = session(lines._without_subnormals(model.SerializeToString())).run(None, {})
    assert weights.tolist() == [0.0, 0.0, np.float32(tiny), -0.25] * 64
    assert (whole.tolist(), single.tolist()) == (shape.tolist(), one.tolist())
    detector = onnx.load_from_string(lines.engine().text_det.session.session._model_bytes)
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in detector.graph.initializer]
    assert not any(((w != 0) & (np.abs(w) < tiny)).any() for w in weights if w.dtype == np.float32)


@needs_ocr
def test_an_empty_photo_has_no_text() -> None:
    assert ocr.read(drawn("")) == ()


@needs_ocr
@pytest.mark.parametrize(("more", "told"), [(None, True), ("MONTROUX", False), ("MON", False)])
def test_beside_the_right_spelling_or_a_piece_of_its_line_a_word_is_misread(more: str | None, told: bool) -> None:
    photo = drawn("MONTRUOX")
    [line] = ocr.read(photo)
    (x0, y0), (x1, y1) = line.polygon[0], line.polygon[2]
    lines = [line]
    if more == "MONTROUX":
        lines.append(replace(line, text=more, polygon=((x0, y0 - 150), (x1, y0 - 150), (x1, y1 - 150), (x0, y1 - 150))))
    elif more:
        lines.append(replace(line, text=more, polygon=((x0 - 80, y0), (x0 - 9, y0), (x0 - 9, y1), (x0 - 80, y1))))
    photo.remember(tuple(lines), ocr._read, TextConfig().effort.reading)
    assert ("logo_tamper" in examine([photo])) is told
