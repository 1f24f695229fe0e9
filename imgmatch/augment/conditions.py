"""Benign conditions: what happens to an honest photo of a genuine thing. None of them changes the design."""

from __future__ import annotations

import cv2
import numpy as np

from imgmatch.augment.changes import Change, Changed, Photo, check_photo, recompressed, scaling, unmarked
from imgmatch.augment.surfaces import SURFACES, noise, surface

__all__ = ["CONDITIONS", "condition", "snapshot"]

_HERE = np.eye(3)


def condition(name: str, image: Photo, rng: np.random.Generator, strength: float = 0.5) -> Changed:
    """Put a photo under one of :data:`CONDITIONS`.

    Parameters
    ----------
    name : str
    image : ndarray, shape (H, W, 3), uint8
    rng : numpy.random.Generator
    strength : float
        In [0, 1]: 0 hardly anything, 1 the strongest that is still an honest photo.

    Raises
    ------
    ValueError
        For an unknown name, a photo of another shape or type, or a strength outside [0, 1].
    """
    if name not in CONDITIONS:
        raise ValueError(f"expected one of {', '.join(CONDITIONS)}, got {name!r}")
    check_photo(image, strength)
    return CONDITIONS[name](image, rng, strength)


def _toned(name: str, strength: float, image: Photo) -> Changed:
    return Changed(name, strength, image, _HERE.copy(), unmarked(image))


def _light(image: Photo, rng: np.random.Generator, strength: float) -> Changed:
    """Uneven light: brighter from one side, darker corners, another exposure."""
    h, w = image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    x = np.linspace(-1, 1, w, dtype=np.float32)[None]
    y = np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    slope = 1 + 0.35 * strength * (np.cos(angle) * x + np.sin(angle) * y) - 0.15 * strength * (x * x + y * y)
    gain = slope * (1 + strength * rng.uniform(-0.25, 0.15))
    return _toned("light", strength, np.clip(image * gain[..., None], 0, 255).astype(np.uint8))


def _white_balance(image: Photo, rng: np.random.Generator, strength: float) -> Changed:
    """A warm lamp or a cold window."""
    warm = rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1) * strength
    gains = np.array([1 + 0.16 * warm, 1 + 0.02 * rng.normal() * strength, 1 - 0.22 * warm])
    table = np.clip(np.arange(256)[:, None] * gains / gains.max() * (1 + 0.04 * strength), 0, 255).astype(np.uint8)
    return _toned("white_balance", strength, np.asarray(cv2.LUT(image, table[:, None, :].reshape(256, 1, 3)), np.uint8))


def _jpeg(image: Photo, rng: np.random.Generator, strength: float) -> Changed:
    """Compression, quality 90 down to 25."""
    return _toned("jpeg", strength, recompressed(image, int(90 - 65 * strength + rng.uniform(-3, 3))))


def _blur(image: Photo, rng: np.random.Generator, strength: float) -> Changed:
    """A shaking hand or missed focus, up to 1 % of the shorter side."""
    sigma = strength * 0.006 * min(image.shape[:2]) + 0.2
    if rng.random() < 0.5:
        return _toned("blur", strength, np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8))
    n = max(3, round(sigma * 4) | 1)
    kernel = np.zeros((n, n), np.float32)
    angle = rng.uniform(0, np.pi)
    tip = (n - 1) / 2 * np.array([np.cos(angle), np.sin(angle)])
    a, b = np.round((n - 1) / 2 - tip).astype(int), np.round((n - 1) / 2 + tip).astype(int)
    cv2.line(kernel, tuple(map(int, a)), tuple(map(int, b)), 1.0, 1)
    return _toned("blur", strength, np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8))


def _noise(image: Photo, rng: np.random.Generator, strength: float) -> Changed:
    """Sensor noise of a dim room."""
    h, w = image.shape[:2]
    grain = rng.integers(0, 256, (h, w, 3), np.uint8).astype(np.float32) - 127.5
    return _toned("noise", strength, np.clip(image + grain * (0.16 * strength), 0, 255).astype(np.uint8))


