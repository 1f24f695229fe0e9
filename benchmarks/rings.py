"""How well rings are found, and how the cost grows: a synthetic market with known gangs.

The market is drawn from a seed: gangs whose sellers share their own photos (the same bytes, light edits, heavier edits) and
sometimes a contact, honest resellers who use official photos (some unknown to the catalog), honest sellers with photos of
their own, stock photos that everybody uses, supplier packs that many unrelated sellers use, thieves who take single photos
from others, and a help-desk address that a tenth of all sellers name. Everything is synthetic, and so are the figures.

    python -m benchmarks.rings                # the table: three sizes, seeds that no setting was chosen on
    python -m benchmarks.rings --seeds dev    # the seeds that settings are chosen on
    python -m benchmarks.rings edits          # which edited copies of real photos (seller_reposts) are tied at all

Raw results go to ``results/raw/rings.json``: pairs by size and seed, counted from the truth by code of its own; those of
`edits` to ``rings_edits.json``. "week" is the time of a run that adds a twentieth of the listings to a state that has the
rest, "near" that of proposing pairs among as many embeddings as there are photos (random ones: the cost, not the use).
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

from benchmarks.common import RAW, shared_data
from imgmatch.investigate.rings import RingSettings, State, find_rings
from imgmatch.records import Listing, PhotoRecord, ScanRecord
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


def _near_seconds(photos: int, seed: int) -> float:
    """Return how long it takes to propose pairs among random embeddings."""
    from imgmatch.investigate.rings.looks import LookLimits, near_vectors

    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((photos, 512), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    start, limits = time.perf_counter(), LookLimits()
    for _ in near_vectors(vectors, np.arange(photos), limits.neighbors, limits.near):
        pass
    return time.perf_counter() - start


def run(listings: int, seed: int, settings: RingSettings, *, growth: bool = False) -> dict[str, float | int]:
    """Draw a market, find its rings, count pairs of sellers."""
    market = Market(listings, seed)
    records = list(market.records())
    start = time.perf_counter()
    rings = find_rings(records, contact_key=b"benchmark", settings=settings)
    seconds = time.perf_counter() - start
    week_seconds = near_seconds = 0.0
    if growth:
        state, last = State(contact_key=b"benchmark"), len(records) // 20
        find_rings(records[last:], contact_key=b"benchmark", settings=settings, state=state)
        start = time.perf_counter()
        if find_rings(records[:last], contact_key=b"benchmark", settings=settings, state=state) != rings:
            raise AssertionError("a run that goes on found something else than one run over all")
        week_seconds = time.perf_counter() - start
        near_seconds = _near_seconds(sum(len(r.photos) for r in records), seed)
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
        "week_seconds": round(week_seconds, 2),
        "near_seconds": round(near_seconds, 2),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def edits(folder: Path, photos: int = 48) -> dict[str, dict[str, float | int]]:
    """Count, per kind of edit, the real photos whose edited copy ties to them, and the wrong ties among all.

    Seller *a* shows the photos, seller *b* one edited copy of each; whatever else ties is wrong. Photos that are re-posts of
    one another in the set are taken once.
    """
    from imgmatch.augment.edits import EDITS, edit
    from imgmatch.images import load_image, perceptual_hash
    from imgmatch.investigate.rings.duplicates import group_photos
    from imgmatch.investigate.rings.looks import LookLimits, look_closer
    from imgmatch.investigate.rings.state import State
    from imgmatch.loading.photo import PhotoContext

    chosen = {}
    for path in sorted(folder.rglob("*.jpg")):
        image = load_image(path, target_side=480)
        phash = perceptual_hash(image)[0]
        if all(bin(int(phash, 16) ^ int(other, 16)).count("1") > 60 for other in chosen):
            chosen[phash] = image
        if len(chosen) == photos + 3:
            break
    *originals, first, second, third = chosen.values()
    others = [first.pixels, second.pixels, third.pixels]  # for composites: nobody else shows them
    state = State()  # keeps the details of the originals from edit to edit
    table: dict[str, dict[str, float | int]] = {}
    for name in EDITS:
        rng = np.random.default_rng(0)
        copies = [load_image(edit(name, image.pixels, rng, 0.3, others).image) for image in originals]
        both = {f"{'b' if i >= photos else 'a'}{i % photos:03d}-{x.sha256}": x for i, x in enumerate([*originals, *copies])}
        names = sorted(both)
        groups, doubtful = group_photos(names, [perceptual_hash(both[n])[0] for n in names], State(), doubtful=True)
        right = {frozenset((i, j)) for i, j in zip(range(photos), range(photos, 2 * photos), strict=True)}
        by_hash = {pair for pair in right if len({groups.of(i) for i in pair}) == 1}
        looks = look_closer(
            names,
            np.array([n[0] == "b" for n in names], np.int64),
            range(len(names)),
            doubtful,
            None,
            lambda sha: PhotoContext(sha, both[sha]),  # noqa: B023
            state,
            LookLimits(),
            lambda i, j: groups.of(i) == groups.of(j),  # noqa: B023
        )
        found = list(looks)
        copy = {frozenset((i, j)) for i, j, look in found if look.kind == "photo"} | by_hash
        place = {frozenset((i, j)) for i, j, look in found if look.kind not in ("", "photo")}
        row = {"photos": photos, "hash": len(by_hash), "looked": len(copy & right), "wrong": len(copy - right)}
        table[name] = row | {"weak": len(place & right), "weak_wrong": len(place - right)}
        print(
            f"{name:20} tied by hash {row['hash']:3}, after a look {row['looked']:3}, weakly {len(place & right):3}, of "
            f"{photos}; wrong ties {row['wrong']}, weak ones {len(place - right)}",
            flush=True,
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", choices=sorted(SEEDS), default="test")
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 20_000, 100_000])
    parser.add_argument("--out", type=Path, default=RAW / "rings.json")
    parser.add_argument("what", choices=["market", "edits"], nargs="?", default="market")
    parser.add_argument("--data", help="folder of the real photos")
    parser.add_argument("--photos", type=int, default=48, help="of edits: how many photos")
    args = parser.parse_args()
    if args.what == "edits":
        table = edits(shared_data(args.data) / "seller_reposts", args.photos)
        (args.out.parent / "rings_edits.json").write_text(json.dumps(table, indent=1) + "\n")
        return
    rows = []
    print("listings   photos  seed  gangs  rings  precision  recall  seconds     week     near  peak MiB")
    for size in args.sizes:
        for seed in SEEDS[args.seeds]:
            row = run(size, seed, RingSettings(), growth=True)
            rows.append(row)
            precision = row["right_pairs"] / max(row["found_pairs"], 1)
            recall = row["right_pairs"] / max(row["true_pairs"], 1)
            print(
                f"{row['listings']:8,} {row['photos']:8,} {row['seed']:5} {row['gangs']:6} {row['rings']:6} "
                f"{precision:10.4f} {recall:7.3f} "
                f"{row['seconds']:8} {row['week_seconds']:8} {row['near_seconds']:8} {row['peak_mib']:9}",
                flush=True,
            )
    means = [(n, float(np.mean([r["seconds"] for r in rows if r["listings"] // 1000 == n // 1000]))) for n in args.sizes]
    for (n, a), (m, b) in pairwise((size, s) for size, s in means if s == s):
        print(
            f"from {n:,} to {m:,} listings the time grows with the power {np.log(b / a) / np.log(m / n):.2f} of their number"
        )
    if args.seeds == "test":
        args.out.parent.mkdir(exist_ok=True)
        machine = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
        args.out.write_text(json.dumps({"suite": "rings", "synthetic": True, **machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
