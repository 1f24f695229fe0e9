"""What the network of marks says by itself, on the dev photos of ``benchmarks/marks_real.py`` (three minutes).

    python -m benchmarks.mark_network.alone

Either half of a brand's photos gives the references, boxes as they are, and the other half is asked, as are the open
distractors. Chance is learnt from those distractors, so the first numbers are kinder than use: how many photos have their
own brand first, and how many are named rightly and wrongly by scores above those of all photos of nothing, or of all but
three.
Then chance is learnt from 64 bags on white, as in a catalog of studio photos: how many pairs of a brand and a distractor
score above `ABOVE` by what was learnt alone, and with the floors that ship. ``imgmatch/vision/marks/learnt.py`` and
``network.py`` name what was tried; change a number there to try another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.frame.data import Photo, load
from imgmatch import load_image
from imgmatch.types import FloatArray
from imgmatch.vision.marks import LearntIndex, MarkReference, make_reference, network
from imgmatch.vision.marks.learnt import CHANCE_DEVIATION, CHANCE_MEAN, RESERVE

ABOVE, BAGS = 2.5, 64


def main() -> None:
    marks = load("logos_in_photos").photos
    halves = [p for p in marks if p.role == "catalog"], [p for p in marks if p.role == "query" and p.split != "locked"]
    nothing = [p for p in load("distractors").photos if p.split != "locked"]
    bags = [p for p in load("bags_three_brands").photos if p.split != "locked"][:BAGS]
    indexes = [LearntIndex(_references(half)) for half in halves]
    seen = [_likeness([*half, *nothing, *bags], indexes[1 - n]) for n, half in enumerate(halves)]
    for half, index, found in zip(halves, reversed(indexes), seen, strict=True):
        asked, others, white = np.split(found, [len(half), len(half) + len(nothing)])
        brands = np.array([r.brand for r in index.references])
        _named(
            _best(asked, _chance(others), brands), _best(others, _chance(others), brands), brands, [p.brand for p in half]
        )
        learnt = _chance(white)
        floored = np.maximum(learnt, [[CHANCE_MEAN], [CHANCE_DEVIATION]])
        high = [int((_best(others, chance, brands) > ABOVE).sum()) for chance in (learnt, floored)]
        pairs = len(others) * len(np.unique(brands))
        print(f"    chance learnt from bags on white: of {pairs} pairs {high[0]} above {ABOVE}, with the floors {high[1]}")


def _references(photos: Sequence[Photo]) -> list[MarkReference]:
    out = []
    for p in photos:
        for b in p.boxes:
            try:
                out.append(make_reference(p.brand, str(p.path), "figure", load_image(p.path), (b.x0, b.y0, b.x1, b.y1)))
            except ValueError:
                continue  # too small, as in a catalog
    return out


def _likeness(photos: Sequence[Photo], index: LearntIndex) -> FloatArray:
    """Return each mark's greatest likeness in each photo, shape (photos, marks)."""
    return np.array([index.likest(*network.windows(load_image(p.path).pixels))[0] for p in photos])


def _chance(likeness: FloatArray) -> FloatArray:
    return np.array([likeness.mean(axis=0), likeness.std(axis=0) + RESERVE])


def _best(likeness: FloatArray, chance: FloatArray, brands: np.ndarray[tuple[int], np.dtype[np.str_]]) -> FloatArray:
    """Return the best score of each brand, in the order of their names, shape (photos, brands)."""
    scores = (likeness - chance[0]) / chance[1]
    return np.stack([scores[:, brands == brand].max(axis=1) for brand in np.unique(brands)], axis=1)


def _named(
    asked: FloatArray, others: FloatArray, brands: np.ndarray[tuple[int], np.dtype[np.str_]], shown: Sequence[str]
) -> None:
    right, score = np.unique(brands)[asked.argmax(axis=1)] == np.array(shown), asked.max(axis=1)
    print(f"{len(shown)} photos: own brand first {right.sum()}")
    for false in (0, 3):
        named = score > np.sort(others.max(axis=1))[-1 - false]
        counts = f"{(named & right).sum()} right, {(named & ~right).sum()} wrong"
        print(f"    above all but {false} of {len(others)} photos of nothing: {counts}")


if __name__ == "__main__":
    main()
