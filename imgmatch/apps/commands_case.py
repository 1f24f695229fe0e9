"""``imgmatch case``: a sealed package about one seller or ring, and the check that it is still what was sealed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgmatch.apps.console import EXIT_FAILED, console, fail
from imgmatch.apps.options import Currency, Lang

if TYPE_CHECKING:
    from imgmatch.investigate.case.case import Case
    from imgmatch.records import ScanRecord
    from imgmatch.results import Results

_Subject = Annotated[
    str, typer.Argument(help="A seller id, platform/seller id or ring id; or [b]verify[/].", show_default=False)
]
_Package = Annotated[Path | None, typer.Argument(help="With [b]verify[/]: the case to check.", show_default=False)]
_Records = Annotated[list[Path] | None, typer.Option(help="records.jsonl of one or more scans.", show_default=False)]
_Rings = Annotated[Path | None, typer.Option(help="rings.jsonl, for a ring id.", show_default=False)]
_Photos = Annotated[
    list[Path] | None,
    typer.Option(help="Folder that photo paths are relative to; by default the scan's.", show_default=False),
]
_Catalog = Annotated[
    Path | None,
    typer.Option(help="The catalog that holds the reference photos; by default the scan's.", show_default=False),
]
_ConfigFile = Annotated[Path | None, typer.Option(help="Settings (TOML) with currency rates.", show_default=False)]
_Floor = Annotated[
    float | None,
    typer.Option(help="Report whether the value reaches this amount (needs --currency).", show_default=False),
]
_SigningKey = Annotated[Path | None, typer.Option(help="Ed25519 private key (PEM) to sign with.", show_default=False)]
_Notice = Annotated[
    str | None,
    typer.Option(
        help="Draft a notice beside the case: [b]dsa[/], [b]vero[/] or [b]letter[/]; needs --labels.", show_default=False
    ),
]
_Labels = Annotated[
    Path | None,
    typer.Option(help="Table of reviewers' decisions: a notice covers what they confirmed.", show_default=False),
]
_Template = Annotated[Path | None, typer.Option(help="Your own copy of the notice's template.", show_default=False)]
_ReasonCode = Annotated[str, typer.Option(help='With [b]vero[/]: eBay\'s reason code; 9052 is "other".')]
_PublicKey = Annotated[
    Path | None, typer.Option(help="With [b]verify[/]: the key that must have signed.", show_default=False)
]
_Privacy = Annotated[bool, typer.Option("--privacy", help="With [b]verify[/]: list contacts that its texts still contain.")]


_verify = "verify"


def register(app: typer.Typer) -> None:
    app.command()(case)


def case(
    subject: _Subject,
    package: _Package = None,
    records: _Records = None,
    out: Annotated[Path, typer.Option(help="The package to write.")] = Path("case.zip"),
    rings: _Rings = None,
    photos: _Photos = None,
    catalog: _Catalog = None,
    config: _ConfigFile = None,
    currency: Currency = None,
    floor: _Floor = None,
    show_contacts: Annotated[bool, typer.Option(help="Write contacts in full; by default they are masked.")] = False,
    sign: _SigningKey = None,
    notice: _Notice = None,
    labels: _Labels = None,
    template: _Template = None,
    reason_code: _ReasonCode = "9052",
    sender: Annotated[str, typer.Option(help="Who will send the notice: [b]Name <e-mail>[/].", show_default=False)] = "",
    public_key: _PublicKey = None,
    privacy: _Privacy = False,
    lang: Lang = "en",
) -> None:
    """Pack all that is known about a seller or ring into a sealed case; [b]imgmatch case verify case.zip[/] checks one."""
    if subject == _verify and package is not None:
        return _check(package, public_key, privacy=privacy)
    if package is not None or not records:
        raise typer.BadParameter("expected --records for a seller or ring, or: imgmatch case verify CASE.ZIP")
    if floor is not None and currency is None:
        raise typer.BadParameter("--floor needs --currency")
    _check_notice(notice, labels)

    from imgmatch.apps.commands_rings import photo_roots
    from imgmatch.catalog import Catalog
    from imgmatch.config import Config
    from imgmatch.investigate.case.case import write_case
    from imgmatch.investigate.case.seal import load_private_key
    from imgmatch.investigate.case.subject import find_subject, subject_records
    from imgmatch.investigate.report.rings_page import read_rings
    from imgmatch.results import Results
    from imgmatch.signals import settings_of

    run, found = Results(records[0]), find_subject(subject, records, read_rings(rings) if rings else ())
    used = catalog or _catalog_of(run)
    packed = write_case(
        found,
        records,
        out,
        photo_roots=photos or photo_roots(records),
        catalog=None if used is None else Catalog.load(used),
        run=dict(run.run) or None,
        floor=floor,
        currency=currency,
        rates=settings_of("listing", Config() if config is None else Config.load(config)).rates,
        show_contacts=show_contacts,
        key=None if sign is None else load_private_key(sign),
        lang=lang,
    )
    _report(packed, out, shows_references=used is not None)
    if notice is not None and labels is not None:
        fill = {"sender": sender, "template": template, "reason_code": reason_code}
        _write_notice(notice, subject_records(found, records), labels, out=out, catalog=used, fill=fill)


def _report(packed: Case, out: Path, *, shows_references: bool) -> None:
    """Say what was packed, what could not be, and the hash to write down."""
    facts = packed.summary["facts"]
    console.print(f"{out}: {facts['listings']} listings, {facts['photos_packed']} photos", highlight=False, markup=False)
    if packed.missing:
        console.print(f"{len(packed.missing)} photos are missing, see summary.json", highlight=False)
    if not shows_references:
        console.print("no catalog found: references are named, not shown", highlight=False)
    console.print(f"manifest sha256 {packed.seal.manifest_sha256}", highlight=False)
    console.print("[dim]write this hash down elsewhere or have it timestamped: it identifies the whole package[/]")


def _check_notice(notice: str | None, labels: Path | None) -> None:
    from imgmatch.investigate.notices import NOTICES

    if notice is not None and notice not in NOTICES:
        raise typer.BadParameter(f"expected {', '.join(NOTICES)}, got {notice}", param_hint="--notice")
    if notice is not None and labels is None:
        raise typer.BadParameter("--notice needs --labels: it says who has reviewed each listing")


def _write_notice(
    kind: str,
    rows: list[ScanRecord],
    labels: Path,
    *,
    out: Path,
    catalog: Path | None,
    fill: dict[str, Any],
) -> None:
    from email.utils import parseaddr

    from imgmatch.catalog import Catalog
    from imgmatch.investigate.notices import FORMATS, Sender, notice_items, render_notice
    from imgmatch.io.files import atomic_write
    from imgmatch.verdicts.labels import read_decisions
    from imgmatch.verdicts.negatives import NegativeBank

    decisions, problems = read_decisions(labels)
    for problem in problems:
        console.print(f"left out: {problem}", style="yellow", highlight=False, markup=False)
    brands = {} if catalog is None else {k: b.name or k for k, b in Catalog.load(catalog).brands.items()}
    draft = notice_items(
        rows,
        lambda key: decisions.get(key) or decisions.get(("", "", key[2]), []),
        bank=NegativeBank.of_catalog(catalog),
        brand_name=lambda brand: brands.get(brand, brand),
    )
    for listing, why in draft.left_out:
        console.print(f"not in the notice: {listing}: {why}", style="yellow", highlight=False, markup=False)
    fill = {**fill, "sender": Sender(*parseaddr(fill["sender"]))}
    for form in FORMATS:
        path = out.with_name(f"{out.stem}-{kind}.{form}")
        with atomic_write(path) as f:
            f.write(render_notice(kind, draft.items, form, **fill))
        console.print(f"draft: {path}, {len(draft.items)} listings", highlight=False, markup=False)
    console.print("[dim]nothing was sent: check every line, correct what is wrong, then send it yourself[/]")


def _check(package: Path, public_key: Path | None, *, privacy: bool) -> None:
    from imgmatch.investigate.case.seal import load_public_key, verify_package

    seal = verify_package(package, None if public_key is None else load_public_key(public_key))
    for problem in seal.problems:
        fail(problem)
    if seal.problems:
        raise typer.Exit(EXIT_FAILED)
    signed = f"signed by the key with sha256 {seal.signer}" if seal.signer else "not signed"
    console.print(f"{package}: {seal.files} files unchanged since packaging, {signed}", highlight=False, markup=False)
    console.print(f"manifest sha256 {seal.manifest_sha256}", highlight=False)
    console.print("[dim]this shows integrity since packaging, not origin; compare the hash with the one written down[/]")
    if privacy:
        _list_contacts(package)


def _list_contacts(package: Path) -> None:
    from imgmatch.investigate.case.privacy import contacts_left

    left = contacts_left(package)
    for contact in left:
        console.print(contact, highlight=False, markup=False)
    console.print(f"{len(left)} contacts are left in its texts; photos and the PDF were not read", highlight=False)


def _catalog_of(run: Results) -> Path | None:
    path = run.catalog_path
    return path if path is not None and path.is_dir() else None
