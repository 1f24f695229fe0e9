"""The lexicon of replica wording: read from TOML, looked up in a listing's text."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from imgmatch.errors import ConfigError

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
        self._negations = {_plain(w).strip() for w in _strings(negation.get("words", []), "negation.words")}
        self._affixes = _strings(negation.get("affixes", []), "negation.affixes")
        self._phrases: dict[str, Phrase] = {}
        for language, groups in table.get("wording", {}).items():
            if set(groups) - {"strong", "weak"}:
                raise ConfigError(f"wording.{language}: expected strong and weak, got {', '.join(sorted(groups))}")
            for strength in ("strong", "weak"):  # a phrase that one language lists as strong is strong
                for text in _strings(groups.get(strength, []), f"wording.{language}.{strength}"):
                    kept = self._phrases.get(_plain(text))
                    if kept is None or (kept.strength == "weak" and strength == "strong"):
                        self._phrases[_plain(text)] = Phrase(text, language, strength)
        longest_first = sorted((re.escape(p.strip()) for p in self._phrases if not _glued(p)), key=len, reverse=True)
        self._spaced = re.compile(rf" ({'|'.join(longest_first)})(?= )") if longest_first else None

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
        except (ConfigError, tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError, TypeError) as error:
            raise ConfigError(f"{source}: {error}") from error

    def find(self, text: str) -> list[Phrase]:
        """Return the phrases that `text` uses and does not deny, strong ones first; each once."""
        plain = _plain(text)
        found: dict[str, Phrase] = {}
        if self._spaced is not None:
            for hit in self._spaced.finditer(plain):
                before = plain[: hit.start()].split()[-2:]
                if not self._negations & set(before):
                    found[hit[1]] = self._phrases[f" {hit[1]} "]
        for key, phrase in self._phrases.items():
            if _glued(key) and (at := plain.find(key.strip())) >= 0:
                around = plain[max(at - 6, 0) : at + len(key) + 8]
                if not any(affix in around for affix in self._affixes):
                    found[key] = phrase
        return sorted(found.values(), key=lambda p: (p.strength != "strong", p.text))


def _plain(text: str) -> str:
    """Return the words of `text`, without case and accents, each between single spaces; ``1:1`` and ``+`` survive."""
    bare = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    bare = unicodedata.normalize("NFC", "".join(c for c in bare if not "\u0300" <= c <= "\u036f"))
    bare = re.sub(r"(\d) ?: ?(?=\d)", r"\1:", bare.replace("’", "'"))
    return " " + " ".join(re.findall(r"\d+:\d+|[\w']+\+*", bare)) + " "


def _glued(text: str) -> bool:
    """Say whether `text` is in a script that writes words without spaces or glues particles to them."""
    return any("\u0e00" <= c <= "\u0e7f" or "\u1100" <= c <= "\u11ff" or "\u3040" <= c <= "\ud7a3" for c in text)


def _strings(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise ConfigError(f"{key}: expected a list of strings, got {value!r:.80}")
    return tuple(value)
