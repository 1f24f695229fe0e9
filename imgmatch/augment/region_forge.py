"""Controlled edits of a box of any photo, real ones too, each with the mask of what changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from imgmatch.augment.changes import Changed, Photo, check_photo, differs, sign
from imgmatch.types import Box

__all__ = ["REGION_FORGERIES", "forge_region"]

_DRAWS = 6  # an edit that changed nothing is drawn again so often


def forge_region(name: str, image: Photo, box: Box, rng: np.random.Generator, strength: float = 0.5) -> Changed:
    """Alter what lies in a box of any photo, real ones too, and say which pixels changed.

    Parameters
    ----------
    name : str
        One of :data:`REGION_FORGERIES`.
    image : ndarray, shape (H, W, 3), uint8
    box : Box
        A logo, a clasp, a digit …, in pixels of `image`; at least 8 pixels a side inside the photo.
    rng : numpy.random.Generator
    strength : float
        In [0, 1]; ``mirror`` and ``erase`` reach farther with it, the others change more.

    Returns
    -------
    Changed
        Its homography is the identity, its mask True where a pixel differs by `imgmatch.augment.changes.VISIBLE` or more.

    Raises
    ------
    ValueError
        For an unknown name, another kind of photo, a box that is too small, or one whose edit cannot be seen: a plain
        surface turned or mirrored is what it was.
    """
    if name not in REGION_FORGERIES:
        raise ValueError(f"expected one of {', '.join(REGION_FORGERIES)}, got {name!r}")
    check_photo(image, strength)
    h, w = image.shape[:2]
    x0, y0, x1, y1 = max(0, round(box.x0)), max(0, round(box.y0)), min(w, round(box.x1)), min(h, round(box.y1))
    if x1 - x0 < 8 or y1 - y0 < 8:
        raise ValueError(f"expected a box of at least 8 by 8 pixels inside the photo, got {box} in {w} x {h}")
    for _ in range(_DRAWS):
        out = REGION_FORGERIES[name](image, (x0, y0, x1, y1), rng, strength)
        mask = differs(image, out)
        if mask.any():
            return Changed(name, strength, out, np.eye(3), mask)
    raise ValueError(f"{name!r} changes nothing visible in {box}: there is nothing to alter there, choose another box")


_Cut = tuple[int, int, int, int]


def _filled(image: Photo, box: _Cut, share: float = 1.0) -> Photo:
    """Paint a box over with what surrounds it; `share` of its sides, from the middle."""
    x0, y0, x1, y1 = box
    dx, dy = round((x1 - x0) * (1 - share) / 2), round((y1 - y0) * (1 - share) / 2)
    margin = 12
    h, w = image.shape[:2]
    a, b, c, d = max(0, x0 - margin), max(0, y0 - margin), min(w, x1 + margin), min(h, y1 + margin)
    part = np.ascontiguousarray(image[b:d, a:c])
    hole = np.zeros(part.shape[:2], np.uint8)
    hole[y0 + dy - b : y1 - dy - b, x0 + dx - a : x1 - dx - a] = 255
    out: Photo = image.copy()
    out[b:d, a:c] = cv2.inpaint(part, hole, 4, cv2.INPAINT_TELEA)
    return out


def _feather(h: int, w: int) -> npt.NDArray[np.float32]:
    mask = np.zeros((h, w), np.float32)
    t = max(1, min(h, w) // 10)
    mask[t : h - t, t : w - t] = 1
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), t / 2 + 0.3), np.float32)[..., None]


def _blend(image: Photo, piece: Photo, x: int, y: int) -> Photo:
    """Lay a piece over a photo with soft edges, its top left at (x, y); what falls outside is cut off."""
    h, w = piece.shape[:2]
    soft = _feather(h, w)
    x0, y0, x1, y1 = max(0, x), max(0, y), min(image.shape[1], x + w), min(image.shape[0], y + h)
    out: Photo = image.copy()
    if x1 <= x0 or y1 <= y0:
        return out
    a = soft[y0 - y : y1 - y, x0 - x : x1 - x]
    out[y0:y1, x0:x1] = np.asarray(out[y0:y1, x0:x1] * (1 - a) + piece[y0 - y : y1 - y, x0 - x : x1 - x] * a + 0.5, np.uint8)
    return out


def _move_region(image: Photo, box: _Cut, rng: np.random.Generator, strength: float) -> Photo:
    x0, y0, x1, y1 = box
    far = 0.12 + 0.6 * strength
    dx, dy = round((x1 - x0) * far * sign(rng)), round((y1 - y0) * 0.5 * far * sign(rng))
    return _blend(_filled(image, box), np.asarray(image[y0:y1, x0:x1]), x0 + (dx or 1), y0 + dy)


def _resize_region(image: Photo, box: _Cut, rng: np.random.Generator, strength: float, sideways: bool = False) -> Photo:
    x0, y0, x1, y1 = box
    k = float(np.exp(sign(rng) * (0.12 + 0.35 * strength)))
    size = (max(4, round((x1 - x0) * k)), y1 - y0 if sideways else max(4, round((y1 - y0) * k)))
    piece = np.asarray(
        cv2.resize(image[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA if k < 1 else cv2.INTER_CUBIC), np.uint8
    )
    below = _filled(image, box) if k < 1 else image
    return _blend(below, piece, (x0 + x1 - size[0]) // 2, (y0 + y1 - size[1]) // 2)


def _mirror_region(image: Photo, box: _Cut, rng: np.random.Generator, strength: float) -> Photo:
    x0, y0, x1, y1 = box
    cut = round((x1 - x0) * 0.2 * (1 - strength))
    return _blend(image, image[y0:y1, x0 + cut : x1 - cut][:, ::-1], x0 + cut, y0)


def _recolour_region(image: Photo, box: _Cut, rng: np.random.Generator, strength: float) -> Photo:
    x0, y0, x1, y1 = box
    lab = cv2.cvtColor(image[y0:y1, x0:x1], cv2.COLOR_RGB2LAB).astype(np.float32)
    angle, size = rng.uniform(0, 2 * np.pi), 12 + 36 * strength
    lab[..., 0] += sign(rng) * size * 0.5
    lab[..., 1] += size * np.cos(angle)
    lab[..., 2] += size * np.sin(angle)
    return _blend(
        image, np.asarray(cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB), np.uint8), x0, y0
    )


def _turn_region(image: Photo, box: _Cut, rng: np.random.Generator, strength: float) -> Photo:
    x0, y0, x1, y1 = box
    w, h = x1 - x0, y1 - y0
    turn = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), sign(rng) * (5 + 20 * strength), 1.0)
    piece = cv2.warpAffine(image[y0:y1, x0:x1], turn, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return _blend(image, np.asarray(piece, np.uint8), x0, y0)


def _erase_region(image: Photo, box: _Cut, rng: np.random.Generator, strength: float) -> Photo:
    return _filled(image, box, 0.4 + 0.6 * strength)


REGION_FORGERIES: dict[str, Callable[[Photo, _Cut, np.random.Generator, float], Photo]] = {
    "move": _move_region,
    "resize": _resize_region,
    "stretch": partial(_resize_region, sideways=True),
    "mirror": _mirror_region,
    "turn": _turn_region,
    "recolour": _recolour_region,
    "erase": _erase_region,
}
"""Edits of a region of any photo by name; `forge_region` calls them."""
