"""A finished scan of a few listings, made by hand, for tests of the desk: photos, findings, contacts, hostile texts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from imgmatch import Catalog
from imgmatch.images import load_image, perceptual_hash
from imgmatch.investigate.rings.ring import Ring, RingEdge, RingSeller, Shared
from imgmatch.records import Listing, PhotoRecord, ScanRecord
from imgmatch.types import Basis, Candidate, Decision, Finding, FindingStatus, Label, Verdict
from tests.fakes import GridEncoder, picture, write_tree

CONTACT = "phone:+8613800138000"
DECISIONS = (Decision.LEAD, Decision.REVIEW, Decision.UNJUDGED, Decision.CLEAR)


def catalog(root: Path) -> Catalog:
    layout = {
        f"brand{b}/item{i}/{v}.png": picture(100 * b + 10 * i + v) for b in range(2) for i in range(2) for v in range(2)
    }
    return Catalog.build(write_tree(root / "source", layout), root / "catalog", encoder=GridEncoder())


def photo(root: Path, name: str, photo_id: str = "photo-1") -> PhotoRecord:
    image = load_image(root / name)
    phash, _ = perceptual_hash(image)
    return PhotoRecord(photo_id, "listing", name, image.sha256, phash, image.width, image.height)


def record(root: Path, number: int, references: Catalog, **more: object) -> ScanRecord:
    """Return listing `number`: a lead, a review, an unjudged and a clear one in turn."""
    decision = DECISIONS[number % 4]
    name = f"photos/{number % 12}.png"
    shown = photo(root, name)
    reference = next(p for p in references.photos.values() if p.brand == "brand0")
    regions = [
        {"on": on, "polygon": [[10, 10], [60, 10], [60, 60], [10, 60]], "label": "mark"} for on in ("query", "reference")
    ]
    evidence = {
        "reference_photo": reference.sha256,
        "regions": regions,
        "matches": [[20, 20, 22, 22], [40, 40, 41, 42]],
        "transform": [[1, 0, 2], [0, 1, 1], [0, 0, 1]],
        "heatmap": {"polygon": [[0, 0], [95, 0], [95, 95], [0, 95]], "values": [[0.1, 0.9], [0.2, 0.3]]},
    }
    tampered = Finding(
        "logo_tamper",
        FindingStatus.OK,
        0.9,
        "BRANO stands where BRAND would; call +86 138 0013 8000",
        brand="brand0",
        photo_id="photo-1",
        evidence=evidence,
        labels=(Label.COUNTERFEIT_SUSPECTED,),
    )
    findings = (
        Finding("design", FindingStatus.OK, 0.8, "looks like item 0", brand="brand0", photo_id="photo-1"),
        *([tampered] if decision is Decision.LEAD else []),
        Finding("rank", FindingStatus.OK, 0.9, "", evidence={"facts": {"intercept": -2.0, "logo_tamper": 3.0}}),
    )
    bad = decision in (Decision.LEAD, Decision.REVIEW)
    verdict = Verdict(
        decision,
        Basis.CONTRADICTION if bad else Basis.NO_CLAIM,
        rank=(number * 37 % 101) / 101,
        labels=(Label.COUNTERFEIT_SUSPECTED,) if decision is Decision.LEAD else (Label.UNAUTHORISED_SELLER,) if bad else (),
        brand="brand0" if bad else None,
        item_id="brand0/item0" if bad else None,
        similarity=0.8,
        candidates=tuple(
            Candidate(item, item.split("/")[0], 0.8 - k / 10, references.items[item].photos[0], "photo-1", 0.8 - k / 10)
            for k, item in enumerate(sorted(references.items))
        ),
        findings=findings,
        reasons=("letters differ",) if bad else (),
        shows_brand="brand0" if decision is Decision.UNJUDGED else None,
    )
    fields: dict[str, object] = {
        "title": f"Leather tote number {number}",
        "description": f"Write to +86 138 0013 8000. Ref {number:06d}",
        "price": f"{100 + number}.00",
        "currency": "EUR",
        "seller_id": f"seller{number % 3}",
        "platform": "bazaar",
        "url": f"https://bazaar.example/item/{number}",
        "captured_at": f"2026-03-{1 + number % 28:02d}T10:00:00+00:00",
        "contacts": (CONTACT,),
        **more,
    }
    return ScanRecord(Listing(f"L{number:06d}", photos=(name,), **fields), verdict=verdict, photos=(shown,))  # type: ignore[arg-type]


def write_scan(folder: Path, records: Iterable[ScanRecord], source: Path, references: Catalog) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "records.jsonl", "w", encoding="utf-8") as f:
        f.writelines(json.dumps(r.to_dict()) + "\n" for r in records)
    space = references.space.to_dict() | {"id": references.space.id}
    run = {"source": str(source), "catalog": {"path": str(references.path), "space": space}}
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    return folder


def market(root: Path, n: int = 24) -> tuple[Catalog, Path]:
    """Make a catalog, photos and a scan below a folder; return the catalog and the scan's folder."""
    references = catalog(root)
    table = root / "listings.csv"
    write_tree(
        root, {f"photos/{i}.png": picture(i if i < 4 else 1000 + i) for i in range(12)} | {"listings.csv": b"listing_id\n"}
    )
    return references, write_scan(root / "scan", (record(root, i, references) for i in range(n)), table, references)


def write_ring(path: Path, scan: Path) -> Path:
    """Write a ring of seller0 and seller1, who share the first photo of the scan."""
    first = json.loads((scan / "records.jsonl").read_text("utf-8").splitlines()[0])["photos"][0]
    shown = Shared(
        "k", "photo", 2.5, 2, tuple((n, f"L{n:06d}", first["sha256"], first["path"]) for n in (0, 1)), "the same file"
    )
    ring = Ring(
        "ring-0123456789ab",
        tuple(RingSeller("bazaar", f"seller{n}", 8, "2026-03-01", "2026-03-24") for n in (0, 1)),
        ("bazaar",),
        (("bazaar", "seller0", "L000000"), ("bazaar", "seller1", "L000001")),
        {"brand0": 2},
        {"EUR": 201.0},
        0,
        "2026-03-01",
        "2026-03-24",
        (RingEdge(0, 1, 2.5, ("k",)),),
        (shown,),
        2.5,
        1.0,
    )
    path.write_text(json.dumps(ring.to_dict()) + "\n", encoding="utf-8")
    return path
