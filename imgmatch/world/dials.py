"""The face of a watch: bezel, dial, indices, subdials, hands, date and name.

Units: the radius of the case is 1, the middle of the dial at (0, 0)."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from imgmatch.augment.textures import Colour, Mask, lettering, metal, mix, shade
from imgmatch.world.draw import Sheet, ellipse, rectangle, rounded
from imgmatch.world.logos import figure_ink, wordmark_ink
from imgmatch.world.specs import WatchSpec

__all__ = ["case_outline", "face"]

Points = npt.NDArray[np.float64]


_DIAL = 0.80  # radius of the dial


def case_outline(kind: str, r: float = 1.0) -> Points:
    if kind == "round":
        return ellipse(0, 0, r, r)
    if kind == "octagon":
        t = np.radians(22.5 + 45 * np.arange(8))
        return rounded(np.column_stack([np.cos(t), np.sin(t)]) * r * 1.05, 0.08)
    corner = {"cushion": 0.55, "square": 0.16}[kind]
    k = r * 0.95
    return rounded(rectangle(-k, -k, k, k), corner * r, 16)


def _around(points: Points, degrees: float) -> Points:
    """Turn points drawn at twelve o'clock clockwise about the middle."""
    a = math.radians(degrees)
    return np.asarray(points @ np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]]))


def face(spec: WatchSpec, ppu: float, ring: Points, tone: Colour) -> Sheet:
    s = Sheet(-1.06, -1.06, 1.06, 1.06, ppu * 1.03)
    _bezel(s, spec, ring, tone)
    shape = (
        ellipse(0, 0, _DIAL, _DIAL) if spec.case in ("round", "octagon", "cushion") else case_outline("square", _DIAL / 0.95)
    )
    mask = s.fill(shape)
    x = np.arange(s.shape[1], dtype=np.float32)[None] / s.ppu + s.window[0]
    y = np.arange(s.shape[0], dtype=np.float32)[:, None] / s.ppu + s.window[1]
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    texture = np.ones(s.shape, np.float32)
    if spec.finish == "sunray":
        texture = 1 + 0.22 * np.cos(2 * (angle + 0.75)) * np.clip(radius * 2, 0, 1) + 0.02 * np.sin(angle * 90)
    elif spec.finish == "guilloche":
        inside = np.clip((0.5 - radius) / 0.04, 0, 1)
        texture = 1 + inside * 0.10 * np.sin(radius * 110 + 3 * np.sin(angle * 24))
    elif spec.finish == "stripes":
        texture = 1 + 0.10 * np.sign(np.sin(x * 44)) * np.ones_like(y)
    lift = 1 - 0.22 * np.clip((radius - 0.55) / 0.25, 0, 1)
    s.lay("dial", mask, spec.dial, texture=np.asarray(texture * lift, np.float32))
    light = sum(spec.dial) / 3 > 130
    print_: Colour = (30, 30, 34) if light else (236, 236, 232)
    _track(s, print_)
    for i in range(spec.subdials):
        _subdial(s, spec, ((0, 0.42), (-0.42, 0.0), (0.42, 0.0))[i if spec.subdials == 3 else i + 1], print_)
    _indices(s, spec, print_, tone, light)
    if spec.date:
        d = (
            rounded(rectangle(0.46, -0.07, 0.64, 0.07), 0.01)
            if spec.subdials == 0
            else rounded(rectangle(0.36, 0.36, 0.5, 0.48), 0.01)
        )
        s.lay_metal(None, s.stroke(d, 0.03, closed=True), tone, relief=0.01)
        s.lay("date", s.fill(d), (244, 243, 238))
        cx, cy = d.mean(axis=0)
        s.lay("date", s.stamp(lettering("17", 60, weight=0.02), float(cx), float(cy), 0.10), (24, 24, 26))
    _name(s, spec, print_, tone)
    _hands(s, spec, tone, light)
    # The rehaut shades the rim of the dial, the crystal shows the window of the studio.
    rim = cv2.subtract(mask, s.fill(shape * 0.93 + [0.02, 0.03]))
    s.darken(rim, 0.35, 0.02)
    glare = s.fill([(-0.75, -0.62), (-0.35, -0.9), (0.10, -0.9), (-0.9, 0.18)])
    s.lay(None, np.minimum(cv2.GaussianBlur(glare, (0, 0), 0.03 * s.ppu), mask), (255, 255, 255), opacity=0.10)
    return s


