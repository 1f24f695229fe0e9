"""Watches, drawn from any side.

Units: the radius of the case is 1; x to the right, y down, the middle of the dial at (0, 0).
"""

from __future__ import annotations

import math
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from imgmatch.augment.textures import Colour, FloatArray, lettering, metal, mix, shade
from imgmatch.world.brands import METALS
from imgmatch.world.dials import case_outline, face
from imgmatch.world.draw import Sheet, ellipse, rectangle, rounded
from imgmatch.world.logos import figure_ink
from imgmatch.world.scene import Camera, Pose, Scene
from imgmatch.world.specs import WatchSpec

__all__ = ["WATCH_POSES", "draw_watch"]

Points = npt.NDArray[np.float64]


WATCH_POSES: dict[str, Pose] = {
    "front": Pose(0, 0, fill=0.96),
    "tilted": Pose(-24, 26, fill=0.94),
    "dial": Pose(0, 3, focus="dial", fill=0.98),
    "back": Pose(0, 0, side="back", fill=0.96),
    "side": Pose(42, 12, fill=0.92),
    "phone_a": Pose(12, 18, 8, fill=0.9),
    "phone_b": Pose(-20, 26, -18, fill=0.92),
    "phone_c": Pose(6, -14, 24, fill=0.88),
    "phone_dial": Pose(10, 14, -6, focus="dial", fill=0.96),
}


def _silhouette(spec: WatchSpec) -> Points:
    """Return the outline of case, lugs and crown together, clockwise on a sheet."""
    s = Sheet(-1.6, -1.6, 1.6, 1.6, 160)
    mask = s.fill(case_outline(spec.case))
    for sx in (-1, 1):
        for sy in (-1, 1):
            lug = rounded(
                [(sx * 0.44, sy * 0.7), (sx * 0.80, sy * 0.55), (sx * 0.74, sy * 1.26), (sx * 0.50, sy * 1.26)], 0.1
            )
            mask = np.maximum(mask, s.fill(lug))
    contour = max(cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)[
        :, 0
    ].astype(float)
    smooth = np.stack(
        [
            cv2.GaussianBlur(np.tile(contour[:, i], 3)[:, None], (1, 0), 0, sigmaY=3)[len(contour) : 2 * len(contour), 0]
            for i in (0, 1)
        ],
        axis=1,
    )
    points = (smooth[::5] + 0.5) / s.ppu - 1.6
    area = float(np.sum(points[:, 0] * np.roll(points[:, 1], -1) - np.roll(points[:, 0], -1) * points[:, 1]))
    return points if area > 0 else points[::-1]


def draw_watch(spec: WatchSpec, pose: Pose, size: int) -> Scene:
    """Draw a watch; `size` is the side of the supersampled picture in pixels."""
    if pose.focus == "dial":
        framed = np.array([[x, y, 0.1] for x in (-1, 1) for y in (-1.0, 1.0)])
    else:
        framed = np.array([[x, y, 0.0] for x in (-1.35, 1.35) for y in (-2.1, 2.1)])
    camera = Camera(pose, framed, size, distance=9.0)
    scene = Scene(camera)
    ppu = camera.ppu
    back = pose.side == "back"
    tone = METALS[spec.metal]
    _straps(scene, spec, ppu, 0.6 if pose.focus else 2.2)
    silhouette = _silhouette(spec)
    scene.extrude("case", silhouette, -0.32, 0.0, tone, polished=True)
    for y in (0.0,) if spec.crown == 1 else (-0.42, 0.0, 0.42):
        _crown(scene, spec, ppu, y, tone, back)
    base = Sheet(-1.4, -1.45, 1.4, 1.45, ppu * 1.03)
    mask = base.fill(silhouette)
    base.lay_metal("case", mask, tone, relief=0.10, period=1.6, angle=70)
    scene.place(base, 0.0)
    if back:
        scene.place(_case_back(spec, ppu, tone), 0.04)
        scene.lie(0.10)
        return scene
    ring = case_outline(spec.case, 0.96)
    scene.extrude("bezel", ring, 0.0, 0.13, tone, polished=True)
    scene.place(face(spec, ppu, ring, tone), 0.13)
    scene.lie(0.12)
    return scene


def _crown(scene: Scene, spec: WatchSpec, ppu: float, y: float, tone: Colour, back: bool) -> None:
    s = Sheet(-1.4, y - 0.25, 1.4, y + 0.25, ppu)
    side = -1 if back else 1
    half = 0.13 if y == 0 else 0.08
    reach = 1.17 if y == 0 else 1.10
    edge = 0.93 if y == 0 else 0.84
    s.lay_metal(
        "crown",
        s.fill(rounded(rectangle(side * edge, y - half, side * reach, y + half), 0.03)),
        tone,
        relief=0.05,
        period=0.3,
        angle=90,
    )
    if y == 0:
        for i in range(-4, 5):
            s.darken(s.stroke([(side * 1.02, y + i * 0.028), (side * 1.16, y + i * 0.028)], 0.008), 0.45)
    scene.place(s, -0.1)


