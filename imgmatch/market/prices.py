"""Prices as people write them: an amount range and a currency, or why there is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Price", "convert", "parse_price"]

_CODES: Mapping[str, tuple[str, ...]] = {
    "€": ("EUR",),
    "£": ("GBP",),
    "₩": ("KRW",),
    "₹": ("INR",),
    "₽": ("RUB",),
    "₺": ("TRY",),
    "₫": ("VND",),
    "฿": ("THB",),
    "₱": ("PHP",),
    "₴": ("UAH",),
    "zł": ("PLN",),
    "r$": ("BRL",),
    "us$": ("USD",),
    "c$": ("CAD",),
    "ca$": ("CAD",),
    "a$": ("AUD",),
    "au$": ("AUD",),
    "nz$": ("NZD",),
    "hk$": ("HKD",),
    "s$": ("SGD",),
    "nt$": ("TWD",),
    "mx$": ("MXN",),
    "rmb": ("CNY",),
    "元": ("CNY",),
    "円": ("JPY",),
    "rs": ("INR", "PKR", "LKR", "NPR"),
    "$": ("USD", "CAD", "AUD", "NZD", "HKD", "SGD", "TWD", "MXN"),
    "¥": ("JPY", "CNY"),
    "￥": ("JPY", "CNY"),
    "kr": ("SEK", "NOK", "DKK", "ISK"),
}
"""Signs to ISO 4217 codes (https://en.wikipedia.org/wiki/Currency_symbol); the first is the usual reading."""

_NUMBER = re.compile(r"\d[\d.,'’\s]*\d|\d")
_ADDED = re.compile(
    r"(?i)\+|\bplus\b|\band\b|\bshipping\b|\bpostage\b|\bdelivery\b|\bversand\b|\bporto\b|\blivraison\b|运费|邮费|送料"
)
_INCLUDED = re.compile(
    r"(?i)\bfree\s+(?:shipping|postage|delivery)\b|\bkostenloser versand\b|\blivraison gratuite\b|包邮|送料無料"
)
_THOUSAND = re.compile(r"(?i)\d(?:([kw])(?![a-z])|([万萬]))")
_TIMES = {"k": 1e3, "w": 1e4, "万": 1e4, "萬": 1e4}


@dataclass(frozen=True, slots=True)
class Price:
    """What a buyer pays.

    Parameters
    ----------
    low, high : float
        The same unless a range was written; > 0. Shipping that is charged apart is in both.
    currencies : tuple of str
        ISO 4217 codes that the sign may stand for, the usual one first; empty where none is written.
    """

    low: float
    high: float
    currencies: tuple[str, ...]


def parse_price(text: str | None, currency: str | None = None) -> Price | str:
    """Read a price.

    Parameters
    ----------
    text : str or None
        For example ``"€1.299,00"``, ``"US$ 300–350"``, ``"1 EUR + shipping 400"``.
    currency : str or None
        The table's own currency column; it decides what ``$`` is.

    Returns
    -------
    Price or str
        A string says in plain words why there is no price: missing, free, not a number.

    Notes
    -----
    Numbers are read by the kept library ``price-parser``; ranges, shipping charged apart and thousands (``12.5k``, ``3万``)
    are taken apart here. Where a lone group of three digits may be decimals or thousands (``1.299``) it is thousands.

    Examples
    --------
    >>> parse_price("€1.299,00")
    Price(low=1299.0, high=1299.0, currencies=('EUR',))
    >>> parse_price("1 EUR + shipping 400")
    Price(low=401.0, high=401.0, currencies=('EUR',))
    >>> parse_price("free")
    'the price is 0'
    """
    if text is None or not text.strip():
        return "no price is given"
    text = text[:200]  # nobody writes a price longer than this; a pattern should not see a novel
    body = _INCLUDED.sub(" ", text)
    parts = [p for p in _ADDED.split(body) if p.strip()]
    amounts = [pair for pair in map(_amounts, parts) if pair is not None]
    if not amounts:
        return (
            "the price is 0"
            if re.search(r"(?i)\bfree\b|\bgratis\b|免费", text)
            else f"the price cannot be read: {text!r:.60}"
        )
    # Without a plus or a word for shipping there is one part: the price itself.
    low, high = sum(a for a, _ in amounts), sum(b for _, b in amounts)
    if low <= 0.0:
        return "the price is 0"
    return Price(low, high, _currencies(text, currency))


def convert(amount: float, currency: str, to: str, rates: Mapping[str, float]) -> float | None:
    """Return `amount` in another currency, None where the table does not have both.

    Parameters
    ----------
    rates : mapping of str to float
        Value of one unit of each currency in one common unit. There are none but the user's.
    """
    if currency == to:
        return amount
    if currency not in rates or to not in rates or rates[to] <= 0.0:
        return None
    return amount * rates[currency] / rates[to]


def _amounts(part: str) -> tuple[float, float] | None:
    """Return (least, greatest) of the numbers in one part, None where it has none.

    Several numbers are a range, or a price that was and one that is; which is which we do not guess.
    """
    pieces = [found.group() + part[found.end() : found.end() + 2] for found in _NUMBER.finditer(part)]
    values = [v for v in map(_amount, pieces) if v is not None]
    if not values:
        return None
    if len(values) == 2 and _thousand(pieces[1]) and not _thousand(pieces[0]):
        values[0] *= _TIMES[_thousand(pieces[1])]  # "2-3k"
    return min(values), max(values)


def _amount(text: str) -> float | None:
    from price_parser import Price as Parsed

    amount = Parsed.fromstring(text).amount_float
    return None if amount is None else float(amount) * _TIMES.get(_thousand(text), 1.0)


def _thousand(text: str) -> str:
    found = _THOUSAND.search(text)
    return "" if found is None else (found.group(1) or found.group(2)).lower()


def _currencies(text: str, column: str | None) -> tuple[str, ...]:
    for source in (column, text):
        if not source:
            continue
        code = re.search(r"(?<![A-Za-z])([A-Za-z]{3})(?![A-Za-z])", source)
        if code and code.group(1).upper() in _KNOWN:
            return (code.group(1).upper(),)
        for sign in sorted(_CODES, key=len, reverse=True):
            pattern = re.escape(sign) if not sign[0].isalpha() else rf"(?<![a-z]){re.escape(sign)}(?![a-z])"
            if re.search(pattern, source.casefold()):
                return _CODES[sign]
    return ()


_KNOWN = {code for codes in _CODES.values() for code in codes} | {
    "CHF", "CZK", "HUF", "RON", "BGN", "ILS", "AED", "SAR", "QAR", "KWD", "ZAR", "EGP", "NGN", "MAD", "IDR", "MYR",
    "ARS", "CLP", "COP", "PEN", "UYU", "MOP", "KZT",
}  # fmt: skip
