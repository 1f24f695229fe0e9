"""What stands before the service: who may ask, how much, how often, how long; every refusal is JSON that says what to do."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Mapping
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgmatch.config import ServiceConfig
from imgmatch.errors import OutOfTimeError

__all__ = ["Buckets", "Guard", "Metrics", "ServiceError", "too_large", "too_slow"]

_log = logging.getLogger("imgmatch.service")

_CLIENTS = 10_000  # addresses whose rate is remembered
_OPEN = frozenset({"/healthz", "/openapi.json"})  # answered without a token: they say nothing about listings

_CHARSETS = frozenset({b"utf-8", b"utf8", b"us-ascii"})


class ServiceError(Exception):
    """A request that cannot be answered.

    Parameters
    ----------
    status : int
        HTTP status.
    what, why, do : str
        What happened, for which reason, and what the client can do about it.
    headers : mapping of str to str
    """

    def __init__(self, status: int, what: str, why: str, do: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{what}: {why}")
        self.status = status
        self.body = {"what": what, "why": why, "do": do}
        self.headers = headers

    def response(self) -> JSONResponse:
        return JSONResponse(self.body, self.status, headers=dict(self.headers or {}))


class Metrics:
    """What ``/metrics`` shows, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("imgmatch_requests", "Requests answered.", ["path", "status"], registry=self.registry)
        self.seconds = Histogram("imgmatch_request_seconds", "Time to the answer.", ["path"], registry=self.registry)
        self.in_flight = Gauge("imgmatch_requests_in_flight", "Requests at work or waiting.", registry=self.registry)
        self.batches = Histogram(
            "imgmatch_batch_listings",
            "Listings examined together.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=self.registry,
        )
        self.records = Counter("imgmatch_records", "Records by decision, or failed.", ["decision"], registry=self.registry)
        self.catalog = Info("imgmatch_catalog", "The catalog that answers.", registry=self.registry)


