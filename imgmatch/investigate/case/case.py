"""Case files: all that is known about one seller or ring, in one sealed package a reader can check.

Facts (what was captured) and inference (what was computed from it) are kept apart throughout. The hashes show that nothing
was changed since packaging; they do not show where a photo or a text came from, nor when it was captured.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imgmatch
from imgmatch.catalog.manifest import photo_path
from imgmatch.catalog.reading import read_photo
from imgmatch.cells import utc_time
from imgmatch.errors import CatalogCorruptError, ImageError, InputError
from imgmatch.images import load_image, resolve_within
from imgmatch.investigate.case.pdf import write_pdf
from imgmatch.investigate.case.privacy import Masks, contacts_in
from imgmatch.investigate.case.seal import Seal, write_package
from imgmatch.investigate.case.words import fact_rows, inference_rows, line, provenance_rows
from imgmatch.investigate.report import words
from imgmatch.investigate.report.listings import Entry, EntryMaker, strength
from imgmatch.investigate.report.pages import environment
from imgmatch.investigate.report.pictures import Gallery
from imgmatch.investigate.report.rings_page import show_rings
from imgmatch.investigate.rings import Ring
from imgmatch.investigate.rings.market import Market, asking_prices, photo_opener
from imgmatch.io.files import sha256_file
from imgmatch.records import PhotoRecord, ScanRecord
from imgmatch.results import read_records

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Case", "Subject", "find_subject", "subject_records", "write_case"]

FORMAT = "imgmatch-case/1"

HASHES_SHOW = (
    "The hashes show integrity since packaging: verifying the package tells whether any byte of any file was changed, "
    "removed or added since. They do not show origin: not who took a photo or wrote a text, not when or where it was "
    "captured, and not that the capture was complete. A signature adds who sealed the package, if the key is known from "
    "elsewhere."
)

_DRAWN = 100
_SUFFIXES = {
    "JPEG": "jpg",
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tif",
    "AVIF": "avif",
    "HEIF": "heic",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a case is about.

    Parameters
    ----------
    kind : str
        ``seller`` or ``ring``.
    id : str
    sellers : frozenset of (platform, seller_id)
    ring : Ring or None
    """

    kind: str
    id: str
    sellers: frozenset[tuple[str, str]]
    ring: Ring | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """What was packed.

    Parameters
    ----------
    seal : Seal
    summary : mapping
        As ``summary.json`` has it.
    missing : tuple of str
        Photos that could not be packed, and why.
    """

    seal: Seal
    summary: Mapping[str, Any]
    missing: tuple[str, ...]


def find_subject(name: str, records: Sequence[Path], rings: Sequence[Ring] = ()) -> Subject:
    """Find the ring or seller of that name.

    Parameters
    ----------
    name : str
        A ring's id (or one it supersedes), a seller's id, or ``platform/seller id`` where platforms share one.
    records : sequence of Path
        ``records.jsonl`` files.
    rings : sequence of Ring

    Raises
    ------
    InputError
        Where there is no such seller or ring, or more than one.
    """
    for ring in rings:
        if name == ring.ring_id or name in ring.supersedes:
            return Subject("ring", ring.ring_id, frozenset((s.platform, s.seller_id) for s in ring.sellers), ring)
    found = set()
    for path in records:
        for record in read_records(path):
            key = (record.listing.platform or "", record.listing.seller_id or "")
            if name in (key[1], f"{key[0]}/{key[1]}"):
                found.add(key)
    if len(found) > 1:
        choices = ", ".join(f"{p}/{s}" for p, s in sorted(found))
        raise InputError(f"several platforms have a seller {name!r}; name one of {choices}")
    if not found:
        raise InputError(
            f"no seller or ring {name!r} in {', '.join(map(str, records))}" + ("" if rings else "; for a ring give --rings")
        )
    ((platform, seller),) = found
    return Subject("seller", f"{platform}/{seller}" if platform else seller, frozenset(found))


