"""Find lines of text in a picture: rapidocr's models, and its detector asked where there may be ink."""

from __future__ import annotations

import functools
import math
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imgmatch.encoders.runtime import session
from imgmatch.errors import MissingExtraError
from imgmatch.parallel import checkpoint
from imgmatch.types import FloatArray, UInt8Array

__all__ = ["FAINT", "GLANCE", "HEIGHT", "Spot", "as_asked", "engine", "find_lines"]

HEIGHT = 48
"""Pixel height of a line that the PP-OCR recogniser takes (its ``rec_img_shape``)."""

INK, BOX = 0.15, 0.2
"""Least probability of a pixel, and mean of a box, for the detector to call it text. rapidocr's own 0.3 and 0.5 pass over
small and faint print; what is no text costs a reading, which the recogniser's confidence then rejects. On the 36 readable
dev photos of ``benchmarks/words.py`` it names more of them and takes no longer."""

GLANCE, FAINT = 320, 0.02
"""Longer side at which every photo is looked at first, and the probability of text that some pixel must reach there for the
photo to be looked at closely. As measured on 145 dev photos, at 0.02 instead of 0.01 five of 164 surely read lines are read
otherwise or not at all and eight others instead, none of a brand lost; at 0.04 eleven and thirteen, one a brand's (a script
that was not kept)."""

AROUND, MOSTLY = 12, 0.7
"""How far around such pixels, in pixels of the first look, the photo is looked at closely: a third to a half of it in the
mean, and all of it where that would be more than this share. As measured on 125 dev photos (likewise) 92 of 98 surely read
lines have one."""

_lock = threading.Lock()


class Spot(NamedTuple):
    """Where a line of text may be.

    Parameters
    ----------
    quad : ndarray, shape (4, 2), float32
        Its corners in pixels, clockwise from the first letter's top left.
    likelihood : float
        Mean likelihood that its pixels are text, as the detector has it.
    """

    quad: FloatArray
    likelihood: float

    @property
    def width(self) -> float:
        return math.dist(self.quad[0], self.quad[1])

    @property
    def height(self) -> float:
        return math.dist(self.quad[0], self.quad[3])


@functools.lru_cache(maxsize=1)
def engine() -> Any:
    """Return rapidocr's models, loaded once."""
    with _lock:
        try:
            from rapidocr import RapidOCR
        except ImportError as error:
            raise MissingExtraError("Reading the text in photos", "ocr") from error
        engine: Any = RapidOCR(
            params={
                "Global.log_level": "critical",
                # Photos are read side by side; a second thread within one mostly waits, at the price of a core.
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "Det.thresh": INK,
                "Det.box_thresh": BOX,
                "Det.limit_type": "max",
            }
        )
        # Detector and recogniser are built on their first use; a blank line brings them up, enlarged by neither.
        blank = np.full((HEIGHT, 4 * HEIGHT, 3), 255, np.uint8)
        engine(blank, use_det=True, use_cls=False, use_rec=False)
        engine(blank, use_det=False, use_cls=False, use_rec=True)
        detector = engine.text_det.session
        normal = _without_subnormals(Path(detector.session._model_path).read_bytes())
        detector.session = session(normal, any_size=True)
        return engine


def _without_subnormals(model: bytes) -> bytes:
    """Return an ONNX model whose subnormal weights are 0.

    Notes
    -----
    Of the detector's 2.4 million weights a tenth is subnormal (below 1.2e-38): what weight decay left of channels that
    nothing uses. Intel processors multiply by one of them many times as slowly: to read the text of a photo took 0.29 s of
    processor time there, and takes 0.11; what is read is the same (48 photos of ``benchmarks/full_scan.py`` and
    ``benchmarks/marks_real.py``). ONNX Runtime can flush them to 0 as it computes, but then does so for the whole process.
    """
    from google.protobuf.empty_pb2 import Empty
    from google.protobuf.unknown_fields import UnknownFieldSet

    def inside(message: bytes, number: int) -> list[Any]:
        return [field.data for field in UnknownFieldSet(Empty.FromString(message)) if field.field_number == number]

    # By onnx.proto: ModelProto.graph, GraphProto.initializer; TensorProto.data_type, which is 1 of floats, and raw_data.
    tensors = [tensor for graph in inside(model, 7) for tensor in inside(graph, 5) if inside(tensor, 2) == [1]]
    # Small ones cost no time, and their bytes may stand elsewhere in the model as well.
    for kept in [kept for tensor in tensors for kept in inside(tensor, 9) if len(kept) >= 1024]:
        weights = np.frombuffer(kept, "<f4")
        normal = np.where(np.abs(weights) < np.finfo(np.float32).tiny, np.float32(0), weights).tobytes()
        model = model if normal == kept else model.replace(kept, normal)
    return model


