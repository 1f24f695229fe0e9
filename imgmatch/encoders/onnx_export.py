"""Export a PyTorch encoder to ONNX, and measure the export against its source before anyone uses it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

from imgmatch.encoders import onnx
from imgmatch.encoders.base import Encoder
from imgmatch.encoders.onnx_int8 import LEAST_PHOTOS, quantise, recall
from imgmatch.encoders.store import sha256_of
from imgmatch.encoders.torch_encoder import TorchEncoder
from imgmatch.errors import MissingExtraError, WeightsError
from imgmatch.types import Image

__all__ = ["export"]

_PARITY_PHOTOS = 64
"""Photos that vectors and speed are compared on; of int8 all photos that are given are looked for."""
_ROUNDS = 3  # the best of them is the speed: what else runs on the machine only ever slows one down

_WORTH = 1.1  # times the photos of PyTorch per second of processor, or the export is not what the plain name loads


class _Tower(torch.nn.Module):
    """What `TorchEncoder` computes from prepared squares, short of the final scaling; both answers from one pass."""

    def __init__(self, encoder: TorchEncoder) -> None:
        super().__init__()
        self.both = encoder.tower()
        self._mean, self._std = encoder._mean, encoder._std

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = (pixels.permute(0, 3, 1, 2).float() - self._mean) / self._std
        embedding, cells = self.both(x)
        return embedding, cells


def export(
    encoder: Encoder,
    folder: Path,
    *,
    photos: Sequence[Image] = (),
    int8: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Write an export's folder and return its manifest, with the parity report.

    Parameters
    ----------
    encoder : Encoder
        A PyTorch encoder on the CPU.
    folder : Path
        Replaced as a whole, once everything in it is complete.
    photos : sequence of Image, optional
        What parity and speed are measured on, 64 of them at most; by default seeded pictures of soft shapes.
    int8 : bool
        In static int8, a space of its own, calibrated on `photos`: a few hundred like those that will be encoded.
    say : callable
        Gets one line per step.

    Returns
    -------
    dict
        What ``export.json`` holds. ``faster`` says whether the plain name loads the fp32 export from now on, because it did
        1.1 times as many photos as PyTorch here or more per second of processor time: in a scan the decoders want the
        cores too, so what counts is what an encoder takes from them. ``parity`` has, for ``torch`` and ``onnx``,
        ``photos_per_s`` (prepared squares in, vectors out, all cores) and ``photos_per_cpu_s``, and for the export
        ``cosine_min`` and ``cosine_mean`` of the embedding to the source's, and ``cells_cosine_min`` of the
        dense descriptors; of int8 also ``recall``, the share of `photos` that the middle of each finds, of both.

    Raises
    ------
    WeightsError
        If the fp32 export's vectors are not the source's (cosine under 0.9999), or those of int8 are not near them (mean
        cosine under 0.99, or a recall lower by more than 0.01). Nothing is left behind.
    MissingExtraError
        Without the extra ``onnx``.
    """
    if not isinstance(encoder, TorchEncoder) or encoder.space.numeric != "fp32":
        raise ValueError(f"expected a PyTorch encoder in fp32, got {encoder.space.describe()}")
    if int8 and len(photos) < LEAST_PHOTOS:
        raise ValueError(f"expected at least {LEAST_PHOTOS} photos to calibrate int8 on, got {len(photos)}")
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("exporting models", "onnx") from error
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as temporary:
        work = Path(temporary) / "export"
        work.mkdir()
        model = work / onnx.MODEL
        say(f"{encoder.space.encoder}: writing {model.name}")
        _write(encoder, model)
        space = encoder.space
        if int8:
            say(f"{space.encoder}: calibrating on {len(photos)} photos")
            quantise(model, [encoder.prepare(photo) for photo in photos])
            # Other photos give other scales: vectors of two exports never meet.
            numeric = f"static int8, {sha256_of(model)[:16]}"
            space = dataclasses.replace(space, encoder=f"onnx-int8:{space.encoder}", numeric=numeric)
        say(f"{encoder.space.encoder}: measuring")
        exported = onnx.OnnxEncoder(model, space=space, preprocess=encoder.preprocess)
        parity = _compared(encoder, exported, photos or _pictures())
        if lacks := onnx.lacking(space, parity):
            raise WeightsError(f"{space.encoder}: the export's vectors are not its source's: {lacks}; nothing was written")
        faster = parity["onnx"]["photos_per_cpu_s"] >= _WORTH * parity["torch"]["photos_per_cpu_s"]
        manifest = {
            "format": onnx.FORMAT,
            "faster": bool(faster and not int8),
            "space": space.to_dict(),
            "preprocess": dataclasses.asdict(encoder.preprocess),
            "sha256": sha256_of(model),
            "parity": parity,
            "versions": {n: metadata.version(n) for n in ("torch", "onnx", "onnxscript", "onnxruntime")},
        }
        (work / onnx.MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        for file in work.iterdir():
            with open(file, "rb") as f:
                os.fsync(f.fileno())
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    return manifest


def _write(encoder: TorchEncoder, file: Path) -> None:
    import onnx as onnx_format

    side = encoder.input_size
    example = torch.zeros((2, side, side, 3), dtype=torch.uint8)
    with torch.inference_mode():
        program = torch.onnx.export(
            _Tower(encoder).eval(),
            (example,),
            input_names=["pixels"],
            output_names=["embedding", "cells"],
            dynamic_shapes=({0: torch.export.Dim("n", min=1, max=1024)},),
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto  # type: ignore[union-attr]
    # What the exporter remembers of the source (file names, stack traces) is nobody's business and changes by machine.
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.metadata_props[:], model.graph.metadata_props[:], model.functions[:]
    for value in (*model.graph.value_info, *model.graph.initializer, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    onnx_format.save_model(model, str(file))


def _compared(source: TorchEncoder, exported: onnx.OnnxEncoder, photos: Sequence[Image]) -> dict[str, Any]:
    squares = [source.prepare(photo) for photo in photos[:: max(len(photos) // _PARITY_PHOTOS, 1)][:_PARITY_PHOTOS]]
    truth, cells = source.encode_dense(squares)
    report: dict[str, Any] = {"photos": len(squares), "cores": os.cpu_count()}
    encoders: dict[str, Encoder] = {"torch": source, "onnx": exported}
    # In turns, so that what else the machine does meets all of them; the best round counts.
    seconds = [{kind: _seconds(encoder, squares) for kind, encoder in encoders.items()} for _ in range(_ROUNDS)]
    for kind, encoder in encoders.items():
        row: dict[str, float] = {}
        if encoder is not source:
            vectors, theirs = encoder.encode_dense(squares)
            cosine = (vectors * truth).sum(1)
            flat, true = (x.reshape(len(squares), -1) for x in (theirs, cells))
            near = (flat * true).sum(1) / np.linalg.norm(flat, axis=1) / np.linalg.norm(true, axis=1)
            row |= {"cosine_min": float(cosine.min()), "cosine_mean": float(cosine.mean())}
            row["cells_cosine_min"] = float(near.min())
        if exported.space != source.space:
            row["recall"] = recall(encoder, photos)
        for key, best in zip(("photos_per_s", "photos_per_cpu_s"), np.min([each[kind] for each in seconds], 0), strict=True):
            row[key] = round(len(squares) / best, 2)
        report[kind] = row
    return report


def _seconds(encoder: Encoder, squares: Sequence[Any]) -> tuple[float, float]:
    """Return the wall time and the processor time of encoding."""
    wall, processor = time.perf_counter(), time.process_time()
    encoder.encode(squares)
    return time.perf_counter() - wall, time.process_time() - processor


def _pictures() -> list[Image]:
    """Seeded pictures of soft shapes: smooth like photos, unlike noise, which all looks the same to a network."""
    rng = np.random.default_rng(0)
    pictures = []
    for n in range(_PARITY_PHOTOS):
        coarse = PIL.Image.fromarray(rng.integers(0, 256, (3 + n % 9, 3 + n % 7, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize((320, 288), PIL.Image.Resampling.BICUBIC)).copy()
        pictures.append(Image(pixels, f"{n:064x}", f"picture {n}", 320, 288, "RAW"))
    return pictures
