"""Rings: sellers who share what strangers do not share, the same photos and the same contacts.

A tie is not guilt: a seller whose photos others took is tied to them, and a reader must see the evidence of every edge.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from imgmatch.investigate.rings.market import Market, PhotoAccess, Token, asking_prices, listing_row
from imgmatch.investigate.rings.ring import Ring, RingEdge, RingSeller, Shared
from imgmatch.investigate.rings.state import State
from imgmatch.records import ScanRecord

__all__ = ["RingSettings", "find_rings"]


@dataclass(frozen=True, slots=True)
class RingSettings:
    """How much it takes to tie two sellers. Chosen on the dev seeds of ``benchmarks/rings.py``, reported on others.

    Parameters
    ----------
    common : int
        A photo or contact that this many sellers use says nothing.
    common_share : float
        The same as a share of all sellers, where that is fewer: what is common in a small market.
    common_least : int
        That share is never fewer sellers than this.
    contact_weight : float
        Weight of a contact that only two sellers use; a photo that only two use weighs 1.
    place_weight : float
        Weight of two listings photographed on one background, or with one watermark, that only two sellers use.
    place_repeats : int
        Most pairs of listings that one background or watermark counts for: so few that it needs four to tie.
    least_weight : float
        Two sellers are tied from this sum of weights on: one shared photo never suffices.
    least_share : float
        Shared photos tie only where they appear in at least this share of the smaller seller's listings, so that large
        sellers are not tied by their size. A shared contact needs no share.
    split : float
        A component falls into communities where their modularity is at least this: above about 0.3 the structure is real
        (Newman & Girvan, Phys. Rev. E 69, 026113, 2004), below it a dense ring would be cut in two.
    """

    common: int = 40
    common_share: float = 0.04
    common_least: int = 12
    contact_weight: float = 2.0
    place_weight: float = 0.5
    place_repeats: int = 6
    least_weight: float = 2.0
    least_share: float = 0.2
    split: float = 0.3


def find_rings(
    records: Iterable[ScanRecord],
    *,
    contact_key: bytes = b"",
    settings: RingSettings | None = None,
    photos: PhotoAccess | None = None,
    state: State | None = None,
    previous: Sequence[Ring] = (),
    rates: Mapping[str, float] | None = None,
    currency: str | None = None,
) -> list[Ring]:
    """Find the sellers who share photos and contacts that strangers do not share.

    Parameters
    ----------
    records : iterable of ScanRecord
        Of any number of scans, in any order; read once. A listing that comes again counts once, as last captured.
    contact_key : bytes
        Contacts are linked and published only as HMAC-SHA256 under this key; without a key they are not used.
    settings : RingSettings, optional
    photos : PhotoAccess, optional
        Lets photos be looked at: for pairs that hashes leave in doubt, crops, composites, shared places and watermarks.
    state : State, optional
        What earlier runs saw; `records` then need only hold what is new, and the result is that of one run over all. Made
        with the same `contact_key`.
    previous : sequence of Ring
        Of an earlier run: rings that have merged since are named in `Ring.supersedes`.
    rates : mapping of str to float, optional
        Value of one unit of each currency in one common unit; with `currency`, values are summed in it where the table can.

    Returns
    -------
    list of Ring
        Largest value of ``len(sellers)`` first, then by id. The same records in another order give the same rings.

    Notes
    -----
    A photo used by ``u`` sellers weighs ``log(common / u) / log(common / 2)``: an inverse document frequency (Spärck Jones,
    J. Doc. 28(1), 1972) that reaches 1 for two sellers and 0 at `common`. Photos that the scan found to be copies of the
    catalog's own, or to hold a part of one, weigh nothing; nor do copies of such photos. One listing counts once per pair
    of sellers, however many of its photos are shared, because photos travel by the listing. Communities: Louvain (Blondel
    et al., J. Stat. Mech. P10008, 2008) with a fixed seed.
    """
    settings = settings or RingSettings()
    state = state or State(contact_key=contact_key)
    state.keep(row for record in records if (row := listing_row(record, contact_key)) is not None)
    market = Market(contact_key)
    for row in state.listings():
        market.add_row(row)
    common = min(float(settings.common), max(float(settings.common_least), settings.common_share * len(market.keys)))
    weights = {
        "photo": 1.0,
        "contact": settings.contact_weight,
        "background": settings.place_weight,
        "watermark": settings.place_weight,
    }
    tokens = list(market.tokens(common, weights, photos or PhotoAccess(), state))
    ties = _ties(tokens, market, settings)
    rings = [
        _ring(members, market, tokens, ties, rates or {}, currency)
        for members in _communities(ties, market.order(), settings)
    ]
    superseded = [_with_history(ring, previous) for ring in rings]
    return sorted(superseded, key=lambda r: (-len(r.sellers), r.ring_id))


@dataclass(slots=True)
class _Tie:
    weight: float
    evidence: list[int]


def _ties(tokens: Sequence[Token], market: Market, settings: RingSettings) -> dict[tuple[int, int], _Tie]:
    """Sum what each pair of sellers shares, one listing once; keep the pairs that share enough."""
    shared: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, token in enumerate(tokens):
        for pair in combinations(sorted(token.uses), 2):
            shared[pair].append(number)
    ties = {}
    for (a, b), numbers in shared.items():
        total = 0.0
        contact = False
        spent: tuple[set[str], set[str]] = (set(), set())
        for number in sorted(numbers, key=lambda n: (-tokens[n].weight, tokens[n].key)):
            token = tokens[number]
            if token.kind == "contact":
                contact = True
                total += token.weight
                continue
            left = sorted(i for i in token.uses[a] if i not in spent[0])
            right = sorted(i for i in token.uses[b] if i not in spent[1])
            # One photo is one thing however often it is shown; a place says more the more listings were made there.
            count = min(len(left), len(right), 1 if token.kind == "photo" else settings.place_repeats)
            spent[0].update(left[:count])
            spent[1].update(right[:count])
            total += token.weight * count
        smaller = min(len(market.sellers[a].listings), len(market.sellers[b].listings))
        if total >= settings.least_weight and (contact or len(spent[0]) >= settings.least_share * smaller):
            ties[a, b] = _Tie(total, numbers)
    return ties


def _communities(ties: Mapping[tuple[int, int], _Tie], order: Sequence[int], settings: RingSettings) -> Iterator[list[int]]:
    """Yield the sellers of each ring, earliest first."""
    import networkx as nx

    # Sellers are numbered by age before the graph sees them, so that the order of the records cannot matter.
    rank = {seller: n for n, seller in enumerate(order)}
    graph = nx.Graph()
    for a, b, weight in sorted((min(rank[a], rank[b]), max(rank[a], rank[b]), tie.weight) for (a, b), tie in ties.items()):
        graph.add_edge(a, b, weight=weight)
    for component in sorted(map(sorted, nx.connected_components(graph))):
        parts: list[list[int]] = [component]
        if len(component) > 2:
            part = nx.Graph()
            part.add_nodes_from(component)
            part.add_weighted_edges_from(sorted(graph.subgraph(component).edges(data="weight")))
            split = nx.community.louvain_communities(part, seed=0)
            if nx.community.modularity(part, split) >= settings.split:
                parts = sorted(map(sorted, split))
        for members in parts:
            # A community need not hang together by its own edges (Traag, Waltman & van Eck, Sci. Rep. 9, 2019).
            for piece in sorted(map(sorted, nx.connected_components(graph.subgraph(members)))):
                if len(piece) > 1:
                    yield [order[n] for n in piece]


def _ring(
    members: list[int],
    market: Market,
    tokens: Sequence[Token],
    ties: Mapping[tuple[int, int], _Tie],
    rates: Mapping[str, float],
    currency: str | None,
) -> Ring:
    place = {seller: n for n, seller in enumerate(members)}
    inside = {pair: tie for pair, tie in ties.items() if pair[0] in place and pair[1] in place}
    edges = []
    used: set[int] = set()
    for (a, b), tie in inside.items():
        used.update(tie.evidence)
        left, right = sorted((place[a], place[b]))
        edges.append(RingEdge(left, right, round(tie.weight, 4), tuple(sorted(tokens[n].key for n in tie.evidence))))
    edges.sort(key=lambda e: (e.a, e.b))
    offers = [
        (*market.keys[s], listing_id, offer)
        for s in members
        for listing_id, offer in sorted(market.sellers[s].listings.items())
    ]
    value, unpriced = asking_prices((offer for *_, offer in offers), rates, currency)
    people = [market.sellers[s] for s in members]
    founder = hashlib.sha256(json.dumps(market.keys[members[0]]).encode()).hexdigest()[:12]
    return Ring(
        ring_id=f"ring-{founder}",
        sellers=tuple(
            RingSeller(*market.keys[s], len(market.sellers[s].listings), market.sellers[s].first, market.sellers[s].last)
            for s in members
        ),
        platforms=tuple(sorted({market.keys[s][0] for s in members})),
        listings=tuple((platform, seller, listing) for platform, seller, listing, _ in offers),
        brands=dict(sorted(Counter(offer.brand for *_, offer in offers if offer.brand).items())),
        value=value,
        unpriced=unpriced,
        first_seen=min((p.first for p in people if p.first), default=None),
        last_seen=max((p.last for p in people if p.last), default=None),
        edges=tuple(edges),
        shared=tuple(
            sorted(
                (_shared(tokens[n], place) for n in used),
                key=lambda s: (s.kind, -len({u[0] for u in s.uses}), -s.weight, s.key),
            )
        ),
        weakest_link=_weakest(edges, len(members)),
        density=round(2 * len(edges) / (len(members) * (len(members) - 1)), 4),
    )


def _shared(token: Token, place: Mapping[int, int]) -> Shared:
    uses = sorted(
        (place[seller], listing, *use)
        for seller, listings in token.uses.items()
        if seller in place
        for listing, use in listings.items()
    )
    return Shared(token.key, token.kind, round(token.weight, 4), len(token.uses), tuple(uses), token.how)


def _weakest(edges: Sequence[RingEdge], sellers: int) -> float:
    """Return the least weight in the maximum spanning tree (Kruskal, Proc. AMS 7, 1956)."""
    parent = list(range(sellers))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    least = math.inf
    for edge in sorted(edges, key=lambda e: -e.weight):
        a, b = root(edge.a), root(edge.b)
        if a != b:
            parent[a] = b
            least = min(least, edge.weight)
    return least


def _with_history(ring: Ring, previous: Sequence[Ring]) -> Ring:
    here = {(s.platform, s.seller_id) for s in ring.sellers}
    old: set[str] = set()
    for earlier in previous:
        founder = earlier.sellers[0]
        if earlier.ring_id == ring.ring_id or (founder.platform, founder.seller_id) in here:
            old.update((earlier.ring_id, *earlier.supersedes))
    return replace(ring, supersedes=tuple(sorted(old - {ring.ring_id})))
