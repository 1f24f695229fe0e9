"""Retrieval and detection metrics on plain arrays; ties are counted pessimistically. Imports numpy alone."""

from __future__ import annotations

import hashlib

__all__ = ["split_of"]


def split_of(product_id: str) -> str:
    """Return the half of the data that a product belongs to, ``dev`` or ``test``.

    The one committed split: settings are chosen on dev, figures are reported on test.

    Notes
    -----
    The first byte of the id's sha256, even or odd, so that the split needs no file and never changes.
    """
    return "test" if hashlib.sha256(product_id.encode()).digest()[0] % 2 else "dev"
