"""Drawing on a flat sheet: outlines, strokes, seams, and parts laid one over another with light and shadow.

Lengths are in *units* of the product (a bag is about one unit wide, the case of a watch two); only the sheet knows
pixels, so the same drawing code serves a full view and a close-up. Light comes from the upper left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from imgmatch.augment.textures import LIGHT, Colour, FloatArray, Mask, grain, metal

__all__ = ["Sheet", "arc", "ellipse", "rectangle", "resample", "rounded"]

Points = npt.NDArray[np.float64]

# Outlines -----------------------------------------------------------------------------------------------------------


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Points:
    """Return the corners of a rectangle, clockwise from the top left, shape (4, 2)."""
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def ellipse(cx: float, cy: float, rx: float, ry: float, n: int = 96) -> Points:
    """Return the outline of an ellipse, shape (n, 2)."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], axis=1)


def arc(cx: float, cy: float, rx: float, ry: float, start: float, stop: float, n: int = 48) -> Points:
    """Return points of an arc from `start` to `stop` degrees, clockwise on a sheet (y down) from three o'clock."""
    t = np.radians(np.linspace(start, stop, n))
    return np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], axis=1)


def rounded(points: Sequence[Sequence[float]] | Points, radius: float | Sequence[float], n: int = 10) -> Points:
    """Return a polygon with its corners rounded by quadratic curves.

    Parameters
    ----------
    points : sequence of (x, y)
    radius : float or one per corner
        Where the curve begins, as a distance from the corner; at most 45 % of the shorter edge is used.
    n : int
        Points per corner.
    """
    p = np.asarray(points, float)
    radii = np.broadcast_to(np.asarray(radius, float), (len(p),))
    out: list[Points] = []
    t = np.linspace(0, 1, n)[:, None]
    for i in range(len(p)):
        before, corner, after = p[i - 1], p[i], p[(i + 1) % len(p)]
        if radii[i] <= 0:
            out.append(corner[None])
            continue
        a, b = before - corner, after - corner
        la, lb = float(np.hypot(*a)), float(np.hypot(*b))
        r = min(float(radii[i]), 0.45 * la, 0.45 * lb)
        start, stop = corner + a / la * r, corner + b / lb * r
        out.append((1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * stop)
    return np.concatenate(out)


def resample(points: Points, step: float, closed: bool = False) -> Points:
    """Return points of a path at equal arc length, about `step` apart."""
    p = np.concatenate([points, points[:1]]) if closed else points
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(p, axis=0).T))])
    n = max(2, round(float(lengths[-1]) / step) + 1)
    at = np.linspace(0, lengths[-1], n)
    out = np.stack([np.interp(at, lengths, p[:, 0]), np.interp(at, lengths, p[:, 1])], axis=1)
    return out[:-1] if closed else out


# The sheet ----------------------------------------------------------------------------------------------------------


