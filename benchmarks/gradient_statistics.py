"""Make ``imgmatch/vision/marks/gradients.npz``: what cells of gradients are like in everyday photos.

    python -m benchmarks.gradient_statistics

Mean, and covariance of two cells by the offset between them, over the open part of the shared distractors (every second
photo, every third size). Nothing of a photo can be seen in them: two numbers for each pair of directions and each offset.
"""

from __future__ import annotations

import numpy as np

from benchmarks.frame.data import load
from imgmatch.images import load_image
from imgmatch.loading.photo import PhotoContext
from imgmatch.vision.marks.gradients import BINS, LONG, levels
from imgmatch.vision.marks.shape import STATISTICS


def main() -> None:
    paths = [p.path for p in load("distractors").photos if p.split != "locked"][::2]
    maps = [cells for p in paths for _, cells in levels(PhotoContext(p.name, load_image(p)))[::3]]
    mean = np.concatenate([m.reshape(-1, BINS) for m in maps]).mean(axis=0)
    maps = [m - mean for m in maps]
    covariance = np.zeros((LONG, 2 * LONG - 1, BINS, BINS))
    for dy in range(LONG):
        for dx in range(1 - LONG, LONG):
            total, count = np.zeros((BINS, BINS)), 0
            for m in maps:
                height, width = m.shape[:2]
                if height > dy and width > abs(dx):
                    here = m[: height - dy, max(0, -dx) : width - max(0, dx)].reshape(-1, BINS)
                    there = m[dy:, max(0, dx) : width - max(0, -dx)].reshape(-1, BINS)
                    total += here.T @ there
                    count += len(here)
            covariance[dy, dx + LONG - 1] = total / count
    np.savez_compressed(STATISTICS, mean=mean.astype(np.float32), covariance=covariance.astype(np.float16))
    print(f"{len(paths)} photos, {len(maps)} maps, {STATISTICS.stat().st_size} bytes at {STATISTICS}")


if __name__ == "__main__":
    main()
