"""Read the text in photos: rapidocr's detector and recogniser, loaded when first used, remembered per photo.

rapidocr (Apache-2.0) carries its PP-OCRv6 models in the wheel, so nothing is downloaded. The ONNX sessions of its detector
and recogniser are asked directly, because we want more than boxes and the best string: whether anything may be text at
all, how sure the model is of each letter, and how likely it finds *another* string on the same crop
(:func:`log_likelihoods`), which is what tells a misspelt mark from a misread one.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from imgmatch.loading.photo import PhotoContext
from imgmatch.messages import Message
from imgmatch.parallel import checkpoint
from imgmatch.types import FloatArray, UInt8Array
from imgmatch.vision.ctc import ctc_log_likelihood
from imgmatch.vision.lines import FAINT, GLANCE, HEIGHT, Spot, as_asked, engine, find_lines

__all__ = ["SURE", "Reading", "available", "crop", "log_likelihoods", "passed_over", "read", "with_room"]

LONG = 1.5
"""Width over height from which an unsure line may hold the three letters that a reading turned or mirrored must have."""

UNSURE, SURE = 0.8, 0.9
"""Below the first mean letter confidence a line is also read upside down and mirrored; a reading surer by 0.1 replaces it.
Beside three letters or more of the second it is not read mirrored, and upside down only where three letters were read: as
measured on 145 dev photos that saves a seventh of all readings, and of 168 surely read lines two, both nonsense."""

PRINT = 0.5
"""Least likelihood of being text with which an unsure line is read again: of 171 less likely ones (more than half of all)
in 268 open photos of ``benchmarks/words.py`` none was read surely upside down or mirrored, of 135 others six."""

LARGE = 0.05
"""Least height of a line, in longer sides of its photo, that the first look finds and the closer look may pass over: as
measured on 145 dev photos it did so with six lines of a word each, and two lower ones, of which none names a brand."""

TRACE = 0.1
"""Probability of text somewhere in the first look with which the whole photo is looked at closely where its inked parts show
no line: as measured on 436 photos of ``benchmarks/marks_real.py``, dev, that is asked of 19, and one reads "FedEx" then."""

VIEWS = ((1.0, 0.0), (0.8, 0.0), (1.15, 0.0), (1.0, 0.04))
"""(scale of the crop's height before it is brought to 48 pixels, margin as a fraction of the height) of each re-reading."""

STRIP = 3.0
"""Sides to one beyond which a picture is looked at in pieces, so that its text keeps its size: as in a photo of 1 to 2."""

PIECES = 32
"""Most pieces of one picture; they cover 48 to 1 at full size, and a longer picture at less. A guess, as is the next."""

LETTERS = 4000
"""Most letters read in one picture, at two to a line's height, the highest lines first: a dense page of print has fewer, a
picture made to stall has more."""

_LONGEST = 40  # heights: a line that is longer is squeezed
_SHORT = 736  # pixels: a piece of a strip is at least so long, for text is lines, and a banner may have one alone
_WARPED = 32_000  # pixels: OpenCV warps no longer source (SHRT_MAX)


@dataclass(frozen=True, slots=True)
class Reading:
    """One line of text in a photo.

    Parameters
    ----------
    text : str
        As read.
    confidence : float
        Mean of `letters`, in [0, 1].
    letters : tuple of float
        The model's probability of each letter of `text`.
    polygon : tuple of (x, y)
        Four corners in original pixels, clockwise from the first letter's top left.
    mirrored : bool
        Read from the mirrored crop.
    """

    text: str
    confidence: float
    letters: tuple[float, ...]
    polygon: tuple[tuple[float, float], ...]
    mirrored: bool = False

    @property
    def height(self) -> float:
        """Height of the line in original pixels."""
        return math.dist(self.polygon[0], self.polygon[3])


def available() -> bool:
    """Say whether the extra ``ocr`` is installed; imports nothing."""
    return importlib.util.find_spec("rapidocr") is not None


def read(photo: PhotoContext, side: int = 736) -> tuple[Reading, ...]:
    """Read all lines of text in a photo, top to bottom.

    Parameters
    ----------
    photo : PhotoContext
        Remembers the result.
    side : int
        The longer side in pixels that text is looked for at; small photos are enlarged to it (at most four times),
        large ones reduced. Lines are recognised at the decoded resolution.

    Raises
    ------
    MissingExtraError
        Where the extra ``ocr`` is not installed.
    """
    return photo.once(_read, side)


def passed_over(photo: PhotoContext, side: int = 736) -> tuple[Message, ...]:
    """Say what of a picture `read` did not read at full size; empty where it read all of it."""
    return photo.once(_told, side)[1] if photo.remembers(_told, side) else ()


def warm_up() -> None:
    """Load the models now."""
    _alphabet_index()


def log_likelihoods(
    photo: PhotoContext, reading: Reading, strings: Sequence[str], views: Sequence[tuple[float, float]] = VIEWS
) -> npt.NDArray[np.float64]:
    """Re-read one line at several scales and say how likely each string is to be what is written there.

    Returns
    -------
    ndarray, shape (len(views), len(strings)), float64
        Natural log of the CTC probability of the string given the view. -inf for a string with a letter the model
        does not know, or that is too long for the line.
    """
    line = crop(photo, reading)
    index = _alphabet_index()
    out = np.full((len(views), len(strings)), -np.inf)
    for v, (scale, margin) in enumerate(views):
        [probabilities] = _recognise([_view(line, scale, margin)])
        logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-12))
        for s, string in enumerate(strings):
            if all(c in index for c in string):
                out[v, s] = ctc_log_likelihood(logs, [index[c] for c in string])
    return out


