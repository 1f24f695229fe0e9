"""imgmatch: find listings that pass off fake luxury goods, and defend every flag.

Nothing heavy happens at import: each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "Catalog": "imgmatch.catalog",
    "Config": "imgmatch.config",
    "Finding": "imgmatch.types",
    "ImgmatchError": "imgmatch.errors",
    "Listing": "imgmatch.records",
    "Matcher": "imgmatch.matcher",
    "ScanRecord": "imgmatch.records",
    "Verdict": "imgmatch.types",
    "load_encoder": "imgmatch.encoders",
    "load_image": "imgmatch.images",
    "scan": "imgmatch.scan",
}

__all__ = sorted([*_EXPORTS, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'imgmatch' has no attribute {name!r}")
    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