def _bezel(s: Sheet, spec: WatchSpec, ring: Points, tone: Colour) -> None:
    mask = s.fill(ring)
    x = np.arange(s.shape[1], dtype=np.float32)[None] / s.ppu + s.window[0]
    y = np.arange(s.shape[0], dtype=np.float32)[:, None] / s.ppu + s.window[1]
    angle = np.arctan2(y, x) / (2 * np.pi)
    if spec.bezel == "diver":
        s.lay("bezel", mask, metal(np.asarray(angle * 3, np.float32), tone), relief=0.04, depth=0.5, gloss=0.6)
        insert = s.fill(ring * 0.965)
        s.lay("bezel", insert, mix((18, 20, 24), spec.dial, 0.5 if sum(spec.dial) < 390 else 0.0), relief=0.02, gloss=0.3)
        for i in range(60):
            if i % 5:
                s.lay(None, s.fill(_around(np.array(rectangle(-0.006, -0.92, 0.006, -0.86)), 6 * i)), (226, 226, 222))
            elif i:
                s.lay(
                    None,
                    s.stamp(
                        lettering(str(i), 40),
                        0.876 * math.sin(math.radians(6 * i)),
                        -0.876 * math.cos(math.radians(6 * i)),
                        0.10 if i > 5 else 0.05,
                        6 * i,
                    ),
                    (226, 226, 222),
                )
        s.lay(None, s.fill([(-0.045, -0.92), (0.045, -0.92), (0, -0.84)]), (240, 240, 236), relief=0.01)
        return
    flutes = 0.5 if spec.bezel == "fluted" else 0.0
    t = angle * 3 + (flutes * 0.3 * np.sign(np.sin(angle * 2 * np.pi * 72)) if flutes else 0)
    s.lay("bezel", mask, metal(np.asarray(t, np.float32), tone), relief=0.07, depth=0.6, gloss=0.7)
    if spec.bezel == "screws":
        for i in range(8):
            a = math.radians(45 * i + 22.5)
            cx, cy = 0.885 * math.cos(a), 0.885 * math.sin(a)
            s.lay_metal("bezel", s.fill(ellipse(cx, cy, 0.042, 0.042, 24)), tone, relief=0.015, drop=0.008, period=0.15)
            s.lay(None, s.stroke([(cx - 0.03, cy - 0.01), (cx + 0.03, cy + 0.01)], 0.012), shade(tone, 0.3))
    if spec.case == "square":
        return
    s.lay_metal(
        None,
        cv2.subtract(s.fill(ellipse(0, 0, 0.84, 0.84)), s.fill(ellipse(0, 0, _DIAL, _DIAL))),
        tone,
        period=0.9,
        relief=0.02,
    )


def _track(s: Sheet, print_: Colour) -> None:
    ticks = np.zeros(s.shape, np.uint8)
    for i in range(60):
        wide = 0.007 if i % 5 else 0.012
        np.maximum(ticks, s.fill(_around(np.array(rectangle(-wide, -0.765, wide, -0.725)), 6 * i)), out=ticks)
    s.lay("track", ticks, print_)


def _subdial(s: Sheet, spec: WatchSpec, at: tuple[float, float], print_: Colour) -> None:
    cx, cy = at
    s.lay(
        "subdial",
        s.fill(ellipse(cx, cy, 0.20, 0.20)),
        shade(spec.dial, 0.82 if sum(spec.dial) > 300 else 1.12),
        relief=0.02,
        depth=-0.6,
    )
    ring = s.stroke(ellipse(cx, cy, 0.175, 0.175), 0.006, closed=True)
    for i in range(12):
        a = math.radians(30 * i)
        inner = 0.14 if i % 3 == 0 else 0.155
        tick = s.stroke(
            [(cx + inner * math.sin(a), cy - inner * math.cos(a)), (cx + 0.175 * math.sin(a), cy - 0.175 * math.cos(a))],
            0.008,
        )
        np.maximum(ring, tick, out=ring)
    s.lay("subdial", ring, print_)
    needle = s.stroke([(cx, cy), (cx + 0.13 * math.sin(cx * 9 + 1), cy - 0.13 * math.cos(cx * 9 + 1))], 0.014)
    s.lay("subdial", np.maximum(needle, s.fill(ellipse(cx, cy, 0.02, 0.02, 16))), spec.accent, drop=0.006)


_ROMAN = ("XII", "I", "II", "III", "IIII", "V", "VI", "VII", "VIII", "IX", "X", "XI")


def _indices(s: Sheet, spec: WatchSpec, print_: Colour, tone: Colour, light: bool) -> None:
    order = list(range(12))
    if spec.swapped:
        a, b = spec.swapped
        order[a], order[b] = order[b], order[a]
    mask = np.zeros(s.shape, np.uint8)
    for i in range(12):
        if not _hidden(spec, i):
            np.maximum(mask, _index(s, spec, i, order[i]), out=mask)
    if spec.indices == "dots":
        s.lay("indices", cv2.dilate(mask, np.ones((3, 3), np.uint8)), shade(tone, 0.8), relief=0.015, drop=0.01)
        s.lay("indices", cv2.erode(mask, np.ones((3, 3), np.uint8)), (236, 240, 226))
    elif spec.indices in ("baton", "wedge"):
        s.lay_metal("indices", mask, tone if not light else shade(tone, 0.62), relief=0.014, drop=0.014, period=0.5)
    else:
        s.lay("indices", mask, print_, relief=0.006, drop=0.004)