def _straps(scene: Scene, spec: WatchSpec, ppu: float, seen: float) -> None:
    half = 0.50
    long = 2.2
    s = Sheet(-0.56, 0.9, 0.56, 0.9 + seen, ppu)
    taper = 0.10
    shape = [(-half, 0.9), (half, 0.9), (half - taper, 0.9 + long), (-half + taper, 0.9 + long)]
    whole = s.fill(shape)
    x = np.arange(s.shape[1], dtype=np.float32)[None] / s.ppu + s.window[0]
    y = np.arange(s.shape[0], dtype=np.float32)[:, None] / s.ppu + s.window[1]
    width = half - taper * (y - 0.9) / long
    across = x / width
    tone = METALS[spec.metal]
    if spec.strap in ("bracelet", "mesh"):
        paint = _bracelet(across, y, tone) if spec.strap == "bracelet" else _mesh(x, y, tone)
        s.lay("strap", whole, paint, relief=0.06, depth=0.35)
    elif spec.strap == "leather":
        pad = 1.05 - 0.32 * np.abs(across) ** 4 + 0.06 * np.exp(-(((y - 0.98) / 0.2) ** 2))
        s.lay(
            "strap",
            whole,
            spec.strap_colour,
            texture=(s.grain("leather", 1.4) * pad).astype(np.float32),
            relief=0.05,
            depth=0.5,
            gloss=0.1,
        )
        for sx in (-1, 1):
            path = np.array([(sx * (half - 0.07), 1.0), (sx * (half - taper - 0.07), 0.9 + long)])
            s.lay(
                "stitching",
                s.stitches(path, 0.075, 0.022),
                mix(spec.strap_colour, (240, 230, 210), 0.6),
                relief=0.015,
                drop=0.01,
            )
    else:
        grooves = 1 - 0.35 * np.exp(-(((np.abs(x) - 0.2) / 0.025) ** 2)) + 0.04 * np.cos(across * 3)
        s.lay(
            "strap",
            whole,
            spec.strap_colour,
            texture=np.broadcast_to(grooves, s.shape).astype(np.float32),
            relief=0.07,
            depth=0.5,
            gloss=0.25,
        )
    radius = 1.35  # of the bend, like a watch on its cushion

    def bend(v: float) -> float:
        return max(0.0, v - 1.05) / radius

    def place(v: float, sign: float) -> tuple[float, float]:
        return sign * (min(v, 1.05) + radius * math.sin(bend(v))), -0.16 - radius * (1 - math.cos(bend(v)))

    def light(v: float, sign: float) -> float:
        return 1.0 - (0.6 if sign > 0 else 0.3) * (1 - math.cos(bend(v)))

    for sign in (-1.0, 1.0):
        scene.strip(s, partial(place, sign=sign), partial(light, sign=sign), steps=14)


def _bracelet(across: FloatArray, y: FloatArray, tone: Colour) -> FloatArray:
    pitch = 0.235
    middle = np.abs(across) < 0.42
    row = (y - 0.9) / pitch + np.where(middle, 0.5, 0.0)
    v = row - np.floor(row) - 0.5
    u = np.where(middle, across / 0.42, (np.abs(across) - 0.71) / 0.29)
    gap = np.clip((np.maximum(np.abs(v) - 0.455, 0) / 0.045), 0, 1) + np.clip((np.abs(u) - 0.93) / 0.07, 0, 1)
    t = 0.18 + 0.20 * v + 0.10 * u * np.abs(u) + np.where(middle, 0.06, 0.0)
    paint = metal(np.broadcast_to(t, np.broadcast_shapes(across.shape, y.shape)).astype(np.float32), tone)
    return np.asarray(paint * (1 - 0.72 * np.clip(gap, 0, 1))[..., None], np.float32)


def _mesh(x: FloatArray, y: FloatArray, tone: Colour) -> FloatArray:
    k = 2 * np.pi / 0.09
    weave = np.sin(k * (x + y)) * np.sin(k * (x - y))
    paint = metal((0.16 + 0.10 * weave).astype(np.float32), tone)
    return np.asarray(paint * (0.82 + 0.18 * weave)[..., None], np.float32)


def _case_back(spec: WatchSpec, ppu: float, tone: Colour) -> Sheet:
    s = Sheet(-1.1, -1.1, 1.1, 1.1, ppu * 1.03)
    s.lay_metal("back", s.fill(ellipse(0, 0, 0.88, 0.88)), tone, relief=0.06, drop=0.02, period=2.2)
    s.lay_metal(None, s.fill(ellipse(0, 0, 0.74, 0.74)), tone, relief=0.03, period=1.7, angle=120)
    ink = shade(tone, 0.45)
    s.lay("figure", s.stamp(figure_ink(spec.figure), 0, 0, 0.62), ink, relief=0.012, depth=-0.4)
    text = f"{spec.wordmark}   {spec.model.upper()}   SAPPHIRE CRYSTAL   10 ATM   "
    for i, character in enumerate(text):
        if character != " ":
            a = 360 * i / len(text)
            letter = lettering(character, 40)
            wide = 0.085 * letter.shape[1] / letter.shape[0]
            s.lay(None, s.stamp(letter, 0.64 * math.sin(math.radians(a)), -0.64 * math.cos(math.radians(a)), wide, a), ink)
    for i in range(6):
        a = math.radians(60 * i + 30)
        x, y = 0.81 * math.cos(a), 0.81 * math.sin(a)
        s.lay(
            None,
            s.fill(rounded(rectangle(x - 0.04, y - 0.04, x + 0.04, y + 0.04), 0.03)),
            shade(tone, 0.5),
            relief=0.02,
            depth=-0.5,
        )
    return s
