"""Exported models under ONNX Runtime: the vision tower alone, without PyTorch. ``imgmatch weights export`` makes them.

An export is a folder: ``model.onnx`` and ``export.json``, which names the space, the preprocessing and the checksum of the
model. In fp32 it proved parity when it was written, and so declares its source's space; in int8 it has one of its own.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.encoders.base import Encoder, Prepared
from imgmatch.encoders.preprocess import Preprocess
from imgmatch.encoders.runtime import session
from imgmatch.encoders.store import cache_dir, sha256_of
from imgmatch.errors import WeightsError
from imgmatch.types import EmbeddingSpace, FloatArray, Image

__all__ = [
    "FORMAT",
    "MANIFEST",
    "MODEL",
    "PARITY",
    "OnnxEncoder",
    "check_model",
    "export_folder",
    "lacking",
    "load",
    "preferred",
]

MANIFEST = "export.json"
MODEL = "model.onnx"
FORMAT = 2
"""Raised when what a tower computes changes (its cells, say, which the space says nothing of): old exports are refused."""
PARITY = 0.9999
"""Least cosine to the source's vectors with which an fp32 export may call itself the same space."""
ALIKE, FALL = 0.99, 0.01
"""Least mean cosine of an int8 export to the source's vectors, and the most that it may find less than the source: the user
asked for speed, not for another model (a guess)."""

_NAME = re.compile(r"onnx(?P<int8>-int8)?:(?P<where>[^#]+)(#sha256=(?P<sha256>[0-9a-fA-F]{64}))?")


class OnnxEncoder:
    """An exported vision tower as an :class:`imgmatch.encoders.base.Encoder`.

    Parameters
    ----------
    model : Path
        The ONNX file; its checksum has been verified.
    space : EmbeddingSpace
    preprocess : Preprocess
    threads : int
        Threads of one call; 0 takes what ONNX Runtime takes, one per core.
    source : callable, optional
        Loads the encoder this was exported from, for what an export lacks: the text tower.

    Notes
    -----
    Thread-safe. Idle threads of the runtime sleep instead of spinning: decoders want the cores.
    """

    CHUNK = 4  # as for PyTorch: what a layer writes stays in the processor's cache

    def __init__(
        self,
        model: Path,
        *,
        space: EmbeddingSpace,
        preprocess: Preprocess,
        threads: int = 0,
        source: Callable[[], Encoder] | None = None,
    ) -> None:
        self.space = space
        self._source = source
        self.preprocess = preprocess
        self.input_size = preprocess.size
        self._session = session(model, threads)
        self._lock = threading.Lock()
        self._whole: Encoder | None = None

    def prepare(self, image: Image) -> Prepared:
        """Fit one photo: (size, size, 3) uint8. Values are scaled inside the model."""
        return self.preprocess(image.pixels)

    def encode(self, batch: Sequence[Image | Prepared]) -> FloatArray:
        """Embed photos or what `prepare` made of them: (n, d) float32, unit norm, in input order."""
        return self._run(batch, {"embedding": (self.space.dim,)})[0]

    def encode_dense(self, batch: Sequence[Image | Prepared]) -> tuple[FloatArray, npt.NDArray[np.float32]]:
        """Embed photos and describe their parts: (n, d) as `encode` does, and (n, h, w, c), of mean squared norm 1."""
        vectors, cells = self._run(batch, {"embedding": (self.space.dim,), "cells": (0, 0, 0)})
        return vectors, cells

    def encode_text(self, prompts: Sequence[str]) -> FloatArray:
        """Embed texts into the same space."""
        if self._source is None:
            raise NotImplementedError(f"{self.space.encoder}: an export has no text tower")
        with self._lock:
            self._whole = self._whole or self._source()
        return self._whole.encode_text(prompts)

    def _run(self, batch: Sequence[Image | Prepared], outputs: dict[str, tuple[int, ...]]) -> list[npt.NDArray[np.float32]]:
        if not len(batch):
            return [np.zeros((0, *shape), np.float32) for shape in outputs.values()]
        prepared = self.preprocess.batch(batch)
        parts = []
        for i in range(0, len(prepared), self.CHUNK):
            found = self._session.run(list(outputs), {"pixels": np.stack(prepared[i : i + self.CHUNK])})
            parts.append([_scaled(y) for y in found])
        return [np.concatenate(each) for each in zip(*parts, strict=True)]


