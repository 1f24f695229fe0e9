"""One frozen tree of settings, read from TOML, with a fingerprint that covers all that can change a verdict."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgmatch.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same library under its older name
    import tomli as tomllib

__all__ = [
    "EFFORTS",
    "Config",
    "ContactsConfig",
    "Effort",
    "FusionConfig",
    "ImageConfig",
    "ScanConfig",
    "ServiceConfig",
    "read_settings",
    "require_at_least",
]


@dataclass(frozen=True, slots=True)
class Effort:
    """How closely photos are looked at, which is what the time of a scan goes into.

    Parameters
    ----------
    reading : int
        Longer side in pixels at which text is looked for.
    keypoints : int
        Longer side in pixels at which the local features are found that marks and copies are recognised by.
    proposals : int
        Catalog photos per listing photo that are compared with it as copies.
    votes : float
        Least weight of shared details that proposes one: each counts the less, the more photos have it.
    """

    reading: int
    keypoints: int
    proposals: int
    votes: float


EFFORTS = {
    "fast": Effort(320, 450, proposals=3, votes=8.0),
    "full": Effort(736, 640, proposals=5, votes=5.0),
    "thorough": Effort(736, 640, proposals=20, votes=3.0),
}
"""What each costs and finds: docs/scaling.md. 736 is what PP-OCR's detector is set to."""


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """Limits for untrusted photos.

    Parameters
    ----------
    max_bytes : int
        Largest file in bytes.
    max_pixels : int
        Largest decoded picture in pixels; guards against decompression bombs. A 50-megapixel phone photo fits; the
        hungriest decoder (WebP) needs 15 bytes per pixel, 0.8 GB.
    max_side : int
        Largest width and height in pixels: the longest that a JPEG can hold, and no camera or shop makes a longer one.
        What a strip of any shape costs is bounded by its pixels; this bounds how many pieces it is read in.
    min_side : int
        Smallest width and height in pixels that can say anything.
    max_seconds : float
        Most CPU time to decode one photo.
    """

    max_bytes: int = 64 * 2**20
    max_pixels: int = 52_000_000
    max_side: int = 65_535
    min_side: int = 8
    max_seconds: float = 5.0

    def __post_init__(self) -> None:
        require_at_least(1, max_bytes=self.max_bytes, max_pixels=self.max_pixels, min_side=self.min_side)
        require_at_least(0, max_seconds=self.max_seconds)


@dataclass(frozen=True, slots=True)
class FusionConfig:
    """What turns findings into verdicts.

    Parameters
    ----------
    rules : str
        Path of a table like ``weights/rules.toml``; empty for the one that ships.
    calibration : str
        ``auto``: the catalog's own, else the one that ships for its embedding space, else none; ``none``; or a path.
    """

    rules: str = ""
    calibration: str = "auto"


@dataclass(frozen=True, slots=True)
class ContactsConfig:
    """Whether contacts are taken from texts and photos. They are personal data: off unless asked for.

    Parameters
    ----------
    extract : bool
        Needs the extra ``contacts``.
    regions : tuple of str
        ISO 3166 codes of countries whose national phone numbers are recognised; numbers with ``+`` always are.
    """

    extract: bool = False
    regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScanConfig:
    """How a scan runs; nothing here changes a verdict, so nothing here is in the fingerprint.

    Parameters
    ----------
    batch : int
        Photos per forward pass.
    shard : int
        Listings per shard: the unit of resuming.
    workers : int
        Processes that examine shards, for the command line, and threads that read photos where one process does all; 0 means
        one per core.
    """

    batch: int = 32
    shard: int = 64
    workers: int = 0

    def __post_init__(self) -> None:
        require_at_least(1, batch=self.batch, shard=self.shard)
        require_at_least(0, workers=self.workers)


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """What the HTTP service bears; nothing here changes a verdict, so nothing here is in the fingerprint.

    Parameters
    ----------
    max_body : int
        Largest request in bytes.
    max_photos : int
        Most photos of a listing, and most promo photos.
    max_requests : int
        Most requests at work or waiting; further ones get 503 and may try again.
    max_connections : int
        Most open connections of one client address; beyond, the one that has been sending for longest is closed.
    timeout : float
        Seconds that a request may take, from its first byte to its answer.
    idle : float
        Seconds that a request's headers may take, and that may pass between two pieces of its body.
    budget : float
        Seconds of examining that one listing may take. Those that wait are delayed by no more. A guess: sixteen photos with
        text take half of it on two cores.
    rate, burst : float
        Requests per second of one client address, and how many may come at once; a `rate` of 0 is no limit.
    window : float
        Seconds that a request waits for others to share its forward pass.
    poll : float
        Seconds between looks at the catalog's manifest for a new version.
    """

    max_body: int = 32 * 2**20
    max_photos: int = 16
    max_requests: int = 128
    max_connections: int = 100
    timeout: float = 60.0
    idle: float = 10.0
    budget: float = 20.0
    rate: float = 50.0
    burst: float = 100.0
    window: float = 0.005
    poll: float = 1.0

    def __post_init__(self) -> None:
        require_at_least(1, max_body=self.max_body, max_photos=self.max_photos, max_requests=self.max_requests)
        require_at_least(1, max_connections=self.max_connections)
        require_at_least(
            0,
            timeout=self.timeout,
            idle=self.idle,
            budget=self.budget,
            rate=self.rate,
            burst=self.burst,
            window=self.window,
            poll=self.poll,
        )


