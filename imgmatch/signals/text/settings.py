"""Settings of the text signal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imgmatch.config import require_at_least

__all__ = ["TextConfig"]


@dataclass(frozen=True, slots=True)
class TextConfig:
    """How the text in photos and the listing's own text are read.

    Parameters
    ----------
    side : int
        Longer side in pixels at which text is looked for in a photo; by default what PP-OCR's detector is set to.
    lexicon : Path or None
        A lexicon of replica wording; None for the one that ships (``imgmatch/market/lexicon.toml``).
    """

    side: int = 736
    lexicon: Path | None = None

    def __post_init__(self) -> None:
        require_at_least(64, side=self.side)
