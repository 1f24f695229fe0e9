"""The negative bank: matches that a reviewer rejected, so that the same photo or mark does not match again.

A rejected match is a signal, a brand, and the photo (or the mark in it) that was taken for that brand. Only that pairing is
silenced: the photo may still match otherwise, and the listing is judged by whatever else is found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from imgmatch.cells import undefused
from imgmatch.errors import ImageError, InputError
from imgmatch.images import load_image, perceptual_hash, resolve_within
from imgmatch.io.files import foreign_file, is_sha256
from imgmatch.io.tables import append_rows, read_table
from imgmatch.loading.photo import PhotoContext
from imgmatch.messages import Message
from imgmatch.records import ScanRecord
from imgmatch.types import Box, Finding, FindingStatus, Image
from imgmatch.vision.regions import crop

__all__ = ["NegativeBank", "NegativeRow", "rejected_matches"]

FILE = "negatives.csv"
"""Name of the bank in a catalog's folder."""

_PDQ_DISTANCE, _PDQ_QUALITY = 31, 50
"""Bits that hashes of the same picture may differ in, and the quality below which a hash says nothing.
Meta, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019."""


@dataclass(frozen=True, slots=True)
class NegativeRow:
    """One rejected match.

    Parameters
    ----------
    listing_id : str
        Where it was rejected.
    signal, brand : str
        What the finding said.
    photo : str
        sha256 of the photo.
    phash, mark : str
        PDQ hashes of the photo, and of the mark that the finding pointed to, in hex; empty where there is none or it has too
        little structure.
    reviewer, time : str
    """

    listing_id: str
    signal: str
    brand: str
    photo: str
    phash: str
    mark: str
    reviewer: str
    time: str

    def __post_init__(self) -> None:
        for name in ("phash", "mark"):
            if getattr(self, name) and not is_sha256(getattr(self, name)):
                raise InputError(f"{name}: expected 64 hex digits, got {getattr(self, name)!r:.80}")
        if not is_sha256(self.photo):
            raise InputError(f"photo: expected 64 hex digits, got {self.photo!r:.80}")
        if not self.signal:
            raise InputError("expected a signal")


_COLUMNS = tuple(f.name for f in fields(NegativeRow))


class NegativeBank:
    """Rejected matches, and what they silence.

    Parameters
    ----------
    rows : iterable of NegativeRow

    Attributes
    ----------
    fingerprint : str
        16 hex digits over all of them; empty where there are none.

    Notes
    -----
    A photo is the same where its bytes are, or where its perceptual hash is within the radius that PDQ's authors give; so
    is a mark. :meth:`silenced` costs nothing for listings that have no finding of a banked signal and brand.
    """

    def __init__(self, rows: Iterable[NegativeRow] = ()) -> None:
        self.rows = tuple(rows)
        self._of: dict[tuple[str, str], list[NegativeRow]] = {}
        for row in self.rows:
            self._of.setdefault((row.signal, row.brand), []).append(row)
        text = repr([astuple(r) for r in self.rows])
        self.fingerprint = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16] if self.rows else ""

    @classmethod
    def of_catalog(cls, folder: str | Path | None) -> NegativeBank:
        """Read the bank in a catalog's folder; an empty one where there is none.

        Raises
        ------
        InputError
            Where it holds something else, naming the row.
        """
        path = None if folder is None else foreign_file(folder, FILE)
        if path is None:
            return cls()
        rows = []
        for place, row in read_table(path):
            if isinstance(row, InputError):
                raise row
            try:
                rows.append(NegativeRow(**{name: undefused(str(row.get(name) or "")) for name in _COLUMNS}))
            except InputError as error:
                raise InputError(str(error), source=place) from error
        return cls(rows)

    @staticmethod
    def append(folder: str | Path, rows: Sequence[NegativeRow]) -> Path:
        """Append rejected matches to the bank of a catalog's folder; nothing is ever changed in it.

        Raises
        ------
        InputError
            Where the file is some other table, or cannot be written.
        """
        path = foreign_file(folder, FILE) or Path(folder) / FILE
        append_rows(path, (astuple(row) for row in rows), _COLUMNS, "a negative bank")
        return path

    def silenced(self, findings: Sequence[Finding], photos: Sequence[PhotoContext]) -> list[Finding]:
        """Return the findings, those that a reviewer rejected before as abstentions that say so."""
        known = {photo.photo_id: photo for photo in photos}

        def rejected(finding: Finding, rows: Sequence[NegativeRow]) -> NegativeRow | None:
            photo = known.get(finding.photo_id or "")
            if photo is None:
                return None
            phash = photo.phash[0] if photo.phash[1] >= _PDQ_QUALITY else ""
            for row in rows:
                if row.photo == photo.sha256 or _near(row.phash, phash):
                    return row
            marks = [row for row in rows if row.mark]
            mark = _mark_hash(finding, photo.image) if marks else ""
            return next((row for row in marks if _near(row.mark, mark)), None)

        return self._without(findings, rejected)

    def silenced_record(self, record: ScanRecord) -> list[Finding]:
        """Do the same to a stored record, by the hashes of its photos alone: marks in other photos are not looked at."""
        known = {p.photo_id: p for p in record.photos}

        def rejected(finding: Finding, rows: Sequence[NegativeRow]) -> NegativeRow | None:
            photo = known.get(finding.photo_id or "")
            if photo is None:
                return None
            return next((r for r in rows if r.photo == photo.sha256 or _near(r.phash, photo.phash or "")), None)

        return self._without(() if record.verdict is None else record.verdict.findings, rejected)

    def _without(
        self, findings: Sequence[Finding], rejected: Callable[[Finding, Sequence[NegativeRow]], NegativeRow | None]
    ) -> list[Finding]:
        out = []
        for finding in findings:
            rows = self._of.get((finding.signal, finding.brand or ""))
            row = rejected(finding, rows) if rows and finding.status is FindingStatus.OK else None
            if row is not None:
                reason = Message(
                    "{reviewer} rejected this match before, in listing {listing}: {reason}",
                    reviewer=row.reviewer or Message("A reviewer"),
                    listing=row.listing_id,
                    reason=finding.reason,
                )
                finding = replace(finding, status=FindingStatus.ABSTAINED, value=None, reason=reason, labels=())
            out.append(finding)
        return out


