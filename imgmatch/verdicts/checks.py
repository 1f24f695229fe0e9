"""What a table of rules may hold: each check raises ConfigError, naming the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgmatch.errors import ConfigError

__all__ = ["claim_levels", "flag", "only", "share"]


def only(row: Any, known: set[str] | None, where: str) -> None:
    """Raise unless `row` is a table of `known` keys, or of any keys where `known` is None."""
    if not isinstance(row, Mapping):
        raise ConfigError(f"{where.rstrip('.') or 'rules'}: expected a table, got {row!r:.80}")
    unknown = set() if known is None else set(row) - known
    if known is not None and unknown:
        raise ConfigError(f"unknown key {where}{min(unknown)}; expected one of {', '.join(sorted(known))}")


def flag(value: Any, where: str) -> bool:
    """Return `value`; raise unless it is true or false: the word "no" is neither."""
    if not isinstance(value, bool):
        raise ConfigError(f"{where}: expected true or false, got {value!r:.80}")
    return value


def share(value: Any, where: str) -> float:
    """Return `value`; raise unless it is a number in (0, 1]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value <= 1.0:
        raise ConfigError(f"{where}: expected a number in (0, 1], got {value!r:.80}")
    return float(value)


def claim_levels(table: Any) -> dict[str, dict[str, Any]]:
    """Return what a table asks of each finding that may name a brand, by its name."""
    only(table, None, "claims.")
    out: dict[str, dict[str, Any]] = {}
    for name, row in table.items():
        levels = dict(row) if isinstance(row, Mapping) else {"least": row}
        only(levels, {"least", "weak", "trust", "single", "plain"}, f"claims.{name}.")
        levels["least"] = share(levels.get("least"), f"claims.{name}")
        for key in ("weak", "trust"):
            if key in levels:
                levels[key] = share(levels[key], f"claims.{name}.{key}")
        if levels.get("weak", 0.0) > levels["least"]:
            raise ConfigError(f"claims.{name}: expected weak <= least, got {levels['weak']} and {levels['least']}")
        for key in ("single", "plain"):
            levels[key] = flag(levels.get(key, False), f"claims.{name}.{key}")
        if levels.get("trust") == 1.0:
            raise ConfigError(f"claims.{name}.trust: expected less than 1: no source is always right")
        out[name] = levels
    if not out:
        raise ConfigError("claims: expected at least one finding name with its least value")
    return out
