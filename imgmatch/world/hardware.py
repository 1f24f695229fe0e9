"""What is mounted on a bag: seams, handles, straps, clasps, pockets and the logo."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from imgmatch.augment.textures import Colour, Mask, mix, shade
from imgmatch.world.brands import METALS
from imgmatch.world.draw import Sheet, arc, ellipse, rectangle, resample, rounded
from imgmatch.world.logos import figure_ink, wordmark_ink
from imgmatch.world.specs import BagSpec

__all__ = ["carry_top", "clasp", "handles", "inset", "logo", "pocket", "seam", "strap"]

Points = npt.NDArray[np.float64]


def inset(points: Points, by: float) -> Points:
    """Return an outline drawn in by about `by` units."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle = (low + high) / 2
    return np.asarray(middle + (points - middle) * (1 - 2 * by / (high - low)))


def seam(s: Sheet, spec: BagSpec, path: Points, closed: bool = False, clip: Mask | None = None) -> None:
    groove, thread = s.stroke(path, 0.007, closed), s.stitches(path, 0.02, 0.0055, closed)
    if clip is not None:
        groove, thread = np.minimum(groove, clip), np.minimum(thread, clip)
    s.darken(groove, 0.22)
    s.lay("stitching", thread, spec.stitch, relief=0.004, depth=0.5, drop=0.002)


def pocket(s: Sheet, spec: BagSpec) -> None:
    w, h = spec.width / 2, spec.height
    slit = np.array([(-0.55 * w, -0.56 * h), (0.55 * w, -0.56 * h)])
    s.lay("pocket", s.stroke(slit, 0.05), spec.trim, texture=s.grain("leather"), relief=0.01, drop=0.006)
    s.lay(None, s.stroke(slit * [0.95, 1], 0.018), shade(spec.trim, 0.35))
    s.lay_metal("zip", s.stitches(slit * [0.95, 1], 0.012, 0.009), METALS[spec.metal])
    s.lay_metal(
        "zip", s.fill(rounded(rectangle(0.5 * w, -0.57 * h, 0.5 * w + 0.03, -0.45 * h), 0.01)), METALS[spec.metal], drop=0.01
    )


def clasp(s: Sheet, spec: BagSpec) -> None:
    tone = METALS[spec.metal]
    y = -0.44 * spec.height if spec.silhouette == "flap" else -0.86 * spec.height
    if spec.silhouette == "hobo":
        y = -0.5 * spec.height
    if spec.clasp == "turnlock":
        s.lay_metal("clasp", s.fill(rounded(rectangle(-0.085, y - 0.045, 0.085, y + 0.045), 0.04)), tone, drop=0.012)
        s.lay(None, s.fill(ellipse(0, y, 0.028, 0.028)), shade(tone, 0.35), relief=0.01, depth=-0.5)
        s.lay_metal(
            "clasp", s.fill(rounded(rectangle(-0.013, y - 0.052, 0.013, y + 0.052), 0.012)), tone, drop=0.01, period=0.12
        )
    elif spec.clasp == "padlock":
        s.lay(None, s.fill(rounded(rectangle(-0.025, y - 0.12, 0.025, y), 0.01)), spec.trim, relief=0.01, drop=0.008)
        s.lay_metal("clasp", s.stroke(arc(0, y + 0.01, 0.032, 0.045, 180, 360), 0.014), tone, drop=0.008)
        s.lay_metal(
            "clasp",
            s.fill(rounded([(-0.055, y), (0.055, y), (0.05, y + 0.085), (-0.05, y + 0.085)], 0.014)),
            tone,
            drop=0.014,
        )
        s.lay(
            None,
            np.maximum(
                s.fill(ellipse(0, y + 0.036, 0.009, 0.009)),
                s.fill([(-0.005, y + 0.04), (0.005, y + 0.04), (0.007, y + 0.066), (-0.007, y + 0.066)]),
            ),
            (24, 22, 20),
        )
    elif spec.clasp == "bar":
        s.lay_metal(
            "clasp", s.fill(rounded(rectangle(-0.15, y - 0.017, 0.15, y + 0.017), 0.016)), tone, drop=0.012, period=0.3
        )
        for x in (-0.11, 0.11):
            s.lay_metal("clasp", s.fill(ellipse(x, y, 0.026, 0.026)), tone, drop=0.006, period=0.1)
    elif spec.clasp == "ring":
        s.lay_metal("clasp", s.stroke(ellipse(0, y, 0.06, 0.06), 0.02, closed=True), tone, drop=0.012, period=0.2)
        s.lay(None, s.fill(rounded(rectangle(-0.02, y - 0.075, 0.02, y - 0.045), 0.006)), spec.trim, relief=0.01, drop=0.004)


