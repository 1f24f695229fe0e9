"""Find the contacts that sellers write into texts and photos: on request only, for they are personal data."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from imgmatch.config import ContactsConfig
from imgmatch.errors import ImageError, MissingExtraError
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.names import beginning
from imgmatch.vision import ocr

__all__ = ["Contact", "extract_contacts", "mask_contact"]

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[a-z0-9-]+\.)+[a-z]{2,24}(?![\w-])", re.IGNORECASE)
_LINKS = {
    "whatsapp": re.compile(r"(?:wa\.me/|api\.whatsapp\.com/send\?phone=)\+?(\d{7,15})", re.IGNORECASE),
    "telegram": re.compile(r"(?:t\.me|telegram\.me)/([a-z]\w{3,31})", re.IGNORECASE),
    "line": re.compile(r"line\.me/(?:ti/p/|R/ti/p/)([\w~@%.-]{3,40})", re.IGNORECASE),
    "kakaotalk": re.compile(r"open\.kakao\.com/(?:o|me)/(\w{3,40})", re.IGNORECASE),
    "instagram": re.compile(r"instagram\.com/([\w.]{2,30})", re.IGNORECASE),
}
# A handle follows the messenger's name, perhaps with "id" and a sign between. WeChat ids begin with a letter or are a
# phone number (https://help.wechat.com, "WeChat ID"); Telegram's have 5-32 signs (https://core.telegram.org/method/account.updateUsername).
# Blanks are single where these are looked for, so that no pattern can try them over and over.
_AFTER = r"(?:\s?(?:id|no|号|號|번호|아이디))?\s?[:：=\-–—>]?\s?@?"
_HANDLES = {
    "wechat": re.compile(
        rf"(?:we\s?chat|weixin|微信|微\s?信|威信|薇信|加v|v信|위챗|(?<![a-z])wx|(?<![a-z])vx){_AFTER}([a-z\d][\w-]{{4,19}})",
        re.I,
    ),
    "telegram": re.compile(rf"(?:telegram|텔레그램|телеграм|(?<![a-z])tg){_AFTER}([a-z]\w{{4,31}})", re.I),
    "line": re.compile(r"(?<![a-z])line\s?(?:id)?\s?[:：=@]\s?@?([a-z\d][\w.-]{3,19})", re.I),
    "kakaotalk": re.compile(rf"(?:kakao\s?talk|kakao|카카오톡|카톡){_AFTER}([a-z\d][\w.-]{{3,19}})", re.I),
    "instagram": re.compile(r"(?:instagram|(?<![a-z])insta|(?<![a-z])ig)\s?[:：=]\s?@?([\w.]{3,30})", re.I),
    "qq": re.compile(r"(?<![a-z])qq(?:\s?(?:号|號|id))?\s?[:：]?\s?([1-9]\d{4,10})(?!\d)", re.I),
}
_TRIES = 1500
"""Stretches of digits that are no phone number after all, in all countries together, before a text's phone numbers are given
up: each takes some 25 microseconds. A guess."""

_CODE_SIDE = 1500
"""Pixels of a side of a picture in which a QR code is looked for, which then takes a second at most. As measured, 48 of 54
codes drawn on 30 photos are read with it."""

_WHATSAPP_WORD = re.compile(r"whats\s?app|wsp|(?<![a-z])wa(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class Contact:
    """One way to reach a seller.

    Parameters
    ----------
    kind : str
        ``phone``, ``email``, ``url`` or a messenger: ``wechat``, ``whatsapp``, ``telegram``, ``line``, ``kakaotalk``,
        ``instagram``, ``qq``.
    value : str
        Normalised, so that the same contact is the same string: E.164 for phones and WhatsApp, lower case otherwise.
    source : str
        ``text``, or the id of the photo it was found in.
    """

    kind: str
    value: str
    source: str = "text"

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


def extract_contacts(
    texts: Sequence[str], photos: Sequence[PhotoContext] = (), regions: Sequence[str] = ()
) -> list[Contact]:
    """Find contacts in texts, and in the text and QR codes of photos.

    Parameters
    ----------
    texts : sequence of str
    photos : sequence of PhotoContext
        Photos that cannot be read are skipped. Their printed text needs the extra ``ocr``; without it only QR codes
        are read.
    regions : sequence of str
        ISO 3166 codes of the countries whose national phone numbers are to be recognised; numbers with ``+`` always are.

    Returns
    -------
    list of Contact
        Sorted; the same contact once, from the first place it was found in.

    Raises
    ------
    MissingExtraError
        Where the extra ``contacts`` (phonenumbers) is not installed.

    Notes
    -----
    Linear in the length of each text, of which the `beginning` is read.
    """
    found: dict[tuple[str, str], Contact] = {}
    for source, text in _sources(texts, photos):
        for kind, value in _in_text(text, regions):
            found.setdefault((kind, value), Contact(kind, value, source))
    return sorted(found.values())


def contacts_of(query: Query, config: ContactsConfig) -> tuple[str, ...]:
    """Return the contacts that a listing's texts and photos name, as text; none unless they are asked for."""
    if not config.extract:
        return ()
    listing = query.listing
    texts = [t for t in (listing.title, listing.description, listing.promo_text) if t]
    return tuple(str(c) for c in extract_contacts(texts, query.photos, config.regions))


