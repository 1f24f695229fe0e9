"""The desk as an ASGI application: who may enter, and the pages behind the door."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, RedirectResponse

from imgmatch.apps.desk.desk import Desk
from imgmatch.apps.desk.pages import HEADERS, page, static
from imgmatch.apps.desk.session import Door, Session
from imgmatch.apps.guard import Buckets, Guard, Metrics, ServiceError
from imgmatch.errors import ImgmatchError

__all__ = ["Entered", "Form", "create_desk"]

_PATIENCE = 300.0
"""Seconds a page may take: the first comparison loads every model. A guess."""
_FIELDS, _FILES, _FIELD_BYTES = 40, 2, 64 << 10


class _EnterFirstError(Exception):
    """A page was asked for by a browser that has not entered."""


def entered(request: Request) -> Session:
    """Return who asks; a browser that has not entered goes to the door."""
    session = request.app.state.door.session(request.cookies)
    if session is None:
        raise _EnterFirstError
    return session  # type: ignore[no-any-return]


async def form(request: Request, session: Annotated[Session, Depends(entered)]) -> FormData:
    """Return the fields of a form of ours, once its token is checked."""
    given = await request.form(max_files=_FILES, max_fields=_FIELDS, max_part_size=_FIELD_BYTES)
    token = request.headers.get("x-csrf") or given.get("csrf") or ""
    request.app.state.door.check(session, "" if isinstance(token, UploadFile) else token)
    return given


Entered = Annotated[Session, Depends(entered)]
Form = Annotated[FormData, Depends(form)]


def create_desk(desk: Desk, *, token: str | None = None, hosts: frozenset[str] | None = None) -> FastAPI:
    """Make the ASGI application.

    Parameters
    ----------
    desk : Desk
    token : str, optional
        Needed to enter.
    hosts : frozenset of str or None
        Names the desk may be called by; None allows any.
    """
    from imgmatch.apps.desk import views_act, views_listing, views_look, views_progress, views_queue

    app = FastAPI(title="imgmatch desk", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk, app.state.door = desk, Door(token)
    # A page asks for fifty thumbnails at once: what bounds a desk is who may enter, not how often they ask.
    limits = dataclasses.replace(desk.config.service, rate=0.0, timeout=max(desk.config.service.timeout, _PATIENCE))
    app.middleware("http")(_headers)
    app.add_middleware(Guard, limits=limits, metrics=Metrics(), token=None, hosts=hosts)
    app.add_exception_handler(_EnterFirstError, _to_the_door)
    app.add_exception_handler(ServiceError, _on_problem)
    app.add_exception_handler(ImgmatchError, _on_error)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    _door(app)
    for views in (views_queue, views_listing, views_act, views_look, views_progress):
        app.include_router(views.router)
    return app


def _door(app: FastAPI) -> None:
    tries = Buckets(rate=1.0, burst=10.0)

    @app.get("/healthz")
    def healthz() -> Response:
        return PlainTextResponse("ok")

    @app.get("/static/{name}")
    def ours(name: str) -> Response:
        return static(name) or PlainTextResponse("no such file", 404)

    @app.get("/enter")
    def show_door(request: Request) -> Response:
        return page("enter.html", None, token=request.app.state.door.token is not None)

    @app.post("/enter")
    async def enter(request: Request) -> Response:
        client = request.client.host if request.client else ""
        if wait := tries.take(client, time.monotonic()):
            raise ServiceError(429, "too many tries", "the door opens slowly to those who guess", f"wait {wait:.0f} s")
        given = await request.form(max_files=0, max_fields=4, max_part_size=_FIELD_BYTES)
        cookie = request.app.state.door.enter(str(given.get("reviewer", "")), str(given.get("token", "")))
        answer = RedirectResponse("/queue?state=unreviewed", 303)
        answer.set_cookie(request.app.state.door.cookie, cookie, httponly=True, samesite="strict", path="/")
        return answer

    @app.get("/")
    def start(_: Entered) -> Response:
        return RedirectResponse("/queue?state=unreviewed", 303)


async def _headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    answer = await call_next(request)
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


async def _to_the_door(_: Request, __: Exception) -> Response:
    return RedirectResponse("/enter", 303)


def _problem(request: Request, status: int, what: str, why: str, do: str) -> Response:
    return page("problem.html", request.app.state.door.session(request.cookies), status, what=what, why=why, do=do)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # noqa: S101 - what it is registered for
    return _problem(request, error.status, error.body["what"], error.body["why"], error.body["do"])


async def _on_error(request: Request, error: Exception) -> Response:
    return _problem(request, 422, "it could not be done", str(error), "fix what it names, then try again")


async def _on_http(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    return _problem(request, status, "no such page", str(getattr(error, "detail", "")), "go back to the queue")


async def _on_invalid(request: Request, _: Exception) -> Response:
    return _problem(request, 422, "not understood", "the address is not one of this desk", "go back to the queue")
