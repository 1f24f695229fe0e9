"""A decoded photo and boxes in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Box", "Image", "UInt8Array"]

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box, half-open: ``x0 <= x < x1``.

    Parameters
    ----------
    x0, y0, x1, y1 : float
        Corners in original pixels.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not (self.x1 > self.x0 and self.y1 > self.y0):
            raise ValueError(f"expected x0 < x1 and y0 < y1, got {self}")

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        return self.width * self.height

    def polygon(self) -> list[list[float]]:
        """Return the four corners clockwise from the top left, as evidence wants them."""
        return [[self.x0, self.y0], [self.x1, self.y0], [self.x1, self.y1], [self.x0, self.y1]]

    def iou(self, other: Box) -> float:
        """Return intersection over union, in [0, 1]."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        inter = max(width, 0.0) * max(height, 0.0)
        return float(inter / (self.area + other.area - inter))


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A decoded photo.

    Parameters
    ----------
    pixels : ndarray, shape (H, W, 3), uint8
        Upright sRGB. May be smaller than the original: see `scale`. Read-only.
    sha256 : str
        Hex digest of the bytes the photo was decoded from; of the pixels for arrays and PIL images.
    source : str
        Where it came from, for messages: a path, or ``<bytes>``, ``<array>``.
    width, height : int
        Size of the original upright photo in pixels.
    format : str
        ``JPEG``, ``PNG``, … or ``RAW`` for arrays.
    """

    pixels: UInt8Array
    sha256: str
    source: str
    width: int
    height: int
    format: str

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"expected pixels (H, W, 3) uint8, got {self.pixels.shape} {self.pixels.dtype}")
        self.pixels.setflags(write=False)

    @property
    def scale(self) -> float:
        """Original pixels per decoded pixel, >= 1 up to rounding (1 unless decoded at reduced size)."""
        return float(self.width / self.pixels.shape[1])
