"""What sellers write: titles, descriptions, prices as their country writes them, contacts, and words for replicas.

Two markets that share no phrase: one for fitting and one for testing. None of their phrases is an entry of the lexicon of
replica wording, and most of what says replica there uses words that the lexicon did not have when they were written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["RATES", "SPEECH", "Speech", "contacts", "obfuscated", "price_text", "unrelated_title"]

RATES: dict[str, float] = {"EUR": 1.0, "USD": 1.09, "GBP": 0.85, "CHF": 0.95}
"""Units of a currency for one EUR, in this world."""


@dataclass(frozen=True, slots=True)
class Speech:
    """The phrases of one market.

    Parameters
    ----------
    titles : tuple of str
        Forms with ``{brand}``, ``{model}``, ``{thing}``, ``{variant}`` and ``{condition}``.
    conditions : mapping of str to tuple of str
    private, shop : tuple of str
        Descriptions that honest and dishonest sellers use alike.
    hints : tuple of str
        What dishonest sellers say more often.
    outright : tuple of str
        What says that the article is a replica.
    obfuscations : tuple of str
        How a brand's name escapes a word filter: ``digits``, ``dots``, ``star``, ``spaces``, ``doubled`` or ``initials``.
    posts, hidden : tuple of str
        Texts with ``{brand}`` of posts that link to a listing; hidden ones lead to something else.
    """

    titles: tuple[str, ...]
    conditions: Mapping[str, tuple[str, ...]]
    private: tuple[str, ...]
    shop: tuple[str, ...]
    hints: tuple[str, ...]
    outright: tuple[str, ...]
    obfuscations: tuple[str, ...]
    posts: tuple[str, ...]
    hidden: tuple[str, ...]

    def title(self, rng: np.random.Generator, brand: str, model: str, thing: str, variant: str, condition: str) -> str:
        """Return a title that names the brand."""
        said = _pick(rng, self.conditions[condition])
        text = _pick(rng, self.titles).format(brand=brand, model=model, thing=thing, variant=variant, condition=said)
        return text[0].upper() + text[1:]

    def description(self, rng: np.random.Generator, shop: bool, hints: float, silent: float) -> str:
        """Return what a seller says about the goods; `hints` and `silent` are the shares that hint, and that say nothing."""
        dice = rng.random()
        if dice < silent:
            return ""
        words = _pick(rng, self.shop if shop else self.private)
        return f"{words} {_pick(rng, self.hints)}" if dice < silent + hints else words

    def post(self, rng: np.random.Generator, brand: str, hidden: bool) -> str:
        """Return the text of a post that links to a listing."""
        return _pick(rng, self.hidden if hidden else self.posts).format(brand=brand)


SPEECH: Mapping[str, Speech] = {
    "fit": Speech(
        titles=(
            "{brand} {model} {thing} {variant}",
            "{brand} {model}, {condition}",
            "{condition}: {brand} {thing} {model}",
            "{thing} {brand} {model} - {variant}",
        ),
        conditions={
            "new": ("new with tags", "brand new", "neu mit Etikett", "neuf"),
            "like new": ("like new", "worn twice", "wie neu", "comme neuf"),
            "used": ("good condition", "pre-owned", "gebraucht", "bon état"),
            "worn": ("well loved", "with signs of wear", "Gebrauchsspuren", "usé"),
        },
        private=(
            "Bought in the boutique two years ago, receipt and dust bag included.",
            "Selling because I hardly use it any more. Smoke-free home.",
            "Small scratch on the corner, see photos. Happy to answer questions.",
            "Gift that is not my style. Pick-up possible, otherwise insured post.",
            "Authentic, no replica, you are welcome to have it checked.",
            "Aus Nichtraucherhaushalt, Rechnung vorhanden.",
            "Vendu avec sa facture et sa pochette.",
        ),
        shop=(
            "In stock, ships within two days. 14 days return.",
            "Inspected by our team, condition as described. Invoice included.",
            "Shop photos. The item you receive is new and sealed.",
        ),
        hints=(
            "Only serious buyers.",
            "Message for more colours.",
            "Worldwide shipping, no questions.",
            "Contact me for price of other models.",
        ),
        outright=(
            "Made on the same machines, nobody at the counter saw a difference.",
            "You know what this is at that price, and it is the best batch so far.",
            "Top tier rep with every card and the box.",
            "Premium replica bag, leather like the real one.",
            "Not from the shop, from the people who could work for the shop.",
            "Ein sehr guter Nachbau, kaum zu unterscheiden.",
        ),
        obfuscations=("digits", "dots", "star"),
        posts=("My {brand} is for sale, link below", "{brand} week in our shop", "Just listed: {brand}"),
        hidden=(
            "{brand} back in stock! order through this link, you know what you get",
            "hidden link, order this get this",
            "{brand} haul, link in bio, pick any size",
        ),
    ),
    "test": Speech(
        titles=(
            '{brand} - {thing} "{model}"',
            "my {brand} {model} ({variant})",
            "{variant} {thing} by {brand}, {condition}",
            "{brand} {thing}",
            "vendo {brand} {model} {condition}",
        ),
        conditions={
            "new": ("never used", "nuevo con etiquetas", "unworn, in its box", "neu und unbenutzt"),
            "like new": ("as good as new", "casi nuevo", "hardly worn", "neuwertig"),
            "used": ("used, tidy", "usado", "second-hand", "normale Spuren"),
            "worn": ("shows its age", "muy usado", "corners rubbed", "abgetragen"),
        },
        private=(
            "Clearing out my wardrobe, first come first served.",
            "From my mother's collection, she kept it in the cupboard.",
            "Comes as in the pictures. I can post it tomorrow.",
            "Lo vendo porque no lo uso, cualquier duda pregunta.",
            "Zipper works, lining clean, one mark inside.",
            "Genuine, not a copy, happy to meet at the boutique.",
            "Privatverkauf, keine Rücknahme, Versand am Montag.",
        ),
        shop=(
            "Dispatched from our warehouse in 24 h. Easy returns.",
            "Our buyers examine every piece before it goes online.",
            "Catalogue picture; colours may differ on screen.",
        ),
        hints=(
            "Several available, tell me which one.",
            "Please don't report, just scroll on.",
            "Ask me in private about how it is made.",
            "Descuento si llevas dos.",
        ),
        outright=(
            "Same hides and same stitching as in the window, without the window's rent.",
            "Between us: the workshop's own run, after hours.",
            "Replica of the highest level, weight and zip included.",
            "Es una imitación muy lograda, nadie lo nota.",
            "Grade one rep, passed by friends who own the real one.",
            "A tribute piece, identical down to the serial.",
        ),
        obfuscations=("spaces", "doubled", "initials"),
        posts=("Selling this {brand}, details in the ad", "New in: {brand}", "Parting with my {brand} after years"),
        hidden=(
            "same link as yesterday, size = model, {brand} inside",
            "{brand}? you did not hear it from me, tap below",
            "don't mind what the page shows",
        ),
    ),
}
"""The speech of the market that calibrations are fitted on and of the one they are tested on."""

_UNRELATED = {
    "tshirt": ("Cotton T-shirt", "Summer tee size M"),
    "hoodie": ("Warm hoodie", "Kids hoodie 128"),
    "dress": ("Summer dress size S", "Women's midi dress"),
    "boots": ("Children's boots size 28", "Winter boots for kids"),
    "mug": ("Coffee mug", "Handmade cup"),
    "lamp": ("Bedside lamp", "Vintage table lamp"),
    "book": ("Novel, hardcover", "Cook book"),
    "plant": ("Succulent in pot", "House plant"),
    "headphones": ("Wireless headphones", "Headphones, good sound"),
    "chair": ("Wooden chair", "Kitchen chair"),
}


def _pick(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


_LIKE = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7", "l": "1"}


def obfuscated(rng: np.random.Generator, brand: str, ways: tuple[str, ...]) -> str:
    """Return a brand's name as sellers write it to escape a word filter; `ways` as in :class:`Speech`."""
    how, i = _pick(rng, ways), int(rng.integers(1, len(brand) - 1))
    if how == "digits":
        hits = [i for i, c in enumerate(brand.lower()) if c in _LIKE and i > 0]
        at = set(rng.choice(hits, min(2, len(hits)), replace=False)) if hits else set()
        return "".join(_LIKE[c.lower()] if i in at else c for i, c in enumerate(brand))
    if how == "initials":
        return f"{brand[0]}{brand[i].upper()} bag"
    return {
        "dots": ".".join(brand),
        "star": brand[:i] + "*" + brand[i + 1 :],
        "spaces": " ".join(brand),
        "doubled": brand[:i] + brand[i] + brand[i:],
    }[how]


