"""Lettering, leather, weave and metal: what drawn surfaces are made of."""

from __future__ import annotations

import importlib.util
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from imgmatch.errors import MissingExtraError

__all__ = ["LIGHT", "Colour", "FloatArray", "Mask", "grain", "lettering", "metal", "mix", "shade"]

Colour = tuple[float, float, float]
"""sRGB in [0, 255]; drawing is done in display values, as an illustrator would."""
FloatArray = npt.NDArray[np.floating[Any]]
"""float32 in practice; where a step in between is float64, nothing depends on it."""
Mask = npt.NDArray[np.uint8]
"""(H, W) coverage, 0 to 255."""

LIGHT = (-0.6, -0.8)  # direction towards the light on a sheet, x right and y down: from the upper left


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """Return the colour between `a` (t = 0) and `b` (t = 1)."""
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t)


def shade(colour: Colour, factor: float) -> Colour:
    """Return `colour` darker (factor < 1) or lighter (> 1, towards white)."""
    if factor <= 1:
        return mix((0, 0, 0), colour, factor)
    return mix(colour, (255, 255, 255), min(factor - 1, 1.0))


@lru_cache(maxsize=512)
def lettering(
    text: str,
    height: int,
    tracking: float = 0.0,
    stretch: float = 1.0,
    weight: float = 0.0,
    slant: float = 0.0,
    face: str = "",
) -> Mask:
    """Return `text` as coverage, cropped to its ink.

    Parameters
    ----------
    text : str
    height : int
        Of the picture in pixels, within one.
    tracking : float
        Extra space between letters, in units of the height.
    stretch : float
        Horizontal stretch of the letters.
    weight : float
        Thickness added to the strokes, in units of the height.
    slant : float
        Shear to the right, 0 for upright.
    face : str
        Empty for Aileron, the font inside Pillow (its licence: CC0), so that a picture is the same on every machine; else a
        font that Matplotlib carries, such as ``DejaVuSerif``.
    """
    size = max(8, round(height * 1.38))  # the cap height of Aileron is 0.72 em
    font = _carried(face, size) if face else ImageFont.load_default(size)
    stroke = round(weight * height)
    gap = tracking * height
    widths = [font.getlength(c) for c in text]
    total = math.ceil(sum(widths) + gap * len(text)) + 4 * stroke + size
    picture = PillowImage.new("L", (total, 2 * size), 0)
    pen = ImageDraw.Draw(picture)
    x = size / 4 + 2 * stroke
    for character, width in zip(text, widths, strict=True):
        pen.text((x, size / 2), character, fill=255, font=font, stroke_width=stroke)
        x += width + gap
    pixels = np.asarray(picture)
    if slant:
        shear = np.array([[1, -slant, slant * size], [0, 1, 0]], np.float32)
        pixels = cv2.warpAffine(pixels, shear, (total + round(abs(slant) * size * 2), 2 * size), flags=cv2.INTER_LINEAR)
    x0, y0, w, h = cv2.boundingRect(pixels)
    if w == 0:
        return np.zeros((height, 1), np.uint8)
    pixels = pixels[y0 : y0 + h, x0 : x0 + w]
    return np.asarray(
        cv2.resize(pixels, (max(1, round(w * stretch * height / h)), height), interpolation=cv2.INTER_AREA), np.uint8
    )


