"""Data sets: what a row says, what a set's card says, and how a set is named on the command line."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path

from benchmarks.locked import UNITS, is_locked

__all__ = [
    "OUT",
    "REPO",
    "Box",
    "Card",
    "Dataset",
    "File",
    "Photo",
    "Published",
    "by_hash",
    "catalog_of",
    "load",
    "names",
    "part_of",
]

REPO = Path(__file__).resolve().parents[2]
OUT = REPO / "out" / "bench"
"""Rendered sets, catalogs, drawn queries: all that can be made again."""
SHARED = REPO.parent / "shared" / "data"


@dataclass(frozen=True, slots=True)
class Box:
    """Where a brand's mark is: corners in pixels of the photo."""

    brand: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of a data set.

    Parameters
    ----------
    path : Path
    item : str
        What "the same" means in this set: an article, a class, the photo that was copied; empty for a photo of nothing.
    brand : str
    role : str
        catalog, query, both (each photo asks for the others), distractor (shows nothing of the catalog) or background
        (what scores are normalised with).
    split : str
        dev, test or locked.
    boxes : tuple of Box
    unit : str
        What repeats: intervals draw whole units. The item by default, the file where there is none.
    """

    path: Path
    item: str = ""
    brand: str = ""
    role: str = "both"
    split: str = "test"
    boxes: tuple[Box, ...] = ()
    unit: str = ""

    @property
    def group(self) -> str:
        return self.unit or self.item or self.path.name


@dataclass(frozen=True, slots=True)
class Published:
    """A figure from a paper, to stand beside ours: who, which metric, its value as a share, where it is printed."""

    who: str
    metric: str
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of a set as its owners publish it; `sha256` is empty where they state none."""

    url: str
    sha256: str = ""
    mib: int = 0


@dataclass(frozen=True, slots=True)
class Card:
    """What a reader must know of a data set before a figure on it means anything."""

    title: str
    licence: str
    cite: str
    protocol: str
    url: str
    task: str  # articles, copies or marks
    published: tuple[Published, ...] = ()
    files: tuple[File, ...] = ()
    by_request: str = ""
    rendered: bool = False
    seen: bool = False  # its halves were reported and worked against before


@dataclass(frozen=True, slots=True)
class Dataset:
    """A set on disk."""

    name: str
    root: Path
    card: Card
    photos: tuple[Photo, ...] = field(repr=False)

    def hash(self) -> str:
        """16 hex digits over the photos' places, sizes and labels."""
        digest = hashlib.sha256()
        for p in self.photos:
            place = p.path.relative_to(self.root) if p.path.is_relative_to(self.root) else p.path.name
            size = p.path.stat().st_size if p.path.is_file() else -1
            digest.update(f"{place} {size} {p.item} {p.brand} {p.role} {p.split} {p.boxes}\n".encode())
        return digest.hexdigest()[:16]

    def of(self, *roles: str, split: str | None = None) -> list[Photo]:
        return [p for p in self.photos if p.role in roles and split in (None, p.split)]


def names() -> dict[str, Card]:
    """Return the sets that there is an adapter for."""
    found = {}
    for file in sorted((Path(__file__).parents[1] / "datasets").glob("*.py")):
        if file.stem != "__init__":
            module = import_module(f"benchmarks.datasets.{file.stem}")
            found |= module.SETS if hasattr(module, "SETS") else {file.stem: module.CARD}
    return found


