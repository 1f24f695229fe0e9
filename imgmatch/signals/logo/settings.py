"""Settings of the logo signal."""

from __future__ import annotations

from dataclasses import dataclass

from imgmatch.config import require_at_least

__all__ = ["LogoConfig"]


@dataclass(frozen=True, slots=True)
class LogoConfig:
    """How brands' marks are looked for in photos.

    Parameters
    ----------
    proposals : int
        Placements by keypoints, and as many by silhouette, that are verified per photo: more find more, and cost time.
    windows : int
        Where these find nothing, so many windows of the encoder's dense features are looked at as well; 0 for none. With
        mobilenet-v2 eight windows named no more marks than none (19 of 24 scenes of ``benchmarks/figures.py``, the right
        mark first in 3), at the price of four more forward passes; try it with an encoder that knows marks.
    """

    proposals: int = 6
    windows: int = 0

    def __post_init__(self) -> None:
        require_at_least(1, proposals=self.proposals)
        require_at_least(0, windows=self.windows)
