"""``imgmatch scan``: listings in, records and a report out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgmatch.apps.console import EXIT_FAILED, EXIT_FLAGGED, console, fail, progress_bar
from imgmatch.apps.options import ConfigFile, Device, Effort, Lang, Signals, known_currency, read_config

if TYPE_CHECKING:
    from imgmatch.io.tables import Layout
    from imgmatch.scan import ScanSummary


_Listings = Annotated[
    Path,
    typer.Argument(
        help="Folder (each photo or subfolder a listing) or a table: CSV, JSON, Parquet, XLSX, or - (docs/listings.md).",
        show_default=False,
    ),
]
_Posts = Annotated[
    Path | None,
    typer.Option(help="Table of posts that lead to these listings (docs/listings.md).", show_default=False),
]
_Known = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="A field that holds for all listings, such as [b]url=https://shop.example[/], [b]condition=new[/] or "
        "[b]seller_id=…[/]; may be given again.",
        show_default=False,
    ),
]
_Preset = Annotated[
    str | None,
    typer.Option(help="Layout of the table: shopify, woocommerce, ebay, etsy, generic, or a TOML file.", show_default=False),
]
_Columns = Annotated[
    str | None,
    typer.Option("--map", help="Columns of fields: price=Variant Price,title=Title,photos=Image*.", show_default=False),
]
_RetryFailed = Annotated[bool, typer.Option(help="Retry failed rows, photos that timed out and signals that failed.")]
_Runner = Annotated[str, typer.Option(help="[b]local[/], or [b]ray[/]: workers of a Ray cluster (docs/scaling.md).")]
_Contacts = Annotated[
    bool, typer.Option("--contacts", help="Keep contacts found in texts and photos on the record (personal data).")
]
_FailOn = Annotated[
    str | None,
    typer.Option(
        help="[b]brand[/] (a brand is shown: unjudged or further), [b]review[/] or [b]lead[/]: exit with 10 if any "
        "listing gets that far.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    app.command()(scan)


def scan(
    listings: _Listings,
    catalog: Annotated[Path, typer.Option(help="The catalog's folder.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the results.", show_default=False)],
    posts: _Posts = None,
    known: _Known = None,
    preset: _Preset = None,
    columns: _Columns = None,
    config: ConfigFile = None,
    signals: Signals = None,
    effort: Effort = None,
    device: Device = None,
    resume: Annotated[bool, typer.Option(help="Reuse shards of an earlier run that are still valid.")] = True,
    retry_failed: _RetryFailed = False,
    runner: _Runner = "local",
    contacts: _Contacts = False,
    fail_on: _FailOn = None,
    lang: Lang = "en",
) -> None:
    """Examine listings against a catalog; writes records.jsonl, records.csv, report.html and run.json."""
    if fail_on not in (None, "brand", "review", "lead"):
        raise typer.BadParameter(f"expected brand, review or lead, got {fail_on}", param_hint="--fail-on")
    if runner not in ("local", "ray"):
        raise typer.BadParameter(f"expected local or ray, got {runner}", param_hint="--runner")
    settings = read_config(config, signals, effort)
    if contacts:
        settings = replace(settings, contacts=replace(settings.contacts, extract=True))

    from imgmatch.catalog import Catalog
    from imgmatch.investigate.report import write_report
    from imgmatch.scan import run_scan, run_shards

    if runner == "ray":
        from imgmatch.apps.ray import run_shards
    elif device is None:  # a device is not shared out among processes
        from imgmatch.scan.processes import run_shards
    with progress_bar("scanning") as update:

        def progress(done: int, total: int, counts: Counter[str]) -> None:
            update(done, total, "  ".join(f"{name} {n}" for name, n in sorted(counts.items())))

        summary = run_scan(
            listings,
            Catalog.load(catalog, device=device),
            out,
            posts=posts,
            known=_pairs(known or ()),
            layout=_layout(preset, columns),
            config=settings,
            resume=resume,
            retry_failed=retry_failed,
            report=partial(write_report, lang=lang),
            progress=progress,
            runner=run_shards,
        )
    show_summary(summary)
    if summary.stopped is not None:
        fail(summary.stopped)
        raise typer.Exit(EXIT_FAILED)
    if fail_on and _reached(fail_on, summary):
        raise typer.Exit(EXIT_FLAGGED)


def _layout(preset: str | None, columns: str | None) -> Layout | None:
    """Return where the table has its fields, as --preset and --map say; None where neither is given."""
    from imgmatch.io.tables import Layout, parse_map

    layout = None if preset is None else Layout.load(preset)
    return layout if columns is None else (layout or Layout()).with_columns(parse_map(columns))


def _reached(fail_on: str, summary: ScanSummary) -> bool:
    """Tell whether any listing got as far as --fail-on asks."""
    from imgmatch.types import Decision

    least = Decision.UNJUDGED if fail_on == "brand" else Decision(fail_on)
    return any(summary.counts[str(d)] for d in Decision if d.rank >= least.rank)


def _pairs(given: Iterable[str]) -> dict[str, str]:
    """Return FIELD=VALUE arguments as a mapping."""
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (equals and name.strip() and value.strip()):
            raise typer.BadParameter(f"expected FIELD=VALUE, got {text}", param_hint="--set")
        pairs[name.strip()] = value.strip()
    if "currency" in pairs:
        pairs["currency"] = known_currency(pairs["currency"])
    return pairs


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
