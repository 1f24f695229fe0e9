"""``imgmatch search`` and ``compare``: where else a photo was seen, and two photos through every signal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgmatch.apps.console import console, progress_bar, show_table

_Catalog = Annotated[
    Path | None, typer.Option(help="The catalog; by default the one that was scanned against.", show_default=False)
]
_ConfigFile = Annotated[Path | None, typer.Option(help="TOML file with settings (docs/config.md).", show_default=False)]


def register(app: typer.Typer) -> None:
    app.command()(search)
    app.command()(compare)


def search(
    photo: Annotated[Path, typer.Argument(help="A photo.", show_default=False)],
    scans: Annotated[list[Path], typer.Option(help="Folder of a finished scan; may be given again.", show_default=False)],
    catalog: _Catalog = None,
    config: _ConfigFile = None,
) -> None:
    """Find where else a photo, or a part of it, was seen in scans and catalog: copies first, then what looks alike."""
    from imgmatch.apps.desk.index import ScanIndex
    from imgmatch.apps.desk.look import look_for, lookup_of
    from imgmatch.apps.options import read_config
    from imgmatch.catalog import Catalog
    from imgmatch.errors import InputError
    from imgmatch.images import read_file
    from imgmatch.matcher import Matcher
    from imgmatch.results import Results

    results = [Results(path) for path in scans]
    used = catalog or next((r.catalog_path for r in results if r.catalog_path), None)
    if used is None:
        raise InputError("names no catalog; give it with --catalog", source=str(results[0].records_path.parent / "run.json"))
    data = read_file(photo)
    matcher = Matcher(Catalog.load(used), read_config(config))
    with progress_bar("indexing") as update:
        index = ScanIndex(results, progress=lambda done: update(done, None, ""))
    lookup = lookup_of(index, matcher.catalog.space.id)
    found = look_for(data, index, lookup, matcher)
    rows = [
        (
            x.kind,
            f"{x.value:.2f}",
            "/".join((r["platform"], r["seller"], r["listing_id"])),
            r["photo_id"],
            r["decision"],
            x.words,
        )
        for x, listings in found.scans
        for r in listings
    ]
    columns = ("", "value", "listing", "photo", "decision", "how")
    show_table(f"{photo.name} in {found.photos} photos of the scans", columns, rows)
    of_catalog = [(x.kind, f"{x.value:.2f}", x.item, x.brand, x.words) for x in found.catalog]
    show_table("in the catalog", ("", "value", "item", "brand", "how"), of_catalog)
    if found.embedded < found.photos:
        console.print(
            f"{found.photos - found.embedded} photos were searched by their hashes alone: no embeddings in the cache",
            style="yellow",
        )
    console.print("[dim]the value of what is similar is a cosine, not a percentage chance[/]")


def compare(
    first: Annotated[Path, typer.Argument(help="A photo.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Another.", show_default=False)],
    catalog: Annotated[Path, typer.Option(help="The catalog that both are compared with.", show_default=False)],
    config: _ConfigFile = None,
) -> None:
    """Compare two photos with each other, and each with the catalog by every signal."""
    from imgmatch.apps.options import read_config
    from imgmatch.catalog import Catalog
    from imgmatch.images import read_file
    from imgmatch.investigate.lookup import compare_photos
    from imgmatch.matcher import Matcher

    matcher = Matcher(Catalog.load(catalog), read_config(config))
    found = compare_photos(matcher, read_file(first), read_file(second))
    console.print(found.words, highlight=False, markup=False, style="bold")
    bits = "" if found.bits is None else f"; {found.bits} of 256 bits of their perceptual hashes differ"
    console.print(f"similarity {found.cosine:.3f} (cosine, not a percentage chance){bits}", highlight=False)
    names = (first.name, second.name)
    said = [
        (name, f)
        for name, record in zip(names, found.alone, strict=True)
        for f in (record.verdict.findings if record.verdict else ())
        if f.signal not in ("rank", "listing_mismatch")
    ]
    if found.leads is not None:
        said.append(("the first, if it led to the second", found.leads))
    rows = [(name, f.signal, str(f.status) if f.value is None else f"{f.value:.2f}", f.reason) for name, f in said]
    show_table("against the catalog", ("photo", "finding", "value", "why"), rows)
