"""Connections of the service: uvicorn's HTTP/1.1 protocol with the time-outs and bounds that it lacks.

Whoever opens connections and sends half a header, or nothing, holds a socket each. Here headers have a time, an address has
so many connections, and what the protocol itself refuses is answered like every other refusal.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from imgmatch.apps.guard import ServiceError, too_slow
from imgmatch.config import ServiceConfig

__all__ = ["bounded"]


def bounded(limits: ServiceConfig) -> type[H11Protocol]:
    """Return the protocol class that `uvicorn.run` takes as ``http``, with these limits."""
    return type("Connection", (_Connection,), {"limits": limits, "peers": defaultdict(dict)})


class _Connection(H11Protocol):
    limits: ServiceConfig
    peers: defaultdict[str, dict[_Connection, None]]  # by address, in the order in which they came

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        peers = self.peers[self._address]
        peers[self] = None
        self._watch()
        if len(peers) > self.limits.max_connections:
            # The newest may be the one that asks whether the service is well.
            oldest = next((p for p in peers if p.conn.their_state in (h11.IDLE, h11.SEND_BODY)), self)
            oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        peers = self.peers[self._address]
        peers.pop(self, None)
        if not peers:
            del self.peers[self._address]
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._refuse(ServiceError(400, "not a request", msg, "speak HTTP/1.1"))

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _watch(self) -> None:
        """Time headers from when they could begin; however many pieces they come in, the time is one."""
        if self.conn.their_state is not h11.IDLE:
            self._unwatch()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.limits.idle, self._out_of_time)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _out_of_time(self) -> None:
        if not self.transport.is_closing():
            self._refuse(too_slow(self.limits.idle))

    def _refuse(self, error: ServiceError) -> None:
        """Answer without asking the application, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps(error.body).encode()
            headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
            for event in (h11.Response(status_code=error.status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
