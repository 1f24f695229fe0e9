"""Where a catalog comes from: a folder ``brand/item/photo.jpg``, or a manifest table; documented in docs/catalog.md.

Beside the items, either source may bring ``brands.jsonl`` (wordmarks, aliases, logos, official domains, authorised
sellers) and the folders ``background/``, ``negative/`` and ``known_offender/`` with photos of those roles. In a folder
source, ``brand/logo/`` holds pictures of the brand's marks.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imgmatch.catalog.items import Brand, Item, brand_ids
from imgmatch.cells import as_id, as_json, as_object, as_text, as_texts, is_missing
from imgmatch.errors import ImageError, InputError
from imgmatch.images import resolve_within
from imgmatch.io.folders import FileFinder, Skipped, photos_in, visible
from imgmatch.io.tables import read_table
from imgmatch.names import name_key, spelled
from imgmatch.types import PhotoRole

__all__ = ["Issue", "Source", "SourcePhoto", "read_source"]
_ROLE_FOLDERS = {str(r): r for r in (PhotoRole.BACKGROUND, PhotoRole.NEGATIVE, PhotoRole.KNOWN_OFFENDER)}
_LOGO_FOLDER = "logo"
_LOGO_KINDS = ("wordmark", "figure", "combined", "monogram")
_MANIFEST = (
    "item_id", "brand", "photos", "model", "variant", "category", "name", "price", "currency", "condition_prices", "url",
    "official_sellers",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Issue:
    """Something in the source that was left out.

    Parameters
    ----------
    place : str
        File, or ``table.csv:17``.
    problem : str
    """

    place: str
    problem: str


@dataclass(frozen=True, slots=True)
class SourcePhoto:
    """A file to ingest: its path, its name in the source, its role and whom it belongs to."""

    path: Path
    name: str
    role: PhotoRole
    brand: str | None = None
    item_id: str | None = None
    logo_kind: str = "figure"
    logo_box: tuple[float, float, float, float] | None = None


@dataclass(slots=True)
class Source:
    """All that a source names, before any photo is read."""

    items: dict[str, Item] = field(default_factory=dict)
    brands: dict[str, Brand] = field(default_factory=dict)
    photos: list[SourcePhoto] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    passed: Skipped = field(default_factory=Skipped)

    def brand_id(self, spelling: str) -> str:
        """Return the id of the brand that is spelled so: two spellings are one brand, under the id of the first."""
        return self.ids.setdefault(name_key(spelling), spelled(spelling).lower())

    def brand(self, spelling: str) -> Brand:
        key = self.brand_id(spelling)
        return self.brands.setdefault(key, Brand(key, spelled(spelling)))


def read_source(path: Path, known: Iterable[Brand] = ()) -> Source:
    """Read what a folder or a manifest names.

    Parameters
    ----------
    path : Path
    known : iterable of Brand
        Brands of the catalog that the source is added to; they keep their ids, however the source spells them.

    Raises
    ------
    InputError
        Where the source as a whole cannot be used: missing, or without a single item, mark or wordmark.
    """
    source = Source(ids=brand_ids(known))
    if path.is_dir():
        root = path
        _read_brands(root, source)
        _read_folder(root, source)
    elif path.is_file():
        root = path.parent
        _read_brands(root, source)
        _read_manifest(path, source)
    else:
        raise InputError(
            "no such source: expected a folder brand/item/photo.jpg, or a table, the manifest", source=str(path)
        )
    for name, role in _ROLE_FOLDERS.items():
        for photo in photos_in(root / name, source.passed):
            source.photos.append(SourcePhoto(photo, f"{name}/{photo.name}", role))
    identifies = any(p.role is PhotoRole.LOGO for p in source.photos) or any(
        b.wordmarks or b.aliases for b in source.brands.values()
    )
    identifies = identifies and not source.issues  # marks and words alone are a catalog too; a broken manifest is none
    source.issues += [Issue(str(path), note) for note in source.passed.notes()]
    if not source.items and not identifies:
        hint = source.issues[0].problem if source.issues else "a folder source is laid out as brand/item/photo.jpg"
        raise InputError(f"no item found; {hint}", source=str(path))
    return source


def _read_folder(root: Path, source: Source) -> None:
    listed = {photo.path for photo in source.photos}
    beside = {photo.path.parent for photo in source.photos}
    marks = {photo.path for photo in source.photos if photo.logo_box is None}  # a box leaves the photo to its item
    for brand_dir in visible(root, source.passed):
        if brand_dir.name in _ROLE_FOLDERS or not brand_dir.is_dir():
            continue
        known = name_key(brand_dir.name) in source.ids
        if Path(brand_dir.path).resolve() in beside and not known:  # marks that brands.jsonl names lie in it: it is no brand
            for photo in photos_in(Path(brand_dir.path), source.passed, also=frozenset({".svg"})):
                if photo.resolve() not in listed:
                    source.passed.add("among marks, but not in brands.jsonl", photo.relative_to(root).as_posix())
            continue
        skip = set() if known else marks  # in a known brand's folder a mark may be an item's photo
        for item_dir in visible(Path(brand_dir.path), source.passed):
            if not item_dir.is_dir():
                if Path(item_dir.path).resolve() not in listed:
                    source.issues.append(Issue(item_dir.path, "left out: not inside a folder brand/item/"))
                continue
            _read_item(root, brand_dir.name, Path(item_dir.path), skip, source)


def _read_item(root: Path, spelling: str, folder: Path, skip: Set[Path], source: Source) -> None:
    role = PhotoRole.LOGO if folder.name == _LOGO_FOLDER else PhotoRole.REFERENCE
    also = frozenset({".svg"}) if role is PhotoRole.LOGO or skip else frozenset()
    photos = list(photos_in(folder, source.passed, also=also))
    if not photos:
        source.passed.add("no photo in it", f"{spelling}/{folder.name}")
    for photo in (p for p in photos if p.resolve() not in skip):
        brand = source.brand(spelling).brand
        item_id = None if role is PhotoRole.LOGO else f"{brand}/{folder.name}"
        source.photos.append(SourcePhoto(photo, photo.relative_to(root).as_posix(), role, brand, item_id))
        if item_id is not None:
            source.items[item_id] = Item(item_id, brand, model=folder.name, name=folder.name)


def _read_manifest(path: Path, source: Source) -> None:
    files = FileFinder(path.parent)
    table = read_table(path, known=_MANIFEST, lists=frozenset({"photos"}))
    for place, row in table:
        try:
            if isinstance(row, InputError):
                raise row
            item, photos, sellers = _manifest_row(row)
            spelling, item = item.brand, replace(item, brand=source.brand_id(item.brand))
            known = source.items.get(item.item_id)
            if known is not None and known.brand != item.brand:
                raise InputError(f"item {item.item_id} has brand {known.brand} above and {item.brand} here")
        except InputError as error:
            source.issues.append(Issue(place, str(error).removeprefix(f"{place}: ")))
            continue
        source.items.setdefault(item.item_id, item)
        brand = source.brand(spelling)
        new = tuple(s for s in sellers if s not in brand.authorised_sellers)
        source.brands[item.brand] = replace(brand, authorised_sellers=brand.authorised_sellers + new)
        for name in photos:
            try:
                file = resolve_within(path.parent, files.find(name))
            except ImageError as error:
                source.issues.append(Issue(place, str(error)))
                continue
            source.photos.append(SourcePhoto(file, name, PhotoRole.REFERENCE, item.brand, item.item_id))
    if not source.items and source.issues:
        first = source.issues[0]
        raise InputError(f"no item found; {first.problem}; the manifest was read as {table.how}", source=first.place)


def _manifest_row(row: Mapping[str, Any]) -> tuple[Item, tuple[str, ...], tuple[tuple[str, str], ...]]:
    item_id, brand = as_id("item_id", row.get("item_id")), as_text("brand", row.get("brand"))
    if not item_id or not (brand or "").strip():
        raise InputError(f"{'brand' if item_id else 'item_id'}: missing")
    photos = tuple(p for p in as_texts("photos", row.get("photos")) if p.strip())
    if not photos:
        raise InputError("photos: expected at least one path")
    prices = as_object("condition_prices", row.get("condition_prices"))
    item = Item(
        item_id,
        brand or "",
        model=as_text("model", row.get("model")),
        variant=as_text("variant", row.get("variant")),
        category=as_text("category", row.get("category")),
        name=as_text("name", row.get("name")),
        price=_number("price", row.get("price")),
        currency=as_text("currency", row.get("currency")),
        url=as_text("url", row.get("url")),
        condition_prices={k: v for k, x in prices.items() if (v := _number("condition_prices", x)) is not None},
        extra={k: as_json(v) for k, v in row.items() if k not in _MANIFEST and v is not None},
    )
    return item, photos, _sellers("official_sellers", row.get("official_sellers"))


def _number(name: str, value: Any) -> float | None:
    if is_missing(value):
        return None
    try:
        number = float(str(value))
    except (ValueError, OverflowError):
        number = math.inf
    alike = isinstance(value, str) and re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", value.strip())  # thousands to many
    if alike or not 0.0 <= number < math.inf:
        raise InputError(f"{name}: expected a plain number such as 1299.00, got {value!r:.60}")
    return number


def _sellers(name: str, value: Any) -> tuple[tuple[str, str], ...]:
    """Read pairs of platform and seller id; one pair is a list of one."""
    if is_missing(value):
        return ()
    try:
        pairs = json.loads(value) if isinstance(value, str) else value
        if isinstance(pairs, (list, tuple)) and len(pairs) == 2 and all(isinstance(p, str) for p in pairs):
            pairs = [pairs]
        return tuple((as_text(name, platform) or "", as_id(name, seller) or "") for platform, seller in pairs)
    except (TypeError, ValueError) as error:
        raise InputError(f'{name}: expected [["platform", "seller id"], …], got {value!r:.60}') from error


def _read_brands(root: Path, source: Source) -> None:
    path = root / "brands.jsonl"
    if not path.is_file():
        return
    for place, row in read_table(path):
        try:
            if isinstance(row, InputError):
                raise row
            brand = _brand_row(row, source)
            logos = row.get("logos") or []
            for n, logo in enumerate([logos] if isinstance(logos, (str, Mapping)) else logos, 1):
                source.photos.append(_logo(root, logo, f"logos, {n}", brand.brand))
        except (InputError, ImageError) as error:
            raise InputError(f"{str(error).removeprefix(f'{place}: ')}; see docs/catalog.md", source=place) from error
        source.brands[brand.brand] = brand
    source.ids = {**brand_ids(source.brands.values()), **source.ids}


def _brand_row(row: Mapping[str, Any], source: Source) -> Brand:
    spelling = as_text("brand", row.get("brand"))
    if not (spelling or "").strip():
        raise InputError("brand: missing")
    if not isinstance(row.get("logos") or [], (list, str, Mapping)):
        raise InputError('logos: expected [{"path": "crest.png"}, …]')
    lists = {name: as_texts(name, row.get(name)) for name in ("wordmarks", "aliases", "official_domains")}
    known = {"brand", "name", "logos", "authorised_sellers", *lists}
    return Brand(
        brand=source.brand_id(spelling or ""),
        name=spelled(as_text("name", row.get("name")) or spelling or ""),
        authorised_sellers=_sellers("authorised_sellers", row.get("authorised_sellers")),
        extra={k: as_json(v) for k, v in row.items() if k not in known},
        wordmarks=lists["wordmarks"],
        aliases=lists["aliases"],
        official_domains=lists["official_domains"],
    )


def _is_pixel(x: Any) -> bool:
    return isinstance(x, (int, float)) and -1e9 < x < 1e9


def _logo(root: Path, logo: Any, field_name: str, brand: str) -> SourcePhoto:
    logo = {"path": logo} if isinstance(logo, str) else logo
    if not isinstance(logo, Mapping) or not isinstance(logo.get("path"), str):
        raise InputError(f'{field_name}: expected {{"path": "crest.png"}}, got {logo!r:.60}')
    kind, box = logo.get("kind") or "figure", logo.get("box")
    if kind not in _LOGO_KINDS:
        raise InputError(f"{field_name}, kind: expected one of {', '.join(_LOGO_KINDS)}, got {kind!r:.60}")
    if box is not None and not (isinstance(box, list) and len(box) == 4 and all(map(_is_pixel, box))):
        raise InputError(f"{field_name}, box: expected four numbers x0, y0, x1, y1, got {box!r:.60}")
    file = resolve_within(root, FileFinder(root).find(logo["path"]))
    corners = None
    if box is not None:
        (x0, x1), (y0, y1) = sorted(map(float, box[::2])), sorted(map(float, box[1::2]))
        corners = x0, y0, x1, y1
    return SourcePhoto(file, logo["path"], role=PhotoRole.LOGO, brand=brand, item_id=None, logo_kind=kind, logo_box=corners)
