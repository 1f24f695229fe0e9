"""Signals: independent questions about a listing, one folder each. The table names them; each loads when first wanted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from functools import partial
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from imgmatch.config import EFFORTS, read_settings
from imgmatch.errors import ConfigError
from imgmatch.signals.base import Signal, SignalSource, fingerprint_of

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog
    from imgmatch.config import Config

__all__ = ["SIGNALS", "Signal", "SignalSource", "default_signals", "fingerprint_of", "make_signals", "settings_of"]

SIGNALS = {
    "design": "imgmatch.signals.design.signal:DesignSignal",
    "copy": "imgmatch.signals.copy.signal:CopySignal",
    "text": "imgmatch.signals.text.signal:TextSignal",
    "logo": "imgmatch.signals.logo.signal:LogoSignal",
    "listing": "imgmatch.signals.listing.signal:ListingSignal",
    "mismatch": "imgmatch.signals.mismatch.signal:MismatchSignal",
}
"""Name -> where it lives. Other packages add theirs by an entry point of the group ``imgmatch.signals``."""


def settings_of(name: str, config: Config) -> Any:
    """Return the settings of a signal that a config has, checked; None where the signal has none.

    Raises
    ------
    ConfigError
        Where a setting is unknown, of a wrong type or out of range.
    """
    _require_known(config.sections)
    cls, section = getattr(_class(name), "Config", None), config.sections.get(name, {})
    if cls is None and section:
        raise ConfigError(f"{name}: this signal has no settings, got {', '.join(section)}")
    # What concerns several signals is said once, for all of them.
    shared = {"effort": EFFORTS[config.effort], "phone_regions": config.contacts.regions}
    own = {} if cls is None else {f.name for f in fields(cls)}
    if misplaced := sorted(shared.keys() & own & section.keys()):
        raise ConfigError(f"unknown key {name}.{misplaced[0]}")
    settings: Any = None if cls is None else read_settings(cls, section, name, config.folder)
    return replace(settings, **{key: value for key, value in shared.items() if key in own}) if own else settings


def default_signals(config: Config | None = None) -> list[SignalSource]:
    """Return what makes the signals that a config names, in its order, each with its own part of the settings.

    Parameters
    ----------
    config : Config, optional

    Returns
    -------
    list of callable
        Each makes a signal of a catalog.

    Raises
    ------
    ConfigError
        Where there is no such signal, or a setting of one is unknown, of a wrong type or out of range.
    """
    from imgmatch.config import Config

    config = Config() if config is None else config
    _require_known((*config.signals, *config.sections))
    sources: list[SignalSource] = []
    for name in config.signals:
        cls = _class(name)
        settings = settings_of(name, config)
        sources.append(cls if settings is None else partial(cls, config=settings))
    return sources


def _known() -> dict[str, str]:
    """Return where every signal lives, those of other packages included."""
    return {entry.name: entry.value for entry in metadata.entry_points(group="imgmatch.signals")} | SIGNALS


def _require_known(names: Iterable[str]) -> None:
    known = _known()
    for name in names:
        if name not in known:
            raise ConfigError(f"no signal and no section of the settings is called {name!r}; signals: {', '.join(known)}")


def _class(name: str) -> Any:
    module, _, attribute = _known()[name].partition(":")
    return getattr(import_module(module), attribute)


def make_signals(sources: Iterable[SignalSource], catalog: Catalog) -> list[Signal]:
    """Make the signals of a matcher.

    Raises
    ------
    TypeError
        Where something is no signal and makes none.
    ValueError
        Where two signals have one name.
    """
    signals: list[Signal] = []
    for source in sources:
        is_made = not isinstance(source, type) and isinstance(source, Signal)
        signal = source if is_made or not callable(source) else source(catalog)
        if not isinstance(signal, Signal):
            raise TypeError(f"signals: expected a Signal, or what makes one of a catalog, got {source!r}")
        if any(s.name == signal.name for s in signals):
            raise ValueError(f"signals: two are called {signal.name!r}")
        signals.append(signal)
    return signals
