"""How well rings are found, and how the cost grows: a synthetic market with known gangs.

The market is drawn from a seed: gangs whose sellers share their own photos (the same bytes, light edits, heavier edits) and
sometimes a contact, honest resellers who use official photos (some unknown to the catalog), honest sellers with photos of
their own, stock photos that everybody uses, supplier packs that many unrelated sellers use, thieves who take single photos
from others, and a help-desk address that a tenth of all sellers name. Everything is synthetic, and so are the figures.

    python benchmarks/rings.py                      # the table: three sizes, seeds that no setting was chosen on
    python benchmarks/rings.py --seeds dev          # the seeds that settings are chosen on
    python benchmarks/rings.py --edits ../shared/data/seller_reposts   # which copies of real photos are joined at all

Raw results go to ``benchmarks/results/rings.json``: pairs by size and seed, counted from the truth by code of its own.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from imgmatch.records import Listing, PhotoRecord, ScanRecord
from imgmatch.rings import RingSettings, find_rings
from imgmatch.types import Basis, Decision, Finding, FindingStatus, Verdict

SEEDS = {"dev": (1, 2, 3), "test": (101, 102, 103)}
PLATFORMS = ("shopnow", "vinta", "bazaar")


class Market:
    """A market drawn from a seed.

    Parameters
    ----------
    listings : int
        About how many.
    seed : int

    Attributes
    ----------
    truth : dict of (platform, seller_id) to int
        The gang of each seller who is in one.
    """

    def __init__(self, listings: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.size = listings
        self.truth: dict[tuple[str, str], int] = {}
        self._photos = 0

    def records(self) -> Iterator[ScanRecord]:
        """Yield the records, gangs first; `find_rings` must not mind the order."""
        rng = self.rng
        official = [[self.photo() for _ in range(3)] for _ in range(max(self.size // 50, 20))]
        in_catalog = rng.random(len(official)) < 0.9
        popularity = 1.0 / np.arange(1, len(official) + 1)
        popularity /= popularity.sum()
        stock = [self.photo() for _ in range(12)]
        packs = [[self.photo() for _ in range(6)] for _ in range(max(self.size // 20_000, 1))]
        lifted = [self.photo() for _ in range(max(self.size // 100, 10))]  # honest photos that others take
        made = seller = 0
        gang = 0
        while made < 0.06 * self.size:
            gang += 1
            contact = f"wechat:gang{gang}" if rng.random() < 0.5 else None
            pool = [self.photo() for _ in range(int(rng.integers(12, 40)))]
            for _ in range(int(rng.integers(3, 11))):
                seller += 1
                key = (PLATFORMS[int(rng.integers(3))], f"s{seller}")
                self.truth[key] = gang
                mine = [p for p in pool if rng.random() < 0.6] or pool[:3]
                for n in range(int(rng.integers(6, 30))):
                    shown = [self.edited(mine[int(i)]) for i in rng.integers(0, len(mine), int(rng.integers(1, 4)))]
                    if rng.random() < 0.15:
                        shown.append(self.edited(lifted[int(rng.integers(len(lifted)))]))
                    known = contact if contact and rng.random() < 0.6 else None
                    yield self.record(key, n, shown, contacts=[known] if known else [])
                    made += 1
        while made < self.size:
            seller += 1
            key = (PLATFORMS[int(rng.integers(3))], f"s{seller}")
            count = int(np.clip(rng.lognormal(2.3, 1.1), 1, 600))
            kind = rng.choice(["own", "official", "mixed"], p=[0.5, 0.25, 0.25])
            pack = packs[int(rng.integers(len(packs)))] if rng.random() < 0.05 else None
            desk = rng.random() < 0.1
            for n in range(count):
                shown, copies = [], []
                if kind == "official" or (kind == "mixed" and rng.random() < 0.4):
                    item = int(rng.choice(len(official), p=popularity))
                    views = official[item][: int(rng.integers(1, 4))]
                    shown = [self.edited(p) for p in views]
                    # The catalog knows nine items of ten, and the scan recognises nineteen of twenty copies.
                    copies = [i for i in range(len(shown)) if in_catalog[item] and rng.random() < 0.95]
                else:
                    shown = [self.photo() for _ in range(int(rng.integers(1, 5)))]
                if rng.random() < 0.05:
                    shown.append(self.edited(stock[int(rng.integers(len(stock)))]))
                if pack and rng.random() < 0.5:
                    shown.append(self.edited(pack[int(rng.integers(len(pack)))]))
                if rng.random() < 0.01:
                    shown.append(self.edited(lifted[int(rng.integers(len(lifted)))]))
                yield self.record(key, n, shown, copies, ["email:help@desk.example"] if desk else [])
                made += 1

    def photo(self) -> tuple[str, bytes]:
        """Return a photo nobody has seen: (sha256, PDQ hash); PDQ sets half of its bits."""
        self._photos += 1
        bits = np.zeros(256, np.uint8)
        bits[self.rng.permutation(256)[:128]] = 1
        return f"{self._photos:064x}", np.packbits(bits).tobytes()

    def edited(self, photo: tuple[str, bytes]) -> tuple[str, bytes]:
        """Return the same bytes (six of ten), a light edit within 10 bits, or a heavier one of 14 to 40."""
        kind = self.rng.random()
        if kind < 0.6:
            return photo
        flips = int(self.rng.integers(0, 11) if kind < 0.85 else self.rng.integers(14, 41))
        bits = np.unpackbits(np.frombuffer(photo[1], np.uint8))
        bits[self.rng.permutation(256)[:flips]] ^= 1
        self._photos += 1
        return f"{self._photos:064x}", np.packbits(bits).tobytes()

    def record(
        self,
        key: tuple[str, str],
        n: int,
        photos: list[tuple[str, bytes]],
        copies: list[int] = (),  # type: ignore[assignment]
        contacts: list[str] = (),  # type: ignore[assignment]
    ) -> ScanRecord:
        rows = tuple(
            PhotoRecord(f"photo-{i}", "listing", f"{sha}.jpg", sha, phash.hex(), 800, 800)
            for i, (sha, phash) in enumerate(photos, 1)
        )
        findings = tuple(Finding("copy", FindingStatus.OK, 0.9, "synthetic", photo_id=f"photo-{i + 1}") for i in copies)
        return ScanRecord(
            Listing(
                f"{key[1]}-{n}", seller_id=key[1], platform=key[0], price="100", currency="EUR", contacts=tuple(contacts)
            ),
            verdict=Verdict(Decision.REVIEW, Basis.NO_CONTRADICTION, findings=findings),
            photos=rows,
        )


def run(listings: int, seed: int, settings: RingSettings) -> dict[str, float | int]:
    """Draw a market, find its rings, count pairs of sellers."""
    market = Market(listings, seed)
    records = list(market.records())
    start = time.perf_counter()
    rings = find_rings(records, contact_key=b"benchmark", settings=settings)
    seconds = time.perf_counter() - start
    found = {
        frozenset(pair) for ring in rings for pair in combinations([(s.platform, s.seller_id) for s in ring.sellers], 2)
    }
    gangs: dict[int, list[tuple[str, str]]] = {}
    for key, gang in market.truth.items():
        gangs.setdefault(gang, []).append(key)
    true = {frozenset(pair) for members in gangs.values() for pair in combinations(members, 2)}
    return {
        "listings": len(records),
        "photos": sum(len(r.photos) for r in records),
        "seed": seed,
        "gangs": len(gangs),
        "rings": len(rings),
        "true_pairs": len(true),
        "found_pairs": len(found),
        "right_pairs": len(true & found),
        "seconds": round(seconds, 2),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def edits(folder: Path, photos: int = 60) -> dict[str, dict[str, float | int]]:
    """Count, per kind of edit, the real photos whose edited copy is joined to them, and the wrong joins among all."""
    from imgmatch.images import load_image, perceptual_hash
    from imgmatch.photo import PhotoContext
    from imgmatch.rings.duplicates import group_photos
    from imgmatch.world.edits import EDITS, edit

    chosen = [load_image(p, target_side=480) for p in sorted(folder.rglob("*.jpg"))]
    chosen = list({image.sha256: image for image in chosen}.values())[:photos]
    others = [image.pixels for image in chosen[::-1]]
    table: dict[str, dict[str, float | int]] = {}
    for name in EDITS:
        rng = np.random.default_rng(0)
        copies = [load_image(edit(name, image.pixels, rng, 0.3, others[:3]).image) for image in chosen]
        both = [*chosen, *copies]
        hashes = [perceptual_hash(image)[0] for image in both]
        row: dict[str, float | int] = {"photos": len(chosen)}
        for rule, look in (("hash", None), ("geometry", lambda i: PhotoContext(str(i), both[i]))):  # noqa: B023
            groups, _ = group_photos(hashes, open_photo=look)
            row[rule] = int(sum(groups[i] == groups[i + len(chosen)] for i in range(len(chosen))))
            row[f"{rule}_wrong"] = int(sum(groups[i] == groups[j] for i, j in combinations(range(len(chosen)), 2)))
        table[name] = row
        found = f"joined {row['hash']:3} by hash, {row['geometry']:3} with geometry, of {row['photos']}"
        print(f"{name:20} {found}; wrong {row['geometry_wrong']}", flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", choices=sorted(SEEDS), default="test")
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 20_000, 100_000])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "rings.json")
    parser.add_argument("--edits", type=Path, help="folder of real photos: measure which edited copies are joined")
    args = parser.parse_args()
    if args.edits:
        (args.out.parent / "rings_edits.json").write_text(json.dumps(edits(args.edits), indent=1) + "\n")
        return
    rows = []
    print("listings   photos  seed  gangs  rings  precision  recall  seconds  peak MiB")
    for size in args.sizes:
        for seed in SEEDS[args.seeds]:
            row = run(size, seed, RingSettings())
            rows.append(row)
            precision = row["right_pairs"] / max(row["found_pairs"], 1)
            recall = row["right_pairs"] / max(row["true_pairs"], 1)
            print(
                f"{row['listings']:8,} {row['photos']:8,} {row['seed']:5} {row['gangs']:6} {row['rings']:6} "
                f"{precision:10.4f} {recall:7.3f} "
                f"{row['seconds']:8} {row['peak_mib']:9}",
                flush=True,
            )
    if args.seeds == "test":
        args.out.parent.mkdir(exist_ok=True)
        machine = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
        args.out.write_text(json.dumps({"suite": "rings", "synthetic": True, **machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
