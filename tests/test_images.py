"""Reading photos nobody vouches for: what comes out is upright sRGB, or an ImageError with a reason."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import signal
import struct
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageCms, ImageOps

from imgmatch.config import ImageConfig
from imgmatch.errors import ImageError
from imgmatch.images import hamming, load_image, pdq_dihedral, perceptual_hash, read_file, resolve_within, thumbnail_jpeg
from imgmatch.images import loading as images
from imgmatch.images.decode_pool import DecodePool
from imgmatch.images.decoding import decode_bytes, format_of
from imgmatch.types import Box
from tests.fuzz_images import run, seeds


def encoded(im: PIL.Image.Image, name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    im.save(buffer, name, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *before_data: bytes) -> bytes:
    """A PNG header of this size with little behind it."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + b"".join(before_data)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


def gif(canvas: tuple[int, int], frame: tuple[int, int], before: bytes = b"") -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0xF0, 0, 0) + b"\0\0\0\xff\xff\xff" + before
    return head + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\0;"


def tiff(pages: int, *, loop: bool = False) -> bytes:
    """Uncompressed 16 x 16 grey pages, chained; the last points back to the first where they loop."""
    out = bytearray(b"II*\0\x08\0\0\0")
    entries = [(256, 3, 16), (257, 3, 16), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 3, 16), (279, 4, 256)]
    size = 2 + 12 * len(entries) + 4
    for page in range(pages):
        following = len(out) + size if page < pages - 1 else 8 * loop
        out += struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", t, k, 1, v) for t, k, v in entries)
        out += struct.pack("<I", following)
    return bytes(out) + bytes(300)