def logo(s: Sheet, spec: BagSpec) -> None:
    x, y, w = spec.logo_x, -spec.logo_y * spec.height, spec.logo_width
    word = wordmark_ink(spec.wordmark, spec.brand.letters)
    tall = word.shape[0] / word.shape[1]
    tone = METALS[spec.metal]
    if spec.logo == "figure":
        s.lay_metal("logo", s.stamp(figure_ink(spec.figure), x, y, w * 0.62), tone, drop=0.012, period=0.35, relief=0.008)
        return
    if spec.logo == "stamp":
        s.lay("logo", s.stamp(word, x, y, w), mix(tone, (255, 240, 205), 0.15), relief=0.004, depth=-0.3, gloss=0.3)
        return
    h = w * tall + 0.05
    if spec.logo == "combined":
        mark = 0.34 * w
        h += mark + 0.02
    box = rounded(rectangle(x - w / 2 - 0.03, y - h / 2, x + w / 2 + 0.03, y + h / 2), 0.016)
    if spec.logo == "plate":
        s.lay_metal("logo", s.fill(box), tone, drop=0.01, period=0.8, relief=0.008)
        ink: Colour = shade(tone, 0.16)
        for sx in (-1, 1):
            s.lay(None, s.fill(ellipse(x + sx * (w / 2 + 0.018), y, 0.005, 0.005, 16)), shade(tone, 0.4), relief=0.003)
        s.lay("wordmark", s.stamp(word, x, y, w * 0.94), ink, relief=0.003, depth=-0.4)
        s.parts["logo"] = np.maximum(s.parts["logo"], s.parts["wordmark"])
        return
    s.lay("logo", s.fill(box), spec.trim, texture=s.grain("smooth"), relief=0.01, drop=0.008)
    s.lay("stitching", s.stitches(inset(box, 0.008), 0.012, 0.0035, True), spec.stitch, relief=0.003)
    foil = mix(tone, (255, 240, 205), 0.15)
    if spec.logo == "combined":
        s.lay(
            "figure",
            s.stamp(figure_ink(spec.figure), x, y - h / 2 + 0.025 + 0.17 * w, 0.34 * w),
            foil,
            relief=0.003,
            depth=-0.3,
        )
        s.lay("wordmark", s.stamp(word, x, y + h / 2 - 0.025 - w * tall / 2, w * 0.92), foil, relief=0.003, depth=-0.3)
        s.parts["logo"] = np.maximum(s.parts["logo"], s.parts["figure"])
    else:
        s.lay("wordmark", s.stamp(word, x, y, w * 0.92), foil, relief=0.003, depth=-0.3)
    s.parts["logo"] = np.maximum(s.parts["logo"], s.parts["wordmark"])


