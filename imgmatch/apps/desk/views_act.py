"""Sellers, rings, cases and notices: from what was found to what is done about it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, RedirectResponse

from imgmatch.apps.desk.app import Entered, Form
from imgmatch.apps.desk.desk import Desk
from imgmatch.apps.desk.jobs import Job, Say
from imgmatch.apps.desk.pages import page
from imgmatch.investigate.case.case import write_case
from imgmatch.investigate.case.seal import verify_package
from imgmatch.investigate.case.subject import Subject
from imgmatch.investigate.notices import (
    FORMATS,
    NOTICES,
    OTHER_REASON,
    Sender,
    notice_items,
    render_notice,
    template_text,
)
from imgmatch.investigate.report.rings_page import show_rings
from imgmatch.investigate.rings.market import Offer, asking_prices, photo_opener
from imgmatch.market.contacts import mask_contact
from imgmatch.signals import settings_of
from imgmatch.verdicts.negatives import NegativeBank

router = APIRouter()

_SHOWN = 200
_READ = 1000  # records of a seller that are read for contacts and prices


@router.get("/seller")
def seller(request: Request, session: Entered, platform: str = "", seller: str = "") -> Response:
    """Show all that the scans have of a seller."""
    desk: Desk = request.app.state.desk
    rows = desk.rows_of({(platform, seller)})
    if not rows or not seller:
        raise HTTPException(404, "no such seller in these scans")
    desk.decisions.sync(desk.index)
    records = [desk.index.record(row) for row in rows[:_READ]]
    contacts = sorted({mask_contact(c) for r in records for c in (*r.listing.contacts, *r.contacts)})
    return page(
        "seller.html",
        session,
        desk=desk,
        platform=platform,
        seller=seller,
        rows=rows[:_SHOWN],
        total=len(rows),
        decisions=Counter(row["decision"] for row in rows),
        brands=Counter(desk.brand(row["brand"]) for row in rows if row["brand"]).most_common(8),
        value=summed(desk, rows),
        months=_months(rows),
        contacts=contacts,
        rings=[r for r in desk.rings if any((s.platform, s.seller_id) == (platform, seller) for s in r.sellers)],
        notices=NOTICES,
    )


@router.get("/rings")
def rings(request: Request, session: Entered) -> Response:
    """List the rings."""
    desk: Desk = request.app.state.desk
    return page("rings_list.html", session, desk=desk, rings=desk.rings, named=desk.rings_path is not None)


@router.get("/ring/{ring_id}")
def ring(request: Request, session: Entered, ring_id: str) -> Response:
    """Show a ring: its graph, its sellers, what they share."""
    desk: Desk = request.app.state.desk
    found = desk.ring(ring_id)
    if found is None:
        raise HTTPException(404, "no such ring")
    [shown] = show_rings([found], photo_opener(desk.roots), {brand: desk.brand(brand) for brand in found.brands})
    return page("ring.html", session, desk=desk, shown=shown, ring=found, notices=NOTICES)


@router.post("/case")
def case(request: Request, session: Entered, form: Form) -> Response:
    """Begin to write a case about a seller or a ring."""
    desk: Desk = request.app.state.desk
    subject = _subject(desk, form)
    if subject.kind == "listing":
        raise HTTPException(422, "a case is about a seller or a ring")
    job = desk.jobs.start(
        f"case about {subject.kind} {subject.id}",
        session.reviewer,
        lambda job, say: _write(desk, subject, job, say),
        back=_page_of(subject),
    )
    desk.decisions.write("case", session.reviewer, text=f"{subject.kind} {subject.id}")
    return RedirectResponse(f"/job/{job.id}", 303)


@router.get("/job/{job_id}")
def job(request: Request, session: Entered, job_id: str) -> Response:
    """Show how far a piece of work is."""
    return page("job.html", session, job=_job(request, job_id))


@router.get("/job/{job_id}/state")
def state(request: Request, _: Entered, job_id: str) -> Response:
    """Tell how far a piece of work is, for the page's script."""
    found = _job(request, job_id)
    return JSONResponse({"done": found.done, "total": found.total, "step": found.step, "finished": found.finished})


@router.get("/job/{job_id}/case.zip")
def download(request: Request, _: Entered, job_id: str) -> Response:
    """Send a case that was written."""
    result = _job(request, job_id).result
    if not isinstance(result, dict) or not isinstance(result.get("path"), Path):
        raise HTTPException(404, "there is no case here")
    return FileResponse(result["path"], media_type="application/zip", filename=result["path"].name)


