"""From the description of an item to its pictures: product views, studio photos of the brand, photos of private sellers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from imgmatch.augment.surfaces import SURFACES, surface
from imgmatch.world.bags import BAG_POSES, draw_bag
from imgmatch.world.scene import Pose, ProductView
from imgmatch.world.specs import BagSpec, ItemSpec
from imgmatch.world.watches import WATCH_POSES, draw_watch

__all__ = ["OFFICIAL_VIEWS", "PHONE_VIEWS", "PhonePhoto", "phone_photo", "product_view", "studio_photo"]

Photo = npt.NDArray[np.uint8]

OFFICIAL_VIEWS: dict[str, tuple[str, ...]] = {
    "bag": ("front", "three_quarter", "logo", "back", "side"),
    "watch": ("front", "tilted", "dial", "back", "side"),
}
PHONE_VIEWS: dict[str, tuple[str, ...]] = {
    "bag": ("phone_a", "phone_b", "phone_c", "phone_logo"),
    "watch": ("phone_a", "phone_b", "phone_c", "phone_dial"),
}

_SUPERSAMPLING = 1.5


def pose_of(spec: ItemSpec, view: str) -> Pose:
    """Return where the camera stands for a view of this kind of item."""
    poses = BAG_POSES if isinstance(spec, BagSpec) else WATCH_POSES
    if view not in poses:
        raise ValueError(f"expected one of {', '.join(poses)}, got {view!r}")
    return poses[view]


@lru_cache(maxsize=384)
def product_view(spec: ItemSpec, view: str, size: int = 480, framed_as: ItemSpec | None = None) -> ProductView:
    """Draw an item without background.

    Parameters
    ----------
    spec : BagSpec or WatchSpec
    view : str
        One of :data:`OFFICIAL_VIEWS` or :data:`PHONE_VIEWS` for the item's category.
    size : int
        Side of the square picture in pixels.
    framed_as : BagSpec or WatchSpec, optional
        Put the camera where it stands for this item, so that an altered item lines up with the design it was made of.

    Notes
    -----
    Deterministic. Remembered: a market shows the same item many times.
    """
    pose = pose_of(spec, view)
    side = round(size * _SUPERSAMPLING)
    if isinstance(spec, BagSpec):
        frame = framed_as if isinstance(framed_as, BagSpec) else spec
        return draw_bag(spec, pose, side, frame).finish(size)
    return draw_watch(spec, pose, side).finish(size)


def compose(view: ProductView, background: Photo) -> Photo:
    """Put a product and its shadow on a background of the same size."""
    return _over(view.pixels, view.alpha, view.shadow, background)


def studio_photo(spec: ItemSpec, view: str, size: int = 480, framed_as: ItemSpec | None = None) -> Photo:
    """Return the photo that the brand itself publishes: seamless ground, soft shadow; see :func:`product_view`."""
    return compose(product_view(spec, view, size, framed_as), _studio(size, spec.category == "bag"))


@lru_cache(maxsize=8)
def _studio(size: int, floor: bool) -> Photo:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    light = 248 - 14 * (x * x + y * y)
    if floor:
        light -= 7 / (1 + np.exp(-(y - 0.24) * 16))
    return np.repeat(np.asarray(light, np.uint8)[..., None], 3, axis=2)


@dataclass(frozen=True, slots=True, eq=False)
class PhonePhoto:
    """A photo of an item at somebody's home.

    Parameters
    ----------
    pixels : ndarray, shape (H, W, 3), uint8
    homography : ndarray, shape (3, 3)
        Maps pixels of the product view to pixels of the photo.
    surface : str
        What the item lies or stands on.
    """

    pixels: Photo
    homography: npt.NDArray[np.float64]
    surface: str


def phone_photo(
    spec: ItemSpec,
    view: str,
    rng: np.random.Generator,
    *,
    size: tuple[int, int] = (480, 480),
    ground: tuple[str, int] | None = None,
) -> PhonePhoto:
    """Place an item on a private surface, as a seller would photograph it, before light and lens do their part.

    Parameters
    ----------
    spec, view
        See :func:`product_view`.
    rng : numpy.random.Generator
    size : (width, height)
        In pixels.
    ground : (surface, seed), optional
        The very place; by default a random one. Sellers that share a place share its ground.
    """
    width, height = size
    if ground is None:
        ground = (str(rng.choice(SURFACES)), int(rng.integers(64)))
    product = product_view(spec, view)
    side = product.alpha.shape[0]
    scale = min(width, height) / side * rng.uniform(0.82, 1.05)
    angle = np.radians(rng.normal(0, 5))
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    centre = np.array([width, height]) * (0.5 + rng.normal(0, 0.035, 2))
    half = side / 2
    similarity = np.array([[c, -s, centre[0] - c * half + s * half], [s, c, centre[1] - s * half - c * half], [0, 0, 1]])
    tilt = np.eye(3)
    tilt[2, :2] = rng.normal(0, 0.00012, 2)
    homography = similarity @ tilt
    floor = surface(*ground)
    k = max(width, height) / floor.shape[0] * rng.uniform(1.15, 1.5)
    turn = np.radians(rng.uniform(-20, 20))
    cc, ss = np.cos(turn) * k, np.sin(turn) * k
    at = floor.shape[0] / 2 + rng.uniform(-20, 20, 2)
    lay = np.array(
        [[cc, -ss, width / 2 - cc * at[0] + ss * at[1]], [ss, cc, height / 2 - ss * at[0] - cc * at[1]], [0, 0, 1]]
    )
    lay = lay @ np.array([[1, 0, 0], [0, 1, 0], [0, rng.uniform(-3e-4, 0), 1]])
    background = cv2.warpPerspective(floor, lay, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    product_layers = [
        np.asarray(cv2.warpPerspective(layer, homography, size, flags=cv2.INTER_LINEAR), np.uint8)
        for layer in (_premultiplied(product), product.alpha, product.shadow)
    ]
    pixels = _over(
        product_layers[0], product_layers[1], product_layers[2], np.asarray(background, np.uint8), premultiplied=True
    )
    return PhonePhoto(pixels, homography, ground[0])


def _premultiplied(view: ProductView) -> Photo:
    return np.asarray(cv2.multiply(view.pixels, cv2.merge([view.alpha] * 3), scale=1 / 255), np.uint8)


def _over(
    pixels: Photo,
    alpha: npt.NDArray[np.uint8],
    shadow: npt.NDArray[np.uint8],
    background: Photo,
    premultiplied: bool = False,
) -> Photo:
    keep = cv2.multiply(255 - alpha, 255 - shadow, scale=1 / 255)
    ground = cv2.multiply(background, cv2.merge([keep] * 3), scale=1 / 255)
    front = pixels if premultiplied else cv2.multiply(pixels, cv2.merge([alpha] * 3), scale=1 / 255)
    return np.asarray(cv2.add(front, ground), np.uint8)