def write_case(
    subject: Subject,
    records: Sequence[Path],
    out: Path,
    *,
    photo_roots: Sequence[Path],
    catalog: Any = None,
    run: Mapping[str, Any] | None = None,
    floor: float | None = None,
    currency: str | None = None,
    rates: Mapping[str, float] | None = None,
    show_contacts: bool = False,
    key: Ed25519PrivateKey | None = None,
) -> Case:
    """Write a sealed case file.

    Parameters
    ----------
    subject : Subject
        From `find_subject`.
    records : sequence of Path
        ``records.jsonl`` files; a listing that comes again is taken as last captured.
    out : Path
        The zip: ``case.html``, ``case.pdf``, ``summary.json``, ``listings.jsonl``, ``ring.json``, ``photos/`` and
        ``references/`` by sha256, and the seal.
    photo_roots : sequence of Path
        Folders the photo paths are relative to. A photo whose bytes are not those of its sha256 any more is not packed.
    catalog : Catalog, optional
        For the references.
    run : mapping, optional
        ``run.json`` of the scan, for what it used.
    floor : float, optional
        With `currency`: whether the asking prices reach this sum is said.
    currency, rates
        See :func:`imgmatch.investigate.rings.market.asking_prices`.
    show_contacts : bool
        By default the contacts that the scan recognised, or that are recognised in the texts now, are masked wherever they
        stand and however they are written there. Photos stay as they were captured.
    key : Ed25519PrivateKey, optional
        Signs the manifest.

    Raises
    ------
    MissingExtraError
        Without the extra ``case``.

    Notes
    -----
    Reproducible: the same inputs and software give the same bytes. All times are from the records.
    """
    rows = subject_records(subject, records)
    files: dict[str, bytes | Path] = {}
    missing: list[str] = []
    photo_names = _pack_photos(rows, photo_roots, files, missing)
    reference_names = _pack_references(rows, catalog, files)
    summary = _summary(
        subject,
        rows,
        run=run,
        catalog=catalog,
        paths=records,
        packed=len(photo_names),
        missing=missing,
        floor=floor,
        currency=currency,
        rates=rates or {},
    )
    listings = [_listing(r, photo_names, reference_names) for r in rows]
    if not show_contacts:
        known = {c for r in rows for c in (*r.listing.contacts, *r.contacts)}
        mask = Masks(known | contacts_in(listings))
        summary, listings, missing = mask(summary), mask(listings), mask(missing)
        rows = [ScanRecord.from_dict(mask(r.to_dict())) for r in rows]
        ring = None if subject.ring is None else Ring.from_dict(mask(subject.ring.to_dict()))
        subject = replace(subject, id=mask(subject.id), ring=ring)
    files["summary.json"] = _json(summary)
    files["listings.jsonl"] = b"".join(json.dumps(x, sort_keys=True).encode() + b"\n" for x in listings)
    if subject.ring is not None:
        files["ring.json"] = _json(subject.ring.to_dict())
    entries = _entries(rows, photo_roots, catalog)
    name = words.plain(subject.id, 80)
    heading = f"Seller {name}" if subject.ring is None else f"{len(subject.ring.sellers)} sellers, {name}"
    page = (
        environment()
        .get_template("case.html")
        .render(
            summary=summary,
            heading=heading,
            rings=list(show_rings([subject.ring], photo_opener(photo_roots))) if subject.ring else [],
            entries=entries,
            table=[line(x) for x in listings],
            missing=[words.plain(m, 200) for m in missing],
            facts=fact_rows(summary),
            inference=inference_rows(summary),
            provenance=provenance_rows(summary),
            hashes_show=HASHES_SHOW,
        )
    )
    files["case.html"] = page.encode("utf-8")
    files["case.pdf"] = write_pdf(
        title=heading,
        statement=HASHES_SHOW,
        sections=[
            ("Facts, as captured", fact_rows(summary)),
            ("Inference, as computed", inference_rows(summary)),
            ("What it was computed with", provenance_rows(summary)),
        ],
        entries=entries,
        table=[line(x) for x in listings],
        picture=_picture_bytes(files, photo_names, reference_names),
    )
    about = {
        "format": FORMAT,
        "subject": {"kind": subject.kind, "id": subject.id},
        "as_of": summary["facts"]["last_seen"],
        "software": f"imgmatch {imgmatch.__version__}",
        "disclaimer": words.DISCLAIMER,
        "hashes_show": HASHES_SHOW,
    }
    return Case(write_package(out, files, about, key), summary, tuple(missing))