def _index(s: Sheet, spec: WatchSpec, place: int, hour: int) -> Mask:
    """Return the coverage of the index at `place` (0 is twelve o'clock) that names `hour`."""
    a = math.radians(30 * place)
    if spec.indices in ("arabic", "roman"):
        if spec.indices == "arabic":
            ink, tall, turn = lettering(str(hour or 12), 72, weight=0.03), 0.15, 0.0
        else:
            ink, tall, turn = lettering(_ROMAN[hour], 72, stretch=0.8), 0.17, 30.0 * place
        return s.stamp(ink, 0.61 * math.sin(a), -0.61 * math.cos(a), tall * ink.shape[1] / ink.shape[0], turn)
    if spec.indices == "dots":
        if place == 0:
            return s.fill([(-0.08, -0.71), (0.08, -0.71), (0.0, -0.54)])
        return s.fill(ellipse(0.63 * math.sin(a), -0.63 * math.cos(a), 0.058, 0.058, 32))
    wide, low, tip = (0.026, -0.53, 0.026) if spec.indices == "baton" else (0.038, -0.55, 0.006)
    mask = np.zeros(s.shape, np.uint8)
    for dx in (-0.034, 0.034) if place == 0 and spec.indices == "baton" else (0.0,):
        bar = np.array([(dx - wide, -0.70), (dx + wide, -0.70), (dx + tip, low), (dx - tip, low)])
        np.maximum(mask, s.fill(_around(bar, 30 * place)), out=mask)
    return mask


def _hidden(spec: WatchSpec, hour: int) -> bool:
    if hour in spec.missing or (spec.date and spec.subdials == 0 and hour == 3):
        return True
    return hour in {0: (), 2: (3, 9), 3: (3, 6, 9)}[spec.subdials]


def _name(s: Sheet, spec: WatchSpec, print_: Colour, tone: Colour) -> None:
    word = wordmark_ink(spec.wordmark, spec.brand.letters)
    wide = min(0.62, 0.085 * word.shape[1] / word.shape[0]) * spec.logo_scale
    tall = wide * word.shape[0] / word.shape[1]
    mark = s.stamp(figure_ink(spec.figure), spec.logo_x, spec.logo_y + 0.02 - 0.09 * spec.logo_scale, 0.16 * spec.logo_scale)
    s.lay("figure", mark, mix(tone, print_, 0.35), relief=0.006, drop=0.006)
    name = s.stamp(word, spec.logo_x, spec.logo_y + 0.055 + tall / 2, wide)
    s.lay("wordmark", name, print_)
    s.parts["logo"] = np.maximum(s.parts["figure"], s.parts["wordmark"])
    if spec.subdials != 3:
        small = lettering("AUTOMATIC", 40, 0.25)
        s.lay("print", s.stamp(small, 0, 0.30, 0.30), print_)
        s.lay("print", s.stamp(lettering("100 m", 40, 0.1), 0, 0.37, 0.13), spec.accent if sum(spec.accent) > 0 else print_)


def _hands(s: Sheet, spec: WatchSpec, tone: Colour, light: bool) -> None:
    colour = shade(tone, 0.7) if light else tone
    for length, wide, degrees in ((0.44, 0.042, 276.0), (0.66, 0.032, 72.0)):
        if spec.hands == "baton":
            shape = [(-wide, 0.12), (wide, 0.12), (wide, -length), (-wide, -length)]
        elif spec.hands == "dauphine":
            shape = [(0, 0.14), (wide * 1.5, 0), (0, -length), (-wide * 1.5, 0)]
        elif spec.hands == "sword":
            shape = [
                (-wide * 0.6, 0.1),
                (wide * 0.6, 0.1),
                (wide * 1.6, -length * 0.72),
                (0, -length),
                (-wide * 1.6, -length * 0.72),
            ]
        else:
            left = [
                (-wide * 0.3, 0.1),
                (-wide * 0.4, -length * 0.2),
                (-wide * 1.7, -length * 0.52),
                (-wide * 0.3, -length * 0.92),
            ]
            shape = [*left, (0, -length), *[(-px, py) for px, py in reversed(left)]]
        points = _around(np.array(shape, float), degrees)
        s.lay_metal("hands", s.fill(points), colour, relief=0.02, drop=0.022, period=0.7, angle=degrees)
        if spec.hands in ("baton", "sword"):
            glow = _around(
                np.array(
                    [
                        (-wide * 0.45, -length * 0.3),
                        (wide * 0.45, -length * 0.3),
                        (wide * 0.5, -length * 0.85),
                        (-wide * 0.5, -length * 0.85),
                    ]
                ),
                degrees,
            )
            s.lay("hands", s.fill(glow), (238, 240, 228))
    second = np.maximum(
        s.fill(_around(np.array([(-0.009, 0.2), (0.009, 0.2), (0.006, -0.7), (-0.006, -0.7)]), 174.0)),
        s.fill(ellipse(0, 0, 0.035, 0.035, 32)),
    )
    second = np.maximum(second, s.fill(_around(ellipse(0, 0.15, 0.03, 0.05, 24), 174.0)))
    s.lay("hands", second, spec.accent, relief=0.006, drop=0.016)
    s.lay_metal("hands", s.fill(ellipse(0, 0, 0.022, 0.022, 24)), tone, relief=0.008, period=0.1)
