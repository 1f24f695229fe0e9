"""Sentences for people: English text that knows its template and parameters, so that it can be said in another language.

A language is one file, ``imgmatch/locale/CODE.po`` (gettext). The English template is the message's id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

__all__ = ["Language", "Message", "Money", "language", "languages", "listed"]


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of a currency (ISO 4217, or what a table has in its place), as a parameter of a message."""

    amount: float
    currency: str

    def said(self, locale: str = "en_001") -> str:
        """Return the amount as people write it where `locale` (a locale of Unicode CLDR) is spoken.

        >>> Money(1299, "EUR").said(), Money(1299.5, "USD").said("zh_CN")
        ('€1,299', 'US$1,299.50')
        """
        from babel.numbers import format_currency, format_decimal

        if not self.currency:
            number: str = format_decimal(self.amount, locale=locale)
            return number
        whole = self.amount == round(self.amount)
        text: str = format_currency(
            self.amount, self.currency, format="¤#,##0" if whole else None, locale=locale, currency_digits=not whole
        )
        # A code before its amount stands apart (CHF 12), a sign does not (€12).
        return text.replace(self.currency, f"{self.currency}\xa0", 1) if text.startswith(self.currency) else text


class Message(str):
    """English text made of a template and parameters.

    Parameters
    ----------
    id : str
        The template, for :meth:`str.format`: a constant of the code, for it is what translations are found by.
    **params : str, int, float, Message, Money or tuple of these
        What stands in it. A tuple is a list in words.

    Attributes
    ----------
    id : str
    params : mapping

    Examples
    --------
    >>> Message("asks {price}, {share:.0%} of {usual}", price=Money(90, "EUR"), share=0.1, usual=Money(900, "EUR"))
    'asks €90, 10% of €900'
    """

    id: str
    params: Mapping[str, Any]

    def __new__(cls, id: str, /, **params: Any) -> Message:
        text = id.format(**{name: _said(value, _ENGLISH) for name, value in params.items()}) if params else id
        return cls._of(text, id, params)

    @classmethod
    def _of(cls, text: str, id: str, params: Mapping[str, Any]) -> Message:
        self = super().__new__(cls, text)
        self.id, self.params = id, params
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return self._of, (str(self), self.id, self.params)

    def map(self, change: Callable[[str], str]) -> Message:
        """Return the message with every text in it changed, the template apart."""

        def changed(value: Any) -> Any:
            if isinstance(value, Message):
                return value.map(change)
            if isinstance(value, (tuple, list)):
                return tuple(map(changed, value))
            return change(value) if isinstance(value, str) else value

        return self._of(change(str(self)), self.id, {name: changed(value) for name, value in self.params.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return id and parameters as plain JSON; the text stands elsewhere."""
        return {"id": self.id, **({"params": {k: _to_json(v) for k, v in self.params.items()}} if self.params else {})}

    @classmethod
    def from_dict(cls, text: str, row: Mapping[str, Any]) -> Message:
        """Make a message of its text and what `to_dict` returned. The id may come from anywhere: it is never formatted.

        Raises
        ------
        ValueError
            Where the row is something else.
        """
        params = row.get("params", {})
        if not isinstance(row.get("id"), str) or not isinstance(params, Mapping):
            raise ValueError(f"expected the id and parameters of a message, got {row!r:.100}")
        try:
            return cls._of(text, row["id"], {name: _from_json(value) for name, value in params.items()})
        except (KeyError, TypeError, ArithmeticError) as error:
            raise ValueError(f"expected the parameters of a message, got {params!r:.100}") from error


def listed(*items: Any) -> Message:
    """Return a list in words: ``a, b, c``."""
    return Message("{items}", items=items)


@dataclass(frozen=True, slots=True)
class Language:
    """What messages are said in.

    Parameters
    ----------
    code : str
        ``en``, ``zh``.
    locale : str
        For amounts and as the ``lang`` of a page: a locale of Unicode CLDR.
    templates : mapping of str to str
        From ids to what the file of the language has for them.
    """

    code: str
    locale: str
    templates: Mapping[str, str]

    def say(self, text: str) -> str:
        """Return a message in this language; as it is what is no message, or has no translation."""
        if not isinstance(text, Message):
            return text
        template = self.templates.get(text.id)
        if template is None:
            return str(text)
        try:
            return template.format(**{name: _said(value, self) for name, value in text.params.items()})
        except (LookupError, ValueError, TypeError, ArithmeticError, RecursionError):  # of a record, not of our own
            return str(text)


_ENGLISH = Language("en", "en_001", {})
_LOCALES = {"zh": "zh_CN"}


def languages() -> tuple[str, ...]:
    """Return the codes of the languages there are."""
    found = (f.name.removesuffix(".po") for f in (files("imgmatch") / "locale").iterdir() if f.name.endswith(".po"))
    return ("en", *sorted(found))


@lru_cache(maxsize=8)
def language(code: str) -> Language:
    """Return a language by its code.

    Raises
    ------
    ValueError
        Where there is no such language.
    """
    if code not in languages():
        raise ValueError(f"expected one of the languages {', '.join(languages())}, got {code!r:.20}")
    if code == "en":
        return _ENGLISH
    from babel.messages.pofile import read_po

    with (files("imgmatch") / "locale" / f"{code}.po").open("rb") as f:
        templates = {str(m.id): str(m.string) for m in read_po(f, locale=code) if m.id and m.string and not m.fuzzy}
    return Language(code, _LOCALES.get(code, code), templates)


_COMMA = Message(", ")


def _said(value: Any, spoken: Language) -> Any:
    if isinstance(value, Message):
        return spoken.say(value)
    if isinstance(value, Money):
        return value.said(spoken.locale)
    if isinstance(value, (tuple, list)):
        return spoken.say(_COMMA).join(str(_said(v, spoken)) for v in value)
    return value


def _to_json(value: Any) -> Any:
    if isinstance(value, Message):
        return {"text": str(value), **value.to_dict()}
    if isinstance(value, Money):
        return {"amount": value.amount, "currency": value.currency}
    return [_to_json(v) for v in value] if isinstance(value, (tuple, list)) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_from_json, value))
    if not isinstance(value, Mapping):
        return value
    if set(value) == {"amount", "currency"}:
        return Money(float(value["amount"]), str(value["currency"]))
    return Message.from_dict(str(value["text"]), value)
