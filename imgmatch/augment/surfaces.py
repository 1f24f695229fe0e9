"""What private sellers put things on: wood, bed sheets, carpet, stone, tiles, a desk with clutter. Also unrelated goods."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from imgmatch.augment.textures import FloatArray

__all__ = ["SURFACES", "noise", "surface"]

Photo = npt.NDArray[np.uint8]

SURFACES = ("wood", "sheet", "carpet", "marble", "tiles", "desk", "plaid", "concrete")
SIDE = 640


def noise(rng: np.random.Generator, height: int, width: int, cells: tuple[int, int]) -> FloatArray:
    """Return smooth noise, about standard normal, with `cells` bumps down and across."""
    small = rng.standard_normal((max(cells[0], 2), max(cells[1], 2))).astype(np.float32)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


@lru_cache(maxsize=96)
def surface(kind: str, seed: int) -> Photo:
    """Return a surface seen from above, shape (640, 640, 3), uint8.

    Parameters
    ----------
    kind : str
        One of :data:`SURFACES`.
    seed : int
        Which one of its kind.
    """
    if kind not in SURFACES:
        raise ValueError(f"expected one of {', '.join(SURFACES)}, got {kind!r}")
    rng = np.random.default_rng([seed, SURFACES.index(kind), 0x5F])
    makers = {
        "wood": _wood,
        "sheet": _sheet,
        "carpet": _carpet,
        "marble": _marble,
        "tiles": _tiles,
        "desk": _desk,
        "plaid": _plaid,
        "concrete": _concrete,
    }
    return np.asarray(np.clip(makers[kind](rng), 0, 255), np.uint8)


def _colour(rng: np.random.Generator, *choices: tuple[int, int, int]) -> FloatArray:
    base = np.asarray(choices[rng.integers(len(choices))], np.float32)
    return np.asarray(base * rng.uniform(0.88, 1.1), np.float32)


def _wood(rng: np.random.Generator) -> FloatArray:
    base = _colour(rng, (172, 128, 84), (120, 82, 52), (204, 172, 130), (92, 66, 48))
    out = np.empty((SIDE, SIDE, 3), np.float32)
    y = 0
    while y < SIDE:
        h = min(int(rng.integers(90, 130)), SIDE - y)
        knots = noise(rng, h, SIDE, (4, 5))
        lines = np.sin((np.arange(h, dtype=np.float32)[:, None] * 0.24 + knots * 4.0) + noise(rng, h, SIDE, (8, 3)) * 2)
        fine = noise(rng, h, SIDE, (h, 24))
        tone = rng.uniform(0.9, 1.08) * (1 + 0.06 * lines + 0.035 * fine)
        out[y : y + h] = base * tone[..., None]
        out[y : y + 2] *= 0.55
        y += h
    return out


def _sheet(rng: np.random.Generator) -> FloatArray:
    base = _colour(rng, (226, 224, 220), (196, 206, 216), (214, 196, 188), (150, 160, 170), (232, 226, 208))
    height = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(5):
        angle, f = rng.uniform(0, np.pi), rng.uniform(0.008, 0.02)
        y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
        along = (x * np.cos(angle) + y * np.sin(angle)) * f + noise(rng, SIDE, SIDE, (5, 5)) * 0.9
        height += np.abs(np.sin(along)).astype(np.float32) ** 0.7 * np.float32(rng.uniform(0.4, 1))
    height = cv2.GaussianBlur(height, (0, 0), 4)
    light = cv2.Sobel(height, cv2.CV_32F, 1, 0) * 0.7 + cv2.Sobel(height, cv2.CV_32F, 0, 1)
    shade = np.clip(1 - 0.10 * light / light.std(), 0.6, 1.15) * (
        1 + 0.012 * rng.standard_normal((SIDE, SIDE)).astype(np.float32)
    )
    return np.asarray(base * shade[..., None], np.float32)


def _carpet(rng: np.random.Generator) -> FloatArray:
    base = _colour(rng, (150, 140, 128), (96, 92, 98), (168, 120, 96), (110, 124, 112), (190, 178, 158))
    pile = cv2.GaussianBlur(rng.standard_normal((SIDE, SIDE)).astype(np.float32), (0, 0), 1.3)
    tone = 1 + 0.13 * pile / pile.std() + 0.05 * noise(rng, SIDE, SIDE, (6, 6))
    return np.asarray(base * tone[..., None], np.float32)


def _marble(rng: np.random.Generator) -> FloatArray:
    base = _colour(rng, (232, 230, 226), (60, 62, 66), (208, 200, 188))
    field = noise(rng, SIDE, SIDE, (4, 4)) + 0.5 * noise(rng, SIDE, SIDE, (11, 11)) + 0.2 * noise(rng, SIDE, SIDE, (40, 40))
    vein = np.exp(-((np.abs(field) / 0.05) ** 2)) + 0.5 * np.exp(-((np.abs(field - 0.7) / 0.04) ** 2))
    sign = -0.22 if base.mean() > 120 else 0.9
    return np.asarray(base * (1 + sign * vein + 0.03 * field)[..., None], np.float32)


def _tiles(rng: np.random.Generator) -> FloatArray:
    base = _colour(rng, (214, 208, 198), (176, 182, 184), (190, 150, 118))
    pitch = int(rng.integers(110, 190))
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    tone = rng.uniform(0.93, 1.05, (SIDE // pitch + 2, SIDE // pitch + 2)).astype(np.float32)[y // pitch, x // pitch]
    tone = tone * (1 + 0.02 * noise(rng, SIDE, SIDE, (60, 60)))
    grout = np.minimum(np.minimum(x % pitch, pitch - x % pitch), np.minimum(y % pitch, pitch - y % pitch)) < 3
    return np.asarray(base * np.where(grout, 0.68, tone)[..., None], np.float32)


def _plaid(rng: np.random.Generator) -> FloatArray:
    a, b = (
        _colour(rng, (168, 60, 54), (60, 86, 120), (76, 104, 80)),
        _colour(rng, (226, 218, 202), (40, 42, 50), (206, 178, 120)),
    )
    pitch = rng.uniform(70, 130)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    bands = 0.5 * ((x / pitch % 1) < 0.4).astype(np.float32) + 0.5 * ((y / pitch % 1) < 0.4).astype(np.float32)
    weave = 1 + 0.05 * np.sin(x * 2.1) * np.sin(y * 2.1) + 0.05 * noise(rng, SIDE, SIDE, (5, 5))
    return np.asarray((a * (1 - bands[..., None]) + b * bands[..., None]) * weave[..., None], np.float32)


def _concrete(rng: np.random.Generator) -> FloatArray:
    base = _colour(rng, (168, 166, 162), (130, 128, 126))
    tone = (
        1
        + 0.05 * noise(rng, SIDE, SIDE, (5, 5))
        + 0.04 * noise(rng, SIDE, SIDE, (30, 30))
        + 0.04 * rng.standard_normal((SIDE, SIDE)).astype(np.float32)
    )
    return np.asarray(base * tone[..., None], np.float32)


def _desk(rng: np.random.Generator) -> FloatArray:
    out = (_wood if rng.random() < 0.5 else _concrete)(rng)
    for _ in range(int(rng.integers(5, 9))):
        # Things lie around the middle, where the goods go.
        a, r = rng.uniform(0, 2 * np.pi), rng.uniform(190, 300)
        cx, cy = SIDE / 2 + r * np.cos(a), SIDE / 2 + r * np.sin(a)
        colour = tuple(float(v) for v in rng.uniform(30, 230, 3))
        mask = np.zeros((SIDE, SIDE), np.uint8)
        kind = rng.integers(3)
        if kind == 0:  # a cup from above
            cv2.circle(mask, (int(cx), int(cy)), int(rng.integers(34, 56)), 255, -1, cv2.LINE_AA)
        else:  # a book, a sheet of paper, a phone
            w, h = rng.uniform(60, 170), rng.uniform(40, 130)
            box = cv2.boxPoints(((cx, cy), (w, h), float(rng.uniform(0, 180))))
            cv2.fillPoly(mask, [np.round(box * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
            if kind == 2:
                colour = (236.0, 234.0, 228.0)
        cast = cv2.GaussianBlur(np.roll(mask, (7, 6), (0, 1)), (0, 0), 6).astype(np.float32) / 255
        out *= (1 - 0.4 * cast)[..., None]
        cover = mask.astype(np.float32)[..., None] / 255
        shading = 1 + 0.08 * noise(rng, SIDE, SIDE, (3, 3))
        out = out * (1 - cover) + np.asarray(colour, np.float32) * shading[..., None] * cover
        if kind == 0:
            inner = cv2.erode(mask, np.ones((9, 9), np.uint8)).astype(np.float32)[..., None] / 255
            out = out * (1 - inner) + np.array([70, 46, 30], np.float32) * inner
    return np.asarray(out, np.float32)
