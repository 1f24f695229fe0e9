"""A signal of your own in one file: listings that were photographed on a bed sheet of one colour.

    python examples/own_signal.py

It asks one question of each photo, remembers what it computed, abstains where it cannot tell, and is checked by the
conformance suite that imgmatch's own signals pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgmatch import Catalog, Config, Finding, Listing, Matcher, Signal, default_signals
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.testing import check_signal
from imgmatch.types import FindingStatus


class PlainGround(Signal):
    """How much of a photo's rim is of one colour, in [0, 1]."""

    name = "plain_ground"

    def examine(self, queries: Sequence[Query]) -> list[list[Finding]]:
        return [[self._finding(query)] for query in queries]

    def _finding(self, query: Query) -> Finding:
        photos = query.of_role("listing")
        if not photos:
            return Finding.abstained(self.name, "The listing has no readable photo.")
        shares = {photo.photo_id: photo.once(plain_share) for photo in photos}
        best = max(shares, key=lambda photo_id: shares[photo_id])
        reason = f"{shares[best]:.0%} of the rim of {best} is of one colour."
        return Finding(self.name, FindingStatus.OK, shares[best], reason, photo_id=best)


def plain_share(photo: PhotoContext) -> float:
    """Share of the outermost pixels that lie within 12 grey levels (a guess) of their median, per channel."""
    pixels = photo.image.pixels.astype(np.int16)
    rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return float((np.abs(rim - np.median(rim, axis=0)) < 12).all(axis=1).mean())


def main() -> None:
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (96, 96, 3), np.uint8) for _ in range(6)]
    items = [{"item_id": f"bag-{n}", "brand": "acme", "photos": [p]} for n, p in enumerate(photos)]
    catalog = Catalog.from_items(items, encoder="mobilenet-v2")
    check_signal(PlainGround(), catalog)

    config = Config(signals=("design",))
    matcher = Matcher(catalog, config, signals=[*default_signals(config), PlainGround()])
    sheet = np.full((96, 96, 3), 200, np.uint8)
    sheet[24:72, 24:72] = photos[0][:48, :48]
    record = matcher.examine(Listing("1", photos=("a.jpg",), title="bag"), photos={"a.jpg": sheet})
    findings = record.verdict.findings if record.verdict else ()
    print(next(f.reason for f in findings if f.signal == "plain_ground"))


if __name__ == "__main__":
    main()
