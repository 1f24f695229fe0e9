"""Read photos nobody vouches for: path, bytes, file object, PIL image or array → upright sRGB uint8 (H, W, 3).

:func:`load_image` is the one way in. Whatever a file holds, it gives an :class:`~imgmatch.types.Image` or raises an
:class:`~imgmatch.errors.ImageError` with a machine-readable reason; sizes are checked before memory is spent on them.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import numpy as np
import pdqhash
import PIL.Image
from PIL import AvifImagePlugin, ExifTags, ImageCms, TiffImagePlugin, WebPImagePlugin  # noqa: F401 - registers the decoders

from imgmatch.config import ImageConfig
from imgmatch.errors import ImageError
from imgmatch.types import Box, Image, UInt8Array

__all__ = [
    "FORMATS",
    "ImageSource",
    "hamming",
    "load_image",
    "pdq_dihedral",
    "perceptual_hash",
    "read_file",
    "resolve_within",
    "thumbnail_jpeg",
]

T = TypeVar("T")

ImageSource = str | os.PathLike[str] | bytes | BinaryIO | PIL.Image.Image | np.ndarray[Any, Any]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""What Pillow may try, whatever else it has a decoder for (several phone shots in one JPEG, "MPO", come as JPEG). HEIC is
tried alone, where pillow-heif is installed."""

_DEFAULTS = ImageConfig()
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"})
_URL = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9+.-]+://|data:)")
_STRIP_PIXELS = 1 << 22  # converted at once, so that conversions cost no second and third full-size copy
_MAX_ICC_BYTES = 4 * 2**20  # the press profiles that circulate are 0.5 to 3 MB


def load_image(
    source: ImageSource, *, config: ImageConfig = _DEFAULTS, target_side: int | None = None, name: str = ""
) -> Image:
    """Read a photo into upright sRGB pixels.

    Parameters
    ----------
    source : path, bytes, binary file object, PIL image or ndarray
        Arrays are uint8, (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA, taken as upright sRGB. JPEG, PNG, WebP, GIF, BMP,
        TIFF and AVIF are read; HEIC needs the extra ``heic``. Nothing is fetched: a URL is an error.
    config : ImageConfig
        Limits on bytes and pixels.
    target_side : int, optional
        The photo is reduced by 2, 4 or 8 as long as its shorter side stays at least this many pixels; JPEGs are decoded
        at that scale, which is where the time goes. None decodes in full.
    name : str
        What messages call the photo; by default its path.

    Returns
    -------
    Image
        EXIF orientation applied, ICC profile converted to sRGB (a broken profile is ignored), transparency on white,
        16 bits scaled to 8, first frame of an animation. `width` and `height` are those of the original, upright.

    Raises
    ------
    ImageError
        For every photo that cannot be read, with `reason`.
    TypeError
        Where `source` is none of the above.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, config, target_side, name or "<array>")
    if isinstance(source, PIL.Image.Image):
        shown = name or "<PIL image>"
        pixels, _, _ = _guard(lambda: _decode(source, config, None, shown), shown)
        return _from_array(pixels, config, target_side, shown, source.format or "RAW")
    data, shown = _read(source, config, name)
    return _guard(lambda: _from_bytes(data, config, target_side, shown), shown)


def resolve_within(root: str | os.PathLike[str], relative: str) -> Path:
    """Resolve a path that a table names, refusing every way out of the table's folder.

    Parameters
    ----------
    root : path
        Folder that photos must lie in.
    relative : str
        As the table has it; ``/`` separates.

    Returns
    -------
    Path
        Absolute, all symlinks resolved, inside `root`. It need not exist.

    Raises
    ------
    ImageError
        ``url`` for a URL; ``outside_root`` for an absolute path, a drive, ``..``, NUL, a lone surrogate, or a symlink that
        leaves `root`.
    """
    shown = _shown(relative)
    if _URL.match(relative):
        raise _url_error(shown)
    parts = re.split(r"[/\\]", relative)
    if (
        not relative
        or "\0" in relative
        or any("\ud800" <= c <= "\udfff" for c in relative)
        or ".." in parts
        or not parts[0]
        or re.match(r"[a-zA-Z]:", relative)
    ):
        raise ImageError("outside_root", "expected a relative path without '..', below the table's folder", source=shown)
    try:
        base = Path(root).resolve()
        path = (base / relative).resolve()
    except (OSError, RuntimeError) as error:  # a symlink that goes in circles
        raise ImageError("outside_root", f"cannot be resolved: {error}", source=shown) from error
    if not path.is_relative_to(base):
        raise ImageError("outside_root", "a symbolic link leads out of the table's folder", source=shown)
    return path


def perceptual_hash(image: Image) -> tuple[str, int]:
    """Return the PDQ hash of a photo, which survives recompression, resizing and small edits.

    Returns
    -------
    hash : str
        256 bits as 64 hex digits.
    quality : int
        In [0, 100]: how much structure the photo has. PDQ's authors advise against matching below 50.

    References
    ----------
    Meta, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019.
    """
    bits, quality = pdqhash.compute(np.ascontiguousarray(image.pixels))
    return np.packbits(bits.astype(np.uint8)).tobytes().hex(), int(quality)


def pdq_dihedral(image: Image) -> tuple[str, ...]:
    """Return the PDQ hashes of a photo and its rotations and reflections.

    Returns
    -------
    tuple of 8 str
        In the order of PDQ's reference code: original, rotated 90, 180, 270 degrees, flipped top to bottom, flipped left
        to right (mirrored), and the two diagonal flips. The original's equals that of :func:`perceptual_hash`.
    """
    hashes, _ = pdqhash.compute_dihedral(np.ascontiguousarray(image.pixels))
    return tuple(np.packbits(bits.astype(np.uint8)).tobytes().hex() for bits in hashes)


def hamming(a: str, b: str) -> int:
    """Return the number of bits in which two hashes of equal length differ; PDQ's authors call 31 of 256 or fewer a match.

    Raises
    ------
    ValueError
        Where the hashes are not hex of one length.
    """
    if len(a) != len(b):
        raise ValueError(f"expected two hashes of one length, got {len(a)} and {len(b)} hex digits")
    return (int(a, 16) ^ int(b, 16)).bit_count()


def thumbnail_jpeg(image: Image | UInt8Array, side: int, box: Box | None = None) -> bytes:
    """Return a small JPEG for a report.

    Parameters
    ----------
    image : Image or ndarray, shape (H, W, 3), uint8
    side : int
        Longest side in pixels; never enlarged.
    box : Box, optional
        Crop this out first, in original pixels (of the array where one is given); clipped to the photo.

    Raises
    ------
    ValueError
        Where `box` lies outside the photo.
    """
    pixels, scale = (image.pixels, image.scale) if isinstance(image, Image) else (image, 1.0)
    if box is not None:
        x0, y0 = max(int(box.x0 / scale), 0), max(int(box.y0 / scale), 0)
        pixels = pixels[y0 : max(round(box.y1 / scale), y0 + 1), x0 : max(round(box.x1 / scale), x0 + 1)]
        if not pixels.size:
            raise ValueError(f"expected a box that overlaps the photo, got {box}")
    thumb = PIL.Image.fromarray(np.ascontiguousarray(pixels))
    thumb.thumbnail((side, side))
    out = io.BytesIO()
    thumb.save(out, "JPEG", quality=82)
    return out.getvalue()


def _shown(source: str) -> str:
    """Return a file name that is safe in messages and UTF-8 files: no control characters, no surrogates."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in source)


