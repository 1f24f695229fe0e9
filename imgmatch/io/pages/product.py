"""What a page offers: schema.org Product and Offer, then Open Graph, then its plain title, price and photos."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

from imgmatch.cells import is_missing
from imgmatch.errors import MissingExtraError

__all__ = ["Product", "read_product"]

_MOST_PHOTOS, _MOST_IMAGES = 50, 1000  # of one page, and images that are looked at for them; guesses
_ADDRESS = 2048  # letters of an address, as far as browsers and servers agree on any; a longer one is none
_PRODUCTS = frozenset({"product", "productgroup", "individualproduct", "productmodel", "somemodel", "vehicle"})
_PLACES = ("@graph", "mainEntity", "mainEntityOfPage")
_NUMBER = re.compile(r"\d+(?:\.(?!\d{3}$)\d+)?")
# Of a subscription or instalments (schema.org, UnitPriceSpecification; UN/CEFACT codes for periods).
_BILLED = frozenset({"billingDuration", "billingIncrement"})
_PERIODS = frozenset({"MON", "ANN", "WEE", "DAY", "HUR"})
# What old pages put around a script, so that browsers of their day would not show it.
_WRAPPED = re.compile(r"(?://|/\*)?(?:<!\[CDATA\[|\]\]>)(?:\*/)?|(?<=ld\+json[\"']>)\s*<!--|-->\s*(?=</script>)")
_PRICED = "@itemprop='price' or contains(@class,'price') or contains(@id,'price')"
_BEFORE = re.compile(r"(?i)(?:^|[\s_-])(?:old|was|before|regular|compare|strike|list|retail|msrp|rrp|uvp)")
_SAVED_FROM = re.compile(rb"<!--\s*(?:saved from url=\(\d+\)|Page saved with SingleFile\s+url:\s*)(\S+)", re.IGNORECASE)


@dataclass(slots=True)
class Product:
    """The fields of a listing that a page states, and the addresses of its photos.

    Parameters
    ----------
    fields : dict
        Fields of :class:`imgmatch.records.Listing`, and ``seller_name``; cells as the page has them.
    photos : list of str
        Absolute addresses, or paths beside a saved page, or ``data:`` URIs; in the order of the page.
    source : str
        What stated it: ``schema.org``, ``Open Graph`` or ``plain page``.
    url : str
        The page's own address, where it or whoever saved it names one.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    photos: list[str] = field(default_factory=list)
    source: str = "plain page"
    url: str = ""


def read_product(html: bytes, url: str = "", content_type: str = "") -> Product:
    """Read what a page offers.

    Parameters
    ----------
    html : bytes
        At most some megabytes: the parser builds the page in memory.
    url : str
        Where it was captured; photos are relative to it.
    content_type : str
        As its server sent it; its charset goes before what the page says of itself. Where neither says, it is UTF-8 if it
        can be.

    Raises
    ------
    MissingExtraError
        Where the extra ``web`` is not installed.
    """
    try:
        import extruct
        import lxml.etree
        import lxml.html
        from w3lib.encoding import html_to_unicode
    except ImportError as error:
        raise MissingExtraError("reading captured pages", "web") from error
    made = Product()
    _, text = html_to_unicode(content_type or None, html, auto_detect_fun=_encoding)
    page = _WRAPPED.sub(" ", text).encode("utf-8", "replace")
    try:
        tree = lxml.html.fromstring(page, parser=lxml.html.HTMLParser(encoding="utf-8"))
    except (lxml.etree.ParserError, lxml.etree.XMLSyntaxError, ValueError):
        return made
    saved = _SAVED_FROM.search(html[:4096])
    made.url = (
        url or (saved.group(1).decode("utf-8", "replace") if saved else "") or _first(tree, "//link[@rel='canonical']/@href")
    )
    base = _joined(made.url, _first(tree, "//base/@href"))
    found = _extracted(extruct, page, base)
    graph = _open_graph(tree)
    nodes = [found.get("json-ld") or [], found.get("microdata") or []]
    if (product := _product(nodes[0], made.url) or _product(nodes[1], made.url)) is not None:
        made.source = "schema.org"
        _take_product(made, product, dict(_named_nodes(nodes)))
    elif "product" in graph.get("og:type", [""])[0].lower() or any(
        k.startswith(("product:price", "og:price")) for k in graph
    ):
        made.source = "Open Graph"
    _take_graph(made, graph)
    _take_plain(made, tree, with_photos=not made.photos)
    photos = dict.fromkeys(p if p.startswith("data:") else _joined(base, p) for p in made.photos[:_MOST_IMAGES])
    made.photos = list(photos)[:_MOST_PHOTOS]
    if not made.fields.get("platform") and made.url:
        made.fields["platform"] = _host(made.url).removeprefix("www.") or None
    return made


