"""Prices as people write them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from babel.core import get_global
from babel.languages import get_official_languages
from babel.localedata import locale_identifiers
from babel.numbers import format_currency, format_decimal
from hypothesis import given
from hypothesis import strategies as st

from imgmatch.market.prices import Price, convert, parse_price

LOCALES = frozenset(locale_identifiers())

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
    ("¥800 包邮", 800.0, 800.0, "CNY"),
    ("3万円", 30000.0, 30000.0, "JPY"),
    ("12.5k", 12500.0, 12500.0, ""),
    ("2-3k USD", 2000.0, 3000.0, "USD"),
    ("5000kr", 5000.0, 5000.0, "DKK"),
    ("Rs. 5,00,000", 500000.0, 500000.0, "INR"),
    ("R$ 1.200,50", 1200.5, 1200.5, "BRL"),
    ("NT$3,000", 3000.0, 3000.0, "TWD"),
    ("1.299", 1299.0, 1299.0, ""),
    ("1299.0", 1299.0, 1299.0, ""),
    ("was $900 now $300", 300.0, 300.0, "USD"),
    ("0.99", 0.99, 0.99, ""),
    ("CHF 1’250.–", 1250.0, 1250.0, "CHF"),
    ("1ʼ250", 1250.0, 1250.0, ""),
    ("12€50", 12.5, 12.5, "EUR"),
    ("1 250€00 port compris", 1250.0, 1250.0, "EUR"),
    ("1.250€50", 1250.5, 1250.5, "EUR"),
    ("1250 ¤", 1250.0, 1250.0, ""),
    ("1\u202f250,00 €", 1250.0, 1250.0, "EUR"),
    ("1\u2009250 kr", 1250.0, 1250.0, "DKK"),
    ("١٬٢٥٠٫٠٠ د.ك", 1250.0, 1250.0, "KWD"),
    ("१,२५,००० ₹", 125000.0, 125000.0, "INR"),
    ("１，２５０円", 1250.0, 1250.0, "JPY"),
    ("45.000 KWD", 45.0, 45000.0, "KWD"),
    ("1.250 KWD", 1.25, 1250.0, "KWD"),
    ("€1.250 – €1.500", 1250.0, 1500.0, "EUR"),
    ("between 1250 and 1500 EUR", 1250.0, 1500.0, "EUR"),
    ("1,2 tys. zł", 1200.0, 1200.0, "PLN"),
    ("1.25 Lacs", 125000.0, 125000.0, ""),
    ("U$S 1.250", 1250.0, 1250.0, "USD"),
    ("税込1,250円", 1250.0, 1250.0, "JPY"),
    ("about $1250", 1250.0, 1250.0, "USD"),
    ("<b>1</b>250 EUR", 1250.0, 1250.0, "EUR"),
    ("1250 firm", 1250.0, 1250.0, ""),
    ("1,250 KWD", 1250.0, 1250.0, "KWD"),
    ("1.250,000 TND", 1250.0, 1250.0, "TND"),
    ("59⁹⁹ €", 59.99, 59.99, "EUR"),
    ("£1·50", 1.5, 1.5, "GBP"),
    ("1250 Kč", 1250.0, 1250.0, "CZK"),
    ("1250:- kr", 1250.0, 1250.0, "DKK"),
    ("Rs 1,25,000/-", 125000.0, 125000.0, "INR"),
    ("Now 59 EUR", 59.0, 59.0, "EUR"),
    ("VHB 59 EUR", 59.0, 59.0, "EUR"),
    ("59 EUR or best offer", 59.0, 59.0, "EUR"),
    ("59 Euro", 59.0, 59.0, "EUR"),
    ("59 dollars", 59.0, 59.0, "USD"),
    ("HK $900", 900.0, 900.0, "HKD"),
    ("C $1,200.00 (approx. US $870)", 1200.0, 1200.0, "CAD"),
    ("$ 900 CAD", 900.0, 900.0, "CAD"),
    ("XQ$900", 900.0, 900.0, ""),
    ("59 EUR statt 1200 EUR", 59.0, 59.0, "EUR"),
    ("£1,200 RRP £1500", 1200.0, 1200.0, "GBP"),
    ("20% off 59 EUR", 59.0, 59.0, "EUR"),
    ("Save 20 EUR, 59 EUR", 59.0, 59.0, "EUR"),
    ("Size 38, 59 EUR", 59.0, 59.0, "EUR"),
    ("&euro;1&nbsp;250,00", 1250.0, 1250.0, "EUR"),
    ("1.25e3", 1250.0, 1250.0, ""),
    ("١٬٢٥٠٫٠٠٠ د.ك", 1250.0, 1250.0, "KWD"),
    ("١٢٫٥٠٠ د.ك", 12.5, 12.5, "KWD"),
    ("NZD $1250", 1250.0, 1250.0, "NZD"),
    ("1250 EUR (5 available)", 1250.0, 1250.0, "EUR"),
    ("1250 EUR (1350 USD)", 1250.0, 1250.0, "EUR"),
    ("1250.0000", 1250.0, 1250.0, ""),  # as SQL's money and Magento write it
    ("59.9900", 59.99, 59.99, ""),
    ("$1,250 (£990)", 1250.0, 1250.0, "USD"),
    ("£990 ($1,250)", 990.0, 990.0, "GBP"),
    ("1250 CHF (ca. 1350 €)", 1250.0, 1250.0, "CHF"),
    ("1万2500円", 12500.0, 12500.0, "JPY"),
    ("125만5천원", 1255000.0, 1255000.0, "KRW"),
    ("۱٬۲۵۰٬۰۰۰ تومان", 12500000.0, 12500000.0, ""),
    ("Paid $2,400, selling for $1,250", 1250.0, 1250.0, "USD"),
    ("De R$ 1.500,00 por R$ 1.250,00", 1250.0, 1250.0, "BRL"),
    ("$1,250+tax", 1250.0, 1250.0, "USD"),
    ("1.250 US-Dollar", 1250.0, 1250.0, "USD"),
    ("1 250 dollars canadiens", 1250.0, 1250.0, "CAD"),
    ("1250 dolarów amerykańskich", 1250.0, 1250.0, "USD"),
    ("1250 російських рублів", 1250.0, 1250.0, "RUB"),
    ("1250 гривень", 1250.0, 1250.0, "UAH"),
    ("1250英镑包邮", 1250.0, 1250.0, "GBP"),
    ("1250 svenska kronor", 1250.0, 1250.0, "SEK"),
    ("1250 ريال سعودي", 1250.0, 1250.0, "SAR"),
    ("1250 евра", 1250.0, 1250.0, "EUR"),
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
        (None, "No price"),
        ("  ", "No price"),
        ("free", "is 0"),
        ("0", "is 0"),
        ("0,00 €", "is 0"),
        ("call for price", "on request"),
        ("2,500,00", "cannot be read"),
        ("NaN", "cannot be read"),
        ("-1", "negative"),
        ("1.250 TND", "thousands or three decimals"),
        ("EUR 1. 250", "several ways"),
        ("1$250", "several ways"),
        ("12€500", "several ways"),
        ("1,250€50", "several ways"),
        ("99p", "several ways"),
        ("0.02 ₿", "cannot be read"),
        ("₿0.02", "cannot be read"),
        ("50¢", "cannot be read"),
        ("24 x 52 EUR", "several ways"),
        ("1.25O EUR", "several ways"),
        ("1万25円", "several ways"),
        ("1250 (£990)", "several ways"),
        ("59 som", "after a number, “som”"),  # Swedish for "as"
        ("1.250k", "several ways"),
        ("1 25 0 EUR", "several ways"),
        ("½ 59", "cannot be read"),
        ("1;250 EUR", "several ways"),
        ("1·250 EUR", "not grouped by thousands"),
        ("min. offer 59 EUR", "a bid"),
        ("shipping only: 59 EUR", "for a part"),
        ("59 EUR (box only)", "for a part"),
        ("1.25 lagh", "after a number, “lagh”"),
        ("1.25 L", "after a number, “L”"),
        ("0.5 ETH", "after a number, “ETH”"),
        ("1.2 k", "after a number, “k”"),
        ("1250元起", "lowest of several"),
        ("dès 59 €", "lowest of several"),
        ("2025-01-01", "several ways"),
        ("4 payments of $312.50", "for a part"),
        ("59 EUR/month", "for a part"),
        ("59 € mtl.", "for a part"),
        ("starting bid 1 EUR", "a bid"),
        ("from 59 EUR", "lowest of several"),
        ("ab 59 €", "lowest of several"),
        ("Preis auf Anfrage, 1 EUR", "on request"),
        ("I 250 EUR", "several ways"),
        ("€ l 250,00", "several ways"),
        ("| 250 EUR", "several ways"),
        ("1,2500", "not grouped by thousands"),  # 12500 to some
        ("EUR 1250 USD", "several ways"),
        ("£1250 JPY", "several ways"),
        ("size EUR 38, 1250", "several ways"),
        ("EUR 38 / 1250", "several ways"),
        ("1250 instead of 3000 EUR", "several ways"),
        ("12 MSI de $104", "for a part"),
        ("3 fois 416 €", "for a part"),
        ("$104 a month", "for a part"),
        ("41€/Mon.", "for a part"),
        ("as low as $104", "lowest of several"),
    ],
)
def test_not_a_price(text: str | None, why: str) -> None:
    said = parse_price(text)
    assert isinstance(said, str)
    assert why in said


@pytest.mark.parametrize("number", [59.987, 59, 0.5, 1250.0])
def test_a_number_is_that_amount(number: float) -> None:
    assert parse_price(number, "EUR") == Price(number, number, ("EUR",))


@pytest.mark.parametrize("number", [0, -1.0, float("nan"), float("inf")])
def test_a_number_that_is_no_price(number: float) -> None:
    assert parse_price(number, "EUR") == "The price is 0."


def test_a_column_that_says_otherwise_makes_the_price_unknown() -> None:
    assert parse_price("CHF 1'250", "EUR") == "The price is in CHF, the currency column says EUR."


CURRENCIES = (
    "EUR USD GBP JPY CNY KRW INR CHF SEK NOK DKK ISK PLN CZK HUF RON TRY RUB UAH BRL MXN ARS CLP COP PEN CAD AUD NZD HKD "
    "SGD TWD THB VND IDR MYR PHP ILS AED SAR QAR KWD BHD OMR JOD TND IQD LYD ZAR EGP NGN MAD PKR KZT RSD"
)


def forms(amount: float, code: str) -> Iterator[tuple[str, str | None]]:
    """Write a price as software of every territory does where the currency is legal tender, and of some where it is not."""
    locales = {"en", "de", "fr", "es", "it"}
    for territory, used in get_global("territory_currencies").items():
        if any(entry[0] == code and entry[2] is None and entry[3] for entry in used):
            locales |= {f"{language}_{territory}" for language in get_official_languages(territory, de_facto=True)}
    for locale in sorted(locales & LOCALES):
        for digits in ("default", "latn"):
            for kind in ("standard", "name", "accounting"):
                yield format_currency(amount, code, locale=locale, numbering_system=digits, format_type=kind), None
            if "_" in locale:  # elsewhere 1.250 dinars are one dinar to some
                number = format_decimal(amount, locale=locale, numbering_system=digits)
                yield from ((number, code), (f"{number} {code}", None), (f"{code}{number}", None))


@pytest.mark.parametrize("code", CURRENCIES.split())
def test_no_form_of_a_full_price_is_read_as_less(code: str) -> None:
    """Where a price is read at all: as the full amount, or in a sign's most valuable currency, so that it bounds it."""
    read = 0
    for amount in (1250, 900, 1299.99, 1250000):
        for text, column in forms(amount, code):
            price = parse_price(text, column)
            if isinstance(price, Price) and price.currencies:
                read += 1
                assert code in price.currencies, text
                assert price.high >= 0.98 * amount, text  # yen have no decimals
    assert read > 100


@pytest.mark.parametrize("column", ["k EUR", "EUR cents", "thousand USD", "?"])
def test_a_column_that_says_more_than_a_currency_names_none(column: str) -> None:
    price = parse_price("1.25", column)
    assert isinstance(price, Price)
    assert price.currencies == ()


def test_the_column_decides_what_a_sign_means() -> None:
    price = parse_price("$300", "CAD")
    assert isinstance(price, Price)
    assert price.currencies == ("CAD",)


@pytest.mark.parametrize(
    "text",
    ["1e308", "=1+1", " =1+1 EUR", "=SUM(A1:A9)", "1e999", "9" * 400, "9" * 14 + " EUR", "0x10", 1e308, 2e12, 10**400],
)
def test_what_is_no_price_is_not_read_as_money(text: str | float) -> None:
    assert isinstance(parse_price(text, "EUR"), str)


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
