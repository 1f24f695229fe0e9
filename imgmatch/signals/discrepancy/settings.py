"""Settings of the discrepancy signal."""

from __future__ import annotations

from dataclasses import dataclass

from imgmatch.config import require_at_least

__all__ = ["DiscrepancyConfig"]


@dataclass(frozen=True, slots=True)
class DiscrepancyConfig:
    """How parts that differ from the reference are judged.

    Parameters
    ----------
    candidates : int
        Likeliest items that a listing's photos are laid on.
    quiet, loud : float
        Strength of the strongest difference, in robust standard deviations of the overlap, where the value leaves 0 and
        where it is full.
    """

    candidates: int = 2
    quiet: float = 8.0
    loud: float = 32.0

    def __post_init__(self) -> None:
        require_at_least(1, candidates=self.candidates)
        require_at_least(0, quiet=self.quiet)
        require_at_least(self.quiet, loud=self.loud)