def subject_records(subject: Subject, paths: Sequence[Path]) -> list[ScanRecord]:
    """Return the subject's records, each listing once as last captured, in the order of time."""
    latest: dict[tuple[str, str, str], tuple[tuple[str, str], ScanRecord]] = {}
    for path in paths:
        for record in read_records(path):
            listing, key = record.listing, record.listing.key
            if key[:2] in subject.sellers:
                # Of two captures at one time the choice must not depend on the order they come in.
                age = (utc_time(listing.captured_at) or "", json.dumps(record.to_dict(), sort_keys=True))
                if key not in latest or age > latest[key][0]:
                    latest[key] = (age, record)
    order = sorted(latest, key=lambda k: (utc_time(latest[k][1].listing.listed_at) or "9999", *k))
    return [latest[k][1] for k in order]


def _pack_photos(
    rows: Iterable[ScanRecord], roots: Sequence[Path], files: dict[str, bytes | Path], missing: list[str]
) -> dict[str, str]:
    """Add each photo as captured; return its name in the package by sha256."""
    names: dict[str, str] = {}
    for record in rows:
        for photo in record.photos:
            where = f"{words.plain(record.listing_id, 60)} {photo.photo_id}"
            if photo.sha256 is None:
                missing.append(f"{where}: could not be read when it was scanned")
                continue
            if photo.sha256 in names:
                continue
            path = _find(photo, roots)
            if path is None:
                missing.append(f"{where}: the file is not where it was, or has changed since the scan")
                continue
            names[photo.sha256] = f"photos/{photo.sha256}.{_suffix(path)}"
            files[names[photo.sha256]] = path
    return names


def _pack_references(rows: Iterable[ScanRecord], catalog: Any, files: dict[str, bytes | Path]) -> dict[str, str]:
    names: dict[str, str] = {}
    for sha256 in sorted({sha for record in rows for sha in _references(record)}) if catalog is not None else ():
        if sha256 not in catalog.photos:
            continue
        try:
            read_photo(catalog.path, sha256)
        except CatalogCorruptError:
            continue
        path = photo_path(catalog.path, sha256)
        names[sha256] = f"references/{sha256}.{_suffix(path)}"
        files[names[sha256]] = path
    return names


def _references(record: ScanRecord) -> set[str]:
    if record.verdict is None:
        return set()
    shown = {c.photo for c in record.verdict.candidates[:1]}
    shown |= {
        f.evidence["reference_photo"] for f in record.verdict.findings if isinstance(f.evidence.get("reference_photo"), str)
    }
    return shown


def _find(photo: PhotoRecord, roots: Sequence[Path]) -> Path | None:
    for root in roots:
        try:
            path = resolve_within(root, photo.path)
            if path.is_file() and sha256_file(path) == photo.sha256:
                return path
        except (ImageError, OSError):
            continue
    return None


def _suffix(path: Path) -> str:
    """Name the format by the bytes: file names never come from the listing."""
    try:
        return _SUFFIXES.get(load_image(path, target_side=64).format, "bin")
    except ImageError:
        return "bin"


