"""``imgmatch desk``: review, decide, look further and act, in the browser."""

from __future__ import annotations

import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgmatch.apps.console import console, progress_bar
from imgmatch.apps.options import ConfigFile, Host, read_config

if TYPE_CHECKING:
    from imgmatch.apps.desk.desk import Desk


def register(app: typer.Typer) -> None:
    app.command()(desk)


def desk(
    scans: Annotated[list[Path], typer.Argument(help="Folders of finished scans.", show_default=False)],
    catalog: Annotated[
        Path | None, typer.Option(help="Catalog of these scans; by default the first scan's.", show_default=False)
    ] = None,
    labels: Annotated[Path, typer.Option(help="Table of decisions (as written by [b]imgmatch label[/]).")] = Path(
        "labels.csv"
    ),
    rings: Annotated[Path | None, typer.Option(help="rings.jsonl of these scans.", show_default=False)] = None,
    config: ConfigFile = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8100,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that reviewers log in with.", show_default=False)
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the desk in this machine's browser.")] = True,
) -> None:
    """Review finished scans in the browser: queue, evidence, decisions by keys, cases, notices (docs/desk.md)."""
    from imgmatch.apps.commands_serve import listen, read_token, require_token_beyond_this_machine
    from imgmatch.errors import MissingExtraError

    token = None if token_file is None else read_token(token_file)
    require_token_beyond_this_machine(host, token)
    try:
        from imgmatch.apps.desk.app import create_desk
        from imgmatch.apps.service import LOOPBACK
    except ImportError as error:
        raise MissingExtraError("imgmatch desk", "desk") from error

    settings = read_config(config)
    made = _opened(scans, catalog, labels=labels, rings=rings, config=settings)
    app = create_desk(made, token=token, hosts=None if token is not None else LOOPBACK | {host.lower()})
    address = f"http://{'[' + host + ']' if ':' in host else host}:{port}"
    console.print(f"the desk is at [bold]{address}[/]; decisions go to {labels}; Ctrl+C ends it", highlight=False)
    if browser:
        opening = threading.Timer(1.0, webbrowser.open, [address])
        opening.daemon = True
        opening.start()
    listen(app, host, port, settings.service)


def _opened(scans: list[Path], catalog: Path | None, **more: Any) -> Desk:
    """Open a desk over some scans, against the catalog that the first of them names where none is given."""
    from imgmatch.apps.desk.desk import Desk
    from imgmatch.catalog import Catalog
    from imgmatch.results import Results

    results = [Results(path) for path in scans]
    used = catalog or next((r.catalog_path for r in results if r.catalog_path and r.catalog_path.is_dir()), None)
    with progress_bar("indexing") as update:
        return Desk(
            results, catalog=None if used is None else Catalog.load(used), progress=lambda n: update(n, None, ""), **more
        )
