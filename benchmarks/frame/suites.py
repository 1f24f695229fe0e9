"""What there is to ask: one module a suite, and its name here. A new suite makes no result of another one stale."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = ["SUITES", "suite"]

SUITES = (
    "retrieval", "claims", "brands", "copies", "marks_real", "words", "misspelt", "mismatch", "verdicts", "rings",
    "adversarial", "desk", "encoders", "index_scale", "throughput", "full_scan", "workers",
)  # fmt: skip


def suite(name: str) -> ModuleType:
    """Return the module of a suite."""
    if name not in SUITES:
        raise ValueError(f"no suite {name!r}; there are {', '.join(SUITES)}")
    return import_module(f"benchmarks.{name}")
