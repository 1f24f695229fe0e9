"""Unrelated goods: clothes, boots, household things, for the open set, background photos and the far end of a bait."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from imgmatch.augment.conditions import snapshot
from imgmatch.augment.surfaces import SURFACES, noise, surface
from imgmatch.augment.textures import Colour, grain, mix, shade
from imgmatch.world.draw import Sheet, arc, ellipse, rectangle, rounded
from imgmatch.world.render import compose
from imgmatch.world.scene import ProductView

__all__ = ["GOODS", "goods_photo"]

Photo = npt.NDArray[np.uint8]
Drawer = Callable[[Sheet, np.random.Generator, Colour], None]

_FABRIC: tuple[Colour, ...] = (
    (196, 70, 84), (70, 110, 160), (232, 214, 120), (120, 156, 120),
    (236, 232, 226), (60, 60, 68), (190, 140, 170), (222, 140, 80),
)  # fmt: skip


def goods_photo(kind: str, seed: int, *, plain: bool = False, size: int = 480) -> Photo:
    """Return a photo of an unrelated thing, shape (size, size, 3), uint8.

    Parameters
    ----------
    kind : str
        One of :data:`GOODS`.
    seed : int
        Which one of its kind, and where it was photographed.
    plain : bool
        On white, as a shop shows it, in place of somebody's home.
    size : int
        In pixels.
    """
    if kind not in GOODS:
        raise ValueError(f"expected one of {', '.join(GOODS)}, got {kind!r}")
    rng = np.random.default_rng([seed, list(GOODS).index(kind), 0x60])
    s = Sheet(-1.15, -1.15, 1.15, 1.15, 1.5 * size / 2.3)
    GOODS[kind](s, rng, _FABRIC[int(rng.integers(len(_FABRIC)))])
    rgb, alpha = s.rgb, s.alpha
    if kind in ("tshirt", "dress", "hoodie"):  # cloth has folds
        folds = 1 + 0.06 * noise(rng, *s.shape, (7, 6)) + 0.05 * noise(rng, *s.shape, (3, 9))
        rgb = np.clip(rgb * folds[..., None], 0, 255)
    small = np.asarray(cv2.resize(np.asarray(rgb, np.uint8), (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    cover = np.asarray(cv2.resize(np.asarray(alpha * 255, np.uint8), (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    moved = cv2.warpAffine(cover, np.array([[1.0, 0, 7], [0, 1, 9]]), (size, size))
    view = ProductView(small, cover, np.asarray(cv2.GaussianBlur(moved, (0, 0), 9) * 0.5, np.uint8), {})
    if plain:
        return compose(view, np.full((size, size, 3), 247, np.uint8))
    floor = cv2.resize(surface(str(rng.choice(SURFACES)), int(rng.integers(64))), (size, size), interpolation=cv2.INTER_AREA)
    photo = compose(view, np.asarray(floor, np.uint8))
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), float(rng.normal(0, 10)), float(rng.uniform(1.0, 1.2)))
    turned = np.asarray(
        cv2.warpAffine(photo, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )
    return snapshot(turned, rng, 0.6)


def _cloth(s: Sheet, outline: npt.NDArray[np.float64], colour: Colour, rng: np.random.Generator) -> None:
    texture = s.grain("canvas", 0.4)
    mask = s.fill(outline)
    s.lay("cloth", mask, colour, texture=texture, relief=0.04, depth=0.4, drop=0.02)
    if rng.random() < 0.5:  # a print of stripes or dots
        ink = mix(colour, (250, 250, 250) if sum(colour) < 400 else (30, 40, 60), 0.7)
        motif = np.zeros(s.shape, np.uint8)
        if rng.random() < 0.5:
            for y in np.arange(-1, 1, 0.22):
                np.maximum(motif, s.stroke([(-1.1, y), (1.1, y)], 0.06), out=motif)
        else:
            for x in np.arange(-1, 1, 0.2):
                for y in np.arange(-1, 1, 0.2):
                    np.maximum(motif, s.fill(ellipse(x + 0.1 * (round(y * 5) % 2), y, 0.035, 0.035, 16)), out=motif)
        s.lay(None, np.minimum(motif, mask), ink, texture=texture)


def _tshirt(s: Sheet, rng: np.random.Generator, colour: Colour) -> None:
    half = [(0.22, -0.82), (0.55, -0.72), (1.0, -0.28), (0.76, -0.08), (0.54, -0.3), (0.52, 0.86)]
    outline = rounded([*half, *[(-x, y) for x, y in reversed(half)]], 0.05)
    _cloth(s, outline, colour, rng)
    s.lay(None, s.stroke(arc(0, -0.86, 0.24, 0.18, 10, 170), 0.05), shade(colour, 0.85), relief=0.01)


def _hoodie(s: Sheet, rng: np.random.Generator, colour: Colour) -> None:
    half = [(0.3, -0.72), (0.58, -0.62), (0.98, 0.6), (0.76, 0.66), (0.56, -0.06), (0.54, 0.86)]
    _cloth(s, rounded([*half, *[(-x, y) for x, y in reversed(half)]], 0.06), colour, rng)
    s.lay(
        None,
        s.fill(ellipse(0, -0.72, 0.34, 0.26)),
        shade(colour, 0.8),
        texture=s.grain("canvas", 0.4),
        relief=0.06,
        drop=0.02,
    )
    s.lay(None, s.fill(ellipse(0, -0.66, 0.2, 0.18)), shade(colour, 0.45))
    s.lay(
        None,
        s.fill(rounded([(-0.34, 0.3), (0.34, 0.3), (0.44, 0.64), (-0.44, 0.64)], 0.05)),
        shade(colour, 0.92),
        relief=0.02,
        drop=0.01,
    )


def _dress(s: Sheet, rng: np.random.Generator, colour: Colour) -> None:
    half = [(0.14, -1.0), (0.24, -0.98), (0.34, -0.6), (0.26, -0.2), (float(rng.uniform(0.5, 0.85)), 0.96)]
    _cloth(s, rounded([*half, *[(-x, y) for x, y in reversed(half)]], 0.06), colour, rng)
    s.lay(None, s.stroke([(-0.27, -0.2), (0.27, -0.2)], 0.06), shade(colour, 0.7), relief=0.02, drop=0.01)


def _boots(s: Sheet, rng: np.random.Generator, colour: Colour) -> None:
    for dx in (-0.5, 0.42):
        boot = rounded(
            np.array([(-0.2, -0.8), (0.2, -0.8), (0.2, 0.2), (0.5, 0.36), (0.52, 0.6), (-0.22, 0.6)]) + np.array([dx, 0.0]),
            [0.05, 0.05, 0.2, 0.2, 0.1, 0.08],
        )
        s.lay("boot", s.fill(boot), colour, texture=s.grain("suede", 0.5), relief=0.1, depth=0.6, gloss=0.3, drop=0.03)
        s.lay(
            None,
            s.fill(rounded(np.array(rectangle(-0.24, 0.58, 0.55, 0.72)) + np.array([dx, 0.0]), 0.04)),
            (232, 226, 214),
            relief=0.03,
            drop=0.02,
        )
        s.lay(
            None,
            s.fill(rounded(np.array(rectangle(-0.22, -0.86, 0.22, -0.68)) + np.array([dx, 0.0]), 0.05)),
            shade(colour, 1.5),
            relief=0.05,
        )
        for y in (-0.5, -0.34, -0.18):
            s.lay(
                None,
                s.stroke(np.array([(-0.02, y), (0.18, y + 0.04)]) + np.array([dx, 0.0]), 0.03),
                (244, 240, 232),
                relief=0.01,
            )


def _mug(s: Sheet, rng: np.random.Generator, colour: Colour) -> None:
    s.lay("handle", s.stroke(ellipse(0.66, 0.05, 0.26, 0.34), 0.13, closed=True), colour, relief=0.08, gloss=0.5, drop=0.03)
    body = rounded([(-0.62, -0.66), (0.62, -0.66), (0.56, 0.76), (-0.56, 0.76)], [0.05, 0.05, 0.2, 0.2])
    s.lay("body", s.fill(body), colour, relief=0.22, depth=0.6, gloss=0.4, drop=0.03)
    s.lay(None, s.fill(ellipse(0, -0.66, 0.62, 0.13)), shade(colour, 0.6), relief=0.03)
    s.lay(None, s.fill(ellipse(0, -0.64, 0.55, 0.09)), (74, 48, 30))


def _lamp(s: Sheet, rng: np.random.Generator, colour: Colour) -> None:
    s.lay_metal("stand", s.fill(rounded(rectangle(-0.04, -0.1, 0.04, 0.8), 0.01)), (190, 170, 120), drop=0.02)
    s.lay_metal("foot", s.fill(ellipse(0, 0.82, 0.42, 0.12)), (190, 170, 120), relief=0.05, drop=0.03)
    cone = rounded([(-0.34, -0.92), (0.34, -0.92), (0.72, 0.04), (-0.72, 0.04)], 0.03)
    s.lay(
        "shade",
        s.fill(cone),
        mix(colour, (255, 244, 214), 0.5),
        texture=s.tiled(grain("canvas"), 0.5),
        relief=0.2,
        depth=0.5,
        drop=0.03,
    )


def _book(s: Sheet, rng: np.random.Generator, colour: Colour) -> None:
    s.lay("pages", s.fill(rectangle(-0.62, -0.86, 0.74, 0.94)), (240, 236, 224), relief=0.02, drop=0.04)
    s.lay("cover", s.fill(rounded(rectangle(-0.7, -0.92, 0.68, 0.88), 0.02)), colour, relief=0.02, drop=0.02)
    s.lay(None, s.fill(rectangle(-0.7, -0.92, -0.58, 0.88)), shade(colour, 0.75))
    for y, w in ((-0.5, 0.4), (-0.36, 0.3), (0.6, 0.22)):
        s.lay(None, s.stroke([(0.05 - w, y), (0.05 + w, y)], 0.06), mix(colour, (255, 250, 230), 0.8))


def _pot(s: Sheet, rng: np.random.Generator, colour: Colour) -> None:
    for _ in range(16):
        a = float(rng.uniform(-1.1, 1.1))
        tip = np.array([np.sin(a) * 0.9, -0.1 - np.cos(a) * 0.85])
        side = np.array([np.cos(a), np.sin(a)]) * 0.12
        middle = np.array([0, 0.1]) * 0.45 + tip * 0.55
        leaf = rounded(np.array([[0, 0.1], middle + side, tip, middle - side]), [0, 0.12, 0.02, 0.12])
        s.lay("plant", s.fill(leaf), (50 + 30 * rng.random(), 110 + 50 * rng.random(), 60), relief=0.03, drop=0.02)
    pot = rounded([(-0.5, 0.1), (0.5, 0.1), (0.38, 0.95), (-0.38, 0.95)], 0.04)
    s.lay("pot", s.fill(pot), colour, texture=s.grain("suede", 0.6), relief=0.15, depth=0.6, drop=0.03)


def _headphones(s: Sheet, rng: np.random.Generator, colour: Colour) -> None:
    s.lay("band", s.stroke(arc(0, 0.1, 0.72, 0.86, 180, 360), 0.13), colour, relief=0.06, depth=0.7, gloss=0.5, drop=0.03)
    for sx in (-1, 1):
        s.lay(
            "cup",
            s.fill(rounded(np.array(rectangle(-0.16, -0.26, 0.16, 0.34)) + np.array([sx * 0.7, 0.2]), 0.14)),
            shade(colour, 0.7),
            relief=0.1,
            depth=0.7,
            gloss=0.3,
            drop=0.03,
        )


def _chair(s: Sheet, rng: np.random.Generator, colour: Colour) -> None:
    wood: Colour = (150, 104, 64)
    for x in (-0.5, 0.5):
        s.lay(
            "leg",
            s.fill(rounded([(x - 0.05, -0.9), (x + 0.05, -0.9), (x * 1.15 + 0.05, 1.0), (x * 1.15 - 0.05, 1.0)], 0.02)),
            wood,
            relief=0.04,
            drop=0.02,
        )
    for y in (-0.78, -0.5, -0.22):
        s.lay("back", s.fill(rounded(rectangle(-0.5, y, 0.5, y + 0.14), 0.03)), wood, relief=0.03, drop=0.02)
    s.lay(
        "seat",
        s.fill(rounded([(-0.62, 0.1), (0.62, 0.1), (0.72, 0.34), (-0.72, 0.34)], 0.06)),
        colour,
        texture=s.grain("canvas", 0.4),
        relief=0.06,
        drop=0.03,
    )


GOODS: dict[str, Drawer] = {
    "tshirt": _tshirt,
    "hoodie": _hoodie,
    "dress": _dress,
    "boots": _boots,
    "mug": _mug,
    "lamp": _lamp,
    "book": _book,
    "plant": _pot,
    "headphones": _headphones,
    "chair": _chair,
}
"""Kinds of unrelated goods."""