@dataclass(frozen=True, slots=True)
class Config:
    """All settings.

    Parameters
    ----------
    signals : tuple of str
        Names of the signals that run, in order.
    operating_point : str
        Name of the operating point of the calibration, for example ``balanced`` or ``fpr_1e-2``.
    effort : str
        How closely photos are looked at: ``fast``, ``full`` or ``thorough``, see `EFFORTS`.
    candidates : int
        Catalog items kept per listing after the proposals of all signals are united.
    sections : mapping of str to mapping
        Settings of signals, by the signal's name, as read: each signal checks its own, see
        :func:`imgmatch.signals.default_signals`.
    folder : Path
        Where relative paths among the settings start: the folder of the file that they were read from.
    """

    signals: tuple[str, ...] = ("design", "copy", "text", "logo", "listing", "mismatch")
    operating_point: str = "balanced"
    effort: str = "full"
    candidates: int = 10
    images: ImageConfig = field(default_factory=ImageConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    contacts: ContactsConfig = field(default_factory=ContactsConfig)
    scan: ScanConfig = field(default_factory=ScanConfig)
    service: ServiceConfig = field(default_factory=ServiceConfig)
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folder: Path = Path()

    def __post_init__(self) -> None:
        require_at_least(1, candidates=self.candidates)
        if self.effort not in EFFORTS:
            raise ConfigError(f"effort: expected one of {', '.join(EFFORTS)}, got {self.effort!r:.80}")

    @classmethod
    def load(cls, path: str | Path) -> Config:
        """Read a TOML file; unknown keys, wrong types and values out of range are errors.

        Raises
        ------
        ConfigError
            Naming the file and the key.
        """
        try:
            with open(path, "rb") as f:
                table = tomllib.load(f)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(f"{path}: not valid TOML: {error}") from error
        try:
            return cls.from_dict(table, Path(path).parent)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], folder: str | Path = ".") -> Config:
        """Make settings of a mapping like that of a TOML file; tables of signals are kept for the signals to read."""
        known = {f.name for f in dataclasses.fields(cls)} - {"sections", "folder"}
        own = {key: value for key, value in table.items() if key in known or not isinstance(value, Mapping)}
        sections = {key: value for key, value in table.items() if key not in own}
        config: Config = read_settings(cls, own, "", Path(folder))
        return dataclasses.replace(config, sections=sections, folder=Path(folder))

    def to_dict(self) -> dict[str, Any]:
        row = dataclasses.asdict(self)
        sections = row.pop("sections")
        del row["folder"]
        return _jsonable({**row, **sections})  # type: ignore[no-any-return]

    def fingerprint(self) -> str:
        """Return 16 hex digits over every setting that can change a verdict; signals answer for their own sections."""
        settings = self.to_dict()
        for name in ("scan", "service", *self.sections):
            del settings[name]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def require_at_least(least: float, **values: float) -> None:
    """Raise a :class:`ConfigError` that names the first value below `least`."""
    for name, value in values.items():
        if not value >= least:
            raise ConfigError(f"{name}: expected at least {least:g}, got {value:g}")


def read_settings(cls: Any, table: Mapping[str, Any], where: str, folder: Path = Path()) -> Any:
    """Make a dataclass of settings from a table.

    Parameters
    ----------
    cls : type
        A dataclass.
    table : mapping
    where : str
        Name of the table, for messages; empty for the whole file.
    folder : Path
        Relative paths start there.

    Raises
    ------
    ConfigError
        Naming the key that is unknown, of a wrong type or out of range.
    """
    where = f"{where}." if where else ""
    hints = typing.get_type_hints(cls)
    unknown = set(table) - set(hints)
    if unknown:
        raise ConfigError(f"unknown key {where}{min(unknown)}; expected one of {', '.join(sorted(hints))}")
    values = {key: _convert(hints[key], value, f"{where}{key}", folder) for key, value in table.items()}
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}{error}") from error


def _convert(hint: Any, value: Any, key: str, folder: Path) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key}: expected a table, got {value!r:.80}")
        return read_settings(hint, value, key, folder)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(next(a for a in args if a is not type(None)), value, key, folder)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_convert(args[0], v, f"{key}[{i}]", folder) for i, v in enumerate(value))
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {k: _convert(args[1], v, f"{key}.{k}", folder) for k, v in value.items()}
    if hint is Path and isinstance(value, str):
        return folder / value
    expected = origin or hint
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise ConfigError(f"{key}: expected {getattr(expected, '__name__', expected)}, got {value!r:.80}")
    return value


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _jsonable(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_jsonable(v) for v in value]
    return value