@router.post("/notice")
def notice(request: Request, session: Entered, form: Form) -> Response:
    """Draft a notice about what reviewers found right: shown, or sent as a file."""
    desk: Desk = request.app.state.desk
    subject, kind = _subject(desk, form), str(form.get("kind", ""))
    if kind not in NOTICES:
        raise HTTPException(422, "no such notice")
    rows = desk.rows_of(subject.sellers) if subject.kind != "listing" else [_listing(desk, subject.id)]
    found = [desk.index.record(row) for row in sorted(rows[:_READ], key=lambda row: row["id"])]
    records = {record.listing.key: record for record in found}  # seen twice: the last scan stands
    bank = NegativeBank.of_catalog(None if desk.catalog is None else desk.catalog.path)
    draft = notice_items(list(records.values()), desk.decisions.of, bank=bank, brand_name=desk.brand)
    sender = Sender(str(form.get("name", ""))[:100].strip(), str(form.get("email", ""))[:100].strip())
    wanted, code = str(form.get("form", "")), str(form.get("reason_code") or OTHER_REASON).strip()
    fill: dict[str, Any] = {"sender": sender, "template": desk.template(kind), "reason_code": code}
    if wanted in FORMATS:
        text = render_notice(kind, draft.items, wanted, **fill)
        desk.decisions.write("notice", session.reviewer, text=f"{kind} about {subject.kind} {subject.id}, {wanted}")
        headers = {"Content-Disposition": f'attachment; filename="notice-{kind}.{wanted}"'}
        return Response(text, media_type="application/octet-stream", headers=headers)
    text = render_notice(kind, draft.items, **fill) if draft.items else ""
    return page(
        "notice.html",
        session,
        back=_page_of(subject),
        kind=kind,
        notices=NOTICES,
        formats=FORMATS,
        draft=draft,
        text=text,
        fill=fill,
        form=form,
    )


@router.get("/template/{kind}.txt")
def template(request: Request, _: Entered, kind: str) -> Response:
    """Send the template of a notice that is in use, to be changed."""
    desk: Desk = request.app.state.desk
    if kind not in NOTICES:
        raise HTTPException(404, "no such notice")
    headers = {"Content-Disposition": f'attachment; filename="{kind}.txt"'}
    text = template_text(kind, desk.template(kind))
    return Response(text, media_type="application/octet-stream", headers=headers)


def _subject(desk: Desk, form: FormData) -> Subject:
    """Return what a form is about; only what the scans or the rings know."""
    ring_id, slug = str(form.get("ring", "")), str(form.get("listing", ""))
    if ring_id:
        found = desk.ring(ring_id)
        if found is None:
            raise HTTPException(404, "no such ring")
        return Subject("ring", found.ring_id, frozenset((s.platform, s.seller_id) for s in found.sellers), found)
    if slug:
        return Subject("listing", str(_listing(desk, slug)["slug"]), frozenset())
    platform, seller_id = str(form.get("platform", "")), str(form.get("seller", ""))
    if not seller_id or not desk.rows_of({(platform, seller_id)}):
        raise HTTPException(404, "no such seller in these scans")
    return Subject("seller", f"{platform}/{seller_id}" if platform else seller_id, frozenset({(platform, seller_id)}))


def _page_of(subject: Subject) -> tuple[str, str]:
    """Return the name and the address of the page about a subject."""
    if subject.kind == "listing":
        return "Listing", f"/listing/{subject.id}"
    if subject.kind == "ring":
        return "Ring", f"/ring/{subject.id}"
    [(platform, seller_id)] = subject.sellers
    return f"Seller {seller_id}", f"/seller?{urlencode({'platform': platform, 'seller': seller_id})}"


def _listing(desk: Desk, slug: str) -> Any:
    row = desk.index.row("SELECT * FROM listings WHERE slug = ?", (slug,))
    if row is None:
        raise HTTPException(404, "there is no such listing in these scans")
    return row


def _write(desk: Desk, subject: Subject, job: Job, say: Say) -> dict[str, Any]:
    """Write a case into the folder ``cases`` beside the labels, and check it."""
    say(0, 1, "reading the records")
    folder = desk.decisions.path.parent / "cases"
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", subject.id.lower())[:40].strip("-") or subject.kind
    path = folder / f"case-{name}-{job.id[:8]}.zip"
    paths = [scan.records_path for scan in desk.scans]
    rates = settings_of("listing", desk.config).rates
    packed = write_case(
        subject,
        paths,
        path,
        photo_roots=desk.roots,
        catalog=desk.catalog,
        run=dict(desk.scans[0].run) or None,
        rates=rates,
        progress=lambda done, total, what: say(done, total + 1, what),
    )
    say(job.total - 1, job.total, "checking what was written")
    seal = verify_package(path)
    say(job.total, job.total, "done")
    facts = packed.summary["facts"]
    return {"path": path, "seal": seal, "facts": facts, "missing": list(packed.missing), "bytes": path.stat().st_size}


def _job(request: Request, job_id: str) -> Job:
    found: Job | None = request.app.state.desk.jobs.get(job_id)
    if found is None:
        raise HTTPException(404, "this piece of work is no longer remembered")
    return found


def summed(desk: Desk, rows: Sequence[Any]) -> dict[str, float]:
    """Return the sum of asking prices by currency: in the index's own where it has one, else each as it was asked."""
    offers = (Offer("", row["price"], None, None) for row in rows)
    if not desk.index.currency:
        return asking_prices(offers, {}, None)[0]
    return {desk.index.currency: sum(row["value"] or 0 for row in rows)}


def _months(rows: Sequence[Any]) -> list[tuple[str, int, float]]:
    """Return listings by month, with each bar's height as a share of the highest, at most the last two years."""
    tally = Counter(row["day"][:7] for row in rows if row["day"])
    most = max(tally.values(), default=1)
    return [(month, n, n / most) for month, n in sorted(tally.items())[-24:]]