def scan_bomb(side: int, scans: int) -> bytes:
    """A progressive JPEG whose last refinement comes again and again."""
    data = encoded(PIL.Image.new("L", (side, side), 77), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xc4") : -2]
    return data[:-2] + last * scans + b"\xff\xd9"


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def picture(height: int = 40, width: int = 60) -> PIL.Image.Image:
    """Four different quarters, so that every orientation looks different."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2, 0] = 255
    pixels[height // 2 :, width // 2 :, 2] = 255
    pixels[: height // 4] += 50
    return PIL.Image.fromarray(pixels)


def noisy(height: int, width: int) -> PIL.Image.Image:
    """Smooth structure at many scales, as PDQ wants it."""
    rng = np.random.default_rng(7)
    small = PIL.Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    return small.resize((width, height), PIL.Image.Resampling.BICUBIC)


def reason(source: Any, **options: Any) -> str:
    with pytest.raises(ImageError) as caught:
        load_image(source, **options)
    return caught.value.reason


# ---- golden values


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("name", ["PNG", "TIFF", "WEBP"])
def test_orientation_is_applied(name: str, orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation  # 0 and 9 make no sense and count as upright
    data = encoded(picture(), name, exif=exif, **({"lossless": True} if name == "WEBP" else {}))
    wanted = np.asarray(ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data))).convert("RGB"))
    got = load_image(data)
    np.testing.assert_array_equal(got.pixels, wanted)
    assert (got.width, got.height) == ((40, 60) if 5 <= orientation <= 8 else (60, 40))


@pytest.mark.parametrize(
    ("mode", "colour", "wanted"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("LA", (0, 0), (255, 255, 255)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("RGBA", (200, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 51), (255, 204, 204)),  # a fifth of red on white
    ],
)
def test_modes_become_rgb_on_white(mode: str, colour: Any, wanted: tuple[int, int, int]) -> None:
    image = load_image(encoded(PIL.Image.new(mode, (9, 9), colour), "PNG"))
    assert tuple(image.pixels[4, 4]) == wanted


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_16_bits_are_scaled_not_clipped(name: str) -> None:
    values = np.linspace(0, 65535, 256).round().astype(np.uint16)
    image = load_image(encoded(PIL.Image.fromarray(np.tile(values, (16, 1))), name))
    np.testing.assert_array_equal(image.pixels[0, :, 0], np.arange(256))


@pytest.mark.parametrize(("high", "wanted"), [(1.0, 128), (1000.0, 128)])
def test_floats_are_scaled_to_their_range(high: float, wanted: int) -> None:
    values = np.full((16, 16), high / 2, np.float32)
    values[0, 0], values[0, 1] = 0.0, high
    image = load_image(encoded(PIL.Image.fromarray(values), "TIFF"))
    assert (image.pixels[0, 0, 0], image.pixels[0, 1, 0], image.pixels[5, 5, 0]) == (0, 255, wanted)


def test_a_palette_with_transparency_lies_on_white() -> None:
    im = PIL.Image.new("P", (16, 16), 1)
    im.putpalette([255, 0, 0, 0, 255, 0])
    im.paste(0, (0, 0, 8, 16))
    image = load_image(encoded(im, "PNG", transparency=1))
    assert tuple(image.pixels[8, 2]) == (255, 0, 0)
    assert tuple(image.pixels[8, 12]) == (255, 255, 255)


def test_cmyk_as_adobe_stores_it() -> None:
    image = load_image(encoded(PIL.Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=100))
    assert np.abs(image.pixels[8, 8].astype(int) - (0, 255, 255)).max() <= 3


def test_a_profile_is_converted_and_a_broken_one_ignored() -> None:
    # sRGB's primaries with gamma 1.0: linear 0.5 (128) is 188 in sRGB.
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", srgb, 128)[0]
    for k in range(count):
        name, offset, _ = struct.unpack_from(">4sII", srgb, 132 + 12 * k)
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            srgb[offset : offset + 12] = b"curv\0\0\0\0\0\0\0\0"  # no points: the identity
    linear = bytes(srgb).replace(b"s\0R\0G\0B", b"l\0R\0G\0B").replace(b"sRGB", b"lRGB")
    grey = PIL.Image.new("RGB", (16, 16), (128, 128, 128))
    assert abs(int(load_image(encoded(grey, "PNG", icc_profile=linear)).pixels[0, 0, 0]) - 188) <= 1
    for broken in (b"no profile" * 20, linear[:200], linear + bytes(10 * 2**20)):
        assert load_image(encoded(grey, "TIFF", icc_profile=broken)).pixels[0, 0, 0] == 128


def test_the_first_frame_of_an_animation() -> None:
    red, blue = PIL.Image.new("RGB", (16, 16), "red"), PIL.Image.new("RGB", (16, 16), "blue")
    for name in ("GIF", "WEBP", "PNG", "TIFF"):
        image = load_image(encoded(red, name, save_all=True, append_images=[blue]))
        assert np.abs(image.pixels[8, 8].astype(int) - (255, 0, 0)).max() <= 4, name


def test_dihedral_hashes_are_those_of_the_turned_photo() -> None:
    pixels = np.asarray(noisy(256, 256))
    hashes = pdq_dihedral(load_image(pixels))
    assert len(hashes) == 8
    assert hashes[0] == perceptual_hash(load_image(pixels))[0]
    mirrored = perceptual_hash(load_image(np.ascontiguousarray(pixels[:, ::-1])))[0]
    assert min(range(8), key=lambda i: hamming(hashes[i], mirrored)) == 5
    assert hamming(hashes[5], mirrored) <= 10


def test_hamming_counts_bits() -> None:
    assert hamming("00ff", "01f0") == 5
    assert hamming("ab" * 32, "ab" * 32) == 0


def test_thumbnail_crops_in_original_pixels() -> None:
    image = load_image(encoded(picture(800, 1200), "PNG"), target_side=200)
    assert image.scale == 4
    thumb = np.asarray(PIL.Image.open(io.BytesIO(thumbnail_jpeg(image, 50, Box(700, 500, 1100, 700)))))
    assert thumb.shape == (25, 50, 3)
    assert np.abs(thumb.astype(int) - (0, 0, 255)).max() < 20


# ---- one photo, many doors


def test_path_bytes_file_and_reduced_agree(tmp_path: Path) -> None:
    data = encoded(noisy(900, 1200), "JPEG")
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    by_path, by_bytes, by_file = load_image(path), load_image(data), load_image(io.BytesIO(data))
    for image in (by_path, by_bytes, by_file):
        np.testing.assert_array_equal(image.pixels, by_path.pixels)
        assert image.sha256 == hashlib.sha256(data).hexdigest()
        assert not image.pixels.flags.writeable
    assert (by_path.source, by_bytes.source, by_path.format) == (str(path), "<bytes>", "JPEG")
    assert read_file(path) == data


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_reduction_keeps_the_shorter_side_and_the_hash(name: str) -> None:
    data = encoded(noisy(899, 1203), name)
    full, reduced = load_image(data), load_image(data, target_side=224)
    assert reduced.pixels.shape == (225, 301, 3)  # a quarter, rounded up
    assert (reduced.width, reduced.height) == (1203, 899)
    assert reduced.scale == pytest.approx(4, rel=0.01)
    assert hamming(perceptual_hash(full)[0], perceptual_hash(reduced)[0]) <= 10
    shrunk = PIL.Image.fromarray(full.pixels).resize((301, 225), PIL.Image.Resampling.BOX)
    assert np.abs(reduced.pixels.astype(int) - np.asarray(shrunk)).mean() < 3


def test_arrays_and_pil_images() -> None:
    array = np.asarray(noisy(40, 50)).copy()
    image = load_image(array)
    np.testing.assert_array_equal(image.pixels, array)
    assert array.flags.writeable, "the caller's array stays the caller's"
    assert (image.format, image.source) == ("RAW", "<array>")
    assert load_image(PIL.Image.fromarray(array)).sha256 == image.sha256
    assert load_image(array, target_side=20).sha256 == image.sha256
    assert load_image(array[:, :, 0]).pixels.shape == (40, 50, 3)
    clear = np.dstack([array, np.zeros((40, 50), np.uint8)])
    assert (load_image(clear).pixels == 255).all()


def test_isolated_decoding_gives_the_same_pixels() -> None:
    pool = DecodePool(1)
    for data in seeds():
        if format_of(data) in images.ISOLATED:
            apart = pool.decode(data, config=ImageConfig(), target_side=None, source="x")
            here = decode_bytes(data, config=ImageConfig(), target_side=None, source="x")
            np.testing.assert_array_equal(apart.pixels, here.pixels)
            assert apart[1:] == here[1:]
    pool.close()


def test_many_threads_agree_with_one() -> None:
    data = seeds()
    alone = [load_image(d).pixels for d in data]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda d: load_image(d).pixels, data * 3))
    for k, pixels in enumerate(together):
        np.testing.assert_array_equal(pixels, alone[k % len(data)])


@settings(max_examples=60, deadline=None)
@given(height=st.integers(8, 70), width=st.integers(8, 70), side=st.integers(1, 40), orientation=st.integers(1, 8))
def test_reduced_shape_law(height: int, width: int, side: int, orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    image = load_image(encoded(picture(height, width), "JPEG", exif=exif), target_side=side)
    assert min(image.pixels.shape[:2]) >= min(side, height, width)
    assert {image.width, image.height} == {width, height}
    assert (image.width > image.height) == (image.pixels.shape[1] > image.pixels.shape[0]) or abs(height - width) < 8


# ---- errors


JPEG = encoded(noisy(200, 300), "JPEG")


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (b"", "empty"),
        (b"\0", "format_not_allowed"),
        (b"%PDF-1.4 ...", "format_not_allowed"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "format_not_allowed"),
        (b"P6 16 16 255 " + bytes(768), "format_not_allowed"),
        (JPEG[:40], "truncated"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (encoded(noisy(64, 64), "PNG")[:-200], "truncated"),
        (encoded(noisy(64, 64), "WEBP")[:-50], "truncated"),
        (encoded(PIL.Image.new("RGB", (1, 1)), "PNG"), "too_small"),
        (encoded(PIL.Image.new("L", (65500, 1)), "JPEG"), "too_small"),
        (png(50_000, 50_000), "too_many_pixels"),
        (png(9_000, 9_000), "too_many_pixels"),
        (png(2**31 - 1, 2**31 - 1), "too_many_pixels"),
        (gif((65535, 65535), (1, 1)), "too_many_pixels"),
        (gif((10, 10), (65535, 65535)), "too_many_pixels"),
        (png(64, 64, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50 * 2**20)))), "corrupt"),
        (png(64, 64, chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(50 * 2**20)))), "corrupt"),
        (png(64, 64, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**20 - 9))) * 80), "corrupt"),
        ("http://example.org/bag.jpg", "url"),
        ("HTTPS://example.org/bag.jpg", "url"),
        ("file:///etc/passwd", "url"),
        ("data:image/png;base64,AAAA", "url"),
        ("no/such/photo.jpg", "missing"),
        ("nul\0.jpg", "missing"),
        ("lone\ud800.jpg", "missing"),
        ("x" * 5000, "missing"),
    ],
)
def test_reasons(source: bytes | str, wanted: str) -> None:
    assert reason(source) == wanted


def test_files_that_are_none(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert reason(fifo) == "not_a_file"  # and does not wait for a writer
    assert reason(tmp_path) == "not_a_file"
    assert reason("/dev/zero") == "not_a_file"
    locked = tmp_path / "locked.jpg"
    locked.write_bytes(JPEG)
    locked.chmod(0)
    if os.geteuid():  # root reads everything
        assert reason(locked) == "denied"
    small = ImageConfig(max_bytes=1000)
    big = tmp_path / "big.jpg"
    big.write_bytes(JPEG)
    for source in (big, JPEG, io.BytesIO(JPEG)):
        assert reason(source, config=small) == "too_large"


def test_messages_name_the_file_and_hold_no_control_characters() -> None:
    with pytest.raises(ImageError, match=r"a\\nb") as caught:
        load_image(b"x", name="a\nb\x1b[31m\ud800.jpg")
    assert caught.value.source.isprintable()
    str(caught.value).encode()


@pytest.mark.parametrize("source", [3, None, ["a.jpg"], io.StringIO("text")])
def test_misuse_is_a_type_error(source: Any) -> None:
    with pytest.raises(TypeError):
        load_image(source)


@pytest.mark.parametrize("array", [np.zeros((9, 9), np.float32), np.zeros((9, 9, 2), np.uint8), np.zeros(9, np.uint8)])
def test_arrays_of_another_kind(array: Any) -> None:
    with pytest.raises(ValueError, match="uint8"):
        load_image(array)


@pytest.mark.parametrize(
    "relative", ["/etc/passwd", "../x", "a/../../x", "a\\..\\x", "C:\\x", "a\0b", "\ud800", "", "\\\\host\\x"]
)
def test_paths_that_lead_out(tmp_path: Path, relative: str) -> None:
    with pytest.raises(ImageError) as caught:
        resolve_within(tmp_path, relative)
    assert caught.value.reason == "outside_root"


def test_links_that_lead_out(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(JPEG)
    (root / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "up").symlink_to(tmp_path)
    (root / "fine").symlink_to(root / "in")
    (root / "round").symlink_to(root / "round")
    for relative in ("out.jpg", "up/secret.jpg"):
        with pytest.raises(ImageError, match="symbolic link"):
            resolve_within(root, relative)
    assert resolve_within(root, "fine/a.jpg") == root.resolve() / "in" / "a.jpg"
    with pytest.raises(ImageError) as caught:
        load_image(resolve_within(root, "round"))
    assert caught.value.reason in ("outside_root", "missing")
    with pytest.raises(ImageError) as caught:
        resolve_within(root, "https://example.org/a.jpg")
    assert caught.value.reason == "url"


def test_heic_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(images, "ISOLATED", frozenset())
    assert reason(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic") == "missing_extra"


def test_heic() -> None:
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(noisy(64, 96)).save(buffer, quality=90)
    image = load_image(buffer.getvalue())
    assert (image.format, image.pixels.shape) == ("HEIF", (64, 96, 3))
    assert np.abs(image.pixels.astype(int) - np.asarray(noisy(64, 96))).mean() < 8


# ---- regressions: bombs within the limits on bytes and pixels


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(lambda: scan_bomb(2000, 3000), id="a JPEG of 3,000 scans"),
        pytest.param(lambda: JPEG[:2] + b"\xff\xfe\0\x03x" * 2_000_000 + JPEG[2:], id="a JPEG of 2 million comments"),
        pytest.param(lambda: gif((16, 16), (16, 16), b"!\xfe\x01x\0" * 2_000_000), id="a GIF of 2 million comments"),
        pytest.param(lambda: png(64, 64, chunk(b"prVt", b"") * 600_000), id="a PNG of 600,000 private chunks"),
    ],
)
def test_time_bombs_end_by_the_clock(bomb: Any) -> None:
    assert reason(bomb(), config=ImageConfig(max_seconds=0.15)) == "timeout"


def test_a_native_call_that_never_ends_fails_its_own_photo() -> None:
    pool = DecodePool(1)
    slow = encoded(PIL.Image.new("L", (7000, 7000), 7), "TIFF", compression="tiff_lzw")
    for _ in range(2):
        with pytest.raises(ImageError) as caught:
            pool.decode(slow, config=ImageConfig(max_seconds=0.02), target_side=None, source="slow.tif")
        assert (caught.value.reason, caught.value.source) == ("timeout", "slow.tif")
        assert pool.decode(tiff(1), config=ImageConfig(), target_side=None, source="good.tif").pixels.shape == (16, 16, 3)
    pool.close()


def test_a_worker_that_dies_is_replaced() -> None:
    pool = DecodePool(1)
    pool.decode(tiff(1), config=ImageConfig(), target_side=None, source="first.tif")
    worker = pool._slots.get()
    assert worker is not None
    worker._process.send_signal(signal.SIGSEGV)
    pool._slots.put(worker)
    with pytest.raises(ImageError, match="SIGSEGV") as caught:
        pool.decode(tiff(1), config=ImageConfig(), target_side=None, source="second.tif")
    assert caught.value.reason == "decoder_crashed"
    assert pool.decode(tiff(1), config=ImageConfig(), target_side=None, source="third.tif").pixels.shape == (16, 16, 3)
    pool.close()


def test_a_canvas_beyond_memory_is_a_row(tmp_path: Path) -> None:
    # The WebP decoder asks for two canvases before anybody can look at the size.
    data = bytearray(
        encoded(PIL.Image.new("RGBA", (16, 16), (1, 2, 3, 4)), "WEBP", save_all=True, append_images=[picture(16, 16)])
    )
    at = data.index(b"VP8X") + 8 + 4
    data[at : at + 6] = b"\xff\x3f\0\xff\x3f\0"  # 16384 x 16384
    assert reason(bytes(data)) in ("too_many_pixels", "corrupt")


@pytest.mark.parametrize("data", [tiff(100_000), tiff(3, loop=True)], ids=["100,000 pages", "pages in a circle"])
def test_only_the_first_page_is_looked_at(data: bytes) -> None:
    assert load_image(data).pixels.shape == (16, 16, 3)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_odd_exif_does_not_cost_the_photo() -> None:
    entries = [(0x0112, 3, 1, 6)] + [(40000 + k, 5, 7000, 100) for k in range(1000)]
    body = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries)
    for exif in (b"Exif\0\0" + body + bytes(40_000), b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0", b"Exif\0\0MM\0*"):
        assert load_image(with_segment(JPEG, 0xE1, exif)).pixels.shape in ((200, 300, 3), (300, 200, 3))


def test_huge_photos_take_turns() -> None:
    from imgmatch.images.decoding import _PixelBudget

    budget, most, now, lock = _PixelBudget(), 0, 0, threading.Lock()

    def work(pixels: int) -> None:
        nonlocal most, now
        with budget.take(pixels, 100):
            with lock:
                now += pixels
                most = max(most, now)
            with lock:
                now -= pixels

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, [60, 30, 100, 5, 70, 150, 20] * 20))
    assert 0 < most <= 150  # one larger than the budget goes alone
    assert now == 0


def test_fuzzed_photos_end_as_a_row() -> None:
    answers = run(400, seed=1)
    assert len(answers) == 400
    assert {str(a["outcome"]) for a in answers} <= {
        "ok", "corrupt", "truncated", "format_not_allowed", "too_many_pixels", "too_small", "timeout", "missing_extra",
    }  # fmt: skip
    assert sum(a["outcome"] == "ok" for a in answers) > 50, "damage so rough that nothing gets past the header tests little"
    assert max(float(str(a["peak_mb"])) for a in answers) < 1024


@pytest.mark.data
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_every_hostile_file_is_a_picture_or_a_reason(shared_data: Path) -> None:
    folder = shared_data / "hostile"
    with (folder / "labels.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    outcomes = {}
    for row in rows:
        try:
            load_image(folder / row["path"])
            outcomes[row["path"]] = "ok"
        except ImageError as error:
            outcomes[row["path"]] = error.reason
    assert len(outcomes) == 259
    assert set(outcomes.values()) <= {"ok", "corrupt", "truncated", "format_not_allowed", "too_many_pixels", "too_small"}
    # What Pillow read by itself, less the formats we do not take and pictures of 1 x 1.
    assert sum(outcome == "ok" for outcome in outcomes.values()) >= 160
