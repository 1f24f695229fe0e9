"""Case files: what goes in, that the same inputs give the same bytes, and that no byte changes unnoticed."""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from typer.testing import CliRunner

from imgmatch.apps.cli import app
from imgmatch.errors import InputError, MissingExtraError
from imgmatch.images import load_image
from imgmatch.investigate.case import pdf, seal
from imgmatch.investigate.case.case import HASHES_SHOW, Case, write_case
from imgmatch.investigate.case.seal import load_private_key, load_public_key, verify_package, write_package
from imgmatch.investigate.case.subject import find_subject
from imgmatch.investigate.rings import find_rings
from imgmatch.records import Listing, PhotoRecord, ScanRecord
from imgmatch.types import Basis, Decision, Finding, FindingStatus, Label, Verdict
from tests.test_browser import CHROMIUM, PAYLOADS, Elements, opened
from tests.test_report import draw_photo
from tests.test_rings import row

HOSTILE = "<script>alert(1)</script>../../etc/passwd\0\u202e\ud800驴牌 Сумка 가방 🙂"


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos and records of two sellers, one of them on two platforms."""
    folder = tmp_path_factory.mktemp("scan")
    records = []
    for n in range(3):
        path = draw_photo(folder / f"p{n}.png", n)
        image = load_image(path)
        photo = PhotoRecord("photo-1", "listing", path.name, image.sha256, "0" * 64, image.width, image.height)
        finding = Finding(
            "price", FindingStatus.OK, 0.7, "Far under the usual price.", labels=(Label.COUNTERFEIT_SUSPECTED,)
        )
        verdict = Verdict(Decision.REVIEW, Basis.CONTRADICTION, brand="valmore", findings=(finding,), reasons=("Cheap.",))
        listing = Listing(
            f"L{n}",
            (path.name,),
            title=f"{HOSTILE} {n}",
            description="write to luxbag888 now",
            price="1.200,50",
            currency="EUR",
            seller_id="anna",
            platform="shopnow",
            url=f"https://shopnow.example/{n}",
            contacts=("wechat:luxbag888",),
            listed_at=f"2026-01-0{n + 1}T00:00:00Z",
            captured_at="2026-02-01T00:00:00Z",
        )
        records.append(ScanRecord(listing, verdict=verdict, photos=(photo,), catalog_version="c1", config_fingerprint="f1"))
    records.append(ScanRecord(Listing("X1", seller_id="anna", platform="vinta"), status="failed", error="no photo"))
    records.append(ScanRecord(Listing("Y1", seller_id="ben", platform="vinta"), status="failed", error="no photo"))
    write_records(folder / "records.jsonl", records)
    return folder


def write_records(path: Path, records: list[ScanRecord]) -> None:
    path.write_text("".join(json.dumps(r.to_dict()) + "\n" for r in records), encoding="utf-8")


@pytest.fixture(scope="module")
def pack(scan: Path) -> Callable[..., Case]:
    def make(out: Path, name: str = "shopnow/anna", **more: Any) -> Case:
        records = [scan / "records.jsonl"]
        return write_case(find_subject(name, records), records, out, photo_roots=[scan], **more)

    return make


@pytest.fixture(scope="module")
def packed(pack: Callable[..., Case], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("case") / "case.zip"
    pack(out)
    return out


# -- what is in it ------------------------------------------------------------------------------------------------------


def test_contents(scan: Path, packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        names = archive.namelist()
        summary = json.loads(archive.read("summary.json"))
        listings = [json.loads(line) for line in archive.read("listings.jsonl").splitlines()]
        manifest = json.loads(archive.read("manifest.json"))
        assert archive.read("case.pdf").startswith(b"%PDF-")
        for n in range(3):
            data = (scan / f"p{n}.png").read_bytes()
            assert archive.read(f"photos/{hashlib.sha256(data).hexdigest()}.png") == data
    assert {n.split("/")[0] for n in names} == {
        *("case.html", "case.pdf", "summary.json", "listings.jsonl", "photos", "manifest.json", "manifest.sha256")
    }
    facts, inference = summary["facts"], summary["inference"]
    assert (facts["listings"], facts["asking_prices"], facts["photos_packed"]) == (3, {"EUR": 3601.5}, 3)
    assert (facts["first_seen"], facts["last_seen"]) == ("2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00")
    assert inference["decisions"] == {"review": 3}
    assert summary["provenance"]["config_fingerprints"] == ["f1"]
    assert [x["listing_id"] for x in listings] == ["L0", "L1", "L2"]
    assert set(listings[0]) == {"listing_id", "facts", "inference"}
    assert "verdict" not in listings[0]["facts"]
    assert manifest["hashes_show"] == HASHES_SHOW
    assert "do not show origin" in HASHES_SHOW


def test_page_is_harmless_and_says_what_it_is(packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        text = archive.read("case.html").decode("utf-8")
    assert "<script" not in text
    assert "not proof" in text
    assert "do not show origin" in text
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text


def hostile_scan(folder: Path) -> Path:
    """Listings whose every field is an attack, with photos named as such."""
    photo = draw_photo(folder / "p.png", 1)
    image = load_image(photo)
    records = []
    for n, payload in enumerate((*PAYLOADS, "x" * 10_000_000, "a\0b", "\ud800\udfff\ud83d", "\u202e" + "txt.exe")):
        photos = [PhotoRecord("photo-1", "listing", "p.png", image.sha256, "0" * 64, image.width, image.height)]
        photos += [
            PhotoRecord(f"photo-{i}", "listing", path, f"{i:064x}", "0" * 64, 9, 9)
            for i, path in enumerate(("../../etc/passwd", "/etc/passwd", "p\0.png", f"{payload[:200]}.png"), 2)
        ]
        finding = Finding("price", FindingStatus.OK, 0.7, payload[:5000], photo_id="photo-1")
        verdict = Verdict(Decision.LEAD, Basis.CONTRADICTION, brand=payload[:500], findings=(finding,), reasons=(payload,))
        fields = dict.fromkeys(("title", "description", "price", "condition", "brand_claim", "listed_at"), payload)
        listing = Listing(f"{n}{payload[:80]}", seller_id="s", platform="p", url=f"javascript:{payload[:99]}", **fields)
        records.append(ScanRecord(listing, verdict=verdict, photos=tuple(photos)))
    write_records(folder / "records.jsonl", records)
    return folder


def test_hostile_listings_make_a_harmless_reproducible_case(tmp_path: Path) -> None:
    scan = hostile_scan(tmp_path)
    records = [scan / "records.jsonl"]
    for name in ("one.zip", "two.zip"):
        write_case(find_subject("s", records), records, tmp_path / name, photo_roots=[scan])
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert verify_package(tmp_path / "one.zip").problems == ()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        names = archive.namelist()
        archive.extract("case.html", tmp_path)
    fixed = {"case.html", "case.pdf", "summary.json", "listings.jsonl", "manifest.json", "manifest.sha256"}
    assert [n for n in names if n not in fixed and not re.fullmatch(r"photos/[0-9a-f]{64}\.png", n)] == []
    html = (tmp_path / "case.html").read_text(encoding="utf-8")
    assert "HARMED" in html  # what the seller wrote is shown
    assert len(html) < 5_000_000
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; nothing was shown of a real browser")
    (tmp_path / "bare.html").write_text(
        re.sub(r"<meta http-equiv=.Content-Security-Policy.[^>]*>", "", html), encoding="utf-8"
    )
    for page in ("case.html", "bare.html"):  # escaping alone must do: a policy is the second lock
        document = opened(tmp_path / page)
        assert "<title>HARMED" not in document
        assert 'id="harmed"' not in document
        elements = Elements()
        elements.feed(document)
        assert sorted(elements.names & {"script", "iframe", "base", "link", "object", "embed"}) == []
        assert not [name for name, _ in elements.attributes if name.startswith("on") or name == "autofocus"]


SCRIPTS = (
    "驴牌官方旗舰店",
    "Сумки из Москвы",
    "متجر الحقائب الفاخرة",
    "חנות תיקים",
    "럭셔리 가방",
    "バッグの店",
    "Κατάστημα",
    "Čeština ğ ș ł",
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_seller_of_any_script_is_set_in_a_font_that_has_the_letters(name: str, tmp_path: Path) -> None:
    listing = Listing("L1", seller_id=name, platform="p", title=f"{name} 1:1")
    write_records(tmp_path / "records.jsonl", [ScanRecord(listing, status="failed", error="no photo")])
    records = [tmp_path / "records.jsonl"]
    write_case(find_subject(name, records), records, tmp_path / "case.zip", photo_roots=[tmp_path])
    with zipfile.ZipFile(tmp_path / "case.zip") as archive:
        assert archive.read("case.pdf").startswith(b"%PDF-")
        assert name in archive.read("case.html").decode("utf-8")
    assert "U+" not in pdf.marked(name)


def test_right_to_left_words_are_joined_and_ordered_as_they_are_read() -> None:
    pdf._register_fonts()
    assert pdf.marked("חנות 12") == "תונח 12"
    joined = pdf.marked("حقائب")
    assert all("\ufe70" <= letter <= "\ufeff" for letter in joined)  # presentation forms, not letters one by one
    assert joined[-1] == "\ufea3"  # the first letter, in its initial form, stands at the right
    assert pdf.marked("𓀀<b>") == "(U+13000)&lt;b&gt;"


def test_contacts_are_masked_unless_asked_for(pack: Callable[..., Case], packed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        assert not [n for n in archive.namelist() if b"luxbag888" in archive.read(n)]
    pack(tmp_path / "open.zip", show_contacts=True)
    with zipfile.ZipFile(tmp_path / "open.zip") as archive:
        assert b"luxbag888" in archive.read("listings.jsonl")


def test_floor(pack: Callable[..., Case], tmp_path: Path) -> None:
    reached = pack(tmp_path / "a.zip", floor=3000.0, currency="EUR").summary["facts"]["floor"]
    assert reached == {"amount": 3000.0, "currency": "EUR", "reached": True}
    assert not pack(tmp_path / "a.zip", floor=4000.0, currency="EUR").summary["facts"]["floor"]["reached"]


def test_a_photo_that_changed_since_the_scan_is_named_not_packed(scan: Path, tmp_path: Path) -> None:
    for path in scan.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    draw_photo(tmp_path / "p1.png", 99)
    records = [tmp_path / "records.jsonl"]
    told: list[tuple[int, int, str]] = []
    case = write_case(
        find_subject("shopnow/anna", records),
        records,
        tmp_path / "c.zip",
        photo_roots=[tmp_path],
        progress=lambda *step: told.append(step),
    )
    assert [done for done, _, _ in told] == list(range(told[0][1]))  # each step once, none too many
    assert told[0][2].startswith("packing photos, listing 1 of")
    assert [what for _, _, what in told[-2:]] == ["writing the PDF", "sealing the package"]
    assert len(case.missing) == 1
    assert "L1 photo-1" in case.missing[0]
    assert case.summary["facts"]["photos_packed"] == 2
    assert verify_package(tmp_path / "c.zip").problems == ()


def test_a_ring_case_holds_the_ring(tmp_path: Path) -> None:
    rows = [row(s, f"{s}{n}", [n]) for s in "ab" for n in range(1, 5)]
    write_records(tmp_path / "records.jsonl", rows)
    (ring,) = find_rings(rows)
    records = [tmp_path / "records.jsonl"]
    case = write_case(find_subject(ring.ring_id, records, [ring]), records, tmp_path / "c.zip", photo_roots=[tmp_path])
    assert case.summary["facts"]["listings"] == 8
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        assert json.loads(archive.read("ring.json"))["ring_id"] == ring.ring_id


def test_the_last_capture_counts(scan: Path, tmp_path: Path) -> None:
    record = ScanRecord.from_dict(json.loads((scan / "records.jsonl").read_text().splitlines()[0]))
    row_ = record.to_dict()
    row_["listing"] |= {"price": "5", "captured_at": "2026-03-01T00:00:00Z"}
    write_records(tmp_path / "later.jsonl", [ScanRecord.from_dict(row_)])
    for order in ([scan / "records.jsonl", tmp_path / "later.jsonl"], [tmp_path / "later.jsonl", scan / "records.jsonl"]):
        case = write_case(find_subject("shopnow/anna", order), order, tmp_path / "c.zip", photo_roots=[scan])
        assert case.summary["facts"]["asking_prices"] == {"EUR": 2406.0}


# -- the same inputs give the same bytes --------------------------------------------------------------------------------


def test_reproducible(pack: Callable[..., Case], packed: Path, tmp_path: Path) -> None:
    pack(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


# -- no byte changes unnoticed ------------------------------------------------------------------------------------------


def test_an_untouched_case_verifies(packed: Path) -> None:
    seal = verify_package(packed)
    assert (seal.problems, seal.files, seal.signer) == ((), 7, None)
    with zipfile.ZipFile(packed) as archive:
        assert archive.read("manifest.sha256").decode().split()[0] == seal.manifest_sha256


def test_what_a_package_says_of_a_file_by_hand(tmp_path: Path) -> None:
    write_package(tmp_path / "small.zip", {"a.txt": b"hello"}, {"format": "test"})
    with zipfile.ZipFile(tmp_path / "small.zip") as archive:
        digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # `printf hello | sha256sum`
        assert json.loads(archive.read("manifest.json"))["files"] == [{"path": "a.txt", "sha256": digest, "bytes": 5}]
        about = {(info.date_time, info.create_system, info.external_attr) for info in archive.infolist()}
        assert about == {((1980, 1, 1, 0, 0, 0), 3, 0o644 << 16)}  # the same on any system, at any time


def test_the_manifest_is_the_same_whatever_the_order_of_what_it_says(tmp_path: Path) -> None:
    for name, about in (("1.zip", {"b": 1, "a": "é"}), ("2.zip", {"a": "é", "b": 1})):
        write_package(tmp_path / name, {}, about)
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        assert archive.read("manifest.json") == b'{\n "a": "\\u00e9",\n "b": 1,\n "files": []\n}\n'


def test_an_entry_that_cannot_be_read_was_changed(tmp_path: Path) -> None:
    write_package(tmp_path / "s.zip", {"a.txt": b"hello"}, {})
    data = (tmp_path / "s.zip").read_bytes()
    (tmp_path / "t.zip").write_bytes(data.replace(b"hello", b"hallo", 1))  # its checksum no longer fits
    assert "a.txt was changed" in verify_package(tmp_path / "t.zip").problems


def test_a_file_listed_twice_and_an_encrypted_one_are_noticed(packed: Path, tmp_path: Path) -> None:
    def doubled(files: dict[str, bytes]) -> None:
        manifest = json.loads(files["manifest.json"])
        manifest["files"].append(manifest["files"][0])
        files["manifest.json"] = json.dumps(manifest).encode()

    assert any("twice" in p for p in verify_package(repack(packed, tmp_path / "t.zip", doubled)).problems)
    data = bytearray(packed.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flags in the first entry of the central directory
    (tmp_path / "e.zip").write_bytes(data)
    assert any("compressed or encrypted" in p for p in verify_package(tmp_path / "e.zip").problems)


def test_every_flipped_byte_of_a_small_package_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "_PIECE", 100)  # it is read in several pieces, as a large one is
    path = tmp_path / "small.zip"
    write_package(path, {"a.txt": b"hello", "b/c.bin": bytes(range(40))}, {"format": "test"}, Ed25519PrivateKey.generate())
    assert verify_package(path).problems == ()
    original = path.read_bytes()
    for at in range(len(original)):
        changed = bytearray(original)
        changed[at] ^= 1 << (at % 8)
        path.write_bytes(changed)
        assert verify_package(path).problems, f"byte {at} of {len(original)}"


def test_random_flips_of_a_whole_case_are_noticed(packed: Path, tmp_path: Path) -> None:
    original, path = packed.read_bytes(), tmp_path / "case.zip"
    rng = random.Random(0)
    for _ in range(100):
        changed = bytearray(original)
        changed[rng.randrange(len(changed))] ^= rng.randrange(1, 256)
        path.write_bytes(changed)
        assert verify_package(path).problems


def repack(
    source: Path, out: Path, change: Callable[[dict[str, bytes]], None], compression: int = zipfile.ZIP_STORED
) -> Path:
    with zipfile.ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out


@pytest.mark.parametrize(
    ("problem", "change"),
    [
        ("summary.json was changed", lambda f: f.update({"summary.json": b"{}"})),
        ("summary.json is missing", lambda f: f.pop("summary.json") and None),
        ("'extra.txt' was added", lambda f: f.update({"extra.txt": b"x"})),
        ("manifest.json is missing", lambda f: f.pop("manifest.json") and None),
        (
            "manifest.json was changed",
            lambda f: f.update({"manifest.json": f["manifest.json"].replace(b"review", b"clears")}),
        ),
        ("belong to no file", lambda f: None),  # the same files, but not packed as we pack
    ],
)
def test_tampering_is_named(packed: Path, tmp_path: Path, problem: str, change: Callable[..., None]) -> None:
    assert any(problem in p for p in verify_package(repack(packed, tmp_path / "t.zip", change)).problems)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("bytes after the end", lambda b: b + b"x"),
        ("bytes before the start", lambda b: b"x" + b),
        ("cut short", lambda b: b[:-1]),
        ("half", lambda b: b[: len(b) // 2]),
        ("empty", lambda b: b""),
        ("not a zip", lambda b: b"hello" * 100),
    ],
)
def test_bytes_around_are_noticed(packed: Path, tmp_path: Path, what: str, change: Callable[[bytes], bytes]) -> None:
    (tmp_path / "t.zip").write_bytes(change(packed.read_bytes()))
    assert verify_package(tmp_path / "t.zip").problems, what


def test_double_names_and_compression_are_noticed(packed: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.zip"
    path.write_bytes(packed.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("summary.json", b"{}")
    twice = ("'summary.json' is there more than once", "the package was not written by imgmatch")
    assert verify_package(path).problems == twice
    bomb = repack(packed, tmp_path / "b.zip", lambda f: f.update({"x": b"0" * 10**7}), zipfile.ZIP_DEFLATED)
    assert any("compressed" in p for p in verify_package(bomb).problems)


@pytest.mark.parametrize("name", ["../x", "/x", "a/../b", "a//b", "", ".", "manifest.json", "a\\b", "c:x", "a\tb", "é"])
def test_bad_names_are_refused_and_noticed(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        write_package(tmp_path / "x.zip", {name: b""}, {})
    if name != "manifest.json":
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo(name), b"")
        problems = (f"{name!r} is no name for a file in a package", "the package was not written by imgmatch")
        assert verify_package(tmp_path / "x.zip").problems == problems


def in_the_directory(path: Path, at: int, number: int) -> None:
    """Write 32 bits into the first entry of a zip's central directory."""
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\x01\x02") + at
    data[start : start + 4] = number.to_bytes(4, "little")
    path.write_bytes(data)


