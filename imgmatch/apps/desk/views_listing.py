"""The page of one listing: its evidence, and what a reviewer decides about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from imgmatch.apps.console import without_contacts
from imgmatch.apps.desk.app import Entered, Form
from imgmatch.apps.desk.desk import Desk
from imgmatch.apps.desk.layers import blinks, layers
from imgmatch.apps.desk.pages import page
from imgmatch.apps.desk.queue import Filters
from imgmatch.apps.desk.session import Session
from imgmatch.errors import InputError
from imgmatch.investigate.case.privacy import Masks, contacts_in
from imgmatch.investigate.notices import NOTICES
from imgmatch.investigate.report import words
from imgmatch.investigate.report.listings import EntryMaker
from imgmatch.records import ScanRecord
from imgmatch.verdicts.explained import explain
from imgmatch.verdicts.labels import RANDOM, UNDO
from imgmatch.verdicts.negatives import NegativeBank, rejected_matches

router = APIRouter()

_OTHERS = 12
_TEXTS = ("title", "description", "promo_text")
_MISSES = 6


@dataclass(frozen=True, slots=True)
class Reason:
    """A finding in plain words: what it says, counts as and adds to the rank; `signal` where it can be said to be wrong."""

    name: str
    words: str
    counts_as: str
    adds: float | None
    signal: str


@router.get("/listing/{slug}")
def listing(request: Request, session: Entered, slug: str) -> Response:
    """Show a listing, its contacts masked."""
    return _show(request, session, slug)


@router.get("/listing/{slug}/evidence")
def evidence(request: Request, session: Entered, slug: str) -> Response:
    """Show the drawings of a listing's findings: a part of its page that is fetched when the rest is shown."""
    desk: Desk = request.app.state.desk
    record = desk.index.record(_row(desk, slug))
    if record.verdict is None:
        raise HTTPException(404)
    masked = _masked(record)
    entry = EntryMaker(desk.gallery, desk.catalog).entry(masked)
    return page("evidence.html", session, entry=entry, layers=layers(entry), blinks=blinks(desk.gallery, masked))


@router.post("/listing/{slug}/contacts")
def contacts(request: Request, session: Entered, form: Form, slug: str) -> Response:
    """Show a listing with its contacts; who asked is written down."""
    desk: Desk = request.app.state.desk
    row = _row(desk, slug)
    desk.decisions.write("contacts", session.reviewer, _key(desk, row))
    return _show(request, session, slug, unmasked=True)


@router.post("/listing/{slug}/decide")
def decide(request: Request, session: Entered, form: Form, slug: str) -> Response:
    """Write a decision down and go on to what comes next in the view."""
    desk: Desk = request.app.state.desk
    row, filters = _row(desk, slug), _view(form)
    _, after, place, _ = desk.queue.around(filters, session.reviewer, row["id"])
    label = str(form.get("label"))
    if label in ("confirm", "reject"):
        key = _key(desk, row)
        sampled = filters.sampled_by if place else "flagged"  # a listing from elsewhere was not drawn by this view
        if any(r.sampled_by == RANDOM for r in desk.decisions.of(key)):
            sampled = RANDOM  # it was drawn at random once: a second look does not change that
        desk.decisions.decide(key, label, session.reviewer, sampled)
        desk.undo.setdefault(session.reviewer, []).append(slug)
    elif label != "skip":
        raise HTTPException(422)
    if after is None:
        return RedirectResponse(f"/queue{_joined(filters.address(), 'said=end')}", 303)
    [following] = desk.queue.rows([after])
    return RedirectResponse(f"/listing/{following['slug']}{filters.address()}", 303)


@router.post("/listing/{slug}/undo")
def undo(request: Request, session: Entered, form: Form, slug: str) -> Response:
    """Take back this reviewer's decision about this listing, or else their last one, by a new row."""
    desk: Desk = request.app.state.desk
    filters, mine = _view(form), desk.undo.setdefault(session.reviewer, [])
    for candidate in [slug, *reversed(mine)]:
        row = desk.index.row("SELECT * FROM listings WHERE slug = ?", (candidate,))
        if row is not None:
            key = _key(desk, row)
            if any(r.reviewer == session.reviewer for r in desk.decisions.of(key)):
                desk.decisions.decide(key, UNDO, session.reviewer, "")
                desk.undo[session.reviewer] = [s for s in mine if s != candidate]
                return RedirectResponse(f"/listing/{candidate}{_joined(filters.address(), 'said=undone')}", 303)
    return RedirectResponse(f"/listing/{slug}{_joined(filters.address(), 'said=nothing')}", 303)


@router.post("/listing/{slug}/note")
def note(request: Request, session: Entered, form: Form, slug: str) -> Response:
    """Write a note down."""
    desk: Desk = request.app.state.desk
    text = str(form.get("text", "")).strip()[:2000]
    if text:
        desk.decisions.write("note", session.reviewer, _key(desk, _row(desk, slug)), text)
    return RedirectResponse(f"/listing/{slug}{_joined(_view(form).address(), 'said=noted' if text else '')}", 303)


