"""What re-posters do to a photo: crop, caption, flip, recolour, screenshot, collage … and where the source went."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from imgmatch.augment.changes import Changed, Photo, check_photo, recompressed, scaling, unmarked
from imgmatch.augment.surfaces import SURFACES, surface
from imgmatch.augment.textures import lettering

__all__ = ["EDITS", "edit"]

_Edit = Callable[[Photo, np.random.Generator, float, Sequence[Photo]], Changed]


def edit(name: str, image: Photo, rng: np.random.Generator, strength: float = 0.5, others: Sequence[Photo] = ()) -> Changed:
    """Make a copy of a photo as a re-poster would.

    Parameters
    ----------
    name : str
        One of :data:`EDITS`.
    image : ndarray, shape (H, W, 3), uint8
    rng : numpy.random.Generator
    strength : float
        In [0, 1]; for ``crop`` 1 keeps 20 % of the area.
    others : sequence of photos
        What ``collage``, ``side_by_side``, ``order_this`` and ``picture_in_picture`` put beside it; without any, pictures
        of surfaces. The other edits have no use for them.

    Raises
    ------
    ValueError
        For an unknown name, a photo of another shape or type, or a strength outside [0, 1].
    """
    if name not in EDITS:
        raise ValueError(f"expected one of {', '.join(EDITS)}, got {name!r}")
    check_photo(image, strength)
    return EDITS[name](image, rng, strength, others)


def _same_place(name: str, strength: float, image: Photo) -> Changed:
    return Changed(name, strength, image, np.eye(3), unmarked(image))


def _crop(image: Photo, rng: np.random.Generator, strength: float, _: Sequence[Photo]) -> Changed:
    h, w = image.shape[:2]
    side = np.sqrt(1 - 0.8 * strength)
    ch, cw = max(8, round(h * side)), max(8, round(w * side))
    # Re-posters keep the product: the window leans to the middle.
    x = round((w - cw) * rng.beta(2, 2))
    y = round((h - ch) * rng.beta(2, 2))
    out = image[y : y + ch, x : x + cw].copy()
    return Changed("crop", strength, out, scaling(1, 1, -x, -y), unmarked(out))


def _resize(image: Photo, rng: np.random.Generator, strength: float, _: Sequence[Photo]) -> Changed:
    h, w = image.shape[:2]
    k = 1 - 0.75 * strength * rng.uniform(0.8, 1)
    size = (max(16, round(w * k)), max(16, round(h * k)))
    out = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Changed("resize", strength, out, scaling(size[0] / w, size[1] / h), unmarked(out))


def _recompress(image: Photo, rng: np.random.Generator, strength: float, _: Sequence[Photo]) -> Changed:
    return _same_place("recompress", strength, recompressed(image, int(80 - 65 * strength + rng.uniform(-4, 4))))


_CAPTIONS = (
    "DM TO ORDER",
    "NEW IN - LINK IN BIO",
    "BEST QUALITY 1:1",
    "SALE 50% TODAY",
    "FREE SHIPPING",
    "LAST PIECES",
    "ASK FOR PRICE",
)


def _write(
    image: Photo, text: str, x: int, y: int, height: int, colour: tuple[int, int, int], opacity: float = 1.0
) -> np.ndarray:
    """Write on a photo in place, top left at (x, y); return the mask of what was written."""
    ink = lettering(text, max(8, height), 0.06)
    mask = np.zeros(image.shape[:2], bool)
    h, w = min(ink.shape[0], image.shape[0] - y), min(ink.shape[1], image.shape[1] - x)
    if h <= 0 or w <= 0 or x < 0 or y < 0:
        return mask
    at = (slice(y, y + h), slice(x, x + w))
    a = ink[:h, :w].astype(np.float32)[..., None] / 255 * opacity
    image[at] = np.clip(image[at] * (1 - a) + np.array(colour, np.float32) * a, 0, 255).astype(np.uint8)
    mask[at] = a[..., 0] > 0.1
    return mask


def _caption(image: Photo, rng: np.random.Generator, strength: float, _: Sequence[Photo]) -> Changed:
    h, w = image.shape[:2]
    bar = max(10, round(h * (0.08 + 0.16 * strength)))
    ground = np.array([[20, 20, 20], [250, 250, 250], [206, 36, 60], [250, 214, 60]])[rng.integers(4)]
    text: tuple[int, int, int] = (255, 255, 255) if ground.sum() < 400 else (10, 10, 10)
    inside = rng.random() < 0.4
    top = rng.random() < 0.3
    out = np.empty((h if inside else h + bar, w, 3), np.uint8)
    start = bar if top and not inside else 0
    out[start : start + h] = image
    y = 0 if top else out.shape[0] - bar
    out[y : y + bar] = ground
    height = max(8, min(round(bar * 0.42), w // 12))
    _write(out, str(rng.choice(_CAPTIONS)), round(w * 0.06), y + (bar - height) // 2, height, text)
    mask = np.zeros(out.shape[:2], bool)
    mask[y : y + bar] = True
    return Changed("caption", strength, out, scaling(1, 1, 0, start), mask)


_STICKERS = ("SALE", "-50%", "NEW", "HOT")


def _caption_and_sticker(image: Photo, rng: np.random.Generator, strength: float, others: Sequence[Photo]) -> Changed:
    captioned = _caption(image, rng, strength, others)
    out, mask = captioned.image, captioned.mask
    h, w = out.shape[:2]
    radius = max(8, round(min(h, w) * (0.1 + 0.1 * strength)))
    x, y = (round(rng.uniform(radius, max(side - radius, radius + 1))) for side in (w, h))
    colour = tuple(
        int(v) for v in np.array([[220, 30, 40], [250, 210, 40], [30, 120, 220], [255, 255, 255]])[rng.integers(4)]
    )
    shape = np.zeros((h, w), np.uint8)
    if rng.random() < 0.5:
        cv2.circle(shape, (x, y), radius, 1, -1)
    else:
        cv2.rectangle(shape, (x - radius, y - round(0.7 * radius)), (x + radius, y + round(0.7 * radius)), 1, -1)
    out[shape > 0] = colour
    height = max(8, radius // 2)
    ink: tuple[int, int, int] = (255, 255, 255) if sum(colour) < 450 else (10, 10, 10)
    _write(out, str(rng.choice(_STICKERS)), max(x - round(0.8 * radius), 0), max(y - height // 2, 0), height, ink)
    return Changed("caption_and_sticker", strength, out, captioned.homography, mask | (shape > 0))


def _watermark(image: Photo, rng: np.random.Generator, strength: float, _: Sequence[Photo]) -> Changed:
    out = image.copy()
    h, w = out.shape[:2]
    mask = np.zeros((h, w), bool)
    first, last = rng.choice(["lux", "vip", "top", "bag", "mode"]), rng.choice(["house", "store", "hub", "outlet"])
    text = f"@{first}{last}{rng.integers(10, 99)}"
    for i in range(1 + round(3 * strength)):
        y = round(h * (0.12 + 0.76 * ((i + rng.random()) / (2 + 3 * strength)))) % max(1, h - 12)
        mask |= _write(
            out,
            text,
            x=round(w * rng.uniform(0.02, 0.35)),
            y=y,
            height=max(8, round(h * 0.05)),
            colour=(255, 255, 255),
            opacity=0.35 + 0.4 * strength,
        )
    return Changed("watermark", strength, out, np.eye(3), mask)


def _border(image: Photo, rng: np.random.Generator, strength: float, _: Sequence[Photo]) -> Changed:
    h, w = image.shape[:2]
    t, b, left, r = (max(1, round(min(h, w) * strength * v)) for v in rng.uniform(0.05, 0.25, 4))
    colour = [int(v) for v in rng.choice([[255, 255, 255], [0, 0, 0], [240, 200, 210], [30, 60, 120]])]
    out = np.asarray(cv2.copyMakeBorder(image, t, b, left, r, cv2.BORDER_CONSTANT, value=colour), np.uint8)
    mask = np.ones(out.shape[:2], bool)
    mask[t : t + h, left : left + w] = False
    return Changed("border", strength, out, scaling(1, 1, left, t), mask)


def _flip(image: Photo, rng: np.random.Generator, strength: float, _: Sequence[Photo]) -> Changed:
    out = image[:, ::-1].copy()
    return Changed("flip", strength, out, np.array([[-1.0, 0, image.shape[1] - 1], [0, 1, 0], [0, 0, 1]]), unmarked(out))


def _recolour(image: Photo, rng: np.random.Generator, strength: float, _: Sequence[Photo]) -> Changed:
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.choice([-1, 1]) * rng.uniform(0.5, 1) * 40 * strength) % 180
    hsv[..., 1] *= 1 + rng.uniform(-0.5, 0.5) * strength
    return _same_place(
        "recolour", strength, np.asarray(cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB), np.uint8)
    )


def _filter(image: Photo, rng: np.random.Generator, strength: float, _: Sequence[Photo]) -> Changed:
    grey = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    tint = np.array([[1, 1, 1], [1.10, 0.98, 0.80], [0.88, 1.0, 1.14], [1.12, 0.94, 1.02]], np.float32)[rng.integers(4)]
    out = image * (1 - strength) + grey[..., None] * tint * strength
    return _same_place("filter", strength, np.clip(out + 12 * strength, 0, 255).astype(np.uint8))


def _contrast(image: Photo, rng: np.random.Generator, strength: float, _: Sequence[Photo]) -> Changed:
    gain = np.exp(rng.choice([-0.7, 0.8]) * strength)
    shift = rng.uniform(-30, 30) * strength
    return _same_place(
        "contrast", strength, np.clip((image.astype(np.float32) - 128) * gain + 128 + shift, 0, 255).astype(np.uint8)
    )


def _rotate(image: Photo, rng: np.random.Generator, strength: float, _: Sequence[Photo]) -> Changed:
    h, w = image.shape[:2]
    angle = rng.choice([-1, 1]) * rng.uniform(0.5, 1) * 15 * strength
    warp = np.vstack([cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), angle, 1.0), [0, 0, 1]])
    out = np.asarray(
        cv2.warpPerspective(image, warp, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )
    inside = cv2.warpPerspective(np.full((h, w), 255, np.uint8), warp, (w, h)) > 127
    return Changed("rotate", strength, out, warp, ~inside)


def _fit(image: Photo, width: int, height: int) -> Photo:
    """Return a photo cut and scaled to fill a pane."""
    h, w = image.shape[:2]
    k = max(width / w, height / h)
    big = cv2.resize(
        image,
        (max(width, round(w * k)), max(height, round(h * k))),
        interpolation=cv2.INTER_AREA if k < 1 else cv2.INTER_LINEAR,
    )
    y, x = (big.shape[0] - height) // 2, (big.shape[1] - width) // 2
    return np.asarray(big[y : y + height, x : x + width], np.uint8)


def _other(rng: np.random.Generator, others: Sequence[Photo], width: int, height: int) -> Photo:
    if others:
        return _fit(others[int(rng.integers(len(others)))], width, height)
    return _fit(surface(str(rng.choice(SURFACES)), int(rng.integers(64))), width, height)


def _paste(canvas: Photo, image: Photo, x: int, y: int, width: int, height: int) -> np.ndarray:
    """Paste a photo scaled to exactly (width, height) at (x, y), in place; return the map of its pixels."""
    h, w = image.shape[:2]
    canvas[y : y + height, x : x + width] = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if width < w else cv2.INTER_LINEAR
    )
    return scaling(width / w, height / h, x, y)


def _outside(canvas: Photo, x: int, y: int, width: int, height: int) -> np.ndarray:
    mask = np.ones(canvas.shape[:2], bool)
    mask[y : y + height, x : x + width] = False
    return mask


def _screenshot(image: Photo, rng: np.random.Generator, strength: float, _: Sequence[Photo]) -> Changed:
    """A phone's screen: status bar, address or app bar, the photo across the width, buttons and text below."""
    h, w = image.shape[:2]
    width = w
    bar, foot = max(24, round(0.14 * width)), max(40, round(width * (0.25 + 0.6 * strength)))
    dark = rng.random() < 0.3
    paper, ink = ((18, 18, 20), (236, 236, 238)) if dark else ((252, 252, 252), (24, 24, 28))
    out = np.full((bar + h + foot, width, 3), paper, np.uint8)
    homography = _paste(out, image, 0, bar, width, h)
    letter = max(8, width // 34)
    _write(out, f"{rng.integers(1, 23)}:{rng.integers(10, 59)}", width // 24, bar // 6, letter, ink)
    cv2.rectangle(out, (width - width // 9, bar // 6), (width - width // 26, bar // 6 + letter), ink, -1)
    cv2.circle(out, (width // 12, round(bar * 0.68)), max(4, bar // 7), (170, 150, 190), -1, cv2.LINE_AA)
    _write(
        out,
        str(rng.choice(["luxe_corner", "bag.lover", "timepiece_deals", "closet.sale"])),
        width // 7,
        round(bar * 0.56),
        letter,
        ink,
    )
    for i in range(3):
        cv2.circle(
            out,
            (width // 12 + i * width // 9, bar + h + foot // 6),
            max(4, width // 40),
            ink,
            max(1, width // 200),
            cv2.LINE_AA,
        )
    for i in range(3):
        y = bar + h + foot // 3 + i * round(letter * 1.8)
        if y + letter < out.shape[0]:
            _write(
                out,
                str(
                    rng.choice(
                        [
                            "Selling because never used",
                            "Message me for details",
                            "Pick up or post",
                            "As good as new",
                            "More photos on request",
                        ]
                    )
                ),
                width // 24,
                y,
                letter,
                ink,
            )
    return Changed("screenshot", strength, out, homography, _outside(out, 0, bar, width, h))


def _collage(image: Photo, rng: np.random.Generator, strength: float, others: Sequence[Photo]) -> Changed:
    """Two by two."""
    h, w = image.shape[:2]
    gap = max(1, round(0.02 * w * strength))
    ph, pw = h // 2, w // 2
    out = np.full((2 * ph + gap, 2 * pw + gap, 3), 255, np.uint8)
    mine = int(rng.integers(4))
    homography, place = np.eye(3), (0, 0)
    for i in range(4):
        x, y = (i % 2) * (pw + gap), (i // 2) * (ph + gap)
        if i == mine:
            homography, place = _paste(out, image, x, y, pw, ph), (x, y)
        else:
            out[y : y + ph, x : x + pw] = _other(rng, others, pw, ph)
    return Changed("collage", strength, out, homography, _outside(out, *place, pw, ph))


def _side_by_side(image: Photo, rng: np.random.Generator, strength: float, others: Sequence[Photo]) -> Changed:
    h, w = image.shape[:2]
    gap = max(1, round(0.03 * w * strength))
    out = np.full((h, 2 * w + gap, 3), 255, np.uint8)
    left = rng.random() < 0.5
    x = 0 if left else w + gap
    homography = _paste(out, image, x, 0, w, h)
    out[:, w + gap if left else 0 : 2 * w + gap if left else w] = _other(rng, others, w, h)
    return Changed("side_by_side", strength, out, homography, _outside(out, x, 0, w, h))


def _order_this(image: Photo, rng: np.random.Generator, strength: float, others: Sequence[Photo]) -> Changed:
    """The composite of hidden-link sellers: "order this" over a harmless thing, "get this" over the photo."""
    h, w = image.shape[:2]
    head = max(14, round(h * (0.10 + 0.06 * strength)))
    out = np.full((h + head, 2 * w, 3), 255, np.uint8)
    out[head:, :w] = _other(rng, others, w, h)
    homography = _paste(out, image, w, head, w, h)
    height = max(8, round(head * 0.45))
    words = (("ORDER THIS", "GET THIS"), ("YOU ORDER", "YOU GET"), ("LINK", "REAL ITEM"))[rng.integers(3)]
    for i, text in enumerate(words):
        out[:head, i * w : (i + 1) * w] = (214, 40, 60) if i == 0 else (34, 140, 80)
        _write(out, text, i * w + w // 10, (head - height) // 2, height, (255, 255, 255))
    return Changed("order_this", strength, out, homography, _outside(out, w, head, w, h))


def _picture_in_picture(image: Photo, rng: np.random.Generator, strength: float, others: Sequence[Photo]) -> Changed:
    h, w = image.shape[:2]
    out = _other(rng, others, w, h).copy()
    k = 0.65 - 0.35 * strength
    ph, pw = max(8, round(h * k)), max(8, round(w * k))
    x, y = round((w - pw) * rng.random()), round((h - ph) * rng.random())
    homography = _paste(out, image, x, y, pw, ph)
    return Changed("picture_in_picture", strength, out, homography, _outside(out, x, y, pw, ph))


EDITS: dict[str, _Edit] = {
    "crop": _crop,
    "resize": _resize,
    "recompress": _recompress,
    "caption": _caption,
    "watermark": _watermark,
    "border": _border,
    "flip": _flip,
    "recolour": _recolour,
    "filter": _filter,
    "contrast": _contrast,
    "rotate": _rotate,
    "screenshot": _screenshot,
    "collage": _collage,
    "side_by_side": _side_by_side,
    "order_this": _order_this,
    "picture_in_picture": _picture_in_picture,
    "caption_and_sticker": _caption_and_sticker,
}
"""Copy edits by name; `edit` calls them."""
