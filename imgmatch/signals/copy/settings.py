"""Settings of the copy signal."""

from __future__ import annotations

from dataclasses import dataclass

from imgmatch.config import require_at_least

__all__ = ["CopyConfig"]


@dataclass(frozen=True, slots=True)
class CopyConfig:
    """How copies of catalog photos are found.

    Parameters
    ----------
    proposals : int
        Catalog photos per listing photo that are verified by geometry and pixels: what the time goes into.
    votes : float
        Least weight of shared details that proposes a catalog photo: each counts the less, the more photos have it. On the
        dev half of ``benchmarks/copies.py`` 5 halves the proposals for photos that are no copies and loses two of
        192 copies, small pictures in pictures.
    hash_distance : int
        Largest Hamming distance of two PDQ hashes that proposes one; PDQ's authors call 31 of 256 a match.
    """

    proposals: int = 5
    votes: float = 5.0
    hash_distance: int = 40

    def __post_init__(self) -> None:
        require_at_least(1, proposals=self.proposals)
        require_at_least(0, votes=self.votes, hash_distance=self.hash_distance)