def test_a_package_that_claims_more_than_it_has_is_not_read(tmp_path: Path) -> None:
    write_package(tmp_path / "s.zip", {"a": b"1"}, {})
    in_the_directory(tmp_path / "s.zip", 24, 1 << 30)  # the size of the first file
    assert verify_package(tmp_path / "s.zip").problems == ("the package was not written by imgmatch",)


def test_a_manifest_is_read_up_to_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write_package(tmp_path / "s.zip", {"a": b"1"}, {})
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        size = archive.getinfo("manifest.json").file_size
    monkeypatch.setattr(seal, "_MANIFEST_BYTES", size)
    assert verify_package(tmp_path / "s.zip") == whole
    monkeypatch.setattr(seal, "_MANIFEST_BYTES", size - 1)
    assert verify_package(tmp_path / "s.zip").problems == ("the manifest is too large",)


def test_what_is_no_package_at_all(tmp_path: Path) -> None:
    write_package(tmp_path / "empty.zip", {}, {})
    assert verify_package(tmp_path / "empty.zip").problems == ("there is no file in the package",)
    with pytest.raises(InputError, match="no such file"):
        verify_package(tmp_path)


def manifest_says(**changed: object) -> Callable[[dict[str, bytes]], None]:
    """Change what the manifest says of its first file, and put its hash right."""

    def change(files: dict[str, bytes]) -> None:
        manifest = json.loads(files["manifest.json"])
        manifest["files"][0] |= changed
        files["manifest.json"] = json.dumps(manifest).encode()
        files["manifest.sha256"] = f"{hashlib.sha256(files['manifest.json']).hexdigest()}  manifest.json\n".encode()

    return change


