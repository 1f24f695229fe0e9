"""``imgmatch explain``, ``label`` and ``calibrate``: why a verdict is what it is, and what reviewers make of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgmatch.apps.console import console, show_table
from imgmatch.apps.options import Lang

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imgmatch.records import ScanRecord
    from imgmatch.verdicts.calibration import Calibration
    from imgmatch.verdicts.rules import Rules

_Records = Annotated[Path, typer.Option(help="records.jsonl of a scan.", show_default=False)]
_ConfigFile = Annotated[Path | None, typer.Option(help="Settings (TOML) that name your own rules.", show_default=False)]


_SampledBy = Annotated[
    str,
    typer.Option(help="How the listing came to be reviewed; [b]random[/] only for a random audit of all listings."),
]
_Wrong = Annotated[
    list[str] | None,
    typer.Option(
        help="A finding that was wrong, for example [b]logo_tamper[/]; may be given again. Its photo, and the mark in "
        "it, go to the catalog's negative bank: they do not match that way again. Needs --records.",
        show_default=False,
    ),
]
_Own = Annotated[
    Path | None,
    typer.Option("--self", help="Catalog to fit on its own photos, genuine and forged, when there are no decisions yet."),
]
_Prevalence = Annotated[
    float | None,
    typer.Option(help="Expected share of bad listings; by default the labels' share, or 0.03 with --self."),
]


def register(app: typer.Typer) -> None:
    app.command()(explain)
    app.command()(label)
    app.command()(calibrate)


def explain(
    listing_id: Annotated[
        str,
        typer.Argument(help="The listing's id, or [b]platform/seller/id[/] where several share that.", show_default=False),
    ],
    records: _Records,
    config: _ConfigFile = None,
    lang: Lang = "en",
) -> None:
    """Explain a listing's verdict: claim, contradictions, rules, contributions; --lang zh prints its reasons in Chinese."""
    from imgmatch.messages import language
    from imgmatch.results import Results

    _show(Results(records).one(listing_id), _rules(config), language(lang).say)


def label(
    listing_id: Annotated[
        str,
        typer.Argument(help="The listing's id, or [b]platform/seller/id[/] where several share that.", show_default=False),
    ],
    decision: Annotated[str, typer.Argument(help="[b]confirm[/] (the lead was right) or [b]reject[/].", show_default=False)],
    labels: Annotated[Path, typer.Option(help="Table to append to; created if missing.")] = Path("labels.csv"),
    reviewer: Annotated[str, typer.Option(help="Name of the reviewer.")] = "",
    sampled_by: _SampledBy = "flagged",
    wrong: _Wrong = None,
    records: Annotated[
        Path | None,
        typer.Option(help="The scan's records.jsonl, to find the listing's platform and seller.", show_default=False),
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="Catalog whose negative bank is extended; by default the scan's.", show_default=False)
    ] = None,
) -> None:
    """Record a reviewer's decision; the table is append-only, and the last row about a listing counts."""
    from datetime import datetime, timezone

    from imgmatch.errors import InputError
    from imgmatch.results import Results
    from imgmatch.verdicts.labels import LabelRow, append_labels
    from imgmatch.verdicts.negatives import NegativeBank, rejected_matches

    if wrong and records is None:
        raise typer.BadParameter("--wrong needs --records: the finding and its photo are found there")
    record = None if records is None else Results(records).one(listing_id)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    platform, seller, listing_id = ("", "", listing_id) if record is None else record.listing.key
    row = LabelRow(listing_id, decision, reviewer, now, sampled_by, platform=platform, seller_id=seller)
    if wrong and record is not None and records is not None:
        scan = Results(records)
        folder = catalog or scan.catalog_path
        if folder is None:
            raise InputError("names no catalog; give it with --catalog", source=str(records.parent / "run.json"))
        rows = rejected_matches(record, wrong, scan.photo_root, reviewer=reviewer, time=now)
        bank = NegativeBank.append(folder, rows)
        console.print(f"{bank}: {len(rows)} rejected matches of {listing_id}", highlight=False, markup=False)
    append_labels(labels, [row])
    console.print(f"{labels}: {listing_id} {decision}", highlight=False, markup=False)


