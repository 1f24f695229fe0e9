"""Invented brands: three by name for the demo, and as many more as wanted by seed.

None is a trademark that we know of; names are put together from syllables, so that every brand also has its name in
other scripts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from imgmatch.augment.textures import Colour

__all__ = ["DEMO_BRANDS", "METALS", "BrandDesign", "Figure", "LetterStyle", "make_brand"]


@dataclass(frozen=True, slots=True)
class LetterStyle:
    """How a wordmark is set; see :func:`imgmatch.world.draw.lettering`."""

    tracking: float = 0.2
    stretch: float = 1.0
    weight: float = 0.0
    slant: float = 0.0
    face: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figurative mark.

    Parameters
    ----------
    kind : str
        ``rosette``, ``crescents``, ``shield``, ``sun``, ``arches`` or ``lozenge``.
    count : int
        Petals, rays, chevrons or arches.
    ratio : float
        Slimness of its elements, in (0, 1).
    frame : str
        ``none``, ``ring`` or ``square``.
    initial : str
        A letter where the kind has one.
    turn : float
        Degrees clockwise.
    """

    kind: str
    count: int
    ratio: float
    frame: str
    initial: str
    turn: float = 0.0


@dataclass(frozen=True, slots=True)
class BrandDesign:
    """What makes a brand recognisable, and what a catalog knows about it.

    Parameters
    ----------
    brand : str
        Id, lower-case.
    name, wordmark : str
        For people; as lettered on goods.
    letters : LetterStyle
    figure : Figure
    motifs : tuple of str
        What repeats on its canvas: ``initial``, ``figure``, ``flower``, ``diamond``, ``dot``.
    leathers, dials : mapping of str to colour
        Colours by the name of the variant.
    canvas : tuple of colour
        Ground and print of its monogram canvas.
    metal : str
        Key of :data:`METALS`.
    bag_models, watch_models : tuple of str
    level : float
        Price of a middling bag, EUR.
    aliases : tuple of str
        The name in other scripts, and a short form.
    domain : str
    authorised : tuple of (platform, seller_id)
    """

    brand: str
    name: str
    wordmark: str
    letters: LetterStyle
    figure: Figure
    motifs: tuple[str, ...]
    leathers: Mapping[str, Colour] = field(hash=False)
    dials: Mapping[str, Colour] = field(hash=False)
    canvas: tuple[Colour, Colour]
    metal: str
    bag_models: tuple[str, ...]
    watch_models: tuple[str, ...]
    level: float
    aliases: tuple[str, ...]
    domain: str
    authorised: tuple[tuple[str, str], ...]


METALS: dict[str, Colour] = {
    "gold": (214, 178, 104),
    "rose gold": (214, 158, 128),
    "steel": (190, 194, 200),
    "gunmetal": (104, 106, 112),
}

LEATHERS: dict[str, Colour] = {
    "black": (38, 36, 37),
    "cognac": (164, 98, 50),
    "chestnut": (98, 56, 36),
    "ivory": (228, 217, 196),
    "burgundy": (104, 26, 40),
    "navy": (34, 44, 78),
    "forest": (40, 72, 56),
    "taupe": (148, 130, 114),
    "scarlet": (176, 34, 36),
    "powder": (216, 176, 172),
    "slate": (92, 104, 116),
    "saffron": (212, 152, 52),
}

DIALS: dict[str, Colour] = {
    "black": (26, 27, 30),
    "silver": (222, 222, 218),
    "midnight blue": (24, 44, 88),
    "emerald": (18, 80, 62),
    "champagne": (226, 206, 164),
    "anthracite": (70, 72, 76),
    "white": (240, 239, 234),
    "burgundy": (92, 22, 34),
}

