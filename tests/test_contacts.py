"""Contacts in texts and photos."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from imgmatch.loading.photo import PhotoContext
from imgmatch.market.contacts import Contact, extract_contacts, mask_contact
from imgmatch.types import Image
from imgmatch.vision import ocr

pytest.importorskip("phonenumbers")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("call +86 138 0013 8000 now", ["phone:+8613800138000"]),
        ("WhatsApp: +44 20 7946 0958", ["whatsapp:+442079460958"]),
        ("https://wa.me/442079460958", ["whatsapp:+442079460958"]),
        ("Mail Sales@Shop-1.example.com!", ["email:sales@shop-1.example.com"]),
        ("加微信：BagShop88", ["wechat:bagshop88"]),
        ("WeChat id: bag_shop-88", ["wechat:bag_shop-88"]),
        ("Telegram @bags_daily", ["telegram:bags_daily"]),
        ("t.me/bags_daily", ["telegram:bags_daily"]),
        ("카톡 bagking77", ["kakaotalk:bagking77"]),
        ("order no 12345678, size 42", []),
        ("", []),
    ],
)
def test_in_text(text: str, found: list[str]) -> None:
    assert [str(c) for c in extract_contacts([text])] == found


def test_national_numbers_need_their_country() -> None:
    assert extract_contacts(["010-1234-5678"]) == []
    assert [str(c) for c in extract_contacts(["010-1234-5678"], regions=["KR"])] == ["phone:+821012345678"]


def test_the_same_contact_is_found_once() -> None:
    twice = extract_contacts(["a@b.example.com", "A@B.example.com"])
    assert twice == [Contact("email", "a@b.example.com", "text")]


def drawn(link: str, size: int = 8) -> np.ndarray:
    return np.repeat(np.repeat(np.pad(cv2.QRCodeEncoder.create().encode(link), 4, constant_values=255), size, 0), size, 1)


def seen(grey: np.ndarray) -> PhotoContext:
    pixels = np.repeat(grey[:, :, None], 3, 2)
    return PhotoContext("photo-3", Image(pixels, "0" * 64, "<array>", pixels.shape[1], pixels.shape[0], "RAW"))


def test_several_codes_and_small_ones_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "available", lambda: False)
    two = np.hstack([drawn("https://t.me/bags_daily"), drawn("https://t.me/bags_weekly")])
    assert [c.value for c in extract_contacts([], [seen(two)])] == ["bags_daily", "bags_weekly"]
    large = np.full((3000, 4000), 200, np.uint8)
    code = drawn("https://t.me/bags_daily", 5)
    large[2500 : 2500 + len(code), 100 : 100 + len(code)] = code
    assert [c.value for c in extract_contacts([], [seen(large)])] == ["bags_daily"]


def test_a_page_of_corners_is_read_in_a_time_that_grows_with_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "available", lambda: False)
    corner = np.kron(np.pad(np.pad(np.zeros((3, 3)), 1, constant_values=255), 1), np.ones((5, 5)))
    page = np.tile(np.pad(corner, 12, constant_values=255), (25, 25)).astype(np.uint8)
    start = time.process_time()
    assert extract_contacts([], [seen(page)]) == []
    assert time.process_time() - start < 10  # it took 48 s


def test_qr_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "available", lambda: False)
    code = cv2.QRCodeEncoder.create().encode("https://t.me/bags_daily")
    pixels = np.repeat(np.repeat(np.pad(code, 4, constant_values=255), 8, 0), 8, 1)
    pixels = np.repeat(pixels[:, :, None], 3, 2)
    photo = PhotoContext("photo-3", Image(pixels, "0" * 64, "<array>", pixels.shape[1], pixels.shape[0], "RAW"))
    assert extract_contacts([], [photo]) == [Contact("telegram", "bags_daily", "photo-3")]


@pytest.mark.parametrize(
    ("contact", "masked"),
    [
        ("email:someone@shop.example", "email:s…@shop.example"),
        ("phone:+8613800138000", "phone:+86…00"),
        ("wechat:bagshop88", "wechat:b…8"),
        ("url:https://shop.example/u/42?x=1", "url:https://shop.example/…"),
        ("bagshop88", "b…8"),
        ("instagram:ab", "instagram:…"),
        ("instagram:abc", "instagram:…"),
        ("email:ab@shop.example", "email:…@shop.example"),
        ("phone:+1234567", "phone:+12…67"),
    ],
)
def test_mask(contact: str, masked: str) -> None:
    assert mask_contact(contact) == masked