def crop(photo: PhotoContext, reading: Reading) -> UInt8Array:
    """Return the upright pixels of a line, shape (height, width, 3), at the decoded resolution."""
    line = _crop(photo.image.pixels, np.asarray(reading.polygon, np.float32) / photo.image.scale)
    return line[:, ::-1] if reading.mirrored else line


def with_room(reading: Reading) -> Reading:
    """Return a line with one letter's room more at both of its ends."""
    q = np.asarray(reading.polygon, np.float64)
    top, bottom = (q[1] - q[0]) / max(len(reading.text), 1), (q[2] - q[3]) / max(len(reading.text), 1)
    wide = np.stack([q[0] - top, q[1] + top, q[2] + bottom, q[3] - bottom])
    return replace(reading, polygon=tuple((float(x), float(y)) for x, y in wide))


@functools.lru_cache(maxsize=1)
def _alphabet_index() -> dict[str, int]:
    return {letter: i for i, letter in enumerate(engine().text_rec.postprocess_op.character)}


def _read(photo: PhotoContext, side: int) -> tuple[Reading, ...]:
    return photo.once(_told, side)[0]


def _told(photo: PhotoContext, side: int) -> tuple[tuple[Reading, ...], tuple[Message, ...]]:
    """Return the lines of text in a photo, and what was skipped."""
    (text,) = photo.lasting(_written, side)
    rows, notes = json.loads(text.tobytes())
    lines = [Reading(t, c, tuple(letters), tuple((x, y) for x, y in corners), m) for t, c, letters, corners, m in rows]
    return tuple(lines), tuple(Message.from_dict(*note) for note in notes)


def _written(photo: PhotoContext, side: int) -> tuple[UInt8Array]:
    """Return what a photo says as JSON, in bytes."""
    lines, notes = _looked(photo, side)
    rows = [(r.text, r.confidence, r.letters, r.polygon, r.mirrored) for r in lines]
    return (np.frombuffer(json.dumps([rows, [(note, note.to_dict()) for note in notes]]).encode(), np.uint8),)


def _looked(photo: PhotoContext, side: int) -> tuple[tuple[Reading, ...], list[Message]]:
    """Return the lines of text in a photo, top to bottom, and what was skipped."""
    pixels, scale = photo.image.pixels, photo.image.scale
    short, long = sorted(pixels.shape[:2])
    glanced, heat = photo.once(_glanced)
    found: list[Reading] = []
    notes: list[Message] = []
    least = 0.0
    if side > GLANCE and (heat.max() > FAINT or long > STRIP * short):
        spots, notes = _found(photo, side)
        found, least = _readings(pixels, spots, scale), LARGE * long
    # What the closer look read unsurely, or passed over, may be letters too large for it.
    sure = [np.asarray(r.polygon, np.float32) / scale for r in found if r.confidence >= UNSURE]
    large = [spot for spot in glanced if spot.height >= least and not any(_cover(spot.quad, s) for s in sure)]
    for reading in _readings(pixels, _highest(large), scale):
        same = [r for r in found if _cover(reading.polygon, r.polygon)]
        if all(reading.confidence > r.confidence for r in same):
            found = [r for r in found if r not in same] + [reading]
    return tuple(sorted(found, key=lambda r: (r.polygon[0][1], r.polygon[0][0]))), notes


