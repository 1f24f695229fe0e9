"""Prices as people and programs write them: an amount range and a currency, or why there is none.

A text is read where it can be read in one way. Where it cannot (marks that are no thousands, two numbers that touch, a price
per month), the price is unknown and says why.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from imgmatch.market.currencies import CurrencyMark, find_marks, phrases, thousands
from imgmatch.market.numbers import UnreadableError, read_number
from imgmatch.messages import Message

__all__ = ["Price", "convert", "parse_price"]

_LONGEST = 200  # nobody writes a price longer than this; a pattern should not see a novel
_APOSTROPHES = dict.fromkeys(map(ord, "'’‘‛ʼʹ′`´＇٬"), "'")  # U+066C is the thousands mark of Arabic digits
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−~〜～∼"), "-")
_DECIMALS = {ord("٫"): "·", ord("‧"): "·", ord("•"): "·", ord("،"): ","}
_INVISIBLE = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,100}>")
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_NUMBER = re.compile(r"\d+(?:(?:[.,'·]\d+)|(?: \d{3}(?!\d)))*")
_MYRIADS = re.compile(r"(?<![\d.,])(\d{1,4})[万萬만]\s?(?:(\d)[千천]|(\d{4}))(?![\d.,])")  # 1万2500, 12万5千
_CENTS = re.compile(r"(?<![\d.,'€])(\d[\d .']*)€(\d\d)(?![\w.,€]|\s*-\s*\d)")  # 12€50
_FLOAT = re.compile(r"\d+(?:\.\d+)?[eE][+-]?\d{1,2}")
_PERCENT = re.compile(r"[-+]?\d+(?:[.,]\d+)?\s?%")
_ENDS = re.compile(r"\s?(?:[.,:/]-{1,2}|-{1,2}(?!\s?[^\d\s]{0,4}\s?\d)|=)")  # 1250.-  1250,--  1250:-  1250/-
_RANGE = re.compile(r"(?i)\s*(?:-|\.\.\.?|…|\bto\b|\bbis\b|\buntil\b|\bà\b|\ba\b|\btot\b|\btill\b|\bдо\b|至|到)\s*")
_BETWEEN = re.compile(r"(?i)\b(?:between|zwischen|entre|tra|fra|między|между)\b(.+?)\b(?:and|und|et|y|e|og|a|и)\b")
_BEFORE = re.compile(r"[\s.:=(\-]*")
_ONE = re.compile(r"(?:^|\W)[Il]\s?\Z|^\s*\|\s?\Z")  # letters for the digit


@dataclass(frozen=True, slots=True)
class Price:
    """What a buyer pays.

    Parameters
    ----------
    low, high : float
        The same unless a range was written; > 0. Shipping that is charged apart is in both.
    currencies : tuple of str
        ISO 4217 codes that the sign may stand for, the most valuable one first; empty where none is written.
    unsure : bool
        The mark before three digits may be that of thousands or of decimals (``1.250 KWD``): `low` is read in the second
        way, `high` in the first.
    """

    low: float
    high: float
    currencies: tuple[str, ...]
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class _Amount:
    start: int
    end: int
    value: float
    codes: tuple[str, ...] = ()
    joined: bool = False  # the upper end of a range
    word: str = ""  # that follows it and is not known to leave the amount as it is
    unsure: bool = False


_MOST = 1e12  # of any currency: in the weakest, the rial, 10 million euros; a guess


def parse_price(text: str | float | None, currency: str | None = None) -> Price | str:
    """Read a price.

    Parameters
    ----------
    text : str, int, float or None
        For example ``"€1.299,00"``, ``"US$ 300–350"``, ``"1 EUR + shipping 400"``. A number is that amount.
    currency : str or None
        The table's own currency column; it decides what ``$`` is.

    Returns
    -------
    Price or str
        A string says in plain words why there is no price: missing, free, not a number, ambiguous, per month.

    Notes
    -----
    Thousands are marked by ``.``, ``,``, apostrophes of any kind, blanks of any width or U+066C, in groups of three or the
    Indian way; decimals by ``.``, ``,``, ``·`` or U+066B; digits are those of any script. A lone group of three digits
    (``1.299``) is thousands, except in currencies of three decimals: there the marks in use where the currency is legal
    tender decide, the price being unsure where that makes it a decimal mark (Germans write thousands so), and unknown where
    they disagree. A number followed by a word that is not known (``1.25 lagh``) is no price: the word may multiply it. Codes
    and decimals are those of ISO 4217 and CLDR.

    Examples
    --------
    >>> parse_price("€1.299,00")
    Price(low=1299.0, high=1299.0, currencies=('EUR',))
    >>> parse_price("1 EUR + shipping 400")
    Price(low=401.0, high=401.0, currencies=('EUR',))
    >>> parse_price("45.000 KWD"), parse_price(59.987, "EUR").low
    (Price(low=45.0, high=45000.0, currencies=('KWD',), unsure=True), 59.987)
    >>> parse_price("free")
    'The price is 0.'
    """
    try:
        column = _column(currency)
        if isinstance(text, (int, float)):
            if isinstance(text, int) and abs(text) > _MOST:  # it may be too large to be a float
                return Message("The price is larger than any real one.")
            return _price([_Amount(0, 0, float(text))], column)
        if text is None or not text.strip():
            return Message("No price is given.")
        if re.fullmatch(r"\s*[-−]\s*\d[\d.,]*\s*", text):  # a program's word for none
            return Message("The price is negative.")
        return _read(_plain(text), column)
    except UnreadableError as error:
        return error.message


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


def _read(text: str, column: tuple[str, ...]) -> Price:
    kinds = phrases()
    if text.lstrip().startswith("="):  # a formula that a spreadsheet did not compute, or that is meant for one
        raise UnreadableError(Message("The price cannot be read: “{text:.60}”.", text=text))
    if kinds["asked"].search(text):
        raise UnreadableError(Message("The price is given on request only."))
    if kinds["share"].search(text):
        raise UnreadableError(Message("The price is for a part, not for the goods: “{text:.60}”.", text=text))
    if kinds["bid"].search(text):
        raise UnreadableError(Message("The price is a bid: “{text:.60}”.", text=text))
    if _FLOAT.fullmatch(text.strip()):
        return _price([_Amount(0, 0, float(text))], column)
    body = _PERCENT.sub(lambda found: " " * len(found.group()), kinds["included"].sub(" ", text))
    body = _BETWEEN.sub(r"\1-", body)
    marks = find_marks(body)
    amounts = _amounts(body, marks, column)
    if any(unicodedata.category(c) == "Sc" and c != "¤" for c in _without(body, 0, marks)):  # 0.02 ₿, 50¢
        raise UnreadableError(Message("The price cannot be read: “{text:.60}”.", text=text))
    if not amounts:
        if kinds["free"].search(text):
            raise UnreadableError(Message("The price is 0."))
        raise UnreadableError(Message("The price cannot be read: “{text:.60}”.", text=text))
    if kinds["open"].search(body) and not any(a.joined for a in amounts):
        raise UnreadableError(Message("The price is only the lowest of several: “{text:.60}”.", text=text))
    parts = [_paid(part, body) for part in _parts(amounts, body)]
    if not parts[0] and len(parts) == 1:
        raise UnreadableError(Message("The price cannot be read: “{text:.60}”.", text=text))
    paid = [amount for part in parts for amount in part]
    if odd := next((amount.word for amount in paid if amount.word), ""):
        raise UnreadableError(
            Message("The price has an unknown word after a number, “{word:.30}”: “{text:.60}”.", word=odd, text=text)
        )
    price = _price(summed := _sum([part for part in parts if part]), _codes(summed, marks, column))
    if any(amount.unsure for amount in paid):
        return replace(price, high=1000.0 * price.high, unsure=True)
    return price


def _price(amounts: Sequence[_Amount], codes: tuple[str, ...]) -> Price:
    values = [a.value for a in amounts if a.value > 0.0 and math.isfinite(a.value)]
    if not values:
        raise UnreadableError(Message("The price is 0."))
    if max(values) > _MOST:
        raise UnreadableError(Message("The price is larger than any real one."))
    return Price(min(values), max(values), codes)


def _amounts(text: str, marks: Sequence[CurrencyMark], column: tuple[str, ...]) -> list[_Amount]:
    """Return the amounts of a text, each with the currency that stands beside it.

    Raises
    ------
    UnreadableError
        Where a number touches what is no part of a price.
    """
    found = [(number.start(), number.end(), number.group()) for number in _NUMBER.finditer(text)]
    inside = [m for m in marks if not any(m.start < end and start < m.end for start, end, _ in found)]
    amounts: list[_Amount] = []
    for start, end, number in found:
        factor, after = _factor(text, end)
        if any(m.start == end and text[m.end : m.end + 1].isdigit() for m in inside):  # 1$250
            raise UnreadableError(Message("The price can be read in several ways: “{text:.60}”.", text=text))
        begin = amounts[-1].end if amounts else 0  # a mark belongs to one amount
        codes, after = _beside(text, start, after, [m for m in inside if m.start >= begin])
        word = _word_after(text, after, inside)
        _check_edges(text, start, after, inside, word)
        gap = text[amounts[-1].end : start] if amounts else ""
        if amounts:
            _check_gap(gap, amounts[-1], number, codes, text, inside)
        value, unsure = read_number(number, codes or column, text, scaled=factor != 1.0)
        value *= factor
        joined = bool(amounts) and _RANGE.fullmatch(_without(gap, amounts[-1].end, inside)) is not None
        if joined and amounts[-1].joined:  # a date, a telephone number
            raise UnreadableError(Message("The price can be read in several ways: “{text:.60}”.", text=text))
        if joined:
            low = amounts.pop()
            if factor != 1.0 and low.value < value / factor:  # "2-3k"
                low = replace(low, value=low.value * factor)
            amounts.append(replace(low, codes=low.codes or codes))
            codes = codes or low.codes
        amounts.append(_Amount(start, after, value=value, codes=codes, joined=joined, word=word, unsure=unsure))
    return amounts


def _word_after(text: str, end: int, marks: Sequence[CurrencyMark]) -> str:
    """Return the word that follows a number, "" where it is known to leave the amount as it is or a currency is between."""
    found = re.match(r"\s*([^\W\d_]+)", text[end:])
    at = end + found.start(1) if found else end
    if found is None or any(m.end == end or m.start == at for m in marks):
        return ""
    known = any(phrases()[kind].match(text, at) for kind in ("beside", "was", "now", "added", "off"))
    return "" if known or _RANGE.match(text, end) else found.group(1)


def _check_edges(text: str, start: int, end: int, marks: Sequence[CurrencyMark], word: str) -> None:
    before, after = text[start - 1 : start], text[end : end + 1]
    if before.isalpha():
        last = phrases()["beside"].pattern
        touches = not any(m.end == start for m in marks) and re.search(rf"(?i)(?:{last})\Z", text[:start]) is None
    else:
        touches = bool(before) and before in ".,'·_/\\" and not any(m.end == start for m in marks)
    drawn = _ONE.search(text[:start]) and re.match(r"\d{3}(?!\d)", text[start:])  # I 250
    if touches or drawn or (after.isalpha() and word) or after in ("_", "\\", "'"):
        raise UnreadableError(Message("The price can be read in several ways: “{text:.60}”.", text=text))


def _check_gap(
    gap: str, last: _Amount, number: str, codes: tuple[str, ...], text: str, marks: Sequence[CurrencyMark]
) -> None:
    """Refuse two numbers with nothing between them that would say what they are to each other: ``1. 250``, ``24 x 52``."""
    words = re.findall(r"[^\W\d_]+", gap.casefold())
    marked = any(last.end <= m.start < last.end + len(gap) for m in marks)
    if not words and not marked and not _RANGE.fullmatch(gap) and "+" not in gap:
        glued = text[last.end - 1].isdigit() and re.fullmatch(r"[;/|]+", gap) is not None  # 1;250
        apart = not glued and re.fullmatch(r"\s*[;/(|)]+\s*\(?|,\s+", gap) is not None
        if not apart or not (codes or last.codes) or (gap.startswith(",") and len(re.split(r"[.,' ·]", number)[0]) == 3):
            raise UnreadableError(Message("The price can be read in several ways: “{text:.60}”.", text=text))
    if words[:1] == ["x"] or any(word in thousands() for word in words) or _scaled_before(text, last, gap):
        raise UnreadableError(Message("The price can be read in several ways: “{text:.60}”.", text=text))


def _scaled_before(text: str, amount: _Amount, gap: str) -> bool:
    """Tell whether a multiplied number is followed by another with nothing between: ``1万2500``."""
    return not gap.strip() and not text[amount.end - 1].isdigit() and not amount.codes


def _factor(text: str, end: int) -> tuple[float, int]:
    """Return by what a number is multiplied, and where that word ends."""
    found = re.match(r"\s?([^\W\d_]+\.?)", text[end:])
    if found is None:
        return 1.0, end
    word = found.group(1).casefold()
    # From U+2E80 on one ideograph is a word (Unicode, blocks).
    for name in (word, word.rstrip("."), *([word[0]] if ord(word[0]) > 0x2E80 else [])):
        if name in thousands() and not (
            name in ("k", "w", "tr", "cr", "mil") and found.group().startswith(" ") and name in "kw"
        ):
            return thousands()[name], end + found.start(1) + len(name)
    return 1.0, end


def _beside(text: str, start: int, end: int, marks: Sequence[CurrencyMark]) -> tuple[tuple[str, ...], int]:
    """Return the codes of the currency mark beside a number, and where the amount ends with it."""
    closing = _ENDS.match(text[end:])
    end += closing.end() if closing else 0
    after = [m for m in marks if m.start >= end and not text[end : m.start].strip(" \"'(")]
    if after and "(" in text[end : after[0].start] and text[after[0].end :].lstrip()[:1].isdigit():  # $1,250 (£990)
        after = []
    before = [m for m in marks if m.end <= start and _BEFORE.fullmatch(text[m.end : start])]
    chosen = after[0] if after and not (after[0].is_word and before) else None
    if before and (chosen is None or len(before[-1].codes) <= len(chosen.codes)) and not before[-1].is_word:
        stop = chosen.end if chosen is not None and not text[chosen.end : chosen.end + 2].strip().isdigit() else end
        return _agreed(before[-1].codes, chosen.codes if chosen and stop == chosen.end else (), text), stop
    if chosen is not None:
        return _agreed(chosen.codes, before[-1].codes if before and not before[-1].is_word else (), text), chosen.end
    return (before[-1].codes if before else ()), end


def _agreed(codes: tuple[str, ...], more: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Return what two marks of one amount mean together: ``$ 900 CAD``."""
    both = tuple(code for code in codes if code in more)
    if codes and more and not both:
        raise UnreadableError(Message("The price can be read in several ways: “{text:.60}”.", text=text))
    return both or codes or more