def _extracted(extruct: Any, page: bytes, base: str) -> dict[str, Any]:
    """Return what a page states of itself; a syntax that cannot be read states nothing."""
    found: dict[str, Any] = {}
    for syntax in ("json-ld", "microdata"):
        # extruct raises what it trips over: RecursionError, KeyError, lxml's own.
        with suppress(Exception):
            found |= extruct.extract(page, base_url=base, encoding="UTF-8", syntaxes=[syntax], uniform=True)
    return found


def _product(nodes: Any, url: str) -> Mapping[str, Any] | None:
    """Return what a page is about: its own product before those at other addresses and of lists ("you may also like")."""
    own = list(_products(nodes, _PLACES))
    listed = [] if own else list(_products(nodes, (*_PLACES, "itemListElement", "item")))
    if not own and len(listed) != 1:
        return None
    here = _page(url)
    addresses = [_page(_joined(url, address)) if isinstance(address := p.get("url"), str) else here for p in own]
    own = [p for p, address in zip(own, addresses, strict=True) if address == here] or own
    return next((p for p in own if p.get("offers")), own[0] if own else listed[0])


def _products(nodes: Any, places: Sequence[str], depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Yield the products in nested JSON-LD or microdata, outermost first."""
    if depth > 8:
        return
    if isinstance(nodes, list):
        for node in nodes:
            yield from _products(node, places, depth + 1)
    elif isinstance(nodes, Mapping):
        kinds = nodes.get("@type") or []
        if any(str(k).rsplit("/", 1)[-1].lower() in _PRODUCTS for k in (kinds if isinstance(kinds, list) else [kinds])):
            yield nodes
        elif isinstance(offered := nodes.get("itemOffered"), Mapping):
            yield {**offered, "offers": nodes}
        else:
            for name in places:
                yield from _products(nodes.get(name), places, depth + 1)


def _named_nodes(nodes: Any, depth: int = 0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the nodes of a graph that others may refer to, by their ``@id``."""
    if depth > 8:
        return
    if isinstance(nodes, list):
        for node in nodes:
            yield from _named_nodes(node, depth + 1)
    elif isinstance(nodes, Mapping):
        if isinstance(nodes.get("@id"), str) and len(nodes) > 1:
            yield nodes["@id"], nodes
        yield from _named_nodes(nodes.get("@graph"), depth + 1)


def _linked(node: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a node with what stands elsewhere in its graph (``{"@id": "#offer"}``) in place."""

    def follow(value: Any) -> Any:
        if isinstance(value, list):
            return [follow(entry) for entry in value if not isinstance(entry, list)]
        return named.get(str(value["@id"]), value) if isinstance(value, Mapping) and [*value] == ["@id"] else value

    return {name: follow(value) for name, value in node.items()}


def _offers(product: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the offers of a product, those of its variants where it has none itself, and those within an AggregateOffer."""
    variants = [_linked(variant, named) for variant in _all(product.get("hasVariant"))]
    offers = _all(product.get("offers")) or [offer for variant in variants for offer in _all(variant.get("offers"))]
    linked = [_linked(offer, named) for offer in offers]
    return [*linked, *(_linked(inner, named) for offer in linked for inner in _all(offer.get("offers")))]


def _asked(offer: Mapping[str, Any]) -> tuple[list[Any], str | None]:
    """Return the amounts that an offer asks, and their currency; a price that is struck through, or per month, is none."""
    amounts = [offer.get("price"), offer.get("lowPrice"), offer.get("highPrice")]
    currency = offer.get("priceCurrency")
    for specification in _all(offer.get("priceSpecification")):
        currency = currency or specification.get("priceCurrency")
        struck = re.search("Strikethrough|ListPrice|SRP|RetailPrice", str(specification.get("priceType")))
        monthly = _BILLED & specification.keys() or str(specification.get("unitCode")) in _PERIODS
        if struck is None and not monthly:
            amounts.append(specification.get("price"))
    return [amount for amount in amounts if not is_missing(amount) and not isinstance(amount, (list, Mapping))], _text(
        currency
    )


def _price(offers: Sequence[Mapping[str, Any]]) -> tuple[Any, str | None]:
    """Return what is asked in all the offers in the currency of the first, a range where they differ; and that currency."""
    asked = [(amounts, currency) for amounts, currency in map(_asked, offers) if amounts]
    if not asked:
        return None, None
    currency = asked[0][1]
    amounts = {_amount(amount) for amounts, other in asked if other in (currency, None) for amount in amounts}
    if len(amounts) == 1:
        return amounts.pop(), currency
    numbers = sorted(amount for amount in amounts if not isinstance(amount, str))
    if len(numbers) == len(amounts):
        return f"{numbers[0]:.2f} – {numbers[-1]:.2f}", currency
    return (" – ".join(map(str, amounts)) if len(amounts) == 2 else None), currency


def _amount(amount: Any) -> float | str:
    """Read an amount as schema.org wants it, with ``.`` for decimals; before three digits that may be a thousands mark."""
    if isinstance(amount, (int, float)):
        return float(amount)
    text = str(amount).strip()
    return float(text) if _NUMBER.fullmatch(text) else text


def _take_product(made: Product, product: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]]) -> None:
    product = _linked(product, named)
    offers = _offers(product, named)
    price, currency = _price(offers)
    offer = offers[0] if offers else {}
    seller = _one(offer.get("seller") or offer.get("offeredBy"))
    made.fields |= {
        "title": _text(product.get("name")),
        "description": _text(product.get("description")),
        "price": price,
        "currency": currency,
        "condition": _text(offer.get("itemCondition") or product.get("itemCondition")),
        "brand_claim": _text(product.get("brand") or product.get("manufacturer")),
        "seller_id": _text(seller.get("identifier") or seller.get("@id") or seller.get("url")),
        "seller_name": _text(seller.get("name")),
        "listed_at": _text(offer.get("validFrom") or product.get("releaseDate")),
    }
    variants = [variant.get("image") for variant in _all(product.get("hasVariant"))]
    made.photos += _links([product.get("image"), *variants])