class Sheet:
    """A transparent drawing of one face of a product.

    Parameters
    ----------
    x0, y0, x1, y1 : float
        The window that is drawn, in units; what lies outside is clipped.
    ppu : float
        Pixels per unit.

    Attributes
    ----------
    rgb : ndarray, shape (H, W, 3), float32
        Straight (not premultiplied) colour.
    alpha : ndarray, shape (H, W), float32
        In [0, 1].
    parts : dict of str to ndarray, shape (H, W), uint8
        Visible coverage of each named part: what is laid over a part takes from it.
    """

    def __init__(self, x0: float, y0: float, x1: float, y1: float, ppu: float) -> None:
        self.window = (x0, y0, x1, y1)
        self.ppu = ppu
        self.shape = (max(2, math.ceil((y1 - y0) * ppu)), max(2, math.ceil((x1 - x0) * ppu)))
        self.rgb = np.zeros((*self.shape, 3), np.float32)
        self.alpha = np.zeros(self.shape, np.float32)
        self.parts: dict[str, Mask] = {}
        self._grains: dict[tuple[str, float], FloatArray] = {}

    def pixels(self, points: Sequence[Sequence[float]] | Points) -> Points:
        """Map points in units to pixels of the sheet."""
        return np.asarray((np.asarray(points, float) - self.window[:2]) * self.ppu)

    # Masks: what a part covers.

    def fill(self, *outlines: Sequence[Sequence[float]] | Points) -> Mask:
        """Return the coverage of polygons; where two overlap, the even-odd rule makes a hole."""
        mask = np.zeros(self.shape, np.uint8)
        polygons = [np.round((self.pixels(p) - 0.5) * 16).astype(np.int32) for p in outlines]
        cv2.fillPoly(mask, polygons, 255, cv2.LINE_AA, 4)
        return mask

    def stroke(self, path: Sequence[Sequence[float]] | Points, width: float, closed: bool = False) -> Mask:
        """Return the coverage of a line of `width` units along a path."""
        mask = np.zeros(self.shape, np.uint8)
        points = np.round((self.pixels(path) - 0.5) * 16).astype(np.int32)
        cv2.polylines(mask, [points], closed, 255, max(1, round(width * self.ppu)), cv2.LINE_AA, 4)
        return mask

    def stitches(self, path: Points, length: float, width: float, closed: bool = False) -> Mask:
        """Return the coverage of a seam: stitches of `length` units, gaps of 0.6 of it."""
        mask = np.zeros(self.shape, np.uint8)
        p = resample(np.asarray(path, float), length * 0.2, closed)
        q = np.round((self.pixels(p) - 0.5) * 16).astype(np.int32)
        runs = [q[i : i + 6] for i in range(0, len(q) - 6, 8)]
        cv2.polylines(mask, runs, False, 255, max(1, round(width * self.ppu)), cv2.LINE_AA, 4)
        return mask

    def stamp(self, ink: Mask, cx: float, cy: float, width: float, angle: float = 0.0) -> Mask:
        """Return the coverage of `ink` centred at (cx, cy), `width` units wide, turned by `angle` degrees clockwise."""
        h, w = ink.shape
        scale = width * self.ppu / w
        c, s = math.cos(math.radians(angle)) * scale, math.sin(math.radians(angle)) * scale
        x, y = self.pixels([(cx, cy)])[0]
        # Pixel centres: ink (w / 2, h / 2) lands on (x, y), both measured from pixel edges.
        affine = np.array(
            [[c, -s, x - 0.5 - c * (w - 1) / 2 + s * (h - 1) / 2], [s, c, y - 0.5 - s * (w - 1) / 2 - c * (h - 1) / 2]],
            np.float64,
        )
        if scale < 0.7:  # shrink first, for a clean edge
            k = max(scale, 2 / min(h, w)) if min(h, w) * scale >= 2 else 1.0
            small = cv2.resize(ink, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
            h2, w2 = small.shape
            c, s = c / (w2 / w), s / (w2 / w)
            affine = np.array(
                [
                    [c, -s, x - 0.5 - c * (w2 - 1) / 2 + s * (h2 - 1) / 2],
                    [s, c, y - 0.5 - s * (w2 - 1) / 2 - c * (h2 - 1) / 2],
                ],
                np.float64,
            )
            ink = small
        return np.asarray(cv2.warpAffine(ink, affine, self.shape[::-1], flags=cv2.INTER_LINEAR), np.uint8)

    def tiled(
        self, tile: npt.NDArray[np.uint8] | FloatArray, period: float, phase: tuple[float, float] = (0.0, 0.0)
    ) -> FloatArray:
        """Return a tile repeated over the sheet, `period` units wide, fixed to the product and not to the window."""
        w = tile.shape[1]
        scale = period * self.ppu / w
        if scale < 0.7:
            tile = cv2.resize(tile, None, fx=max(scale, 4 / w), fy=max(scale, 4 / w), interpolation=cv2.INTER_AREA)
            scale = period * self.ppu / tile.shape[1]
        x, y = self.pixels([phase])[0]
        affine = np.array([[scale, 0.0, x], [0.0, scale, y]])
        out = cv2.warpAffine(
            tile.astype(np.float32), affine, self.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
        return np.asarray(out, np.float32)

    def grain(self, kind: str, period: float = 0.5) -> FloatArray:
        """Return a texture over the sheet, see :func:`grain`."""
        if (kind, period) not in self._grains:
            self._grains[kind, period] = self.tiled(grain(kind), period)
        return self._grains[kind, period]

    # Laying parts.

    def lay(
        self,
        name: str | None,
        mask: Mask,
        paint: Colour | FloatArray | Callable[[slice, slice], FloatArray],
        *,
        texture: FloatArray | None = None,
        relief: float = 0.0,
        depth: float = 0.35,
        gloss: float = 0.0,
        drop: float = 0.0,
        opacity: float = 1.0,
    ) -> None:
        """Lay a part over what is there.

        Parameters
        ----------
        name : str or None
            Recorded in `parts`; None for what belongs to no part of its own.
        mask : ndarray, shape (H, W), uint8
            Coverage.
        paint : colour, ndarray of shape (H, W, 3), or callable
            A callable is given the rows and columns to paint.
        texture : ndarray, shape (H, W), optional
            Factor around 1.
        relief : float
            Width in units of a bevel at the edges; the light shapes it.
        depth : float
            Strength of the bevel; negative for a part that is pressed in.
        gloss : float
            Strength of the highlight on the bevel, in [0, 1].
        drop : float
            Size in units of the shadow cast on what lies below.
        opacity : float
            Of the paint, in [0, 1].
        """
        pad = math.ceil(3 * max(drop, relief) * self.ppu) + 1
        x, y, w, h = cv2.boundingRect(mask)
        if w == 0:
            if name is not None:
                self.parts.setdefault(name, np.zeros(self.shape, np.uint8))
            return
        x0, y0 = max(0, x - pad), max(0, y - pad)
        x1, y1 = min(self.shape[1], x + w + pad), min(self.shape[0], y + h + pad)
        at = (slice(y0, y1), slice(x0, x1))
        a = mask[at].astype(np.float32) * (opacity / 255)
        rgb, alpha = self.rgb[at], self.alpha[at]
        if drop > 0:
            d = drop * self.ppu
            cast = _blur(a, max(d * 0.7, 0.6))
            shift = np.array([[1, 0, d * -LIGHT[0] * 0.7], [0, 1, d * -LIGHT[1] * 0.7]], np.float32)
            cast = cv2.warpAffine(cast, shift, (a.shape[1], a.shape[0]))
            rgb *= cv2.merge([1 - 0.55 * cast] * 3)
        colour: FloatArray
        if callable(paint):
            colour = paint(*at)
        elif isinstance(paint, tuple):
            colour = np.broadcast_to(np.asarray(paint, np.float32), (*a.shape, 3))
        else:
            colour = paint[at]
        factor: FloatArray = np.ones_like(a) if texture is None else texture[at].copy()
        highlight = None
        if relief > 0:
            light = _bevel(mask[at], max(relief * self.ppu * 0.5, 0.5))
            factor *= np.clip(1 + np.sign(depth) * light * abs(depth) * 2.2, 0.25, 1.7)
            if gloss > 0:
                highlight = np.clip(light * np.sign(depth) * 2.2, 0, 1) ** 2 * gloss
        painted = colour * cv2.merge([factor] * 3)
        np.clip(painted, 0, 255, out=painted)
        if highlight is not None:
            painted += (255 - painted) * highlight[..., None]
        total = a + alpha * (1 - a)
        painted -= rgb
        painted *= cv2.merge([a / np.maximum(total, 1e-6)] * 3)
        rgb += painted
        alpha[...] = total
        keep = 255 - mask[at]
        for other, covered in self.parts.items():
            if other != name and opacity > 0.6:
                covered[at] = cv2.multiply(covered[at], keep, scale=1 / 255)
        if name is not None:
            part = self.parts.setdefault(name, np.zeros(self.shape, np.uint8))
            np.maximum(part[at], mask[at], out=part[at])

    def lay_metal(
        self,
        name: str | None,
        mask: Mask,
        tone: Colour,
        *,
        relief: float = 0.01,
        drop: float = 0.0,
        angle: float = 30.0,
        period: float = 0.5,
    ) -> None:
        """Lay a part of polished metal, its reflections running at `angle` degrees with a `period` in units."""
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))

        def paint(rows: slice, columns: slice) -> FloatArray:
            xs = np.arange(columns.start, columns.stop, dtype=np.float32)[None] / self.ppu
            ys = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] / self.ppu
            return metal((xs * c + ys * s) / period, tone)

        self.lay(name, mask, paint, relief=relief, depth=0.5, gloss=0.8, drop=drop)

    def darken(self, mask: Mask, strength: float, blur: float = 0.0) -> None:
        """Darken what is there under a soft mask; `blur` in units."""
        soft: FloatArray = mask.astype(np.float32) / 255
        if blur > 0:
            soft = _blur(soft, blur * self.ppu)
        self.rgb *= cv2.merge([1 - strength * soft] * 3)


def _bevel(mask: Mask, sigma: float) -> FloatArray:
    """Return how much the light falls on edges that are round over `sigma` pixels."""
    height = _blur(mask.astype(np.float32) / 255, sigma)
    across, down = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3)
    return np.asarray((across * -LIGHT[0] + down * -LIGHT[1]) * (sigma * 0.32), np.float32)


def _blur(a: FloatArray, sigma: float) -> FloatArray:
    """Gaussian blur; wide ones at half size, where nobody sees the difference."""
    if sigma > 6:
        small = cv2.resize(a, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        return np.asarray(
            cv2.resize(_blur(small, sigma / 2), (a.shape[1], a.shape[0]), interpolation=cv2.INTER_LINEAR), np.float32
        )
    return np.asarray(cv2.GaussianBlur(a, (0, 0), sigma), np.float32)
