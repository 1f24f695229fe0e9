"""Signals: independent questions about a listing. The table names them; each loads when it is first wanted."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from imgmatch.errors import ConfigError
from imgmatch.signals.base import Signal

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog
    from imgmatch.config import Config

__all__ = ["SIGNALS", "Signal", "make_signal"]

# name -> where it lives; its settings are the config's field of the same name.
SIGNALS = {
    "design": "imgmatch.signals.design.signal:DesignSignal",
    "copy": "imgmatch.signals.copy.signal:CopySignal",
    "text": "imgmatch.signals.text.signal:TextSignal",
    "logo": "imgmatch.signals.logo.signal:LogoSignal",
    "discrepancy": "imgmatch.signals.discrepancy.signal:DiscrepancySignal",
    "listing": "imgmatch.signals.listing.signal:ListingSignal",
    "mismatch": "imgmatch.signals.mismatch.signal:MismatchSignal",
}


def make_signal(name: str, catalog: Catalog, config: Config) -> Signal:
    """Construct a signal by name with its part of the settings.

    Raises
    ------
    ConfigError
        Where there is no such signal.
    """
    if name not in SIGNALS:
        raise ConfigError(f"signals: no signal {name!r}; expected some of {', '.join(SIGNALS)}")
    module, cls = SIGNALS[name].split(":")
    signal: Signal = getattr(import_module(module), cls)(catalog, getattr(config, name))
    return signal
