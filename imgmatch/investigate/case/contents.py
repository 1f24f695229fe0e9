"""What goes into a case file: photos and references by their hashes, listings and summary with facts and inference apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import imgmatch
from imgmatch.catalog.manifest import photo_path
from imgmatch.catalog.reading import read_photo
from imgmatch.cells import utc_time
from imgmatch.errors import CatalogCorruptError, ImageError
from imgmatch.images import load_image, resolve_within
from imgmatch.investigate.case.subject import Subject
from imgmatch.investigate.report import words
from imgmatch.investigate.rings.market import Market, asking_prices
from imgmatch.io.files import sha256_file
from imgmatch.messages import Message
from imgmatch.records import PhotoRecord, ScanRecord

__all__ = ["listing_row", "pack_photos", "pack_references", "summary_of"]

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


def pack_photos(
    rows: Iterable[ScanRecord], roots: Sequence[Path], files: dict[str, bytes | Path], missing: list[Message]
) -> dict[str, str]:
    """Add each photo as captured; return its name in the package by sha256."""
    names: dict[str, str] = {}
    for record in rows:
        for photo in record.photos:
            where = f"{words.plain(record.listing_id, 60)} {photo.photo_id}"
            if photo.sha256 is None:
                missing.append(Message("{photo}: could not be read when it was scanned", photo=where))
                continue
            if photo.sha256 in names:
                continue
            path = _find(photo, roots)
            if path is None:
                missing.append(Message("{photo}: the file is not where it was, or has changed since the scan", photo=where))
                continue
            names[photo.sha256] = f"photos/{photo.sha256}.{_suffix(path)}"
            files[names[photo.sha256]] = path
    return names


def pack_references(rows: Iterable[ScanRecord], catalog: Any, files: dict[str, bytes | Path]) -> dict[str, str]:
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


def listing_row(record: ScanRecord, photos: Mapping[str, str], references: Mapping[str, str]) -> dict[str, Any]:
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


def summary_of(
    subject: Subject,
    rows: Sequence[ScanRecord],
    *,
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