def _without(gap: str, at: int, marks: Sequence[CurrencyMark]) -> str:
    for m in marks:
        if at <= m.start and m.end <= at + len(gap):
            gap = gap[: m.start - at] + " " * (m.end - m.start) + gap[m.end - at :]
    return gap


def _parts(amounts: Sequence[_Amount], text: str) -> list[list[_Amount]]:
    """Split amounts where one is charged on top of another."""
    parts: list[list[_Amount]] = [[]]
    for previous, amount in zip([None, *amounts], amounts, strict=False):
        begin = previous.end if previous else 0
        if previous is not None and phrases()["added"].search(text[begin : amount.start]):
            parts.append([])
        parts[-1].append(amount)
    return parts


def _paid(amounts: list[_Amount], text: str) -> list[_Amount]:
    """Leave out what has no currency where something has, what a price was and what is saved; keep a new price alone.

    Raises
    ------
    UnreadableError
        Where what is left out may be the price: a greater number, or the only one that is asked now.
    """
    said: list[str] = []
    begin = 0
    for amount in amounts:
        gap, after = text[begin : amount.start], text[amount.end : amount.end + 16]
        words = [(m.start(), kind) for kind in ("was", "now", "off") for m in phrases()[kind].finditer(gap)]
        kind = max(words)[1] if words else ("same" if amount.joined and said else "")
        if re.match(r"(?i)off\b|rabatt\b|discount\b|de réduction\b", after.strip()):
            kind = "off"
        said.append(said[-1] if kind == "same" else kind)
        begin = amount.end
    both = list(zip(amounts, said, strict=True))
    marked = [(a, kind) for a, kind in both if a.codes] or both
    wanted = "now" if any(kind == "now" for _, kind in marked) else ""
    kept = [a for a, kind in marked if kind == wanted]
    plain = [a for a, kind in both if kind in ("", "now") and not a.codes and marked != both]
    kept = kept or ([] if plain else [a for a, kind in marked if kind != "off"])
    if any(a.value > max((k.value for k in kept), default=0.0) for a in plain):
        raise UnreadableError(Message("The price can be read in several ways: “{text:.60}”.", text=text))
    return kept


