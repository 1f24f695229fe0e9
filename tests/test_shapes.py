"""Pictures of extreme shape, and rows that need more memory or stack than there is: bounded work, and one row pays."""

from __future__ import annotations

import io
import json
import struct
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageCms
import PIL.ImageDraw
import PIL.ImageFont
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgmatch import Catalog, Config, Listing, Matcher
from imgmatch.config import ImageConfig
from imgmatch.encoders.preprocess import Preprocess
from imgmatch.errors import ImageError, InputError
from imgmatch.images import decoding, load_image
from imgmatch.loading.photo import PhotoContext
from imgmatch.results import read_records
from imgmatch.scan import run_scan
from imgmatch.types import FindingStatus
from imgmatch.vision import lines, ocr
from imgmatch.vision.geometry.features import patches
from tests.fakes import GridEncoder, picture, write_tree

STRIPS = ((8, 4000), (4000, 8), (100, 20_000), (8, 65_535), (65_535, 8), (8, 8))
CROP = Preprocess(32, "crop", "bicubic", (0.5,) * 3, (0.5,) * 3, 36)


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))
    layout = {f"brand{i}/item/{v}.png": picture(10 * i + v) for i in range(3) for v in range(2)}
    return Catalog.build(write_tree(tmp_path / "src", layout), tmp_path / "cat", encoder=GridEncoder())


# Work is bounded by pixels


def whole_then_cut(pixels: np.ndarray) -> np.ndarray:
    """What fitting means: the whole photo resized to the short side, then the middle."""
    height, width = pixels.shape[:2]
    size = (36 if width <= height else int(36 * width / height), 36 if height <= width else int(36 * height / width))
    resized = np.asarray(PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BICUBIC))
    left, top = round((size[0] - 32) / 2), round((size[1] - 32) / 2)
    return resized[top : top + 32, left : left + 32]


@pytest.mark.parametrize("size", [(50, 50), (50, 200), (200, 50), (61, 77), (20, 30)])
def test_photos_are_fitted_as_ever(size: tuple[int, int]) -> None:
    np.testing.assert_array_equal(CROP(noise(*size)), whole_then_cut(noise(*size)))


@pytest.mark.parametrize("size", [(50, 401), (3000, 40), (8, 4000)])
def test_the_middle_of_a_strip_is_what_it_was(size: tuple[int, int]) -> None:
    smooth = np.asarray(PIL.Image.fromarray(noise(9, 9)).resize(size, PIL.Image.Resampling.BICUBIC))
    difference = CROP(smooth).astype(int) - whole_then_cut(smooth).astype(int)
    assert np.abs(difference).max() <= 3  # of 255; sizes are rounded to whole pixels


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", STRIPS)
def test_what_is_resized_is_bounded(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], fit: str) -> None:
    made: list[int] = []
    real = PIL.Image.Image.resize

    def resize(self: Any, size: tuple[int, int], *more: Any, **named: Any) -> Any:
        made.append(size[0] * size[1])
        return real(self, size, *more, **named)

    monkeypatch.setattr(PIL.Image.Image, "resize", resize)
    assert Preprocess(32, fit, "bilinear", (0.5,) * 3, (0.5,) * 3)(noise(*size)).shape == (32, 32, 3)
    assert max(made) <= 4.2 * 32 * 32