@pytest.mark.parametrize(
    ("problem", "change"),
    [
        # sha256 of "1" is 6b86…, of "2" d473…, of "0" 5fec…
        ("a was changed", lambda f: f.update(a=b"2")),
        ("a was changed", lambda f: f.update(a=b"0")),
        ("a was changed", manifest_says(bytes=0)),
        ("a was changed", manifest_says(bytes=2)),
        ("manifest.json was changed, or manifest.sha256 was", lambda f: f.update({"manifest.sha256": b"0"})),
        ("manifest.json was changed, or manifest.sha256 was", lambda f: f.update({"manifest.sha256": b"f"})),
        ("manifest.sha256 is missing", lambda f: f.pop("manifest.sha256") and None),
        ("the package cannot be read", lambda f: f.update({"manifest.sig": b""})),
        (
            "the package cannot be read: signer.pem: expected an Ed25519 public key",
            lambda f: f.update({"signer.pem": b""}),
        ),
    ],
)
def test_whatever_way_it_differs_it_is_named(tmp_path: Path, problem: str, change: Callable[..., None]) -> None:
    write_package(tmp_path / "s.zip", {"a": b"1", "b/c": b"1"}, {})
    problems = verify_package(repack(tmp_path / "s.zip", tmp_path / "t.zip", change)).problems
    assert problems[0].startswith(problem)
    assert {*problems[1:]} <= {"there are bytes in the package that belong to no file"}  # it is not packed as we pack


