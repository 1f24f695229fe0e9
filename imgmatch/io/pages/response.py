"""What archives of web pages hold: responses."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MOST_BYTES", "Captured"]

MOST_BYTES = 64 * 2**20
"""Of one page or photo, as `images.max_bytes`."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One response: where it came from, when, what it says it is, and its bytes.

    Parameters
    ----------
    url, time : str
        As the archive has them; the time is ISO 8601.
    kind : str
        The media type, without parameters.
    data : bytes
    content_type : str
        The media type as it was sent.
    """

    url: str
    time: str
    kind: str
    data: bytes
    content_type: str = ""
