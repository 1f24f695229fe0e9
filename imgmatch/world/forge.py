"""Controlled edits of the design of an invented item.

There is no honest public set of genuine and counterfeit photos, so what can be found of an altered design is measured on
authentic designs and on copies of them with one thing wrong. Edits of photos, real ones too:
`imgmatch.augment.region_forge`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from imgmatch.augment.changes import sign
from imgmatch.augment.textures import Colour
from imgmatch.world.specs import BagSpec, ItemSpec, WatchSpec

__all__ = ["ITEM_FORGERIES", "forge_item", "forgeries_of", "misspell"]


def forge_item(name: str, spec: ItemSpec, rng: np.random.Generator, strength: float = 0.5) -> ItemSpec:
    """Return an item with one thing wrong.

    Parameters
    ----------
    name : str
        One of :data:`ITEM_FORGERIES` that applies, see :func:`forgeries_of`.
    spec : BagSpec or WatchSpec
    rng : numpy.random.Generator
    strength : float
        In [0, 1]: 0 is hard to see, 1 is plain. Edits that are one thing or the other (another hand, another clasp) are the
        same at any strength.

    Raises
    ------
    ValueError
        Where the edit does not apply to this item.
    """
    if name not in forgeries_of(spec):
        raise ValueError(f"expected one of {', '.join(forgeries_of(spec))} for a {spec.category} like this, got {name!r}")
    if not 0 <= strength <= 1:
        raise ValueError(f"expected strength in [0, 1], got {strength}")
    return ITEM_FORGERIES[name](spec, rng, strength)


def forgeries_of(spec: ItemSpec) -> tuple[str, ...]:
    """Return the names of the edits that apply to an item."""
    names = ["moved_logo", "resized_logo", "part_colour", "altered_figure"]
    if isinstance(spec, WatchSpec):
        names += ["misspelt_wordmark", "different_hands", "different_bezel"]
        names.append("swapped_digits" if spec.indices in ("arabic", "roman") else "missing_index")
    else:
        names.append("stretched_outline")
        if spec.logo != "figure":
            names.append("misspelt_wordmark")
        if spec.logo not in ("figure", "combined") and spec.pattern != "monogram":
            names.remove("altered_figure")
        if spec.clasp != "none":
            names.append("swapped_clasp")
        if spec.pattern != "plain":
            names.append("pattern_period")
    return tuple(names)


def _moved_logo(spec: ItemSpec, rng: np.random.Generator, strength: float) -> ItemSpec:
    if isinstance(spec, WatchSpec):
        return replace(spec, logo_x=spec.logo_x + sign(rng) * (0.03 + 0.12 * strength), logo_y=spec.logo_y + 0.06 * strength)
    return replace(
        spec,
        logo_x=spec.logo_x + sign(rng) * (0.025 + 0.13 * strength),
        logo_y=spec.logo_y + sign(rng) * (0.02 + 0.08 * strength),
    )


def _resized_logo(spec: ItemSpec, rng: np.random.Generator, strength: float) -> ItemSpec:
    k = float(np.exp(sign(rng) * (0.08 + 0.32 * strength)))
    if isinstance(spec, WatchSpec):
        return replace(spec, logo_scale=spec.logo_scale * k)
    return replace(spec, logo_width=spec.logo_width * k)


def _shifted(colour: Colour, rng: np.random.Generator, strength: float) -> Colour:
    """Return another colour: lightness and hue moved by 8 to 40 units of CIELAB."""
    lab = cv2.cvtColor(np.array([[colour]], np.float32) / 255, cv2.COLOR_RGB2LAB)[0, 0]
    angle, size = rng.uniform(0, 2 * np.pi), 8 + 32 * strength
    lab[0] = np.clip(lab[0] + (0.6 if lab[0] < 50 else -0.6) * size, 5, 95)
    lab[1:] += size * 0.8 * np.array([np.cos(angle), np.sin(angle)], np.float32)
    rgb = np.clip(cv2.cvtColor(lab[None, None], cv2.COLOR_LAB2RGB)[0, 0], 0, 1) * 255
    return (float(rgb[0]), float(rgb[1]), float(rgb[2]))


def _part_colour(spec: ItemSpec, rng: np.random.Generator, strength: float) -> ItemSpec:
    if isinstance(spec, WatchSpec):
        if spec.strap in ("leather", "rubber") and rng.random() < 0.5:
            return replace(spec, strap_colour=_shifted(spec.strap_colour, rng, strength))
        return replace(spec, dial=_shifted(spec.dial, rng, strength))
    if spec.pattern == "monogram" or rng.random() < 0.5:
        return replace(spec, trim=_shifted(spec.trim, rng, strength))
    return replace(spec, colour=_shifted(spec.colour, rng, strength))


def _altered_figure(spec: ItemSpec, rng: np.random.Generator, strength: float) -> ItemSpec:
    f = spec.figure
    if f.kind == "lozenge":
        letters = [c for c in "ABDEFGHKMNPRSTVX" if c != f.initial]
        return replace(spec, figure=replace(f, initial=str(rng.choice(letters)), ratio=f.ratio * (1 - 0.3 * strength)))
    step = 1 if f.count <= 3 or rng.random() < 0.5 else -1
    if strength > 0.6:
        step *= 2 if f.count > 4 else 1
    return replace(
        spec,
        figure=replace(f, count=f.count + step, ratio=float(np.clip(f.ratio * (1 + 0.3 * strength * sign(rng)), 0.2, 0.9))),
    )


_LOOKALIKE_LETTERS = {
    "A": "4",
    "B": "8",
    "C": "G",
    "D": "O",
    "E": "F",
    "G": "C",
    "H": "N",
    "I": "L",
    "K": "X",
    "L": "I",
    "M": "N",
    "N": "M",
}
_LOOKALIKE_LETTERS |= {
    "O": "D",
    "P": "R",
    "Q": "O",
    "R": "P",
    "S": "Z",
    "T": "I",
    "U": "V",
    "V": "U",
    "W": "V",
    "X": "K",
    "Y": "V",
    "Z": "S",
}


def misspell(word: str, rng: np.random.Generator, strength: float) -> str:
    """Return nearly this word: a letter replaced by a like one, doubled, dropped or transposed; two of them above 0.7."""
    out = word
    for _ in range(2 if strength > 0.7 else 1):
        while True:
            i = int(rng.integers(1, len(out) - 1))  # the first letter carries recognition: forgers keep it
            how = int(rng.integers(4))
            if how == 0:
                new = out[:i] + _LOOKALIKE_LETTERS.get(out[i], "E") + out[i + 1 :]
            elif how == 1:
                new = out[:i] + out[i] + out[i:]
            elif how == 2:
                new = out[:i] + out[i + 1 :]
            else:
                new = out[:i] + out[i + 1] + out[i] + out[i + 2 :]
            if new not in (word, out):
                break
        out = new
    return out


def _misspelt(spec: ItemSpec, rng: np.random.Generator, strength: float) -> ItemSpec:
    return replace(spec, wordmark=misspell(spec.wordmark, rng, strength))


def _another(now: str, names: tuple[str, ...], rng: np.random.Generator) -> str:
    return str(rng.choice([n for n in names if n != now]))


def _hands(spec: ItemSpec, rng: np.random.Generator, strength: float) -> ItemSpec:
    assert isinstance(spec, WatchSpec)  # noqa: S101 - forgeries_of has seen to it
    return replace(spec, hands=_another(spec.hands, ("baton", "dauphine", "sword", "leaf"), rng))


def _bezel(spec: ItemSpec, rng: np.random.Generator, strength: float) -> ItemSpec:
    assert isinstance(spec, WatchSpec)  # noqa: S101
    return replace(spec, bezel=_another(spec.bezel, ("smooth", "fluted", "screws"), rng))


def _digits(spec: ItemSpec, rng: np.random.Generator, strength: float) -> ItemSpec:
    assert isinstance(spec, WatchSpec)  # noqa: S101
    hidden = {0: (3,) if spec.date else (), 2: (3, 9), 3: (3, 6, 9)}[spec.subdials]
    shown = [h for h in range(12) if h not in hidden]
    pairs = [(a, b) for a in shown for b in shown if a < b]
    a, b = pairs[int(rng.integers(len(pairs)))]
    return replace(spec, swapped=(a, b))


def _index(spec: ItemSpec, rng: np.random.Generator, strength: float) -> ItemSpec:
    assert isinstance(spec, WatchSpec)  # noqa: S101
    hidden = {0: (3,) if spec.date else (), 2: (3, 9), 3: (3, 6, 9)}[spec.subdials]
    shown = [h for h in range(12) if h not in hidden]
    return replace(spec, missing=tuple(int(h) for h in rng.choice(shown, 1 + round(2 * strength), replace=False)))


def _clasp(spec: ItemSpec, rng: np.random.Generator, strength: float) -> ItemSpec:
    assert isinstance(spec, BagSpec)  # noqa: S101
    return replace(spec, clasp=_another(spec.clasp, ("turnlock", "padlock", "bar", "ring"), rng))


def _period(spec: ItemSpec, rng: np.random.Generator, strength: float) -> ItemSpec:
    assert isinstance(spec, BagSpec)  # noqa: S101
    return replace(spec, period=spec.period * float(np.exp(sign(rng) * (0.06 + 0.34 * strength))))


def _stretched(spec: ItemSpec, rng: np.random.Generator, strength: float) -> ItemSpec:
    assert isinstance(spec, BagSpec)  # noqa: S101
    k = float(np.exp(sign(rng) * (0.04 + 0.14 * strength)))
    return replace(spec, width=spec.width * k, height=spec.height / k)


ITEM_FORGERIES: dict[str, Callable[..., ItemSpec]] = {
    "moved_logo": _moved_logo,
    "resized_logo": _resized_logo,
    "misspelt_wordmark": _misspelt,
    "altered_figure": _altered_figure,
    "part_colour": _part_colour,
    "different_hands": _hands,
    "different_bezel": _bezel,
    "swapped_digits": _digits,
    "missing_index": _index,
    "swapped_clasp": _clasp,
    "pattern_period": _period,
    "stretched_outline": _stretched,
}
"""Design edits of items by name; `forge_item` calls them."""
