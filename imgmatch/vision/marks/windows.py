"""Where in a photo may a mark be, by the encoder's own eyes: windows of a dense feature map, ranked in one pass.

No detector is trained on brands. The photo is seen as overlapping squares in one batch; every window of their cells is held
against every mark, minus what it is like to other marks and to the photo at large; the best windows become proposals for
verification on pixels (:meth:`imgmatch.vision.marks.index.MarkIndex.find`) or, for marks too plain for that, by embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imgmatch.encoders.base import Encoder
from imgmatch.loading.photo import PhotoContext
from imgmatch.types import Box, FloatArray, Image
from imgmatch.vision.marks.reference import MarkReference
from imgmatch.vision.marks.views import views

__all__ = ["Window", "WindowIndex", "cut"]

_SQUARES = ((0.0, 0.0), (0.4, 0.0), (0.0, 0.4), (0.4, 0.4))
"""Corners of the squares that a photo is seen as, and (below) their side: shares of the photo's width and height."""
_SIDE = 0.6
_SIZES = (0.3, 0.45, 0.7, 1.0)
"""Sides of the windows, as shares of a square."""


@dataclass(frozen=True, slots=True)
class Window:
    """A place in a photo that looks like a mark.

    Parameters
    ----------
    reference : int
        Position of the mark among the index's references.
    box : Box
        In original pixels.
    score : float
        Cosine of the window and the mark beyond the best other brand's, in [-2, 2].
    """

    reference: int
    box: Box
    score: float


class WindowIndex:
    """The marks of a catalog as an encoder's cells.

    Parameters
    ----------
    references : sequence of MarkReference
    encoder : Encoder
    """

    def __init__(self, references: Sequence[MarkReference], encoder: Encoder) -> None:
        self._encoder = encoder
        self._brands = np.array([r.brand for r in references], np.str_)
        # Print, reversed print and gilt: a mark of either polarity has a row of its own.
        pictures = [view for reference in references for view in views(reference)[:3]]
        _, cells = encoder.encode_dense(pictures)
        pooled = cells.reshape(len(pictures), -1, cells.shape[-1]).mean(axis=1)
        self._centre = pooled.mean(axis=0)
        self._rows = _unit(pooled - self._centre).reshape(len(references), 3, -1)

    def rank(self, photo: PhotoContext, most: int) -> list[Window]:
        """Return the windows likest to a mark, best first, at most one per mark and place.

        Parameters
        ----------
        photo : PhotoContext
        most : int
        """
        image = photo.image
        width, height = image.width, image.height
        places = [Box(x * width, y * height, (x + _SIDE) * width, (y + _SIDE) * height) for x, y in _SQUARES]
        _, maps = self._encoder.encode_dense([cut(image, place, side=self._encoder.input_size) for place in places])
        pooled, boxes = _pooled(maps, places)
        # What the photo shows everywhere says nothing about a window of it.
        likeness = np.einsum("nc,rpc->nrp", _unit(pooled - pooled.mean(axis=0)), self._rows).max(axis=2)
        apart = likeness - _best_other(likeness, self._brands)
        found: list[Window] = []
        for flat in np.argsort(-apart, axis=None)[: 50 * most]:
            row, reference = divmod(int(flat), apart.shape[1])
            box = boxes[row]
            if all(w.reference != reference or _overlap(w.box, box) < 0.3 for w in found):
                found.append(Window(reference, box, float(apart[row, reference])))
            if len(found) == most:
                break
        return found


def cut(image: Image, box: Box, side: int) -> Image:
    """Return a part of a photo as a square picture of `side` pixels, squeezed where the part is none."""
    import cv2

    scale = image.scale
    x0, y0 = max(int(box.x0 / scale), 0), max(int(box.y0 / scale), 0)
    x1, y1 = max(round(box.x1 / scale), x0 + 2), max(round(box.y1 / scale), y0 + 2)
    part = image.pixels[y0:y1, x0:x1]
    shrink = side < min(part.shape[:2])
    pixels = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return Image(np.ascontiguousarray(pixels), image.sha256, image.source, side, side, "RAW")


def _pooled(maps: FloatArray, places: Sequence[Box]) -> tuple[FloatArray, list[Box]]:
    """Return the mean cell of every window at every size, by integral images, and where the windows lie."""
    _, height, width, channels = maps.shape
    sums = np.zeros((len(maps), height + 1, width + 1, channels), np.float32)
    sums[:, 1:, 1:] = maps.cumsum(axis=1).cumsum(axis=2)
    rows: list[FloatArray] = []
    boxes: list[Box] = []
    for size in _SIZES:
        h, w = max(round(size * height), 1), max(round(size * width), 1)
        for y in range(0, height - h + 1, max(h // 2, 1)):
            for x in range(0, width - w + 1, max(w // 2, 1)):
                total = sums[:, y + h, x + w] - sums[:, y, x + w] - sums[:, y + h, x] + sums[:, y, x]
                rows.append(total / (h * w))
                for p in places:
                    pw, ph = (p.x1 - p.x0) / width, (p.y1 - p.y0) / height
                    boxes.append(Box(p.x0 + x * pw, p.y0 + y * ph, p.x0 + (x + w) * pw, p.y0 + (y + h) * ph))
    return np.concatenate(rows), boxes


def _best_other(likeness: FloatArray, brands: np.ndarray) -> FloatArray:
    """Return per window and mark the likeness of the best mark of another brand; 0 where there is none."""
    out = np.zeros_like(likeness)
    for brand in np.unique(brands):
        mine = brands == brand
        if not mine.all():
            out[:, mine] = np.maximum(likeness[:, ~mine].max(axis=1), 0.0)[:, None]
    return out


def _overlap(a: Box, b: Box) -> float:
    """Return intersection over union."""
    width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a.x1 - a.x0) * (a.y1 - a.y0) + (b.x1 - b.x0) * (b.y1 - b.y0) - shared)


def _unit(rows: FloatArray) -> FloatArray:
    unit: FloatArray = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return unit
