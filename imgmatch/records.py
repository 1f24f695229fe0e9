"""Rows: a listing as the user gave it, a photo of it, and the record a scan writes.

Every row type turns into plain JSON and back without loss; fields that this version does not know survive in ``extra``.
A sentence for people stands there as English text, and beside it under ``messages`` as id and parameters, by the name of
its field, for other languages (:mod:`imgmatch.messages`).
The JSON schema of a record is ``imgmatch/schemas/record.schema.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from imgmatch.cells import as_id, as_json, as_price, as_text, as_texts
from imgmatch.errors import InputError
from imgmatch.messages import Message
from imgmatch.types import Basis, Candidate, Decision, Finding, FindingStatus, Label, Verdict
from imgmatch.types.checked import checked
from imgmatch.types.verdicts import brief

__all__ = ["SCHEMA_VERSION", "Listing", "PhotoRecord", "Said", "ScanRecord"]

SCHEMA_VERSION = "1.0"


@dataclass(frozen=True, slots=True)
class Listing:
    """One offer on a platform, as the user's table gave it; all but the id is optional.

    Parameters
    ----------
    listing_id : str
    photos, promo_photos : tuple of str
        Paths as the table has them, relative to the table. Promo photos are those of the post or story that links here.
    title, description, promo_text : str or None
    price : str, int, float or None
        As written (``"€1.299,00"``), the listing signal reads it; a number is that amount.
    currency, condition, quantity, seller_id, platform, url, brand_claim : str or None
    contacts : tuple of str
    listed_at, captured_at : str or None
        ISO 8601; a date of a typed table is written so.
    extra : mapping
        Columns that imgmatch does not know, as plain JSON.
    """

    listing_id: str
    photos: tuple[str, ...] = ()
    title: str | None = None
    description: str | None = None
    price: str | float | None = None
    currency: str | None = None
    condition: str | None = None
    quantity: str | None = None
    seller_id: str | None = None
    platform: str | None = None
    url: str | None = None
    brand_claim: str | None = None
    promo_photos: tuple[str, ...] = ()
    promo_text: str | None = None
    contacts: tuple[str, ...] = ()
    listed_at: str | None = None
    captured_at: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _LISTS:
            value = getattr(self, name)
            if isinstance(value, (str, bytes)):
                raise TypeError(
                    f"{name}: expected a list of texts, got the text {value!r:.60}; write {name}=[{value!r:.60}]"
                )
            if not isinstance(value, tuple):
                object.__setattr__(self, name, tuple(value))
        for name in _TEXTS:
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name}: expected text as written, such as {str(value)!r:.60}, got {value!r:.60}")
        if self.price is not None and not isinstance(self.price, (str, int, float)):
            raise TypeError(f"price: expected text as written or a number, got {self.price!r:.60}")

    __repr__ = brief

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells a listing from all others: platform, seller and id, empty where not known."""
        return self.platform or "", self.seller_id or "", self.listing_id

    @property
    def photo_only(self) -> bool:
        """Whether nothing is known but the photos; such a listing is capped at review."""
        return not any((self.title, self.description, self.price, self.seller_id, self.url, self.brand_claim))

    @property
    def texts(self) -> dict[str, str]:
        """The offer's own texts by what they are called, those that are there."""
        named = {
            Message("title"): self.title,
            Message("description"): self.description,
            Message("promo text"): self.promo_text,
        }
        return {name: text for name, text in named.items() if text}

    def to_dict(self) -> dict[str, Any]:
        return _to_dict(self)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Listing:
        """Make a listing of a JSON object.

        Raises
        ------
        InputError
            Where a cell cannot mean what its field holds, see :mod:`imgmatch.cells`.
        """
        known = set(_names(cls)) - {"extra"}
        values: dict[str, Any] = {}
        for name in known & set(row):
            read = _CELLS.get(name) or as_text
            values[name] = read(name, row[name])
        if not values.get("listing_id"):
            raise InputError(Message("listing_id: missing or empty"))
        return cls(**values, extra={k: as_json(row[k]) for k in row if k not in known})


