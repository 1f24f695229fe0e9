"""From the columns of somebody's table to the fields that are asked for: loose names, mappings, presets."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any

from imgmatch.cells import as_texts, is_missing
from imgmatch.errors import ConfigError, InputError
from imgmatch.messages import Message

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Columns", "Layout", "normal", "parse_map"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the columns of a kind of table become fields; ``presets.toml`` holds those that are named.

    Parameters
    ----------
    name : str
    columns : mapping of str to tuple of str
        Where each field comes from: names of columns, the first that has a value counting (all of them for a list). A ``*``
        stands for anything (``image*``), a dot leads into an object (``price.amount``), ``=EUR`` is that very text, ``#``
        the row's place.
    group : str or None
        Rows that follow each other with one value in this column are one listing (a photo or a size per row).
    parent, key : str or None
        Rows whose column `parent` names another row, by its `key` or as ``id:`` with its listing id, are sizes or colours of
        that one, wherever it stands.
    auction : str or None
        A column that says *auction* where the price is a bid.
    chosen : frozenset of str
        Fields whose columns a user named for this very table: a header without any of them is refused.
    """

    name: str = ""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    group: str | None = None
    parent: str | None = None
    key: str | None = None
    auction: str | None = None
    chosen: frozenset[str] = frozenset()

    @classmethod
    def load(cls, preset: str) -> Layout:
        """Return a preset by name, or the only one of a TOML file (``file.toml``), or one of several (``file.toml:name``).

        Raises
        ------
        ConfigError
        """
        name, text = preset, ""
        try:
            if ".toml" in preset:
                file, _, name = preset.partition(".toml")
                text, name = Path(f"{file}.toml").read_text("utf-8"), name.removeprefix(":")
            else:
                text = resources.files("imgmatch.io").joinpath("presets.toml").read_text("utf-8")
            presets = tomllib.loads(text)
        except OSError as error:
            raise ConfigError(f"{preset}: cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{preset}: not valid TOML: {error}") from error
        chosen = presets.get(name or next(iter(presets), ""))
        if not isinstance(chosen, dict) or not isinstance(chosen.get("columns"), dict):
            raise ConfigError(
                f"no preset {preset!r}; there are {', '.join(presets)}, or a TOML file like imgmatch/io/presets.toml"
            )
        columns = {k: (v,) if isinstance(v, str) else tuple(map(str, v)) for k, v in chosen["columns"].items()}
        group, parent, key, auction = (chosen.get(rule) for rule in ("group", "parent", "key", "auction"))
        return cls(name or preset, columns, group, parent=parent, key=key, auction=auction)

    @classmethod
    def suggest(cls, names: Sequence[str]) -> str | None:
        """Return the name of the preset that most columns of a table are of, None where none has at least three."""
        text = resources.files("imgmatch.io").joinpath("presets.toml").read_text("utf-8")
        have = {normal(name) for name in names}
        counts = {
            preset: len(have & {normal(s) for sources in cls.load(preset).columns.values() for s in sources})
            for preset in tomllib.loads(text)
        }
        best = max(counts, key=lambda preset: counts[preset])
        return best if counts[best] >= 3 else None

    def with_columns(self, more: Mapping[str, tuple[str, ...]]) -> Layout:
        """Return this layout with some fields taken from elsewhere."""
        return replace(self, columns={**self.columns, **more}, chosen=self.chosen | more.keys())


def parse_map(text: str) -> dict[str, tuple[str, ...]]:
    """Read ``price=Variant Price,title=Title,photos=Image Src|Image 2``.

    Raises
    ------
    ConfigError
    """
    columns = {}
    for part in re.split(r",(?=\s*\w+\s*=)", text):
        name, equals, sources = part.partition("=")
        if not equals or not name.strip() or not sources.strip():
            raise ConfigError(f"--map: expected field=column, …, got {part!r:.60}")
        columns[name.strip()] = tuple(s.strip() for s in sources.split("|"))
    return columns


