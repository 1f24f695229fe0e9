"""Notices: what they may be about, what each says, and that they are never about more."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import imgmatch.investigate.notices
from imgmatch.apps.cli import app
from imgmatch.errors import InputError
from imgmatch.investigate.notices import FORMATS, NOTICES, NoticeItem, Sender, notice_items, render_notice
from imgmatch.records import Listing, PhotoRecord, ScanRecord
from imgmatch.types import Basis, Decision, Finding, FindingStatus, Label, Verdict
from imgmatch.verdicts.labels import LabelRow, append_labels
from imgmatch.verdicts.negatives import NegativeBank, NegativeRow

FIELDS = {
    "title": "Tote, call +86 138 0013 8000",
    "seller_id": "s1",
    "platform": "bazaar",
    "url": "https://bazaar.example/1",
}


def record(labels: tuple[Label, ...] = (Label.COUNTERFEIT_SUSPECTED,), listing_id: str = "1", **more: Any) -> ScanRecord:
    reasons = ("Strong contradiction: letters differ", "claims brand0: the title names it")
    verdict = Verdict(Decision.LEAD, Basis.CONTRADICTION, brand="brand0", labels=labels, reasons=reasons)
    return ScanRecord(Listing(listing_id, **{**FIELDS, **more}, contacts=("phone:+8613800138000",)), verdict=verdict)


def row(label: str = "confirm", reviewer: str = "ann") -> LabelRow:
    return LabelRow("1", label, reviewer, "2026-03-01T10:00:00+00:00", "flagged", "bazaar", "s1")


def items(*rows: ScanRecord) -> tuple[NoticeItem, ...]:
    made = notice_items(rows or [record()], lambda _: [row()], bank=NegativeBank(), brand_name=lambda _: "Brand Zero")
    return made.items


@pytest.mark.parametrize(
    ("labels", "rows", "why"),
    [
        ((Label.COUNTERFEIT_SUSPECTED,), [row()], ""),
        ((Label.PHOTO_THEFT,), [row(), row(reviewer="bob")], ""),
        ((Label.BAIT_AND_SWITCH, Label.LOOKALIKE), [row()], ""),
        ((Label.UNAUTHORISED_SELLER,), [row()], "no ground"),
        ((Label.LOOKALIKE,), [row()], "no ground"),
        ((Label.LOOKALIKE, Label.UNAUTHORISED_SELLER, Label.RING_MEMBER), [row()], "no ground"),
        ((), [row()], "points to nothing"),
        ((Label.COUNTERFEIT_SUSPECTED,), [], "no person"),
        ((Label.COUNTERFEIT_SUSPECTED,), [row("reject")], "ann judged the lead to be wrong"),
        ((Label.COUNTERFEIT_SUSPECTED,), [row(), row("reject", "bob")], "bob judged"),
    ],
)
def test_what_a_notice_may_be_about(labels: tuple[Label, ...], rows: list[LabelRow], why: str) -> None:
    draft = notice_items([record(labels)], lambda _: rows, bank=NegativeBank())
    assert len(draft.items) == (not why)
    assert why in "".join(reason for _, reason in draft.left_out)


def test_a_row_that_failed_is_left_out() -> None:
    failed = replace(record(), verdict=None, status="failed", error="x")
    draft = notice_items([failed], lambda _: [row()], bank=NegativeBank())
    assert draft.left_out == (("1", "it was not examined"),)


@pytest.mark.parametrize(("wrong", "left_out"), [("logo_tamper", True), ("copy", False)])
def test_what_a_reviewer_called_wrong_is_not_alleged(wrong: str, *, left_out: bool) -> None:
    photo = PhotoRecord("photo-1", "listing", "1.jpg", "a" * 64, "b" * 64, 96, 96)
    tampered = Finding("logo_tamper", FindingStatus.OK, 0.9, "letters differ", brand="brand0", photo_id="photo-1")
    found = record()
    assert found.verdict is not None
    found = replace(found, photos=(photo,), verdict=replace(found.verdict, findings=(tampered,)))
    called = NegativeRow("1", wrong, "brand0", "a" * 64, "b" * 64, "", "bob", "2026-03-02T10:00:00+00:00")
    draft = notice_items([found], lambda _: [row()], bank=NegativeBank([called]))
    assert len(draft.left_out) == left_out
    assert "called one of its findings wrong" in str(draft.left_out) or not left_out


def test_how_far_the_software_went_is_no_reason() -> None:
    found = record()
    assert found.verdict is not None
    ours = (
        "Kept at review: the rank is below the threshold balanced.",
        "A lead by the rules alone: a strong contradiction.",
    )
    found = replace(found, verdict=replace(found.verdict, reasons=(*ours, *found.verdict.reasons)))
    assert [item.reasons for item in items(found)] == [item.reasons for item in items()]


@pytest.mark.parametrize("kind", NOTICES)
@pytest.mark.parametrize("form", FORMATS)
def test_each_says_what_it_is_about_and_who_has_reviewed_it(kind: str, form: str) -> None:
    text = render_notice(kind, items(), form, sender=Sender("Ann Example", "ann@brand.example"))
    for said in ("Brand Zero", "counterfeit suspected", "letters differ", "ann", "2026-03-01"):
        assert said in text, said
    if kind == "dsa":
        for said in ("https://bazaar.example/1", "Ann Example", "ann@brand.example", "good-faith belief"):
            assert said in text, said
    assert "138 0013 8000" not in text
    assert "8613800138000" not in text
    if form == "json":
        assert len(json.loads(text)["items"]) == 1
    if form == "csv":
        assert len(list(csv.DictReader(io.StringIO(text)))) == 1


def test_a_contact_that_only_the_description_names_is_masked_in_the_title() -> None:
    pytest.importorskip("phonenumbers")
    [item] = items(record(title="Tote of luxbag888", description="wechat: luxbag888"))
    assert item.title == "Tote of l…8"


def test_each_platform_gets_a_notice_of_its_own() -> None:
    text = render_notice("dsa", items(record(), record(listing_id="2", platform="other"), record(listing_id="3")))
    one, other = text.split("the next platform")
    assert ("To: bazaar" in one, "listing 3" in one, "listing 2" in one) == (True, True, False)
    assert ("To: other" in other, "listing 2" in other) == (True, True)
    assert "Strong" not in text


def test_what_is_not_known_is_a_place_to_fill_in() -> None:
    assert "[your e-mail address]" in render_notice("dsa", items())


def test_ebay_takes_a_thousand_characters() -> None:
    long = replace(items()[0], reasons=tuple(f"reason {i} {'x' * 300}" for i in range(9)), brand="B" * 80)
    [row] = json.loads(render_notice("vero", [long], "json"))["items"]
    assert (row["itemId"], row["veroReasonCodeId"], len(row["brand"])) == ("1", "9052", 50)
    assert 700 < len(row["detailedMessage"]) <= 1000
    assert "Reviewed by ann on 2026-03-01" in row["detailedMessage"]  # what is cut is reasons


@pytest.mark.parametrize(
    ("code", "accepted"), [("9048", True), ("7052", True), ("", False), ("90x", False), ("９０", False)]
)
def test_the_reason_code_is_the_right_holders_to_choose(code: str, *, accepted: bool) -> None:
    if accepted:
        [row] = json.loads(render_notice("vero", items(), "json", reason_code=code))["items"]
        assert row["veroReasonCodeId"] == code
        assert f"reason code {code}" in render_notice("vero", items(), reason_code=code)
    else:
        with pytest.raises(InputError, match="reason code"):
            render_notice("vero", items(), reason_code=code)


@pytest.mark.parametrize(
    ("kind", "rows", "said"),
    [
        ("dsa", [], "a person has to judge"),
        ("dsa", [record(url="javascript:alert(1)")], "exact address"),
        ("dsa", [record(url=None)], "exact address"),
    ],
)
def test_errors(kind: str, rows: list[ScanRecord], said: str) -> None:
    with pytest.raises(InputError, match=said):
        render_notice(kind, items(*rows) if rows else ())


def test_a_template_is_a_file_one_can_change(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("To whom it may concern: {{ items[0].url }} {{ sender.name }}", encoding="utf-8")
    assert render_notice("letter", items(), template=mine) == "To whom it may concern: https://bazaar.example/1 "
    for broken in (
        "{{ nothing }}",
        "{% for %}",
        "{{ ''.__class__.__mro__ }}",
        "{{ items.__class__ }}",
        "{{ 1 / 0 }}",
        "{{ 1 + 'a' }}",
    ):
        mine.write_text(broken, encoding="utf-8")
        with pytest.raises(InputError, match="template"):
            render_notice("letter", items(), template=mine)


def test_a_cell_is_no_formula() -> None:
    text = render_notice("dsa", items(record(title='=HYPERLINK("http://evil.example")')), "csv")
    assert next(csv.DictReader(io.StringIO(text)))["title"].startswith("'=")


def test_no_template_says_fake_confirmed_or_admissible() -> None:
    folder = Path(imgmatch.investigate.notices.__file__).parent
    for path in (*folder.glob("*.txt"), *folder.glob("*.py")):
        assert not re.search(r"\b(fakes?|confirmed|admissible)\b", path.read_text(encoding="utf-8"), re.IGNORECASE), path


def test_the_command_drafts_beside_the_case(tmp_path: Path) -> None:
    pytest.importorskip("reportlab", reason="extra case")
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(record(listing_id=i).to_dict()) + "\n" for i in "12"))
    command = ["case", "s1", "--records", str(tmp_path / "records.jsonl"), "--out", str(tmp_path / "case.zip")]
    assert "needs --labels" in CliRunner().invoke(app, [*command, "--notice", "dsa"]).output
    append_labels(tmp_path / "labels.csv", [row()])
    more = ["--notice", "dsa", "--labels", str(tmp_path / "labels.csv"), "--sender", "Ann <ann@brand.example>"]
    result = CliRunner().invoke(app, [*command, *more])
    assert result.exit_code == 0, result.output
    assert "not in the notice: 2: no person has reviewed it" in result.output
    text = (tmp_path / "case-dsa.txt").read_text("utf-8")
    assert "E-mail: ann@brand.example" in text
    assert sorted(p.suffix for p in tmp_path.glob("case-dsa.*")) == [".csv", ".json", ".txt"]