_CELLS: Mapping[str, Callable[[str, Any], Any]] = {
    "listing_id": as_id,
    "seller_id": as_id,
    "price": as_price,
    "photos": as_texts,
    "promo_photos": as_texts,
    "contacts": as_texts,
}
_LISTS = frozenset({"photos", "promo_photos", "contacts"})
_TEXTS = tuple(f.name for f in fields(Listing) if f.name not in _LISTS | {"price", "extra"})


@dataclass(frozen=True, slots=True)
class PhotoRecord:
    """One photo of a listing: what was read, or why it could not be.

    Parameters
    ----------
    photo_id : str
        ``photo-1`` … or ``promo-1`` …, by position in the listing.
    role : str
        ``listing`` or ``promo``.
    path : str
        As the table has it.
    sha256, phash : str or None
        Hex digest of the file; 256-bit PDQ hash in hex. None where the photo could not be read.
    width, height : int or None
        Original upright pixels.
    status : str
        ``ok`` or ``failed``.
    error : str or None
    """

    photo_id: str
    role: str
    path: str
    sha256: str | None = None
    phash: str | None = None
    width: int | None = None
    height: int | None = None
    status: str = "ok"
    error: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return _to_dict(self)


@dataclass(frozen=True, slots=True)
class ScanRecord:
    """Exactly one per listing, in input order: the truth of a scan.

    Parameters
    ----------
    listing : Listing
    status : str
        ``ok`` or ``failed``.
    error : str or None
        Why the row failed.
    verdict : Verdict or None
        None where the row failed.
    photos : tuple of PhotoRecord
    contacts : tuple of str
        Contacts found in photos and text, on request only.
    catalog_version, config_fingerprint : str
    """

    listing: Listing
    status: str = "ok"
    error: str | None = None
    verdict: Verdict | None = None
    photos: tuple[PhotoRecord, ...] = ()
    contacts: tuple[str, ...] = ()
    catalog_version: str = ""
    config_fingerprint: str = ""
    schema_version: str = SCHEMA_VERSION
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ScanRecord({self.listing_id!r}, {str(self.decision or 'failed')!r}, reasons={self.reasons!r})"

    @property
    def listing_id(self) -> str:
        return self.listing.listing_id

    @property
    def decision(self) -> Decision | None:
        """The verdict's decision; None where the row failed, see `error`."""
        return None if self.verdict is None else self.verdict.decision

    @property
    def reasons(self) -> tuple[str, ...]:
        """The verdict's reasons, in the order in which they count; for a failed row the error."""
        return self.verdict.reasons if self.verdict else (self.error or "failed",)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``records.jsonl`` holds on one line."""
        return {
            "schema_version": self.schema_version,
            "listing_id": self.listing_id,
            "status": self.status,
            "error": None if self.error is None else str(self.error),
            **({"messages": {"error": self.error.to_dict()}} if isinstance(self.error, Message) else {}),
            "listing": self.listing.to_dict(),
            "verdict": None if self.verdict is None else verdict_to_dict(self.verdict),
            "photos": [p.to_dict() for p in self.photos],
            "contacts": list(self.contacts),
            "catalog_version": self.catalog_version,
            "config_fingerprint": self.config_fingerprint,
            **self.extra,
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> ScanRecord:
        """Make a record of a line of ``records.jsonl``; unknown fields go to ``extra``.

        Raises
        ------
        InputError
            Where the row is not a record.
        """
        try:
            known = {*_names(cls), "listing_id", "messages"}
            record = cls(
                listing=Listing.from_dict(row["listing"]),
                status=row["status"],
                error=_with_messages({"error": row.get("error")}, row)["error"],
                verdict=None if row.get("verdict") is None else verdict_from_dict(row["verdict"]),
                photos=tuple(_from_dict(PhotoRecord, p) for p in row.get("photos", ())),
                contacts=_as_tuple(row.get("contacts", ())),
                catalog_version=row.get("catalog_version", ""),
                config_fingerprint=row.get("config_fingerprint", ""),
                schema_version=row.get("schema_version", SCHEMA_VERSION),
                extra={k: row[k] for k in row if k not in known},
            )
            return checked(record)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            what = "a field is missing or of another type" if isinstance(error, (TypeError, AttributeError)) else str(error)
            what = f"it has no {what}" if isinstance(error, KeyError) else what
            raise InputError(f"not a scan record: {what}") from error


def verdict_to_dict(verdict: Verdict) -> dict[str, Any]:
    row = _to_dict(verdict)
    row["candidates"] = [_to_dict(c) for c in verdict.candidates]
    row["findings"] = [_to_dict(f) for f in verdict.findings]
    return row


def verdict_from_dict(row: Mapping[str, Any]) -> Verdict:
    verdict: Verdict = _from_dict(
        Verdict,
        {
            **row,
            "decision": Decision(row["decision"]),
            "basis": Basis(row["basis"]),
            "labels": tuple(map(Label, row.get("labels", ()))),
            "candidates": tuple(_from_dict(Candidate, c) for c in row.get("candidates", ())),
            "findings": tuple(finding_from_dict(f) for f in row.get("findings", ())),
        },
    )
    return verdict


Said = tuple[Sequence[Candidate], list[Finding]]
"""What all signals said of a listing: the candidates proposed, best first, and the findings."""


def said_to_dict(said: Said) -> dict[str, Any]:
    return {"candidates": [_to_dict(c) for c in said[0]], "findings": [_to_dict(f) for f in said[1]]}


def said_from_dict(row: Mapping[str, Any]) -> Said:
    return tuple(_from_dict(Candidate, c) for c in row["candidates"]), [finding_from_dict(f) for f in row["findings"]]


def finding_from_dict(row: Mapping[str, Any]) -> Finding:
    known = {name: row[name] for name in _names(Finding) if name in row}
    known["status"] = FindingStatus(known["status"])
    known["labels"] = tuple(map(Label, known.get("labels", ())))
    return checked(Finding(**_with_messages(known, row)))


def _to_dict(row: Any) -> dict[str, Any]:
    """Plain JSON of one flat row; tuples become lists, enums their values, ``extra`` is folded back in."""
    out: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for name in _names(type(row)):
        value = getattr(row, name)
        if name == "extra":
            continue
        if isinstance(value, Message):
            messages[name] = value.to_dict()
        if isinstance(value, tuple):
            if any(isinstance(v, Message) for v in value):
                messages[name] = [v.to_dict() if isinstance(v, Message) else None for v in value]
            value = [str(v) if isinstance(v, str) else v for v in value]
        elif isinstance(value, str):
            value = str(value)
        elif isinstance(value, Mapping):
            value = dict(value)
        out[name] = value
    return {**out, **({"messages": messages} if messages else {}), **getattr(row, "extra", {})}


def _from_dict(cls: Any, row: Mapping[str, Any]) -> Any:
    names = _names(cls)
    values = {k: _as_tuple(v) for k, v in row.items() if k in names and k != "extra"}
    if "extra" in names:
        values["extra"] = {k: row[k] for k in row if k not in names and k != "messages"}
    return checked(cls(**_with_messages(values, row)))


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _with_messages(values: dict[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Make messages again of the texts that were messages."""
    for name, said in row.get("messages", {}).items():
        text = values[name]
        if isinstance(text, str):
            values[name] = Message.from_dict(text, said)
        else:
            values[name] = tuple(Message.from_dict(t, s) if s else t for t, s in zip(text, said, strict=True))
    return values


_FIELDS: dict[type, tuple[str, ...]] = {}


def _names(cls: type) -> tuple[str, ...]:
    """Return the names of a dataclass's fields; asked a hundred times per record."""
    if cls not in _FIELDS:
        _FIELDS[cls] = tuple(f.name for f in fields(cls))
    return _FIELDS[cls]
