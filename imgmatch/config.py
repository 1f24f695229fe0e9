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
    "Config",
    "CopyConfig",
    "DesignConfig",
    "DiscrepancyConfig",
    "ImageConfig",
    "RetrievalConfig",
    "ScanConfig",
    "TextConfig",
]


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
    min_side : int
        Smallest width and height in pixels that can say anything.
    max_seconds : float
        Most CPU time to decode one photo.
    """

    max_bytes: int = 64 * 2**20
    max_pixels: int = 52_000_000
    min_side: int = 8
    max_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class RetrievalConfig:
    """How candidates are found.

    Parameters
    ----------
    photos : int
        Nearest catalog photos that are looked at per query photo.
    candidates : int
        Items kept per query after the proposals are united.
    """

    photos: int = 50
    candidates: int = 10


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
class ListingConfig:
    """How prices are compared.

    Parameters
    ----------
    rates : mapping of str to float
        Value of one unit of each currency (ISO 4217) in one common unit, for example ``{EUR = 1.0, USD = 0.92}``.
        imgmatch knows no rates of its own: two currencies that are not both here are not compared.
    """

    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TextConfig:
    """How the text in photos and the listing's own text are read.

    Parameters
    ----------
    side : int
        Longer side in pixels at which text is looked for in a photo.
    lexicon : str or None
        Path of a lexicon of replica wording; None for the one that ships (``imgmatch/market/lexicon.toml``).
    """

    side: int = 736
    lexicon: str | None = None


@dataclass(frozen=True, slots=True)
class LogoConfig:
    """How brands' marks are looked for in photos.

    Parameters
    ----------
    proposals : int
        Placements by keypoints, and as many by silhouette, that are verified per photo: more find more, and cost time.
    windows : int
        Where these find nothing, so many windows of the encoder's dense features are looked at as well; 0 for none. With
        mobilenet-v2 eight windows named no more marks than none (19 of 24 scenes of ``benchmarks/figures.py``, the right
        mark first in 3), at the price of four more forward passes; try it with an encoder that knows marks.
    """

    proposals: int = 6
    windows: int = 0


@dataclass(frozen=True, slots=True)
class DesignConfig:
    """How items of the same design are found and normalised.

    Parameters
    ----------
    neighbors : int
        Nearest catalog photos that are looked at per listing photo.
    candidates : int
        Items proposed per listing.
    background_photos : int
        Size of the sample of catalog photos that similarities are normalised with.
    background_nearest : int
        How many of the sample's photos nearest to the query, outside the candidate's brand, are averaged.
    background_weight : float
        How much of that average is taken off the similarity; 0 leaves the plain cosine.
    shrinkage : float
        Of the metric learnt from the catalog, see :class:`imgmatch.catalog.metric.Metric`; chosen on the dev half by
        ``python -m benchmarks.retrieval``.
    local_weight : float
        How much the part-by-part comparison counts beside the score, in catalogs with too few photos per item or brand
        for a metric; chosen on the dev half by ``python -m benchmarks.retrieval``. 0 leaves it out and saves a forward
        pass per near photo.
    """

    neighbors: int = 50
    candidates: int = 10
    background_photos: int = 2048
    background_nearest: int = 10
    background_weight: float = 1.0
    shrinkage: float = 0.3
    local_weight: float = 8.0


@dataclass(frozen=True, slots=True)
class MismatchConfig:
    """How a promo is held against the listing it leads to.

    Parameters
    ----------
    neighbors : int
        Nearest catalog photos that are looked at per region of a photo.
    """

    neighbors: int = 50


@dataclass(frozen=True, slots=True)
class CopyConfig:
    """How copies of catalog photos are found.

    Parameters
    ----------
    proposals : int
        Catalog photos per listing photo that are verified by geometry and pixels: what the time goes into.
    votes : float
        Least weight of shared details that proposes a catalog photo: each counts the less, the more photos have it. On the
        dev half of ``benchmarks/copy_detection.py`` 5 halves the proposals for photos that are no copies and loses two of
        192 copies, small pictures in pictures.
    hash_distance : int
        Largest Hamming distance of two PDQ hashes that proposes one; PDQ's authors call 31 of 256 a match.
    """

    proposals: int = 5
    votes: float = 5.0
    hash_distance: int = 40


@dataclass(frozen=True, slots=True)
class DiscrepancyConfig:
    """How parts that differ from the reference are judged.

    Parameters
    ----------
    candidates : int
        Likeliest items that a listing's photos are laid on.
    quiet, loud : float
        Strength of the strongest difference, in robust standard deviations of the overlap, where the value leaves 0 and
        where it is full.
    """

    candidates: int = 2
    quiet: float = 8.0
    loud: float = 32.0


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
        Decoding threads; 0 means one per core.
    """

    batch: int = 32
    shard: int = 64
    workers: int = 0


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
        Most requests at work or waiting; more are told to come back.
    timeout : float
        Seconds that a request may take, from its first byte to its answer.
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
    timeout: float = 60.0
    rate: float = 50.0
    burst: float = 100.0
    window: float = 0.005
    poll: float = 1.0


