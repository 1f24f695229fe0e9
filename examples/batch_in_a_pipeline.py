"""Examine listings as they stream through a pipeline of yours: a row in, a decision out, nothing on disk.

    python examples/batch_in_a_pipeline.py

Rows may come from a queue, a database cursor or a file; `scan_listings` reads photos ahead, examines in batches and yields
records in the order of the rows. One that cannot be examined yields a failed record with its reason, and the rest go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from imgmatch import Listing, Matcher, sample, scan_listings
from imgmatch.world.sample import Sample


def rows(goods: Sample) -> Iterator[Listing]:
    """Stand-in for your source; the last row's photo is missing, as happens."""
    yield from goods.listings
    yield Listing("broken", photos=["gone.jpg"], title="Halvenne bag")


def main() -> None:
    goods = sample()
    with TemporaryDirectory() as folder:
        for name, data in goods.photos.items():
            Path(folder, name).write_bytes(data)
        for record in scan_listings(rows(goods), Matcher(goods.catalog), root=folder):
            print(record.listing_id, record.decision, record.reasons[0], sep="\t")


if __name__ == "__main__":
    main()
