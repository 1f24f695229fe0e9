"""What systems leave behind is neither photo nor listing; photos are told by content; paths are found however written."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from imgmatch.io.folders import FileFinder, leftover
from imgmatch.io.sources import read_listings

LEFT = [
    "__MACOSX",
    "._front.jpg",
    ".DS_Store",
    "Thumbs.db",
    "Thumbs.db:encryptable",
    "SYNOPHOTO_THUMB_M.jpg",
    "a.jpg~",
    "a.jpg.icloud",
    "ehthumbs.db",
    "desktop.ini",
    "@eaDir",
    "#recycle",
    "@Recycle",
    ".@__thumb",
    ".Trash-1000",
    "$RECYCLE.BIN",
    "System Volume Information",
    ".thumbnails",
    "lost+found",
    ".stversions",
    "Icon\r",
    "~$list.xlsx",
    "a.jpg.part",
    "a.jpg.crdownload",
    "a (Ann's conflicted copy 2024-01-02).jpg",
    "a.sync-conflict-20240102-101010-ABCDEFG.jpg",
    "a (Case Conflict).jpg",
    "a (Konflikt von Ann 2024-01-02).jpg",
    "a (cópia em conflito de Ann).jpg",
    "a (冲突副本 2024-05-01).jpg",
    "a (Конфликтующая копия).jpg",
    "a-LAPTOP-AB12CD3.jpg",
    "LOST.DIR",
]


@pytest.mark.parametrize("name", LEFT)
def test_leftovers(name: str) -> None:
    assert leftover(name)


@pytest.mark.parametrize(
    "name",
    [
        "front.jpg",
        "Thumbs up.jpg",
        "recycle bag",
        "trash.jpg",
        "conflict (1).jpg",
        "ring (conflict-free diamond).jpg",
        "bag-desktop-2.jpg",
        "MACOSX.png",
        "iconic.jpg",
        "@star_closet",
        "bag~1.jpg",
    ],
)
def test_what_people_call_their_files(name: str) -> None:
    assert leftover(name) is None


def photo(path: Path, kind: str = "JPEG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.random.default_rng(len(path.name)).integers(0, 255, (32, 32, 3), np.uint8)).save(path, kind)


def test_a_folder_of_listings_gives_its_photos_alone(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpe", "c.jpg_640x640", "UPPER.JPEG", "d/s-l1600", "IMG_0001.HEIC"):
        photo(tmp_path / name)
    for name in ("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/._a.jpg", "d/.thumbnails/x.jpg", "d/Thumbs.db"):
        photo(tmp_path / name)
    for name in ("a.xmp", "IMG_0001.AAE", "IMG_0001.MOV", "a.jpg.json", "notes.txt", "d/front.nef"):
        (tmp_path / name).write_text("x")
    for n in (1, 2):
        photo(tmp_path / f"00{n}IMG_0000{n}_BURST2024010112000000{n}{'_COVER' if n == 1 else ''}.jpg")
    photo(tmp_path / "IMG_0009.jpg")
    photo(tmp_path / "IMG_E0009.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "unplugged/gone.jpg")
    listings = read_listings(tmp_path)
    ids = [x.listing_id for x, _ in listings]
    assert {"a.jpg", "b.jpe", "c.jpg_640x640", "UPPER.JPEG", "d", "IMG_0001.HEIC", "IMG_E0009.jpg"} <= set(ids)
    assert not {"@eaDir", "__MACOSX", "a.xmp", "notes.txt", "IMG_0009.jpg"} & set(ids)
    assert {x.listing_id: x.photos for x, _ in listings}["d"] == ("d/s-l1600",)
    notes = "\n".join(listings.notes())
    assert "skipped 4: left by a system" in notes
    assert "not a photo (IMG_0001.MOV, notes.txt)" in notes
    assert "a sidecar" in notes
    assert "raw file" in notes
    assert "a link to nothing, or no file (gone.jpg)" in notes


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
def test_a_path_is_found_in_either_unicode_form(tmp_path: Path, on_disk: str, in_table: str) -> None:
    name = unicodedata.normalize(on_disk, "été/Éloraé ñ.jpg")
    photo(tmp_path / name)
    assert FileFinder(tmp_path).find(unicodedata.normalize(in_table, "été/Éloraé ñ.jpg")) == name


def test_a_path_in_mixed_forms_is_found(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "été") + "/" + unicodedata.normalize("NFC", "é.jpg")
    photo(tmp_path / name)
    assert FileFinder(tmp_path).find(unicodedata.normalize("NFC", "été/é.jpg")) == name


@pytest.mark.parametrize(
    "written",
    [
        "img\\my bag.jpg",
        "img/my%20bag.jpg",
        "IMG/My Bag.JPG",
        "img\\My%20Bag.jpg",
        "./IMG/my bag.jpg",
        "https://cdn.example/x/my%20bag.jpg?w=640",
        "//cdn.example/my%20bag.jpg",
        "C:\\Users\\ann\\my bag.jpg",
        "/home/ann/my bag.jpg",
        "file:///home/ann/my%20bag.jpg",
    ],
)
def test_other_ways_to_write_a_path(tmp_path: Path, written: str) -> None:
    photo(tmp_path / "img" / "my bag.jpg")
    assert FileFinder(tmp_path).find(written) == "img/my bag.jpg"


def test_a_name_in_another_case_is_found_where_one_file_is_alike(tmp_path: Path) -> None:
    for name in ("a.jpg", "A.JPG", "b.jpg"):
        photo(tmp_path / name)
    if len(list(tmp_path.iterdir())) == 3:  # a disk that tells case
        assert [FileFinder(tmp_path).find(n) for n in ("A.jpg", "B.jpg", "a.jpg")] == ["A.jpg", "b.jpg", "a.jpg"]


def test_a_url_never_means_two_files_nor_a_file_two_urls(tmp_path: Path) -> None:
    photo(tmp_path / "s-l1600.jpg")
    finder = FileFinder(tmp_path)
    first, second = "https://i.example/g/AAA/s-l1600.jpg", "https://i.example/g/BBB/s-l1600.jpg"
    assert (finder.find(first), finder.find(second)) == ("s-l1600.jpg", second)
    for folder in ("AAA", "BBB"):
        photo(tmp_path / "g" / folder / "s-l1600.jpg")
    assert FileFinder(tmp_path).find(second) == "g/BBB/s-l1600.jpg"
    assert FileFinder(tmp_path).find("https://i.example/x/none.jpg") == "https://i.example/x/none.jpg"


def test_nothing_outside_the_folder_is_found(tmp_path: Path) -> None:
    photo(tmp_path / "secret.jpg")
    (tmp_path / "t").mkdir()
    for name in ("../secret.jpg", str(tmp_path / "secret.jpg"), "..\\secret.jpg", "%2e%2e/secret.jpg"):
        assert FileFinder(tmp_path / "t").find(name) == name
