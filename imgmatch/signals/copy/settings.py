"""Settings of the copy signal."""

from __future__ import annotations

from dataclasses import dataclass

from imgmatch.config import EFFORTS, Effort, require_at_least

__all__ = ["CopyConfig"]


@dataclass(frozen=True, slots=True)
class CopyConfig:
    """How copies of catalog photos are found.

    Parameters
    ----------
    effort : Effort
        How many catalog photos are compared, and how closely; set for all signals at once. On the dev half of
        ``benchmarks/copies.py`` a least weight of 5 halves the proposals for photos that are no copies and loses two of
        192 copies, small pictures in pictures.
    hash_distance : int
        Largest Hamming distance of two PDQ hashes that proposes one; PDQ's authors call 31 of 256 a match.
    """

    effort: Effort = EFFORTS["full"]
    hash_distance: int = 40

    def __post_init__(self) -> None:
        require_at_least(0, hash_distance=self.hash_distance)
