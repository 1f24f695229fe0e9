"""A camera and a picture: sheets placed in space, extruded sides, bent strips, painted from back to front.

Space: x to the right, y **down** (as on sheets), z towards the viewer, in units of the product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from imgmatch.augment.textures import Colour, FloatArray, Mask, metal
from imgmatch.world.draw import Sheet

__all__ = ["Camera", "Pose", "ProductView", "Scene"]

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the camera stands and what it looks at.

    Parameters
    ----------
    yaw, pitch, roll : float
        Degrees: yaw > 0 shows the right side, pitch > 0 looks from above, roll turns the picture clockwise.
    focus : str or None
        Name of the part the picture is framed on; None for the whole product.
    fill : float
        Share of the frame that the framed thing takes.
    side : str
        ``front`` or ``back``.
    """

    yaw: float = 0.0
    pitch: float = 4.0
    roll: float = 0.0
    focus: str | None = None
    fill: float = 0.8
    side: str = "front"


@dataclass(frozen=True, slots=True, eq=False)
class ProductView:
    """A product without background.

    Parameters
    ----------
    pixels : ndarray, shape (S, S, 3), uint8
    alpha : ndarray, shape (S, S), uint8
    shadow : ndarray, shape (S, S), uint8
        How much light the product takes from the surface it stands or lies on.
    parts : dict of str to ndarray, shape (S, S), uint8
        Visible coverage of every named part.
    """

    pixels: npt.NDArray[np.uint8]
    alpha: Mask
    shadow: Mask
    parts: dict[str, Mask]

    def box(self, part: str) -> tuple[int, int, int, int] | None:
        """Return (x0, y0, x1, y1) of a part, half-open pixels; None where it is not visible."""
        x, y, w, h = cv2.boundingRect((self.parts[part] > 127).astype(np.uint8)) if part in self.parts else (0, 0, 0, 0)
        return (x, y, x + w, y + h) if w else None


class Camera:
    """A pinhole camera that frames given points.

    Parameters
    ----------
    pose : Pose
    framed : ndarray, shape (n, 3)
        Points to be framed.
    size : int
        Side of the square picture in pixels.
    distance : float
        From the middle of what is framed, in units.
    """

    def __init__(self, pose: Pose, framed: Points, size: int, distance: float = 4.5) -> None:
        yaw, pitch, roll = (math.radians(a) for a in (pose.yaw, pose.pitch, pose.roll))
        ry = np.array([[math.cos(yaw), 0, -math.sin(yaw)], [0, 1, 0], [math.sin(yaw), 0, math.cos(yaw)]])
        rx = np.array([[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)], [0, -math.sin(pitch), math.cos(pitch)]])
        rz = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
        self.rotation = rz @ rx @ ry
        self.size, self.distance = size, distance
        self.middle = framed.mean(axis=0)
        self.scale, self.shift = 1.0, np.zeros(2)
        p = self.project(framed)
        low, high = p.min(axis=0), p.max(axis=0)
        self.scale = pose.fill * size / float((high - low).max())
        self.shift = size / 2 - self.scale * (low + high) / 2

    def turned(self, vectors: Points) -> Points:
        """Return directions as the camera sees them, z towards it."""
        return np.asarray(vectors @ self.rotation.T)

    def project(self, points: Points) -> Points:
        """Return pixel positions, shape (n, 2)."""
        p = self.turned(np.asarray(points, float) - self.middle)
        return np.asarray(p[:, :2] * (self.distance / (self.distance - p[:, 2:])) * self.scale + self.shift)

    @property
    def ppu(self) -> float:
        """Pixels per unit around the middle of the frame."""
        return self.scale