def _cover(a: npt.ArrayLike, b: npt.ArrayLike) -> bool:
    """Say whether the boxes around two lines are one and the same, or nearly: half of what both cover is shared."""
    a, b = np.asarray(a), np.asarray(b)
    low, high = np.maximum(a.min(axis=0), b.min(axis=0)), np.minimum(a.max(axis=0), b.max(axis=0))
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared > 0.5 * (float(np.prod(np.ptp(a, axis=0))) + float(np.prod(np.ptp(b, axis=0))) - shared)


def _glanced(photo: PhotoContext) -> tuple[list[Spot], FloatArray]:
    """Return the lines that show at a small scale, and how likely each part of the photo is to be text.

    Nothing is enlarged for it: in a logo 128 pixels wide, at 320 the detector takes the figure and the word for one line.
    """
    pixels = photo.image.pixels
    return find_lines(pixels, min(GLANCE, max(pixels.shape[:2])))


def _found(photo: PhotoContext, side: int) -> tuple[list[Spot], list[Message]]:
    """Return the lines of text that are to be read, and what is skipped."""
    pixels = photo.image.pixels
    spots: list[Spot] = []
    short, long = sorted(pixels.shape[:2])
    pieces = _pieces(short, long)
    for start, stop, own in pieces:
        checkpoint()
        tall = len(pixels) >= pixels.shape[1]
        piece = pixels[start:stop] if tall else pixels[:, start:stop]
        origin = np.array([0, start] if tall else [start, 0], np.float32)
        heat = photo.once(_glanced)[1] if long <= STRIP * short else None  # a strip is small, and its letters fill it
        lines = find_lines(piece, side, heat)[0]
        if not lines and heat is not None and heat.max() > TRACE:
            lines = find_lines(piece, side)[0]
        found = [spot._replace(quad=spot.quad + origin) for spot in lines]
        spots += [spot for spot in found if own[0] <= spot.quad.mean(axis=0)[int(tall)] < own[1]]
    notes = []
    if long > _piece_length(short, long) > max(2 * short, _SHORT):
        notes.append(Message("the picture is too long for its text to be read at full size"))
    kept = _highest(spots)
    if len(kept) < len(spots):
        notes.append(Message("only the {kept} tallest of its {all} lines were read", kept=len(kept), all=len(spots)))
    return kept, notes


def _highest(spots: list[Spot]) -> list[Spot]:
    """Return the lines of the highest letters, as many as have `LETTERS` letters, in order."""
    letters = np.array([2 * min(spot.width / max(spot.height, 1.0), _LONGEST) for spot in spots])
    order = np.argsort([-spot.height for spot in spots], kind="stable")
    return [spots[i] for i in np.sort(order[np.cumsum(letters[order]) <= LETTERS])]


def _piece_length(short: int, long: int) -> int:
    """Return how long each piece of a strip is: `PIECES` of them, each over half of the next, cover it."""
    return max(2 * short, _SHORT, math.ceil(long / (0.75 * (PIECES - 1) + 1)))


def _pieces(short: int, long: int) -> list[tuple[int, int, tuple[float, float]]]:
    """Return where along its longer side a picture is looked at: start, stop, and the part between whose lines are its own.

    Pieces overlap by a quarter, so that a line that one of them cuts is whole in its neighbour.
    """
    length = _piece_length(short, long)
    if long <= STRIP * short or long <= length:
        return [(0, long, (-np.inf, np.inf))]
    count = math.ceil((long - length) / (0.75 * length)) + 1
    starts = [round(i * (long - length) / (count - 1)) for i in range(count)]
    borders = [-np.inf, *((a + length + b) / 2 for a, b in itertools.pairwise(starts)), np.inf]
    return [(s, s + length, (borders[i], borders[i + 1])) for i, s in enumerate(starts)]


