"""The offer against the catalog: price, seller, history."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from imgmatch.catalog.items import Brand, Item
from imgmatch.loading.photo import Query
from imgmatch.market.conditions import condition_of
from imgmatch.market.sellers import registrable_domain
from imgmatch.metrics import wilson_interval
from imgmatch.records import Listing
from imgmatch.signals.base import Signal
from imgmatch.signals.listing.settings import ListingConfig
from imgmatch.signals.listing.signal import ListingSignal
from imgmatch.types import Candidate, Finding, FindingStatus

ITEMS = {
    "bag": Item("bag", "aurel", category="bag", price=2000.0, currency="EUR", condition_prices={"used": 1000.0}),
    "tote": Item("tote", "aurel", category="bag", price=1600.0, currency="EUR"),
    "purse": Item("purse", "aurel", category="purse", price=200.0, currency="EUR"),
    "watch": Item("watch", "brix", category="watch", price=5000.0, currency="USD"),
    "plain": Item("plain", "corto"),
    "ring": Item("ring", "dinara", price=1250.0, currency="KWD"),
}
BRANDS = {
    "aurel": Brand("aurel", "Aurel", official_domains=("aurel.com",), authorised_sellers=(("bazaar", "s-1"),)),
    "brix": Brand("brix", "Brix"),
}
CATALOG: Any = SimpleNamespace(items=ITEMS, brands=BRANDS, shared={})
SIGNAL = ListingSignal(CATALOG, ListingConfig())


def candidates(*ids: str, by: tuple[str, ...] = ("design",)) -> list[Candidate]:
    return [Candidate(i, ITEMS[i].brand, 0.8, "e" * 64, "photo-1", 0.8 - n / 10, by) for n, i in enumerate(ids)]


def findings(listing: Listing, *ids: str, signal: ListingSignal = SIGNAL) -> dict[str, Finding]:
    (found,) = signal.examine([Query(listing, [], candidates(*ids))])
    return {f.signal: f for f in found}


PRICES = [
    # condition, price, items -> value = 1 - price / reference
    ("new", "500 EUR", ["bag"], 0.75),  # 2000
    ("used", "500 EUR", ["bag"], 0.5),  # 1000: second-hand goods against second-hand prices
    ("Good", "500 EUR", ["bag"], 0.5),
    (None, "500 EUR", ["bag"], 0.5),  # not stated: the lower of the two
    ("new", "2500 EUR", ["bag"], 0.0),  # dearer than the reference
    ("new", "400 EUR", ["bag", "tote"], 0.75),  # the cheapest comparable item: 1600
    ("new", "50 EUR", ["bag", "purse"], 0.75),  # whichever it may be: 200
    ("new", "400 EUR", ["bag", "watch", "purse"], 0.8),  # the purse is no nearer than a watch of another brand: 2000
    ("new", "200-1000 EUR", ["bag"], 0.5),  # the upper end of a range
    ("new", "$500", ["watch"], 0.9),
    ("new", "125.000 KWD", ["ring"], 0.9),  # 125,000 would be a hundred times the reference
]


@pytest.mark.parametrize(("condition", "price", "items", "value"), PRICES)
def test_price(condition: str | None, price: str, items: list[str], value: float) -> None:
    finding = findings(Listing("L", price=price, condition=condition), *items)["price"]
    assert finding.value == pytest.approx(value)
    assert finding.brand == ITEMS[items[0]].brand


ABSTENTIONS = [
    (Listing("L"), ["bag"], "No price is given"),
    (Listing("L", price="1.250 KWD"), ["ring"], "written alike"),
    (Listing("L", price="2.000", currency="KWD"), ["ring"], "written alike"),
    (Listing("L", price="free"), ["bag"], "The price is 0"),
    (Listing("L", price="500"), ["bag"], "no currency"),
    (Listing("L", price="500 USD"), ["bag"], "give both rates"),
    (Listing("L", price="500 EUR", condition="used"), ["tote"], "No second-hand reference price"),
    (Listing("L", price="500 EUR"), ["plain"], "No reference price"),
    (Listing("L", price="500 EUR"), [], "Nothing suggests a brand"),
]


@pytest.mark.parametrize(("listing", "items", "reason"), ABSTENTIONS)
def test_price_abstains(listing: Listing, items: list[str], reason: str) -> None:
    finding = findings(listing, *items)["price"]
    assert finding.status is FindingStatus.ABSTAINED
    assert reason in finding.reason


def test_what_several_signals_propose_is_what_it_is() -> None:
    both = [*candidates("tote"), *candidates("bag", by=("design", "copy"))]
    found = SIGNAL.examine([Query(Listing("L", price="500 EUR", condition="new"), [], both)])[0]
    assert found[0].value == pytest.approx(0.75)  # the bag of 2000, not the tote of 1600


def test_rates_come_from_the_user() -> None:
    signal = ListingSignal(CATALOG, ListingConfig(rates={"USD": 0.5, "EUR": 1.0}))
    finding = findings(Listing("L", price="1000 USD", condition="new"), "bag", signal=signal)["price"]
    assert finding.value == pytest.approx(0.75)  # 500 of 2000 EUR


def test_one_price_finding_per_brand_that_a_signal_proposed_first() -> None:
    found = SIGNAL.examine(
        [Query(Listing("L", price="100 EUR"), [], [*candidates("bag", "watch"), *candidates("watch", by=("text",))])]
    )[0]
    assert [f.brand for f in found if f.signal == "price"] == ["aurel", "brix"]


def test_a_brand_that_only_the_words_name() -> None:
    # No candidate at all: the cheapest item of the brand, a purse of 200 EUR.
    found = findings(Listing("L", title="Aurel wallet", price="50 EUR", condition="new"))
    assert found["price"].value == pytest.approx(0.75)
    assert found["price"].brand == "aurel"


SELLERS = [
    (Listing("L", platform="bazaar", seller_id="s-1"), 0.0),
    (Listing("L", url="https://shop.aurel.com/x"), 0.0),
    (Listing("L", platform="bazaar", seller_id="s-2", condition="new"), 1.0),
    (Listing("L", platform="bazaar", seller_id="s-2", condition="used"), None),
    (Listing("L", platform="bazaar", seller_id="s-2"), None),
    (Listing("L", title="Aurel official"), None),
]


@pytest.mark.parametrize(("listing", "value"), SELLERS)
def test_seller(listing: Listing, value: float | None) -> None:
    assert findings(listing, "bag")["seller"].value == value


SHOPS = [
    (Listing("L", url="https://shop.example/x", condition="new"), 1.0),
    (Listing("L", url="https://shop.example/x", condition="new", seller_id="x"), 1.0),
    (Listing("L", url="https://shop.aurel.com/x", condition="new"), 0.0),
    (Listing("L", url="https://shop.example/x", condition="used"), None),
    (Listing("L", url="https://shop.example/x"), None),
    (Listing("L", url="https://bazaar.example/x", platform="bazaar", condition="new"), None),
    (Listing("L", url="http://127.0.0.1/x", condition="new"), None),
    (Listing("L", condition="new"), None),
]


@pytest.mark.parametrize(("listing", "value"), SHOPS)
def test_shop(listing: Listing, value: float | None) -> None:
    assert findings(listing, "bag")["shop"].value == value


def test_seller_abstains_where_the_brand_lists_none() -> None:
    listing = Listing("L", platform="bazaar", seller_id="s-2", condition="new")
    assert findings(listing, "watch")["seller"].status is FindingStatus.ABSTAINED


@pytest.mark.parametrize(
    ("extra", "value"),
    [
        ({"seller_removed": 8, "seller_listings": "10"}, wilson_interval(8, 10)[0]),
        ({"seller_removed": "0", "seller_listings": "10"}, 0.0),
        ({"seller_removed": 11, "seller_listings": 10}, None),
        ({"seller_removed": "many", "seller_listings": 10}, None),
        ({"seller_removed": float("nan"), "seller_listings": float("inf")}, None),
        ({}, None),
    ],
)
def test_history(extra: dict[str, Any], value: float | None) -> None:
    assert findings(Listing("L", extra=extra), "bag")["seller_history"].value == value


@pytest.mark.parametrize(
    ("listing", "value"),
    [
        (Listing("L", description="Write to me on telegram: @lux_bags88"), 1.0),
        (Listing("L", title="Aurel bag wa.me/447700900123"), 1.0),
        (Listing("L", promo_text="order at shop@mail.example"), 1.0),
        (Listing("L", contacts=("whatsapp:+447700900123",)), 1.0),
        (Listing("L", contacts=("bag_shop_88",)), 1.0),
        (Listing("L", description="Two years old, 30 x 20 cm, 450 EUR"), 0.0),
        (Listing("L", contacts=("",)), None),
    ],
)
def test_contact(listing: Listing, value: float | None) -> None:
    finding = findings(listing, "bag")["contact"]
    assert finding.value == value
    for secret in ("lux_bags88", "7700", "shop@", "bag_shop_88"):
        assert secret not in finding.reason
        assert secret not in str(finding.evidence)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("New", "new"),
        ("brand new with box", "new"),
        ("NWT", "new"),
        ("neu mit Etikett", "new"),
        ("全新", "new"),
        ("newish", "used"),
        ("Like new", "used"),
        ("neuwertig", "used"),
        ("pre-owned", "used"),
        *(
            (text, "new")
            for text in (
                "NewCondition",
                "https://schema.org/NewCondition",
                "NEW_WITH_TAGS",
                "NWOT",
                "BNIB",
                "Sealed",
                "1000",
                "1500.0",
                "New (other)",
                "Nieuw met prijskaartje",
                "Nowy z metką",
                "Nytt",
                "Новый с биркой",
                "Yeni ve etiketli",
                "새상품",
                "新品、未使用",
                "全新带吊牌",
                "Zustand: Neu",
                "état neuf",
                "New, never used",
                "mới 100%",
                "جديد",
                "חדש",
            )
        ),
        *(
            (text, "used")
            for text in (
                "http://schema.org/UsedCondition",
                "3000",
                "Used - Very Good",
                "UsedLikeNew",
                "İkinci el",
                "not new",
                "nicht neu",
                "almost brand new",
                "New – worn once",
                "新品同様",
                "未使用に近い",
                "九成新",
                "二手",
                "comme neuf",
                "seminuevo",
                "jak nowy",
                "как новый",
                "yeni gibi",
                "중고",
                "like_new",
                "refurbished",
                "Très bon état",
            )
        ),
        *(
            (text, "new")
            for text in (
                "New/unworn",
                "new in the original box",
                "Never been worn",
                "BNIB - never opened",
                "Brand new! Comes from New York",
                "neu & unbenutzt",
                "Neu ohne Karton",
                "Condizione: Nuovo",
                "商品の状態：新品、未使用",
            )
        ),
        *((text, "used") for text in ("New – display model", "New-ish", "Sehr guter Zustand", "looks new", "used/good")),
        *(
            (text, None)
            for text in ("New York", "new arrival", "New Balance", "New strap", "nuova collezione", "Nueva York", "新款")
        ),
        *(
            (text, "new")
            for text in ("★ New ★", "New, no signs of wear", "brandnew", "neu, keine Gebrauchsspuren", "全新未拆")
        ),
        *((text, "used") for text in ("slight signs of wear", "Gebrauchsspuren", "使用感あり", "no longer new", "poco uso")),
        *(
            (text, None)
            for text in ("no signs of wear", "8/10", "purple", "newer", "12345", "Zustand siehe Foto", "brandneuzeit")
        ),
        ("", None),
        (None, None),
    ],
)
def test_condition(text: str | None, kind: str | None) -> None:
    assert condition_of(text) == kind


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://www.gucci.co.uk/bags", "gucci.co.uk"),
        ("gucci.com", "gucci.com"),
        ("HTTPS://WWW.GUCCI.COM.", "gucci.com"),
        ("https://gucci.com@evil.shop/", "evil.shop"),
        ("https://gucci.com.evil.shop", "evil.shop"),
        ("https://one.myshopify.com", "one.myshopify.com"),
        ("https://gucсi.com", "xn--guci-n6d.com"),  # a Cyrillic letter
        ("https://127.0.0.1/gucci.com", None),
        ("http://[::1]/", None),
        ("https://co.uk", None),
        ("", None),
        ("http://[broken", None),
        ("x" * 300 + ".com", None),
    ],
)
def test_registrable_domain(url: str, domain: str | None) -> None:
    assert registrable_domain(url) == domain


def test_is_a_signal() -> None:
    assert isinstance(SIGNAL, Signal)
    assert SIGNAL.propose([Query(Listing("L"))]) == [[]]
    assert SIGNAL.examine([]) == []