# Latin, Cyrillic, Katakana, Han: sound by sound.
_SYLLABLES: tuple[tuple[str, str, str, str], ...] = (
    ("hal", "халь", "ハル", "哈"), ("ven", "вен", "ヴェン", "温"), ("tes", "тес", "テッ", "泰"),
    ("san", "сан", "サン", "桑"), ("kor", "кор", "コル", "科"), ("van", "ван", "ヴァン", "凡"),
    ("bre", "бре", "ブレ", "布"), ("quo", "кво", "クオ", "阔"), ("mir", "мир", "ミル", "米"),
    ("dul", "дуль", "デュル", "杜"), ("fau", "фо", "フォー", "佛"), ("gri", "гри", "グリ", "格"),
    ("lox", "локс", "ロクス", "洛"), ("nar", "нар", "ナル", "纳"), ("pel", "пель", "ペル", "佩"),
    ("ros", "рос", "ロス", "罗"), ("sil", "силь", "シル", "西"), ("tur", "тур", "トゥル", "图"),
    ("vix", "викс", "ヴィクス", "维"), ("wen", "вэн", "ウェン", "文"), ("yor", "йор", "ヨル", "约"),
    ("zel", "зель", "ゼル", "泽"), ("cly", "кли", "クリ", "克"), ("ost", "ост", "オスト", "奥"),
)  # fmt: skip
_ENDINGS: tuple[tuple[str, str, str, str], ...] = (
    ("ne", "н", "ヌ", "内"), ("dre", "др", "ドル", "德"), ("th", "т", "ト", "特"),
    ("que", "к", "ク", "克"), ("mond", "мон", "モン", "蒙"), ("vale", "валь", "ヴァル", "瓦勒"),
    ("ette", "ет", "エット", "埃特"), ("isse", "ис", "イス", "伊斯"), ("oux", "у", "ウー", "乌"),
    ("arde", "ард", "アルド", "阿尔德"),
)  # fmt: skip

_BAG_MODELS = (
    "Alba", "Brioche", "Corso", "Darling", "Estelle", "Faro", "Gala", "Hazel",
    "Isola", "Juno", "Kiosk", "Lune", "Mistral", "Nomad", "Opaline", "Piazza",
)  # fmt: skip
_WATCH_MODELS = (
    "Meridian",
    "Regatta",
    "Cadence",
    "Observer",
    "Solstice",
    "Fathom",
    "Equinox",
    "Chronicle",
    "Parallel",
    "Tempest",
)
_FIGURES = ("rosette", "crescents", "shield", "sun", "arches", "lozenge")
_PLATFORMS = ("bazario", "vintly", "shopgram")


def make_brand(seed: int, faces: Sequence[str] = ("",)) -> BrandDesign:
    """Invent a brand.

    Parameters
    ----------
    seed : int
        The same seed always gives the same brand; different seeds differ in name, marks, canvas and colours.
    faces : sequence of str
        Fonts of which its wordmark is set in one; see :func:`imgmatch.augment.textures.lettering`.
    """
    rng = np.random.default_rng([seed, 0xB4A])
    first, second = rng.choice(len(_SYLLABLES), 2, replace=False)
    parts = (_SYLLABLES[first], _SYLLABLES[second], _ENDINGS[rng.integers(len(_ENDINGS))])
    kind = _FIGURES[rng.integers(len(_FIGURES))]
    grounds = [
        ((74, 52, 38), (176, 140, 92)),
        ((206, 188, 158), (126, 92, 62)),
        ((52, 54, 60), (120, 122, 128)),
        ((40, 48, 74), (126, 132, 156)),
    ]
    return _assemble(
        parts,
        letters=LetterStyle(
            tracking=float(rng.uniform(0.05, 0.5)),
            stretch=float(rng.uniform(0.75, 1.35)),
            weight=float(rng.choice([0.0, 0.0, 0.03, 0.06])),
            slant=float(rng.choice([0.0, 0.0, 0.0, 0.2])),
            face=faces[seed % len(faces)],
        ),
        figure=Figure(
            kind,
            int(rng.integers(3, 8)),
            float(rng.uniform(0.3, 0.7)),
            str(rng.choice(["none", "ring", "square"])),
            parts[0][0][0].upper(),
        ),
        motifs=tuple(str(m) for m in rng.choice(["initial", "figure", "flower", "diamond", "dot"], 3, replace=False)),
        leathers=tuple(str(n) for n in rng.choice(sorted(LEATHERS), 5, replace=False)),
        dials=tuple(str(n) for n in rng.choice(sorted(DIALS), 4, replace=False)),
        canvas=grounds[rng.integers(len(grounds))],
        metal=str(rng.choice(["gold", "rose gold", "steel", "gunmetal"], p=[0.45, 0.15, 0.3, 0.1])),
        bags=tuple(str(m) for m in rng.choice(_BAG_MODELS, 5, replace=False)),
        watches=tuple(str(m) for m in rng.choice(_WATCH_MODELS, 3, replace=False)),
        level=float(np.round(np.exp(rng.uniform(np.log(600), np.log(4000))), -1)),
    )


