"""Settings of the logo signal."""

from __future__ import annotations

from dataclasses import dataclass

from imgmatch.config import EFFORTS, Effort

__all__ = ["LogoConfig"]


@dataclass(frozen=True, slots=True)
class LogoConfig:
    """How marks are looked for.

    Parameters
    ----------
    effort : Effort
        At what size local features are found in a photo; set for all signals at once.
    """

    effort: Effort = EFFORTS["full"]
