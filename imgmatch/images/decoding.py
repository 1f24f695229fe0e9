"""Decode the bytes of a photo, in this process: limits first, then pixels, orientation and colour.

What lies here runs both in the caller's process and in the worker processes of :mod:`imgmatch.images.decode_pool`;
:func:`imgmatch.images.load_image` decides which.
"""

from __future__ import annotations

import io
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np
import PIL.Image
from PIL import (  # each import registers one decoder, so that Pillow does not go and load all it has
    AvifImagePlugin,  # noqa: F401
    BmpImagePlugin,  # noqa: F401
    ExifTags,
    GifImagePlugin,  # noqa: F401
    ImageCms,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

from imgmatch.config import ImageConfig
from imgmatch.errors import ImageError, printable
from imgmatch.messages import Message
from imgmatch.types import UInt8Array

__all__ = ["Decoded", "check_size", "decode_bytes", "decode_pil", "format_of"]

_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_STRIP_PIXELS = 1 << 22  # converted at once, so that conversions cost no second and third full-size copy
_MAX_ICC_BYTES = 4 * 2**20  # the press profiles that circulate are 0.5 to 3 MB
# A chain of any number of steps for each colour (ICC.1:2022, 10.16): 80 kB take seconds. Cameras write none.
_ICC_CHAIN = b"mpet"


class Decoded(NamedTuple):
    """Upright sRGB pixels, the original upright size, and the format."""

    pixels: UInt8Array
    width: int
    height: int
    format: str


def format_of(data: bytes) -> str | None:
    """Return which of the formats we read these bytes claim to be, by their first bytes alone; None for any other.

    Several phone shots in one JPEG ("MPO") are JPEG. HEIC and its kin are ``HEIF``.
    """
    for magic, name in _MAGIC.items():
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4], "big"), 256)
        brands = {data[i : i + 4] for i in range(8, end, 4)}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1"}:
            return "HEIF"
    return None


def decode_bytes(data: bytes, *, config: ImageConfig, target_side: int | None, source: str) -> Decoded:
    """Decode a photo; see :func:`imgmatch.images.load_image`.

    Raises
    ------
    ImageError
        Whatever the decoder raised: it may be anything, and must not cost more than its own row.
    """
    name = format_of(data)
    if name is None:
        message = Message("not a photo in a supported format (JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC)")
        raise ImageError("format_not_allowed", message, source=source)
    if name == "HEIF":
        _register_heif(source)
    if name == "WEBP" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise ImageError("truncated", Message("the file is shorter than its header says"), source=source)
    _without_advice()
    # Naming the format keeps Pillow from trying any other of its decoders.
    with _typed_errors(name, config, source), PIL.Image.open(_TimedReader(data, config.max_seconds), formats=(name,)) as im:
        return _decode(im, config, target_side, source)._replace(format=name)


def decode_pil(im: PIL.Image.Image, *, config: ImageConfig, target_side: int | None, source: str) -> Decoded:
    """Turn a PIL image into upright sRGB pixels; it is loaded where it was not."""
    with _typed_errors(im.format or "a photo", config, source):
        return _decode(im, config, target_side, source)


@contextmanager
def _typed_errors(name: str, config: ImageConfig, source: str) -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except _OutOfTime as error:
        message = Message("took more than {seconds:g} s to decode (images.max_seconds)", seconds=config.max_seconds)
        raise ImageError("timeout", message, source=source) from error
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise ImageError("too_many_pixels", str(error), source=source) from error
    except MemoryError as error:
        raise ImageError("too_many_pixels", Message("not enough memory to decode it"), source=source) from error
    except PIL.UnidentifiedImageError as error:
        message = Message("begins like {format}, but its header is broken", format=name)
        raise ImageError("corrupt", message, source=source) from error
    except Exception as error:
        text = printable(str(error))[:200] or type(error).__name__
        truncated = isinstance(error, EOFError) or "truncat" in text.lower()
        message = Message("cannot be decoded: {error}", error=text)
        raise ImageError("truncated" if truncated else "corrupt", message, source=source) from error