def rejected_matches(
    record: ScanRecord, signals: Sequence[str], photos: Path, *, reviewer: str = "", time: str = ""
) -> list[NegativeRow]:
    """Return what goes to the bank when a reviewer says that some findings of a listing were wrong.

    Parameters
    ----------
    record : ScanRecord
    signals : sequence of str
        Names of the findings, for example ``("logo_tamper",)``.
    photos : Path
        Folder that the record's photo paths are relative to.
    reviewer, time : str

    Raises
    ------
    InputError
        Where the record has no such finding on a photo, or a photo cannot be read.
    """
    paths = {p.photo_id: p for p in record.photos}
    rows = []
    for name in signals:
        held = [
            f
            for f in (() if record.verdict is None else record.verdict.findings)
            if f.signal == name and f.status is FindingStatus.OK and f.value and f.photo_id in paths
        ]
        if not held:
            raise InputError(f"listing {record.listing_id} has no finding {name!r} on a photo")
        for finding in held:
            photo = paths[finding.photo_id or ""]
            try:
                image = load_image(resolve_within(photos, photo.path), name=photo.path)
            except ImageError as error:
                raise InputError(f"{photo.path}: {error}; the bank needs the photo itself") from error
            phash, quality = perceptual_hash(image)
            mark = _mark_hash(finding, image)
            rows.append(
                NegativeRow(
                    record.listing_id,
                    name,
                    brand=finding.brand or "",
                    photo=image.sha256,
                    phash=phash if quality >= _PDQ_QUALITY else "",
                    mark=mark,
                    reviewer=reviewer,
                    time=time,
                )
            )
    return rows


def _mark_hash(finding: Finding, image: Image) -> str:
    """Hash the part of the photo that a finding points to; empty where it points to none or there is too little in it."""
    found = [x for key in ("regions", "readings") for x in _rows(finding.evidence.get(key)) if x.get("on") != "reference"]
    try:
        points = next(p for x in found if np.size(p := np.array(x.get("polygon") or (), float))).reshape(-1, 2)
    except (StopIteration, TypeError, ValueError):  # of a record that somebody else wrote
        return ""
    if not np.isfinite(points).all():
        return ""
    (x0, y0), (x1, y1) = np.clip(points.min(0), 0, None), np.minimum(points.max(0), (image.width, image.height))
    if x1 - x0 < 8 or y1 - y0 < 8:
        return ""
    phash, quality = perceptual_hash(crop(image, Box(float(x0), float(y0), float(x1), float(y1))))
    return phash if quality >= _PDQ_QUALITY else ""


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, (list, tuple)) else []


def _near(a: str, b: str) -> bool:
    return bool(a and b) and (int(a, 16) ^ int(b, 16)).bit_count() <= _PDQ_DISTANCE
