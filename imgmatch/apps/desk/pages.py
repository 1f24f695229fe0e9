"""Pages: one environment of templates, one policy. What is printed is escaped; nothing of a page runs but our own script."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, Response

from imgmatch.apps.desk.queue import SORTS
from imgmatch.apps.desk.session import Session
from imgmatch.investigate.report import words
from imgmatch.investigate.report.pages import environment as report_environment

if TYPE_CHECKING:
    import jinja2

__all__ = ["HEADERS", "SAID", "page", "static"]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

SAID = {
    "undone": "Your last decision is taken back.",
    "nothing": "There is no decision of yours to take back.",
    "noted": "The note is written down.",
    "wrong": "The match went to the negative bank: the same photo or mark does not match that way again.",
    "end": "That was the last one of this view.",
    "adopted": "The calibration is adopted: the next scan against this catalog uses it.",
}
"""What a page may say after a change, by the word in its address: nothing of an address is shown."""

_STATIC = {"desk.css": "text/css", "desk.js": "text/javascript", "report.css": "text/css"}


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Return the templates of the desk, which use those of the report."""
    import jinja2

    ours = jinja2.PackageLoader("imgmatch.apps", "desk")
    env = report_environment()
    env = env.overlay(loader=jinja2.ChoiceLoader([ours, *([env.loader] if env.loader else [])]))
    env.globals.update(sorts=SORTS, label_words=words.LABEL_WORDS)
    env.filters.update(plain=words.plain, time=words.time_words, signal=words.signal_words, safe_url=words.safe_url)
    return env


def page(name: str, session: Session | None, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template for a session."""
    said = SAID.get(values.pop("said", "") or "")
    html = environment().get_template(name).render(session=session, said=said, **values)
    return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})


@lru_cache(maxsize=8)
def static(name: str) -> Response | None:
    """Return one of our own files; None for any other name."""
    if name not in _STATIC:
        return None
    package, file = ("imgmatch.investigate.report", "style.css") if name == "report.css" else ("imgmatch.apps.desk", name)
    data = (files(package) / file).read_bytes()
    return Response(data, media_type=_STATIC[name], headers={"Cache-Control": "no-cache"})