def test_a_colour_profile_of_endless_steps_is_passed_over() -> None:
    """Each step of such a chain is taken for each colour: 20,000 of them in 160 kB took seven seconds."""
    step = b"matf" + struct.pack(">IHH12f", 0, 3, 3, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    chain = b"mpet" + struct.pack(">IHHI", 0, 3, 3, 20_000) + struct.pack(">II", 160_016, len(step)) * 20_000 + step
    plain = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes().replace(b"s\0R\0G\0B", b"x\0R\0G\0B")
    tags = struct.unpack(">I", plain[128:132])[0]
    moved = [(t, at + 12, size) for t, at, size in struct.iter_unpack(">4sII", plain[132 : 132 + 12 * tags])]
    table = b"".join(struct.pack(">4sII", *tag) for tag in [*moved, (b"D2B0", len(plain) + 12, len(chain))])
    profile = plain[4:128] + struct.pack(">I", tags + 1) + table + plain[132 + 12 * tags :] + chain
    out = io.BytesIO()
    pixels = noise(40, 40)
    profile = struct.pack(">I", len(profile) + 4) + profile
    PIL.Image.fromarray(pixels).save(out, "PNG", icc_profile=profile)
    start = time.process_time()
    assert (load_image(out.getvalue()).pixels == pixels).all()
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_photo_of_broken_tags_warns_of_none_of_them(kind: str) -> None:
    """Pillow warns of each, megabytes on stderr for one photo, and Python remembers each text as long as it runs."""
    tags = b"".join(struct.pack("<HHII", 1 + i, 7, 50_000, 8) for i in range(1000))
    exif = b"II*\0" + struct.pack("<IH", 8, 1000) + tags + b"\0\0\0\0"
    out = io.BytesIO()
    PIL.Image.fromarray(noise(40, 40)).save(out, kind, exif=b"Exif\0\0" + exif)
    decoding._without_advice.cache_clear()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert load_image(out.getvalue()).pixels.shape == (40, 40, 3)
    decoding._without_advice.cache_clear()
    assert not seen


def test_a_side_has_its_limit() -> None:
    with pytest.raises(ImageError, match=r"images\.max_side") as caught:
        load_image(noise(8, 65_536))
    assert caught.value.reason == "too_many_pixels"
    assert load_image(noise(8, 100), config=ImageConfig(max_side=100)).height == 100


@pytest.mark.parametrize("size", STRIPS)
def test_no_signal_fails_on_a_strip(catalog: Catalog, size: tuple[int, int]) -> None:
    matcher = Matcher(catalog, Config.from_dict({"signals": ["design", "copy", "listing", "mismatch"]}))
    photos = {"a": png(noise(*size)), "b": png(np.full((size[1], size[0], 3), 200, np.uint8))}
    record = matcher.examine(Listing("1", ("a", "b"), promo_photos=("a",), title="bag"), photos=photos)
    assert [p.status for p in record.photos] == ["ok"] * 3
    assert [f.reason for f in record.verdict.findings if f.status is FindingStatus.FAILED] == []


def test_a_line_has_no_details() -> None:
    for width, height in ((1, 600), (600, 1), (30, 600), (8, 8)):
        plain, mirrored = patches(context(noise(width, height)), max_side=512, count=10, mirror=True)
        assert plain.descriptors.shape == mirrored.descriptors.shape == (0, 32)


# Text in strips


def context(pixels: np.ndarray) -> PhotoContext:
    return PhotoContext("photo-1", load_image(pixels, config=ImageConfig(min_side=1)))


@given(st.integers(8, 3000), st.integers(8, 65_535))
def test_pieces_cover_a_strip_once(a: int, b: int) -> None:
    short, long = sorted((a, b))
    pieces = ocr._pieces(short, long)
    assert len(pieces) <= ocr.PIECES + 1
    assert (pieces[0][0], pieces[-1][1]) == (0, long)
    assert pieces[0][2][0] == -np.inf
    assert pieces[-1][2][1] == np.inf
    for (start, stop, own), (after, _, following) in pairwise(pieces):
        assert own[1] == following[0]  # every line is in one piece alone
        assert start <= after <= own[1] <= stop
    if long <= ocr.STRIP * short:
        assert pieces == [(0, long, (-np.inf, np.inf))]


def written(size: tuple[int, int], lines: dict[int, str]) -> np.ndarray:
    page = PIL.Image.new("RGB", size, "white")
    for at, text in lines.items():
        PIL.ImageDraw.Draw(page).text((40, at), text, fill="black", font=PIL.ImageFont.load_default(30))
    return np.asarray(page)


def test_text_in_a_strip_is_read_as_in_its_pieces() -> None:
    pytest.importorskip("rapidocr", reason="extra ocr")
    # The second line lies on the border of two pieces.
    border = ocr._pieces(600, 7200)[1][2][1]
    lines = {300: "AURELLO", round(border) - 15: "MIRROR QUALITY", 7000: "VANTELLI"}
    photo = context(written((600, 7200), lines))
    readings = ocr.read(photo)
    assert [r.text for r in readings] == list(lines.values())
    for reading, at in zip(readings, lines, strict=True):
        assert abs(reading.polygon[0][1] - at) < 20  # in pixels of the strip
    assert ocr.passed_over(photo) == ()
    endless = context(np.full((20_000, 100, 3), 255, np.uint8))
    assert ocr.read(endless) == ()
    assert "too long" in ocr.passed_over(endless)[0]


@pytest.mark.parametrize(
    ("size", "letters", "word"),
    [((512, 100), 96, "VANTELLI"), ((736, 90), 84, "MONTROUXETTE"), ((300, 60), 56, "AURELLO")],
)
def test_a_word_that_fills_a_banner_is_read_whole(size: tuple[int, int], letters: int, word: str) -> None:
    pytest.importorskip("rapidocr", reason="extra ocr")
    page = PIL.Image.new("RGB", size, "white")
    middle, font = (size[0] / 2, size[1] / 2), PIL.ImageFont.load_default(letters)
    PIL.ImageDraw.Draw(page).text(middle, word, fill="black", font=font, anchor="mm")
    assert font.getlength(word) < 0.98 * size[0]
    assert [r.text for r in ocr.read(context(np.asarray(page)))] == [word]


def test_a_page_of_print_without_end_is_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    quads = [np.array([[0, y], [100, y], [100, y + 10 + y % 2], [0, y + 10 + y % 2]], np.float32) for y in range(500)]
    spots = [lines.Spot(quad, 1.0) for quad in quads]
    monkeypatch.setattr(
        ocr, "find_lines", lambda _, side, inked=None: ([] if side == ocr.GLANCE else spots, np.ones((320, 320), np.float32))
    )
    monkeypatch.setattr(ocr, "_readings", lambda _, spots, scale: read.append(len(spots)) or [])
    photo = context(np.full((600, 600, 3), 255, np.uint8))
    assert ocr.read(photo) == ()
    letters = 250 * 2 * 100 / 11
    assert read == [250 - int(max(0, letters - ocr.LETTERS) // (200 / 11) + 1), 0]
    assert ocr.passed_over(photo) == (f"only the {read[0]} tallest of its 500 lines were read",)


def test_a_closer_look_goes_where_there_may_be_ink() -> None:
    heat = np.zeros((320, 320), np.float32)
    assert lines._windows(heat, 736, 736) == []
    heat[100, 100] = lines.FAINT / 2
    assert lines._windows(heat, 736, 736) == []
    heat[100, 100] = heat[300, 310] = 1.0
    first, last = lines._windows(heat, 736, 736)
    per = 736 / 320
    for (x0, y0, x1, y1), (x, y) in ((first, (100, 100)), (last, (310, 300))):
        assert all(v % 32 == 0 for v in (x0, y0, x1, y1))
        assert x0 <= (x - lines.AROUND) * per
        assert y1 >= min((y + lines.AROUND) * per, 736)
    heat[::40, ::40] = 1.0
    assert lines._windows(heat, 736, 736) == [(0, 0, 736, 736)]


# One row pays


class Greedy(GridEncoder):
    """An encoder that runs out of memory on photos that are wider than high."""

    def prepare(self, image):
        if image.width > image.height:
            raise MemoryError
        return super().prepare(image)


def test_a_photo_that_takes_all_memory_fails_its_row(catalog: Catalog, tmp_path: Path) -> None:
    greedy = Catalog.load(catalog.path, encoder=Greedy())
    listings = write_tree(tmp_path / "l", {"1.png": picture(0), "2.png": picture(1, (90, 80)), "3.png": picture(2)})
    run_scan(listings, greedy, tmp_path / "out", config=Config.from_dict({"signals": ["design"]}))
    records = list(read_records(tmp_path / "out/records.jsonl"))
    assert [r.status for r in records] == ["ok", "failed", "ok"]
    assert "not enough memory" in records[1].error
    source = write_tree(tmp_path / "more", {"b/i/1.png": picture(70), "b/i/2.png": picture(71, (90, 80))})
    built = Catalog.build(source, tmp_path / "new", encoder=Greedy())
    assert [issue.problem for issue in built.issues] == ["not enough memory to read it"]


@pytest.mark.parametrize("depth", [99, 100, 500, 950, 5000, 100_000])
def test_a_row_that_is_nested_too_deeply_fails_alone(catalog: Catalog, tmp_path: Path, depth: int) -> None:
    write_tree(tmp_path / "l", {"a.png": picture(0)})
    table = tmp_path / "l/t.jsonl"
    row = '{"listing_id": "%s", "photos": ["a.png"], "x": %s}\n'
    table.write_text(row % ("1", "[" * depth + "]" * depth) + row % ("2", "[]"))
    run_scan(table, catalog, tmp_path / "out", config=Config.from_dict({"signals": ["design"]}))
    records = list(read_records(tmp_path / "out/records.jsonl"))
    assert [r.status for r in records] == ["ok" if depth < 101 else "failed", "ok"]


def test_nesting_is_measured_without_recursing_into_it() -> None:
    deep: Any = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(InputError, match="nested more than 100 deep"):
        Listing.from_dict({"listing_id": "1", "x": {"y": deep}})
    while deep:  # else its destructor recurses
        deep = deep[0]
    assert json.dumps(Listing.from_dict({"listing_id": "1", "x": [[1]]}).to_dict())


def test_a_librarys_assertion_is_for_the_log(catalog: Catalog, caplog: pytest.LogCaptureFixture) -> None:
    matcher = Matcher(catalog, Config.from_dict({"signals": ["design"]}))

    def examine(queries: Any) -> Any:
        raise RuntimeError("OpenCV /io/opencv/resize.cpp:4220: (-215:Assertion failed)")

    matcher.signals[0].examine = examine
    record = matcher.examine(Listing("1", ("a",)), photos={"a": picture(0)})
    told = json.dumps(record.to_dict())
    assert "Assertion" not in told
    assert "unexpected RuntimeError, see the log" in told
    assert "Assertion failed" in caplog.text
