"""The plainest way to find marks: SIFT, nearest neighbour over all references, RANSAC. Peer of `benchmarks.marks_real`.

Every feature of a photo votes for the box that holds its nearest feature, where the nearest of another brand is clearly
farther (Lowe's ratio, 0.8); a box is found where five votes agree on a similarity. Nothing of imgmatch is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

AGREEING, RATIO, TOLERANCE = 5, 0.8, 5.0


class SiftMarks:
    """References: (brand, photo, boxes) with boxes as (x0, y0, x1, y1) in pixels, an empty one for the whole photo."""

    def __init__(self, references: Iterable[tuple[str, Path, Sequence[tuple[float, ...]]]]) -> None:
        points, rows, owner, self.brands = [], [], [], []
        for brand, path, boxes in references:
            picture = cv2.imread(str(path))
            for x0, y0, x1, y1 in (box or (0, 0, picture.shape[1], picture.shape[0]) for box in boxes):
                part = picture[int(min(y0, y1)) : int(max(y0, y1)), int(min(x0, x1)) : int(max(x0, x1))]
                xy, described = _described(part)
                points.append(xy)
                rows.append(described)
                owner += [len(self.brands)] * len(xy)
                self.brands.append(brand)
        self.points, self.rows, self.owner = np.concatenate(points), np.concatenate(rows), np.array(owner)
        names, number = np.unique(self.brands, return_inverse=True)
        self.of = [np.flatnonzero(number[self.owner] == n) for n in range(len(names))]

    def agreeing(self, path: Path) -> dict[str, int]:
        """The most votes that agree, for each brand that has any."""
        xy, described = _described(cv2.imread(str(path)))
        if not len(xy):
            return {}
        similarity = described @ self.rows.T
        nearest = similarity.argmax(axis=1)
        best = np.sort(np.stack([similarity[:, rows].max(axis=1) for rows in self.of if len(rows)], axis=1), axis=1)
        clear = 2 - 2 * best[:, -1] < RATIO**2 * (2 - 2 * best[:, -2])
        found: dict[str, int] = {}
        for box in np.unique(self.owner[nearest[clear]]):
            votes = np.flatnonzero(clear & (self.owner[nearest] == box))
            if len(votes) < AGREEING:
                continue
            transform, agree = cv2.estimateAffinePartial2D(
                self.points[nearest[votes]], xy[votes], ransacReprojThreshold=TOLERANCE
            )
            if transform is not None:
                brand = self.brands[box]
                found[brand] = max(found.get(brand, 0), int(agree.sum()))
        return found


def _described(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.size else np.zeros((1, 1), np.uint8)
    found, described = cv2.SIFT_create().detectAndCompute(gray, None)
    if described is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    root = np.sqrt(described / np.maximum(described.sum(axis=1, keepdims=True), 1e-9))
    return np.array([k.pt for k in found], np.float32), root
