"""rings.html: the graph of each ring, the photos its sellers share, who shows them where."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgmatch.errors import ImgmatchError, InputError
from imgmatch.images import thumbnail_jpeg
from imgmatch.investigate.report import words
from imgmatch.investigate.report.pages import environment
from imgmatch.investigate.report.pictures import data_uri
from imgmatch.investigate.rings import Ring
from imgmatch.investigate.rings.market import OpenPhoto
from imgmatch.investigate.rings.ring import RingSeller, Shared
from imgmatch.io.files import atomic_write

__all__ = ["RingShown", "layout", "read_rings", "show_rings", "write_rings"]

_WIDTH, _EDGE = 560.0, 56.0
_PHOTOS_SHOWN = 24
_SELLERS_SHOWN = 40
_EDGES_SHOWN = 400
_THUMBNAIL = 150
_HUES = 6
_HOW_WORDS = {"geometry": "an edited or cropped copy", "near": "nearly the same file"}
_SHARED_WORDS = {"photo": "", "background": "different things in one place", "watermark": "the same watermark"}


@dataclass(frozen=True, slots=True)
class Node:
    """A seller in the drawing."""

    number: int
    x: float
    y: float
    radius: float
    hue: int
    name: str


@dataclass(frozen=True, slots=True)
class Line:
    """A tie in the drawing; `width` grows with its weight."""

    x1: float
    y1: float
    x2: float
    y2: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class PhotoShown:
    """A shared photo, place or watermark: a picture of it, if it can be opened, and who shows it."""

    what: str
    uri: str | None
    sellers: str
    uses: int
    how: str
    weight: float


@dataclass(frozen=True, slots=True)
class SellerShown:
    """A row of the table of sellers; `number` and `hue` are those of its circle."""

    number: int
    hue: int
    name: str
    platform: str
    listings: int
    first_seen: str
    last_seen: str


@dataclass(frozen=True, slots=True)
class RingShown:
    """A ring as a page shows it."""

    ring: Ring
    width: float
    height: float
    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]
    sellers: tuple[SellerShown, ...]
    more_sellers: int
    platforms: tuple[tuple[str, int], ...]
    value: str
    facts: tuple[tuple[str, str], ...]
    photos: tuple[PhotoShown, ...]
    more_photos: int
    contacts: tuple[str, ...]


def write_rings(rings: Sequence[Ring], out: Path, *, open_photo: OpenPhoto | None = None) -> None:
    """Write ``rings.jsonl`` (a row per ring) and ``rings.html`` into a folder.

    Parameters
    ----------
    rings : sequence of Ring
    out : Path
        An existing folder.
    open_photo : callable, optional
        ``open_photo(sha256, path)``; without it the page names the shared photos and does not show them.
    """
    with atomic_write(out / "rings.jsonl") as f:
        f.writelines(json.dumps(ring.to_dict(), sort_keys=True) + "\n" for ring in rings)
    template = environment().get_template("rings.html")
    with atomic_write(out / "rings.html") as f:
        f.writelines(template.stream(rings=show_rings(rings, open_photo), total=len(rings)))


def read_rings(path: Path) -> list[Ring]:
    """Read a ``rings.jsonl``.

    Raises
    ------
    InputError
        Naming the line that is no ring.
    """
    rings = []
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            try:
                rings.append(Ring.from_dict(json.loads(line)))
            except ValueError as error:
                raise InputError(str(error), source=f"{path}:{number}") from error
    return rings


def show_rings(rings: Sequence[Ring], open_photo: OpenPhoto | None = None) -> Iterator[RingShown]:
    """Yield what a page shows of each ring, one at a time."""
    hues = {name: n for n, name in enumerate(sorted({p for ring in rings for p in ring.platforms}))}
    for ring in rings:
        yield _show(ring, hues, open_photo)


def _show(ring: Ring, hues: dict[str, int], open_photo: OpenPhoto | None) -> RingShown:
    places = layout(ring)
    names = [words.plain(s.seller_id, 40) for s in ring.sellers]
    nodes = tuple(
        Node(n + 1, *places[n], 11 + min(s.listings, 400) ** 0.5 / 2, hues[s.platform] % _HUES, names[n])
        for n, s in enumerate(ring.sellers)
    )
    heaviest = max(e.weight for e in ring.edges)
    edges = sorted(ring.edges, key=lambda e: -e.weight)[:_EDGES_SHOWN]
    lines = tuple(
        Line(
            *places[e.a],
            *places[e.b],
            1 + 4 * e.weight / heaviest,
            f"{names[e.a]} and {names[e.b]}: {len(e.evidence)} shared, weight {e.weight:.1f}",
        )
        for e in edges
    )
    photos = sorted((s for s in ring.shared if s.kind in _SHARED_WORDS), key=lambda s: list(_SHARED_WORDS).index(s.kind))
    contacts = [s for s in ring.shared if s.kind == "contact"]
    per_platform = {p: sum(s.listings for s in ring.sellers if s.platform == p) for p in ring.platforms}
    value = " + ".join(f"{words.plain(code, 20)} {amount:,.0f}" for code, amount in ring.value.items())
    brands = sorted(ring.brands.items(), key=lambda pair: (-pair[1], pair[0]))[:8]
    facts = (
        ("first seen", _day(ring.first_seen)),
        ("last seen", _day(ring.last_seen)),
        ("presents itself as", ", ".join(f"{words.plain(b, 40)} ({n})" for b, n in brands)),
        (
            "ties",
            "every seller is tied to every other" if ring.density >= 1 else f"{ring.density:.0%} of the pairs are tied",
        ),
        ("weakest tie", f"weight {ring.weakest_link:.1f}, where 2.0 makes a tie"),
        ("earlier rings merged into it", ", ".join(words.plain(r, 40) for r in ring.supersedes)),
    )
    return RingShown(
        ring=ring,
        width=_WIDTH,
        height=_height(ring),
        nodes=nodes,
        lines=lines,
        sellers=tuple(
            _seller(n, seller, names[n], hues[seller.platform]) for n, seller in enumerate(ring.sellers[:_SELLERS_SHOWN])
        ),
        more_sellers=max(len(ring.sellers) - _SELLERS_SHOWN, 0),
        platforms=tuple((words.plain(p, 40) or "no platform named", n) for p, n in per_platform.items()),
        value=value or "no readable price",
        facts=tuple((name, text) for name, text in facts if text),
        photos=tuple(_photo(shared, open_photo) for shared in photos[:_PHOTOS_SHOWN]),
        more_photos=max(len(photos) - _PHOTOS_SHOWN, 0),
        contacts=tuple(f"contact {s.key[:8]}… used by sellers {_numbers(s)}" for s in contacts),
    )


def _seller(number: int, seller: RingSeller, name: str, hue: int) -> SellerShown:
    return SellerShown(
        number=number + 1,
        hue=hue % _HUES,
        name=name,
        platform=words.plain(seller.platform, 40) or "—",
        listings=seller.listings,
        first_seen=_day(seller.first_seen),
        last_seen=_day(seller.last_seen),
    )


def _photo(shared: Shared, open_photo: OpenPhoto | None) -> PhotoShown:
    return PhotoShown(
        _SHARED_WORDS[shared.kind],
        _thumbnail(shared.uses, open_photo),
        _numbers(shared),
        len(shared.uses),
        _how(shared.how),
        shared.weight,
    )


def _numbers(shared: Shared) -> str:
    """Return the numbers of the sellers who use something, as the drawing has them."""
    return ", ".join(str(n + 1) for n in sorted({use[0] for use in shared.uses}))


def _how(how: str) -> str:
    """Say how two uses of a photo were found to be the same."""
    return _HOW_WORDS.get(how.partition(" ")[0], how)


def layout(ring: Ring) -> list[tuple[float, float]]:
    """Place the sellers so that those with strong ties stand near one another.

    Returns
    -------
    list of (x, y)
        Per seller, inside the drawing. The same ring gets the same places.

    Notes
    -----
    Spring layout (Fruchterman & Reingold, Softw. Pract. Exp. 21(11), 1991) by networkx with a fixed seed, stretched to
    fill the drawing.
    """
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(range(len(ring.sellers)))
    graph.add_weighted_edges_from((e.a, e.b, e.weight**0.5) for e in ring.edges)
    places = nx.spring_layout(graph, seed=0, iterations=120, k=2.0 / len(ring.sellers) ** 0.5)
    xs, ys = [float(places[n][0]) for n in graph], [float(places[n][1]) for n in graph]
    x, y = _stretch(xs, _WIDTH), _stretch(ys, _height(ring))
    return list(zip(x, y, strict=True))


def _height(ring: Ring) -> float:
    """Two sellers need little room, forty much."""
    return min(130.0 + 42.0 * len(ring.sellers), 640.0)


def _stretch(values: list[float], size: float) -> list[float]:
    low, high = min(values), max(values)
    if high - low < 1e-9:
        return [size / 2] * len(values)
    return [round(_EDGE + (v - low) / (high - low) * (size - 2 * _EDGE), 1) for v in values]


def _thumbnail(uses: Sequence[tuple[int, str, str, str]], open_photo: OpenPhoto | None) -> str | None:
    if open_photo is None:
        return None
    for _, _, sha256, path in uses[:3]:
        try:
            photo = open_photo(sha256, path)
        except (ImgmatchError, OSError):
            continue
        if photo is not None:
            return data_uri(thumbnail_jpeg(photo.image, _THUMBNAIL))
    return None


def _day(time: str | None) -> str:
    return (time or "")[:10]
