"""``imgmatch catalog …``: build, change, look at and verify the authentic reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgmatch.apps.console import EXIT_FAILED, console, progress_bar, show_table

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

Folder = Annotated[Path, typer.Argument(help="The catalog's folder.", show_default=False)]
Source = Annotated[
    Path,
    typer.Argument(
        help="Folder [b]brand/item/photo.jpg[/], or a CSV / JSONL manifest (docs/catalog.md).", show_default=False
    ),
]
_SHOWN = 20  # problems printed; the catalog's issues file has them all

catalog = typer.Typer(help="Build, change and inspect a catalog of authentic products.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(catalog, name="catalog")


@catalog.command()
def build(
    source: Source,
    out: Annotated[Path, typer.Option("--out", help="Folder for the new catalog; an existing one is replaced at the end.")],
    encoder: Annotated[
        str, typer.Option(help="Name of the encoder, see: imgmatch weights list; mobilenet-v2 needs no model hub.")
    ] = "clip-vit-b32",
    index: Annotated[str | None, typer.Option(help="FAISS factory string, or lancedb; see docs/catalog.md.")] = None,
    device: Annotated[str | None, typer.Option(help="[b]cpu[/], [b]cuda[/] or [b]cuda:1[/].", show_default=False)] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Also fit a calibration on these photos (imgmatch calibrate --self): ten items of two photos are needed.",
        ),
    ] = False,
) -> None:
    """Index a folder or manifest of authentic product photos."""
    from imgmatch.catalog import Catalog
    from imgmatch.fit.self_calibration import LEAST_ITEMS, held_out

    with _photos("reading photos") as progress:
        made = Catalog.build(source, out, encoder=encoder, device=device, factory=index, progress=progress)
    _describe(made)
    _report(made, 0)
    if calibrate:
        from imgmatch.apps.commands_verdicts import calibrate as calibrate_catalog

        calibrate_catalog(own=out, out=out / "calibration.json")
    elif len(held_out(made)) >= LEAST_ITEMS:
        console.print(
            f"calibrate on these photos, a few minutes: imgmatch calibrate --self {out} --out {out / 'calibration.json'}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


@catalog.command()
def add(
    path: Folder,
    source: Source,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, without changing anything.")] = False,
) -> None:
    """Add items and photos from a source; prices, names and sellers of known items are updated."""
    from imgmatch.catalog import ingest

    before = _load(path)
    with _photos("reading photos") as progress:
        changes = ingest.add(source, path, before.encoder, progress, dry_run=dry_run)
    for change in changes[:_SHOWN]:
        console.print(change, markup=False, highlight=False)
    if len(changes) > _SHOWN:
        console.print(f"… and {len(changes) - _SHOWN} more changes", highlight=False)
    if dry_run:
        console.print("nothing was changed; photos that are new would be added too", highlight=False)
        return
    after = _load(path)
    _describe(after)
    _report(after, len(before.issues))


@catalog.command()
def remove(path: Folder, item_ids: Annotated[list[str], typer.Argument(help="Item ids.", show_default=False)]) -> None:
    """Remove items with their photos."""
    _report(_load(path).remove(item_ids), None)


@catalog.command()
def merge(
    path: Folder, other: Annotated[Path, typer.Argument(help="Catalog to merge into this one.", show_default=False)]
) -> None:
    """Merge another catalog of the same embedding space into this one."""
    before = _load(path)
    _report(before.merge(_load(other)), None)


@catalog.command()
def embed(path: Folder, encoder: Annotated[str, typer.Option(help="Name of the encoder.")]) -> None:
    """Embed the stored photos with another encoder and make its space the active one."""
    with _photos("embedding photos") as progress:
        after = _load(path).embed(encoder, progress=progress)
    console.print(f"active space: {after.space.describe()}", highlight=False, markup=False)


@catalog.command()
def info(path: Folder) -> None:
    """Show what a catalog holds."""
    c = _load(path)
    manifest = c.manifest
    rows = [("version", c.version), *manifest.counts.items(), ("active space", c.space.describe())]
    rows += [("space", s.space.describe()) for key, s in manifest.spaces.items() if key != manifest.active]
    rows += [("index", manifest.spaces[manifest.active].factory), ("designs are ranked by", c.likeness.describe())]
    rows.append(("left out", f"{len(c.issues)} (see: catalog issues)"))
    show_table(str(path), ("", ""), rows)
    items = {b: sum(i.brand == b for i in c.items.values()) for b in c.brands}
    show_table(
        "\nbrands",
        ("brand", "items", "logos", "wordmarks", "authorised sellers"),
        [
            (b.brand, items[b.brand], len(b.logos), ", ".join(b.wordmarks), len(b.authorised_sellers))
            for b in c.brands.values()
        ],
    )


@catalog.command()
def issues(path: Folder) -> None:
    """List what was left out of the catalog, with reasons."""
    found = _load(path).issues
    show_table(f"{len(found)} left out", ("where", "why"), [(x.place, x.problem) for x in found])


@catalog.command()
def verify(path: Folder) -> None:
    """Compare every file of a catalog with its checksum."""
    problems = _load(path).verify()
    if problems:
        for problem in problems:
            console.print(problem, markup=False, highlight=False)
        raise typer.Exit(EXIT_FAILED)
    console.print("every file matches its checksum")


@catalog.command()
def search(
    path: Folder,
    photo: Annotated[Path, typer.Argument(help="Photo to search for.", show_default=False)],
    k: Annotated[int, typer.Option("-k", min=1, help="Number of items to show.")] = 10,
) -> None:
    """Show the items most similar to a photo."""
    c = _load(path)
    found = c.search(photo, k)
    show_table(
        f"nearest of {len(c.items)} items, by {c.space.encoder}",
        ("similarity", "item", "brand", "photo"),
        [
            (f"{x.similarity:.3f}", ", ".join(c.shared.get(x.photo, (x.item_id,))), x.brand, c.photos[x.photo].name)
            for x in found
        ],
    )
    console.print("[dim]similarity is the cosine of two embeddings, not a percentage chance of anything[/]")


def _load(path: Path) -> Catalog:
    from imgmatch.catalog import Catalog

    return Catalog.load(path)


@contextmanager
def _photos(what: str) -> Iterator[Callable[[int, int], None]]:
    with progress_bar(what) as update:
        yield lambda done, total: update(done, total, "")


def _describe(made: Catalog) -> None:
    """Describe a catalog's photos on this machine, and measure its marks on them, so that the first scan need not."""
    from imgmatch.signals.copy.details import describe
    from imgmatch.signals.logo.signal import LogoSignal

    with _photos("describing photos") as progress:
        describe(made, progress)
    LogoSignal(made).warm_up()


def _report(made: Catalog, issues_before: int | None) -> None:
    counts = made.manifest.counts
    console.print(
        f"{made.path}: {counts['items']} items of {counts['brands']} brands, "
        f"{counts['photos']} photos, version {made.version}, by {made.space.encoder}",
        highlight=False,
    )
    new = [] if issues_before is None else made.issues[issues_before:]
    if new:
        show_table(f"\n{len(new)} left out", ("where", "why"), [(x.place, x.problem) for x in new[:_SHOWN]])
        if len(new) > _SHOWN:
            console.print(f"… and {len(new) - _SHOWN} more: imgmatch catalog issues {made.path}", highlight=False)
