"""One finished scan as an object: its records, how it was run, its photos."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgmatch.errors import InputError, MissingExtraError
from imgmatch.images import load_image, resolve_within
from imgmatch.io.sinks import flat_row
from imgmatch.io.sources import listing_root
from imgmatch.records import PhotoRecord, ScanRecord
from imgmatch.types import EmbeddingSpace, Image

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Results", "read_records"]


class Results:
    """What a scan left in its folder.

    Parameters
    ----------
    path : path
        The scan's folder, or its ``records.jsonl``.

    Raises
    ------
    InputError
        Where there are no records.

    Notes
    -----
    Records are read from disk each time they are iterated, one at a time: a scan of a million listings costs no memory.

    Examples
    --------
    >>> from imgmatch import Results                                    # doctest: +SKIP
    >>> results = Results("out")                                        # doctest: +SKIP
    >>> [r.listing_id for r in results if r.decision == "lead"]         # doctest: +SKIP
    ['shop-17']
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.records_path = path / "records.jsonl" if path.is_dir() else path
        if not self.records_path.is_file():
            raise InputError(
                "no records here; `imgmatch scan … --out FOLDER` leaves records.jsonl in its folder", source=str(path)
            )

    def __repr__(self) -> str:
        counts = self.run.get("counts", {})
        return f"Results({str(self.records_path)!r}, {', '.join(f'{k}={n}' for k, n in counts.items()) or 'no run.json'})"

    def __iter__(self) -> Iterator[ScanRecord]:
        return read_records(self.records_path)

    def __len__(self) -> int:
        with open(self.records_path, "rb") as f:
            return sum(1 for _ in f)

    @cached_property
    def run(self) -> Mapping[str, Any]:
        """How the scan was run: what ``run.json`` holds; empty where that file is missing or is not one."""
        try:
            run = json.loads((self.records_path.parent / "run.json").read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return run if isinstance(run, dict) else {}

    @property
    def catalog_path(self) -> Path | None:
        """Folder of the catalog that was scanned against; None where the run does not tell."""
        catalog = self.run.get("catalog")
        path = catalog.get("path") if isinstance(catalog, dict) else None
        return Path(path) if isinstance(path, str) else None

    @property
    def space(self) -> EmbeddingSpace:
        """The embedding space that was scanned in.

        Raises
        ------
        InputError
            Where the run names none.
        """
        try:
            return EmbeddingSpace(**{k: v for k, v in self.run["catalog"]["space"].items() if k != "id"})
        except (KeyError, TypeError, AttributeError) as error:
            where = str(self.records_path.parent / "run.json")
            raise InputError("names no embedding space; scan again to have it written", source=where) from error

    @property
    def photo_root(self) -> Path:
        """The folder that photo paths of the records are relative to: where the scan found them."""
        source = self.run.get("source")
        return listing_root(Path(source)) if isinstance(source, str) else self.records_path.parent

    def photo(self, photo: PhotoRecord) -> Image:
        """Read a photo of a record again.

        Raises
        ------
        ImageError
            Where it is no longer there, or cannot be read.
        """
        return load_image(resolve_within(self.photo_root, photo.path), name=photo.path)

    def find(self, listing_id: str) -> list[ScanRecord]:
        """Return the records of a listing id: several where platforms or sellers share it."""
        return [record for record in self if record.listing_id == listing_id]

    def one(self, name: str) -> ScanRecord:
        """Return the record of a listing by its id, or by ``platform/seller/id`` where several share that.

        Raises
        ------
        InputError
            Where there is no such listing, or more than one: then with the names to ask by.
        """
        found = {r.listing.key: r for r in self if name in (r.listing_id, "/".join(r.listing.key))}
        if not found:
            raise InputError(f"no listing {name!r}", source=str(self.records_path))
        if len(found) > 1:
            names = ", ".join("/".join(key) for key in sorted(found)[:5])
            raise InputError(f"{len(found)} listings have the id {name!r}: ask by {names}", source=str(self.records_path))
        return next(iter(found.values()))

    def to_pandas(self) -> pd.DataFrame:
        """Return a row per listing with the columns of ``records.csv``, and the whole record in the column ``record``.

        Raises
        ------
        MissingExtraError
            Where pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("a data frame", "pandas") from error
        return pd.DataFrame([flat_row(record) | {"record": record} for record in self])


def read_records(path: str | Path) -> Iterator[ScanRecord]:
    """Yield the records of a ``records.jsonl``, one at a time.

    Raises
    ------
    InputError
        Naming the line that is no record.
    """
    with open(path, "rb") as f:  # bytes that are no UTF-8 are an error of their line
        for number, line in enumerate(f, 1):
            try:
                yield ScanRecord.from_dict(json.loads(line))
            except (ValueError, InputError, RecursionError) as error:
                raise InputError(str(error), source=f"{path}:{number}") from error
