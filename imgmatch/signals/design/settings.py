"""Settings of the design signal."""

from __future__ import annotations

from dataclasses import dataclass

from imgmatch.config import require_at_least

__all__ = ["DesignConfig"]


@dataclass(frozen=True, slots=True)
class DesignConfig:
    """How items of the same design are found and normalised.

    Parameters
    ----------
    neighbors : int
        Nearest catalog photos that are looked at per listing photo.
    candidates : int
        Items proposed per listing.
    local_weight : float
        How much the part-by-part comparison counts beside the score, in catalogs without a learnt metric whose held-out
        photos do not say that it ranks worse; chosen on the dev half by ``python -m benchmarks retrieval``. 0 leaves it out.
    """

    neighbors: int = 50
    candidates: int = 10
    local_weight: float = 8.0

    def __post_init__(self) -> None:
        require_at_least(1, neighbors=self.neighbors, candidates=self.candidates)
        require_at_least(0, local_weight=self.local_weight)
