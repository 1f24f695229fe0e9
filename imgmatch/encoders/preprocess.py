"""From a decoded photo to the uint8 square a model sees, with a canonical text that names every choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image

from imgmatch.types import Image, UInt8Array

__all__ = ["Preprocess"]

_FILTERS = {"bilinear": PIL.Image.Resampling.BILINEAR, "bicubic": PIL.Image.Resampling.BICUBIC}

_LONGEST = 4  # sides to one: of a longer photo the middle is cut out before it is resized
_MARGIN = (
    8  # pixels around it; bicubic reaches 2 when it enlarges, and a strip's short side is seldom reduced by more than 4
)


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How a photo is fitted into a square, and how its values are scaled.

    Parameters
    ----------
    size : int
        Side of the square in pixels.
    fit : str
        ``crop``: the short side is resized to `short_side` and the middle kept; ``pad``: the long side is resized to
        `size` and the rest filled; ``squash``: the aspect ratio is given up.
    interpolation : str
        ``bilinear`` or ``bicubic``, both with antialiasing as Pillow does it.
    mean, std : tuple of float
        Per channel, for values in [0, 1].
    short_side : int
        Only for ``crop``; 0 means `size`.
    fill : int
        Only for ``pad``: grey level of the bars, in [0, 255].
    """

    size: int
    fit: str
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    short_side: int = 0
    fill: int = 0

    def __post_init__(self) -> None:
        if self.fit not in ("crop", "pad", "squash"):
            raise ValueError(f"fit: expected crop, pad or squash, got {self.fit!r}")
        if self.interpolation not in _FILTERS:
            raise ValueError(f"interpolation: expected {' or '.join(_FILTERS)}, got {self.interpolation!r}")

    @property
    def text(self) -> str:
        """The canonical text that becomes part of the identity of an embedding space."""
        how = {
            "crop": f"short side {self.short_side or self.size}, centre crop",
            "pad": f"pad {self.fill}",
            "squash": "squash",
        }
        scale = " ".join(f"{v:.6g}" for v in (*self.mean, *self.std))
        return f"upright sRGB uint8; {self.interpolation} antialiased; {how[self.fit]} {self.size}; mean std {scale}"

    def __call__(self, pixels: UInt8Array) -> UInt8Array:
        """Fit one photo.

        Parameters
        ----------
        pixels : ndarray, shape (H, W, 3), uint8

        Returns
        -------
        ndarray, shape (size, size, 3), uint8

        Notes
        -----
        Pillow releases the GIL while it resizes, so threads feed a model well.
        """
        photo = PIL.Image.fromarray(pixels)
        new_w, new_h, left, top = self._fitted(*photo.size)
        if self.fit == "crop" and max(photo.size) > _LONGEST * min(photo.size):
            return self._middle(photo)
        resized = np.asarray(photo.resize((new_w, new_h), _FILTERS[self.interpolation]))
        if self.fit == "pad":
            out = np.full((self.size, self.size, 3), self.fill, np.uint8)
            out[-top : -top + new_h, -left : -left + new_w] = resized
            return out
        return np.ascontiguousarray(resized[top : top + self.size, left : left + self.size])

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return where the square lies in a photo of that size: (x0, y0, x1, y1) in its pixels; outside where padded.

        Cell coordinates of :meth:`imgmatch.encoders.base.Encoder.features` go back to the photo through this box.
        """
        new_w, new_h, left, top = self._fitted(width, height)
        scale_x, scale_y = width / new_w, height / new_h
        return left * scale_x, top * scale_y, (left + self.size) * scale_x, (top + self.size) * scale_y

    def _middle(self, photo: PIL.Image.Image) -> UInt8Array:
        """Fit a long strip from its middle alone, to the same values within rounding: work is bounded by the square."""
        x0, y0, x1, y1 = self.box(*photo.size)
        near = max(int(x0) - _MARGIN, 0), max(int(y0) - _MARGIN, 0)
        far = min(int(x1) + 1 + _MARGIN, photo.width), min(int(y1) + 1 + _MARGIN, photo.height)
        # The filter needs what lies around the box as well; Pillow is given little more than that.
        box = x0 - near[0], y0 - near[1], x1 - near[0], y1 - near[1]
        return np.asarray(photo.crop((*near, *far)).resize((self.size, self.size), _FILTERS[self.interpolation], box))

    def _fitted(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the size of the resized photo and the corner of the square in it, as torchvision and open_clip round."""
        if self.fit == "squash":
            return self.size, self.size, 0, 0
        if self.fit == "crop":
            short = self.short_side or self.size
            new_w = short if width <= height else int(short * width / height)
            new_h = short if height <= width else int(short * height / width)
            return new_w, new_h, round((new_w - self.size) / 2), round((new_h - self.size) / 2)
        scale = self.size / max(width, height)
        new_w, new_h = max(1, round(width * scale)), max(1, round(height * scale))
        return new_w, new_h, -((self.size - new_w) // 2), -((self.size - new_h) // 2)

    def batch(self, photos: Sequence[Image | UInt8Array]) -> list[UInt8Array]:
        """Fit the photos of a batch that are not fitted yet.

        Raises
        ------
        ValueError
            Where an array is not what fitting gives.
        """
        fitted = [self(photo.pixels) if isinstance(photo, Image) else photo for photo in photos]
        expected = (self.size, self.size, 3)
        for photo in fitted:
            if photo.shape != expected or photo.dtype != np.uint8:
                raise ValueError(f"expected {expected} uint8 as prepare() makes it, got {photo.shape} {photo.dtype}")
        return fitted
