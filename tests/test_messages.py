"""Messages: English text with its template and parameters, said in other languages, stored beside the text."""

import json
import pickle

import pytest

from imgmatch.messages import Language, Message, Money, language
from imgmatch.records import Listing, PhotoRecord, ScanRecord
from imgmatch.types import Basis, Decision, Finding, FindingStatus, Verdict


def spoken(**table):
    return Language("zh", "zh_CN", {", ": "、", **table})


CHANGED = Message("mirrored"), Message("cropped to {share:.0%}", share=0.344)
NESTED = Message("A photo of {owner}: {changes}, {price}.", owner="Gucci", changes=CHANGED, price=Money(1299.5, "USD"))
CHINESE = {
    "mirrored": "左右翻转",
    "cropped to {share:.0%}": "裁剪至 {share:.0%}",
    NESTED.id: "{owner} 的图片：{changes}，{price}。",
}


def test_golden_values():
    assert NESTED == "A photo of Gucci: mirrored, cropped to 34%, US$1,299.50."
    assert spoken(**CHINESE).say(NESTED) == "Gucci 的图片：左右翻转、裁剪至 34%，US$1,299.50。"
    assert spoken().say(NESTED) == NESTED  # nothing is translated: the text as it is
    assert spoken(mirrored="左右翻转").say("mirrored") == "mirrored"  # a listing's own word is no message
    assert language("en").say(NESTED) == NESTED


@pytest.mark.parametrize(
    ("amount", "currency", "english", "chinese"),
    [
        (1299, "EUR", "€1,299", "€1,299"),
        (12000.0, "CNY", "CN¥12,000", "¥12,000"),
        (3.456, "KWD", "KWD 3.456", "KWD 3.456"),
        (0.5, "XYZ", "XYZ 0.50", "XYZ 0.50"),
    ],
)
def test_amounts(amount, currency, english, chinese):
    assert [Money(amount, currency).said(at).replace("\xa0", " ") for at in ("en_001", "zh_CN")] == [english, chinese]


def _record() -> ScanRecord:
    finding = Finding("copy", FindingStatus.OK, 0.9, NESTED, photo_id="photo-1")
    plain = Finding("own", FindingStatus.OK, 0.1, "a signal of somebody else")
    verdict = Verdict(
        Decision.REVIEW, Basis.CONTRADICTION, findings=(finding, plain), reasons=(Message("Weak: {it}", it=NESTED), "as is")
    )
    photo = PhotoRecord("photo-1", "listing", "a.jpg", status="failed", error=Message("The file is empty."))
    return ScanRecord(Listing("1"), verdict=verdict, photos=(photo,))


def test_a_record_keeps_its_messages():
    row = json.loads(json.dumps(_record().to_dict()))
    assert row["verdict"]["findings"][0]["reason"] == NESTED  # English text for who reads the file
    assert "messages" not in row["verdict"]["findings"][1]
    assert row["verdict"]["messages"]["reasons"][1] is None
    again = ScanRecord.from_dict(row)
    assert again == _record()
    assert json.loads(json.dumps(again.to_dict())) == row
    chinese = spoken(**CHINESE, **{"Weak: {it}": "弱：{it}", "The file is empty.": "文件为空。"})
    assert [chinese.say(r) for r in again.reasons] == ["弱：Gucci 的图片：左右翻转、裁剪至 34%，US$1,299.50。", "as is"]
    assert chinese.say(again.photos[0].error) == "文件为空。"
    assert type(again.verdict.reasons[1]) is str


def test_a_message_travels_between_processes():
    again = pickle.loads(pickle.dumps(NESTED))
    assert (again, again.id, again.params) == (NESTED, NESTED.id, NESTED.params)


@pytest.mark.parametrize(
    "row",
    [
        {"id": "{x.__class__}", "params": {"x": "a"}},
        {"id": "{x:>99999999999}", "params": {"x": 1}},
        {"id": "cropped to {share:.0%}", "params": {"share": "much"}},
        {"id": "cropped to {share:.0%}"},
        {"id": "cropped to {share:.0%}", "params": {"share": 10**400}},
        {"id": "{owner}", "params": {"owner": {"amount": float("inf"), "currency": "EUR"}}},
        {"id": "cropped to {share:.0%}", "params": {"share": [{"text": "t", "id": "unknown {y}", "params": {}}]}},
    ],
)
def test_what_a_record_says_is_never_a_template(row):
    chinese = spoken(**CHINESE, **{"{owner}": "{owner}"})
    assert chinese.say(Message.from_dict("the English text", row)) == "the English text"


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"id": 3},
        {"id": "x", "params": [1]},
        {"id": "x", "params": {"a": {"amount": 10**400, "currency": "EUR"}}},
        {"id": "x", "params": {"a": {"text": "t"}}},
        {"id": "x", "params": {"a": {}}},
    ],
)
def test_a_damaged_message_makes_no_record(row):
    stored = _record().to_dict()
    stored["verdict"]["findings"][0]["messages"] = {"reason": row}
    with pytest.raises(ValueError, match="not a scan record"):
        ScanRecord.from_dict(stored)


def test_every_text_can_be_changed_and_the_template_cannot():
    loud = NESTED.map(str.upper)
    assert loud == str(NESTED).upper()
    assert loud.id == NESTED.id
    assert spoken(**CHINESE).say(loud) == "GUCCI 的图片：左右翻转、裁剪至 34%，US$1,299.50。"


def test_languages():
    assert language("zh").say(Message("{a}", a=("x", "y"))) == "x, y"  # no translation: English as a whole
    with pytest.raises(ValueError, match="expected one of the languages en, zh"):
        language("../x")
