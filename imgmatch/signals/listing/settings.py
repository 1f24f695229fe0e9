"""Settings of the listing signal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imgmatch.errors import ConfigError
from imgmatch.market.currencies import currency_code

__all__ = ["ListingConfig"]


@dataclass(frozen=True, slots=True)
class ListingConfig:
    """How prices are compared.

    Parameters
    ----------
    rates : mapping of str to float
        Value of one unit of each currency (ISO 4217) in one common unit, for example ``{EUR = 1.0, USD = 0.92}``.
        imgmatch knows no rates of its own: two currencies that are not both here are not compared.
    phone_regions : tuple of str
        ISO 3166 codes of countries whose national phone numbers are contacts; taken from ``[contacts] regions``.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    phone_regions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for currency, rate in self.rates.items():
            try:
                known = currency_code(currency) == currency
            except ValueError as error:
                raise ConfigError(f"rates: {error}") from error
            if not known:
                raise ConfigError(f"rates.{currency}: expected {currency.strip().upper()}")
            if not 0 < rate < float("inf"):
                raise ConfigError(f"rates.{currency}: expected a value above 0, got {rate:g}")
