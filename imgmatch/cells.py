"""What a cell of somebody's table means: missing, a text, an id, a price, a list, plain JSON.

Readers of tables keep the type that a cell came with (a Parquet timestamp, an Excel number); it becomes text here, and
only where text is meant.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

from imgmatch.errors import InputError
from imgmatch.messages import Message

__all__ = [
    "as_id",
    "as_json",
    "as_object",
    "as_price",
    "as_text",
    "as_texts",
    "clean",
    "defused",
    "is_missing",
    "undefused",
    "utc_time",
]

# How pandas, NumPy, R, SQL, JavaScript, Excel and people write a cell that has no value, where the whole cell is that.
_MISSING = frozenset(
    {
        "",
        "nan",
        "nat",
        "none",
        "null",
        "(null)",
        "[null]",
        "<null>",
        "nil",
        "undefined",
        "\\n",
        "na",
        "<na>",
        "#n/a",
        "n/a",
        "n.a.",
        "unknown",
        "(blank)",
        "(empty)",
        "-",
        "--",
        "---",
        "–",
        "—",
        "#null!",
        "#value!",
        "#ref!",
        "#name?",
        "#div/0!",
        "#num!",
    }
)
# A cell that starts with one of these is a formula to a spreadsheet program, in some languages with wide signs as well
# (OWASP, https://owasp.org/www-community/attacks/CSV_Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MOST_NESTED = 100  # a guess: rows of platforms nest a handful deep
_MISSING_TYPES = frozenset({"NaTType", "NAType"})  # pandas, which need not be installed
_EXACT = 2**53  # the integers up to here are exact in a float64 (IEEE 754)
_SCIENTIFIC = re.compile(r"[-+]?\d(?:[.,]\d+)?[eE][+-]?\d+")
_EPOCH = re.compile(r"\d{10}(?:\d{3})?(?:\.\d+)?")
_FLOAT_ID = re.compile(r"(\d{1,15})\.0+")
# What a list of links holds in place of a link.
_LINK_KEYS = ("path", "url", "src", "href", "contentUrl", "content_url", "full", "full_size_url", "large", "image", "photo")
_QUOTED = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_PRINTED_LIST = re.compile(rf"[\[(]\s*(?:{_QUOTED}[,\s]*)*[\])]", re.DOTALL)
_BETWEEN_LINKS = re.compile(r"(?<![,;|\s])[,;|\s]+(?=https?://)")  # tried once in a run of them, however long
_NAMED_FILE = re.compile(r"\S.*\.\w{2,5}|https?://\S+", re.DOTALL)
_SEPARATORS = tuple(map(re.compile, (r"[|\n]", ";", ",", r"\s+")))


def is_missing(value: Any) -> bool:
    """Tell whether a cell holds no value: None, NaN, NaT, an empty text, or a text by which programs write one of these.

    Examples
    --------
    >>> [is_missing(x) for x in (None, float("nan"), " ", "NaN", "<NA>", 0, "0", "Nan Goldin")]
    [True, True, True, True, True, False, False, False]
    """
    if value is None or type(value).__name__ in _MISSING_TYPES:
        return True
    if isinstance(value, str):
        return len(value) < 16 and value.strip().casefold() in _MISSING
    if isinstance(value, Decimal):
        return not value.is_finite()
    return isinstance(value, float) and not math.isfinite(value)


def as_text(name: str, value: Any) -> str | None:
    """Return the text that a cell means, None where it is missing.

    Parameters
    ----------
    name : str
        The column, for messages.
    value : object
        Numbers are written in full (a whole float without ``.0``), times as ISO 8601.

    Raises
    ------
    InputError
        Where the cell is a list, an object or bytes.
    """
    value = _plain(value)
    if is_missing(value):
        return None
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float, Decimal)):
        return _number_text(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    raise InputError(Message("{column}: expected a string, got {value}", column=name, value=f"{value!r:.80}"))


def as_id(name: str, value: Any) -> str | None:
    """Return an id as text; a float becomes the integer that it was.

    Raises
    ------
    InputError
        Where digits of the id are lost: a float beyond 2**53, or a text such as ``3.64512E+11``, as spreadsheets save them.

    Examples
    --------
    >>> as_id("listing_id", 364512345678.0), as_id("listing_id", "0042"), as_id("listing_id", "17.0")
    ('364512345678', '0042', '17')
    """
    value = _plain(value)
    if isinstance(value, (float, Decimal)) and not is_missing(value):
        exact = isinstance(value, Decimal) or abs(value) < _EXACT
        if not exact or value != int(value):
            raise InputError(
                Message(
                    "{column}: {value} is a number that has lost digits of the id; export this column as text",
                    column=name,
                    value=repr(value),
                )
            )
        return str(int(value))
    text = as_text(name, value)
    if text is None:
        return None
    text = text.strip()
    if _SCIENTIFIC.fullmatch(text):
        raise InputError(
            Message(
                "{column}: {value} has lost digits of the id; format this column as text before saving the table",
                column=name,
                value=text,
            )
        )
    found = _FLOAT_ID.fullmatch(text)
    return found.group(1) if found else text


def as_price(name: str, value: Any) -> str | int | float | None:
    """Return a number as a number, never to be read as text again; anything else as text."""
    value = _plain(value)
    if isinstance(value, bool) or is_missing(value):
        return None
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):  # {"amount": "59.00", "currency_code": "EUR"}, as marketplaces' interfaces answer
        low = {str(k).casefold(): v for k, v in value.items()}
        amount = next((low[k] for k in ("amount", "value", "price") if not is_missing(low.get(k))), None)
        code = next((low[k] for k in ("currency", "currency_code", "currencycode") if not is_missing(low.get(k))), None)
        number = as_text(name, amount)
        return number if code is None or number is None else f"{number} {as_text(name, code)}"
    return as_text(name, value)


def as_texts(name: str, value: Any) -> tuple[str, ...]:
    """Return a list of texts; one text is a list of one, unless it is plainly a list of files or links.

    Parameters
    ----------
    name : str
    value : object
        A list of texts (or of objects with a ``url``, ``src`` or ``path``); a JSON array as text; a list as Python or NumPy
        prints it; file names or links between ``|``, line breaks, ``;``, ``,`` or blanks, where each of them ends like a
        file name or is a link.

    Raises
    ------
    InputError

    Examples
    --------
    >>> as_texts("photos", "a.jpg|b.jpg"), as_texts("photos", "bag, front.jpg"), as_texts("photos", "['a.jpg' 'b.jpg']")
    (('a.jpg', 'b.jpg'), ('bag, front.jpg',), ('a.jpg', 'b.jpg'))
    """
    value = _plain(value)
    if is_missing(value):
        return ()
    if isinstance(value, str):
        value = _listed(name, value)
    elif isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise _no_list(name, f"{value!r:.80}")
    texts = []
    for entry in value:
        if isinstance(entry, Mapping):
            entry = next((entry[k] for k in _LINK_KEYS if not is_missing(entry.get(k))), entry)
        if is_missing(entry):
            continue
        if not isinstance(entry, str):
            raise _no_list(name, f"{value!r:.80}")
        texts.append(clean(entry))
    return tuple(texts)


def as_object(name: str, value: Any) -> dict[str, Any]:
    """Return a JSON object, which a cell of a CSV table holds as text; an empty one where it is missing.

    Raises
    ------
    InputError
    """
    if is_missing(value):
        return {}
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError) as error:
        raise InputError(Message("{column}: not valid JSON: {error}", column=name, error=str(error))) from error
    if not isinstance(value, Mapping):
        raise InputError(f"{name}: expected a JSON object, got {value!r:.60}")
    return {str(k): v for k, v in value.items()}


def as_json(value: Any, levels: int = _MOST_NESTED) -> Any:
    """Return plain JSON of any cell, so that columns nobody asked about survive: times as ISO 8601, NaN as null.

    Raises
    ------
    InputError
        Where lists and objects lie in one another deeper than `levels`: writing them again would recurse as deep.
    """
    if levels < 0:
        raise InputError(Message("nested more than {limit} deep", limit=_MOST_NESTED))
    value = _plain(value)
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {clean(str(k)): as_json(v, levels - 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_json(v, levels - 1) for v in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if type(value).__name__ in _MISSING_TYPES:
        return None
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value)  # Decimal, timedelta, UUID and the like


def utc_time(text: str | None) -> str | None:
    """Return a time as ISO 8601 in UTC, None where it is none; times without a zone are taken as UTC.

    Notes
    -----
    ISO 8601, the form of e-mail and HTTP dates (RFC 5322), and seconds or milliseconds since 1970 are read; ``03/04/2025``,
    which is two dates, is not. A year before 1990 or after 2100 is a program's word for "never".

    Examples
    --------
    >>> utc_time("2025-03-01T10:00:00+02:00"), utc_time("9999-12-31"), utc_time("1740823200")
    ('2025-03-01T08:00:00+00:00', None, '2025-03-01T10:00:00+00:00')
    """
    text = (text or "").strip()
    try:
        if _EPOCH.fullmatch(text):
            seconds = float(text)
            time = datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, timezone.utc)
        elif text[:1].isdigit():
            time = datetime.fromisoformat(re.sub(r"(?i)\s?(z|utc|gmt)$", "+00:00", text))
        else:
            time = parsedate_to_datetime(text)
        if not 1990 <= time.year <= 2100:
            return None
        time = time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time.astimezone(timezone.utc)
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
    return time.isoformat(timespec="seconds")


def clean(text: str) -> str:
    """Return a text that can be written as UTF-8; a lone surrogate, which JSON can bring in, becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def defused(text: str) -> str:
    """Return text as a spreadsheet program may be given it: an apostrophe keeps what it would take for a formula a text.

    Examples
    --------
    >>> defused("=1+1"), defused("'=1+1"), undefused("''=1+1"), undefused("'s-Gravenhage")
    ("'=1+1", "''=1+1", "'=1+1", "'s-Gravenhage")
    """
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def undefused(text: str) -> str:
    """Return text as it was before `defused`."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_FORMULA) else text


def _plain(value: Any) -> Any:
    """Turn a NumPy scalar or array into plain Python; anything else is returned as it is."""
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, datetime) and type(value) is not datetime and hasattr(value, "to_pydatetime"):
        return value if type(value).__name__ in _MISSING_TYPES else value.to_pydatetime(warn=False)
    return str(value) if isinstance(value, timedelta) else value


def _number_text(value: float | Decimal) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _no_list(name: str, got: str) -> InputError:
    return InputError(Message("{column}: expected a list of strings, got {value}", column=name, value=got))


def _listed(name: str, text: str) -> list[Any]:
    text = text.strip()
    if text.startswith("["):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            if _PRINTED_LIST.fullmatch(text):
                return [ast.literal_eval(quoted) for quoted in re.findall(_QUOTED, text)]
            raise InputError(Message("{column}: not valid JSON: {error}", column=name, error=str(error))) from error
        if not isinstance(value, list):
            raise _no_list(name, f"{text:.60}")
        return value
    if _PRINTED_LIST.fullmatch(text):
        return [ast.literal_eval(quoted) for quoted in re.findall(_QUOTED, text)]
    if text.startswith(("http://", "https://")):
        return [part for part in _BETWEEN_LINKS.split(text) if part]
    for separator in _SEPARATORS:
        parts = [part for part in map(str.strip, separator.split(text)) if part]
        if len(parts) > 1 and all(map(_NAMED_FILE.fullmatch, parts)):
            return parts
    return [text]
