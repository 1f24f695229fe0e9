"""The HTTP service: the scan's records for one listing at a time, from photos that are sent along; docs/service.md."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException

import imgmatch
from imgmatch.apps.bodies import PHOTO_LISTS, body_of, load_schema, malformed, read_examine, read_search
from imgmatch.apps.engine import Engine
from imgmatch.apps.guard import Guard, Metrics, ServiceError
from imgmatch.catalog import Catalog
from imgmatch.config import Config
from imgmatch.errors import ImageError, ImgmatchError, InputError
from imgmatch.parallel import one_blas_thread
from imgmatch.records import Listing

__all__ = ["LOOPBACK", "create_app"]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_REFUSALS = {
    400: "Not HTTP.",
    401: "No token where one is needed.",
    403: "Sent by a page of another site.",
    408: "It came too slowly.",
    413: "More bytes than allowed.",
    415: "A body that is neither JSON nor a form.",
    421: "Called by another name than this service's.",
    422: "A request that is not understood.",
    429: "More requests than one client may send.",
    500: "An unexpected error, written to the service's log.",
    503: "Busy.",
    504: "It took too long.",
}


class Found(BaseModel):
    """An item of the catalog that looks like the photo; `similarity` is a cosine, not a percentage chance."""

    item_id: str
    brand: str
    similarity: float
    photo: str
    name: str


class SearchAnswer(BaseModel):
    catalog_version: str
    items: list[Found]


class Health(BaseModel):
    """`problem` says why a newer catalog on disk is not answered from."""

    status: str
    catalog_version: str
    items: int
    photos: int
    encoder: str
    problem: str | None


class Reloaded(BaseModel):
    changed: bool
    catalog_version: str


def create_app(
    catalog: Catalog, config: Config, *, token: str | None = None, hosts: frozenset[str] | None = LOOPBACK
) -> FastAPI:
    """Make the ASGI application.

    Parameters
    ----------
    catalog : Catalog
        Its folder is watched; a new version is loaded without dropping a request.
    config : Config
    token : str, optional
        Needed with every request but ``/healthz`` and the documentation, and for ``/reload`` to be allowed at all.
    hosts : frozenset of str or None
        Names the service may be called by; None allows any.
    """
    metrics = Metrics()
    engine = Engine(catalog, config, on_batch=metrics.batches.observe)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with one_blas_thread():  # for good: set once, and for searches as well
            await engine.start()
            yield
            await engine.stop()

    app = FastAPI(
        title="imgmatch",
        version=imgmatch.__version__,
        description="Compare listings with a catalog of authentic products. A lead is for human review, not proof; "
        "clear means no contradiction was found, never authentic; unjudged, that nothing is known "
        "that supports or contradicts it. Nothing is fetched: photos are sent along.",
        lifespan=lifespan,
        docs_url=None,  # the page would load its viewer from elsewhere, into this origin
        redoc_url=None,
        responses={status: _refused(text) for status, text in _REFUSALS.items()},
    )
    app.state.engine = engine
    app.add_middleware(Guard, limits=config.service, metrics=metrics, token=token, hosts=hosts)
    app.add_exception_handler(ServiceError, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)

    _add_examining(app, engine, metrics, config.service.max_photos)
    _add_operating(app, engine, metrics)
    _add_reloading(app, engine, allowed=token is not None)
    _document(app, token=token is not None)
    return app


def _add_examining(app: FastAPI, engine: Engine, metrics: Metrics, max_photos: int) -> None:
    @app.post(
        "/examine",
        responses={200: _json_of("Record", "The record that a scan would write.")},
        openapi_extra=body_of("examine", max_photos),
    )
    async def examine(request: Request) -> Response:
        """Examine one listing with its photos."""
        sent = await read_examine(request, max_photos)
        # Photos are called by their place: the names of uploaded files are the client's affair.
        names = {role: [f"{role}[{i}]" for i in range(len(sent.photos.get(role, ())))] for role in PHOTO_LISTS}
        photos = {n: data for role in PHOTO_LISTS for n, data in zip(names[role], sent.photos.get(role, ()), strict=True)}
        try:
            listing = await asyncio.to_thread(Listing.from_dict, {**sent.listing, **names})
        except InputError as error:
            raise malformed(f"listing: {error}") from error
        record = await engine.examine(listing, photos)
        metrics.records.labels("failed" if record.verdict is None else str(record.verdict.decision)).inc()
        text = await asyncio.to_thread(lambda: json.dumps(record.to_dict(), allow_nan=False))
        return Response(text, media_type="application/json")

    @app.post("/search", openapi_extra=body_of("search", 1))
    async def search(
        request: Request, k: Annotated[int, Query(ge=1, le=100, description="Items to return.")] = 10
    ) -> SearchAnswer:
        """Find the items of the catalog that look most like a photo."""
        photo = await read_search(request)
        try:
            c, found = await engine.search(photo, k)
        except ImageError as error:
            raise ServiceError(422, "the photo cannot be read", f"{error.reason}: {error}", "send another file") from error
        items = [
            Found(item_id=x.item_id, brand=x.brand, similarity=x.similarity, photo=x.photo, name=c.photos[x.photo].name)
            for x in found
        ]
        return SearchAnswer(catalog_version=c.version, items=items)


def _add_operating(app: FastAPI, engine: Engine, metrics: Metrics) -> None:
    @app.get("/healthz")
    async def healthz() -> Health:
        """Say that the service answers, and from which catalog."""
        c = engine.matcher.catalog
        return Health(
            status="ok",
            catalog_version=c.version,
            items=len(c.items),
            photos=len(c.photos),
            encoder=c.space.encoder,
            problem=engine.problem,
        )

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def show_metrics() -> Response:
        """Show numbers for Prometheus."""
        metrics.catalog.info({"version": engine.matcher.catalog.version})
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _add_reloading(app: FastAPI, engine: Engine, *, allowed: bool) -> None:
    @app.post(
        "/reload",
        responses={
            403: _refused("The service has no token, or a page of another site asks."),
            409: _refused("The catalog cannot be loaded."),
        },
    )
    async def reload() -> Reloaded:
        """Go over to the catalog that is on disk now; the service also does so by itself soon after it changes."""
        if not allowed:
            raise ServiceError(
                403, "not allowed", "this service has no token", "start it with --token-file, send it SIGHUP, or wait"
            )
        try:
            # Shielded: loading goes on where the client gives up.
            changed = await asyncio.shield(asyncio.ensure_future(engine.reload()))
        except (ImgmatchError, OSError) as error:
            raise ServiceError(409, "not reloaded", str(error), "repair it; the old one goes on answering") from error
        return Reloaded(changed=changed, catalog_version=engine.matcher.catalog.version)


def _document(app: FastAPI, *, token: bool) -> None:
    """Add to the OpenAPI document what FastAPI cannot know."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document["components"]["schemas"].update(Record=load_schema("record"), Problem=_PROBLEM)
        if token:
            document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
            document["paths"]["/healthz"]["get"]["security"] = []
        return document

    app.openapi = openapi  # type: ignore[method-assign]


_PROBLEM = {
    "title": "Problem",
    "description": "Why a request was not answered, and what to do about it.",
    "type": "object",
    "required": ["what", "why", "do"],
    "properties": {"what": {"type": "string"}, "why": {"type": "string"}, "do": {"type": "string"}},
}


def _json_of(name: str, description: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _refused(description: str) -> dict[str, Any]:
    return _json_of("Problem", description)


async def _on_problem(_: Request, error: Any) -> Response:
    return error.response()  # type: ignore[no-any-return]


async def _on_http(_: Request, error: Any) -> Response:
    return ServiceError(error.status_code, "no answer", str(error.detail), "see /openapi.json", error.headers).response()


async def _on_invalid(_: Request, error: Any) -> Response:
    first = error.errors()[0]
    return malformed(f"{'.'.join(map(str, first['loc']))}: {first['msg']}").response()