def _sum(parts: Sequence[list[_Amount]]) -> list[_Amount]:
    """Return the least and the greatest total; of amounts in two currencies the first counts (``59 EUR (65 USD)``)."""
    ends = []
    for part in parts:
        same = [a for a in part if a.codes == part[0].codes or not a.codes]
        ends.append((min(a.value for a in same), max(a.value for a in same)))
    codes = next((a.codes for part in parts for a in part if a.codes), ())
    return [_Amount(0, 0, sum(low for low, _ in ends), codes), _Amount(0, 0, sum(high for _, high in ends), codes)]


def _codes(amounts: Sequence[_Amount], marks: Sequence[CurrencyMark], column: tuple[str, ...]) -> tuple[str, ...]:
    named = amounts[0].codes or next((m.codes for m in marks if m.codes and not m.is_word), ())
    if column and named:
        both = tuple(code for code in column if code in named)
        if not both:
            raise UnreadableError(
                Message(
                    "The price is in {currency}, the currency column says {column}.", currency=named[0], column=column[0]
                )
            )
        return both
    return column or named


def _column(text: str | None) -> tuple[str, ...]:
    if not text:
        return ()
    plain = _plain(text).upper() if len(text.strip()) == 3 else _plain(text)
    marks = find_marks(plain)
    if re.search(r"[^\W_]", _without(plain, 0, marks)):  # k EUR, EUR cents
        return ()
    return next((m.codes for m in marks if m.codes), ())


def _plain(text: str) -> str:
    """Return a text with one kind of digit, apostrophe, dash and blank."""
    text = _INVISIBLE.sub("", html.unescape(_TAG.sub("", text[:_LONGEST])))
    # Decimals that shops print raised: 59⁹⁹, 59,⁹⁹
    text = re.sub(r"(?<=\d)([.,]?)([⁰¹²³⁴-⁹]{2})(?!\w)", lambda m: (m[1] or ".") + m[2].translate(_RAISED), text)
    if any(unicodedata.category(c) == "No" for c in text):  # fractions, circled and raised digits
        raise UnreadableError(Message("The price cannot be read: “{text:.60}”.", text=text))
    text = text.translate(_APOSTROPHES).translate(_DASHES).translate(_DECIMALS)
    text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in unicodedata.normalize("NFKC", text))
    text = _MYRIADS.sub(lambda m: f"{m[1]}{m[3] or m[2] + '000'}", text)
    text = _CENTS.sub(r"\1,\2 €", text)
    return re.sub(r"[^\S\n]", " ", text).replace("\n", " ").translate(_APOSTROPHES).translate(_DASHES)
