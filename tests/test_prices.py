"""Prices as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgmatch.market.prices import Price, convert, parse_price

READ = [
    ("€1.299,00", 1299.0, 1299.0, "EUR"),
    ("1,299.00", 1299.0, 1299.0, ""),
    ("1 299,00 €", 1299.0, 1299.0, "EUR"),
    ("1\u00a0299,00\u00a0€", 1299.0, 1299.0, "EUR"),
    ("CHF 1'250.-", 1250.0, 1250.0, "CHF"),
    ("US$ 300–350", 300.0, 350.0, "USD"),
    ("300 to 400 EUR", 300.0, 400.0, "EUR"),
    ("1 EUR + shipping 400", 401.0, 401.0, "EUR"),
    ("£0.99 plus £350 postage", 350.99, 350.99, "GBP"),
    ("120 EUR, free shipping", 120.0, 120.0, "EUR"),
    ("¥800 包邮", 800.0, 800.0, "JPY"),
    ("3万円", 30000.0, 30000.0, "JPY"),
    ("12.5k", 12500.0, 12500.0, ""),
    ("2-3k USD", 2000.0, 3000.0, "USD"),
    ("5000kr", 5000.0, 5000.0, "SEK"),
    ("Rs. 5,00,000", 500000.0, 500000.0, "INR"),
    ("R$ 1.200,50", 1200.5, 1200.5, "BRL"),
    ("NT$3,000", 3000.0, 3000.0, "TWD"),
    ("1.299", 1299.0, 1299.0, ""),
    ("1299.0", 1299.0, 1299.0, ""),
    ("was $900 now $300", 300.0, 900.0, "USD"),
    ("0.99", 0.99, 0.99, ""),
]


@pytest.mark.parametrize(("text", "low", "high", "currency"), READ)
def test_read(text: str, low: float, high: float, currency: str) -> None:
    price = parse_price(text)
    assert isinstance(price, Price)
    assert (price.low, price.high) == (low, high)
    assert (price.currencies[0] if price.currencies else "") == currency


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "no price"),
        ("  ", "no price"),
        ("free", "is 0"),
        ("0", "is 0"),
        ("0,00 €", "is 0"),
        ("call for price", "cannot be read"),
        ("2,500,00", "cannot be read"),
        ("NaN", "cannot be read"),
    ],
)
def test_not_a_price(text: str | None, why: str) -> None:
    said = parse_price(text)
    assert isinstance(said, str)
    assert why in said


def test_the_column_decides_what_a_sign_means() -> None:
    price = parse_price("$300", "CAD")
    assert isinstance(price, Price)
    assert price.currencies == ("CAD",)


def test_convert_invents_no_rate() -> None:
    assert convert(100.0, "USD", "EUR", {"USD": 0.5, "EUR": 1.0}) == 50.0
    assert convert(100.0, "USD", "EUR", {"EUR": 1.0}) is None
    assert convert(100.0, "EUR", "EUR", {}) == 100.0


@given(st.text(max_size=60) | st.text("0123456789.,-+ €$kK", max_size=30))
def test_any_text_gives_a_price_or_a_reason(text: str) -> None:
    price = parse_price(text)
    assert isinstance(price, str) or 0.0 < price.low <= price.high


@given(st.integers(1, 10**7))
def test_a_whole_amount_is_read_in_both_conventions(amount: int) -> None:
    english, german = f"{amount:,}.00", f"{amount:,}".replace(",", ".") + ",00"
    for text in (english, german):
        price = parse_price(text)
        assert isinstance(price, Price)
        assert price.low == price.high == amount
