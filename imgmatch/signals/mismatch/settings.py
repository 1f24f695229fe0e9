"""Settings of the mismatch signal."""

from __future__ import annotations

from dataclasses import dataclass

from imgmatch.config import require_at_least

__all__ = ["MismatchConfig"]


@dataclass(frozen=True, slots=True)
class MismatchConfig:
    """How a promo is compared with the listing it leads to.

    Parameters
    ----------
    neighbors : int
        Nearest catalog photos that are looked at per region of a photo.
    """

    neighbors: int = 50

    def __post_init__(self) -> None:
        require_at_least(1, neighbors=self.neighbors)
