"""What a signal is: one question about a listing, asked of a batch.

Signals do not import one another. Each is constructed as ``Signal(catalog, config)``: the catalog to hold photos against
and its own frozen settings (a dataclass in :mod:`imgmatch.config`). Constructors are cheap; models load when first used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from imgmatch.loading.photo import Query
from imgmatch.types import Candidate, Finding

__all__ = ["Signal"]


@runtime_checkable
class Signal(Protocol):
    """One question. Thread-safe; the same query gives the same findings alone and in any batch.

    Attributes
    ----------
    name : str
        Registry name, for example ``copy``.

    Notes
    -----
    A signal that asks most listing photos for their cells says so by an attribute or property `dense`, true: then the
    forward pass that embeds them gives them too, as ``photo.once("cells", …)``, see
    :class:`imgmatch.signals.design.local.CloserLook`.
    """

    name: str

    def propose(self, queries: Sequence[Query]) -> list[list[Candidate]]:
        """Name the catalog items each query may show.

        Parameters
        ----------
        queries : sequence of Query
            With empty `candidates`.

        Returns
        -------
        list of list of Candidate
            One list per query, in order, best first; empty where this signal has nothing to propose.
        """
        ...

    def examine(self, queries: Sequence[Query]) -> list[list[Finding]]:
        """Examine each query against its candidates.

        Parameters
        ----------
        queries : sequence of Query
            With `candidates` filled in: the union of all proposals, best first.

        Returns
        -------
        list of list of Finding
            One list per query, in order. At least one finding per query: a signal that cannot tell abstains and says why.

        Notes
        -----
        May raise; the matcher then asks query by query, so that only the row that breaks gets a failed finding.
        """
        ...
