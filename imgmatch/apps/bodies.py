"""What the service is sent: photos and listing fields, as JSON or as a form, held against the schema that it documents."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import jsonschema
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from imgmatch.apps.guard import ServiceError

__all__ = ["PHOTO_LISTS", "Sent", "body_of", "load_schema", "malformed", "read_examine", "read_search"]

PHOTO_LISTS = ("photos", "promo_photos")

_KINDS = "application/json or multipart/form-data"
_BASE64 = {
    "type": "string",
    "contentEncoding": "base64",
    # RFC 4648, section 4.
    "pattern": "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}
_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}


@dataclass(slots=True)
class Sent:
    """A request's parts: the listing's fields, and the bytes of photos by the field they came in."""

    listing: Any = None
    photos: dict[str, list[bytes]] = field(default_factory=dict)


def load_schema(name: str) -> dict[str, Any]:
    """Return one of ``imgmatch/schemas`` without its own address, to be part of a larger document."""
    text = (resources.files("imgmatch.schemas") / f"{name}.schema.json").read_text(encoding="utf-8")
    return {k: v for k, v in json.loads(text).items() if not k.startswith("$")}


@cache
def _examine_schema(as_form: bool, most: int) -> dict[str, Any]:
    listing = load_schema("listing")
    properties = listing["properties"]
    properties["listing_id"]["minLength"] = 1
    for name in PHOTO_LISTS:
        properties[name] = False  # nothing is fetched and no path is read: photos are sent beside the listing
    listing["description"] = "Fields of the listing without its photos, which are sent beside it; unknown fields are kept."
    photos = {"type": "array", "maxItems": most, "items": _FILE if as_form else _BASE64}
    fields = {"listing": listing, **dict.fromkeys(PHOTO_LISTS, photos)}
    return {"type": "object", "required": ["listing"], "properties": fields, "additionalProperties": False}


@cache
def _search_schema(as_form: bool, _: int) -> dict[str, Any]:
    fields = {"photo": _FILE if as_form else _BASE64}
    return {"type": "object", "required": ["photo"], "properties": fields, "additionalProperties": False}


def body_of(name: str, most: int) -> dict[str, Any]:
    """Describe the body of ``examine`` or ``search`` in both forms for OpenAPI; `most` bounds each list of photos."""
    schema = {"examine": _examine_schema, "search": _search_schema}[name]
    kinds = {"multipart/form-data": True, "application/json": False}
    content = {kind: {"schema": schema(as_form, most)} for kind, as_form in kinds.items()}
    if name == "examine":
        content["multipart/form-data"]["encoding"] = {"listing": {"contentType": "application/json"}}
    return {"requestBody": {"required": True, "content": content}}


async def read_examine(request: Request, most: int) -> Sent:
    """Read a listing with its photos.

    Raises
    ------
    ServiceError
        Where the body is of another kind or shape, or a list has more than `most` photos.
    """
    return await _read(request, _examine_schema(False, most), len(PHOTO_LISTS) * most)


async def read_search(request: Request) -> bytes:
    """Read one photo.

    Raises
    ------
    ServiceError
        Where the body is of another kind or shape.
    """
    return (await _read(request, _search_schema(False, 1), 1)).photos["photo"][0]


def malformed(why: str) -> ServiceError:
    return ServiceError(422, "the request is not understood", why, "see /openapi.json for what is expected")


async def _read(request: Request, schema: Mapping[str, Any], most: int) -> Sent:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return await asyncio.to_thread(_from_json, await request.body(), schema)
    if kind == "multipart/form-data":
        return await _from_form(request, schema, most)
    raise ServiceError(415, "a body of another kind", f"expected {_KINDS}, got {kind or 'none'}", f"send {_KINDS}")


def _from_json(body: bytes, schema: Mapping[str, Any]) -> Sent:
    value = _parsed(body)
    _check(value, schema)
    sent = Sent(value.pop("listing", None))
    for name, texts in value.items():
        try:
            sent.photos[name] = [base64.b64decode(text, validate=True) for text in ([texts] if name == "photo" else texts)]
        except (binascii.Error, ValueError) as error:
            raise malformed(f"{name}: not base64: {error}") from error
    return sent


async def _from_form(request: Request, schema: Mapping[str, Any], most: int) -> Sent:
    sent, given = Sent(), {}
    # The size of a part is bounded by the size of the body.
    try:
        form = await request.form(max_files=most, max_fields=1, max_part_size=1 << 62)
    except HTTPException as error:
        raise malformed(f"not a form as expected: {error.detail}") from error
    try:
        for name, part in form.multi_items():
            if name == "listing":
                text = await part.read() if isinstance(part, UploadFile) else part
                sent.listing = given[name] = await asyncio.to_thread(_parsed, text)
            elif isinstance(part, UploadFile):
                sent.photos.setdefault(name, []).append(await part.read())
                # What the schema is held against is the shape; what is in the files, their reader says.
                given[name] = "" if name == "photo" else [""] * len(sent.photos[name])
            else:
                given[name] = None
    finally:
        await form.close()
    _check(given, schema)
    return sent


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise malformed(f"not valid JSON: {error}") from error


def _no_number(text: str) -> float:
    raise ValueError(f"{text:.20} is no finite number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _check(value: Any, schema: Mapping[str, Any]) -> None:
    try:
        error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value))
        if error is not None:
            refused = "photos are sent as bytes beside it, no path is read and no URL fetched"
            why = refused if error.schema is False else f"{error.message:.300}"
            raise malformed(f"{error.json_path[2:200] or 'the body'}: {why}")
    except RecursionError as error:
        raise malformed("it is nested too deeply") from error
