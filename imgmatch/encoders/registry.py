"""The models that imgmatch knows by name, read from ``weights/registry.toml``."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same library under its older name
    import tomli as tomllib

__all__ = ["KnownModel", "known_models"]


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One model of the registry; the head of ``weights/registry.toml`` explains the fields."""

    name: str
    runtime: str
    architecture: str
    licence: str
    licence_url: str
    free: bool
    dim: int
    input: int
    good_for: str
    megabytes: int
    pretrained: str = ""
    hub: str = ""
    url: str = ""
    sha256: str = ""
    package: str = ""
    tensors: str = ""
    verified: bool = False

    @property
    def source(self) -> str:
        """Where the published weights are."""
        return f"https://huggingface.co/{self.hub}" if self.hub else self.url


@functools.cache
def known_models() -> Mapping[str, KnownModel]:
    """Return the registry: name → :class:`KnownModel`, in the order of the file."""
    table = tomllib.loads((resources.files("imgmatch.weights") / "registry.toml").read_text(encoding="utf-8"))
    return MappingProxyType({name: KnownModel(name=name, **row) for name, row in table.items()})
