"""``imgmatch rings``: which sellers share what strangers do not share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgmatch.apps.console import console, progress_bar, show_table
from imgmatch.apps.options import Currency, Lang

if TYPE_CHECKING:
    from imgmatch.records import ScanRecord
    from imgmatch.types import FloatArray

    Embeddings = Callable[[Sequence[str]], list[FloatArray | None]]


_Photos = Annotated[
    list[Path] | None,
    typer.Option(
        help="Folder that photo paths are relative to; by default the scan's.",
        show_default=False,
    ),
]
_ContactKey = Annotated[
    Path | None,
    typer.Option(
        help="File with the secret key for hashing contacts; by default contacts.key in OUT, created on first use.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    app.command()(rings)


def rings(
    records: Annotated[list[Path], typer.Argument(help="records.jsonl of one or more scans.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for rings.jsonl and rings.html.", show_default=False)],
    photos: _Photos = None,
    contact_key: _ContactKey = None,
    config: Annotated[Path | None, typer.Option(help="Settings (TOML) with currency rates.", show_default=False)] = None,
    currency: Currency = None,
    lang: Lang = "en",
) -> None:
    """Find sellers linked by shared photos, contacts, backgrounds and watermarks.

    OUT keeps its state in rings.sqlite: next week's run needs only next week's records and gives the same rings as one run
    over everything. An interrupted run loses nothing. rings.jsonl says which rings have merged since.
    """
    from imgmatch.config import Config
    from imgmatch.investigate.report.rings_page import read_rings, write_rings
    from imgmatch.investigate.rings import PhotoAccess, State, find_rings
    from imgmatch.investigate.rings.market import photo_opener
    from imgmatch.io.files import lock
    from imgmatch.signals import settings_of

    out.mkdir(parents=True, exist_ok=True)
    key = _contact_key(contact_key, out)
    earlier = read_rings(out / "rings.jsonl") if (out / "rings.jsonl").exists() else []
    with lock(out), closing(State(out / "rings.sqlite", key)) as state, progress_bar("reading records") as update:
        state.keep_folders(map(str, photos or photo_roots(records)))
        open_photo = photo_opener([Path(folder) for folder in state.folders()])
        found = find_rings(
            _records(records, update),
            contact_key=key,
            photos=PhotoAccess(open_photo, cached_embeddings(records)),
            state=state,
            previous=earlier,
            rates=settings_of("listing", Config() if config is None else Config.load(config)).rates,
            currency=currency,
        )
        write_rings(found, out, open_photo=open_photo, called=_brand_names(records), lang=lang)
    show_table(
        f"{len(found)} rings",
        ("ring", "sellers", "platforms", "listings", "value"),
        [
            (
                r.ring_id,
                len(r.sellers),
                len(r.platforms),
                len(r.listings),
                " + ".join(f"{c} {v:,.0f}" for c, v in r.value.items()),
            )
            for r in found[:20]
        ],
    )
    console.print(f"report: {out / 'rings.html'}", highlight=False, markup=False)
    console.print("[dim]a tie is a lead for human review, not proof; sellers whose photos were stolen are tied too[/]")


def photo_roots(records: list[Path]) -> list[Path]:
    """Return the folders that the photo paths of scans are relative to, as each scan's run.json tells."""
    from imgmatch.results import Results

    return list(dict.fromkeys(Results(path).photo_root for path in records))


def _brand_names(records: list[Path]) -> dict[str, str]:
    """Return what the scans' catalogs call their brands, where the catalogs are still there."""
    from imgmatch.catalog import Catalog
    from imgmatch.errors import CatalogError
    from imgmatch.results import Results

    names: dict[str, str] = {}
    for folder in dict.fromkeys(Results(path).catalog_path for path in records):
        try:
            brands = Catalog.load(folder).brands if folder is not None else {}
        except (CatalogError, OSError):  # rings need no catalog: then brands are called by their ids
            continue
        names.update({brand_id: brand.name for brand_id, brand in brands.items() if brand.name})
    return names


def cached_embeddings(records: list[Path]) -> Embeddings | None:
    """Return what reads the embeddings that the scans left in the user's cache, where all are of one model."""
    from imgmatch.encoders.store import cache_dir
    from imgmatch.errors import InputError
    from imgmatch.loading.cache import PhotoCache
    from imgmatch.results import Results

    try:
        spaces = {Results(path).space.id for path in records}
    except InputError:
        return None
    if len(spaces) != 1:
        return None
    cache, space = PhotoCache(cache_dir() / "photos.sqlite"), spaces.pop()

    def embeddings(shas: Sequence[str]) -> list[FloatArray | None]:
        return [None if known is None else known.embedding for known in (cache.get(sha, space) for sha in shas)]

    return embeddings


def _records(paths: list[Path], update: object) -> Iterator[ScanRecord]:
    from imgmatch.results import read_records

    done = 0
    for path in paths:
        for record in read_records(path):
            done += 1
            if done % 1000 == 0 and callable(update):
                update(done, None, path.name)
            yield record


def _contact_key(path: Path | None, out: Path) -> bytes:
    """Read the secret, or make one: without it, hashes of phone numbers could be undone by trying all numbers."""
    import os
    import secrets

    from imgmatch.errors import InputError

    if path is None:
        path = out / "contacts.key"
        if not path.exists():
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as f:
                f.write(secrets.token_hex(32) + "\n")
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", source=str(path)) from error
    if len(key) < 16:
        raise InputError("expected a secret of at least 16 bytes", source=str(path))
    return key
