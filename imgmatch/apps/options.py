"""Options that several commands share, and what reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from imgmatch.config import Config

__all__ = ["ConfigFile", "Currency", "Device", "Effort", "Host", "Lang", "Signals", "known_currency", "read_config"]

ConfigFile = Annotated[Path | None, typer.Option(help="TOML file with settings (docs/config.md).", show_default=False)]
Signals = Annotated[
    str | None, typer.Option(help="Signals to run, comma-separated; overrides the config.", show_default=False)
]
Effort = Annotated[
    str | None,
    typer.Option(
        help="How closely photos are looked at: [b]fast[/], [b]full[/] or [b]thorough[/]; overrides the config.",
        show_default=False,
    ),
]
Device = Annotated[
    str | None, typer.Option(help="Device of the encoder: [b]cpu[/], [b]cuda[/] or [b]cuda:1[/].", show_default=False)
]
Host = Annotated[str, typer.Option(help="Address to listen on; any but localhost needs a token.")]


def _known_language(code: str) -> str:
    from imgmatch.messages import language

    try:
        return language(code).code
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Lang = Annotated[str, typer.Option(help="Language of reports and reasons: [b]en[/] or [b]zh[/].", callback=_known_language)]


def known_currency(text: str) -> str:
    """Return the code of a currency that a user named."""
    from imgmatch.market.currencies import currency_code

    try:
        return currency_code(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _currency(text: str | None) -> str | None:
    return None if text is None else known_currency(text)


Currency = Annotated[
    str | None,
    typer.Option(
        help="Currency (ISO 4217) to sum values in, where rates are known.", callback=_currency, show_default=False
    ),
]


def read_config(path: Path | None, signals: str | None = None, effort: str | None = None) -> Config:
    """Return the settings of a file, or the defaults, with the signals and the effort named on the command line."""
    from imgmatch.config import Config

    settings = Config() if path is None else Config.load(path)
    if signals is not None:
        settings = replace(settings, signals=tuple(name.strip() for name in signals.split(",") if name.strip()))
    return settings if effort is None else replace(settings, effort=effort)
