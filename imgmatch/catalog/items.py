"""Rows of a catalog: items, brands and photos, as ``items.jsonl``, ``brands.jsonl`` and ``photos.jsonl`` hold them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from imgmatch.errors import InputError
from imgmatch.names import name_key
from imgmatch.types import PhotoRole

__all__ = ["Brand", "CatalogPhoto", "Item", "LogoReference", "brand_ids"]


@dataclass(frozen=True, slots=True)
class Item:
    """One authentic product.

    Parameters
    ----------
    item_id : str
        Unique in the catalog.
    brand : str
        The brand's id, see :class:`Brand`.
    model, variant, category : str or None
        ``variant`` is a colour or material of one ``model``.
    name : str or None
        For people.
    price : float or None
        Reference price, new, in `currency`.
    currency : str or None
        ISO 4217.
    condition_prices : mapping of str to float
        Usual price by condition, for example ``{"used": 900.0}``; second-hand goods are compared with these.
    url : str or None
    photos : tuple of str
        sha256 of its photos, in source order.
    extra : mapping
        Manifest columns that imgmatch does not know.
    """

    item_id: str
    brand: str
    model: str | None = None
    variant: str | None = None
    category: str | None = None
    name: str | None = None
    price: float | None = None
    currency: str | None = None
    condition_prices: Mapping[str, float] = field(default_factory=dict)
    url: str | None = None
    photos: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogoReference:
    """A picture of one mark of a brand.

    Parameters
    ----------
    photo : str
        sha256 of the picture, stored in the catalog with role ``logo``.
    kind : str
        ``wordmark``, ``figure``, ``combined`` or ``monogram`` (a mark that repeats all over a canvas).
    box : tuple of float or None
        (x0, y0, x1, y1) of the mark in that picture; None for the whole picture.
    """

    photo: str
    kind: str = "figure"
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Brand:
    """One brand and what identifies it.

    Parameters
    ----------
    brand : str
        Id: lower-case, as in folder names.
    name : str
        For people.
    wordmarks : tuple of str
        The exact lettering of its marks, for example ``("LOUIS VUITTON",)``; what tampering is judged against.
    aliases : tuple of str
        Other names that claim the brand in text, in any script (``LV``, ``路易威登``).
    logos : tuple of LogoReference
    official_domains : tuple of str
        Registrable domains, for example ``louisvuitton.com``.
    authorised_sellers : tuple of (platform, seller_id)
        Exact pairs; never display names.
    """

    brand: str
    name: str = ""
    wordmarks: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    logos: tuple[LogoReference, ...] = ()
    official_domains: tuple[str, ...] = ()
    authorised_sellers: tuple[tuple[str, str], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CatalogPhoto:
    """One photo of the catalog.

    Parameters
    ----------
    sha256 : str
        Of the stored file.
    role : PhotoRole
    item_id, brand : str or None
        Set for references and logos; a background photo may have neither.
    name : str
        Path in the source, for people.
    width, height : int
        Original upright pixels.
    phash : str
        256-bit PDQ hash in hex.
    phash_quality : int
        PDQ quality in [0, 100]; below 50 the hash says little (flat pictures).
    """

    sha256: str
    role: PhotoRole
    item_id: str | None
    brand: str | None
    name: str
    width: int
    height: int
    phash: str
    phash_quality: int
    extra: Mapping[str, Any] = field(default_factory=dict)


def brand_ids(brands: Iterable[Brand]) -> dict[str, str]:
    """Return brands' ids by the `name_key` of their ids and names, and of wordmarks and aliases that are no brand's name."""
    known = list(brands)
    ids = {name_key(name): b.brand for b in reversed(known) for name in (b.name, b.brand) if name}
    return {**{name_key(name): b.brand for b in reversed(known) for name in (*b.aliases, *b.wordmarks)}, **ids}


def to_row(value: Item | Brand | CatalogPhoto) -> dict[str, Any]:
    """Return plain JSON; fields that are empty are left out, unknown ones are folded back in."""
    row: dict[str, Any] = {}
    for f in fields(value):
        x = getattr(value, f.name)
        if f.name == "extra" or x in (None, (), {}):
            continue
        if f.name == "logos":
            x = [{k: v for k, v in (("photo", g.photo), ("kind", g.kind), ("box", g.box)) if v is not None} for g in x]
        elif f.name == "authorised_sellers":
            x = [list(pair) for pair in x]
        elif isinstance(x, tuple):
            x = list(x)
        elif isinstance(x, Mapping):
            x = dict(x)
        elif isinstance(x, PhotoRole):
            x = str(x)
        row[f.name] = x
    return {**row, **value.extra}


def item_from_row(row: Mapping[str, Any]) -> Item:
    return Item(**_values(Item, row))


def brand_from_row(row: Mapping[str, Any]) -> Brand:
    values = _values(Brand, row)
    values["logos"] = tuple(
        LogoReference(g["photo"], g.get("kind", "figure"), tuple(g["box"]) if g.get("box") else None)
        for g in values.get("logos", ())
    )
    values["authorised_sellers"] = tuple((p, s) for p, s in values.get("authorised_sellers", ()))
    return Brand(**values)


def photo_from_row(row: Mapping[str, Any]) -> CatalogPhoto:
    values = _values(CatalogPhoto, {"item_id": None, "brand": None, **row})
    values["role"] = PhotoRole(values["role"])
    return CatalogPhoto(**values)


def _values(cls: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise InputError(f"expected a JSON object, got {row!r:.80}")
    names = {f.name for f in fields(cls)} - {"extra"}
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items() if k in names}
    values["extra"] = {k: v for k, v in row.items() if k not in names}
    return values
