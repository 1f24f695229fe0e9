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
    background_photos : int
        Size of the sample of catalog photos that similarities are normalised with.
    background_nearest : int
        How many of the sample's photos nearest to the query, outside the candidate's brand, are averaged.
    background_weight : float
        How much of that average is taken off the similarity; 0 leaves the plain cosine.
    shrinkage : float
        Of the metric learnt from the catalog, see :class:`imgmatch.catalog.metric.Metric`; chosen on the dev half by
        ``python -m benchmarks.retrieval``.
    local_weight : float
        How much the part-by-part comparison counts beside the score, in catalogs with too few photos per item or brand
        for a metric; chosen on the dev half by ``python -m benchmarks.retrieval``. 0 leaves it out and saves a forward
        pass per near photo.
    """

    neighbors: int = 50
    candidates: int = 10
    background_photos: int = 2048
    background_nearest: int = 10
    background_weight: float = 1.0
    shrinkage: float = 0.3
    local_weight: float = 8.0

    def __post_init__(self) -> None:
        require_at_least(1, neighbors=self.neighbors, candidates=self.candidates, background_photos=self.background_photos)
        require_at_least(1, background_nearest=self.background_nearest)
        require_at_least(
            0, background_weight=self.background_weight, shrinkage=self.shrinkage, local_weight=self.local_weight
        )
