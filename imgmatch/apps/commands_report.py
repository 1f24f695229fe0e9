"""``imgmatch report``: the report of a finished scan, written again: in another language, or with its rings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgmatch.apps.console import console
from imgmatch.apps.options import Lang

_Scan = Annotated[Path, typer.Argument(help="Folder of a scan, or its records.jsonl.", show_default=False)]
_Out = Annotated[Path | None, typer.Option(help="The page; by default report.html beside the records.", show_default=False)]
_Rings = Annotated[Path | None, typer.Option(help="rings.jsonl, to show its rings above the listings.", show_default=False)]
_Catalog = Annotated[Path | None, typer.Option(help="The catalog's folder; by default the scan's.", show_default=False)]
_Photos = Annotated[
    Path | None, typer.Option(help="Folder that photo paths are relative to; by default the scan's.", show_default=False)
]
_Limit = Annotated[int, typer.Option(min=0, help="Listings shown with pictures, strongest first.")]


def register(app: typer.Typer) -> None:
    app.command()(report)


def report(
    scan: _Scan,
    out: _Out = None,
    rings: _Rings = None,
    catalog: _Catalog = None,
    photos: _Photos = None,
    limit: _Limit = 500,
    lang: Lang = "en",
) -> None:
    """Write the report of a finished scan again, without examining anything: in another language, or with its rings."""
    from imgmatch.catalog import Catalog
    from imgmatch.errors import InputError
    from imgmatch.investigate.report import write_report
    from imgmatch.investigate.report.rings_page import read_rings
    from imgmatch.results import Results

    results = Results(scan)
    used = catalog or results.catalog_path
    if used is None:
        raise InputError("run.json names no catalog; give --catalog", source=str(results.records_path.parent))
    page = out or results.records_path.parent / "report.html"
    write_report(
        results,
        photo_root=photos or results.photo_root,
        catalog=Catalog.load(used),
        run=results.run,
        out=page,
        limit=limit,
        rings=() if rings is None else read_rings(rings),
        lang=lang,
    )
    console.print(f"report: {page}", highlight=False, markup=False)
