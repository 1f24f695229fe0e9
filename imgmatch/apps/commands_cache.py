"""``imgmatch cache``: what was computed from photos before and is remembered on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from imgmatch.apps.console import console

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command()(cache)


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete it; later scans compute it again. Weights stay.")] = False,
) -> None:
    """Show what is cached about photos on this machine, and how large it is."""
    from imgmatch.encoders.store import cache_dir

    folder = cache_dir()
    kept = sorted({*folder.glob("*.sqlite*"), *folder.glob("*.unreadable*"), *folder.glob("derived/*.npz")})
    for path in kept:
        size = path.stat().st_size
        if clear:
            path.unlink(missing_ok=True)
        said = f"{'removed ' if clear else ''}{path}: {size / 2**20:,.1f} MiB"
        console.print(said, highlight=False, markup=False)
    if not kept:
        console.print(f"{folder}: nothing is cached", highlight=False, markup=False)
