"""What a signal is: one question about a listing, asked of a batch.

A signal of your own is a class that inherits from :class:`Signal`, names itself and answers `examine`; give it to
``Matcher(catalog, signals=[*default_signals(), Mine()])`` and check it with :func:`imgmatch.testing.check_signal`. One that
needs the catalog takes it as the first argument of its constructor, and the class itself is passed: ``signals=[Mine]``.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from imgmatch.loading.photo import Query
from imgmatch.types import Candidate, Finding

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["Signal", "SignalSource", "fingerprint_of"]


@runtime_checkable
class Signal(Protocol):
    """One question. Thread-safe; the same query gives the same findings alone and in any batch.

    Attributes
    ----------
    name : str
        Of the signal, for example ``copy``; unique in a matcher.
    dense : bool
        Whether it asks most listing photos for their :meth:`~imgmatch.loading.photo.PhotoContext.cells`: then the forward
        pass that embeds them gives them too.

    Notes
    -----
    Signals do not import one another. Constructors are cheap; indexes and models are made when first used, or by
    :meth:`warm_up`.
    """

    name: str

    @property
    def dense(self) -> bool:
        return False

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

    def propose(self, queries: Sequence[Query]) -> list[list[Candidate]]:
        """Name the catalog items each query may show; by default none.

        Parameters
        ----------
        queries : sequence of Query
            With empty `candidates`.

        Returns
        -------
        list of list of Candidate
            One list per query, in order, best first.
        """
        return [[] for _ in queries]

    def warm_up(self) -> None:
        """Build or load now what the first query would wait for; by default nothing."""

    def fingerprint(self) -> str:
        """Return a short hash of all that the findings rest on beside the catalog and imgmatch's own code.

        By default the signal's `config`, where it has one, and the source of its module. Override to add data files
        (their content) and engines (their version), see :func:`fingerprint_of`.
        """
        return fingerprint_of(self)


SignalSource = Signal | Callable[["Catalog"], Signal]
"""A signal, or what makes one of a catalog."""


def fingerprint_of(signal: Signal, *, files: Sequence[Path] = (), packages: Sequence[str] = ()) -> str:
    """Hash what a signal rests on.

    Parameters
    ----------
    signal : Signal
        Its `config` is hashed where it has one (a dataclass), and the source of its module unless that is imgmatch's, which
        the matcher hashes as a whole.
    files : sequence of Path
        Data files, by content.
    packages : sequence of str
        Distributions, by version; one that is not installed counts as absent.

    Returns
    -------
    str
        16 hex digits.
    """
    config = getattr(signal, "config", None)
    digest = hashlib.sha256(signal.name.encode())
    digest.update(json.dumps(asdict(config) if is_dataclass(config) else None, sort_keys=True, default=str).encode())  # type: ignore[arg-type]
    cls: Any = type(signal)
    if not cls.__module__.startswith("imgmatch."):
        try:
            digest.update(Path(inspect.getfile(cls)).read_bytes())
        except (OSError, TypeError):  # defined in a console
            digest.update(repr(cls).encode())
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for name in packages:
        try:
            digest.update(f"{name} {metadata.version(name)}".encode())
        except metadata.PackageNotFoundError:
            digest.update(f"{name} absent".encode())
    return digest.hexdigest()[:16]