@router.post("/listing/{slug}/wrong")
def wrong(request: Request, session: Entered, form: Form, slug: str) -> Response:
    """Put a finding that was wrong into the negative bank of the catalog that was scanned against."""
    desk: Desk = request.app.state.desk
    if desk.catalog is None:
        raise InputError("there is no catalog whose negative bank could take it; start the desk with --catalog")
    row, signal = _row(desk, slug), str(form.get("signal", ""))
    record = desk.index.record(row)
    root = desk.scans[row["scan"]].photo_root
    from imgmatch.apps.desk.decisions import now

    rows = rejected_matches(record, [signal], root, reviewer=session.reviewer, time=now())
    NegativeBank.append(desk.catalog.path, rows)
    desk.decisions.write("wrong", session.reviewer, record.listing.key, signal)
    return RedirectResponse(f"/listing/{slug}{_joined(_view(form).address(), 'said=wrong')}", 303)


def _show(request: Request, session: Session, slug: str, *, unmasked: bool = False) -> Response:
    desk: Desk = request.app.state.desk
    desk.refresh()
    row = _row(desk, slug)
    filters = Filters.read(request.query_params)
    before, after, place, total = desk.queue.around(filters, session.reviewer, row["id"])
    slugs = {r["id"]: r["slug"] for r in desk.queue.rows([i for i in (before, after) if i is not None])}
    record = desk.index.record(row)
    shown = record if unmasked else _masked(record)
    best = record.verdict.candidates[0].photo if record.verdict and record.verdict.candidates else ""
    return page(
        "listing.html",
        session,
        said=request.query_params.get("said"),
        desk=desk,
        row=row,
        record=shown,
        reference=best if desk.catalog is not None and best in desk.catalog.photos else "",
        reasons=_reasons(desk, shown),
        contacts=[str(c) for c in (*record.listing.contacts, *record.contacts)] if unmasked else _masks(record),
        unmasked=unmasked,
        hidden=not unmasked and any(getattr(shown.listing, k) != getattr(record.listing, k) for k in _TEXTS),
        filters=filters,
        before=slugs.get(before or 0),
        after=slugs.get(after or 0),
        place=place,
        total=total,
        decisions=desk.decisions.of(record.listing.key),
        events=desk.events_of(record.listing.key),
        misses=_misses(desk, record),
        others=_others(desk, row),
        rings=[r for r in desk.rings if any((s.platform, s.seller_id) == record.listing.key[:2] for s in r.sellers)],
        notices=NOTICES,
    )


def _row(desk: Desk, slug: str) -> Any:
    row = desk.index.row("SELECT * FROM listings WHERE slug = ?", (slug,))
    if row is None:
        raise HTTPException(404, "there is no such listing in these scans")
    desk.decisions.sync(desk.index)
    return row


def _key(desk: Desk, row: Any) -> tuple[str, str, str]:
    return desk.index.record(row).listing.key


def _view(form: FormData) -> Filters:
    from urllib.parse import parse_qsl

    return Filters.read(dict(parse_qsl(str(form.get("view", "")).lstrip("?"))))


def _joined(address: str, more: str) -> str:
    return address if not more else f"{address}&{more}" if address else f"?{more}"


def _masked(record: ScanRecord) -> ScanRecord:
    """Return a record in whose texts no contact can be read; its photos are the same."""
    row = record.to_dict()
    mask = Masks({*record.listing.contacts, *record.contacts} | contacts_in([row["listing"]]))
    verdict = row["verdict"] and {
        **row["verdict"],
        "reasons": mask(row["verdict"]["reasons"]),
        "findings": [
            {**f, "reason": mask(f["reason"]), "evidence": mask(f["evidence"])} for f in row["verdict"]["findings"]
        ],
    }
    listing = mask(row["listing"])
    for name in _TEXTS:  # also what could be a contact, and is none that the reader knows
        listing[name] = listing[name] and without_contacts(listing[name])
    return replace(ScanRecord.from_dict({**row, "listing": listing, "verdict": verdict}), photos=record.photos)


def _masks(record: ScanRecord) -> list[str]:
    from imgmatch.market.contacts import mask_contact

    known = {*record.listing.contacts, *record.contacts} | contacts_in([record.to_dict()["listing"]])
    return sorted(map(mask_contact, known))


def _reasons(desk: Desk, record: ScanRecord) -> list[Reason]:
    """Return what was found, what counts first; what could not tell is left to the drawings below."""
    if record.verdict is None:
        return []
    order = {"strong": 0, "weak": 1, "note": 2, "claim": 3, "": 4}
    parts = sorted(explain(record.verdict, desk.rules).parts, key=lambda p: (order[p.counts_as], -(p.finding.value or 0)))
    return [
        Reason(
            words.signal_words(p.finding.signal),
            words.plain(p.finding.reason, 400),
            p.counts_as,
            p.adds,
            p.finding.signal if p.finding.photo_id and p.finding.value else "",
        )
        for p in parts
        if p.finding.value is not None and (p.counts_as or (p.adds or 0) > 0)
    ]


def _misses(desk: Desk, record: ScanRecord) -> list[tuple[Any, str]]:
    """Return the items that came next: what the listing was nearly taken for."""
    if record.verdict is None or desk.catalog is None:
        return []
    found = [c for c in record.verdict.candidates if c.item_id != record.verdict.item_id and c.photo in desk.catalog.photos]
    names = {i: item.name or i for i, item in desk.catalog.items.items() if any(c.item_id == i for c in found[:_MISSES])}
    return [(c, names.get(c.item_id, c.item_id)) for c in found[:_MISSES]]


def _others(desk: Desk, row: Any) -> list[Any]:
    if not row["seller"]:
        return []
    query = "SELECT * FROM listings WHERE seller = ? AND platform = ? AND id != ? ORDER BY strength DESC, id LIMIT ?"
    return desk.index.rows(query, (row["seller"], row["platform"], row["id"], _OTHERS))
