"""How high strangers score: photos of what a catalog does not have, known from its own photos and from other catalogs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgmatch.types import FloatArray

__all__ = ["FALSE_CLAIMS", "KINDS", "PRIORS", "UNKNOWN", "WEIGHTS", "Prior", "share", "share_below"]

FALSE_CLAIMS = 0.01
"""Share of photos of brands that a catalog does not have that may be claimed: what is asked of the product, not tuned."""

WEIGHTS = (0.0, 0.5)
"""How much may be taken off a photo's scores of what it is near to anyway, see :func:`imgmatch.catalog.held_out.outside`;
which, a catalog's own photos say: nothing for bags, a half for most catalogs of 20 watches a brand. Over 20 draws of the
open parts of ``python -m benchmarks claims`` 0.72 and 0.15 are claimed rightly there, with a half for all 0.44 and 0.16,
with nothing for all 0.73 and 0.11. With 1 instead of a half bags lose (0.67 instead of 0.84 at equal claims, f1b99b2)."""

KINDS = 3
"""Brands that it takes to know a stranger by: of two each is all that the other knows, and background photos of anything say
little. In the open parts of ``python -m benchmarks claims`` two brands of bags would claim 5 in 100 of the third at 5 photos
a brand, 15 at 20; one brand of watches, with 10 everyday photos beside it, would claim 44 to 53 in 100 of the six others."""


class Prior(NamedTuple):
    """How much the scores of strangers vary in a catalog, before any of its photos is seen.

    Parameters
    ----------
    deviation : float
        In radians.
    photos : float
        How many photos of the catalog that is worth.
    """

    deviation: float
    photos: float


UNKNOWN = Prior(0.0, 0.0)

PRIORS: Mapping[tuple[str, float], Prior] = {
    ("65ef0db94a3ec297", 0.0): Prior(0.082, 8.2),
    ("65ef0db94a3ec297", 0.5): Prior(0.037, 5.9),
}
"""By the id of an embedding space, here that of mobilenet-v2, and the weight: ``python -m benchmarks.strangers``, on the dev
units of six sets of real photos; without any one of them the deviations are 0.078 to 0.092 and 0.035 to 0.042."""


def share(foreign: FloatArray, kinds: int, scores: npt.ArrayLike, prior: Prior = UNKNOWN) -> npt.NDArray[np.float64]:
    """Return the share of strangers that are expected to score as high.

    Parameters
    ----------
    foreign : ndarray, shape (n,)
        Scores of a catalog's photos with their own group taken out of it.
    kinds : int
        How many groups the catalog has.
    scores : array_like, shape (m,)
    prior : Prior

    Returns
    -------
    ndarray, shape (m,), float64
        1 where there are less than three photos, or less than `KINDS`.

    Notes
    -----
    In angles, since cosines crowd below 1: their deviation is nearly the same in catalogs of all goods, their mean is not.
    """
    if kinds < KINDS:
        return np.ones(np.shape(scores))
    return share_below(_angles(foreign), _angles(scores), kinds, prior)


def share_below(
    values: npt.NDArray[np.floating[Any]], limits: npt.ArrayLike, kinds: int | None = None, prior: Prior = UNKNOWN
) -> npt.NDArray[np.float64]:
    """Return the share of a normal population, of which some values were seen, that is at or below each limit.

    Parameters
    ----------
    values : ndarray, shape (n,)
    limits : array_like, shape (m,)
    kinds : int, optional
        How many values are independent; all, if left out. Photos of one brand are near to the same photos of others.
    prior : Prior

    Notes
    -----
    Student's t distribution for one more draw (Hahn 1969, *Factors for calculating two-sided prediction intervals*, JASA 64:
    mean + t s sqrt(1 + 1/n)): the fewer values there are, the farther from them a limit must be. The variance is pooled
    with the prior's, as with a scaled inverse chi-squared prior (Gelman et al. 2013, *Bayesian Data Analysis*, section 2.6).
    """
    from scipy.special import stdtr

    n = len(values)
    if n < 3:
        return np.ones(np.shape(limits))
    mean, degrees = float(values.mean()), n - 1 + prior.photos
    variance = (float(((values - mean) ** 2).sum()) + prior.photos * prior.deviation**2) / degrees
    deviation = max(variance**0.5, 1e-6) * (1 + 1 / (kinds or n)) ** 0.5
    found: npt.NDArray[np.float64] = stdtr(degrees, (np.asarray(limits, np.float64) - mean) / deviation)
    return found


def _angles(cosines: npt.ArrayLike) -> npt.NDArray[np.float64]:
    angles: npt.NDArray[np.float64] = np.arccos(np.clip(np.asarray(cosines, np.float64), -1.0, 1.0))
    return angles