def mask_contact(contact: Contact | str) -> str:
    """Return a contact as reports show it: enough to recognise it, too little to use it.

    >>> mask_contact("email:someone@shop.example"), mask_contact("phone:+8613800138000"), mask_contact("wechat:bagshop88")
    ('email:s…@shop.example', 'phone:+86…00', 'wechat:b…8')

    What is so short that its ends would give it away shows neither.

    >>> mask_contact("instagram:ab"), mask_contact("email:a@shop.example"), mask_contact("phone:+1234")
    ('instagram:…', 'email:…@shop.example', 'phone:…')
    """
    kind, _, value = str(contact).rpartition(":") if "://" not in str(contact) else str(contact).partition(":")
    if kind == "email":
        name, _, domain = value.partition("@")
        masked = f"{name[: len(name) > 2]}…@{domain}"
    elif value.startswith("+"):
        masked = f"{value[:3]}…{value[-2:]}" if len(value) >= 8 else "…"
    elif "://" in value:
        masked = "/".join(value.split("/")[:3]) + "/…"
    else:
        masked = f"{value[:1]}…{value[-1:]}" if len(value) >= 4 else "…"
    return f"{kind}:{masked}" if kind else masked


def _sources(texts: Sequence[str], photos: Sequence[PhotoContext]) -> Iterator[tuple[str, str]]:
    for text in texts:
        yield "text", text
    for photo in photos:
        try:
            yield from ((photo.photo_id, code) for code in photo.once(_qr_codes))
            if ocr.available():
                yield photo.photo_id, "\n".join(r.text for r in ocr.read(photo))
        except ImageError:
            continue


def _qr_codes(photo: PhotoContext) -> tuple[str, ...]:
    """Return what the codes in a photo say, one of the whole, of each half and quarter, and of those between.

    OpenCV's reader of several codes tries every three corners: a page of 600 takes minutes. That of one is linear.
    """
    import cv2

    height, width = photo.image.pixels.shape[:2]
    rows, columns = ([(0, size), (0, size // 2), (size // 4, size * 3 // 4), (size // 2, size)] for size in (height, width))
    found: dict[str, None] = {}
    for (top, bottom), (left, right) in product(rows, columns):
        part = photo.image.pixels[top:bottom, left:right]
        scale = min(_CODE_SIDE / max(part.shape[:2]), 1.0)
        try:
            small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            text, _, _ = cv2.QRCodeDetector().detectAndDecode(small)
        except (cv2.error, UnicodeDecodeError):  # OpenCV raises on some pictures that hold no code
            continue
        if text:
            found[text] = None
    return tuple(found)


def _in_text(text: str, regions: Sequence[str]) -> Iterator[tuple[str, str]]:
    lines = unicodedata.normalize("NFKC", beginning(text)).splitlines()
    plain = "\n".join(" ".join(line.split()) for line in lines)
    for email in _EMAIL.findall(plain):
        yield "email", email.lower()
    for kind, pattern in _LINKS.items():
        for value in pattern.findall(plain):
            yield kind, f"+{value}" if kind == "whatsapp" else value.lower()
    for kind, pattern in _HANDLES.items():
        for value in pattern.findall(plain):
            yield kind, value.lower()
    if plain.startswith(("http://", "https://")) and not any(p.search(plain) for p in _LINKS.values()):
        yield "url", plain.strip()  # a text that is a link is what a QR code holds
    for number, before in _phones(plain, regions):
        yield ("whatsapp" if _WHATSAPP_WORD.search(before) else "phone"), number


def _phones(text: str, regions: Sequence[str]) -> Iterator[tuple[str, str]]:
    try:
        import phonenumbers
    except ImportError as error:
        raise MissingExtraError("Finding phone numbers", "contacts") from error
    # Numbers with a plus are understood in each country, and without any.
    asked: Sequence[str | None] = regions or ([None] if "+" in text else [])
    for region in asked:
        for match in phonenumbers.PhoneNumberMatcher(text, region, max_tries=_TRIES // len(asked)):
            number = phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164)
            yield number, text[max(match.start - 16, 0) : match.start]
