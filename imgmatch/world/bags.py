"""Bags, drawn from any side.

Units: about one bag width; x to the right, y down, the middle of the base at (0, 0), so that the body lies at y < 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from imgmatch.augment.textures import Colour, FloatArray, grain, mix, shade
from imgmatch.world.brands import METALS
from imgmatch.world.draw import Sheet, arc, rectangle, rounded
from imgmatch.world.hardware import carry_top, clasp, handles, inset, logo, pocket, seam, strap
from imgmatch.world.logos import monogram_tile
from imgmatch.world.scene import Camera, Pose, Scene
from imgmatch.world.specs import BagSpec

__all__ = ["BAG_POSES", "draw_bag", "outline"]

Points = npt.NDArray[np.float64]


BAG_POSES: dict[str, Pose] = {
    "front": Pose(0, 5, fill=0.82),
    "three_quarter": Pose(-32, 11, fill=0.84),
    "back": Pose(0, 5, side="back", fill=0.82),
    "side": Pose(-62, 8, fill=0.82),
    "logo": Pose(-8, 6, focus="logo", fill=0.42),
    # How private sellers hold the phone.
    "phone_a": Pose(17, 24, fill=0.86),
    "phone_b": Pose(-24, 30, 5, fill=0.84),
    "phone_c": Pose(8, 14, -7, fill=0.9),
    "phone_logo": Pose(14, 16, 6, focus="logo", fill=0.36),
}


def outline(spec: BagSpec) -> Points:
    """Return the outline of the body, clockwise on a sheet, shape (n, 2)."""
    w, h = spec.width / 2, spec.height
    top = w * (1 + spec.flare)
    if spec.silhouette == "bowling":
        dome = arc(0, -0.55 * h, rx=top, ry=0.45 * h, start=180, stop=360, n=40)
        base = rounded([(top, -0.5 * h), (w, 0), (-w, 0), (-top, -0.5 * h)], [0, 0.09, 0.09, 0])
        return np.concatenate([dome, base])
    if spec.silhouette == "hobo":
        upper = arc(0, -h, rx=0.78 * top, ry=0.42 * h, start=180, stop=0, n=30)  # the dip between the ends
        lower = arc(0, -h, rx=top, ry=h, start=0, stop=180, n=50)
        return np.concatenate([upper, lower])
    radius = {"tote": [0.03, 0.03, 0.06, 0.06], "bucket": [0.04, 0.04, 0.2, 0.2]}.get(
        spec.silhouette, [0.09, 0.09, 0.1, 0.1]
    )
    sag = {"tote": 0.018, "satchel": -0.02}.get(spec.silhouette, 0.0) * h
    side = 0.012
    points = [
        (-top, -h),
        (0, -h + sag),
        (top, -h),
        (w + (top - w) * 0.5 + side, -h / 2),
        (w, 0),
        (-w, 0),
        (-w - (top - w) * 0.5 - side, -h / 2),
    ]
    return rounded(points, [radius[0], 0.3, radius[1], 0.3, radius[2], radius[3], 0.3])


def _camera(spec: BagSpec, pose: Pose, size: int) -> Camera:
    d = spec.depth / 2
    if pose.focus == "logo":
        x, y = spec.logo_x, -spec.logo_y * spec.height
        r = spec.logo_width / 2
        return Camera(pose, np.array([[x - r, y - 0.2 * r, d], [x + r, y + 0.2 * r, d]]), size)
    w = float(np.abs(outline(spec)[:, 0]).max())
    corners = [[sx * w, y, sz * d] for sx in (-1, 1) for y in (0.0, carry_top(spec)) for sz in (-1, 1)]
    return Camera(pose, np.array(corners), size)


def draw_bag(spec: BagSpec, pose: Pose, size: int, framed_as: BagSpec) -> Scene:
    """Draw a bag.

    Parameters
    ----------
    spec : BagSpec
    pose : Pose
    size : int
        Side of the supersampled picture in pixels.
    framed_as : BagSpec
        The camera stands where it would stand for this bag.
    """
    camera = _camera(framed_as, pose, size)
    body = outline(spec)
    d = spec.depth / 2
    reach = carry_top(spec)
    w = float(np.abs(body[:, 0]).max())
    scene = Scene(camera)
    back = pose.side == "back"
    window = (-w - 0.06, reach - 0.06, w + 0.06, 0.04)
    if pose.focus:  # only what the close-up can see
        reach_seen = 0.56 * size / camera.ppu
        cx, cy = float(camera.middle[0]), float(camera.middle[1])
        window = (
            max(window[0], cx - reach_seen),
            max(window[1], cy - reach_seen),
            min(window[2], cx + reach_seen),
            min(window[3], cy + reach_seen),
        )
    ppu = camera.ppu * 1.04

    def sheet() -> Sheet:
        return Sheet(*window, ppu)

    far = sheet()
    if spec.carry in ("handles", "top"):
        handles(far, spec, dark=0.62)
        scene.place(far, -d)
    if spec.carry in ("chain", "belt"):
        strap(far, spec)
        scene.place(far, 0.0)
    inside = (
        shade(spec.trim, 0.28)
        if spec.silhouette in ("tote", "bucket")
        else spec.trim
        if spec.pattern == "monogram"
        else spec.colour
    )
    sides = spec.trim if spec.pattern == "monogram" else spec.colour
    scene.extrude(
        "side", body, -d, d, sides, top=inside, texture=grain("leather" if spec.material != "smooth" else "smooth")
    )
    near = sheet()
    _body(near, spec, body)
    if back:
        pocket(near, spec)
    else:
        if spec.silhouette == "flap":
            _flap(near, spec)
        clasp(near, spec)
        logo(near, spec)
    if spec.carry in ("handles", "top"):
        handles(near, spec, dark=1.0)
    scene.place(near, d, mirrored=False)
    base = rounded(rectangle(-w, -d, w, d), 0.05)
    base[:, 0] *= 0.97 if spec.silhouette != "hobo" else 0.45
    if spec.silhouette != "hobo":
        base[:, 0] *= spec.width / 2 / w
    scene.stand(base, 0.0)
    return scene


def _body(s: Sheet, spec: BagSpec, body: Points) -> None:
    mask = s.fill(body)
    texture = s.grain(spec.material, 0.5 if spec.material != "croc" else 0.8)
    paint: Colour | FloatArray = spec.colour
    if spec.pattern == "monogram":
        paint = _canvas(s, spec)
    elif spec.pattern == "stripe":
        y = (np.arange(s.shape[0]) / s.ppu + s.window[1]) / spec.period
        band = ((y % 1.0) < 0.36).astype(np.float32)[:, None, None] * np.ones((1, s.shape[1], 1), np.float32)
        paint = (
            np.asarray(spec.colour, np.float32) * (1 - band)
            + np.asarray(mix(spec.colour, spec.trim, 0.8), np.float32) * band
        )
    elif spec.pattern == "quilt":
        texture = texture * _quilt(s, spec.period)
    # A bag is fuller in the middle and turns away at its edges.
    xs = (np.arange(s.shape[1]) / s.ppu + s.window[0]) / (spec.width / 2)
    ys = (np.arange(s.shape[0]) / s.ppu + s.window[1]) / -spec.height
    round_x = 1.06 - 0.20 * np.clip(np.abs(xs + 0.15), 0, 1.3) ** 3
    round_y = 0.86 + 0.22 * np.clip(ys, 0, 1.05) - 0.12 * np.clip(ys, 0, 1.1) ** 4
    texture = (texture * round_x[None].astype(np.float32) * round_y[:, None].astype(np.float32)).astype(np.float32)
    if spec.silhouette == "bucket":
        folds = 1 + 0.07 * np.sin(xs * 9 + 0.6)[None] * np.clip(ys, 0, 1)[:, None] ** 2
        texture = (texture * folds).astype(np.float32)
    s.lay("body", mask, paint, texture=texture, relief=0.035, depth=0.45, gloss=0.12)
    if spec.pattern != "plain":
        s.parts["pattern"] = mask.copy()
    w, h = spec.width / 2, spec.height
    trim_texture = s.grain("leather")
    if spec.silhouette in ("tote", "satchel", "bucket"):
        edge = -0.16 * h if spec.silhouette == "satchel" else -0.12 * h
        s.lay(
            "base", s.fill(_between(body, edge, 0.02)), spec.trim, texture=trim_texture, relief=0.012, depth=0.35, drop=0.006
        )
        seam(s, spec, np.array([(-w * 1.2, edge + 0.018), (w * 1.2, edge + 0.018)]), clip=mask)
        rim = np.minimum(s.fill(_between(body, -h - 0.1, -h * 0.945)), mask)
        s.lay("rim", rim, spec.trim, texture=trim_texture, relief=0.01, depth=0.35, drop=0.006)
        seam(s, spec, np.array([(-w * 1.4, -h * 0.952), (w * 1.4, -h * 0.952)]), clip=mask)
    if spec.silhouette == "bowling":
        path = inset(body, 0.05)[: len(body) - 40]
        s.lay("zip", s.stroke(path[:40], 0.028), shade(spec.trim, 0.5), relief=0.008)
        s.lay_metal("zip", s.stitches(path[:40], 0.012, 0.012), METALS[spec.metal])
        corner = s.fill(_between(body, -0.14 * h, 0.02))
        s.lay("base", corner, spec.trim, texture=trim_texture, relief=0.012, drop=0.006)
    if spec.silhouette == "hobo":
        rim = s.stroke(arc(0, -h, rx=0.78 * w * (1 + spec.flare), ry=0.42 * h, start=180, stop=0, n=40), 0.045)
        s.lay("rim", np.minimum(rim, mask), spec.trim, texture=trim_texture, relief=0.012, drop=0.006)
    seam(s, spec, inset(body, 0.022), closed=True)


def _canvas(s: Sheet, spec: BagSpec) -> FloatArray:
    ground, ink = (np.array(c, np.float32) for c in spec.brand.canvas)
    tile = s.tiled(monogram_tile(spec.figure, spec.brand.motifs), spec.period, (0, -spec.height))[..., None] / 255
    return np.asarray(ground + (ink - ground) * (0.92 * tile))


def _between(body: Points, y0: float, y1: float) -> Points:
    """Return the part of an outline between two heights."""
    return np.column_stack([body[:, 0], np.clip(body[:, 1], y0, y1)])


def _quilt(s: Sheet, period: float) -> npt.NDArray[np.float32]:
    x = np.arange(s.shape[1], dtype=np.float32)[None] / s.ppu + s.window[0]
    y = np.arange(s.shape[0], dtype=np.float32)[:, None] / s.ppu + s.window[1]
    u, v = (x + y) / period, (x - y) / period
    du, dv = u - np.round(u), v - np.round(v)
    groove = np.exp(-((np.minimum(np.abs(du), np.abs(dv)) / 0.035) ** 2))
    cu, cv = u - np.floor(u) - 0.5, v - np.floor(v) - 0.5
    pillow = 1 + 0.16 * (-(cu + cv) * 0.3 - (cu - cv) * 0.75)
    return np.asarray(pillow * (1 - 0.42 * groove), np.float32)


def _flap(s: Sheet, spec: BagSpec) -> None:
    w, h = spec.width / 2 * (1 + spec.flare) + 0.012, spec.height
    low = -0.40 * h
    lid = rounded(
        [(-w, -h - 0.01), (w, -h - 0.01), (w, low - 0.06), (0.0, low + 0.02), (-w, low - 0.06)],
        [0.07, 0.07, 0.12, 0.5, 0.12],
    )
    mask = s.fill(lid)
    texture = s.tiled(grain(spec.material), 0.5 if spec.material != "croc" else 0.8, (0.13, 0.07))
    paint: Colour | FloatArray = spec.colour
    if spec.pattern == "monogram":
        paint = _canvas(s, spec)
    if spec.pattern == "quilt":
        texture = texture * _quilt(s, spec.period)
    ys = (np.arange(s.shape[0]) / s.ppu + s.window[1]) / -h
    texture = (texture * (0.84 + 0.24 * np.clip(ys, 0, 1.1) ** 0.7)[:, None].astype(np.float32)).astype(np.float32)
    s.lay("flap", mask, paint, texture=texture, relief=0.03, depth=0.45, gloss=0.12, drop=0.025)
    if spec.pattern != "plain":
        s.parts["pattern"] = np.maximum(s.parts["pattern"], mask)
    seam(s, spec, inset(lid, 0.022), closed=True)
