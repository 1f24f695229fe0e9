"""What a brand sells: bags and watches in variants, each with its prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from imgmatch.augment.textures import Colour, mix, shade
from imgmatch.world.brands import BrandDesign
from imgmatch.world.specs import SILHOUETTES, BagSpec, ItemSpec, WatchSpec

__all__ = ["CONDITION_SHARE", "Product", "make_collection"]

CONDITION_SHARE: dict[str, float] = {"new": 1.0, "like new": 0.8, "used": 0.6, "worn": 0.42}
"""Usual price by condition as a share of the new price, in this world."""


@dataclass(frozen=True, slots=True)
class Product:
    """An item with its price.

    Parameters
    ----------
    spec : BagSpec or WatchSpec
    price : float
        New, in EUR.
    """

    spec: ItemSpec
    price: float

    def usual(self, condition: str) -> float:
        """Return the usual price in this condition, EUR."""
        return round(self.price * CONDITION_SHARE[condition], -1)


# Width, height, depth, flare of each silhouette.
_BODY: dict[str, tuple[float, float, float, float]] = {
    "tote": (1.0, 0.72, 0.30, 0.14),
    "satchel": (1.0, 0.66, 0.32, -0.12),
    "flap": (0.96, 0.62, 0.22, 0.0),
    "bowling": (1.0, 0.60, 0.34, -0.04),
    "bucket": (0.78, 0.84, 0.44, 0.06),
    "hobo": (1.06, 0.60, 0.16, 0.0),
}
_CARRY: dict[str, tuple[str, ...]] = {
    "tote": ("handles",),
    "satchel": ("top", "handles"),
    "flap": ("chain", "belt"),
    "bowling": ("handles",),
    "bucket": ("belt", "chain"),
    "hobo": ("belt",),
}
_CLASP: dict[str, tuple[str, ...]] = {
    "tote": ("none", "padlock", "ring"),
    "satchel": ("bar", "turnlock", "padlock"),
    "flap": ("turnlock", "padlock", "bar"),
    "bowling": ("none", "ring"),
    "bucket": ("ring", "padlock"),
    "hobo": ("ring", "none"),
}
# Where the logo sits: (y as a share of the height, width) by silhouette.
_LOGO: dict[str, tuple[float, float]] = {
    "tote": (0.58, 0.30),
    "satchel": (0.44, 0.28),
    "flap": (0.20, 0.30),
    "bowling": (0.46, 0.28),
    "bucket": (0.46, 0.28),
    "hobo": (0.22, 0.26),
}


def make_collection(brand: BrandDesign, seed: int, *, bags: int, watches: int, variants: int = 3) -> list[Product]:
    """Design a collection.

    Parameters
    ----------
    brand : BrandDesign
    seed : int
    bags, watches : int
        Items of each kind.
    variants : int
        Most variants of one model, which differ in colour or material alone; bags have up to three, watches two.

    Returns
    -------
    list of Product
        With item ids ``brand-model-variant``.
    """
    rng = np.random.default_rng([seed, *brand.brand.encode()])
    return _bags(brand, rng, bags, variants) + _watches(brand, rng, watches, variants)


def _bags(brand: BrandDesign, rng: np.random.Generator, count: int, per_model: int) -> list[Product]:
    out: list[Product] = []
    silhouettes = [SILHOUETTES[i] for i in rng.permutation(len(SILHOUETTES))]
    generation = 0
    while len(out) < count:
        for i, model in enumerate(brand.bag_models):
            name = model if generation == 0 else f"{model} {'II' * generation}"
            base, price = _bag_model(brand, rng, name, silhouettes[(i + generation) % len(silhouettes)])
            variants = _bag_variants(base, rng)[: min(per_model, count - len(out))]
            out += [Product(spec, round(price * (1.25 if spec.material == "croc" else 1.0), -1)) for spec in variants]
        generation += 1
    return out


def _bag_model(brand: BrandDesign, rng: np.random.Generator, model: str, silhouette: str) -> tuple[BagSpec, float]:
    w, h, d, flare = (v * float(rng.uniform(0.93, 1.07)) for v in _BODY[silhouette])
    logo_y, logo_width = _LOGO[silhouette]
    pattern = (
        "monogram"
        if silhouette in ("tote", "bucket") or rng.random() < 0.3
        else str(rng.choice(["plain", "plain", "quilt", "stripe"]))
    )
    spec = BagSpec(
        item_id="",
        brand=brand,
        model=model,
        variant="",
        name="",
        silhouette=silhouette,
        width=w,
        height=h,
        depth=d,
        flare=flare,
        colour=(0, 0, 0),
        trim=(0, 0, 0),
        material="leather",
        pattern=pattern,
        period=float(rng.uniform(0.20, 0.30)),
        stitch=(214, 190, 150),
        metal=brand.metal,
        clasp=str(rng.choice(_CLASP[silhouette])),
        carry=str(rng.choice(_CARRY[silhouette])),
        logo=str(
            rng.choice(
                ["plate", "patch", "combined", "figure"]
                if pattern == "monogram"
                else ["plate", "stamp", "combined", "figure"]
            )
        ),
        logo_x=0.0,
        logo_y=logo_y,
        logo_width=logo_width,
        wordmark=brand.wordmark,
        figure=brand.figure,
    )
    return spec, float(np.round(brand.level * rng.uniform(0.7, 1.6), -1))


def _bag_variants(base: BagSpec, rng: np.random.Generator) -> list[BagSpec]:
    names = [str(n) for n in rng.permutation(sorted(base.brand.leathers))[:3]]
    out = []
    for i, name in enumerate(names):
        leather = base.brand.leathers[name]
        light = sum(leather) > 380
        if base.pattern == "monogram":
            variant, material, colour, trim = f"monogram {name}", "canvas", base.brand.canvas[0], leather
        else:
            material = str(rng.choice(["leather", "smooth", "suede"])) if i < 2 or base.pattern != "plain" else "croc"
            variant = name if material != "croc" else f"croc {name}"
            colour, trim = (
                leather,
                shade(leather, 0.8) if i % 2 else mix(leather, (60, 40, 30) if light else (20, 18, 18), 0.7),
            )
        stitch: Colour = mix(trim, (240, 226, 196), 0.75) if sum(trim) < 420 else shade(trim, 0.7)
        out.append(
            replace(
                base,
                item_id=f"{base.brand.brand}-{base.model}-{variant}".lower().replace(" ", "-"),
                variant=variant,
                name=f"{base.brand.name} {base.model} {base.silhouette} bag, {variant}",
                colour=colour,
                trim=trim,
                material=material,
                stitch=stitch,
            )
        )
    return out


def _watches(brand: BrandDesign, rng: np.random.Generator, count: int, per_model: int) -> list[Product]:
    out: list[Product] = []
    generation = 0
    while len(out) < count:
        for model in brand.watch_models:
            name = model if generation == 0 else f"{model} {'II' * generation}"
            price = float(np.round(brand.level * rng.uniform(1.2, 3.5), -1))
            variants = _watch_variants(brand, rng, name)[: min(per_model, count - len(out))]
            out += [Product(spec, round(price * (2.2 if "gold" in spec.metal else 1.0), -1)) for spec in variants]
        generation += 1
    return out


def _watch_variants(brand: BrandDesign, rng: np.random.Generator, model: str) -> list[WatchSpec]:

    def pick(names: Sequence[str]) -> str:
        return names[int(rng.integers(len(names)))]

    bezel = pick(["smooth", "fluted", "diver", "screws"])
    case = "round" if bezel == "diver" else "octagon" if bezel == "screws" else pick(["round", "cushion", "square", "round"])
    subdials = int(rng.choice([0, 0, 0, 2, 3])) if case != "square" else 0
    shared = {
        "case": case,
        "bezel": bezel,
        "finish": pick(["plain", "sunray", "guilloche", "stripes"]),
        "indices": "dots" if bezel == "diver" else pick(["baton", "arabic", "roman", "wedge"]),
        "hands": pick(["baton", "dauphine", "sword", "leaf"]),
        "subdials": subdials,
        "date": bool(rng.random() < 0.6),
        "crown": 3 if subdials else 1,
    }
    out = []
    for name in [str(n) for n in rng.permutation(sorted(brand.dials))[:2]]:
        metal = pick(["steel", "steel", brand.metal])
        strap = (
            pick(["bracelet", "leather", "rubber"]) if bezel == "diver" else pick(["bracelet", "leather", "leather", "mesh"])
        )
        dial = brand.dials[name]
        leather = (
            (44, 42, 44) if strap == "rubber" else list(brand.leathers.values())[int(rng.integers(len(brand.leathers)))]
        )
        variant = f"{name} {metal} {strap}"
        out.append(
            WatchSpec(
                item_id=f"{brand.brand}-{model}-{variant}".lower().replace(" ", "-"),
                brand=brand,
                model=model,
                variant=variant,
                name=f"{brand.name} {model} watch, {name} dial, {metal}, {strap}",
                metal=metal,
                dial=dial,
                accent=(188, 44, 34) if sum(dial) < 500 else (32, 54, 120),
                strap=strap,
                strap_colour=leather,
                wordmark=brand.wordmark,
                figure=brand.figure,
                **shared,  # type: ignore[arg-type]
            )
        )
    return out
