"""Settings of the text signal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imgmatch.config import EFFORTS, Effort

__all__ = ["TextConfig"]


@dataclass(frozen=True, slots=True)
class TextConfig:
    """How the text in photos and the listing's own text are read.

    Parameters
    ----------
    effort : Effort
        At what size text is looked for in a photo; set for all signals at once.
    lexicon : Path or None
        A lexicon of replica wording; None for the one that ships (``imgmatch/market/lexicon.toml``).
    """

    effort: Effort = EFFORTS["full"]
    lexicon: Path | None = None
