"""Contacts in case files are masked wherever they stand and however they are written; and hostile packages."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

pytest.importorskip("reportlab", reason="extra case")
pytest.importorskip("phonenumbers", reason="extra contacts")

from imgmatch.apps.cli import app
from imgmatch.errors import InputError
from imgmatch.investigate.case import pdf, seal
from imgmatch.investigate.case.case import write_case
from imgmatch.investigate.case.privacy import Masks, contacts_left
from imgmatch.investigate.case.seal import verify_package, write_package
from imgmatch.investigate.case.subject import find_subject
from imgmatch.records import Listing, ScanRecord

PHONE, MAIL, CHAT = "phone:+41795551234", "email:seller@luxe.example", "wechat:luxbag888"


@pytest.mark.parametrize(
    ("contact", "text", "masked"),
    [
        (PHONE, "call +41 79 555 12 34 now", "call +41…34 now"),
        (PHONE, "call 0041795551234", "call +41…34"),
        (PHONE, "(079) 555-12-34", "+41…34"),
        (PHONE, "0 7 9 5 5 5 1 2 3 4!", "+41…34!"),
        (PHONE, "０７９．５５５．１２．３４", "+41…34"),
        (PHONE, "٠٧٩ ٥٥٥ ١٢ ٣٤", "+41…34"),
        (PHONE, "photo-41795551234.jpg", "photo-+41…34.jpg"),
        (PHONE, "no 795551235", "no 795551235"),
        (MAIL, "Seller@Luxe.Example", "s…@luxe.example"),
        (MAIL, "s e l l e r @ luxe . example", "s…@luxe.example"),
        (MAIL, "seller (at) luxe.example", "s…@luxe.example"),
        (MAIL, "seller[at]luxe[dot]example", "s…@luxe.example"),
        (MAIL, "ｓｅｌｌｅｒ＠luxe.example", "s…@luxe.example"),
        (CHAT, "wechat:luxbag888", "wechat:l…8"),
        (CHAT, "LuxBag 888, Lux_Bag-888 or l.u.x.b.a.g.8.8.8", "l…8, l…8 or l…8"),
        (CHAT, "https://x.example/luxbag888/1", "https://x.example/l…8/1"),
        (PHONE, "七九五五五一二三四, ７9五五五①②③④ or 7️⃣9️⃣5️⃣5️⃣5️⃣1️⃣2️⃣3️⃣4️⃣", "+41…34, +41…34 or +41…34\ufe0f\u20e3"),
        (MAIL, "ѕеllеr@luxe.ехаmple", "s…@luxe.example"),  # Cyrillic
        (MAIL, "sèllér@lûxe.example", "s…@luxe.example"),
        (MAIL, "s\u0301eller@luxe.exam\u00adple", "s…@luxe.example"),
        (CHAT, "𝓵𝓾𝔁𝓫𝓪𝓰⑧⑧⑧, ⓛⓤⓧⓑⓐⓖ888 or luхbаg888", "l…8, l…8 or l…8"),
        (CHAT, "lu\u200bxb\u2060ag\u202e888", "l…8"),
        ("line:abc", "abc and abc", "abc and abc"),  # too short to be told from words
    ],
)
def test_a_contact_is_masked_however_it_is_written(contact: str, text: str, masked: str) -> None:
    assert Masks([contact])(text) == masked
    assert Masks([contact])({text: [text, 5, None]}) == {masked: [masked, 5, None]}


def test_hashes_stay_as_they_are() -> None:
    sha = "795551234" * 7 + "a"
    assert Masks([PHONE])(sha) == sha


@given(st.text(max_size=60), st.sampled_from([PHONE, MAIL, CHAT]))
def test_what_is_masked_is_gone_and_the_rest_stays(text: str, contact: str) -> None:
    mask = Masks([contact])
    value = contact.partition(":")[2]
    assert value not in mask(f"{text} {value} {text}")
    assert mask(mask(text)) == mask(text)


@given(st.sets(st.text("ab", min_size=5, max_size=40), min_size=1, max_size=8), st.text("ab-", max_size=80))
def test_every_place_of_every_contact_is_masked_and_no_other(contacts: set[str], text: str) -> None:
    bare = [at for at, letter in enumerate(text) if letter != "-"]
    letters = text.replace("-", "")
    pieces = {c[at : at + 32] for c in contacts for at in (*range(0, max(len(c) - 32, 0), 32), max(len(c) - 32, 0))}
    inside = {at + i for p in pieces for at in range(len(letters)) if letters.startswith(p, at) for i in range(len(p))}
    spans = Masks(f"wechat:{c}" for c in contacts)._spans(text)
    assert {at for start, stop, _ in spans for at in range(start, stop) if text[at] != "-"} == {bare[i] for i in inside}


TEXT = "ask SELLER (at) luxe.example, Lux-Bag-888 or 079 555 12 34"


def package(tmp_path: Path, **more: Any) -> Path:
    listing = Listing(
        "1 luxbag888",
        title=TEXT,
        description="write to seller@luxe.example, wechat: luxbag888, +41 79 555 12 34",
        seller_id="luxbag888",
        platform="shopnow",
        url="https://shopnow.example/LuxBag888",
        contacts=(CHAT,),
        brand_claim=TEXT,
        promo_text=TEXT,
        condition=TEXT,
        extra={"shop": TEXT, TEXT: [TEXT, {"deep": "+41-79-555-12-34"}]},
    )
    (tmp_path / "r.jsonl").write_text(json.dumps(ScanRecord(listing, status="failed", error=TEXT).to_dict()) + "\n")
    subject = find_subject("luxbag888", [tmp_path / "r.jsonl"])
    write_case(subject, [tmp_path / "r.jsonl"], tmp_path / "case.zip", photo_roots=[tmp_path], **more)
    return tmp_path / "case.zip"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_file_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lang: str) -> None:
    told: list[str] = []
    real = pdf.marked
    monkeypatch.setattr(pdf, "marked", lambda text: told.append(text) or real(text))
    with zipfile.ZipFile(package(tmp_path, lang=lang)) as archive:
        texts = [archive.read(n).decode("utf-8", "replace") for n in archive.namelist() if not n.endswith(".pdf")] + told
    assert len(told) > 20
    for text in texts:
        bare = "".join(c for c in text.casefold() if c.isalnum())
        assert not [x for x in ("luxbag888", "selleratluxe", "sellerluxe", "795551234") if x in bare]
    assert contacts_left(tmp_path / "case.zip") == []


FILLS = ("bag " * 2600, "ﷺ" * 700, "1.250 " * 5000, "e\u0301" * 6000, "&amp;" * 3000, "包" * 9990)


@pytest.mark.parametrize("fill", FILLS, ids=range(len(FILLS)))
def test_a_contact_behind_a_long_text_is_recognised_and_masked(tmp_path: Path, fill: str) -> None:
    listing = Listing("1", description=f"{fill} mail seller@luxe.example {fill}", seller_id="s", platform="shopnow")
    (tmp_path / "r.jsonl").write_text(json.dumps(ScanRecord(listing, status="failed", error="").to_dict()) + "\n")
    for show in (False, True):
        subject = find_subject("s", [tmp_path / "r.jsonl"])
        write_case(subject, [tmp_path / "r.jsonl"], tmp_path / f"{show}.zip", photo_roots=[tmp_path], show_contacts=show)
        assert ("listings.jsonl: email:s…@luxe.example" in contacts_left(tmp_path / f"{show}.zip")) == show
        with zipfile.ZipFile(tmp_path / f"{show}.zip") as archive:
            assert (b"seller@luxe" in archive.read("listings.jsonl")) == show


def test_what_is_no_package_any_more_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", json.dumps("x" * 5000))
    data = bytearray(path.read_bytes())
    data[40:44] = b"\xff" * 4
    path.write_bytes(data)
    with pytest.raises(InputError, match="cannot be read"):
        contacts_left(path)


def test_what_is_left_is_listed(tmp_path: Path) -> None:
    left = contacts_left(package(tmp_path, show_contacts=True))
    assert "listings.jsonl: phone:+41…34" in left
    assert "listings.jsonl: email:s…@luxe.example" in left
    result = CliRunner().invoke(app, ["case", "verify", str(tmp_path / "case.zip"), "--privacy"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert f"{len(left)} contacts are left" in result.output
    assert "luxbag888" not in result.output


# Packages that somebody else wrote


def sealed(path: Path, names: list[str], listed: list[str] | None = None) -> Path:
    """Write a package whose hashes are right, with names that `write_package` would refuse."""
    import hashlib

    data = b"x"
    rows = [
        {"bytes": 1, "path": n, "sha256": hashlib.sha256(data).hexdigest()} for n in (names if listed is None else listed)
    ]
    manifest = (json.dumps({"files": rows}, sort_keys=True, indent=1) + "\n").encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        digest = f"{hashlib.sha256(manifest).hexdigest()}  manifest.json\n".encode()
        for name, content in [*((n, data) for n in names), ("manifest.json", manifest), ("manifest.sha256", digest)]:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content)
    return path


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "a\\x", "a//x", "./x", "C:x", "a\x1b[2J", "é", "x\u202e", "a/"]
)
def test_names_that_are_never_written_are_never_accepted(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        write_package(tmp_path / "a.zip", {name: b"x"}, {})
    assert any("no name for a file" in p for p in verify_package(sealed(tmp_path / "b.zip", [name])).problems)


def test_doubled_rows_and_empty_packages_are_refused(tmp_path: Path) -> None:
    assert verify_package(sealed(tmp_path / "a.zip", ["x"])).problems == ()
    assert "the manifest lists 'x' twice" in verify_package(sealed(tmp_path / "b.zip", ["x"], ["x", "x"])).problems
    assert "there is no file in the package" in verify_package(sealed(tmp_path / "c.zip", [])).problems
    for text in ("5", "[]", '{"files": 5}', '{"files": [5]}', '{"files": [{}]}', '{"files": {"a": 1}}', "[" * 5000):
        path = sealed(tmp_path / "d.zip", ["x"])
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("y", text)
        assert verify_package(path).problems


def test_of_entries_that_say_they_are_larger_than_the_package_none_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sealed(tmp_path / "a.zip", ["x"])
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(data)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was read"))
    assert verify_package(path).problems == ("the package was not written by imgmatch",)


def test_a_manifest_larger_than_any_of_ours_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "_MANIFEST_BYTES", 50)
    assert verify_package(sealed(tmp_path / "a.zip", ["x"])).problems == ("the manifest is too large",)


def test_checking_many_files_is_not_quadratic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    real = zipfile.ZipFile.infolist

    def named(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
        for info in real(archive):
            info.filename = Name(info.filename)
        return real(archive)

    monkeypatch.setattr(zipfile.ZipFile, "infolist", named)
    names = [f"n{i}" for i in range(500)]
    assert verify_package(sealed(tmp_path / "a.zip", names)).problems == ()
    assert compared < 30 * len(names)
