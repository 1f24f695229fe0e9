"""Case files: all that is known about one seller or ring, in one sealed package a reader can check.

Facts (what was captured) and inference (what was computed from it) are kept apart throughout. The hashes show that nothing
was changed since packaging; they do not show where a photo or a text came from, nor when it was captured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imgmatch
from imgmatch.investigate.case.contents import listing_row, pack_photos, pack_references, summary_of
from imgmatch.investigate.case.pdf import write_pdf
from imgmatch.investigate.case.privacy import Masks, contacts_in
from imgmatch.investigate.case.seal import Seal, write_package
from imgmatch.investigate.case.subject import Subject, subject_records
from imgmatch.investigate.case.words import fact_rows, inference_rows, key_rows, line, next_steps, provenance_rows
from imgmatch.investigate.report import words
from imgmatch.investigate.report.listings import Entry, EntryMaker
from imgmatch.investigate.report.pages import environment
from imgmatch.investigate.report.pictures import Gallery
from imgmatch.investigate.report.rings_page import show_rings
from imgmatch.investigate.report.summary import strength
from imgmatch.investigate.rings import Ring
from imgmatch.investigate.rings.market import photo_opener
from imgmatch.messages import Message, language
from imgmatch.records import ScanRecord

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Case", "write_case"]

FORMAT = "imgmatch-case/1"

Progress = Callable[[int, int, str], None]

HASHES_SHOW = Message(
    "The hashes show integrity since packaging: verifying the package tells whether any byte of any file was changed, "
    "removed or added since. They do not show origin: not who took a photo or wrote a text, not when or where it was "
    "captured, and not that the capture was complete. A signature adds who sealed the package, if the key is known from "
    "elsewhere."
)

_DRAWN = 100
_SECTIONS = {
    "facts": Message("Facts, as captured"),
    "inference": Message("Inference, as computed"),
    "provenance": Message("What it was computed with"),
}


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
    lang: str = "en",
    progress: Progress | None = None,
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
    lang : str
        Language of ``case.html`` and ``case.pdf``, one of :func:`imgmatch.messages.languages`. What was captured, and what
        programs read, is the same in each.
    progress : callable, optional
        ``progress(done, total, what)`` as each step begins; a listing whose photos are packed, or that is drawn, is a step.

    Raises
    ------
    MissingExtraError
        Without the extra ``case``.

    Notes
    -----
    Reproducible: the same inputs and software give the same bytes. All times are from the records.
    """
    rows = subject_records(subject, records)
    files, missing = dict[str, bytes | Path](), list[Message]()
    steps = _Steps(progress, len(rows) + min(sum(r.verdict is not None for r in rows), _DRAWN) + 2)
    photo_names = pack_photos(steps.each(rows, "packing photos"), photo_roots, files, missing)
    reference_names = pack_references(rows, catalog, files)
    summary = summary_of(
        subject, rows, run=run, catalog=catalog, paths=records, packed=len(photo_names), missing=missing, floor=floor,
        currency=currency, rates=rates or {},
    )  # fmt: skip
    listings = [listing_row(r, photo_names, reference_names) for r in rows]
    if not show_contacts:
        mask = Masks({c for r in rows for c in (*r.listing.contacts, *r.contacts)} | contacts_in(listings))
        summary, listings, missing = mask(summary), mask(listings), [m.map(mask) for m in missing]
        rows = [ScanRecord.from_dict(mask(r.to_dict())) for r in rows]
        subject = _masked(subject, mask)
    files |= _for_programs(subject, summary, listings)
    called = {} if catalog is None else {brand_id: brand.name or brand_id for brand_id, brand in catalog.brands.items()}
    shown: dict[str, Any] = {
        "heading": _heading(subject),
        "hashes_show": HASHES_SHOW,
        "sections": _SECTIONS,
        "key": key_rows(summary, called),
        "next": next_steps(summary, ring=subject.ring is not None),
        "facts": fact_rows(summary),
        "inference": inference_rows(summary, called),
        "provenance": provenance_rows(summary),
        "table": [line(x) for x in listings],
        "entries": _entries(rows, photo_roots, catalog, steps),
    }
    rings = list(show_rings([subject.ring], photo_opener(photo_roots), called)) if subject.ring else []
    page = environment(lang).get_template("case.html")
    files["case.html"] = page.render(shown, rings=rings, missing=[words.plain(m, 200) for m in missing]).encode(
        "utf-8", "backslashreplace"
    )
    steps("writing the PDF")
    files["case.pdf"] = write_pdf(shown, language(lang), picture=_picture_bytes(files, photo_names, reference_names))
    steps("sealing the package")
    return Case(write_package(out, files, _about(subject, summary), key), summary, tuple(missing))


class _Steps:
    """Counts the steps of a case for who waits for it."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def __call__(self, what: str) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total, what)
        self._done += 1

    def each(self, rows: Sequence[ScanRecord], what: str) -> Iterator[ScanRecord]:
        for number, row in enumerate(rows, 1):
            self(f"{what}, listing {number:,} of {len(rows):,}")
            yield row


def _masked(subject: Subject, mask: Masks) -> Subject:
    ring = None if subject.ring is None else Ring.from_dict(mask(subject.ring.to_dict()))
    return replace(subject, id=mask(subject.id), ring=ring)


def _heading(subject: Subject) -> Message:
    name = words.plain(subject.id, 80)
    if subject.ring is None:
        return Message("Seller {name}", name=name)
    return Message("{count} sellers, {name}", count=len(subject.ring.sellers), name=name)


def _for_programs(subject: Subject, summary: Any, listings: Iterable[Any]) -> dict[str, bytes]:
    """Return the files that programs read, by their names in the package."""
    lines = b"".join(json.dumps(x, sort_keys=True).encode() + b"\n" for x in listings)
    ring = {} if subject.ring is None else {"ring.json": _json(subject.ring.to_dict())}
    return {"summary.json": _json(summary), "listings.jsonl": lines, **ring}


def _about(subject: Subject, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the manifest says of the package."""
    return {
        "format": FORMAT,
        "subject": {"kind": subject.kind, "id": subject.id},
        "as_of": summary["facts"]["last_seen"],
        "software": f"imgmatch {imgmatch.__version__}",
        "disclaimer": words.DISCLAIMER,
        "hashes_show": HASHES_SHOW,
    }


def _entries(rows: Sequence[ScanRecord], roots: Sequence[Path], catalog: Any, steps: _Steps) -> list[Entry]:
    examined = [r for r in rows if r.verdict is not None]
    ranked = sorted(examined, key=lambda r: strength(r.verdict), reverse=True)[:_DRAWN]  # type: ignore[arg-type]
    maker = EntryMaker(Gallery(roots, catalog), catalog)
    return [maker.entry(record, rank) for rank, record in enumerate(steps.each(ranked, "drawing evidence"), 1)]


def _picture_bytes(files: Mapping[str, bytes | Path], photos: Mapping[str, str], references: Mapping[str, str]) -> Any:
    def open_bytes(sha256: str | None) -> Path | None:
        name = photos.get(sha256 or "") or references.get(sha256 or "")
        content = files.get(name) if name else None
        return content if isinstance(content, Path) else None

    return open_bytes


def _json(value: Any) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=1) + "\n").encode("ascii")
