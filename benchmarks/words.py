"""Words in real photos: are brands named, strangers left alone, look-alikes called and genuine marks not?

Raw rows first, figures from them later::

    python -m benchmarks.words run             # the part that may be tuned on
    python -m benchmarks.words run --locked    # the part that is opened once, at the end
    python -m benchmarks.words score [--locked] [--verbose]

Sets: ``logos_in_photos`` (20 brands; a catalog that lists their wordmarks, and one of their names alone), ``distractors``
(photos of nothing, with those catalogs), ``seller_reposts`` (one photo of each group of reposts, labelled by eye in
``labels/seller_brands.csv``; a catalog of 108 brands), ``lookalike_logos`` and ``reference_logos`` (drawings; a catalog of
their owners' names, without wordmarks). The text signal is asked alone. Raw rows stay outside the project.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from benchmarks.common import environment, read_raw, shared_data, wilson, write_raw
from benchmarks.locked import OPENED, is_locked
from benchmarks.marks import CLAIM, HERE, brands
from imgmatch.catalog.items import Brand
from imgmatch.images import load_image
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.names import name_key
from imgmatch.records import Listing
from imgmatch.signals.text.settings import TextConfig
from imgmatch.signals.text.signal import TextSignal
from imgmatch.vision import ocr

DATA = shared_data()

LETTERED = {
    **{"apple": "Apple", "citroen": "CITROËN", "cocacola": "Coca-Cola", "dhl": "DHL", "fedex": "FedEx", "ford": "Ford"},
    **{"google": "Google", "heineken": "Heineken", "hp": "hp", "intel": "intel", "mcdonalds": "McDonald's", "mini": "MINI"},
    **{"nbc": "NBC", "pepsi": "PEPSI", "porsche": "PORSCHE", "sprite": "Sprite", "texaco": "TEXACO", "unicef": "unicef"},
    **{"vodafone": "vodafone", "yahoo": "YAHOO!"},
}
"""How the twenty brands of `logos_in_photos` write themselves."""

ALTERED = {
    "adidas": (20, 21, 22, 26, 30, 31),
    "puma": (34, 38, 39, 41, 42),
    "samsung": (44, 47, 49, 50, 51),
}
"""Look-alikes of the unlocked part whose letters are not the brand's, by eye; the others differ in figure or lettering. For
the locked part nobody has looked."""


def rows_of(name: str) -> list[dict[str, str]]:
    with (DATA / name / "labels.csv").open(encoding="utf-8") as f:
        return list(csv.DictReader(f))


def photos(locked: bool) -> Iterator[dict[str, Any]]:
    """Yield set, path and truth of each photo of a part."""
    half = "test" if locked else "dev"
    for r in rows_of("logos_in_photos"):
        if r["half"] == half:
            yield {"set": "logos_in_photos", "path": r["path"], "brands": [r["brand"]]}
    for r in rows_of("distractors"):
        if is_locked("distractors", r["path"]) is locked:
            yield {"set": "distractors", "path": r["path"], "brands": []}
    with (HERE / "labels" / "seller_brands.csv").open(encoding="utf-8") as f:
        groups = {r["group"]: r for r in reversed(list(csv.DictReader(f)))}
    for group, r in groups.items():
        if is_locked("seller_reposts", group) is locked:
            yield {
                "set": "seller_reposts",
                "path": r["path"],
                "brands": [b for b in r["brand"].split("|") if b],
                "by_word": "word" in r["by"],
                "others": r["others"],
            }
    for r in rows_of("lookalike_logos"):
        if is_locked("lookalike_logos", r["path"]) is locked:
            kind = "genuine" if r["authentic"] == "genuine" else "lookalike"
            yield {"set": "lookalike_logos", "path": r["path"], "brands": [r["brand"]], "kind": kind}
    for r in rows_of("reference_logos"):
        if is_locked("reference_logos", name_key(r["brand"])) is locked:
            yield {"set": "reference_logos", "path": r["path"], "brands": [r["brand"]], "kind": "genuine"}


def signals() -> dict[str, dict[str, TextSignal]]:
    """Return each set's catalogs, as text signals over them."""
    drawn = {r["brand"] for name in ("lookalike_logos", "reference_logos") for r in rows_of(name)}
    catalogs = {
        "listed": {b: Brand(b, mark, (mark,)) for b, mark in LETTERED.items()},
        "names": {b: Brand(b, mark.lower()) for b, mark in LETTERED.items()},
        "sellers": brands(),
        "drawn": {b: Brand(b, b.replace("_", " ").replace("-", " ")) for b in drawn},
    }
    asked = {name: TextSignal(SimpleNamespace(brands=known), TextConfig()) for name, known in catalogs.items()}
    real = {"listed": asked["listed"], "names": asked["names"]}
    drawings = {"drawn": asked["drawn"]}
    return {
        **{"logos_in_photos": real, "distractors": real, "seller_reposts": {"sellers": asked["sellers"]}},
        **{"lookalike_logos": drawings, "reference_logos": drawings},
    }


