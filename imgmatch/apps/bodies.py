"""What a client sends: photos and listing fields, as JSON or as a form, checked against the schema that it documents."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import math
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any

import jsonschema
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from imgmatch.apps.guard import ServiceError

__all__ = ["PHOTO_LISTS", "Sent", "body_of", "load_schema", "malformed", "read_examine", "read_search"]

PHOTO_LISTS = ("photos", "promo_photos")

_KINDS = "application/json or multipart/form-data"
_BASE64 = {
    "type": "string",
    "contentEncoding": "base64",
    # RFC 4648, section 4. Line breaks in it are ignored, and a data: URI is read as well.
    "pattern": "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}
_BREAK = re.compile(rb"\\[nrt]|[ \n\r\t]+")  # as JSON writes a line break in a string
_EXTENDED = re.compile(rb";\s*filename\*\s*=", re.IGNORECASE)
_BACKSLASH = 0x5C
_MOST_QUOTES = 1_000_000  # looked at one by one, in half a second
_LONG = 4096  # bytes of a string that is set aside
_PIECE = 1 << 20  # bytes decoded before other threads have their turn
_MOST_TEXT = 4 << 20  # bytes of a listing beside its photos: a guess, forty times the longest description seen
_MOST_FIELDS = 100
_ERRORS = 100  # the clearest of which is reported: a list may hold a million
_TYPES = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
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
    return (await _read(request, _search_schema(False, 1), 2)).photos["photo"][0]


def malformed(why: str) -> ServiceError:
    return ServiceError(422, "the request is not understood", why, "see /openapi.json for what is expected")


async def _read(request: Request, schema: Mapping[str, Any], most: int) -> Sent:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        body = bytearray()
        async for piece in request.stream():
            body += piece
        return await asyncio.to_thread(_from_json, body, schema)
    if kind == "multipart/form-data":
        return await _from_form(request, schema, most)
    raise ServiceError(415, "a body of another kind", f"expected {_KINDS}, got {kind or 'none'}", f"send {_KINDS}")


def _from_json(body: bytearray, schema: Mapping[str, Any]) -> Sent:
    rest, long = _without_long_strings(body)
    value = _parsed(rest)
    photos: dict[str, list[bytes | memoryview]] = {}
    for name in {"photo", *PHOTO_LISTS} & set(schema["properties"]) & (set(value) if isinstance(value, dict) else set()):
        given = value[name] if isinstance(value[name], list) else [value[name]]
        photos[name] = [long.pop(p) if p in long else p.encode("utf-8", "replace") for p in given if isinstance(p, str)]
        # The schema checks the shape; what is in the files, their reader says.
        shape = ["" if isinstance(p, str) else p for p in given]
        value[name] = shape if isinstance(value[name], list) else shape[0]
    if len(rest) + sum(map(len, long.values())) > _MOST_TEXT:
        raise _too_much_text()
    try:
        value = _restored(value, long)
    except RecursionError as error:
        raise malformed("it is nested too deeply") from error
    _check(value, schema)
    sent = Sent(value.get("listing"))
    for name, texts in photos.items():
        places = [name] if name == "photo" else [f"{name}[{i}]" for i in range(len(texts))]
        sent.photos[name] = [_decoded(text, place) for text, place in zip(texts, places, strict=True)]
    return sent


def _without_long_strings(body: bytearray) -> tuple[bytearray, dict[str, memoryview]]:
    """Take long strings, which are photos, out of JSON: made texts, they would take up to eight times their size.

    Returns
    -------
    rest : bytearray
        The JSON with a mark in place of each.
    long : dict of str to memoryview
        By mark, what stood between the quotes.
    """
    secret = secrets.token_hex(8)
    rest, end, view = bytearray(), 0, memoryview(body)
    long: dict[str, memoryview] = {}
    for start, stop in _strings(body):
        if stop - start > _LONG:
            mark = f"{secret}-{len(long)}"
            rest += view[end:start]
            rest += f'"{mark}"'.encode()
            long[mark] = view[start + 1 : stop - 1]
            end = stop
    rest += view[end:]
    return rest, long


def _strings(body: bytearray) -> Iterator[tuple[int, int]]:
    """Yield where each string of JSON starts and stops, quotes included; what is no JSON, the parser says."""
    start, at = -1, 0
    for _ in range(_MOST_QUOTES):
        quote = body.find(b'"', at)
        if quote < 0:
            return
        at = quote + 1
        if start < 0:
            start = quote
            continue
        slashes = quote
        while slashes - 1 > start and body[slashes - 1] == _BACKSLASH:
            slashes -= 1
        # RFC 8259, section 7: after an odd number of backslashes a quote is one of the text's letters.
        if (quote - slashes) % 2 == 0:
            yield start, at
            start = -1
    raise malformed(f"it has more than {_MOST_QUOTES} quotes")


def _restored(value: Any, long: Mapping[str, memoryview]) -> Any:
    if isinstance(value, str):
        return _parsed(b'"' + long[value] + b'"') if value in long else value
    if isinstance(value, list):
        return [_restored(x, long) for x in value]
    if isinstance(value, dict):
        return {_restored(k, long): _restored(x, long) for k, x in value.items()}
    return value


def _decoded(text: bytes | memoryview, place: str) -> bytes:
    """Decode base64 as it stands in a JSON string, with line breaks or as a ``data:`` URI too, a piece at a time.

    Raises
    ------
    ServiceError
        Saying where, without repeating the photo.
    """
    out, left = bytearray(), b""
    head = bytes(text[:200])
    start = head.find(b",") + 1 if head.startswith(b"data:") else 0
    for at in range(start, len(text), _PIECE):
        piece = left + bytes(text[at : at + _PIECE])
        left = b""
        if at + _PIECE < len(text):
            if piece.endswith(b"\\"):  # half an escape
                piece, left = piece[:-1], b"\\"
            piece = _BREAK.sub(b"", piece).replace(b"\\/", b"/")
            whole = len(piece) // 4 * 4
            piece, left = piece[:whole], piece[whole:] + left
        else:
            piece = _BREAK.sub(b"", piece).replace(b"\\/", b"/")
        try:
            out += base64.b64decode(piece, validate=True)
        except (binascii.Error, ValueError) as error:
            raise malformed(f"{place}: not base64: {error}") from error
    return bytes(out)


def _too_much_text() -> ServiceError:
    return malformed(f"beside its photos it has more than {_MOST_TEXT} bytes")


async def _from_form(request: Request, schema: Mapping[str, Any], most: int) -> Sent:
    sent, given = Sent(), {}
    # The size of a part is bounded by the size of the body.
    parser = _FormParser(
        request.headers, request.stream(), max_files=most, max_fields=_MOST_FIELDS, max_part_size=_MOST_TEXT
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise malformed(f"not a form as expected: {error.message}") from error
    try:
        for name, part in form.multi_items():
            if name == "listing":
                if name in given:
                    raise malformed("listing: sent more than once")
                text = await part.read() if isinstance(part, UploadFile) else part
                if len(text) > _MOST_TEXT:
                    raise _too_much_text()
                sent.listing = given[name] = await asyncio.to_thread(_parsed, text)
            elif isinstance(part, UploadFile):
                sent.photos.setdefault(name, []).append(await part.read())
                if name == "photo" and len(sent.photos[name]) > 1:
                    raise malformed("photo: sent more than once")
                given[name] = "" if name == "photo" else [""] * len(sent.photos[name])
            else:
                given[name] = None
    finally:
        await form.close()
    _check(given, schema)
    return sent


class _FormParser(MultiPartParser):
    """Starlette's parser, which takes a file for a field where its name is given as RFC 5987 has it: ``filename*=``."""

    def on_headers_finished(self) -> None:
        part = self._current_part
        if part.content_disposition:
            part.content_disposition = _EXTENDED.sub(rb";filename=", part.content_disposition, count=1)
        super().on_headers_finished()


def _parsed(text: str | bytes | bytearray) -> Any:
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
        errors = jsonschema.Draft202012Validator(schema).iter_errors(value)
        error = jsonschema.exceptions.best_match(islice(errors, _ERRORS))
        if error is not None:
            refused = "photos are sent as bytes beside it, no path is read and no URL fetched"
            why = refused if error.schema is False else f"{error.message:.300}"
            if error.validator == "type":  # the value may be a photo, or stand for one that was set aside
                wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
                got = next((name for kind, name in _TYPES.items() if isinstance(error.instance, kind)), "null")
                why = f"expected {' or '.join(wanted)}, got {got}"
            raise malformed(f"{error.json_path[2:200] or 'the body'}: {why}")
    except RecursionError as error:
        raise malformed("it is nested too deeply") from error