class Columns:
    """Turns the named cells of a row into fields.

    Parameters
    ----------
    known : iterable of str
        Fields that are asked for; a column is one of them whatever its case, blanks or hyphens.
    lists : frozenset of str
        Those of `known` that hold several values; columns of one name are gathered there.
    layout : Layout, optional
    """

    def __init__(self, known: Iterable[str], lists: frozenset[str], layout: Layout | None = None) -> None:
        self._known = {normal(name): name for name in known}
        self._lists = lists
        self._layout = layout or Layout()
        self.unmapped: dict[str, None] = {}
        self.seen: list[str] = []
        unknown = [name for name in self._layout.columns if normal(name) not in self._known]
        if unknown and self._known:
            raise ConfigError(f"{unknown[0]} is no field; expected one of {', '.join(self._known.values())}")

    def check(self, names: Sequence[str], source: str) -> None:
        """Refuse a header that names one field twice, unless it is a list; names nobody maps are noted."""
        self.seen = list(names)
        taken: dict[str, str] = {}
        mapped = set(self._mapped(names))
        for name in sorted(self._layout.chosen):
            sources = self._layout.columns[name]
            if not any(s.startswith("=") or s == "#" for s in sources) and not self._mapped(names, sources):
                there = ", ".join(filter(None, names[:30]))
                raise InputError(f"no column is called {' or '.join(sources)} ({name}); there are {there}", source=source)
        for name in names:
            if name in mapped or not name.strip():
                continue
            target = self._known.get(normal(name))
            key = target or name.strip()
            if key in taken and target not in self._lists:
                raise InputError(f"duplicate column: {taken[key]!r} and {name!r} are both {key}; rename one", source=source)
            taken[key] = name
            if target is None:
                self.unmapped[name.strip()] = None

    def fits(self, names: Sequence[str]) -> bool:
        """Tell whether names may be a header: two of them, or all, are fields that are asked for or mapped."""
        known = sum(normal(name) in self._known for name in names) + len(self._mapped(names))
        return not self._known or known >= min(2, len(names))

    def fields(self, cells: Sequence[tuple[str, Any]], place: str) -> dict[str, Any]:
        """Return the row's fields, then its other columns under their own names; missing cells are None.

        Raises
        ------
        InputError
            Where a row of its own columns (JSON) names one field twice.
        """
        row: dict[str, Any] = {}
        by_name: dict[str, list[Any]] = {}
        for name, cell in cells:
            by_name.setdefault(normal(name), []).append(cell)
        used: set[str] = set()
        for target, sources in self._layout.columns.items():
            found: list[Any] = []
            for source in sources:
                if found and target not in self._lists:  # what nobody uses is kept under its own name
                    break
                values = self._values(source, by_name, cells, place, used)
                found += [v for v in values if not is_missing(v)]
            row[target] = _gathered(target, found) if target in self._lists else next(iter(found), None)
        kinds = by_name.get(normal(self._layout.auction), []) if self._layout.auction else []
        if row.get("price") is not None and any("auction" in str(kind).casefold() for kind in kinds):
            row["price"] = f"{row['price']} (current bid)"
        for number, (name, cell) in enumerate(cells, 1):
            key = normal(name)
            if key in used or (not key and is_missing(cell)):
                continue
            known = self._known.get(key)
            if known is None or known in self._layout.columns:
                kept = cell if isinstance(cell, str) and cell.strip() else None if is_missing(cell) else cell
                row[f"{name.strip()} (column)" if known else name.strip() or f"column {number}"] = kept
            elif known not in row:
                row[known] = None if is_missing(cell) else cell
            elif known not in self._lists:
                raise InputError(Message("duplicate field {name}", name=repr(name)), source=place)
            elif not is_missing(cell):
                row[known] = _gathered(known, [row[known], cell])
        return row

    def _mapped(self, names: Sequence[str], sources: Sequence[str] | None = None) -> list[str]:
        if sources is None:
            sources = [s for many in self._layout.columns.values() for s in many]
        sources = list(map(normal, sources))
        return [
            name for name in names if any(fnmatchcase(normal(name), s) or s.startswith(f"{normal(name)}.") for s in sources)
        ]

    def _values(
        self, source: str, by_name: Mapping[str, list[Any]], cells: Sequence[tuple[str, Any]], place: str, used: set[str]
    ) -> list[Any]:
        if source.startswith("="):
            return [source[1:]]
        if source == "#":
            return [place]
        key = normal(source)
        if "*" in key:
            names = sorted({normal(n) for n, _ in cells if fnmatchcase(normal(n), key)}, key=_natural)
        else:
            names = [key] if key in by_name else []
        used.update(names)
        if names or "." not in source:
            return [v for name in names for v in by_name[name]]
        head, *path = source.split(".")
        values = by_name.get(normal(head), [])
        if values:
            used.add(normal(head))
        for step in path:
            values = [v[step] for v in values if isinstance(v, Mapping) and step in v]
        return values


def normal(name: str) -> str:
    """Return a column's name without what people vary: case, blanks and hyphens, byte-order mark, quotes."""
    text = unicodedata.normalize("NFKC", name).strip("\ufeff\"'“”„«»:; \t\r\n").removeprefix("*").casefold()
    return re.sub(r"[\s\-]+", "_", text) if text else ""


def _natural(name: str) -> tuple[object, ...]:
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name))


def _gathered(name: str, cells: list[Any]) -> Any:
    """Return one cell as it is, several as one list without doubles."""
    cells = [cell for cell in cells if not is_missing(cell)]
    if len(cells) < 2:
        return next(iter(cells), None)
    return list(dict.fromkeys(text for cell in cells for text in as_texts(name, cell)))