def unrelated_title(rng: np.random.Generator, kind: str) -> str:
    """Return a title for one of :data:`imgmatch.world.goods.GOODS`."""
    return _pick(rng, _UNRELATED[kind])


def price_text(rng: np.random.Generator, euros: float, currency: str) -> tuple[str, str]:
    """Return a price as written, and what the currency column says: empty where the price text has it.

    Parameters
    ----------
    rng : numpy.random.Generator
    euros : float
    currency : str
        One of :data:`RATES`.
    """
    amount = euros * RATES[currency]
    amount = float(max(5.0, round(amount, -1) - (1 if amount > 60 and rng.random() < 0.5 else 0)))
    english = f"{amount:,.2f}"
    european = english.replace(",", " ").replace(".", ",").replace(" ", ".")
    sign = {"EUR": "€", "USD": "$", "GBP": "£", "CHF": "CHF "}[currency]
    forms: tuple[tuple[str, str], ...] = (
        (f"{amount:.2f}", currency),
        (f"{amount:.0f}", currency),
        (f"{english} {currency}", ""),
        (f"{sign}{english}", "" if currency in ("EUR", "GBP", "CHF") else currency),
    )
    if currency in ("EUR", "CHF"):
        forms += ((f"{sign}{european}", ""), (f"{european[:-3]} {sign.strip()}", ""), (f"{european} {currency}", ""))
    if rng.random() < 0.02:
        return f"{amount * 0.95:.0f} - {amount * 1.05:.0f}", currency
    return forms[int(rng.integers(len(forms)))]


def contacts(rng: np.random.Generator) -> tuple[str, ...]:
    """Return ways to reach a seller outside the platform: numbers reserved for fiction, invented names."""
    first, last = _pick(rng, ("lux", "vip", "top", "elite", "prime")), _pick(rng, ("bags", "style", "time", "closet"))
    handle = f"{first}_{last}{rng.integers(100, 999)}"
    number = f"+44 7700 900{rng.integers(0, 999):03d}"
    both = (f"telegram:@{handle}", f"whatsapp:{number}")
    return both if rng.random() < 0.5 else (both[int(rng.integers(2))],)
