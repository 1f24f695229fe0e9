"""What a listing's viewer can draw on its photos: a layer for each finding that points somewhere, and pairs that blink."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imgmatch.images import thumbnail_jpeg
from imgmatch.investigate.report.figures import Drawing
from imgmatch.investigate.report.listings import Entry
from imgmatch.investigate.report.pictures import Gallery, data_uri, overlay
from imgmatch.investigate.report.words import signal_words
from imgmatch.records import ScanRecord

__all__ = ["Blink", "Layer", "blinks", "layers"]

_SIDE = 640  # pixels of a photo that blinks
_BLINKS = 2


@dataclass(frozen=True, slots=True)
class Layer:
    """A tab of the viewer: photos with marks, letters and crops of a finding, or one drawn picture."""

    name: str
    words: str
    drawing: Drawing | None = None
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class Blink:
    """A photo, and the reference laid on it: shown in turn, what differs moves."""

    name: str
    photo: str
    reference: str


def layers(entry: Entry) -> Sequence[Layer]:
    """Return the layers of a listing's drawings, those of what was found first."""
    drawn = Counter(f.name for f in entry.findings if not f.drawing.empty)
    out: list[Layer] = []
    whole: list[Layer] = []
    for f in entry.findings:
        name = f"{f.name}, {f.about}" if f.about and drawn[f.name] > 1 else f.name
        if f.drawing.pair or f.drawing.readings:
            out.append(Layer(name, f.reason, drawing=Drawing(f.drawing.pair, f.drawing.crops, f.drawing.readings)))
        if f.drawing.overlay:
            whole.append(Layer(f"{name}: laid over", "The catalog’s photo, half transparent.", picture=f.drawing.overlay))
        if f.drawing.heat:
            words = "The redder, the more the two differ beyond what light and compression explain. Pale: not compared."
            whole.append(Layer(f"{name}: differences", words, picture=f.drawing.heat))
    return out + whole


def blinks(gallery: Gallery, record: ScanRecord) -> Sequence[Blink]:
    """Return the photos on which a finding laid a reference, at most two."""
    photos = {p.photo_id: p for p in record.photos}
    out: list[Blink] = []
    for finding in record.verdict.findings if record.verdict else ():
        transform, sha256 = finding.evidence.get("transform"), finding.evidence.get("reference_photo")
        photo = photos.get(finding.photo_id or "")
        if finding.value is None or photo is None or not isinstance(sha256, str) or len(out) == _BLINKS:
            continue
        try:
            matrix = np.array(transform, np.float64)
        except (TypeError, ValueError, OverflowError):
            continue
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            continue
        query, reference = gallery.query(photo), gallery.reference(sha256)
        if query is None or reference is None:
            continue
        laid = overlay(query, reference, matrix, opacity=1.0, side=_SIDE)
        if laid is not None:
            name = f"{signal_words(finding.signal)}, {photo.photo_id}" if len(photos) > 1 else signal_words(finding.signal)
            out.append(Blink(name, data_uri(thumbnail_jpeg(query.image, _SIDE)), laid))
    return out
