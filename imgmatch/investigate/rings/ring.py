"""A ring as it is written and read: its sellers, what they share, and the evidence of every tie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from imgmatch.errors import InputError
from imgmatch.types.checked import checked

__all__ = ["Ring", "RingEdge", "RingSeller", "Shared"]


@dataclass(frozen=True, slots=True)
class RingSeller:
    """A seller on one platform.

    Parameters
    ----------
    platform, seller_id : str
    listings : int
    first_seen, last_seen : str or None
        ISO 8601, UTC: the earliest and latest time that its listings name.
    """

    platform: str
    seller_id: str
    listings: int
    first_seen: str | None
    last_seen: str | None


@dataclass(frozen=True, slots=True)
class Shared:
    """A photo or contact that several sellers of a ring use.

    Parameters
    ----------
    key : str
        sha256 of the photo that stands for its copies, the keyed hash of a contact, or ``background-`` or ``watermark-`` and
        the sha256 of a photo that shows it.
    kind : str
        ``photo``, ``contact``, ``background`` (different things in the same place) or ``watermark``.
    weight : float
        In [0, 1] for photos, up to `RingSettings.contact_weight` for contacts: the fewer sellers anywhere use it, the more.
    users : int
        Sellers anywhere that use it.
    uses : tuple of (seller, listing_id, sha256, path)
        Where in this ring: position in `Ring.sellers`, listing, file; one use per listing. Contacts have no file.
    how : str
        ``same file``, ``same contact``, ``near hash``, or the weakest look that joined the copies: ``geometry 0.83``.
    """

    key: str
    kind: str
    weight: float
    users: int
    uses: tuple[tuple[int, str, str, str], ...]
    how: str


@dataclass(frozen=True, slots=True)
class RingEdge:
    """A tie of two sellers.

    Parameters
    ----------
    a, b : int
        Positions in `Ring.sellers`, a < b.
    weight : float
    evidence : tuple of str
        Keys of `Ring.shared`.
    """

    a: int
    b: int
    weight: float
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ring:
    """Sellers tied to one another.

    Parameters
    ----------
    ring_id : str
        Of its earliest seller, so that it survives growth.
    sellers : tuple of RingSeller
        Earliest first.
    platforms : tuple of str
    listings : tuple of (platform, seller_id, listing_id)
    brands : mapping of str to int
        Listings by the brand they present themselves as.
    value : mapping of str to float
        Asking prices by currency, one unit per listing. Nothing is converted without the user's own rates.
    unpriced : int
        Listings without a readable price.
    first_seen, last_seen : str or None
    edges : tuple of RingEdge
    shared : tuple of Shared
        What ties them, strongest first.
    weakest_link : float
        Weight of the weakest edge that is needed to hold the ring together.
    density : float
        Tied pairs as a share of all pairs, in (0, 1].
    supersedes : tuple of str
        Ids of earlier rings that became part of this one.
    """

    ring_id: str
    sellers: tuple[RingSeller, ...]
    platforms: tuple[str, ...]
    listings: tuple[tuple[str, str, str], ...]
    brands: Mapping[str, int]
    value: Mapping[str, float]
    unpriced: int
    first_seen: str | None
    last_seen: str | None
    edges: tuple[RingEdge, ...]
    shared: tuple[Shared, ...]
    weakest_link: float
    density: float
    supersedes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``rings.jsonl`` holds on one line."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Ring:
        """Make a ring of a JSON object.

        Raises
        ------
        InputError
            Where the row is not a ring.
        """
        try:
            ring = cls(
                **{
                    **row,
                    "sellers": tuple(checked(RingSeller(**s)) for s in row["sellers"]),
                    "platforms": tuple(row["platforms"]),
                    "listings": tuple((p, s, i) for p, s, i in row["listings"]),
                    "edges": tuple(checked(RingEdge(**{**e, "evidence": tuple(e["evidence"])})) for e in row["edges"]),
                    "shared": tuple(
                        checked(Shared(**{**s, "uses": tuple((n, i, f, p) for n, i, f, p in s["uses"])}))
                        for s in row["shared"]
                    ),
                    "supersedes": tuple(row["supersedes"]),
                }
            )
            checked(ring)._check_ties()
            return ring
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a ring: {error}") from error

    def _check_ties(self) -> None:
        """Raise where what ties the sellers names others than those."""
        known, keys = range(len(self.sellers)), {s.key for s in self.shared}
        if len(known) < 2 or not {s.platform for s in self.sellers} <= set(self.platforms):
            raise ValueError("sellers: expected two or more, on its platforms")
        if not self.edges or not all(e.a in known and e.b in known and e.a < e.b and e.weight > 0 for e in self.edges):
            raise ValueError("edges: expected ties of its sellers with weights over 0")
        if not all(n in known for s in self.shared for n, *_ in s.uses) or not keys.issuperset(
            key for e in self.edges for key in e.evidence
        ):
            raise ValueError("shared: expected what its ties name, used by its sellers")
