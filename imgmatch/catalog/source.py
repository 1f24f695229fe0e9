"""Where a catalog comes from: a folder ``brand/item/photo.jpg``, or a manifest table; documented in docs/catalog.md.

Beside the items, either source may bring ``brands.jsonl`` (wordmarks, aliases, logos, official domains, authorised
sellers) and the folders ``background/``, ``negative/`` and ``known_offender/`` with photos of those roles. In a folder
source, ``brand/logo/`` holds pictures of the brand's marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imgmatch.catalog.items import Brand, Item, brand_ids
from imgmatch.errors import ImageError, InputError
from imgmatch.images import resolve_within
from imgmatch.io.files import PHOTO_SUFFIXES
from imgmatch.io.tables import TABLE_SUFFIXES, read_rows, read_table
from imgmatch.names import name_key, spelled
from imgmatch.types import PhotoRole

__all__ = ["Issue", "Source", "SourcePhoto", "read_source"]
_ROLE_FOLDERS = {str(r): r for r in (PhotoRole.BACKGROUND, PhotoRole.NEGATIVE, PhotoRole.KNOWN_OFFENDER)}
_LOGO_FOLDER = "logo"
_LOGO_SUFFIXES = PHOTO_SUFFIXES | {".svg"}
_MANIFEST_LISTS = frozenset({"photos", "official_sellers"})
_MANIFEST_OBJECTS = frozenset({"condition_prices"})


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
        Where the source as a whole cannot be used: missing, or without a single item.
    """
    source = Source(ids=brand_ids(known))
    if path.is_dir():
        root = path
        _read_brands(root, source)
        _read_folder(root, source)
    elif path.suffix.lower() in TABLE_SUFFIXES and path.is_file():
        root = path.parent
        _read_brands(root, source)
        _read_manifest(path, source)
    else:
        raise InputError(
            "no such source: expected a folder brand/item/photo.jpg, or a .csv / .jsonl / .parquet manifest",
            source=str(path),
        )
    for name, role in _ROLE_FOLDERS.items():
        for photo in _photos_in(root / name):
            source.photos.append(SourcePhoto(photo, f"{name}/{photo.name}", role))
    if not source.items:
        hint = source.issues[0].problem if source.issues else "a folder source is laid out as brand/item/photo.jpg"
        raise InputError(f"no item found; {hint}", source=str(path))
    return source


def _read_folder(root: Path, source: Source) -> None:
    for brand_dir in sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")):
        if brand_dir.name in _ROLE_FOLDERS:
            continue
        brand = source.brand(brand_dir.name).brand
        for item_dir in sorted(p for p in brand_dir.iterdir() if not p.name.startswith(".")):
            if not item_dir.is_dir():
                source.issues.append(Issue(str(item_dir), "left out: not inside a folder brand/item/"))
                continue
            role = PhotoRole.LOGO if item_dir.name == _LOGO_FOLDER else PhotoRole.REFERENCE
            item_id = None if role is PhotoRole.LOGO else f"{brand}/{item_dir.name}"
            for photo in _photos_in(item_dir, _LOGO_SUFFIXES if role is PhotoRole.LOGO else PHOTO_SUFFIXES):
                name = photo.relative_to(root).as_posix()
                source.photos.append(SourcePhoto(photo, name, role, brand, item_id))
            if item_id is not None:
                source.items[item_id] = Item(item_id, brand, model=item_dir.name, name=item_dir.name)


def _photos_in(folder: Path, suffixes: frozenset[str] = PHOTO_SUFFIXES) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file())


def _read_manifest(path: Path, source: Source) -> None:
    for place, row in read_table(path, _MANIFEST_LISTS, _MANIFEST_OBJECTS):
        try:
            if isinstance(row, InputError):
                raise row
            item, photos, sellers = _manifest_row(row, place)
            spelling, item = item.brand, replace(item, brand=source.brand_id(item.brand))
            known = source.items.get(item.item_id)
            if known is not None and known.brand != item.brand:
                raise InputError(f"item {item.item_id} has brand {known.brand} above and {item.brand} here", source=place)
        except InputError as error:
            source.issues.append(Issue(place, str(error).removeprefix(f"{place}: ")))
            continue
        source.items.setdefault(item.item_id, item)
        brand = source.brand(spelling)
        new = tuple(s for s in sellers if s not in brand.authorised_sellers)
        source.brands[item.brand] = replace(brand, authorised_sellers=brand.authorised_sellers + new)
        for name in photos:
            try:
                file = resolve_within(path.parent, name)
            except ImageError as error:
                source.issues.append(Issue(place, str(error)))
                continue
            source.photos.append(SourcePhoto(file, name, PhotoRole.REFERENCE, item.brand, item.item_id))


def _manifest_row(row: Mapping[str, Any], place: str) -> tuple[Item, list[str], list[tuple[str, str]]]:
    values = {k: v for k, v in row.items() if v is not None}
    for name in ("item_id", "brand"):
        if not isinstance(values.get(name), (str, int)) or values[name] == "":
            raise InputError(f"{name}: missing", source=place)
        values[name] = str(values[name])
    photos = values.pop("photos", [])
    if not isinstance(photos, list) or not photos or not all(isinstance(p, str) and p.strip() for p in photos):
        raise InputError("photos: expected at least one path", source=place)
    try:
        sellers = [(str(p), str(s)) for p, s in values.pop("official_sellers", [])]
    except (TypeError, ValueError) as error:
        raise InputError('official_sellers: expected [["platform", "seller id"], …]', source=place) from error
    try:
        if "price" in values:
            values["price"] = float(values["price"])
        values["condition_prices"] = {k: float(v) for k, v in values.get("condition_prices", {}).items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"prices: expected plain numbers such as 1299.00: {error}", source=place) from error
    known = {"item_id", "brand", "model", "variant", "category", "name", "price", "currency", "condition_prices", "url"}
    item = Item(**{k: v for k, v in values.items() if k in known}, extra={k: v for k, v in values.items() if k not in known})
    return item, photos, sellers


def _read_brands(root: Path, source: Source) -> None:
    path = root / "brands.jsonl"
    if not path.is_file():
        return
    for row in read_rows(path):
        logos = row.pop("logos", [])
        try:
            spelling = str(row.pop("brand"))
            name = source.brand_id(spelling)
            brand = Brand(
                brand=name,
                name=spelled(str(row.pop("name", spelling))),
                wordmarks=tuple(map(str, row.pop("wordmarks", []))),
                aliases=tuple(map(str, row.pop("aliases", []))),
                official_domains=tuple(map(str, row.pop("official_domains", []))),
                authorised_sellers=tuple((str(p), str(s)) for p, s in row.pop("authorised_sellers", [])),
                extra=row,
            )
            for logo in logos:
                box = tuple(float(x) for x in logo["box"]) if logo.get("box") else None
                file = resolve_within(root, logo["path"])
                source.photos.append(
                    SourcePhoto(file, logo["path"], PhotoRole.LOGO, name, None, logo.get("kind", "figure"), box)  # type: ignore[arg-type]
                )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"brand row not understood ({error!r}); see docs/catalog.md", source=str(path)) from error
        source.brands[name] = brand
    source.ids = {**brand_ids(source.brands.values()), **source.ids}
