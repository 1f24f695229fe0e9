"""rings.html: the graph of each ring, the photos its sellers share, who shows them where."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgmatch.errors import ImgmatchError, InputError
from imgmatch.images import thumbnail_jpeg
from imgmatch.investigate.report import words
from imgmatch.investigate.report.pages import environment
from imgmatch.investigate.report.pictures import data_uri
from imgmatch.investigate.report.summary import listing_count
from imgmatch.investigate.rings import Ring
from imgmatch.investigate.rings.market import OpenPhoto
from imgmatch.investigate.rings.ring import RingSeller, Shared
from imgmatch.io.files import atomic_write
from imgmatch.messages import Message, Money, listed

__all__ = ["RingShown", "layout", "read_rings", "show_rings", "write_rings"]

_WIDTH, _EDGE = 560.0, 56.0
_PHOTOS_SHOWN = 24
_SELLERS_SHOWN = 40
_EDGES_SHOWN = 400
_THUMBNAIL = 150
_HUES = 6
_NAMED = 8  # sellers of a ring whose names fit beside their circles; ties of fewer than half as many are labelled too
_HOW_WORDS = {
    "geometry": Message("an edited or cropped copy"),
    "near": Message("nearly the same file"),
    "same": Message("the same file"),
}
_SHARED_WORDS = {
    "photo": "",
    "background": Message("different things in one place"),
    "watermark": Message("the same watermark"),
}


@dataclass(frozen=True, slots=True)
class Node:
    """A seller in the drawing."""

    number: int
    x: float
    y: float
    radius: float
    hue: int
    name: str
    label: str
    """The name where there is room for it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A tie in the drawing; `width` grows with its weight, and `weak` are those that the ring holds together without."""

    x1: float
    y1: float
    x2: float
    y2: float
    width: float
    title: Message
    label: Message | None
    weak: bool


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
    ties: int
    first_seen: str
    last_seen: str


@dataclass(frozen=True, slots=True)
class RingShown:
    """A ring as a page shows it."""

    ring: Ring
    heading: Message
    width: float
    height: float
    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]
    sellers: tuple[SellerShown, ...]
    more_sellers: int
    platforms: tuple[tuple[str, int, int], ...]
    """Name, hue and number of listings."""
    facts: tuple[tuple[Message, str], ...]
    photos: tuple[PhotoShown, ...]
    more_photos: int
    contacts: tuple[str, ...]


def write_rings(
    rings: Sequence[Ring],
    out: Path,
    *,
    open_photo: OpenPhoto | None = None,
    called: Mapping[str, str] | None = None,
    lang: str = "en",
) -> None:
    """Write ``rings.jsonl`` (a row per ring) and ``rings.html`` into a folder.

    Parameters
    ----------
    rings : sequence of Ring
    out : Path
        An existing folder.
    open_photo : callable, optional
        ``open_photo(sha256, path)``; without it the page names the shared photos and does not show them.
    called : mapping of str to str, optional
        What people call a brand, by its id.
    lang : str
        Language of the page, one of :func:`imgmatch.messages.languages`.
    """
    with atomic_write(out / "rings.jsonl") as f:
        f.writelines(json.dumps(ring.to_dict(), sort_keys=True) + "\n" for ring in rings)
    heading = Message("1 ring of sellers") if len(rings) == 1 else Message("{count:,} rings of sellers", count=len(rings))
    template = environment(lang).get_template("rings.html")
    with atomic_write(out / "rings.html") as f:
        f.writelines(template.stream(rings=show_rings(rings, open_photo, called), heading=heading))


def read_rings(path: Path) -> list[Ring]:
    """Read a ``rings.jsonl``.

    Raises
    ------
    InputError
        Naming the line that is no ring.
    """
    rings = []
    with open(path, "rb") as f:
        for number, line in enumerate(f, 1):
            try:
                rings.append(Ring.from_dict(json.loads(line.decode())))
            except (ValueError, RecursionError) as error:  # not UTF-8, brackets nested too deep
                raise InputError(str(error), source=f"{path}:{number}") from error
    return rings


def show_rings(
    rings: Sequence[Ring], open_photo: OpenPhoto | None = None, called: Mapping[str, str] | None = None
) -> Iterator[RingShown]:
    """Yield what a page shows of each ring, one at a time; `called` names brands by their ids."""
    hues = {name: n for n, name in enumerate(sorted({p for ring in rings for p in ring.platforms}))}
    for ring in rings:
        yield _show(ring, hues, open_photo, called or {})


def _show(ring: Ring, hues: dict[str, int], open_photo: OpenPhoto | None, called: Mapping[str, str]) -> RingShown:
    places = layout(ring)
    names = [words.plain(s.seller_id, 40) for s in ring.sellers]
    few = len(ring.sellers) <= _NAMED
    nodes = tuple(
        Node(
            n + 1,
            *places[n],
            radius=11 + min(s.listings, 400) ** 0.5 / 2,
            hue=hues[s.platform] % _HUES,
            name=names[n],
            label=words.plain(s.seller_id, 18) if few else "",
        )
        for n, s in enumerate(ring.sellers)
    )
    photos = sorted((s for s in ring.shared if s.kind in _SHARED_WORDS), key=lambda s: list(_SHARED_WORDS).index(s.kind))
    per_platform = {p: sum(s.listings for s in ring.sellers if s.platform == p) for p in ring.platforms}
    ties = Counter(end for edge in ring.edges for end in (edge.a, edge.b))
    return RingShown(
        ring=ring,
        heading=_heading(ring),
        width=_WIDTH,
        height=_height(ring),
        nodes=nodes,
        lines=tuple(_lines(ring, places, names)),
        sellers=tuple(
            _seller(n, seller, names[n], hues[seller.platform], ties[n])
            for n, seller in enumerate(ring.sellers[:_SELLERS_SHOWN])
        ),
        more_sellers=max(len(ring.sellers) - _SELLERS_SHOWN, 0),
        platforms=tuple(
            (words.plain(p, 40) or "—", hues[p] % _HUES, n)
            for p, n in sorted(per_platform.items(), key=lambda kv: (-kv[1], kv[0]))
        ),
        facts=tuple(_facts(ring, called)),
        photos=tuple(_photo(shared, open_photo) for shared in photos[:_PHOTOS_SHOWN]),
        more_photos=max(len(photos) - _PHOTOS_SHOWN, 0),
        contacts=tuple(
            Message("contact {key}… used by sellers {sellers}", key=s.key[:8], sellers=_numbers(s))
            for s in ring.shared
            if s.kind == "contact"
        ),
    )


def _heading(ring: Ring) -> Message:
    value = tuple(Money(amount, words.plain(code, 20)) for code, amount in ring.value.items())
    facts: tuple[Message | Money, ...] = (
        Message("{count:,} sellers", count=len(ring.sellers)),
        listing_count(len(ring.listings)),
        *value,
    )
    if ring.unpriced:
        facts += (Message("{count:,} without a price", count=ring.unpriced),)
    return listed(*facts)


def _facts(ring: Ring, called: Mapping[str, str]) -> Iterator[tuple[Message, str]]:
    brands = sorted(ring.brands.items(), key=lambda pair: (-pair[1], pair[0]))[:8]
    counted = tuple(Message("{name} ({count})", name=words.plain(called.get(b, b), 40), count=n) for b, n in brands)
    yield Message("first seen"), _day(ring.first_seen)
    yield Message("last seen"), _day(ring.last_seen)
    yield Message("presents itself as"), listed(*counted)
    if ring.density >= 1:
        yield Message("tied pairs"), Message("every seller is tied to every other")
    else:
        yield Message("tied pairs"), Message("{share:.0%} of all pairs", share=ring.density)
    yield Message("weakest tie"), Message("weight {weight:.1f}, where 2.0 makes a tie", weight=ring.weakest_link)
    yield Message("earlier rings merged into it"), ", ".join(words.plain(r, 40) for r in ring.supersedes)


def _lines(ring: Ring, places: Sequence[tuple[float, float]], names: Sequence[str]) -> Iterator[Line]:
    """Yield the strongest ties; those of the maximum spanning tree, which hold the ring together, are not weak."""
    import networkx as nx

    graph = nx.Graph()
    graph.add_weighted_edges_from((e.a, e.b, e.weight) for e in ring.edges)
    holding = {frozenset(pair) for pair in nx.maximum_spanning_edges(graph, data=False)}
    heaviest = max(e.weight for e in ring.edges)
    for e in sorted(ring.edges, key=lambda e: -e.weight)[:_EDGES_SHOWN]:
        title = Message(
            "{one} and {other}: {count} shared, weight {weight:.1f}",
            one=names[e.a],
            other=names[e.b],
            count=len(e.evidence),
            weight=e.weight,
        )
        label = Message("{count} shared", count=len(e.evidence)) if len(ring.sellers) <= _NAMED // 2 else None
        width = 1 + 4 * e.weight / heaviest
        yield Line(*places[e.a], *places[e.b], width, title, label, weak=frozenset((e.a, e.b)) not in holding)


def _seller(number: int, seller: RingSeller, name: str, hue: int, ties: int) -> SellerShown:
    return SellerShown(
        number=number + 1,
        hue=hue % _HUES,
        name=name,
        platform=words.plain(seller.platform, 40) or "—",
        listings=seller.listings,
        ties=ties,
        first_seen=_day(seller.first_seen),
        last_seen=_day(seller.last_seen),
    )


def _photo(shared: Shared, open_photo: OpenPhoto | None) -> PhotoShown:
    return PhotoShown(
        _SHARED_WORDS[shared.kind],
        _thumbnail(shared.uses, open_photo),
        Message("sellers {numbers}", numbers=_numbers(shared)),
        len(shared.uses),
        _how(shared.how),
        shared.weight,
    )


def _numbers(shared: Shared) -> tuple[str, ...]:
    """Return the numbers of the sellers who use something, as the drawing has them."""
    return tuple(str(n + 1) for n in sorted({use[0] for use in shared.uses}))


def _how(how: str) -> str:
    """Say how two uses of a photo were found to be the same."""
    return _HOW_WORDS.get(how.partition(" ")[0], words.term(how))


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
    x, y = _stretch(xs, _WIDTH), _stretch(ys if len(ys) > 2 else [0.0, 0.0], _height(ring))
    return list(zip(x, y, strict=True))


def _height(ring: Ring) -> float:
    """Two sellers need little room, forty much."""
    return min(90.0 + 42.0 * len(ring.sellers), 640.0)


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
