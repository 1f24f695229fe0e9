"""Static int8 of an exported model: scales of what flows between layers are measured on photos beforehand.

Weights are 8-bit by channel, activations 8-bit by tensor, from the least to the greatest value that the photos gave (QDQ of
ONNX Runtime). The first convolution, which sees the pixels, and products of two activations (attention) stay in fp32, and so
does all that is no product: normalisation, softmax, GELU.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from imgmatch.encoders.base import Encoder, Prepared
from imgmatch.types import FloatArray, Image

__all__ = ["LEAST_PHOTOS", "quantise", "recall"]

LEAST_PHOTOS = 100
"""Photos that the scales must at least be measured on (a guess); a few hundred are asked for."""

_CUT = 6  # the queries of `recall` lack a sixth at each side: a guess


def quantise(model: Path, squares: Sequence[Prepared]) -> None:
    """Replace an fp32 export by its int8 form.

    Parameters
    ----------
    model : Path
        An ONNX file.
    squares : sequence of ndarray, shape (size, size, 3), uint8
        Prepared photos like those that will be encoded.
    """
    import onnx as onnx_format
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    ready = model.with_suffix(".ready")
    quant_pre_process(str(model), str(ready), skip_symbolic_shape=True)
    graph = onnx_format.load(str(ready)).graph
    constants = {tensor.name for tensor in graph.initializer}
    kept = [node.name for node in graph.node if node.op_type == "Conv"][:1]
    kept += [n.name for n in graph.node if n.op_type in ("MatMul", "Gemm") and not constants & set(n.input)]
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises what is done here
    try:
        quantization.quantize_static(
            str(ready),
            str(model),
            _reader(squares),
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],
            nodes_to_exclude=kept,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    finally:
        root.setLevel(level)
    ready.unlink()


def recall(encoder: Encoder, photos: Sequence[Image]) -> float:
    """Return the share of photos that are nearest to the middle of themselves, by cosine, in [0, 1]."""
    known = encoder.encode([encoder.prepare(photo) for photo in photos])
    asked = encoder.encode([encoder.prepare(_middle(photo)) for photo in photos])
    nearest = (asked @ known.T).argmax(axis=1)
    # The same picture twice is found twice.
    same: FloatArray = (known[nearest] * known).sum(axis=1)
    return float((same > 1.0 - 1e-6).mean())


def _middle(photo: Image) -> Image:
    height, width = photo.pixels.shape[:2]
    y, x = height // _CUT, width // _CUT
    return replace(photo, pixels=np.ascontiguousarray(photo.pixels[y : height - y, x : width - x]))


def _reader(squares: Sequence[Prepared]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rows: Iterator[dict[str, Prepared]] = iter({"pixels": square[None]} for square in squares)

        def get_next(self) -> dict[str, Prepared] | None:
            return next(self._rows, None)

    return Reader()
