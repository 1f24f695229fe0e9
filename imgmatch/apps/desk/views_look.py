"""Look further: where else a photo was seen, and two photos through every signal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData, UploadFile

from imgmatch.apps.desk.app import Entered, Form
from imgmatch.apps.desk.desk import Desk
from imgmatch.apps.desk.look import look_for
from imgmatch.apps.desk.pages import page
from imgmatch.errors import ImageError, InputError
from imgmatch.images import load_image, read_file, resolve_within, thumbnail_jpeg
from imgmatch.investigate.lookup import compare_photos, copy_evidence
from imgmatch.investigate.report import figures
from imgmatch.investigate.report.pictures import Picture, data_uri
from imgmatch.types import Finding, FindingStatus

router = APIRouter()

_OF_LISTINGS = frozenset({"rank", "listing_mismatch"})  # findings that say nothing of one photo


@router.get("/look")
def look(request: Request, session: Entered) -> Response:
    """Offer to search for a photo, and to compare two."""
    desk: Desk = request.app.state.desk
    desk.warm_up()
    return page("look.html", session, desk=desk, found=None)


@router.post("/look")
def search(request: Request, session: Entered, form: Form) -> Response:
    """Find a photo that was dropped, or one of the scans', in scans and catalog."""
    desk: Desk = request.app.state.desk
    photo = _photo(desk, form, "photo")
    desk.decisions.sync(desk.index)
    found = look_for(photo, desk.index, desk.lookup, desk.matcher)
    shown = data_uri(thumbnail_jpeg(found.photo.image, 420))
    return page("look.html", session, desk=desk, found=found, shown=shown)


@router.post("/compare")
def compare(request: Request, session: Entered, form: Form) -> Response:
    """Show two photos side by side with what every signal says."""
    desk: Desk = request.app.state.desk
    first, second = _photo(desk, form, "first"), _photo(desk, form, "second")
    compared = compare_photos(desk.matcher, first, second)
    a, b = (Picture(key, load_image(data)) for key, data in (("qfirst", first), ("rsecond", second)))
    evidence = copy_evidence(compared.copy) if compared.copy is not None else {}
    drawing = figures.draw(Finding("copy", FindingStatus.OK, 1.0, "", evidence=evidence), a, b)
    pair = drawing.pair or figures.pair(a, b)
    if pair is not None:
        captions = ("the first", "the second")
        pair = replace(pair, places=tuple(replace(p, caption=c) for p, c in zip(pair.places, captions, strict=True)))
    said = [[f for f in r.verdict.findings if f.signal not in _OF_LISTINGS] if r.verdict else [] for r in compared.alone]
    pictures = [(p.key, data_uri(thumbnail_jpeg(p.image, 900)), p.width, p.height) for p in (a, b)]
    values: dict[str, Any] = {
        "compared": compared,
        "pictures": pictures,
        "pair": pair,
        "overlay": drawing.overlay,
        "of_each": said,
    }
    return page("compare.html", session, **values)


def _photo(desk: Desk, form: FormData, name: str) -> bytes:
    """Return the bytes of a photo: sent as a file, or named by its sha256 where the scans have it."""
    given = form.get(name)
    if isinstance(given, UploadFile):
        data = given.file.read()
        if data:
            return data
    sha256 = str(form.get(f"{name}_sha256", ""))
    for root, path in desk.index.photo(sha256):
        try:
            return read_file(resolve_within(root, path), name=path)
        except (ImageError, OSError):
            continue
    raise InputError("there is no photo: choose a file first")
