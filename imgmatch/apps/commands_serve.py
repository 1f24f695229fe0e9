"""``imgmatch serve``: the HTTP service on this machine, or beyond it with a token."""

from __future__ import annotations

import signal
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgmatch.apps.console import log_to_stderr
from imgmatch.apps.options import ConfigFile, Device, Effort, Host, Signals, read_config

if TYPE_CHECKING:
    from fastapi import FastAPI

    from imgmatch.config import ServiceConfig

_SHORTEST_TOKEN = 16  # characters; `openssl rand -hex 16` gives 32


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    catalog: Annotated[Path, typer.Option(help="The catalog's folder; reloaded when it changes.", show_default=False)],
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that clients must send.", show_default=False)
    ] = None,
    config: ConfigFile = None,
    signals: Signals = None,
    effort: Effort = None,
    device: Device = None,
) -> None:
    """Serve over HTTP: /examine, /search, /healthz, /metrics; described by /openapi.json (docs/service.md)."""
    token = None if token_file is None else read_token(token_file)
    require_token_beyond_this_machine(host, token)
    from imgmatch.errors import MissingExtraError

    settings = read_config(config, signals, effort)
    try:
        from imgmatch.apps.service import LOOPBACK, create_app
    except ImportError as error:
        raise MissingExtraError("imgmatch serve", "service") from error

    from imgmatch.catalog import Catalog

    app = create_app(
        Catalog.load(catalog, device=device),
        settings,
        token=token,
        hosts=None if token is not None else LOOPBACK | {host.lower()},
    )
    if hasattr(signal, "SIGHUP"):  # not on Windows
        signal.signal(signal.SIGHUP, lambda *_: app.state.engine.reload_soon())
    listen(app, host, port, settings.service)


def listen(app: FastAPI, host: str, port: int, limits: ServiceConfig) -> None:
    """Serve until stopped; whoever sits between client and service is not believed about the client's address."""
    import uvicorn

    from imgmatch.apps.connections import bounded

    log_to_stderr()
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        http=bounded(limits),
        ws="none",  # a connection that becomes a WebSocket leaves this protocol, and with it all bounds
    )


def require_token_beyond_this_machine(host: str, token: str | None) -> None:
    """Refuse to listen where other machines can reach it without a token."""
    if token is None and not _is_loopback(host):
        raise typer.BadParameter(
            f"{host} can be reached from other machines: give a token with --token-file, or listen on 127.0.0.1",
            param_hint="--host",
        )


def read_token(path: Path) -> str:
    """Read the token that clients must send.

    Raises
    ------
    typer.BadParameter
        Where the file cannot be read, or holds something too short or that a header cannot carry.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path}: cannot be read: {error}", param_hint="--token-file") from error
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise typer.BadParameter(
            f"{path}: expected at least {_SHORTEST_TOKEN} printable ASCII characters without spaces",
            param_hint="--token-file",
        )
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
