"""The queue's page, and the photos that every page shows."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.responses import PlainTextResponse

from imgmatch.apps.desk.app import Entered
from imgmatch.apps.desk.desk import Desk
from imgmatch.apps.desk.pages import page
from imgmatch.apps.desk.queue import PAGE, Filters
from imgmatch.types import Decision

router = APIRouter()


@router.get("/queue")
def queue(request: Request, session: Entered) -> Response:
    """Show a page of a view."""
    desk: Desk = request.app.state.desk
    desk.refresh()
    filters = Filters.read(request.query_params)
    ids = desk.queue.ids(filters, session.reviewer)
    pages = max(1, -(-len(ids) // PAGE))
    number = min(max(_int(request.query_params.get("page")), 1), pages)
    rows = desk.queue.page(ids, number)
    return page(
        "queue.html",
        session,
        said=request.query_params.get("said"),
        filters=filters,
        rows=[(row, standing(desk, row)) for row in rows],
        total=len(ids),
        first=(number - 1) * PAGE + 1,
        number=number,
        pages=pages,
        desk=desk,
        decisions=[*map(str, reversed(Decision)), "failed"],
    )


@router.get("/photo/{sha256}/{size}")
def photo(request: Request, _: Entered, sha256: str, size: str) -> Response:
    """Show a photo of the scans or of the catalog, re-encoded."""
    desk: Desk = request.app.state.desk
    jpeg = desk.photos.jpeg(sha256, size)
    if jpeg is None:
        return PlainTextResponse("no such photo here, or it has changed since the scan", 404)
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400, immutable"})


def standing(desk: Desk, row: object) -> list[tuple[str, str]]:
    """Return who decided what about a row of the index."""
    query = "SELECT reviewer, label FROM standing WHERE listing = ?"
    return [(r["reviewer"], r["label"]) for r in desk.index.rows(query, (row["id"],))]  # type: ignore[index]


def _int(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 9 else 1
