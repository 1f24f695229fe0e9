"""What every change of a photo returns, and how changes follow one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["VISIBLE", "Change", "Changed", "Photo", "check_photo", "differs", "recompressed", "scaling", "sign", "then"]

Photo = npt.NDArray[np.uint8]
Homography = npt.NDArray[np.float64]

VISIBLE = 10
"""Least difference of a channel that counts as changed, in grey levels of 255: our choice, just above what is visible."""


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """A changed photo and where its source went.

    Parameters
    ----------
    name : str
        Of the change.
    strength : float
        In [0, 1].
    image : ndarray, shape (H, W, 3), uint8
    homography : ndarray, shape (3, 3), float64
        Maps pixel centres of the source, as (x, y, 1), to the changed photo. What maps outside was cut off.
    mask : ndarray of bool, shape (H, W)
        True where the changed photo shows something that is not the source: bars, borders, other photos, altered parts.
        A change of tone or sharpness over the whole photo marks nothing.
    """

    name: str
    strength: float
    image: Photo
    homography: Homography
    mask: npt.NDArray[np.bool_]

    def corners(self, width: int, height: int) -> npt.NDArray[np.float64]:
        """Return where the corners of a source of this size lie, clockwise from the top left, shape (4, 2)."""
        points = np.array([[[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]]])
        return np.asarray(cv2.perspectiveTransform(points, self.homography)[0], np.float64)


Change = Callable[[Photo, np.random.Generator, float], Changed]
"""``(photo, rng, strength in [0, 1]) -> Changed``."""


def check_photo(image: Photo, strength: float) -> None:
    """Raise ValueError unless this is an (H, W, 3) uint8 photo, 16 pixels a side or more, and `strength` is in [0, 1]."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape[:2]) < 16:
        raise ValueError(f"expected (H, W, 3) uint8 with sides of at least 16 pixels, got {image.shape} {image.dtype}")
    if not 0 <= strength <= 1:
        raise ValueError(f"expected strength in [0, 1], got {strength}")


def then(first: Changed, change: Change, rng: np.random.Generator, strength: float) -> Changed:
    """Apply one more change and keep track of where the first source lies and what was added."""
    second = change(first.image, rng, strength)
    h, w = second.image.shape[:2]
    carried = cv2.warpPerspective(first.mask.astype(np.uint8) * 255, second.homography, (w, h), flags=cv2.INTER_LINEAR) > 127
    return Changed(
        f"{first.name}+{second.name}",
        max(first.strength, strength),
        second.image,
        second.homography @ first.homography,
        carried | second.mask,
    )


def scaling(sx: float, sy: float, dx: float = 0.0, dy: float = 0.0) -> Homography:
    """Return the map of pixel centres under a resize by (sx, sy) whose top left corner goes to pixel (dx, dy)."""
    return np.array([[sx, 0, (sx - 1) / 2 + dx], [0, sy, (sy - 1) / 2 + dy], [0, 0, 1]])


def unmarked(image: Photo) -> npt.NDArray[np.bool_]:
    """Return a mask that marks nothing."""
    return np.zeros(image.shape[:2], bool)


def differs(a: Photo, b: Photo) -> npt.NDArray[np.bool_]:
    """Return where two photos of one size differ by :data:`VISIBLE` or more, closed over gaps of a few pixels."""
    apart = (cv2.absdiff(a, b).max(axis=2) >= VISIBLE).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(apart, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0)


def sign(rng: np.random.Generator) -> float:
    """Draw one way or the other."""
    return float(rng.choice([-1.0, 1.0]))


def recompressed(image: Photo, quality: int) -> Photo:
    """Return the photo after a round through JPEG."""
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