@dataclass(frozen=True, slots=True)
class Config:
    """All settings.

    Parameters
    ----------
    signals : tuple of str
        Names of the signals that run, in order.
    operating_point : str
        Name of the operating point of the calibration, for example ``balanced`` or ``fpr_1e-2``.
    """

    signals: tuple[str, ...] = ("design", "copy", "text", "logo", "listing", "mismatch")
    operating_point: str = "balanced"
    images: ImageConfig = field(default_factory=ImageConfig)
    retrieval: RetrievalConfig = field(default_factory=RetrievalConfig)
    design: DesignConfig = field(default_factory=DesignConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    listing: ListingConfig = field(default_factory=ListingConfig)
    mismatch: MismatchConfig = field(default_factory=MismatchConfig)
    text: TextConfig = field(default_factory=TextConfig)
    logo: LogoConfig = field(default_factory=LogoConfig)
    copy: CopyConfig = field(default_factory=CopyConfig)
    discrepancy: DiscrepancyConfig = field(default_factory=DiscrepancyConfig)
    contacts: ContactsConfig = field(default_factory=ContactsConfig)
    scan: ScanConfig = field(default_factory=ScanConfig)
    service: ServiceConfig = field(default_factory=ServiceConfig)

    @classmethod
    def load(cls, path: str | Path) -> Config:
        """Read a TOML file; unknown keys and wrong types are errors.

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
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not valid TOML: {error}") from error
        try:
            return cls.from_dict(table)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Config:
        config: Config = _build(cls, table, "")
        return config

    def to_dict(self) -> dict[str, Any]:
        return _jsonable(dataclasses.asdict(self))  # type: ignore[no-any-return]

    def fingerprint(self, **more: str) -> str:
        """Return 16 hex digits over every setting that can change a verdict, and over `more` (rules, calibration, code).

        Parameters
        ----------
        **more : str
            Hashes of what lies outside this tree.
        """
        settings = self.to_dict()
        del settings["scan"], settings["service"]
        text = json.dumps({**settings, **{f"+{k}": v for k, v in more.items()}}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _build(cls: Any, table: Mapping[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(cls)
    unknown = set(table) - set(hints)
    if unknown:
        raise ConfigError(f"unknown key {where}{min(unknown)}; expected one of {', '.join(sorted(hints))}")
    return cls(**{key: _convert(hints[key], value, f"{where}{key}") for key, value in table.items()})


def _convert(hint: Any, value: Any, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key}: expected a table, got {value!r:.80}")
        return _build(hint, value, f"{key}.")
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(next(a for a in args if a is not type(None)), value, key)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_convert(args[0], v, f"{key}[{i}]") for i, v in enumerate(value))
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {k: _convert(args[1], v, f"{key}.{k}") for k, v in value.items()}
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