class Scene:
    """Layers composed from back to front.

    Parameters
    ----------
    camera : Camera
    """

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        n = camera.size
        self.rgb = np.zeros((n, n, 3), np.float32)  # premultiplied
        self.alpha = np.zeros((n, n), np.float32)
        self.shadow = np.zeros((n, n), np.float32)
        self.parts: dict[str, Mask] = {}

    def place(self, sheet: Sheet, z: float, mirrored: bool = False) -> None:
        """Place a sheet parallel to the product's front, at depth `z`; mirrored where it is seen from behind."""
        x0, y0, x1, y1 = sheet.window
        h, w = sheet.shape
        corners = np.array([[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]], float)
        if mirrored:
            corners[:, 0] *= -1
        self.quad(sheet.rgb, sheet.alpha, sheet.parts, (0, 0, w, h), self.camera.project(corners))

    def strip(
        self, sheet: Sheet, path: Callable[[float], tuple[float, float]], light: Callable[[float], float], steps: int = 16
    ) -> None:
        """Place a sheet bent along its y axis.

        Parameters
        ----------
        sheet : Sheet
        path : callable
            Maps y on the sheet to (y, z) in space.
        light : callable
            Maps y on the sheet to the brightness there, 1 as drawn.
        steps : int
            Flat pieces; drawn from the far end of the sheet's window to the near one, in the order of their depth.
        """
        x0, y0, x1, y1 = sheet.window
        h, w = sheet.shape
        rows = np.linspace(0, h, steps + 1)
        order = []
        for i in range(steps):
            ya, yb = y0 + (y1 - y0) * rows[i] / h, y0 + (y1 - y0) * rows[i + 1] / h
            (pa, za), (pb, zb) = path(ya), path(yb)
            corners = np.array([[x0, pa, za], [x1, pa, za], [x1, pb, zb], [x0, pb, zb]], float)
            depth = float(self.camera.turned(corners)[:, 2].mean())
            order.append((depth, i, corners, light((ya + yb) / 2)))
        for _, i, corners, brightness in sorted(order, key=lambda piece: piece[:2]):
            r0, r1 = max(0, math.floor(rows[i]) - 1), min(h, math.ceil(rows[i + 1]) + 1)
            self.quad(
                sheet.rgb[r0:r1] * brightness,
                sheet.alpha[r0:r1],
                {k: v[r0:r1] for k, v in sheet.parts.items()},
                (0, rows[i] - r0, w, rows[i + 1] - r0),
                self.camera.project(corners),
            )

    def quad(
        self, rgb: FloatArray, alpha: FloatArray, parts: dict[str, Mask], source: Sequence[float], corners: Points
    ) -> None:
        """Warp a rectangle of a drawing onto four corners of the picture."""
        n = self.camera.size
        x0, y0 = (max(0, math.floor(v) - 2) for v in corners.min(axis=0))
        x1, y1 = (min(n, math.ceil(v) + 2) for v in corners.max(axis=0))
        if x1 <= x0 or y1 <= y0:
            return
        a, b, c, d = source
        rect = np.array([[a, b], [c, b], [c, d], [a, d]], np.float32) - 0.5
        warp = cv2.getPerspectiveTransform(rect, (corners - 0.5 - [x0, y0]).astype(np.float32))
        size = (x1 - x0, y1 - y0)
        layer = np.dstack([np.clip(rgb, 0, 255) * alpha[..., None], alpha * 255]).astype(np.uint8)
        warped = cv2.warpPerspective(layer, warp, size, flags=cv2.INTER_LINEAR).astype(np.float32)
        masks = {
            k: np.asarray(cv2.warpPerspective(v, warp, size, flags=cv2.INTER_LINEAR), np.uint8) for k, v in parts.items()
        }
        self.compose(warped[..., :3], warped[..., 3] / 255, masks, (x0, y0))

    def compose(self, premultiplied: FloatArray, alpha: FloatArray, masks: dict[str, Mask], at: tuple[int, int]) -> None:
        """Compose a layer over the picture at pixel `at`."""
        h, w = alpha.shape
        where = (slice(at[1], at[1] + h), slice(at[0], at[0] + w))
        keep = 1 - alpha
        self.rgb[where] = premultiplied + self.rgb[where] * keep[..., None]
        self.alpha[where] = alpha + self.alpha[where] * keep
        keep8 = np.asarray(keep * 255, np.uint8)
        for name, part in self.parts.items():
            if name not in masks:
                part[where] = cv2.multiply(part[where], keep8, scale=1 / 255)
        for name, mask in masks.items():
            part = self.parts.setdefault(name, np.zeros(self.alpha.shape, np.uint8))
            part[where] = np.maximum(cv2.multiply(part[where], keep8, scale=1 / 255), mask)

    def extrude(
        self,
        name: str,
        outline: Points,
        z0: float,
        z1: float,
        colour: Colour,
        *,
        top: Colour | None = None,
        texture: FloatArray | None = None,
        polished: bool = False,
    ) -> None:
        """Draw the sides between an outline at depth `z0` and the same at `z1`.

        Parameters
        ----------
        name : str
            Of the part.
        outline : ndarray, shape (n, 2)
            Clockwise on the sheet (y down).
        z0, z1 : float
            Back and front.
        colour : colour
        top : colour, optional
            Of faces that look up, for example the dark inside of an open bag.
        texture : ndarray, shape (512, 512), optional
            Tile that multiplies the colour, in picture space.
        polished : bool
            Metal reflections in place of matt light.
        """
        n = len(outline)
        edges = np.roll(outline, -1, axis=0) - outline
        normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        back = self.camera.project(np.column_stack([outline, np.full(n, z0)]))
        front = self.camera.project(np.column_stack([outline, np.full(n, z1)]))
        facing = self.camera.turned(np.column_stack([normals, np.zeros(n)]))
        depth = self.camera.turned(np.column_stack([outline, np.full(n, z0)]))[:, 2]
        size = self.camera.size
        layer = np.zeros((size, size, 3), np.uint8)
        mask = np.zeros((size, size), np.uint8)
        for i in np.argsort(depth):
            j = (i + 1) % n
            quad = np.array([back[i], back[j], front[j], front[i]])
            area = (
                np.cross(quad[2] - quad[0], quad[3] - quad[1])
                if quad.shape[1] == 3
                else _cross(quad[2] - quad[0], quad[3] - quad[1])
            )
            if area <= 0.5:
                continue
            if polished:
                paint = metal(
                    np.array(math.atan2(normals[i, 1], normals[i, 0]) / (2 * math.pi) * 3 + 0.2, np.float32), colour
                )
            else:
                up = max(0.0, -float(normals[i, 1]))
                base = top if top is not None and up > 0.75 else colour
                light = 0.62 + 0.22 * up + 0.16 * max(0.0, float(facing[i, 2])) - 0.10 * max(0.0, float(normals[i, 0]))
                paint = np.asarray(base, np.float32) * light
            points = np.round((quad - 0.5) * 16).astype(np.int32)
            cv2.fillPoly(layer, [points], [float(v) for v in paint], cv2.LINE_8, 4)
            cv2.polylines(layer, [points], True, [float(v) for v in paint], 2, cv2.LINE_8, 4)
            cv2.fillPoly(mask, [points], 255, cv2.LINE_AA, 4)
        x, y, w, h = cv2.boundingRect(mask)
        if w == 0:
            return
        at = (slice(y, y + h), slice(x, x + w))
        alpha = mask[at].astype(np.float32) / 255
        rgb = cv2.GaussianBlur(layer[at], (0, 0), 1.2).astype(np.float32)
        rgb = np.where(layer[at].any(axis=2, keepdims=True), rgb, np.array(colour, np.float32) * 0.6)
        if texture is not None:
            rows, columns = np.arange(h) % texture.shape[0], np.arange(w) % texture.shape[1]
            rgb = rgb * texture[rows[:, None], columns[None]][..., None]
        self.compose(np.clip(rgb, 0, 255) * alpha[..., None], alpha, {name: mask[at]}, (x, y))

    def stand(self, footprint: Points, y: float) -> None:
        """Cast the shadow of something that stands on the floor at height `y` on the outline (x, z) of its base."""
        points = self.camera.project(np.column_stack([footprint[:, 0], np.full(len(footprint), y), footprint[:, 1]]))
        unit = self.camera.ppu
        near = np.zeros(self.shadow.shape, np.uint8)
        cv2.fillPoly(near, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        wide = _blurred(near, 0.09 * unit)
        tight = _blurred(near, 0.022 * unit)
        self.shadow = np.maximum(self.shadow, 0.36 * wide + 0.42 * tight)

    def lie(self, height: float) -> None:
        """Cast the shadow of something that lies on a surface, `height` units above it."""
        unit = self.camera.ppu
        for blur, shift, strength in ((0.10, 0.5, 0.40), (0.03, 0.25, 0.35)):
            move = np.array([[1, 0, height * shift * unit], [0, 1, height * shift * unit]], np.float32)
            moved = cv2.warpAffine((self.alpha * 255).astype(np.uint8), move, self.alpha.shape[::-1])
            self.shadow = np.maximum(self.shadow, strength * _blurred(moved, blur * unit) + 0.0)

    def finish(self, size: int) -> ProductView:
        """Return the picture at `size`, averaged down."""

        def small(a: FloatArray) -> Mask:
            full = np.asarray(np.clip(a + 0.5, 0, 255), np.uint8)
            return np.asarray(cv2.resize(full, (size, size), interpolation=cv2.INTER_AREA), np.uint8)

        alpha = small(self.alpha * 255)
        rgb = small(self.rgb) * (255 / np.maximum(alpha, 1).astype(np.float32))[..., None]
        parts = {
            k: np.asarray(cv2.resize(v, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
            for k, v in self.parts.items()
        }
        return ProductView(np.asarray(np.clip(rgb + 0.5, 0, 255), np.uint8), alpha, small(self.shadow * 255), parts)


def _cross(a: Points, b: Points) -> float:
    return float(a[0] * b[1] - a[1] * b[0])


def _blurred(mask: Mask, sigma: float) -> FloatArray:
    """Wide blur of a mask at a quarter of the size; in [0, 1]."""
    h, w = mask.shape
    small = cv2.resize(mask, (max(w // 4, 1), max(h // 4, 1)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), max(sigma / 4, 0.4))
    return np.asarray(cv2.resize(soft, (w, h), interpolation=cv2.INTER_LINEAR), np.float32) / 255
