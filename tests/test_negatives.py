"""The negative bank: what a reviewer rejected does not match again, and only that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from imgmatch.apps.cli import app
from imgmatch.catalog.items import Brand
from imgmatch.config import Config
from imgmatch.errors import InputError
from imgmatch.images import load_image
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.records import Listing, PhotoRecord, ScanRecord
from imgmatch.types import Basis, Decision, EmbeddingSpace, Finding, FindingStatus, Verdict
from imgmatch.verdicts import Fusion
from imgmatch.verdicts.negatives import NegativeBank, NegativeRow, rejected_matches

SPACE = EmbeddingSpace("tiny", "0" * 64, "tiny", "none", "fp32", 4)
BOX = [[100, 60], [220, 60], [220, 180], [100, 180]]


def picture(seed: int, stamp: np.ndarray | None = None) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pixels = cv2.resize(rng.integers(0, 256, (8, 10, 3), np.uint8), (320, 256), interpolation=cv2.INTER_CUBIC)
    if stamp is not None:
        pixels[60:180, 100:220] = stamp
    return pixels


def stamp() -> np.ndarray:
    return cv2.resize(
        np.random.default_rng(99).integers(0, 256, (6, 6, 3), np.uint8), (120, 120), interpolation=cv2.INTER_CUBIC
    )


def write(path: Path, pixels: np.ndarray, quality: int = 95) -> Path:
    cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return path


def found(signal: str = "logo_tamper", brand: str = "aurel", **evidence: Any) -> Finding:
    return Finding(signal, FindingStatus.OK, 0.9, f"{signal} of {brand}", photo_id="photo-1", brand=brand, evidence=evidence)


MARK = {"regions": [{"on": "query", "polygon": BOX, "label": "altered"}]}
DESIGN = Finding("design", FindingStatus.OK, 0.9, "looks like it", photo_id="photo-1", brand="aurel")


def record(path: Path, *findings: Finding) -> ScanRecord:
    image = load_image(path)
    photo = PhotoRecord("photo-1", "listing", path.name, image.sha256, None, image.width, image.height)
    verdict = Verdict(Decision.REVIEW, Basis.CONTRADICTION, brand="aurel", findings=findings, reasons=("so",))
    return ScanRecord(Listing("L1", photos=(path.name,), title="a bag"), verdict=verdict, photos=(photo,))


def context(path: Path) -> PhotoContext:
    return PhotoContext("photo-1", load_image(path))


@pytest.fixture
def bank(tmp_path: Path) -> NegativeBank:
    path = write(tmp_path / "a.jpg", picture(1, stamp()))
    rows = rejected_matches(
        record(path, found(**MARK), DESIGN), ["logo_tamper"], tmp_path, reviewer="ann", time="2026-01-01"
    )
    NegativeBank.append(tmp_path, rows)
    return NegativeBank.of_catalog(tmp_path)


def silenced(bank: NegativeBank, path: Path, *findings: Finding) -> list[str]:
    return [str(f.status) for f in bank.silenced(findings, [context(path)])]


def test_the_same_photo_does_not_match_again(bank: NegativeBank, tmp_path: Path) -> None:
    (finding,) = bank.silenced([found(**MARK)], [context(tmp_path / "a.jpg")])
    assert finding.status is FindingStatus.ABSTAINED
    assert finding.value is None
    assert "ann rejected this match before, in listing L1" in finding.reason


def test_nor_does_a_recompressed_copy_of_it(bank: NegativeBank, tmp_path: Path) -> None:
    copy = write(tmp_path / "b.jpg", cv2.resize(picture(1, stamp()), (240, 192)), 60)
    assert silenced(bank, copy, found()) == ["abstained"]


def test_nor_the_same_mark_in_another_photo(bank: NegativeBank, tmp_path: Path) -> None:
    other = write(tmp_path / "c.jpg", picture(2, stamp()))
    assert silenced(bank, other, found(**MARK)) == ["abstained"]
    assert silenced(bank, other, found()) == ["ok"]  # a finding that points elsewhere


def test_everything_else_matches_as_before(bank: NegativeBank, tmp_path: Path) -> None:
    a, other = tmp_path / "a.jpg", write(tmp_path / "d.jpg", picture(3))
    assert silenced(bank, a, found(brand="brix"), found("logo"), DESIGN) == ["ok", "ok", "ok"]
    assert silenced(bank, other, found(**MARK)) == ["ok"]
    assert NegativeBank().silenced([found()], []) == [found()]


def test_a_flat_photo_is_known_by_its_bytes_only(tmp_path: Path) -> None:
    flat, other = (write(tmp_path / f"{n}.png", np.full((64, 64, 3), n, np.uint8)) for n in (90, 200))
    rows = rejected_matches(record(flat, found()), ["logo_tamper"], tmp_path)
    assert rows[0].phash == rows[0].mark == ""
    assert silenced(NegativeBank(rows), flat, found()) == ["abstained"]
    assert silenced(NegativeBank(rows), other, found()) == ["ok"]


def test_the_bank_only_grows(bank: NegativeBank, tmp_path: Path) -> None:
    before = (tmp_path / "negatives.csv").read_bytes()
    NegativeBank.append(tmp_path, bank.rows)
    assert (tmp_path / "negatives.csv").read_bytes().startswith(before)
    again = NegativeBank.of_catalog(tmp_path)
    assert again.rows == bank.rows * 2
    assert len({bank.fingerprint, again.fingerprint, NegativeBank().fingerprint}) == 3


def test_a_verdict_changes_with_the_bank(bank: NegativeBank, tmp_path: Path) -> None:
    catalog: Any = SimpleNamespace(brands={"aurel": Brand("aurel", "Aurel")}, space=SPACE)
    query = Query(Listing("L2", title="bag"), [context(tmp_path / "a.jpg")])
    before = Fusion(catalog, Config()).decide(query, [DESIGN, found(**MARK)])
    after = Fusion(catalog, Config(), negatives=bank)
    verdict = after.decide(query, [DESIGN, found(**MARK)])
    assert (before.decision, verdict.decision) == (Decision.REVIEW, Decision.UNJUDGED)
    assert after.fingerprint != Fusion(catalog, Config()).fingerprint


@pytest.mark.parametrize(
    ("signals", "why"),
    [(["price"], "no finding 'price'"), (["design"], "no finding 'design'")],
    ids=["of no photo", "absent"],
)
def test_only_what_was_found_on_a_photo_can_be_rejected(tmp_path: Path, signals: list[str], why: str) -> None:
    path = write(tmp_path / "a.jpg", picture(1))
    with pytest.raises(InputError, match=why):
        rejected_matches(record(path, replace(found("price"), photo_id=None)), signals, tmp_path)


@pytest.mark.parametrize("field", ["phash", "mark"])
def test_a_bank_that_is_something_else(tmp_path: Path, field: str) -> None:
    (tmp_path / "negatives.csv").write_text("name,price\na,b\n")
    with pytest.raises(InputError, match="not a negative bank"):
        NegativeBank.append(tmp_path, [])
    with pytest.raises(InputError):
        NegativeBank.of_catalog(tmp_path)
    with pytest.raises(InputError, match="64 hex digits"):
        NegativeRow(**{**dict.fromkeys(NegativeRow.__slots__, "x"), "phash": "", "mark": "", field: "xyz"})


def test_label_reject_feeds_it(tmp_path: Path) -> None:
    (tmp_path / "catalog").mkdir()
    (tmp_path / "scan").mkdir()
    path = write(tmp_path / "a.jpg", picture(1, stamp()))
    records = tmp_path / "scan" / "records.jsonl"
    records.write_text(json.dumps(record(path, found(**MARK)).to_dict()) + "\n")
    run = {"source": str(tmp_path / "listings.csv"), "catalog": {"path": str(tmp_path / "catalog"), "space": {}}}
    (tmp_path / "scan" / "run.json").write_text(json.dumps(run))
    (tmp_path / "listings.csv").write_text("listing_id,photos\nL1,a.jpg\n")
    labels = tmp_path / "labels.csv"
    asked = ["label", "L1", "reject", "--labels", str(labels), "--records", str(records)]
    done = CliRunner().invoke(app, [*asked, "--wrong", "logo_tamper", "--reviewer", "ann"])
    assert done.exit_code == 0, done.output
    (row,) = NegativeBank.of_catalog(tmp_path / "catalog").rows
    assert (row.signal, row.brand, row.reviewer, bool(row.mark)) == ("logo_tamper", "aurel", "ann", True)
    assert "L1,reject,ann" in labels.read_text()
    refused = CliRunner().invoke(app, [*asked, "--wrong", "copy"])
    assert refused.exit_code != 0
    assert labels.read_text().count("L1") == 1  # nothing half done
