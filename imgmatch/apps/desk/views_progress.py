"""Progress: who decided what, what a calibration still needs, and a calibration fitted again."""

from __future__ import annotations

from datetime import datetime, timezone

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from imgmatch.apps.desk.app import Entered, Form
from imgmatch.apps.desk.desk import Desk
from imgmatch.apps.desk.jobs import Job, Say
from imgmatch.apps.desk.pages import page
from imgmatch.apps.desk.progress import progress_of
from imgmatch.errors import InputError
from imgmatch.fit.reviews import Refit, fit_reviews
from imgmatch.verdicts.labels import read_labels
from imgmatch.verdicts.negatives import NegativeBank

router = APIRouter()

CALIBRATION = "calibration.json"  # what scans take by themselves from a catalog's folder


@router.get("/progress")
def progress(request: Request, session: Entered) -> Response:
    """Show how far reviewing is."""
    desk: Desk = request.app.state.desk
    found = progress_of(desk.decisions.standing())
    total = sum(desk.queue.counts.values())
    said, problems = request.query_params.get("said"), desk.decisions.problems
    return page("progress.html", session, said=said, desk=desk, progress=found, total=total, problems=problems)


@router.post("/recalibrate")
def recalibrate(request: Request, session: Entered, form: Form) -> Response:
    """Begin to fit a calibration on the decisions; nothing is adopted."""
    desk: Desk = request.app.state.desk
    job = desk.jobs.start(
        "calibration from these decisions",
        session.reviewer,
        lambda job, say: _fit(desk, job, say),
        back=("Progress", "/progress"),
    )
    return RedirectResponse(f"/job/{job.id}", 303)


@router.post("/adopt")
def adopt(request: Request, session: Entered, form: Form) -> Response:
    """Put a fitted calibration where scans against this catalog find it."""
    desk: Desk = request.app.state.desk
    job = desk.jobs.get(str(form.get("job", "")))
    if job is None or not isinstance(job.result, dict) or "refit" not in job.result:
        raise HTTPException(404, "this calibration is no longer remembered: fit it again")
    if desk.catalog is None:
        raise InputError("there is no catalog that could take it; start the desk with --catalog")
    made = job.result["refit"].made
    made.save(desk.catalog.path / CALIBRATION)
    desk.decisions.write("calibration", session.reviewer, text=f"adopted {made.describe()}")
    return RedirectResponse("/progress?said=adopted", 303)


def _fit(desk: Desk, job: Job, say: Say) -> dict[str, Refit]:
    say(0, 2, "reading the decisions")
    if not desk.decisions.path.is_file():
        raise InputError("nobody has decided anything yet: a calibration takes at least 10 right and 30 wrong leads")
    labels, _ = read_labels(desk.decisions.path)
    desk.decisions.sync(desk.index)
    rows = desk.index.rows("SELECT * FROM listings WHERE id IN (SELECT listing FROM standing) ORDER BY id")
    say(1, 2, "fitting")
    refit = fit_reviews(
        (desk.index.record(row) for row in rows),
        labels,
        desk.rules,
        space=desk.scans[0].space,
        bank=NegativeBank.of_catalog(None if desk.catalog is None else desk.catalog.path),
        created=datetime.now(timezone.utc).date().isoformat(),
    )
    say(2, 2, "done")
    return {"refit": refit}