def calibrate(
    own: _Own = None,
    records: Annotated[Path | None, typer.Option(help="records.jsonl of a scan.", show_default=False)] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Table of decisions, see [b]imgmatch label[/].", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="File for the calibration.")] = Path("calibration.json"),
    prevalence: _Prevalence = None,
    name: Annotated[str, typer.Option(help="Name of the calibration on records.")] = "own labels",
    config: _ConfigFile = None,
) -> None:
    """Fit a calibration from reviewers' decisions (with figures before and after), or from a catalog's own photos."""
    from datetime import datetime, timezone

    today = datetime.now(timezone.utc).date().isoformat()
    if own is not None:
        if records is not None or labels is not None:
            raise typer.BadParameter("--self fits on the catalog's photos alone: give it without --records and --labels")
        made = _self_calibrated(own, config, today, prevalence)
        made.save(out)
        show_calibration(made)
        console.print(f"calibration: {out}; scans load it where it is {own / 'calibration.json'}", highlight=False)
        return

    from imgmatch.fit.reviews import fit_reviews
    from imgmatch.results import Results
    from imgmatch.verdicts.labels import read_labels
    from imgmatch.verdicts.negatives import NegativeBank

    if records is None or labels is None:
        raise typer.BadParameter("expected --records and --labels, or --self")
    decided, problems = read_labels(labels)
    scan = Results(records)
    bank = NegativeBank.of_catalog(scan.catalog_path)
    found = fit_reviews(
        scan, decided, _rules(config), space=scan.space, bank=bank, created=today, name=name, prevalence=prevalence
    )
    for problem in [*problems, *found.problems]:
        console.print(f"left out: {problem}", style="yellow", highlight=False, markup=False)
    if bank.rows:
        silent = f"which silence findings of {found.silenced} of these listings"
        console.print(f"negative bank: {len(bank.rows)} rejected matches, {silent}")
    found.made.save(out)
    before = "the scan had no probabilities" if found.before is None else _quality(found.before)
    console.print(f"before: {before}", highlight=False)
    show_calibration(found.made)
    console.print(f"calibration: {out}", highlight=False)


def _self_calibrated(catalog: Path, config: Path | None, today: str, prevalence: float | None) -> Calibration:
    from imgmatch.apps.console import progress_bar
    from imgmatch.catalog import Catalog
    from imgmatch.config import Config
    from imgmatch.fit.self_calibration import calibrate_self

    settings = Config() if config is None else Config.load(config)
    with progress_bar("scanning listings made of the catalog's own photos") as update:
        return calibrate_self(
            Catalog.load(catalog),
            settings,
            created=today,
            prevalence=0.03 if prevalence is None else prevalence,
            progress=lambda done, total: update(done, total, ""),
        )


def show_calibration(made: Calibration) -> None:
    """Print what was fitted, its operating points and what was refused."""
    console.print(made.describe(), highlight=False, markup=False, style="bold")
    rows = [
        (
            p.name,
            f"{p.threshold:.3f}",
            f"{p.fpr:.2%} ({p.fpr_interval[0]:.2%} to {p.fpr_interval[1]:.2%})",
            f"{p.recall:.1%} ({p.recall_interval[0]:.1%} to {p.recall_interval[1]:.1%})",
            f"{p.negatives} + {p.positives}",
        )
        for p in made.points.values()
    ]
    columns = (
        "operating point",
        "lead from",
        "honest listings led to",
        "bad ones found",
        "n",
    )
    show_table("operating points, cross-fitted over sellers, 95 % intervals", columns, rows)
    for point, why in made.refused.items():
        console.print(f"refused {point}: {why}", style="yellow", highlight=False, markup=False)
    show_table(
        "coefficients",
        ("finding", "weight", "made on"),
        [(n, f"{c.weight:.2f}", c.made) for n, c in made.coefficients.items()],
    )
    if len(made.brands) > 1:
        brands = [
            (name or "none", str(b["negatives"]), str(b["false_leads"]), str(b["positives"]), str(b["true_leads"]))
            for name, b in sorted(made.brands.items())
        ]
        columns_of_brands = ("claimed brand", "honest", "led to", "bad", "found")
        show_table("by claimed brand, at the strictest point", columns_of_brands, brands)
    console.print(f"after, at {made.prevalence:.1%} bad: {_quality(made.quality)}", highlight=False)