def run(locked: bool) -> Iterator[dict[str, Any]]:
    catalogs = signals()
    ocr.warm_up()
    for row in photos(locked):
        photo = PhotoContext(row["path"], load_image(DATA / row["set"] / row["path"]))
        start = time.process_time()
        readings = ocr.read(photo)
        row["cpu_s"] = round(time.process_time() - start, 4)
        row["read"] = [(r.text, round(r.confidence, 2)) for r in readings]
        for name, signal in catalogs[row["set"]].items():
            [findings] = signal.examine([Query(Listing("1"), [photo])])
            row[name] = [
                (f.signal, f.brand, round(f.value or 0.0, 3), f.evidence["readings"][0]["reading"])
                for f in findings
                if f.brand and f.value is not None
            ]
        yield row


def said(row: dict[str, Any], catalog: str, signal: str = "text") -> set[str]:
    return {brand for s, brand, value, _ in row[catalog] if s == signal and value >= CLAIM}


def score(rows: list[dict[str, Any]], verbose: bool) -> None:
    """Print every figure with its Wilson interval."""
    sets: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        sets.setdefault(row["set"], []).append(row)

    def share(what: str, hits: list[dict[str, Any]], of: list[dict[str, Any]], show: bool = verbose) -> None:
        print(f"  {what:52} {len(hits):4} {wilson(len(hits), len(of))}")
        for row in hits if show else ():
            print(
                "     ",
                row["path"],
                row["brands"],
                [v for k, v in row.items() if k in ("listed", "names", "sellers", "drawn")],
            )

    for catalog in ("listed", "names"):
        mine, none = sets["logos_in_photos"], sets["distractors"]
        print(f"logos_in_photos, words alone, catalog: {catalog}")
        share("the brand is named", [r for r in mine if said(r, catalog) & set(r["brands"])], mine, False)
        share(
            "only others are named", [r for r in mine if said(r, catalog) and not said(r, catalog) & set(r["brands"])], mine
        )
        share("called misspelt", [r for r in mine if said(r, catalog, "logo_tamper")], mine)
        share("distractors: any brand is named", [r for r in none if said(r, catalog)], none)
        share("distractors: called misspelt", [r for r in none if said(r, catalog, "logo_tamper")], none)
    mine = sets["seller_reposts"]
    readable = [r for r in mine if r["by_word"] and set(r["brands"]) & set(brands())]
    print("seller_reposts, words alone, 108 brands")
    share("a readable word is named", [r for r in readable if said(r, "sellers") & set(r["brands"])], readable, False)
    share(
        "a brand that the product does not show is named", [r for r in mine if said(r, "sellers") - set(r["brands"])], mine
    )
    share("called misspelt", [r for r in mine if said(r, "sellers", "logo_tamper")], mine)
    drawings = sets["lookalike_logos"] + sets["reference_logos"]
    genuine = [r for r in drawings if r["kind"] == "genuine"]
    alike = [r for r in drawings if r["kind"] == "lookalike"]
    altered = [r for r in alike if r["path"] in {f"lookalike/{b}/{n:04}.jpg" for b, many in ALTERED.items() for n in many}]
    print("drawings, catalog of names without wordmarks")
    share("look-alikes called", [r for r in alike if said(r, "drawn", "logo_tamper")], alike)
    share("... of those with other letters", [r for r in altered if said(r, "drawn", "logo_tamper")], altered, False)
    share("genuine drawings called", [r for r in genuine if said(r, "drawn", "logo_tamper")], genuine)
    seconds = sorted(r["cpu_s"] for r in rows)
    middle = seconds[len(seconds) // 2]
    print(f"processor seconds of reading a photo: mean {sum(seconds) / len(seconds):.3f}, median {middle:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "score"))
    parser.add_argument("--locked", action="store_true", help="the part that is opened once a version")
    parser.add_argument("--verbose", action="store_true", help="score: name the photos of each failure")
    arguments = parser.parse_args()
    name = "words_locked" if arguments.locked else "words"
    if arguments.what == "run":
        write_raw(name, run(arguments.locked))
        if arguments.locked:
            with OPENED.open("a", encoding="utf-8") as f:
                row = {"suite": "words", "when": time.strftime("%Y-%m-%d"), "git": environment()["git"]}
                f.write(json.dumps(row) + "\n")
    score(read_raw(name), arguments.verbose)


if __name__ == "__main__":
    sys.exit(main())
