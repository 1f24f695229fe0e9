"""Fit `PRIORS` of ``imgmatch/catalog/strangers.py``: how much the scores of strangers vary, in catalogs of any goods.

    python -m benchmarks.strangers [ENCODER]

Catalogs of 2, 5 and 20 photos a brand (an article, where a set has one brand) are drawn from the dev units of the sets of
real photos, and every photo is scored against the catalog without its group. If the variances of catalogs follow a scaled
inverse chi-squared distribution, those of samples over its scale follow Fisher's F; both numbers are the likeliest, each set
counting once. Printed are the fit and, for each set, the fit without it.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.stats import f as fisher

from benchmarks.claims import GOODS
from benchmarks.frame.data import Photo, load
from benchmarks.frame.job import ENCODER, Job
from imgmatch.catalog.held_out import Sample, foreign
from imgmatch.catalog.strangers import WEIGHTS, Prior

SETS = ("eval_bags_watches", "seller_reposts", *GOODS)
SIZES, DRAWS = (2, 5, 20), 8
Spread = tuple[int, float]  # degrees of freedom, and variance in square radians


def main(encoder: str = ENCODER) -> None:
    found = {name: list(spreads(name, encoder)) for name in SETS}
    for number, weight in enumerate(WEIGHTS):
        of = {name: [both[number] for both in rows] for name, rows in found.items()}
        print(f"weight {weight}: {fit(list(of.values()))}")
        for name in SETS:
            print(f"    without {name}: {fit([rows for other, rows in of.items() if other != name])}")


def spreads(name: str, encoder: str) -> Iterator[list[Spread]]:
    """Yield, for each catalog drawn from a set, how its photos' foreign scores spread by each weight."""
    job = Job("strangers", load(name), encoder)
    photos = [p for p in job.data.photos if p.split == "dev" and p.item and p.role != "distractor"]
    vectors = dict(zip(photos, job.embed(photos), strict=True))
    groups: dict[str, list[Photo]] = defaultdict(list)
    for p in photos:
        groups[p.brand if len({p.brand for p in photos}) > 1 else p.item].append(p)
    for size in SIZES:
        for seed in range(DRAWS):
            draw = random.Random(seed)
            chosen = {group: draw.sample(of, min(size, len(of))) for group, of in groups.items()}
            drawn = sorted((group, p.item, p.path, p) for group, of in chosen.items() for p in of)
            sample = Sample(
                np.stack([vectors[p] for *_, p in drawn]), np.array([r[1] for r in drawn]), np.array([r[0] for r in drawn])
            )
            angles = [np.arccos(np.clip(foreign(sample, weight), -1, 1)) for weight in WEIGHTS]
            yield [(len(a) - 1, float(a.var(ddof=1))) for a in angles]


def fit(sets: Sequence[Sequence[Spread]]) -> Prior:
    """Return the likeliest prior of the variances of catalogs."""
    weights = np.concatenate([np.full(len(rows), 1 / len(rows)) for rows in sets])
    degrees, variances = np.array([row for rows in sets for row in rows]).T

    def cost(logs: np.ndarray) -> float:
        scale, photos = np.exp(logs)
        return -float(weights @ (fisher.logpdf(variances / scale, degrees, photos) - logs[0]))

    scale, photos = np.exp(minimize(cost, np.log([np.median(variances), 10.0]), method="Nelder-Mead").x)
    return Prior(round(float(scale**0.5), 3), round(float(photos), 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
