"""Currencies: their codes and decimals (ISO 4217 and Unicode CLDR, by the library ``babel``), signs and words for them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["CurrencyMark", "currency_code", "decimal_marks", "decimals", "find_marks", "phrases", "thousands"]

# ISO 4217 codes that are words of everyday English; they count only where they stand beside the amount and in capitals.
_WORDS = frozenset(
    {"ALL", "TOP", "TRY", "CUP", "PEN", "MAD", "BOB", "MOP", "GEL", "BAM", "LAK", "SOS", "VES", "RON", "COP", "ANG"}
)


@dataclass(frozen=True, slots=True)
class CurrencyMark:
    """A sign, code or word for a currency in a text: where it stands, and the ISO 4217 codes that it may mean."""

    start: int
    end: int
    codes: tuple[str, ...]
    is_word: bool = False


def find_marks(text: str) -> list[CurrencyMark]:
    """Return the currency marks of a text (NFKC), in its order; letters of unknown meaning glued to ``$`` give no codes."""
    marks = []
    for found in _pattern().finditer(text):
        name = re.sub(r"\s", "", found.group()).casefold()
        code = name.upper()
        if code in _codes():
            plain = code in _WORDS
            if plain and not found.group().isupper():
                continue
            marks.append(CurrencyMark(found.start(), found.end(), (code,), plain))
        else:
            marks.append(CurrencyMark(found.start(), found.end(), _signs().get(name, ())))
    named = [n for n in _named(text, marks) if not any(m.start <= n.start and n.end <= m.end for m in marks)]
    kept = [m for m in marks if not any(n.start < m.end and m.start < n.end for n in named)]
    return sorted([*kept, *named], key=lambda mark: mark.start)


def _named(text: str, marks: list[CurrencyMark]) -> list[CurrencyMark]:
    """Return the currencies that a text calls by their names, the longest at each word."""
    named: list[CurrencyMark] = []
    for word in re.finditer(r"[^\W\d_]+", text):
        start = word.start()
        if (named and start < named[-1].end) or any(m.start <= start and word.end() <= m.end == len(text) for m in marks):
            continue
        known, longest = _names()
        for end in range(min(len(text), start + longest), start, -1):
            codes = known.get(text[start:end].casefold())
            if codes and (end == len(text) or not text[end].isalpha() or not _has_blanks(text[start])):
                named.append(CurrencyMark(start, end, codes, is_word=True))
                break
    return named


def _has_blanks(letter: str) -> bool:
    """Tell whether a letter's script has blanks between words: not Thai, nor what is from U+2E80 on (Unicode, blocks)."""
    return ord(letter) < 0x2E80 and not "\u0e00" <= letter <= "\u0e7f"


def currency_code(text: str) -> str:
    """Return the ISO 4217 code of a currency in use that a text is, whatever its case.

    Raises
    ------
    ValueError
    """
    code = text.strip().upper()
    if code not in _codes():
        raise ValueError(f"{text!r:.20} is no ISO 4217 code of a currency in use, such as EUR")
    return code


def decimals(code: str) -> int:
    """Return how many decimals a currency has: 2 but for yen (0), dinars (3) and their kin."""
    from babel.numbers import get_currency_precision

    return get_currency_precision(code)


@cache
def decimal_marks(code: str) -> frozenset[str]:
    """Return the decimal marks, ``.`` and ``,``, in use where a currency is legal tender, and in English.

    Examples
    --------
    >>> sorted(decimal_marks("KWD")), sorted(decimal_marks("TND"))
    (['.'], [',', '.'])
    """
    from babel import Locale, UnknownLocaleError
    from babel.core import get_global
    from babel.languages import get_official_languages

    marks = {"."}
    for territory, used in get_global("territory_currencies").items():
        if not any(entry[0] == code and entry[2] is None and entry[3] for entry in used):
            continue
        for language in get_official_languages(territory, de_facto=True):
            try:
                locale = Locale.parse(f"{language}_{territory}")
            except (UnknownLocaleError, ValueError):
                continue
            marks |= {symbols["decimal"] for symbols in locale.number_symbols.values() if "decimal" in symbols}
    return frozenset(marks & {".", ","})


@cache
def thousands() -> Mapping[str, float]:
    """Return the words that multiply a number, in lower case."""
    return {name: float(value) for name, value in _table()["thousands"].items()}


@cache
def phrases() -> Mapping[str, re.Pattern[str]]:
    """Return what a text says a price is, by kind; see ``currencies.toml``."""
    return {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _table()["phrases"].items()}


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(resources.files("imgmatch.market").joinpath("currencies.toml").read_text("utf-8"))
    table["signs"] |= {f"{code.lower()} $": [code] for code in table["signs"]["$"]}  # NZD $
    return table


@cache
def _signs() -> Mapping[str, tuple[str, ...]]:
    both = {**_table()["signs"], **_table()["words"]}
    return {re.sub(r"\s", "", name).casefold(): tuple(codes) for name, codes in both.items()}


@cache
def _names() -> tuple[Mapping[str, tuple[str, ...]], int]:
    """Return what legal tender is called in CLDR's larger languages, in its plural forms, and the longest name's length.

    Words of up to three letters are left out: ``som`` is a currency, and Swedish for *as*.
    """
    from babel.core import get_global
    from babel.numbers import get_currency_name

    tender = {e[0] for used in get_global("territory_currencies").values() for e in used if e[2] is None and e[3]}
    names: dict[str, set[str]] = {}
    for locale in _table()["languages"]:
        for code in tender:
            for count in (None, 1, 2, 5):  # each plural form (Unicode CLDR, plural rules) of these languages
                names.setdefault(get_currency_name(code, count, locale).casefold(), set()).add(code)
    # Codes (ISO 4217) are as short, and found without this.
    known = {name: tuple(sorted(codes)) for name, codes in names.items() if len(name) > 3 or not name.isascii()}
    return known, max(map(len, known))


@cache
def _codes() -> frozenset[str]:
    from babel.core import get_global

    return frozenset(entry[0] for used in get_global("territory_currencies").values() for entry in used if entry[2] is None)


@cache
def _pattern() -> re.Pattern[str]:
    names = [*_table()["signs"], *_table()["words"], *(code.lower() for code in _codes())]
    parts = []
    for name in sorted(names, key=len, reverse=True):
        body = r"\s?".join(re.escape(part) for part in name.split())
        # From U+2E80 on ideographs follow each other without spaces (Unicode, blocks).
        before = r"(?<![^\W\d_])" if name[0].isalpha() and ord(name[0]) < 0x2E80 else ""
        after = r"(?![^\W\d_])" if name[-1].isalpha() and ord(name[-1]) < 0x2E80 else ""
        parts.append(f"{before}{body}{after}")
    # Letters glued to a dollar sign, of which none of the above is known, are some other dollar.
    known = "|".join(_before_dollar())
    parts.insert(0, rf"(?<![^\W\d_])(?!(?:{known})\s?\$)[^\W\d_]{{1,4}}\$")
    return re.compile("|".join(parts), re.IGNORECASE)


def _before_dollar() -> list[str]:
    return [re.escape(before) for name in _table()["signs"] if (before := name.partition("$")[0].strip()) and "$" in name]