def _scaled(y: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Scale vectors (n, d) to norm 1, cells (n, h, w, c) to a mean squared norm of 1: one scale for the whole photo."""
    power = np.square(y).sum(-1, keepdims=True)
    if y.ndim == 4:
        power = power.mean((1, 2), keepdims=True)
    scaled: npt.NDArray[np.float32] = (y / np.maximum(np.sqrt(power), 1e-12)).astype(np.float32, copy=False)
    return scaled


def export_folder(name: str, cache: str | Path | None = None, *, int8: bool = False) -> Path:
    """Return where the export of an encoder lies, or would."""
    return cache_dir(cache) / "weights" / ("onnx-int8" if int8 else "onnx") / re.sub(r"[^\w.-]+", "--", name)


def preferred(name: str, cache: str | Path | None = None) -> bool:
    """Return whether a plain name means its export: it is there and measured faster."""
    try:
        exported = json.loads((export_folder(name, cache) / MANIFEST).read_text(encoding="utf-8"))
        faster = exported["faster"] is True and exported["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return faster


def load(
    name: str, *, cache: str | Path | None = None, threads: int = 0, source: Callable[[], Encoder] | None = None
) -> OnnxEncoder:
    """Load ``onnx:NAME`` or ``onnx-int8:NAME``.

    Parameters
    ----------
    name : str
        NAME is what was exported, or the path of an export's folder with ``#sha256=HEX``, the checksum of its
        ``export.json``: a folder from elsewhere is opened only when a checksum vouches for it.
    cache : path, optional
        See :func:`imgmatch.encoders.store.cache_dir`.
    threads, source
        See :class:`OnnxEncoder`.

    Raises
    ------
    WeightsError
        If the export is missing, is not what its checksums say, or refers to other files.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r}: expected onnx:NAME or onnx:/path/to/folder#sha256=HEX")
    where = named = match["where"]
    folder = export_folder(where, cache, int8=bool(match["int8"]))
    if "/" in where and not folder.is_dir():
        folder, named = Path(where).expanduser(), f"NAME --out {where}"
        if match["sha256"] is None:
            raise WeightsError(f"{folder}: add #sha256=HEX, the checksum of its {MANIFEST}, which `weights export` printed")
    manifest = folder / MANIFEST
    command = f"imgmatch weights export {named}" + (" --int8 --photos FOLDER" if match["int8"] else "")
    if not manifest.is_file():
        raise WeightsError(f"{manifest}: no such export; run `{command}`")
    if match["sha256"] and (got := sha256_of(manifest)) != match["sha256"].lower():
        raise WeightsError(f"{manifest}: sha256 is {got}, expected {match['sha256']}; it is not the export that was meant")
    try:
        space, preprocess, sha256 = _read_manifest(manifest)
        check_model(folder / MODEL, sha256)
    except WeightsError as error:
        raise WeightsError(f"{error}; run `{command}` again") from error
    return OnnxEncoder(folder / MODEL, space=space, preprocess=preprocess, threads=threads, source=source)


def check_model(file: Path, sha256: str) -> None:
    """Raise :class:`WeightsError` unless an ONNX file is the one a checksum vouches for and needs no other file.

    Notes
    -----
    The format lets a tensor say that its values lie in another file (key ``location`` of ``external_data``, onnx.proto3),
    wherever that is. Ours never do, so the bytes of that key anywhere in a file are reason enough, before any parser
    sees it.
    """
    if not file.is_file():
        raise WeightsError(f"{file}: no such file")
    if (got := sha256_of(file)) != sha256:
        raise WeightsError(
            f"{file}: sha256 is {got}, expected {sha256}; the file is damaged or not the one that was exported"
        )
    if b"location" in file.read_bytes():
        raise WeightsError(f"{file}: refers to data in other files, which no export does; it is not opened")


def _read_manifest(manifest: Path) -> tuple[EmbeddingSpace, Preprocess, str]:
    try:
        exported = json.loads(manifest.read_text(encoding="utf-8"))
        if exported["format"] != FORMAT:
            raise WeightsError(f"{manifest}: written by another version of imgmatch")
        space = EmbeddingSpace(**exported["space"])
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in exported["preprocess"].items()}
        preprocess = Preprocess(**fields)
        sha256, lacks = exported["sha256"].lower(), lacking(space, exported["parity"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{manifest}: not the manifest of an export ({error!r})") from error
    if preprocess.text != space.preprocess:
        raise WeightsError(f"{manifest}: its preprocessing is not that of the space it declares")
    if lacks:
        raise WeightsError(f"{manifest}: no parity was proved ({lacks})")
    return space, preprocess, str(sha256)


def lacking(space: EmbeddingSpace, parity: Mapping[str, Any]) -> str:
    """Say what an export's vectors lack to stand for its source's; empty where nothing.

    Parameters
    ----------
    space : EmbeddingSpace
        Of the export.
    parity : mapping
        As in ``export.json``: of int8 with the ``recall`` of both.
    """
    row = parity["onnx"]
    if space.numeric == "fp32":
        least = float(row["cosine_min"])
        return "" if least >= PARITY else f"least cosine {least:.6f}, {PARITY} is asked"
    mean, found, before = float(row["cosine_mean"]), float(row["recall"]), float(parity["torch"]["recall"])
    if not mean >= ALIKE:
        return f"mean cosine {mean:.4f}, {ALIKE} is asked"
    return "" if found >= before - FALL else f"recall {found:.3f}, {before:.3f} before; {FALL} less is allowed"