def _url_error(shown: str) -> ImageError:
    return ImageError("url", "is a URL; nothing is fetched, download the photo and give its path", source=shown)


def read_file(path: str | os.PathLike[str], *, config: ImageConfig = _DEFAULTS, name: str = "") -> bytes:
    """Return the bytes of a photo file, bounded by ``config.max_bytes``.

    Raises
    ------
    ImageError
        As :func:`load_image` does for what is wrong with the file as a file.
    """
    return _read(path, config, name)[0]


def _read(source: Any, config: ImageConfig, name: str) -> tuple[bytes, str]:
    """Return the bytes of a photo and its name, having read at most one byte more than allowed."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, shown = bytes(source), _shown(name) or "<bytes>"
    elif isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        shown = _shown(name or os.fsdecode(path))
        if isinstance(path, str) and _URL.match(path):
            raise _url_error(shown)
        data = _read_path(path, config, shown)
    elif hasattr(source, "read"):
        shown = _shown(name or str(getattr(source, "name", "<file>")))
        try:
            data = source.read(config.max_bytes + 1)
        except OSError as error:
            raise ImageError("corrupt", f"cannot be read: {error}", source=shown) from error
        if not isinstance(data, bytes):
            raise TypeError(f"expected a binary file object, got one that reads {type(data).__name__}")
    else:
        raise TypeError(f"expected a path, bytes, binary file object, PIL image or array, got {type(source).__name__}")
    if not data:
        raise ImageError("empty", "the file is empty", source=shown)
    if len(data) > config.max_bytes:
        raise ImageError("too_large", f"more than {config.max_bytes} bytes (images.max_bytes)", source=shown)
    return data, shown


def _read_path(path: str | bytes, config: ImageConfig, shown: str) -> bytes:
    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer; it is refused once we see what it is.
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(fd, "rb") as f:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise ImageError("not_a_file", "is a folder, pipe or device, not a file", source=shown)
            return f.read(config.max_bytes + 1)
    except FileNotFoundError as error:
        raise ImageError("missing", "no such file", source=shown) from error
    except PermissionError as error:
        raise ImageError("denied", "permission denied", source=shown) from error
    except IsADirectoryError as error:
        raise ImageError("not_a_file", "is a folder, pipe or device, not a file", source=shown) from error
    except (OSError, ValueError) as error:  # ValueError: NUL or a lone surrogate in the name
        raise ImageError(
            "missing", f"cannot be opened: {getattr(error, 'strerror', None) or error}", source=shown
        ) from error


def _guard(decode: Callable[[], T], shown: str) -> T:
    """Turn whatever a decoder raises into an ImageError: it may be anything, and must not cost more than its own row."""
    try:
        return decode()
    except ImageError:
        raise
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise ImageError("too_many_pixels", str(error), source=shown) from error
    except MemoryError as error:
        raise ImageError("too_many_pixels", "not enough memory to decode it", source=shown) from error
    except Exception as error:
        text = _shown(str(error))[:200] or type(error).__name__
        truncated = isinstance(error, EOFError) or "truncat" in text.lower()
        raise ImageError("truncated" if truncated else "corrupt", f"cannot be decoded: {text}", source=shown) from error


def _from_bytes(data: bytes, config: ImageConfig, target_side: int | None, shown: str) -> Image:
    formats: tuple[str, ...] = FORMATS
    if data[4:8] == b"ftyp" and _heif_brands(data) & _HEIF_BRANDS:
        try:
            import pillow_heif
        except ImportError as error:
            message = "HEIC needs an optional library: pip install 'imgmatch[heic]'"
            raise ImageError("missing_extra", message, source=shown) from error
        pillow_heif.register_heif_opener(thumbnails=False)
        formats = ("HEIF",)
    try:
        im = PIL.Image.open(io.BytesIO(data), formats=formats)
    except PIL.UnidentifiedImageError as error:
        if not (data.startswith(_MAGIC) or data[8:12] == b"WEBP" or data[4:8] == b"ftyp"):
            message = "not a photo in a format that is read (JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC)"
            raise ImageError("format_not_allowed", message, source=shown) from error
        if data[8:12] == b"WEBP" and struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
            raise ImageError("truncated", "the file is shorter than its header says", source=shown) from error
        raise ImageError("corrupt", "cannot be decoded: the header is broken", source=shown) from error
    with im:
        pixels, width, height = _decode(im, config, target_side, shown)
        fmt = "JPEG" if im.format == "MPO" else str(im.format)
    return Image(pixels, hashlib.sha256(data).hexdigest(), shown, width, height, fmt)


def _heif_brands(data: bytes) -> set[bytes]:
    size = min(int.from_bytes(data[:4], "big"), 256)
    return {data[i : i + 4] for i in range(8, size, 4)}


def _from_array(
    array: np.ndarray[Any, Any], config: ImageConfig, target_side: int | None, shown: str, fmt: str = "RAW"
) -> Image:
    """Hash the pixels in full, then reduce."""
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(f"expected (H, W), (H, W, 3) or (H, W, 4) uint8, got {array.shape} {array.dtype}")
    _check_size(array.shape[1], array.shape[0], config, shown)
    digest = hashlib.sha256(repr(array.shape).encode())
    digest.update(np.ascontiguousarray(array).data)
    im = PIL.Image.fromarray(np.ascontiguousarray(array))
    pixels, width, height = _decode(im, config, target_side, shown)
    return Image(pixels, digest.hexdigest(), shown, width, height, fmt)


def _check_size(width: int, height: int, config: ImageConfig, shown: str) -> None:
    if width * height > config.max_pixels:
        message = f"{width} x {height} is more than {config.max_pixels} pixels (images.max_pixels)"
        raise ImageError("too_many_pixels", message, source=shown)
    if min(width, height) < config.min_side:
        raise ImageError("too_small", f"{width} x {height}: a side is under {config.min_side} pixels", source=shown)


def _decode(im: PIL.Image.Image, config: ImageConfig, target_side: int | None, shown: str) -> tuple[UInt8Array, int, int]:
    """Return upright RGB pixels and the original upright size."""
    width, height = im.size
    _check_size(width, height, config, shown)
    factor = 1
    while target_side and factor < 8 and min(width, height) // (2 * factor) >= target_side:
        factor *= 2
    if im.format in ("JPEG", "MPO") and factor > 1:
        im.draft(None, (width // factor, height // factor))
        factor //= width // im.width
    im.load()
    orientation = _orientation(im)
    to_srgb = _ColourTransform(im)
    shape = (-(-im.height // factor), -(-im.width // factor), 3)
    out = np.empty((shape[1], shape[0], 3) if orientation >= 5 else shape, np.uint8)
    stored = _as_stored(out, orientation)  # the view of `out` that the file's own rows go into
    rows = max(_STRIP_PIXELS // (im.width * factor), 1) * factor
    for top in range(0, im.height, rows):
        strip = im if rows >= im.height else im.crop((0, top, im.width, min(top + rows, im.height)))
        rgb = to_srgb(strip)
        if factor > 1:
            rgb = rgb.reduce(factor)
        stored[top // factor : top // factor + rgb.height] = np.asarray(rgb)
    return out, *((height, width) if orientation >= 5 else (width, height))


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
        if isinstance(profile, bytes) and 128 <= len(profile) <= _MAX_ICC_BYTES:
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