def _decode(im: PIL.Image.Image, config: ImageConfig, target_side: int | None, source: str) -> Decoded:
    """Decode strip by strip into the upright array: beside Pillow's own picture there is never a second full-size copy."""
    width, height = im.size
    check_size(width, height, config, source)
    factor = 1
    while target_side and factor < 8 and min(width, height) // (2 * factor) >= target_side:
        factor *= 2
    if im.format in ("JPEG", "MPO") and factor > 1:
        im.draft(None, (width // factor, height // factor))
    left = factor if im.size == (width, height) else 1  # what the decoder does not reduce by itself
    progressive = "progressive" in im.info
    if progressive and hasattr(im, "decodermaxblock"):
        # A scan can be 100 bytes that cost 30 ms; small bites let the clock interrupt a bomb made of them.
        im.decodermaxblock = 4096
    with _budget.take(width * height if progressive else im.width * im.height, config.max_pixels):
        im.load()
        orientation = _orientation(im)
        to_srgb = _ColourTransform(im)
        shape = (-(-im.height // left), -(-im.width // left), 3)
        out = np.empty((shape[1], shape[0], 3) if orientation >= 5 else shape, np.uint8)
        stored = _as_stored(out, orientation)
        rows = max(_STRIP_PIXELS // (im.width * left), 1) * left
        for top in range(0, im.height, rows):
            strip = im if rows >= im.height else im.crop((0, top, im.width, min(top + rows, im.height)))
            rgb = to_srgb(strip)
            if left > 1:
                rgb = rgb.reduce(left)
            stored[top // left : top // left + rgb.height] = np.asarray(rgb)
    size = (height, width) if orientation >= 5 else (width, height)
    return Decoded(out, *size, im.format or "RAW")


def check_size(width: int, height: int, config: ImageConfig, source: str) -> None:
    """Raise :class:`ImageError` for a picture with too many pixels or too few."""
    size = f"{width} x {height}"
    if width * height > config.max_pixels:
        message = Message("{size} is more than {limit} pixels (images.max_pixels)", size=size, limit=config.max_pixels)
        raise ImageError("too_many_pixels", message, source=source)
    if max(width, height) > config.max_side:
        message = Message("{size}: a side is over {limit} pixels (images.max_side)", size=size, limit=config.max_side)
        raise ImageError("too_many_pixels", message, source=source)
    if min(width, height) < config.min_side:
        message = Message("{size}: a side is under {limit} pixels (images.min_side)", size=size, limit=config.min_side)
        raise ImageError("too_small", message, source=source)


class _OutOfTime(Exception):  # noqa: N818 - not an error of ours: decode_bytes turns it into one
    pass


class _TimedReader(io.BytesIO):
    """Bytes that stop being readable when this thread has computed for too long.

    Pillow's own loops (a million comments, chunks or strips) and its JPEG and PNG decoders come back here for every block,
    so a bomb ends without a second thread or process. CPU time, so that a busy machine does not fail good photos.
    """

    def __init__(self, data: bytes, seconds: float) -> None:
        super().__init__(data)
        self._end = time.thread_time() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self._end:
            raise _OutOfTime
        return super().read(size)


class _PixelBudget:
    """Bounds what all threads together decode at once, so that 16 threads that meet 16 huge photos take turns."""

    def __init__(self) -> None:
        self._turn = threading.Lock()  # held while waiting: first come, first served, so that a large photo gets its turn
        self._changed = threading.Condition()
        self._taken = 0

    @contextmanager
    def take(self, pixels: int, limit: int) -> Iterator[None]:
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._taken == 0 or self._taken + pixels <= limit)
            self._taken += pixels
        try:
            yield
        finally:
            with self._changed:
                self._taken -= pixels
                self._changed.notify_all()


_budget = _PixelBudget()


@cache
def _without_advice() -> None:
    """Keep Pillow from warning of photos: of large ones, whose pixels are counted here, and of each of 65,535 broken tags.

    Python remembers every warning that it shows, each by its text, as long as it runs.
    """
    warnings.filterwarnings("ignore", category=PIL.Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", module=r"PIL\.")


def _register_heif(source: str) -> None:
    try:
        import pillow_heif
    except ImportError as error:
        message = Message("HEIC needs an optional library: pip install 'imgmatch[heic]'")
        raise ImageError("missing_extra", message, source=source) from error
    pillow_heif.register_heif_opener(thumbnails=False)


def _orientation(im: PIL.Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none or it makes no sense."""
    try:
        value = im.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # hostile EXIF raises anything; the photo is still a photo
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _as_stored(upright: UInt8Array, orientation: int) -> UInt8Array:
    """Return the view of an upright array in which a file of this orientation has its rows (EXIF 2.32, tag 0x0112)."""
    view = upright.transpose(1, 0, 2) if orientation >= 5 else upright
    # Where, in the upright photo, the file's first row and first column lie: top, top, bottom, bottom, left, right, …
    flip_rows = orientation in (3, 4, 7, 6)
    flip_columns = orientation in (2, 3, 7, 8)
    return view[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


class _ColourTransform:
    """Turn strips of one picture, of whatever mode, into RGB in sRGB."""

    def __init__(self, im: PIL.Image.Image) -> None:
        self.alpha = im.has_transparency_data
        self.low, self.high = _value_range(im)
        self.icc: ImageCms.ImageCmsTransform | None = None
        mode = self._flat_mode(im.mode)
        profile = im.info.get("icc_profile")
        if isinstance(profile, bytes) and 128 <= len(profile) <= _MAX_ICC_BYTES and _ICC_CHAIN not in profile:
            try:
                source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
                space = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}[mode]
                if source.profile.xcolor_space.strip() == space and "sRGB" not in (source.profile.profile_description or ""):
                    self.icc = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
            except Exception:  # a broken profile is ignored: the photo is shown as most viewers would
                self.icc = None

    @staticmethod
    def _flat_mode(mode: str) -> str:
        if mode in ("1", "L", "LA", "La", "I", "F") or mode.startswith("I;"):
            return "L"
        return "CMYK" if mode == "CMYK" else "RGB"

    def __call__(self, strip: PIL.Image.Image) -> PIL.Image.Image:
        mode = self._flat_mode(strip.mode)
        if strip.mode in ("I", "F") or strip.mode.startswith("I;"):
            values = (np.asarray(strip).astype(np.float32) - self.low) * (255.0 / (self.high - self.low))
            flat = PIL.Image.fromarray(np.nan_to_num(np.clip(values, 0, 255)).round().astype(np.uint8))
        elif self.alpha:
            rgba = strip.convert("RGBA")
            flat = PIL.Image.new("RGB", strip.size, "white")
            flat.paste(rgba, mask=rgba.getchannel("A"))
            if mode == "L":
                flat = flat.convert("L")
        else:
            flat = strip if strip.mode == mode else strip.convert(mode)
        if self.icc is not None:
            return cast(PIL.Image.Image, ImageCms.applyTransform(flat, self.icc))
        return flat if flat.mode == "RGB" else flat.convert("RGB")


def _value_range(im: PIL.Image.Image) -> tuple[float, float]:
    """Return what maps to black and white in a picture of more than 8 bits per channel.

    16-bit integers span their type. Floats within [0, 1] are taken as such; other 32-bit data has no agreed white, so its
    own extremes are used.
    """
    if im.mode.startswith("I;16"):
        return 0.0, 65535.0
    if im.mode not in ("I", "F"):
        return 0.0, 255.0
    low, high = (float(v) for v in cast(Any, im.getextrema()))
    if im.mode == "F" and low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    return (low, high) if np.isfinite([low, high]).all() and high > low else (low if np.isfinite(low) else 0.0, np.inf)
