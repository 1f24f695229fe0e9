"""The lexicon of replica wording: read from TOML, looked up in a listing's text."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

from imgmatch.errors import ConfigError
from imgmatch.names import UNSPACED, Stretches, beginning, without_accents

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same library under its older name
    import tomli as tomllib

__all__ = ["Lexicon", "Phrase"]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase of the lexicon that stands in a text.

    Parameters
    ----------
    text : str
        As the lexicon has it.
    language : str
        ISO 639-1.
    strength : str
        ``strong`` or ``weak``.
    """

    text: str
    language: str
    strength: str


class Lexicon:
    """Replica wording per language, nicknames of brands, and words of ordinary language.

    Parameters
    ----------
    table : mapping
        As ``reading/lexicon.toml`` has it.

    Raises
    ------
    ConfigError
        Where a table or value has the wrong shape.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        unknown = set(table) - {"wording", "negation", "nicknames", "everyday"}
        if unknown:
            raise ConfigError(f"unknown table [{min(unknown)}]; expected wording, negation, nicknames, everyday")
        self.everyday = frozenset(_strings(table.get("everyday", {}).get("words", []), "everyday.words"))
        self.nicknames = {b: _strings(v, f"nicknames.{b}") for b, v in table.get("nicknames", {}).items()}
        negation = table.get("negation", {})
        self._negations = {"".join(_words(w)) for w in _strings(negation.get("words", []), "negation.words")}
        self._affixes = _strings(negation.get("affixes", []), "negation.affixes")
        self._phrases: dict[str, Phrase] = {}
        for language, groups in table.get("wording", {}).items():
            if set(groups) - {"strong", "weak"}:
                raise ConfigError(f"wording.{language}: expected strong and weak, got {', '.join(sorted(groups))}")
            for strength in ("strong", "weak"):  # a phrase that one language lists as strong is strong
                for text in _strings(groups.get(strength, []), f"wording.{language}.{strength}"):
                    key = "".join(_words(text))
                    kept = self._phrases.get(key)
                    if kept is None or (kept.strength == "weak" and strength == "strong"):
                        self._phrases[key] = Phrase(text, language, strength)
        self._stretches = Stretches([key for key in self._phrases if not UNSPACED.search(key)])

    @classmethod
    def load(cls, path: str | Path | None = None) -> Lexicon:
        """Read a lexicon; the one that ships where `path` is None.

        Raises
        ------
        ConfigError
            Naming the file and what is wrong.
        """
        source = files("imgmatch.market").joinpath("lexicon.toml") if path is None else Path(path)
        try:
            return cls(tomllib.loads(source.read_text("utf-8")))
        except OSError as error:
            raise ConfigError(f"{source}: {error.strerror}") from error
        except (
            ConfigError,
            tomllib.TOMLDecodeError,
            UnicodeDecodeError,
            AttributeError,
            TypeError,
            RecursionError,
        ) as error:
            raise ConfigError(f"{source}: {error}") from error

    def find(self, text: str) -> list[Phrase]:
        """Return the phrases that `text` uses and does not deny, strong ones first; each once.

        Notes
        -----
        Linear in the length of the text, of which the `beginning` is read.
        """
        words = _words(text)
        found: set[str] = set()
        reached = 0
        for start, group in groupby(self._stretches.find(words), key=lambda hit: hit[0]):
            *_, (_, end, key) = group  # the longest that starts here
            if start >= reached and not self._negations & set(words[max(start - 2, 0) : start]):
                found.add(key)
                reached = end
        plain = "".join(words)
        found |= {key for key in self._phrases if UNSPACED.search(key) and self._stands_in(plain, key.strip())}
        return sorted((self._phrases[key] for key in found), key=lambda p: (p.strength != "strong", p.text))

    def _stands_in(self, plain: str, phrase: str) -> bool:
        """Say whether the phrase stands anywhere without being denied right before or after."""
        at = plain.find(phrase)
        while at >= 0:
            around = plain[max(at - 6, 0) : at + len(phrase) + 10]
            if not any(affix in around for affix in self._affixes):
                return True
            at = plain.find(phrase, at + len(phrase))
        return False


def _words(text: str) -> list[str]:
    """Return the words of `text` without case and accents, each with a blank behind it; ``1:1`` and ``+`` survive."""
    bare = without_accents(unicodedata.normalize("NFKC", beginning(text)).casefold())
    bare = re.sub(r"(\d) ?: ?(?=\d)", r"\1:", bare.replace("’", "'"))
    return [f"{word} " for word in re.findall(r"\d+:\d+|[\w']+\+*", bare)]


def _strings(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise ConfigError(f"{key}: expected a list of strings, got {value!r:.80}")
    return tuple(value)