def load(spec: str, *, smoke: bool = False) -> Dataset:
    """Read a set.

    Parameters
    ----------
    spec : str
        ``name=folder``; ``name`` alone for `rendered` and for the sets of ../shared/data.
    smoke : bool
        A small part, by hash of the items: the same code on few photos.

    Raises
    ------
    FileNotFoundError
        Saying what was looked for and where the set can be had.
    ValueError
        Where no adapter has that name.
    """
    name, _, place = spec.partition("=")
    cards = names()
    if name not in cards:
        raise ValueError(f"no data set {name!r}; there are {', '.join(cards)}")
    shared = import_module("benchmarks.datasets.shared")
    if name in shared.SETS:
        root, module = Path(place or SHARED / name), shared
        read: Callable[[Path], Iterator[Photo]] = shared.reader(name)
    else:
        module = import_module(f"benchmarks.datasets.{name}")
        root, read = Path(place or "."), module.read
        if name == "rendered":
            root = Path(place) if place else module.render(OUT, smoke=smoke)
        elif not place:
            raise FileNotFoundError(f"{name}: say where it lies: --dataset {name}=FOLDER; {cards[name].url}")
    if not root.is_dir():
        raise FileNotFoundError(f"{name}: no folder {root}; {cards[name].url or 'see ../shared/data'}")
    try:
        photos = tuple(read(root))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{name}: {error.filename} is missing: not the layout as published, {cards[name].url}"
        ) from error
    if not photos:
        raise FileNotFoundError(f"{name}: {root} holds no photo in the layout as published, {cards[name].url}")
    return Dataset(name, root, cards[name], _few(photos) if smoke and name != "rendered" else photos)


def part_of(name: str, unit: str, published: str = "") -> str:
    """Return dev, test or locked: the set's own split where it has one, else by hash of the unit.

    Notes
    -----
    The halves of the sets that `benchmarks.locked` knows were reported before: they are seen.
    """
    if name in UNITS and is_locked(name, unit):
        return "locked"
    return published or ("test" if hashlib.sha256(unit.encode()).digest()[0] % 2 else "dev")


def by_hash(photo: Photo, salt: str = "") -> bytes:
    """What photos are sorted by where some of them are taken: the same on every machine and in every order of files."""
    return hashlib.sha256(f"{salt}{photo.path.name}".encode()).digest()


def catalog_of(photos: Sequence[Photo], fold: int = 0, folds: int = 1) -> tuple[list[Photo], list[Photo]]:
    """Split photos into a catalog and queries.

    Parameters
    ----------
    photos : sequence of Photo
        Those with roles keep them. Of an item whose photos are both, the photo whose name hashes lowest is asked about, and
        the others are the catalog; with several folds each photo is asked about once, in one of them.
    fold, folds : int
        Which fold, and of how many.

    Returns
    -------
    tuple of list of Photo
        Catalog and queries; nothing is asked of which the catalog has no photo.
    """
    catalog, queries = [p for p in photos if p.role == "catalog"], [p for p in photos if p.role == "query" and not fold]
    by_item: dict[str, list[Photo]] = {}
    for p in photos:
        if p.role == "both":
            by_item.setdefault(p.item, []).append(p)
    for mine in by_item.values():
        mine.sort(key=by_hash)
        held = mine[fold::folds] if folds > 1 else mine[:1]
        held = held if len(held) < len(mine) else []
        queries += held
        catalog += [p for p in mine if p not in held]
    known = {p.item for p in catalog}
    return catalog, [replace(p, role="query") for p in queries if p.item in known]


def _few(photos: tuple[Photo, ...], items: int = 12, each: int = 3) -> tuple[Photo, ...]:
    """Keep a dozen items of each split and role, three photos of each."""
    ranked = sorted(photos, key=lambda p: hashlib.sha256(f"{p.item} {p.path.name}".encode()).digest())
    seen: dict[tuple[str, str], set[str]] = {}
    taken: Counter[tuple[str, str, str]] = Counter()
    kept = []
    for p in sorted(ranked, key=lambda p: hashlib.sha256(p.item.encode()).digest()):
        mine = seen.setdefault((p.split, p.role), set())
        if (p.item in mine or len(mine) < items) and taken[p.split, p.role, p.item] < each * (1 if p.item else items):
            mine.add(p.item)
            taken[p.split, p.role, p.item] += 1
            kept.append(p)
    return tuple(kept)