class Buckets:
    """Token buckets, one per client: `rate` requests a second on average, up to `burst` at once.

    References
    ----------
    J. Turner, "New directions in communications (or which way to the information age?)", IEEE Communications Magazine 24
    (10), 1986.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, now: float) -> float:
        """Take a token; return 0, or where there is none the seconds until there will be one."""
        if not self._rate:
            return 0.0
        tokens, then = self._left.pop(client, (self._burst, now))
        tokens = min(tokens + (now - then) * self._rate, self._burst)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._left[client] = (tokens if wait else tokens - 1, now)
        if len(self._left) > _CLIENTS:
            self._left.popitem(last=False)
        return wait


class Guard:
    """ASGI middleware around the whole service.

    Parameters
    ----------
    app : ASGI application
    limits : ServiceConfig
    metrics : Metrics
    token : str or None
        What ``Authorization: Bearer …`` must carry.
    hosts : frozenset of str or None
        Names the service may be called by. A service for this machine alone checks them: a page in the browser could
        otherwise point its own name at 127.0.0.1 and read the answers (DNS rebinding).
    """

    def __init__(
        self, app: ASGIApp, *, limits: ServiceConfig, metrics: Metrics, token: str | None, hosts: frozenset[str] | None
    ) -> None:
        self.app, self.limits, self.metrics, self.token, self.hosts = app, limits, metrics, token, hosts
        self._buckets = Buckets(limits.rate, limits.burst)
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, begin = 0, time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = message["status"]
            await send(message)

        self._in_flight += 1
        self.metrics.in_flight.set(self._in_flight)
        try:
            self._admit(scope)
            body = _Body(receive, self.limits)
            await asyncio.wait_for(self.app(scope, body, answer), self.limits.timeout)
        except asyncio.CancelledError:
            raise
        except ClientDisconnect:
            pass  # nobody is left to be answered
        except Exception as error:
            if started:
                raise
            await self._service_error(error).response()(scope, receive, answer)
        finally:
            self._in_flight -= 1
            self.metrics.in_flight.set(self._in_flight)
            path = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(path, started or "none").inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - begin)

    def _admit(self, scope: Scope) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if self.hosts is not None and _hostname(headers.get(b"host", "")) not in self.hosts:
            raise ServiceError(421, "not for this service", "the Host header names another machine", "use 127.0.0.1")
        if scope["path"] == "/healthz":
            return
        if scope["path"] not in _OPEN and _from_elsewhere(headers):
            raise ServiceError(
                403,
                "not for other sites",
                "a page of another site made a browser send this",
                "send it from a program, or from a page that this service itself serves",
            )
        client = scope["client"][0] if scope.get("client") else ""
        if wait := self._buckets.take(client, time.monotonic()):
            raise ServiceError(
                429,
                "too many requests",
                f"one client may send {self.limits.rate:g} a second (service.rate)",
                "wait as long as Retry-After says, then send it again",
                {"Retry-After": str(math.ceil(wait))},
            )
        if self.token is not None and scope["path"] not in _OPEN:
            scheme, _, given = headers.get(b"authorization", "").partition(" ")
            # Names of schemes are case-insensitive (RFC 9110, section 11.1).
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), self.token.encode()):
                raise ServiceError(
                    401,
                    "no valid token",
                    "this service answers only those who know its token",
                    "send the header Authorization: Bearer <token>",
                    {"WWW-Authenticate": "Bearer"},
                )
        if self._in_flight > self.limits.max_requests:
            raise ServiceError(
                503,
                "busy",
                f"{self.limits.max_requests} requests are at work already (service.max_requests)",
                "wait as long as Retry-After says, then send it again",
                {"Retry-After": "1"},
            )
        _, parameters = parse_options_header(headers.get(b"content-type"))
        # Forms are decoded by the codec that is named here, and Python has some that take a time quadratic in the text.
        if parameters.get(b"charset", b"utf-8").lower() not in _CHARSETS:
            raise ServiceError(415, "a body in another encoding", "expected UTF-8, the charset says otherwise", "send UTF-8")
        length = headers.get(b"content-length", "")
        if length.isdigit() and int(length) > self.limits.max_body:
            raise too_large(self.limits.max_body)

    def _service_error(self, error: Exception) -> ServiceError:
        if isinstance(error, ServiceError):
            return error
        if isinstance(error, asyncio.TimeoutError):
            return ServiceError(
                504,
                "took too long",
                f"there was no answer within {self.limits.timeout:g} s (service.timeout)",
                "send fewer or smaller photos, or try again when the service is less busy",
            )
        if isinstance(error, OutOfTimeError):
            return ServiceError(
                504, "took too long", f"examining it: {error} (service.budget)", "send fewer or smaller photos, or less text"
            )
        _log.error("a request failed", exc_info=error)
        return ServiceError(
            500, "the service failed", "an unexpected error, written to its log", "report it with the log's last lines"
        )


class _Body:
    """The request's body, up to a size, none of its pieces waited for too long."""

    def __init__(self, receive: Receive, limits: ServiceConfig) -> None:
        self._receive, self._limits, self._bytes, self._more = receive, limits, 0, True

    async def __call__(self) -> Message:
        if not self._more:
            return await self._receive()  # what comes after the body is that the client has gone, whenever that is
        try:
            message = await asyncio.wait_for(self._receive(), self._limits.idle)
        except asyncio.TimeoutError as error:
            raise too_slow(self._limits.idle) from error
        self._more = message.get("more_body", False)
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._limits.max_body:
            raise too_large(self._limits.max_body)
        return message


def too_slow(seconds: float) -> ServiceError:
    return ServiceError(
        408,
        "the request came too slowly",
        f"nothing of it arrived for {seconds:g} s (service.idle)",
        "send it again in one go",
        {"Connection": "close"},
    )


def too_large(most: int) -> ServiceError:
    return ServiceError(
        413,
        "the request is too large",
        f"it has more than {most} bytes (service.max_body)",
        "send fewer or smaller photos",
        {"Connection": "close"},
    )


def _from_elsewhere(headers: Mapping[bytes, str]) -> bool:
    """Tell whether a page of another origin made a browser send this; programs send neither header.

    Fetch Metadata (https://www.w3.org/TR/fetch-metadata/), and ``Origin`` for browsers that lack it (RFC 6454).
    """
    if headers.get(b"sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get(b"origin")
    return origin is not None and origin.partition("://")[2].lower() != headers.get(b"host", "").lower()


def _hostname(header: str) -> str | None:
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None