def find_lines(pixels: UInt8Array, side: int, inked: FloatArray | None = None) -> tuple[list[Spot], FloatArray]:
    """Look for lines of text in a picture or a piece of one, its longer side brought to `side` pixels.

    Parameters
    ----------
    pixels : ndarray, shape (H, W, 3), uint8
    side : int
    inked : ndarray, optional
        How likely each part of the picture is to be text, at a smaller size: only where it may be is looked at.

    Returns
    -------
    list of Spot
    ndarray, shape (h, w), float32
        How likely each pixel of the resized picture is to be text; 0 where it was not looked at.
    """
    import cv2

    detector = engine().text_det
    height, width = pixels.shape[:2]
    factor = min(side / max(height, width), 4.0)
    size = [
        max(round(length * factor / 32), 1) * 32 for length in (width, height)
    ]  # the network halves its input five times
    sized = cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA)
    scale = np.array([width / size[0], height / size[1]], np.float32)
    heat, spots = np.zeros(sized.shape[:2], np.float32), []
    for x0, y0, x1, y1 in [(0, 0, *size)] if inked is None else _windows(inked, size[0], size[1]):
        checkpoint()
        found = detector.session(as_asked(sized[y0:y1, x0:x1]))
        heat[y0:y1, x0:x1] = found[0, 0]
        boxes, likelihoods = detector.postprocess_op(found, (y1 - y0, x1 - x0))
        for box, likelihood in zip(boxes, likelihoods, strict=True):
            quad = (np.asarray(box, np.float32) + np.array([x0, y0], np.float32)) * scale
            spots.append(Spot(_upright(np.clip(quad, 0, [width, height]).astype(np.float32)), float(likelihood)))
    return spots, heat


def as_asked(pixels: UInt8Array) -> FloatArray:
    """Return a picture as the PP-OCR models take it, shape (1, 3, H, W): blue, green and red, each from -1 to 1."""
    import cv2

    return np.asarray(cv2.dnn.blobFromImage(pixels, 2 / 255, mean=(127.5, 127.5, 127.5), swapRB=True), np.float32)


def _windows(inked: FloatArray, width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Return the boxes (x0, y0, x1, y1) of a resized picture that may hold text, in steps of 32 pixels; none overlap."""
    import cv2

    mask = cv2.dilate((inked > FAINT).astype(np.uint8), np.ones((2 * AROUND + 1, 2 * AROUND + 1), np.uint8))
    steps = cv2.resize(mask, (width // 4, height // 4), interpolation=cv2.INTER_NEAREST)
    cells = steps.reshape(height // 32, 8, width // 32, 8).max(axis=(1, 3))
    boxes: list[list[int]] = []
    for x, y, w, h, _ in cv2.connectedComponentsWithStats(cells)[2][1:].tolist():
        box = [x, y, x + w, y + h]
        while over := [b for b in boxes if b[0] < box[2] and box[0] < b[2] and b[1] < box[3] and box[1] < b[3]]:
            boxes = [b for b in boxes if b not in over]
            corners = np.array([box, *over])
            box = [*corners[:, :2].min(axis=0).tolist(), *corners[:, 2:].max(axis=0).tolist()]
        boxes.append(box)
    if sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes) > MOSTLY * cells.size:
        return [(0, 0, width, height)]
    return [(32 * x0, 32 * y0, 32 * x1, 32 * y1) for x0, y0, x1, y1 in sorted(boxes)]


def _upright(quad: FloatArray) -> FloatArray:
    """Turn a tall box a quarter, so that its line runs along its first edge (bottom to top, as on spines)."""
    if math.dist(quad[0], quad[3]) >= 1.5 * math.dist(quad[0], quad[1]):
        return np.roll(quad, 1, axis=0)
    return quad
