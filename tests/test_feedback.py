"""Labels, what is fitted on them, and the three commands around verdicts."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from imgmatch.apps.cli import app
from imgmatch.errors import InputError
from imgmatch.fit.examples import examples_from
from imgmatch.records import Listing, ScanRecord
from imgmatch.types import Basis, Decision, EmbeddingSpace, Finding, FindingStatus, Verdict
from imgmatch.verdicts.calibration import Calibration
from imgmatch.verdicts.labels import LabelRow, append_labels, labelled, read_labels
from imgmatch.verdicts.rules import Rules

SPACE = EmbeddingSpace("tiny", "0" * 64, "tiny", "none", "fp32", 4)


def row(listing_id: str, label: str = "confirm", sampled_by: str = "random") -> LabelRow:
    return LabelRow(listing_id, label, "ann", "2026-01-01T00:00:00+00:00", sampled_by)


def record(listing_id: str, price: float | None, tamper: float | None = None, **more: Any) -> ScanRecord:
    def made(signal: str, value: float | None) -> Finding:
        if value is None:
            return Finding.abstained(signal, "cannot tell", brand="aurel")
        return Finding(signal, FindingStatus.OK, value, f"{signal} [bold]says[/] so", brand="aurel")

    findings = (made("design", 0.9), made("price", price), made("logo_tamper", tamper))
    listing = Listing(listing_id, title=more.pop("title", "a bag"), seller_id=more.pop("seller_id", None), platform="bazaar")
    verdict = Verdict(
        Decision.REVIEW, more.pop("basis", Basis.CONTRADICTION), brand="aurel", findings=findings, reasons=("cheap",), **more
    )
    return ScanRecord(listing, verdict=verdict)


def write_run(folder: Path, records: list[ScanRecord]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "records.jsonl"
    path.write_text("".join(json.dumps(r.to_dict()) + "\n" for r in records))
    (folder / "run.json").write_text(json.dumps({"catalog": {"space": SPACE.to_dict() | {"id": SPACE.id}}}))
    return path


# The table.


def test_append_then_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    append_labels(path, [row("a"), row('b,"c"\n', "reject")])
    before = path.read_bytes()
    append_labels(path, [row("a", "reject")])
    assert path.read_bytes().startswith(before)
    labels, problems = read_labels(path)
    assert problems == []
    assert labels["", "", "a"].label == "reject"  # the last row stands
    assert labels["", "", 'b,"c"\n'].label == "reject"


def test_a_listing_is_platform_seller_and_id(tmp_path: Path) -> None:
    def offer(platform: str, seller: str, title: str) -> ScanRecord:
        made = record("7", 0.8, title=title, seller_id=seller)
        return replace(made, listing=replace(made.listing, platform=platform))

    rows = [
        offer("bazaar", "ann", "first"),
        offer("bazaar", "bob", "second"),
        offer("loft", "ann", "third"),
        record("8", 0.8),
    ]
    path, table = write_run(tmp_path / "run", rows), tmp_path / "labels.csv"
    with pytest.raises(InputError, match="3 listings have the id '7': ask by bazaar/ann/7, bazaar/bob/7, loft/ann/7"):
        run("explain", "7", "--records", path)
    assert "second" in run("explain", "bazaar/bob/7", "--records", path).output
    with pytest.raises(InputError, match="ask by"):
        run("label", "7", "confirm", "--labels", table, "--records", path)
    run("label", "bazaar/bob/7", "confirm", "--labels", table, "--records", path)
    run("label", "loft/ann/7", "reject", "--labels", table, "--records", path)
    run("label", "8", "reject", "--labels", table)
    labels, problems = read_labels(table)
    assert (list(labels), problems) == ([("bazaar", "bob", "7"), ("loft", "ann", "7"), ("", "", "8")], [])
    pairs, problems = labelled(rows, labels)
    assert [(r.listing.title, label.label) for r, label in pairs] == [
        ("second", "confirm"),
        ("third", "reject"),
        ("a bag", "reject"),
    ]
    assert problems == []
    pairs, problems = labelled(rows, {("", "", "7"): row("7")})
    assert (pairs, problems) == ([], ["7: 3 listings have that id; label them by platform/seller/id"])


def test_a_torn_line_fails_alone(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    append_labels(path, [row("a"), row("b")])
    path.write_bytes(path.read_bytes()[:-30])
    append_labels(path, [row("c")])
    labels, problems = read_labels(path)
    assert ("", "", "c") in labels
    assert len(labels) + len(problems) == 3


def test_bad_rows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("listing_id,label,reviewer,time,sampled_by\na,confirm,x,,random\nb,maybe,x,,\n,confirm,x,,\n")
    labels, problems = read_labels(path)
    assert list(labels) == [("", "", "a")]
    assert ["labels.csv:3" in problems[0], "labels.csv:4" in problems[1]] == [True, True]


def test_another_table_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("item,price\n")
    with pytest.raises(InputError, match="not a labels table"):
        append_labels(path, [row("a")])
    assert path.read_text() == "item,price\n"
    path.write_text("item,price\nx,1\n")
    with pytest.raises(InputError, match="expected the columns"):
        read_labels(path)
    with pytest.raises(InputError, match="cannot be written"):
        append_labels(tmp_path, [row("a")])


def _append_many(path: str, who: int) -> None:
    for i in range(20):
        append_labels(path, [row(f"{who}-{i}")])


def test_reviewers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append_many, args=(str(path), n)) for n in range(3)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    labels, problems = read_labels(path)
    assert (len(labels), problems) == (60, [])


# Examples.


def test_examples() -> None:
    records = [
        record("a", 0.8, 0.9, seller_id="s"),
        record("b", 0.8),
        record("c", 0.8, basis=Basis.AUTHORISED),
        record("unlabelled", 0.8),
        ScanRecord(Listing("failed"), status="failed", error="x"),
    ]
    labels = {("", "", i): row(i, "confirm" if i == "a" else "reject", "flagged") for i in ("a", "b", "c", "failed")}
    a, b, c = examples_from(labelled(records, labels)[0], Rules.load())
    assert (a.positive, a.may_lead, a.quiet, a.group, a.random, a.brand) == (True, True, False, "bazaar/s", False, "aurel")
    assert (a.values["price"], a.values["logo_tamper"], a.values["copy"]) == (0.8, 0.9, None)
    assert (b.may_lead, b.quiet, b.group, b.values["logo_tamper"]) == (False, False, "b", None)
    assert (c.quiet, c.values["price"]) == (True, 0.0)  # an authorised seller


# The commands.


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def test_explain(tmp_path: Path) -> None:
    facts = {"intercept": -2.0, "price": 1.5, "logo_tamper": 3.0}
    shown = Finding("rank", FindingStatus.OK, 0.9, "sum", evidence={"facts": facts})
    full = record("a", 0.8, 0.9, rank=0.9, probability=0.9, calibration="mine (numbers)", title="[red]bag[/red] \x1b[31m")
    assert full.verdict is not None
    verdict = Verdict(
        **{**{n: getattr(full.verdict, n) for n in Verdict.__slots__}, "findings": (*full.verdict.findings, shown)}
    )
    path = write_run(tmp_path, [record("b", None), ScanRecord(full.listing, verdict=verdict)])
    out = run("explain", "a", "--records", path).output
    for part in ("[red]bag[/red]", "presents itself as aurel", "probability 0.900", "mine", "strong logo_tamper, weak price",
                 "allow lead", "+3.00", "+1.50", "sum +2.50", "not proof", "price [bold]says[/] so"):  # fmt: skip
        assert part in out, part
    assert "\x1b" not in out  # a title cannot speak to the terminal
    assert "no rank" in run("explain", "b", "--records", path).output
    with pytest.raises(InputError, match="no listing 'z'"):
        run("explain", "z", "--records", path)


def test_explain_a_failed_row(tmp_path: Path) -> None:
    path = write_run(tmp_path, [ScanRecord(Listing("x"), status="failed", error="no photo")])
    assert "failed: no photo" in run("explain", "x", "--records", path).output


def test_label(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    path = write_run(tmp_path / "run", [record("a", 0.8)])
    run("label", "a", "confirm", "--labels", table, "--reviewer", "ann", "--sampled-by", "random", "--records", path)
    (made,) = read_labels(table)[0].values()
    assert (made.listing_id, made.label, made.reviewer, made.sampled_by) == ("a", "confirm", "ann", "random")
    with pytest.raises(InputError, match="expected confirm, reject or undo"):
        run("label", "a", "perhaps", "--labels", table)
    with pytest.raises(InputError, match="no listing 'z'"):
        run("label", "z", "confirm", "--labels", table, "--records", path)


def test_calibrate(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records, labels = [], []
    for i in range(600):
        bad = bool(rng.random() < 0.2)
        tamper = float(np.clip(rng.normal(0.8 if bad else 0.2, 0.2), 0, 1))
        records.append(record(f"l{i}", float(rng.random()), tamper, seller_id=f"s{i % 50}", probability=0.5))
        labels.append(row(f"l{i}", "confirm" if bad else "reject"))
    path, table, out = write_run(tmp_path, records), tmp_path / "labels.csv", tmp_path / "c.json"
    append_labels(table, labels)
    said = run("calibrate", "--records", path, "--labels", table, "--out", out, "--prevalence", 0.02).output
    made = Calibration.load(out)
    assert made.prevalence == 0.02
    assert made.fitted_on == "reviews"
    assert made.space["id"] == SPACE.id
    assert made.coefficients["logo_tamper"].weight > made.coefficients["price"].weight
    for part in ("before: brier 0.250", "after, at 2.0% bad: brier", "fpr_1e-2", "refused fpr_1e-3"):
        assert part in said, part
    assert run("calibrate", "--records", path).exit_code == 2