def _carried(face: str, size: int) -> ImageFont.FreeTypeFont:
    """Return a font of those that Matplotlib carries."""
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        raise MissingExtraError(f"lettering in {face}", "case")
    return ImageFont.truetype(str(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{face}.ttf"), size)


TILE = 512  # pixels of a texture tile; it repeats seamlessly


@lru_cache(maxsize=16)
def grain(kind: str) -> FloatArray:
    """Return a seamless texture tile, shape (512, 512), a factor around 1 to multiply a colour with.

    Parameters
    ----------
    kind : str
        ``leather`` (pebbled), ``smooth`` (fine calf), ``canvas`` (coated weave), ``suede``, ``croc`` (scales),
        ``brushed`` (metal).
    """
    rng = np.random.default_rng([7, len(kind), ord(kind[0])])
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float32) / TILE

    def noise(low: float, high: float) -> FloatArray:
        f = np.fft.fft2(rng.standard_normal((TILE, TILE)))
        fx = np.fft.fftfreq(TILE)[None] * TILE
        radius = np.hypot(fx, fx.T)
        band = np.exp(-((radius / high) ** 2)) - np.exp(-((radius / low) ** 2))
        n = np.fft.ifft2(f * band).real
        return np.asarray(n / n.std(), np.float32)

    def emboss(height: FloatArray, depth: float) -> FloatArray:
        gx = np.roll(height, -1, 1) - np.roll(height, 1, 1)
        gy = np.roll(height, -1, 0) - np.roll(height, 1, 0)
        light = gx * -LIGHT[0] + gy * -LIGHT[1]
        return np.asarray(1 - depth * light / (light.std() + 1e-6), np.float32)

    if kind == "leather":
        cells = np.abs(noise(24, 46))
        pebbles = np.minimum(cells, 1.0)
        return np.asarray(emboss(pebbles, 0.05) * (0.92 + 0.08 * pebbles) * (1 + 0.012 * noise(2, 8)), np.float32)
    if kind == "smooth":
        return np.asarray(emboss(noise(60, 140), 0.016) * (1 + 0.012 * noise(1, 5)), np.float32)
    if kind == "canvas":
        weave = np.sin(2 * np.pi * 64 * (x + y)) * np.sin(2 * np.pi * 64 * (x - y))
        return np.asarray(1 + 0.035 * weave + 0.02 * noise(30, 120), np.float32)
    if kind == "suede":
        return np.asarray(1 + 0.03 * noise(40, 160) + 0.03 * noise(2, 10), np.float32)
    if kind == "croc":
        rows = 12
        v = y * rows
        u = x * rows * 0.75 + 0.5 * (np.floor(v) % 2) + 0.05 * np.sin(2 * np.pi * 3 * y)
        edge = np.minimum(np.abs(u - np.round(u)), np.abs(v - np.round(v)) * 0.9)
        scales = np.clip(edge / 0.16, 0, 1) ** 0.6
        return np.asarray(emboss(cv2.GaussianBlur(scales, (0, 0), 1.5), 0.06) * (0.72 + 0.28 * scales), np.float32)
    if kind == "brushed":
        lines = cv2.GaussianBlur(
            rng.standard_normal((TILE, TILE)).astype(np.float32), (0, 0), sigmaX=40, sigmaY=0.8, borderType=cv2.BORDER_WRAP
        )
        return np.asarray(1 + 0.045 * lines / lines.std(), np.float32)
    raise ValueError(f"expected leather, smooth, canvas, suede, croc or brushed, got {kind!r}")


@lru_cache(maxsize=64)
def _reflections(tone: Colour) -> npt.NDArray[np.float32]:
    stops = [0.0, 0.14, 0.26, 0.34, 0.42, 0.60, 0.80, 1.0]
    values = [0.80, 1.22, 1.30, 0.98, 0.52, 0.70, 1.02, 0.80]
    ramp = np.interp(np.arange(1024) / 1024, stops, values)[:, None]
    colour = np.asarray(tone) * np.minimum(ramp, 1.0)
    return np.asarray(colour + (255 - colour) * np.clip(ramp - 1.0, 0, 1) * 1.6, np.float32)


def metal(t: FloatArray, tone: Colour) -> FloatArray:
    """Return polished metal of base colour `tone` for positions `t` along the reflected room, shape (..., 3).

    The ramp is a studio as a polished surface shows it: bright softbox, dark horizon, lit floor, repeating with period 1.
    """
    return np.asarray(_reflections(tone)[np.asarray(np.asarray(t) * 1024, np.int32) & 1023])