def _resize(image: Photo, rng: np.random.Generator, strength: float) -> Changed:
    """Fewer pixels, down to a third."""
    h, w = image.shape[:2]
    k = 1 - 0.66 * strength * rng.uniform(0.8, 1)
    size = (max(16, round(w * k)), max(16, round(h * k)))
    out = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Changed("resize", strength, out, scaling(size[0] / w, size[1] / h), unmarked(out))


def _crop(image: Photo, rng: np.random.Generator, strength: float) -> Changed:
    """Another framing that cuts at most a quarter of either side."""
    h, w = image.shape[:2]
    cut = 0.25 * strength * rng.uniform(0.4, 1, 2)
    x = int(cut[0] * w * rng.random())
    y = int(cut[1] * h * rng.random())
    out = image[y : y + h - int(cut[1] * h), x : x + w - int(cut[0] * w)].copy()
    return Changed("crop", strength, out, scaling(1, 1, -x, -y), unmarked(out))


def _perspective(image: Photo, rng: np.random.Generator, strength: float) -> Changed:
    """A slightly other standpoint; corners move by up to 6 % of a side."""
    h, w = image.shape[:2]
    source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32) - 0.5
    goal = source + (rng.uniform(-0.06, 0.06, (4, 2)) * strength * [w, h]).astype(np.float32)
    warp = cv2.getPerspectiveTransform(source, goal)
    out = np.asarray(
        cv2.warpPerspective(image, warp, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )
    inside = cv2.warpPerspective(np.full((h, w), 255, np.uint8), warp, (w, h)) > 127
    return Changed("perspective", strength, out, np.asarray(warp, np.float64), ~inside)


def _dirt(image: Photo, rng: np.random.Generator, strength: float) -> Changed:
    """Stains, scuffs and scratches of wear."""
    h, w = image.shape[:2]
    side = min(h, w)
    marks = np.zeros((h, w), np.uint8)
    for _ in range(1 + round(6 * strength)):
        x, y = int(rng.uniform(0.15, 0.85) * w), int(rng.uniform(0.15, 0.85) * h)
        if rng.random() < 0.5:
            cv2.ellipse(
                marks,
                (x, y),
                (max(1, int(rng.uniform(0.01, 0.04) * side)), max(1, int(rng.uniform(0.006, 0.02) * side))),
                rng.uniform(0, 180),
                0,
                360,
                255,
                -1,
            )
        else:
            end = (x + int(rng.normal(0, 0.08) * side), y + int(rng.normal(0, 0.08) * side))
            cv2.line(marks, (x, y), end, 255, max(1, side // 300), cv2.LINE_AA)
    soft = cv2.GaussianBlur(marks, (0, 0), 0.003 * side + 0.3).astype(np.float32)[..., None] / 255 * (0.2 + 0.4 * strength)
    tone = np.array([62, 48, 34], np.float32) if rng.random() < 0.7 else np.array([214, 208, 200], np.float32)
    out = np.clip(image * (1 - soft) + tone * soft, 0, 255).astype(np.uint8)
    return Changed("dirt", strength, out, _HERE.copy(), soft[..., 0] > 0.05)


def _occlusion(image: Photo, rng: np.random.Generator, strength: float) -> Changed:
    """Something in front: a finger, a strap, a tag; up to about 12 % of the photo, entering from an edge."""
    h, w = image.shape[:2]
    mask = np.zeros((h, w), np.uint8)
    side = int(rng.integers(4))
    base = np.array(
        [
            [rng.uniform(0.2, 0.8) * w, 0],
            [w, rng.uniform(0.2, 0.8) * h],
            [rng.uniform(0.2, 0.8) * w, h],
            [0, rng.uniform(0.2, 0.8) * h],
        ]
    )[side]
    inward = np.array([[0, 1], [-1, 0], [0, 1], [1, 0]])[side] * (-1 if side == 2 else 1)
    tip = base + inward * (0.12 + 0.28 * strength) * min(h, w) + rng.normal(0, 0.05, 2) * min(h, w)
    thickness = max(4, int((0.06 + 0.1 * strength) * min(h, w)))
    cv2.line(mask, tuple(map(int, base - inward * thickness)), tuple(map(int, tip)), 255, thickness, cv2.LINE_AA)
    skin = np.array([[206, 160, 132], [150, 104, 78], [236, 234, 228], [40, 40, 44]])[rng.integers(4)]
    shading = 1 - 0.25 * cv2.GaussianBlur(255 - mask, (0, 0), thickness / 5 + 0.5).astype(np.float32) / 255
    cover = cv2.GaussianBlur(mask, (0, 0), 0.8).astype(np.float32)[..., None] / 255
    out = np.clip(image * (1 - cover) + skin * shading[..., None] * cover, 0, 255).astype(np.uint8)
    return Changed("occlusion", strength, out, _HERE.copy(), cover[..., 0] > 0.05)


def _background(image: Photo, rng: np.random.Generator, strength: float) -> Changed:
    """Another background in place of a plain one: of what is like the border and connected to it.

    Strength is its share of the mix. Raises ValueError where the border is not plain.
    """
    h, w = image.shape[:2]
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]).astype(np.float32)
    if border.std(axis=0).max() > 14:
        raise ValueError("the background of this photo is not plain, so it cannot be separated from the product")
    filled = np.zeros((h + 2, w + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | (255 << 8)
    for seed in ((0, 0), (w - 1, 0), (0, h - 1), (w - 1, h - 1)):
        cv2.floodFill(image.copy(), filled, seed, (0, 0, 0), (3, 3, 3), (3, 3, 3), flags)
    ground = cv2.GaussianBlur(filled[1:-1, 1:-1], (0, 0), 0.8)
    floor = surface(str(rng.choice(SURFACES)), int(rng.integers(64)))
    floor = cv2.resize(floor, (w, h), interpolation=cv2.INTER_AREA)
    light = (image.astype(np.float32).mean(axis=2, keepdims=True) / max(float(border.mean()), 1)).clip(0, 1)
    cover = ground.astype(np.float32)[..., None] / 255 * (0.3 + 0.7 * strength)
    out = np.clip(image * (1 - cover) + floor * light * cover, 0, 255).astype(np.uint8)
    return Changed("background", strength, out, _HERE.copy(), ground > 127)


CONDITIONS: dict[str, Change] = {
    "light": _light,
    "white_balance": _white_balance,
    "jpeg": _jpeg,
    "blur": _blur,
    "noise": _noise,
    "resize": _resize,
    "crop": _crop,
    "perspective": _perspective,
    "dirt": _dirt,
    "occlusion": _occlusion,
    "background": _background,
}
"""Benign conditions by name."""


def snapshot(image: Photo, rng: np.random.Generator, strength: float = 0.5) -> Photo:
    """Let room light, white balance, focus and sensor noise of a phone do their part; nothing moves."""
    check_photo(image, strength)
    h, w = image.shape[:2]
    x = np.linspace(-1, 1, w, dtype=np.float32)[None]
    y = np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    angle = rng.uniform(0, 2 * np.pi)
    gain = 1 + strength * (0.4 * (np.cos(angle) * x + np.sin(angle) * y) - 0.2 * (x * x + y * y) + rng.uniform(-0.3, 0.05))
    gain += 0.06 * strength * noise(rng, h, w, (3, 3))
    warm = rng.normal(0, 0.5) * strength
    gains = np.array([1 + 0.16 * warm, 1, 1 - 0.2 * warm], np.float32)
    soft = cv2.GaussianBlur(image, (0, 0), 0.3 + 0.9 * strength * rng.random())
    out = cv2.multiply(soft, cv2.merge([gain * g for g in gains]), dtype=cv2.CV_32F)
    out += (rng.integers(0, 256, (h, w, 1), np.uint8).astype(np.float32) - 127.5) * (0.12 * strength * rng.random())
    return np.asarray(np.clip(out, 0, 255), np.uint8)