def _readings(pixels: UInt8Array, spots: list[Spot], scale: float) -> list[Reading]:
    quads = [spot.quad for spot in spots]
    crops = [_crop(pixels, q) for q in quads]
    best = [(text, letters, q, False) for (text, letters), q in zip(map(_decode, _recognise(crops)), quads, strict=True)]
    # Two letters read one way round say nothing: NO is ON.
    long = [i for i, crop in enumerate(crops) if crop.shape[1] > LONG * crop.shape[0]]
    unsure = [i for i in long if _mean(best[i][1]) < UNSURE and spots[i].likelihood >= PRINT]
    # Beside a line that is read surely, only what was read as a word may be one upside down, and nothing is in a mirror.
    settled = any(_mean(letters) >= SURE and len(text) >= 3 for text, letters, _, _ in best)
    turned = [i for i in unsure if not settled or len(best[i][0]) >= 3]
    mirrored = [] if settled else unsure
    again = _recognise([*(crops[i][::-1, ::-1] for i in turned), *(crops[i][:, ::-1] for i in mirrored)])
    asked = [*((i, False) for i in turned), *((i, True) for i in mirrored)]
    for (i, flip), (text, letters) in zip(asked, map(_decode, again), strict=True):
        if _mean(letters) > max(_mean(best[i][1]), UNSURE - 0.1) + 0.1 and len(text) >= 3:
            quad = quads[i] if flip else np.roll(quads[i], 2, axis=0)
            best[i] = (text, letters, quad, flip)
    found = []
    for text, letters, quad, flip in best:
        if text.strip() and _mean(letters) >= 0.5:
            polygon = tuple((float(x * scale), float(y * scale)) for x, y in quad)
            found.append(Reading(text, _mean(letters), letters, polygon, flip))
    return found


def _mean(letters: Sequence[float]) -> float:
    return sum(letters) / len(letters) if letters else 0.0


def _crop(pixels: UInt8Array, quad: FloatArray) -> UInt8Array:
    """Warp the quadrilateral to a rectangle of its own size, at least 4 pixels high."""
    import cv2

    width = max(round(max(math.dist(quad[0], quad[1]), math.dist(quad[3], quad[2]))), 4)
    height = max(round(max(math.dist(quad[0], quad[3]), math.dist(quad[1], quad[2]))), 4)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    if max(pixels.shape[:2]) > _WARPED:
        left, top = np.maximum(np.floor(quad.min(axis=0)).astype(int) - 2, 0)
        right, bottom = np.ceil(quad.max(axis=0)).astype(int) + 2
        pixels, quad = np.ascontiguousarray(pixels[top:bottom, left:right]), quad - np.array([left, top], np.float32)
    matrix = cv2.getPerspectiveTransform(np.ascontiguousarray(quad, np.float32), corners)
    out: UInt8Array = cv2.warpPerspective(
        pixels, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return out


def _view(crop: UInt8Array, scale: float, margin: float) -> UInt8Array:
    import cv2

    pad = round(margin * len(crop))
    if pad:
        crop = cv2.copyMakeBorder(crop, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    height = max(round(min(len(crop), HEIGHT) * scale), 4)
    width = max(round(crop.shape[1] * height / len(crop)), 4)
    out: UInt8Array = cv2.resize(
        crop, (width, height), interpolation=cv2.INTER_AREA if height < len(crop) else cv2.INTER_CUBIC
    )
    return out


def _recognise(crops: Iterable[UInt8Array]) -> Iterator[FloatArray]:
    """Yield per crop the class probabilities (T, C) of the recogniser.

    Each crop is a forward pass of its own: padding to a common width would let one line's length change another's reading.
    One at a time: the probabilities of a long line take 17 MB.
    """
    import cv2

    session = engine().text_rec.session
    for crop in crops:
        checkpoint()
        width = max(math.ceil(HEIGHT * crop.shape[1] / crop.shape[0]), 8)
        line = cv2.resize(np.ascontiguousarray(crop), (min(width, _LONGEST * HEIGHT), HEIGHT))
        yield np.asarray(session(as_asked(line))[0], np.float32)


def _decode(probabilities: FloatArray) -> tuple[str, tuple[float, ...]]:
    """Read greedily: best class per step, repeats merged, blanks dropped."""
    steps = probabilities.argmax(axis=1)
    keep = (steps != 0) & (steps != np.concatenate([[-1], steps[:-1]]))
    characters = engine().text_rec.postprocess_op.character
    return "".join(characters[i] for i in steps[keep]), tuple(float(p) for p in probabilities[keep, steps[keep]])
