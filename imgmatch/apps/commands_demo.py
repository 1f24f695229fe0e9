"""``imgmatch demo``: a fictional market from photos to report, in a minute or two, compared with its truth at the end."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgmatch.apps.console import console, progress_bar, show_table

if TYPE_CHECKING:
    from imgmatch.records import ScanRecord

_ENCODER = "mobilenet-v2"
_DECISIONS = ("lead", "review", "unjudged", "clear", "failed")


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the demo; an earlier demo there is replaced.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Random seed of the market.")] = 0,
) -> None:
    """Render a fictional market, catalog its authentic goods, scan its listings, find its ring and its campaign.

    At the end, results are compared with the truth.
    """
    from imgmatch.apps.commands_rings import rings
    from imgmatch.apps.commands_scan import show_summary
    from imgmatch.catalog import Catalog
    from imgmatch.config import Config
    from imgmatch.encoders.store import pull
    from imgmatch.investigate.report import write_report
    from imgmatch.investigate.report.rings_page import read_rings
    from imgmatch.results import Results
    from imgmatch.scan import run_scan
    from imgmatch.world.demo import DEMO_RATES, write_demo

    pull(_ENCODER, say=lambda line: console.print(line, style="dim", highlight=False, markup=False))
    with _step("rendering three invented brands and their market"):
        world = write_demo(out, seed)
    with progress_bar("building the catalog") as update:
        catalog = Catalog.build(
            world.manifest, out / "catalog", encoder=_ENCODER, progress=lambda done, total: update(done, total, "")
        )
    config = Config(sections={"listing": {"rates": DEMO_RATES}})
    with progress_bar("scanning") as update:

        def progress(done: int, total: int, counts: Counter[str]) -> None:
            update(done, total, "  ".join(f"{name} {n}" for name, n in sorted(counts.items())))

        summary = run_scan(world.listings, catalog, out / "scan", posts=world.posts, config=config, progress=progress)
    results = Results(out / "scan")
    rings([results.records_path], out / "rings")
    # The report comes last here, so that it can show the ring beside the listings.
    write_report(
        results,
        photo_root=out,
        catalog=catalog,
        run=dict(results.run),
        out=out / "scan" / "report.html",
        rings=read_rings(out / "rings" / "rings.jsonl"),
    )
    show_summary(summary)
    _compare(list(results), world.truth)
    console.print(
        "[dim]Everything here is rendered and invented, and a third of it dishonest, which no real market is. "
        f"Similarity is by {_ENCODER}, an ImageNet CNN, weaker than CLIP.[/]"
    )
    console.print(f"open [bold]{out / 'scan' / 'report.html'}[/] and [bold]{out / 'rings' / 'rings.html'}[/]")
    files = f"--rings {out / 'rings' / 'rings.jsonl'} --labels {out / 'labels.csv'}"
    console.print(f"or review it at the desk: [bold]imgmatch desk {out / 'scan'} {files}[/]", highlight=False)


def _compare(records: list[ScanRecord], truth: Path) -> None:
    """Print what became of each kind of listing."""
    with open(truth, encoding="utf-8", newline="") as f:
        kinds = {row["listing_id"]: (row["bad"] == "true", row["kind"]) for row in csv.DictReader(f)}
    counts: dict[tuple[bool, str], Counter[str]] = {}
    for record in records:
        decision = "failed" if record.verdict is None else str(record.verdict.decision)
        counts.setdefault(kinds[record.listing_id], Counter())[decision] += 1
    rows = [
        ("dishonest" if bad else "honest", kind.replace("_", " "), *(counts[bad, kind][d] or "" for d in _DECISIONS))
        for bad, kind in sorted(counts, key=lambda key: (not key[0], key[1]))
    ]
    show_table("\nagainst the truth", ("", "kind of listing", *_DECISIONS), rows)


@contextmanager
def _step(what: str) -> Iterator[None]:
    with console.status(what):
        yield
    console.print(f"{what}: done", highlight=False)
