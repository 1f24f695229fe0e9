"""``imgmatch scan``: listings in, records and a report out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgmatch.apps.console import EXIT_FAILED, EXIT_FLAGGED, console, fail, progress_bar

if TYPE_CHECKING:
    from imgmatch.config import Config
    from imgmatch.scan import ScanSummary


def register(app: typer.Typer) -> None:
    app.command()(scan)


def scan(
    listings: Annotated[
        Path,
        typer.Argument(
            help="Folder (each photo or subfolder a listing) or a table: CSV, JSON, Parquet, XLSX, or - (docs/listings.md).",
            show_default=False,
        ),
    ],
    catalog: Annotated[Path, typer.Option(help="The catalog's folder.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the results.", show_default=False)],
    posts: Annotated[
        Path | None,
        typer.Option(help="Table of posts that lead to these listings (docs/listings.md).", show_default=False),
    ] = None,
    known: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="A field that holds for all listings, such as [b]url=https://shop.example[/], [b]condition=new[/] or "
            "[b]seller_id=…[/]; may be given again.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Layout of the table: shopify, woocommerce, ebay, etsy, generic, or a TOML file.", show_default=False
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--map", help="Columns of fields: price=Variant Price,title=Title,photos=Image*.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with settings (docs/config.md).", show_default=False)
    ] = None,
    signals: Annotated[
        str | None, typer.Option(help="Signals to run, comma-separated; overrides the config.", show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Device of the encoder: [b]cpu[/], [b]cuda[/] or [b]cuda:1[/].", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option(help="Reuse shards of an earlier run that are still valid.")] = True,
    retry_failed: Annotated[
        bool, typer.Option(help="Retry failed rows, photos that timed out and signals that failed.")
    ] = False,
    runner: Annotated[
        str, typer.Option(help="[b]local[/], or [b]ray[/]: workers of a Ray cluster (docs/scaling.md).")
    ] = "local",
    contacts: Annotated[
        bool, typer.Option("--contacts", help="Keep contacts found in texts and photos on the record (personal data).")
    ] = False,
    fail_on: Annotated[
        str | None,
        typer.Option(
            help="[b]brand[/] (a brand is shown: unjudged or further), [b]review[/] or [b]lead[/]: exit with 10 if any "
            "listing gets that far.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Examine listings against a catalog; writes records.jsonl, records.csv, report.html and run.json."""
    from imgmatch.types import Decision

    if fail_on not in (None, "brand", "review", "lead"):
        raise typer.BadParameter(f"expected brand, review or lead, got {fail_on}", param_hint="--fail-on")
    if runner not in ("local", "ray"):
        raise typer.BadParameter(f"expected local or ray, got {runner}", param_hint="--runner")
    settings = read_config(config, signals)
    if contacts:
        settings = replace(settings, contacts=replace(settings.contacts, extract=True))

    from imgmatch.catalog import Catalog
    from imgmatch.investigate.report import write_report
    from imgmatch.io.tables import Layout, parse_map
    from imgmatch.scan import run_scan, run_shards

    if runner == "ray":
        from imgmatch.apps.ray import run_shards

    layout = None if preset is None else Layout.load(preset)
    if columns is not None:
        layout = (layout or Layout()).with_columns(parse_map(columns))
    with progress_bar("scanning") as update:

        def progress(done: int, total: int, counts: Counter[str]) -> None:
            update(done, total, "  ".join(f"{name} {n}" for name, n in sorted(counts.items())))

        summary = run_scan(
            listings,
            Catalog.load(catalog, device=device),
            out,
            posts=posts,
            known=_pairs(known or ()),
            layout=layout,
            config=settings,
            resume=resume,
            retry_failed=retry_failed,
            report=write_report,
            progress=progress,
            runner=run_shards,
        )
    show_summary(summary)
    if summary.stopped is not None:
        fail(summary.stopped)
        raise typer.Exit(EXIT_FAILED)
    least = Decision.UNJUDGED if fail_on == "brand" else Decision(fail_on or "lead")
    if fail_on and any(summary.counts[str(d)] for d in Decision if d.rank >= least.rank):
        raise typer.Exit(EXIT_FLAGGED)


def _pairs(given: Iterable[str]) -> dict[str, str]:
    """Return FIELD=VALUE arguments as a mapping."""
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (equals and name.strip() and value.strip()):
            raise typer.BadParameter(f"expected FIELD=VALUE, got {text}", param_hint="--set")
        pairs[name.strip()] = value.strip()
    return pairs


def read_config(path: Path | None, signals: str | None = None) -> Config:
    """Return the settings of a file, or the defaults, with the signals named on the command line."""
    from imgmatch.config import Config

    settings = Config() if path is None else Config.load(path)
    if signals is not None:
        settings = replace(settings, signals=tuple(name.strip() for name in signals.split(",") if name.strip()))
    return settings


def show_summary(summary: ScanSummary) -> None:
    counts = summary.counts
    fresh = summary.rows - summary.reused
    rate = f", {fresh / summary.seconds:.1f}/s" if fresh and summary.seconds else ""
    console.print(
        f"{summary.rows} listings in {summary.seconds:.1f} s{rate}"
        + (f" ({summary.reused} from an earlier run)" if summary.reused else ""),
        highlight=False,
    )
    console.print(
        f"[bold red]{counts['lead']} lead[/]  [bold yellow]{counts['review']} review[/]  "
        f"[bold cyan]{counts['unjudged']} unjudged[/]  {counts['clear']} clear  "
        f"{counts['failed']} failed"
    )
    for note in summary.notes:
        console.print(note, style="dim", highlight=False, markup=False)
    console.print(f"report: {summary.out / 'report.html'}", highlight=False, markup=False)
    console.print("[dim]a lead is for human review, not proof; clear means no contradiction was found, never authentic[/]")