def _assemble(
    parts: tuple[tuple[str, str, str, str], ...],
    *,
    letters: LetterStyle,
    figure: Figure,
    motifs: tuple[str, ...],
    leathers: tuple[str, ...],
    dials: tuple[str, ...],
    canvas: tuple[Colour, Colour],
    metal: str,
    bags: tuple[str, ...],
    watches: tuple[str, ...],
    level: float,
) -> BrandDesign:
    latin, cyrillic, katakana, han = ("".join(p[i] for p in parts) for i in range(4))
    return BrandDesign(
        brand=latin,
        name=latin.capitalize(),
        wordmark=latin.upper(),
        letters=letters,
        figure=figure,
        motifs=motifs,
        leathers={n: LEATHERS[n] for n in leathers},
        dials={n: DIALS[n] for n in dials},
        canvas=canvas,
        metal=metal,
        bag_models=bags,
        watch_models=watches,
        level=level,
        aliases=(f"Maison {latin.capitalize()}", cyrillic.capitalize(), katakana, han),
        domain=f"{latin}.example",
        authorised=tuple((p, f"{latin}-official") for p in _PLATFORMS[:2]),
    )


def _syllables(*names: str) -> tuple[tuple[str, str, str, str], ...]:
    table = {s[0]: s for s in (*_SYLLABLES, *_ENDINGS)}
    return tuple(table[n] for n in names)


DEMO_BRANDS: tuple[BrandDesign, ...] = (
    _assemble(
        _syllables("hal", "ven", "ne"),
        letters=LetterStyle(tracking=0.32, stretch=1.05),
        figure=Figure("rosette", 6, 0.46, "ring", "H"),
        motifs=("initial", "flower", "figure"),
        leathers=("cognac", "black", "burgundy", "ivory", "forest"),
        dials=("silver", "midnight blue", "emerald", "black"),
        canvas=((82, 56, 38), (188, 150, 96)),
        metal="gold",
        bags=("Alba", "Corso", "Estelle", "Lune"),
        watches=("Meridian", "Cadence", "Solstice"),
        level=1450.0,
    ),
    _assemble(
        _syllables("tes", "san", "dre"),
        letters=LetterStyle(tracking=0.08, stretch=0.92, weight=0.045),
        figure=Figure("crescents", 2, 0.5, "none", "T"),
        motifs=("figure", "diamond", "dot"),
        leathers=("powder", "taupe", "navy", "black", "scarlet"),
        dials=("white", "champagne", "burgundy", "silver"),
        canvas=((210, 193, 164), (128, 94, 66)),
        metal="rose gold",
        bags=("Faro", "Hazel", "Opaline", "Piazza"),
        watches=("Equinox", "Parallel"),
        level=2100.0,
    ),
    _assemble(
        _syllables("kor", "van", "th"),
        letters=LetterStyle(tracking=0.5, stretch=1.25, weight=0.03),
        figure=Figure("shield", 3, 0.5, "none", "K"),
        motifs=("diamond", "initial", "dot"),
        leathers=("slate", "black", "chestnut", "saffron", "navy"),
        dials=("black", "anthracite", "midnight blue", "white"),
        canvas=((50, 52, 58), (118, 122, 130)),
        metal="steel",
        bags=("Nomad", "Juno", "Kiosk"),
        watches=("Regatta", "Fathom", "Observer", "Chronicle"),
        level=980.0,
    ),
)
