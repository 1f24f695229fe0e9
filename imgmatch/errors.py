"""The exceptions imgmatch raises: each says what happened, to which input, and what to do.

Callers that want one net catch :class:`ImgmatchError`. Misuse of the Python API (a wrong type, a value out of range)
raises plain ``TypeError`` / ``ValueError`` instead, as anywhere in Python.
"""

from __future__ import annotations

import unicodedata

from imgmatch.messages import Message

__all__ = [
    "CalibrationError",
    "CatalogCorruptError",
    "CatalogError",
    "CatalogVersionError",
    "ConfigError",
    "ImageError",
    "ImgmatchError",
    "InputError",
    "LockedError",
    "MissingExtraError",
    "OutOfTimeError",
    "ScanError",
    "SpaceMismatchError",
    "WeightsError",
    "printable",
]


class ImgmatchError(Exception):
    """Base of every error that imgmatch raises on purpose."""

    @property
    def said(self) -> str:
        """What happened: a :class:`imgmatch.messages.Message` where a record may show it, to be said in other languages."""
        first = self.args[0] if self.args else None
        return first if isinstance(first, Message) else str(self)


class ConfigError(ImgmatchError, ValueError):
    """A configuration file or value is wrong: unknown key, wrong type, out of range."""


class InputError(ImgmatchError, ValueError):
    """A table, manifest or row given by the user cannot be used as it is.

    Parameters
    ----------
    message : str
        What is wrong and what was expected; a Message where it is about one row.
    source : str
        The file (and row, as ``table.csv:17``) it happened in.
    """

    def __init__(self, message: str, *, source: str = "") -> None:
        super().__init__(_at(source, message))
        self.source = source


class ImageError(ImgmatchError):
    """A photo cannot be read.

    Parameters
    ----------
    reason : str
        Machine-readable reason: ``missing``, ``denied``, ``not_a_file``, ``empty``, ``too_large``, ``too_many_pixels``,
        ``too_small``, ``format_not_allowed``, ``missing_extra``, ``truncated``, ``corrupt``, ``timeout``,
        ``decoder_crashed``, ``url`` or ``outside_root``.
    message : str
        The same in plain words, with what to do where something can be done; a Message.
    source : str
        The file name or ``<bytes>``.
    """

    def __init__(self, reason: str, message: str, *, source: str = "") -> None:
        super().__init__(_at(source, message))
        self.reason = reason
        self.source = source

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str], dict[str, str]]:
        # Travels from decoder worker processes, where the default would lose ``reason``.
        return (type(self), (self.reason, self.args[0]), {"source": self.source})


class MissingExtraError(ImgmatchError, ImportError):
    """An optional library is not installed; the message names the extra that brings it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional library: pip install 'imgmatch[{extra}]'")
        self.extra = extra


class WeightsError(ImgmatchError):
    """Model weights are missing, unverifiable or do not match their checksum."""


class OutOfTimeError(ImgmatchError):
    """Work was stopped at the next step after its time was up, or after nobody waited for it any more."""


class SpaceMismatchError(ImgmatchError, ValueError):
    """Vectors of two embedding spaces were about to meet.

    Parameters
    ----------
    expected, got : str
        Descriptions of the two spaces, see :meth:`imgmatch.types.EmbeddingSpace.describe`.
    """

    def __init__(self, expected: str, got: str, *, hint: str = "") -> None:
        message = f"embedding spaces differ: expected {expected}; got {got}"
        super().__init__(f"{message}. {hint}" if hint else message)
        self.expected = expected
        self.got = got


class CatalogError(ImgmatchError):
    """A catalog cannot be built, opened or changed."""


class CatalogCorruptError(CatalogError):
    """A file of the catalog does not have the checksum its manifest names."""


class CatalogVersionError(CatalogError):
    """The catalog was written in a format that this version does not read."""


class CalibrationError(ImgmatchError):
    """A calibration cannot be fitted from, or applied to, what it was given."""


class ScanError(ImgmatchError):
    """A scan cannot start or go on; finished shards stay valid."""


class LockedError(ImgmatchError):
    """Another process is writing to the same folder."""


def _at(source: str, problem: str) -> str:
    """Put the place where it happened before a problem."""
    return Message("{place}: {problem}", place=source, problem=problem) if source else problem


def printable(text: str) -> str:
    """Return text from outside as it may be printed, logged or written to a table: on one line, and what it is.

    Control, escape, bidirectional and other invisible characters and lone surrogates are shown by their codes: they could
    otherwise move a terminal's cursor, hide a word or turn it round. Blanks of every width stay.

    Examples
    --------
    >>> printable("GU\u200bCCI\x1b[2J \u202egab 1\u00a0299")
    'GU\\u200bCCI\\x1b[2J \\u202egab 1\xa0299'
    """
    if text.isprintable():
        return text
    shown = (c.isprintable() or unicodedata.category(c) == "Zs" for c in text)
    return "".join(c if plain else c.encode("unicode_escape").decode() for c, plain in zip(text, shown, strict=True))