def _take_graph(made: Product, graph: Mapping[str, list[str]]) -> None:
    def first(*names: str) -> str | None:
        return next((graph[name][0] for name in names if graph.get(name)), None)

    stated = {
        "title": first("og:title", "twitter:title"),
        "description": first("og:description", "description"),
        "price": first("product:price:amount", "og:price:amount", "product:sale_price:amount"),
        "currency": first("product:price:currency", "og:price:currency", "product:sale_price:currency"),
        "condition": first("product:condition", "og:condition"),
        "brand_claim": first("product:brand", "og:brand"),
    }
    priced = not is_missing(made.fields.get("price"))  # a currency belongs to its own price
    for name, value in stated.items():
        if value and is_missing(made.fields.get(name)) and not (name == "currency" and priced):
            made.fields[name] = value
    if not made.photos:
        made.photos += graph.get("og:image:secure_url") or graph.get("og:image") or []
    made.url = made.url or first("og:url") or ""


def _take_plain(made: Product, tree: Any, *, with_photos: bool) -> None:
    if is_missing(made.fields.get("title")):
        made.fields["title"] = _first(tree, "//h1//text()[normalize-space()]") or _first(tree, "//title/text()") or None
    if is_missing(made.fields.get("price")):
        # The one price that is shown: of several, no one can tell which is this product's.
        shown = tree.xpath(
            f"//*[{_PRICED}][not(descendant::*[{_PRICED}])][not(ancestor-or-self::del or ancestor-or-self::s)]"
        )
        texts = [" ".join(" ".join(node.itertext()).split()) for node in shown[:50] if not _BEFORE.search(_classes(node))]
        numbers = {tuple(re.findall(r"\d+", text)): text for text in texts if any(c.isdigit() for c in text)}
        if len(numbers) == 1 and len(price := next(iter(numbers.values()))) <= 60:
            made.fields["price"] = price
    if with_photos:
        made.photos += [str(src) for src in tree.xpath("//img/@src | //img/@data-src")]


def _classes(node: Any) -> str:
    return f"{node.get('class') or ''} {node.get('id') or ''}"


def _open_graph(tree: Any) -> dict[str, list[str]]:
    graph: dict[str, list[str]] = {}
    for meta in tree.xpath("//meta[@content][@property or @name]"):
        graph.setdefault((meta.get("property") or meta.get("name")).lower(), []).append(meta.get("content").strip())
    return {name: [v for v in values if v] for name, values in graph.items() if any(values)}


def _encoding(html: bytes) -> str:
    try:
        html.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _joined(base: str, url: str) -> str:
    """Return an address made absolute; as it stands where either is none (``http://[``, or endless)."""
    if len(base) > _ADDRESS or len(url) > _ADDRESS:
        return url
    try:
        return urljoin(base, url)
    except ValueError:
        return url


def _page(url: str) -> tuple[str, str]:
    """Return the host and path of an address, by which pages are told apart."""
    try:
        return _host(url).removeprefix("www."), urlsplit(url).path.rstrip("/")
    except ValueError:
        return "", url


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _links(value: Any) -> list[str]:
    found = []
    for entry in value if isinstance(value, list) else [value]:
        link = (entry.get("contentUrl") or entry.get("url") or entry.get("@id")) if isinstance(entry, Mapping) else entry
        found += _links(link) if isinstance(link, list) else [link] if isinstance(link, str) and link.strip() else []
    return found


def _all(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list, or the object itself as the only one."""
    return [entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, Mapping)]


def _one(value: Any) -> Mapping[str, Any]:
    """Return the first object of a list, or the object itself; an empty one where there is none."""
    return next(iter(_all(value)), {})


def _text(value: Any) -> str | None:
    """Return a text, the name or value of an object, or the first of a list of these."""
    if isinstance(value, list):
        value = next(iter(value), None)
    if isinstance(value, Mapping):
        return _text(value.get("name") or value.get("value") or value.get("@value") or value.get("@id"))
    return None if is_missing(value) else " ".join(str(value).split())


def _first(tree: Any, path: str) -> str:
    found = tree.xpath(path)
    return str(found[0]).strip() if found else ""
