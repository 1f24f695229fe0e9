"""imgmatch: find listings that pass off fake luxury goods, and defend every flag.

Nothing heavy happens at import: each name is loaded when it is first used. ``__init__.pyi`` beside this file gives type
checkers and editors the real types.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.7.0"

_EXPORTS = {
    "Basis": "imgmatch.types",
    "Brand": "imgmatch.catalog",
    "Candidate": "imgmatch.types",
    "Catalog": "imgmatch.catalog",
    "Config": "imgmatch.config",
    "Decision": "imgmatch.types",
    "Finding": "imgmatch.types",
    "ImgmatchError": "imgmatch.errors",
    "Item": "imgmatch.catalog",
    "Label": "imgmatch.types",
    "Listing": "imgmatch.records",
    "Matcher": "imgmatch.matcher",
    "Results": "imgmatch.results",
    "ScanRecord": "imgmatch.records",
    "Signal": "imgmatch.signals",
    "Verdict": "imgmatch.types",
    "default_signals": "imgmatch.signals",
    "load_encoder": "imgmatch.encoders",
    "load_image": "imgmatch.images",
    "run_scan": "imgmatch.scan",
    "sample": "imgmatch.world.sample",
    "scan_listings": "imgmatch.scan",
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