# -- signatures ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    key = Ed25519PrivateKey.generate()
    private, public = tmp_path / "key.pem", tmp_path / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def test_signed(keys: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    seal = write_package(path, {"a": b"1"}, {}, load_private_key(keys[0]))
    assert verify_package(path, load_public_key(keys[1])) == verify_package(path) == seal
    assert (seal.files, seal.signer) == (1, hashlib.sha256(keys[1].read_bytes()).hexdigest())
    for _ in range(8):  # whichever of two keys is the greater number
        other = Ed25519PrivateKey.generate()
        assert verify_package(path, other.public_key()).problems == ("the package is signed with another key",)
    write_package(path, {"a": b"1"}, {})
    assert verify_package(path, load_public_key(keys[1])).problems == ("the package is not signed",)


def test_a_manifest_rewritten_with_its_hash_still_fails_the_signature(keys: tuple[Path, Path], tmp_path: Path) -> None:
    write_package(tmp_path / "s.zip", {"a": b"1"}, {}, load_private_key(keys[0]))

    def forge(files: dict[str, bytes]) -> None:
        files["a"] = b"2"
        digests = [hashlib.sha256(x).hexdigest().encode() for x in (b"1", b"2")]
        files["manifest.json"] = files["manifest.json"].replace(*digests)
        files["manifest.sha256"] = f"{hashlib.sha256(files['manifest.json']).hexdigest()}  manifest.json\n".encode()

    problems = verify_package(repack(tmp_path / "s.zip", tmp_path / "t.zip", forge)).problems
    assert "the signature does not fit the manifest" in problems


@pytest.mark.parametrize(
    ("name", "other_form"),
    [
        ("manifest.sig", lambda data: data.upper()),
        ("manifest.sig", lambda data: data.strip()),
        ("signer.pem", lambda data: b"\n" + data),  # sorts before ours
        ("signer.pem", lambda data: data + b"\n"),  # and after
    ],
)
def test_a_signature_in_another_form_than_ours_signs_nothing(
    keys: tuple[Path, Path], tmp_path: Path, name: str, other_form: Callable[[bytes], bytes]
) -> None:
    write_package(tmp_path / "s.zip", {"a": b"1"}, {}, load_private_key(keys[0]))
    changed = repack(tmp_path / "s.zip", tmp_path / "t.zip", lambda files: files.update({name: other_form(files[name])}))
    seal = verify_package(changed)
    assert seal.signer is None
    assert "the signature or its key is written in another form than ours" in seal.problems


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_bad_keys(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k.pem").write_bytes(content)
    with pytest.raises(InputError, match=r"k\.pem"):
        load_private_key(tmp_path / "k.pem")
    with pytest.raises(InputError, match=r"k\.pem"):
        load_public_key(tmp_path / "k.pem")


def test_keys_of_another_kind_and_keys_that_are_not_there(tmp_path: Path) -> None:
    key = X25519PrivateKey.generate()
    (tmp_path / "k.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "p.pem").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(InputError, match=r"k\.pem: expected an Ed25519 key"):
        load_private_key(tmp_path / "k.pem")
    with pytest.raises(InputError, match=r"p\.pem: expected an Ed25519 key"):
        load_public_key(tmp_path / "p.pem")
    for load in (load_private_key, load_public_key):
        with pytest.raises(InputError, match="No such file"):
            load(tmp_path / "none.pem")


# -- names and the command ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"), [("anna", "several platforms"), ("nobody", "no seller or ring"), ("ring-000", "give --rings")]
)
def test_unclear_subjects(scan: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_subject(name, [scan / "records.jsonl"])


def test_command(scan: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "case.zip"

    def call(*arguments: object) -> Any:
        return CliRunner().invoke(app, ["case", *map(str, arguments)])

    made = call("shopnow/anna", "--records", scan / "records.jsonl", "--photos", scan, "--out", out, "--sign", keys[0])
    assert made.exit_code == 0, made.output
    assert "3 listings, 3 photos" in made.output
    good = call("verify", out, "--public-key", keys[1])
    assert good.exit_code == 0
    assert "unchanged since packaging, signed by" in good.output.replace("\n", " ")
    out.write_bytes(out.read_bytes() + b"x")
    assert call("verify", out).exit_code == 1
    assert call("shopnow/anna").exit_code == 2
    assert call("shopnow/anna", "--records", scan / "records.jsonl", "--floor", "5").exit_code == 2


# -- languages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("font", [True, False])
def test_a_case_in_chinese(
    pack: Callable[..., Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, font: bool
) -> None:
    """With the font the letters are embedded; without it the case is written all the same, and says which package helps."""
    if font and not any(Path(f).is_file() for f in pdf._CJK_FILES):
        pytest.skip("fonts-wqy-microhei is not installed")
    monkeypatch.setattr(pdf, "_embeds_cjk", lambda: font)
    said: list[str] = []
    real = pdf.marked
    monkeypatch.setattr(pdf, "marked", lambda text: said.append(text) or real(text))
    pack(tmp_path / "zh.zip", lang="zh")
    with zipfile.ZipFile(tmp_path / "zh.zip") as archive:
        page, paper = archive.read("case.html").decode(), archive.read("case.pdf")
        summary = json.loads(archive.read("summary.json"))
    assert "卖家 shopnow/anna" in page
    assert {"下一步", "采集到的事实", "仅为供人工复核的线索，并非证据。"} <= set(said)
    assert summary["inference"]["note"] == "A lead for human review, not proof."  # programs read one language
    assert (b"WenQuanYi" in paper) is font
    assert ("fonts-wqy-microhei" in caplog.text) is not font


@pytest.mark.parametrize(("load", "task"), [(load_private_key, "signing"), (load_public_key, "checking a signature")])
def test_without_the_extra_keys_are_refused_with_how_to_install_it(
    load: Callable[[Path], object], task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.pem").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.serialization", None)
    with pytest.raises(MissingExtraError, match=rf"^{task} needs .* pip install 'imgmatch\[case\]'"):
        load(tmp_path / "key.pem")


def test_a_manifest_may_have_64_mib() -> None:
    assert seal._MANIFEST_BYTES == 67_108_864
