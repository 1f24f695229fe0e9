"""Reading the parts of a catalog, which somebody else may have made: every name and number is checked before it is used.

A checksum shows that a part is what its writer wrote, not that the writer meant well. Whatever is wrong here raises
:class:`imgmatch.errors.CatalogCorruptError`, but for a single photo: that costs whoever wanted to see it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from imgmatch.catalog.items import Brand, CatalogPhoto, Item, brand_from_row, item_from_row, photo_from_row
from imgmatch.catalog.manifest import Manifest, Part, Segment, photo_name
from imgmatch.catalog.source import Issue
from imgmatch.cells import as_json
from imgmatch.errors import CatalogCorruptError, ImageError
from imgmatch.images import load_image
from imgmatch.io.files import is_sha256, open_foreign, sha256_file
from imgmatch.messages import Message
from imgmatch.types import FloatArray, Image

__all__ = [
    "Tables",
    "check_vectors",
    "damaged_files",
    "load_photo",
    "open_vectors",
    "read_issues",
    "read_names",
    "read_photo",
    "read_tables",
]

T = TypeVar("T")

_NORM_ERROR = 1e-2  # of a unit vector; half precision errs by 1e-3
_BLOCK = 65_536  # rows looked at together
_NAME_BYTES = 65  # of a photo's name in a list of them: 64 hex digits and the end of the line
_MOST_LINE = 16 << 20  # letters of a row; a file with holes is one line of any length, and takes its maker no space
_MOST_PHOTO_BYTES = 1 << 30  # a stored photo is within `images.max_bytes`, 64 MiB unless its owner raised that


@dataclass(slots=True)
class Tables:
    """The rows of a catalog, by item id, brand id and sha256; all that they name is there."""

    items: dict[str, Item]
    brands: dict[str, Brand]
    photos: dict[str, CatalogPhoto]


def read_tables(root: Path, manifest: Manifest) -> Tables:
    """Read items, brands and photos."""
    items = {i.item_id: i for i in _rows(root, manifest.items, item_from_row)}
    brands = {b.brand: b for b in _rows(root, manifest.brands, brand_from_row)}
    photos = {p.sha256: p for p in _rows(root, manifest.photos, photo_from_row)}
    named = [sha for item in items.values() for sha in item.photos]
    named += [logo.photo for brand in brands.values() for logo in brand.logos]
    wrong = [
        *(f"item {i.item_id!r:.80} is of a brand that is not there" for i in items.values() if i.brand not in brands),
        *(f"{sha} is named and not there" for sha in named if sha not in photos),
        *(f"photo {p.sha256} is of an item that is not there" for p in photos.values() if p.item_id not in (None, *items)),
    ]
    if wrong:
        raise CatalogCorruptError(f"{root}: {wrong[0]}; restore the catalog or build it again")
    return Tables(items, brands, photos)


def read_issues(root: Path, manifest: Manifest) -> list[Issue]:
    """Read what the source had and the catalog has not."""
    return list(_rows(root, manifest.issues, lambda row: Issue(str(row["place"]), str(row["problem"]))))


def read_names(root: Path, segment: Segment) -> list[str]:
    """Read the photo of each row of a segment."""
    if segment.photos.bytes != _NAME_BYTES * segment.rows:
        raise CatalogCorruptError(f"{root / segment.photos.path}: expected {segment.rows} lines of 64 hex digits")
    path = segment.photos.check(root)
    try:
        names = path.read_text("ascii").split()
    except UnicodeDecodeError as error:
        raise CatalogCorruptError(f"{path}: not a list of photos") from error
    if len(names) != segment.rows or not all(map(is_sha256, names)):
        raise CatalogCorruptError(f"{path}: expected {segment.rows} lines of 64 hex digits")
    return names


def open_vectors(root: Path, segments: Iterable[Segment], dim: int) -> FloatArray:
    """Return the rows of all segments, (n, dim) float32, memory-mapped where they are one file; see `check_vectors`."""
    maps: list[FloatArray] = []
    for segment in segments:
        if segment.rows:
            try:
                with open_foreign(root, segment.vectors.path) as f:
                    maps.append(np.memmap(f, "<f4", "r", shape=(segment.rows, dim)))
            except (OSError, ValueError) as error:
                raise CatalogCorruptError(f"{root / segment.vectors.path}: cannot be read: {error}") from error
    if len(maps) == 1:
        return maps[0]
    return np.concatenate(maps) if maps else np.empty((0, dim), np.float32)


def check_vectors(root: Path, segments: Sequence[Segment], vectors: FloatArray) -> None:
    """Raise unless the files of segments are as written, and all rows of unit norm, as whoever searches them relies on."""
    for segment in segments:
        segment.vectors.check(root)
    for start in range(0, len(vectors), _BLOCK):
        rows = vectors[start : start + _BLOCK]
        norms = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
        if not (np.abs(norms - 1.0) <= _NORM_ERROR).all():
            raise CatalogCorruptError(f"{root}: its vectors are not of unit norm; restore the catalog or build it again")


def read_photo(root: Path, sha256: str) -> bytes:
    """Return the bytes of a stored photo, which are those of its name.

    Raises
    ------
    CatalogCorruptError
        Where they are not, or no plain file is there.
    """
    try:
        with open_foreign(root, photo_name(root, sha256)) as f:
            data = f.read(_MOST_PHOTO_BYTES)
            f.seek(0)
            if sha256_file(f) == sha256 and f.tell() == len(data):
                return data
    except OSError as error:
        raise CatalogCorruptError(f"{root}: photo {sha256}: {error.strerror}; restore it or build again") from error
    raise CatalogCorruptError(f"{root}: photo {sha256} was changed; restore it or build again")


def load_photo(root: Path, sha256: str, *, target_side: int | None = None, name: str = "") -> Image:
    """Decode a stored photo, see :func:`imgmatch.images.load_image`.

    Raises
    ------
    ImageError
        Where it cannot be read, or is not the photo of that name any more.
    """
    try:
        with open_foreign(root, photo_name(root, sha256)) as f:
            image = load_image(f, target_side=target_side, name=name or sha256)
    except OSError as error:
        message = Message("the catalog's photo {sha256}: {error}", sha256=sha256, error=error.strerror or str(error))
        raise ImageError("missing", message, source=name) from error
    if image.sha256 != sha256:
        raise ImageError("corrupt", Message("the catalog's photo {sha256} was changed", sha256=sha256), source=name)
    return image


def _rows(root: Path, part: Part, make: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
    path = part.check(root)
    with open(path, encoding="utf-8") as f:
        number = 0
        try:
            for number, line in enumerate(iter(partial(f.readline, _MOST_LINE), ""), 1):  # noqa: B007 - the message names it
                row = make(json.loads(line))
                as_json(getattr(row, "extra", None))  # nested too deeply, it could not be written again
                for name, (is_right, expected) in _CHECKS.get(type(row), {}).items():
                    if not is_right(getattr(row, name)):
                        raise ValueError(f"{name}: expected {expected}, got {getattr(row, name)!r:.80}")
                yield row
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise CatalogCorruptError(f"{path}:{number}: not a row of a catalog: {error!s:.200}") from error


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _may_be_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _are(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda values: isinstance(values, Sequence) and not isinstance(values, str) and all(map(is_right, values))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _are_prices(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_number, value.values()))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 31


def _is_logo(logo: Any) -> bool:
    box = logo.box
    return (
        is_sha256(logo.photo)
        and isinstance(logo.kind, str)
        and (box is None or (_are(_is_number)(box) and len(box) == 4 and box[0] < box[2] and box[1] < box[3]))
    )


def _is_seller(pair: Any) -> bool:
    return len(pair) == 2 and all(isinstance(part, str) for part in pair)


_Check = tuple[Callable[[Any], bool], str]
_TEXT: _Check = (_is_text, "a text")
_MAYBE: _Check = (_may_be_text, "a text or nothing")
_TEXTS: _Check = (_are(_may_be_text), "a list of texts")
_HASH: _Check = (is_sha256, "64 hex digits")
_COUNT: _Check = (_is_count, "a whole number")
_CHECKS: Mapping[type, Mapping[str, _Check]] = {
    Item: {
        "item_id": _TEXT,
        "brand": _TEXT,
        **dict.fromkeys(("model", "variant", "category", "name", "currency", "url"), _MAYBE),
        "price": (lambda value: value is None or _is_number(value), "a number"),
        "condition_prices": (_are_prices, "numbers by condition"),
        "photos": (_are(is_sha256), "a list of photos, each 64 hex digits"),
    },
    Brand: {
        "brand": _TEXT,
        "name": (lambda value: isinstance(value, str), "a text"),
        **dict.fromkeys(("wordmarks", "aliases", "official_domains"), _TEXTS),
        "logos": (_are(_is_logo), "marks with a photo, a kind and a box"),
        "authorised_sellers": (_are(_is_seller), "pairs of platform and seller id"),
    },
    CatalogPhoto: {
        "sha256": _HASH,
        "phash": _HASH,
        "phash_quality": _COUNT,
        "width": _COUNT,
        "height": _COUNT,
        **dict.fromkeys(("item_id", "brand"), _MAYBE),
        "name": (lambda value: isinstance(value, str), "a text"),
    },
}


def damaged_files(root: Path, manifest: Manifest, photos: Iterable[str]) -> list[str]:
    """Compare every part and stored photo with its checksum; return a line per problem."""
    checks: list[Callable[[], object]] = [partial(part.check, root) for part in manifest.parts()]
    checks += [partial(read_photo, root, sha) for sha in photos]
    problems = []
    for check in checks:
        try:
            check()
        except CatalogCorruptError as error:
            problems.append(str(error))
    return problems