def _quality(figures: Mapping[str, float]) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in figures.items())


def _rules(config: Path | None) -> Rules:
    from imgmatch.config import Config
    from imgmatch.verdicts.rules import Rules

    settings = Config() if config is None else Config.load(config)
    return Rules.load(settings.folder / settings.fusion.rules if settings.fusion.rules else None)


def _show(record: ScanRecord, rules: Rules, say: Callable[[str], str]) -> None:
    from imgmatch.verdicts.explained import explain as parts_of

    listing, verdict = record.listing, record.verdict
    known = (listing.platform, listing.seller_id, listing.price, listing.currency, listing.condition)
    about = "  ".join(str(x) for x in known if x is not None)
    console.print(f"[bold]{_plain(record.listing_id)}[/]  {_plain(listing.title or '')}", highlight=False)
    if about:
        console.print(_plain(about), style="dim", highlight=False)
    if verdict is None:
        console.print(f"[red]failed[/]: {_plain(say(record.error or ''))}", highlight=False)
        return
    style = {"clear": "green", "unjudged": "cyan", "review": "yellow", "lead": "red"}[str(verdict.decision)]
    claimed = f", presents itself as {verdict.brand}" if verdict.brand else ""
    console.print(f"[bold {style}]{verdict.decision}[/] ({verdict.basis}{_plain(claimed)})", highlight=False)
    if verdict.labels:
        console.print("labels: " + ", ".join(map(str, verdict.labels)), highlight=False)
    if verdict.shows_brand:
        certainty = "" if verdict.certainty is None else f", certainty {verdict.certainty:.2f}"
        console.print(f"shown by {', '.join(verdict.shown_by)}{certainty}", highlight=False, markup=False)
    if verdict.rank is None:
        console.print("no rank: the rules alone decided, without a calibration", highlight=False)
    else:
        said = f"rank {verdict.rank:.3f}" if verdict.probability is None else f"probability {verdict.probability:.3f}"
        console.print(f"{said}, by {_plain(say(verdict.calibration or ''))}", highlight=False)
    explained = parts_of(verdict, rules)
    assessment, facts = explained.assessment, explained.terms
    if assessment.brand is not None:
        said = ", ".join(f"{s} {f.signal}" for f, s in assessment.contradictions) or "none"
        console.print(f"contradictions: {said}; the rules allow {assessment.allows} at most", highlight=False)
    console.print()
    for reason in verdict.reasons:
        console.print(f"  - {_plain(say(reason))}", highlight=False, soft_wrap=True)
    console.print()
    console.print("findings: value, what it counts as, what it adds to the logit, photo", style="bold", highlight=False)
    for part in explained.parts:
        value = str(part.finding.status) if part.finding.value is None else f"{part.finding.value:.2f}"
        adds = "" if part.adds is None else f"{part.adds:+.2f}"
        facts_of = f"{value:10}{part.counts_as:8}{adds:7}{part.finding.photo_id or ''}".rstrip()
        console.print(f"{_plain(part.finding.signal):18}{_plain(facts_of)}", highlight=False)
        console.print(f"    {_plain(say(part.finding.reason))}", style="dim", highlight=False, soft_wrap=True)
    if "intercept" in facts:
        total = sum(facts.values())
        others = "".join(f"{name} {facts[name]:+.2f}, " for name in ("intercept", "isotonic") if name in facts)
        console.print(f"{others}sum {total:+.2f}", style="dim", highlight=False)
    console.print("[dim]a lead is for human review, not proof; clear means no contradiction was found, never authentic[/]")


def _plain(text: str) -> str:
    """Return text of others as it may stand in a line of ours: no markup, nothing that speaks to the terminal."""
    from rich.markup import escape

    return escape(_printable(text))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
