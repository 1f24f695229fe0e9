"""A finished scan as an object: the folder or its records file; what is missing is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgmatch import Listing, Results, ScanRecord
from imgmatch.errors import ImageError, InputError
from imgmatch.records import PhotoRecord
from imgmatch.types import Basis, Decision, EmbeddingSpace, Verdict
from tests.fakes import picture

SPACE = EmbeddingSpace("e", "w", "a", "p", "fp32", 2)
RECORDS = [
    ScanRecord(Listing("a", title="A bag"), verdict=Verdict(Decision.LEAD, Basis.CONTRADICTION, brand="acme")),
    ScanRecord(Listing("b"), status="failed", error="no photo"),
    ScanRecord(Listing("a", platform="other"), verdict=Verdict(Decision.CLEAR, Basis.NO_CLAIM)),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = "".join(json.dumps(r.to_dict()) + "\n" for r in RECORDS)
    (tmp_path / "records.jsonl").write_text(lines, "utf-8")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(picture(1))
    run = {
        "source": str(tmp_path / "photos"),
        "counts": {"listings": 3},
        "catalog": {"path": str(tmp_path / "cat"), "space": SPACE.to_dict() | {"id": SPACE.id}},
    }
    (tmp_path / "run.json").write_text(json.dumps(run), "utf-8")
    return tmp_path


@pytest.mark.parametrize("name", ["", "records.jsonl"])
def test_records_run_and_photos(folder: Path, name: str) -> None:
    results = Results(folder / name)
    assert list(results) == RECORDS
    assert list(results) == RECORDS  # and again
    assert len(results) == 3
    assert [r.decision for r in results] == [Decision.LEAD, None, Decision.CLEAR]
    assert [r.listing.platform for r in results.find("a")] == [None, "other"]
    assert results.space == SPACE
    assert results.catalog_path == folder / "cat"
    assert results.photo(PhotoRecord("photo-1", "listing", "a.png")).format == "PNG"
    assert "listings=3" in repr(results)
    with pytest.raises(ImageError):
        results.photo(PhotoRecord("photo-1", "listing", "../run.json"))


def test_a_data_frame_has_the_columns_of_the_table_and_the_records(folder: Path) -> None:
    pytest.importorskip("pandas")
    frame = Results(folder).to_pandas()
    assert frame["decision"].tolist()[0] == "lead"
    assert frame["record"].tolist() == RECORDS
    assert frame["title"].tolist()[0] == "A bag"


@pytest.mark.parametrize("run", [None, "{}", "not json", "[]", '{"catalog": 3, "source": 4}'])
def test_a_run_that_is_missing_or_broken_costs_what_it_would_tell(folder: Path, run: str | None) -> None:
    path = folder / "run.json"
    path.unlink()
    if run is not None:
        path.write_text(run)
    results = Results(folder)
    assert list(results) == RECORDS
    assert results.catalog_path is None
    assert results.photo_root == folder
    assert "Results(" in repr(results)
    with pytest.raises(InputError, match="names no embedding space"):
        results.space  # noqa: B018


def test_no_records_and_broken_records_are_named(folder: Path) -> None:
    with pytest.raises(InputError, match="no records here"):
        Results(folder / "photos")
    with open(folder / "records.jsonl", "a") as f:
        f.write("{]\n")
    with pytest.raises(InputError, match=r"records\.jsonl:4"):
        list(Results(folder))
