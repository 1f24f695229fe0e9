"""What sellers write: titles, descriptions, prices as their country writes them, contacts, and words for replicas."""

from __future__ import annotations

import numpy as np

__all__ = [
    "RATES",
    "contacts",
    "description",
    "obfuscated",
    "price_text",
    "promo_text",
    "replica_wording",
    "title",
    "unrelated_title",
]

RATES: dict[str, float] = {"EUR": 1.0, "USD": 1.09, "GBP": 0.85, "CHF": 0.95}
"""Units of a currency for one EUR, in this world."""

_CONDITION_WORDS = {
    "new": ("new with tags", "brand new", "neu mit Etikett", "neuf"),
    "like new": ("like new", "worn twice", "wie neu", "comme neuf"),
    "used": ("good condition", "pre-owned", "gebraucht", "bon état"),
    "worn": ("well loved", "with signs of wear", "Gebrauchsspuren", "usé"),
}
_HONEST = (
    "Bought in the boutique two years ago, receipt and dust bag included.",
    "Selling because I hardly use it any more. Smoke-free home.",
    "Small scratch on the corner, see photos. Happy to answer questions.",
    "Gift that is not my style. Pick-up possible, otherwise insured post.",
    "Comes with box and papers. No swaps please.",
    "Authentic, no replica, you are welcome to have it checked.",
    "Original purchase receipt available. Private sale, no returns.",
    "Aus Nichtraucherhaushalt, Rechnung vorhanden.",
    "Vendu avec sa facture et sa pochette.",
)
_SHOP = (
    "In stock, ships within two days. 14 days return.",
    "Inspected by our team, condition as described. Invoice included.",
    "Shop photos. The item you receive is new and sealed.",
    "Trusted pre-owned store since 2011. Stock photo, ask for pictures of the piece.",
)
_REPLICA = (
    "1:1 mirror quality, same factory leather",
    "AAA+ replica, best version on the market",
    "super clone, same weight, same movement",
    "top rep, comes with all cards and box",
    "UA quality, nobody can tell",
    "inspired version, high copy",
)
_VAGUE = (
    "Only serious buyers.",
    "Limited stock, message for more colours.",
    "Worldwide shipping, no questions.",
    "Contact me for price of other models.",
)
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


def title(rng: np.random.Generator, brand: str, model: str, thing: str, variant: str, condition: str) -> str:
    """Return a title that names the brand."""
    forms = (
        f"{brand} {model} {thing} {variant}",
        f"{brand} {model}, {_pick(rng, _CONDITION_WORDS[condition])}",
        f"{_pick(rng, _CONDITION_WORDS[condition]).capitalize()}: {brand} {thing} {model}",
        f"{thing.capitalize()} {brand} {model} - {variant}",
    )
    return _pick(rng, forms)


def description(rng: np.random.Generator, kind: str) -> str:
    """Return what a ``private``, ``shop`` or ``vague`` seller says about the goods."""
    return _pick(rng, {"private": _HONEST, "shop": _SHOP, "vague": _VAGUE}[kind])


def replica_wording(rng: np.random.Generator) -> str:
    """Return a phrase that says replica outright."""
    return _pick(rng, _REPLICA)


_LIKE = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7", "l": "1"}


def obfuscated(rng: np.random.Generator, brand: str) -> str:
    """Return a brand's name as sellers write it to escape a word filter: digits for letters, dots, stars."""
    how = int(rng.integers(3))
    if how == 0:
        hits = [i for i, c in enumerate(brand.lower()) if c in _LIKE and i > 0]
        at = set(rng.choice(hits, min(2, len(hits)), replace=False)) if hits else set()
        return "".join(_LIKE[c.lower()] if i in at else c for i, c in enumerate(brand))
    if how == 1:
        return ".".join(brand)
    i = int(rng.integers(1, len(brand) - 1))
    return brand[:i] + "*" + brand[i + 1 :]


def unrelated_title(rng: np.random.Generator, kind: str) -> str:
    """Return a title for one of :data:`imgmatch.world.goods.GOODS`."""
    return _pick(rng, _UNRELATED[kind])


def promo_text(rng: np.random.Generator, brand: str, hidden: bool) -> str:
    """Return the text of a post that links to a listing."""
    if hidden:
        return _pick(
            rng,
            (
                f"{brand} back in stock! order through this link, you know what you get",
                "hidden link, order this get this",
                f"{brand} haul, link in bio, pick any size",
            ),
        )
    return _pick(rng, (f"My {brand} is for sale, link below", f"{brand} week in our shop", f"Just listed: {brand}"))


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
