"""How honest and dishonest offers overlap in an invented market, and what they ask: every rate, each a guess.

Nobody publishes these rates for listings. That part of the trade is sold as genuine, at genuine prices, and part openly is
what OECD and EUIPO call the primary and the secondary market ("Trends in Trade in Counterfeit and Pirated Goods", 2019); how
large either is on a platform we do not know. The rates are chosen so that no single fact separates the two sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["BAD", "HONEST", "PRICE_LAWS", "Manner", "asked"]


@dataclass(frozen=True, slots=True)
class Manner:
    """How one side of the market behaves: shares of its offers, each in [0, 1].

    Parameters
    ----------
    bargain, cheap : float
        Ask clearly less than usual; ask what only a replica costs. The rest ask what is usual.
    new : float
        Are said to be new, where the kind of offer does not settle it.
    reachable : float
        Sellers who can be reached outside the platform.
    hints : float
        Are described with words that an honest seller would seldom use.
    silent : float
        Have no description at all.
    """

    bargain: float
    cheap: float
    new: float
    reachable: float
    hints: float
    silent: float


HONEST = Manner(bargain=0.1, cheap=0.02, new=0.2, reachable=0.15, hints=0.06, silent=0.15)
BAD = Manner(bargain=0.3, cheap=0.3, new=0.45, reachable=0.35, hints=0.3, silent=0.2)

_Law = Callable[[np.random.Generator], float]

PRICE_LAWS: Mapping[str, Mapping[str, _Law]] = {
    "fit": {
        "usual": lambda rng: float(np.exp(rng.normal(-0.03, 0.2))),
        "bargain": lambda rng: float(rng.uniform(0.35, 0.75)),
        "cheap": lambda rng: float(rng.uniform(0.08, 0.45)),
    },
    "test": {
        "usual": lambda rng: float(rng.triangular(0.55, 0.9, 1.35)),
        "bargain": lambda rng: float(rng.beta(4, 4)),
        "cheap": lambda rng: float(np.clip(np.exp(rng.normal(-1.3, 0.5)), 0.03, 0.8)),
    },
}
"""Share of the usual price, by market and by what is asked. Those of the test market are of other shapes."""


def asked(rng: np.random.Generator, manner: Manner, market: str) -> tuple[str, float]:
    """Return what a seller asks: ``usual``, ``bargain`` or ``cheap``, and as which share of the usual price."""
    dice = rng.random()
    how = "cheap" if dice < manner.cheap else "bargain" if dice < manner.cheap + manner.bargain else "usual"
    return how, PRICE_LAWS[market][how](rng)