def _listing(record: ScanRecord, photos: Mapping[str, str], references: Mapping[str, str]) -> dict[str, Any]:
    row = record.to_dict()
    return {
        "listing_id": record.listing_id,
        "facts": {
            "listing": row["listing"],
            "photos": [{**p, "file": photos.get(p["sha256"] or "")} for p in row["photos"]],
            "contacts": row["contacts"],
        },
        "inference": {
            "status": record.status,
            "error": record.error,
            "verdict": row["verdict"],
            "references": {sha: references.get(sha) for sha in sorted(_references(record))},
            "catalog_version": record.catalog_version,
            "config_fingerprint": record.config_fingerprint,
        },
    }


def _summary(
    subject: Subject,
    rows: Sequence[ScanRecord],
    run: Mapping[str, Any] | None,
    catalog: Any,
    paths: Sequence[Path],
    packed: int,
    missing: Sequence[str],
    floor: float | None,
    currency: str | None,
    rates: Mapping[str, float],
) -> dict[str, Any]:
    market = Market(b"")
    for record in rows:
        market.add(record)
    value, unpriced = asking_prices((o for s in market.sellers for o in s.listings.values()), rates, currency)
    times = [t for r in rows for t in map(utc_time, (r.listing.listed_at, r.listing.captured_at)) if t]
    verdicts = [r.verdict for r in rows if r.verdict is not None]
    space = catalog.space.describe() if catalog is not None else None
    return {
        "facts": {
            "subject": {
                "kind": subject.kind,
                "id": subject.id,
                "supersedes": list(subject.ring.supersedes) if subject.ring else [],
            },
            "sellers": [
                {"platform": p, "seller_id": s, "listings": len(m.listings), "first_seen": m.first, "last_seen": m.last}
                for (p, s), m in sorted(zip(market.keys, market.sellers, strict=True), key=lambda pair: pair[0])
            ],
            "listings": len(rows),
            "asking_prices": value,
            "unpriced": unpriced,
            "floor": None
            if floor is None or currency is None
            else {"amount": floor, "currency": currency, "reached": value.get(currency, 0.0) >= floor},
            "first_seen": min(times, default=None),
            "last_seen": max(times, default=None),
            "photos_packed": packed,
            "photos_missing": list(missing),
        },
        "inference": {
            "note": words.DISCLAIMER,
            "decisions": dict(sorted(Counter(str(v.decision) for v in verdicts).items())),
            "not_examined": len(rows) - len(verdicts),
            "brands_presented": dict(sorted(Counter(v.brand for v in verdicts if v.brand).items())),
            "labels": dict(sorted(Counter(str(label) for v in verdicts for label in v.labels).items())),
        },
        "provenance": {
            "software": f"imgmatch {imgmatch.__version__}",
            "scan_software": f"imgmatch {run['imgmatch']}" if run and run.get("imgmatch") else None,
            "model": space,
            "catalog_versions": sorted({r.catalog_version for r in rows}),
            "config_fingerprints": sorted({r.config_fingerprint for r in rows}),
            "calibrations": sorted({v.calibration for v in verdicts if v.calibration}),
            "records": [{"name": path.name, "sha256": sha256_file(path)} for path in paths],
        },
    }


def _entries(rows: Sequence[ScanRecord], roots: Sequence[Path], catalog: Any) -> list[Entry]:
    examined = [r for r in rows if r.verdict is not None]
    ranked = sorted(examined, key=lambda r: strength(r.verdict), reverse=True)[:_DRAWN]  # type: ignore[arg-type]
    maker = EntryMaker(Gallery(roots, catalog), catalog)
    return [maker.entry(record, rank) for rank, record in enumerate(ranked, 1)]


def _picture_bytes(files: Mapping[str, bytes | Path], photos: Mapping[str, str], references: Mapping[str, str]) -> Any:
    def open_bytes(sha256: str | None) -> Path | None:
        name = photos.get(sha256 or "") or references.get(sha256 or "")
        content = files.get(name) if name else None
        return content if isinstance(content, Path) else None

    return open_bytes


def _json(value: Any) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=1) + "\n").encode("ascii")