def handles(s: Sheet, spec: BagSpec, dark: float) -> None:
    h, top = spec.height, spec.width / 2 * (1 + spec.flare)
    texture = s.grain("smooth")
    colour = shade(spec.trim, dark)
    tone = METALS[spec.metal]
    if spec.carry == "top":
        span, rise, width = 0.36 * top, 0.19, 0.05
        path = np.concatenate(
            [
                [(-span, -h * 0.97)],
                arc(0, -h - 0.03, rx=span, ry=rise - 0.05, start=180, stop=360, n=40),
                [(span, -h * 0.97)],
            ]
        )
    else:
        span, rise, width = 0.48 * top, 0.36, 0.042
        path = np.concatenate(
            [
                [(-span, -h * 0.8)],
                [(-span, -h - 0.08)],
                arc(0, -h - 0.1, rx=span, ry=rise - 0.13, start=180, stop=360, n=40),
                [(span, -h - 0.08)],
                [(span, -h * 0.8)],
            ]
        )
        path = np.asarray(path)
    s.lay("handle", s.stroke(path, width), colour, texture=texture, relief=width * 0.55, depth=0.8, gloss=0.25, drop=0.02)
    s.lay("handle", s.stitches(path, 0.018, 0.004), shade(spec.stitch, dark), relief=0.003)
    if dark < 1:
        return
    for x in (-span, span):
        y = -h * (0.8 if spec.carry == "handles" else 0.95)
        tab = rounded(
            [(x - 0.034, y - 0.05), (x + 0.034, y - 0.05), (x + 0.034, y + 0.06), (x, y + 0.1), (x - 0.034, y + 0.06)], 0.016
        )
        s.lay("handle", s.fill(tab), colour, texture=texture, relief=0.012, drop=0.008)
        s.lay("stitching", s.stitches(inset(tab, 0.008), 0.014, 0.004, True), spec.stitch)
        s.lay_metal("rivet", s.fill(ellipse(x, y + 0.045, 0.013, 0.013, 24)), tone, drop=0.004, period=0.06, relief=0.006)
        s.lay_metal(
            "ring", s.fill(rounded(rectangle(x - 0.04, y - 0.066, x + 0.04, y - 0.04), 0.008)), tone, drop=0.008, period=0.1
        )


def strap(s: Sheet, spec: BagSpec) -> None:
    h, top = spec.height, spec.width / 2 * (1 + spec.flare)
    peak = -carry_top(spec) - 0.03
    t = np.linspace(-1, 1, 90)
    path = np.column_stack(
        [top * 0.97 * np.sign(t) * (1 - (1 - np.abs(t)) ** 1.6), -h * 0.86 - (peak - h * 0.86) * (1 - np.abs(t) ** 2.6)]
    )
    tone = METALS[spec.metal]
    if spec.carry == "belt":
        s.lay("strap", s.stroke(path, 0.036), spec.trim, texture=s.grain("smooth"), relief=0.014, drop=0.015)
        s.lay("strap", s.stitches(path, 0.018, 0.004), spec.stitch)
        return
    points = resample(path, 0.042)
    along = np.diff(points, axis=0)
    flat, edge = np.zeros(s.shape, np.uint8), np.zeros(s.shape, np.uint8)
    for i, (p, v) in enumerate(zip(points[:-1], along, strict=True)):
        v = v / np.hypot(*v)
        n = np.array([-v[1], v[0]])
        ring = (
            p
            + 0.03 * np.outer(np.cos(np.linspace(0, 2 * np.pi, 20)), v)
            + (0.017 if i % 2 == 0 else 0.006) * np.outer(np.sin(np.linspace(0, 2 * np.pi, 20)), n)
        )
        target = flat if i % 2 == 0 else edge
        np.maximum(target, s.stroke(ring, 0.011, closed=True), out=target)
    s.lay_metal("strap", flat, tone, drop=0.008, period=0.09, relief=0.005)
    s.lay_metal("strap", edge, tone, drop=0.004, period=0.07, relief=0.005)


def carry_top(spec: BagSpec) -> float:
    return {
        "handles": -spec.height - 0.36,
        "top": -spec.height - 0.2,
        "chain": -spec.height - 0.5,
        "belt": -spec.height - 0.55,
    }[spec.carry]
