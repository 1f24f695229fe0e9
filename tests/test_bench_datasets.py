"""Each data set's reader on a tiny copy of the published layout, written here; cards say what a reader must know."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest

from benchmarks.datasets import shared
from benchmarks.frame.data import Box, catalog_of, load, names
from benchmarks.locked import is_locked

VOC = (
    "<annotation><object><name>{0}</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object>"
    "</annotation>"
)
BOX = (1.0, 2.0, 9.0, 8.0)


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (12, 10), (len(path.name) % 255, 90, 30)).save(path)


def text(path: Path, lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(lines, "utf-8")


def sop(root: Path) -> None:
    for part in ("train", "test"):
        text(
            root / f"Ebay_{part}.txt",
            "image_id class_id super_class_id path\n"
            + "".join(f"{n} 7{part} 1 bicycle_final/1_{part}{n}.JPG\n" for n in range(2)),
        )
        for n in range(2):
            photo(root / "bicycle_final" / f"1_{part}{n}.JPG")


def inshop(root: Path) -> None:
    rows = [("train", "id_1/02_1_front"), ("query", "id_2/02_1_front"), ("gallery", "id_2/02_2_side")]
    lines = [f"img/WOMEN/Dresses/{p}.jpg {p.split('/')[0]} {status}" for status, p in rows]
    text(root / "Eval" / "list_eval_partition.txt", "\n".join(["3", "image_name item_id evaluation_status", *lines]) + "\n")
    for _, p in rows:
        photo(root / "img" / "WOMEN" / "Dresses" / f"{p}.jpg")


def products10k(root: Path) -> None:
    text(root / "train.csv", "name,class,group\n1.jpg,5,1\n")
    text(root / "test_kaggletest.csv", "name,class,group,Usage\n2.jpg,5,1,Public\n")
    photo(root / "train" / "1.jpg")
    photo(root / "test" / "2.jpg")


def rp2k(root: Path) -> None:
    photo(root / "all" / "train" / "cola_330ml" / "a.jpg")
    photo(root / "all" / "test" / "cola_330ml" / "b.jpg")


def abo(root: Path) -> None:
    row = {
        "item_id": "B01",
        "brand": [{"language_tag": "en_US", "value": "Rivet"}],
        "main_image_id": "m",
        "other_image_id": ["o"],
    }
    (root / "listings" / "metadata").mkdir(parents=True)
    rows = [row, {"item_id": "B02"}, row | {"domain_name": "amazon.de"}]  # the same article in another country
    rows += [{"item_id": f"B0{n}", "main_image_id": "s"} for n in (3, 4)]  # variants that share a photo
    with gzip.open(root / "listings" / "metadata" / "listings_0.json.gz", "wt", encoding="utf-8") as f:
        f.writelines(json.dumps(row) + "\n" for row in rows)
    (root / "images" / "metadata").mkdir(parents=True)
    with gzip.open(root / "images" / "metadata" / "images.csv.gz", "wt", encoding="utf-8") as f:
        f.write("image_id,height,width,path\nm,10,12,aa/m.jpg\no,10,12,bb/o.jpg\ns,10,12,bb/s.jpg\n")
    photo(root / "images" / "small" / "aa" / "m.jpg")
    photo(root / "images" / "small" / "bb" / "o.jpg")


def grocery(root: Path) -> None:
    home = root / "dataset"
    head = "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),Iconic Image Path (str),Text (str)"
    text(home / "classes.csv", f"{head}\nGolden-Delicious,0,Apple,0,/iconic/Golden_Iconic.jpg,/iconic/Golden.txt\n")
    photo(home / "iconic" / "Golden_Iconic.jpg")
    for part in ("train", "val", "test"):
        text(home / f"{part}.txt", f"{part}/Fruit/Golden_001.jpg, 0, 0\n")
        photo(home / part / "Fruit" / "Golden_001.jpg")


def ilias(root: Path) -> None:
    one = root / "ilias_core" / "bold_bimp_000"
    photo(one / "query" / "Q000_00.jpg")
    text(one / "query" / "Q000_00_bbox.txt", "1 2 8 6\n")
    photo(one / "pos" / "P000_00.jpg")
    text(one / "pos" / "P000_00_bbox.txt", "1 2 8 6\n")
    photo(root / "yfcc100m" / "0001.jpg")


def flickrlogos27(root: Path) -> None:
    name = "flickr_logos_27_dataset"
    text(root / f"{name}_training_set_annotation.txt", "1.jpg Adidas 1 1 2 9 8 \n1.jpg Adidas 1 3 3 3 7 \n")
    text(root / f"{name}_query_set_annotation.txt", "2.jpg\tAdidas\n3.jpg\tnone\n")
    for n in (1, 2, 3):
        photo(root / f"{name}_images" / f"{n}.jpg")


def flickrlogos32(root: Path) -> None:
    for part, n in (("trainset", 1), ("valset-logosonly", 2), ("testset-logosonly", 3)):
        text(root / f"{part}.relpaths.txt", f"classes/jpg/adidas/{n}.jpg\n")
        text(root / "classes" / "masks" / "adidas" / f"{n}.jpg.bboxes.txt", "x y width height\n1 2 8 6\n")
        photo(root / "classes" / "jpg" / "adidas" / f"{n}.jpg")
    for part, n in (("valset", 2), ("testset", 3)):
        text(root / f"{part}.relpaths.txt", f"classes/jpg/adidas/{n}.jpg\nclasses/jpg/no-logo/{n}0.jpg\n")
        photo(root / "classes" / "jpg" / "no-logo" / f"{n}0.jpg")


def logodet3k(root: Path) -> None:
    for n in range(1, 7):
        photo(root / "Clothes" / "Nike" / f"{n}.jpg")
        text(root / "Clothes" / "Nike" / f"{n}.xml", VOC.format("Nike"))


def openlogo(root: Path) -> None:
    for part in ("train", "test"):
        text(root / "ImageSets" / "Main" / "train_test" / f"{part}_all.txt", f"nike{part}\n")
        text(root / "Annotations" / f"nike{part}.xml", VOC.format("nike"))
        photo(root / "JPEGImages" / f"nike{part}.jpg")


def disc21(root: Path) -> None:
    text(root / "dev_queries_groundtruth.csv", "Q00000,R000001\nQ00001,\n")
    for place in ("references/R000001", "references/R000002", "dev_queries/Q00000", "dev_queries/Q00001", "train/T000000"):
        photo(root / f"{place}.jpg")


def copydays(root: Path) -> None:
    for place in ("original/200000", "strong/200001", "crops/10/200000", "jpegqual/75/200000", "yfcc100m/7"):
        photo(root / f"{place}.jpg")


def folder(root: Path) -> None:
    for place in ("acme/tote/1.jpg", "acme/tote/2.png", "distractors/cup.jpg"):
        photo(root / place)


def manifest(root: Path) -> None:
    text(
        root / "manifest.csv",
        "path,item,brand,role,split,boxes\na.jpg,tote,acme,catalog,,\n"
        "b.jpg,tote,acme,query,test,1 2 9 8;0 0 1 1\nc.jpg,,,,,\n",
    )
    for n in "abc":
        photo(root / f"{n}.jpg")


# roles that the reader must find, and the boxes of one query or reference
LAYOUTS: dict[str, tuple[Callable[[Path], None], dict[str, int], int]] = {
    "sop": (sop, {"both": 4}, 0),
    "inshop": (inshop, {"both": 1, "query": 1, "catalog": 1}, 0),
    "products10k": (products10k, {"catalog": 1, "query": 1}, 0),
    "rp2k": (rp2k, {"catalog": 1, "query": 1}, 0),
    "abo": (abo, {"catalog": 1, "query": 1}, 0),
    "grocery": (grocery, {"catalog": 1, "query": 3}, 0),
    "ilias": (ilias, {"query": 1, "catalog": 1, "distractor": 1}, 2),
    "flickrlogos27": (flickrlogos27, {"catalog": 1, "query": 1, "distractor": 1}, 1),
    "flickrlogos32": (flickrlogos32, {"catalog": 1, "query": 2, "distractor": 2}, 3),
    "logodet3k": (logodet3k, {"catalog": 4, "query": 2}, 6),
    "openlogo": (openlogo, {"catalog": 1, "query": 1}, 2),
    "disc21": (disc21, {"catalog": 2, "query": 1, "distractor": 1, "background": 1}, 0),
    "copydays": (copydays, {"catalog": 2, "query": 3}, 0),
    "folder": (folder, {"both": 2, "distractor": 1}, 0),
    "manifest": (manifest, {"catalog": 1, "query": 1, "distractor": 1}, 2),
}


def test_every_adapter_has_a_layout_here() -> None:
    assert set(names()) == {*LAYOUTS, *shared.SETS, "rendered"}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_published_layout_is_read(name: str, tmp_path: Path) -> None:
    write, roles, boxes = LAYOUTS[name]
    write(tmp_path)
    data = load(f"{name}={tmp_path}")
    assert Counter(p.role for p in data.photos) == roles
    assert all(p.path.is_file() for p in data.photos)
    assert {p.split for p in data.photos} <= {"dev", "test"}
    found = [b for p in data.photos for b in p.boxes]
    assert len(found) == boxes
    assert all((b.x0, b.y0, b.x1, b.y1) in (BOX, (0.0, 0.0, 1.0, 1.0)) and b.brand for b in found)
    catalog, queries = catalog_of(data.photos)
    if name != "manifest":
        assert {q.item for q in queries} <= {p.item for p in catalog}
        assert queries
    assert data.hash() == load(f"{name}={tmp_path}").hash()


def test_disc_is_read_as_its_challenge_and_its_mirror_lay_it_out(tmp_path: Path) -> None:
    for name, head in (("public_ground_truth.csv", "query_id,reference_id\n"), ("dev_ground_truth.csv", "")):
        root = tmp_path / name
        text(root / name, f"{head}Q00000,R000001\nQ00001,\n")
        for place in ("references/images/R000001", "queries/images/queries/Q00000"):
            photo(root / f"{place}.jpg")
        with pytest.raises(FileNotFoundError, match=r"Q00001\.jpg is missing"):
            load(f"disc21={root}")
        photo(root / "queries" / "images" / "queries" / "Q00001.jpg")
        assert [p.role for p in load(f"disc21={root}").photos] == ["catalog", "query", "distractor"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_another_folder_is_refused_in_words(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{name}: .*(layout as published|missing|no folder)"):
        load(f"{name}={tmp_path}")


@pytest.mark.parametrize(
    ("spec", "error", "words"), [("nosuch=/x", ValueError, "there are abo"), ("sop", FileNotFoundError, "say where")]
)
def test_a_set_that_cannot_be_found_is_said(spec: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        load(spec)


@pytest.mark.parametrize(("name", "card"), [(n, c) for n, c in names().items()])
def test_every_card_says_licence_citation_and_protocol(name: str, card: object) -> None:
    for field in ("title", "licence", "cite", "protocol"):
        assert getattr(card, field), f"{name}: {field}"
    assert card.files or card.by_request or not card.url  # type: ignore[attr-defined]
    assert all(0 < p.value < 1 and p.source and p.who and p.metric for p in card.published)  # type: ignore[attr-defined]


def test_one_photo_of_each_article_is_held_out_and_single_ones_are_not_asked(tmp_path: Path) -> None:
    for place in ("acme/tote/1.jpg", "acme/tote/2.jpg", "acme/tote/3.jpg", "acme/single/1.jpg"):
        photo(tmp_path / place)
    photos = load(f"folder={tmp_path}").photos
    catalog, queries = catalog_of(photos)
    assert len(queries) == 1
    assert queries[0].item == "acme/tote"
    assert len(catalog) == 3
    folds = [catalog_of(photos, fold, 2) for fold in (0, 1)]
    assert sorted(q.path.name for _, queries in folds for q in queries) == ["1.jpg", "2.jpg", "3.jpg"]
    assert all(len(catalog) + len(queries) == 4 for catalog, queries in folds)


def test_a_smoke_run_takes_few_photos_of_each_part(tmp_path: Path) -> None:
    for item in range(60):
        for n in range(5):
            photo(tmp_path / "acme" / f"i{item}" / f"{n}.jpg")
    few = load(f"folder={tmp_path}", smoke=True).photos
    assert 0 < len(few) <= 2 * 12 * 3
    assert {p.split for p in few} == {"dev", "test"}


@pytest.mark.data
@pytest.mark.parametrize("name", shared.SETS)
def test_real_sets_keep_their_locked_part_apart(shared_data: Path, name: str) -> None:
    for p in load(name).photos:
        place = "distractors" if p.role == "distractor" else name
        unit = ("test" if p.split == "locked" else "dev") if name == "logos_in_photos" else p.group
        assert (p.split == "locked") is is_locked(place, unit)


@pytest.mark.data
def test_grocery_and_logos_as_published_read_like_ours(shared_data: Path, tmp_path: Path) -> None:
    """The photos beside the project are parts of two published sets: laid out as published, the readers find the same."""
    ours = load("grocery_iconic_vs_photo")
    items = sorted({p.item for p in ours.photos})[:3]
    home, lines = tmp_path / "g" / "dataset", []
    rows = ["head"]
    for p in (p for p in ours.photos if p.item in items):
        place = home / p.role / p.path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(p.path)
        if p.role == "catalog":
            rows.append(f"name-{p.item},{p.item},{p.brand},0,/catalog/{p.path.name},/x.txt")
        else:
            lines.append(f"query/{p.path.name}, {p.item}, 0")
    text(home / "classes.csv", "\n".join(rows) + "\n")
    for part, mine in (("train", lines), ("val", []), ("test", [])):
        text(home / f"{part}.txt", "\n".join(mine) + "\n")
    theirs = load(f"grocery={tmp_path / 'g'}")
    key = [(p.item, p.role, p.path.name) for p in ours.photos if p.item in items]
    assert sorted((p.item, p.role, p.path.name) for p in theirs.photos) == sorted(key)

    marks, name = load("logos_in_photos"), "flickr_logos_27_dataset"
    dev = [p for p in marks.photos if p.split == "dev"][:20]
    (tmp_path / f"{name}_images").mkdir()
    for p in dev:
        (tmp_path / f"{name}_images" / p.path.name).symlink_to(p.path)
    told = [f"{p.path.name} {p.brand} 1 {b.x0:.0f} {b.y0:.0f} {b.x1:.0f} {b.y1:.0f}" for p in dev for b in p.boxes]
    text(tmp_path / f"{name}_training_set_annotation.txt", "\n".join(told) + "\n")
    text(tmp_path / f"{name}_query_set_annotation.txt", f"{dev[0].path.name}\tnone\n")
    read = {p.path.name: p.boxes for p in load(f"flickrlogos27={tmp_path}").photos if p.role == "catalog"}
    assert read == {p.path.name: p.boxes for p in dev}
    assert all(isinstance(b, Box) for boxes in read.values() for b in boxes)
