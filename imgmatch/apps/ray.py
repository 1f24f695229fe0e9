"""``imgmatch scan --runner ray``: the shards of a scan on the workers of a Ray cluster.

A worker does with a shard what a scan in one process does with all of them (:func:`imgmatch.scan.run_shards`); the machine
that the scan was started on reads the table, writes the shards as they come back, and resumes them.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from imgmatch.errors import MissingExtraError, ScanError
from imgmatch.matcher import Matcher
from imgmatch.records import Listing, ScanRecord
from imgmatch.scan import Shard
from imgmatch.scan.processes import Worker, identity

__all__ = ["run_shards"]

# A shard whose worker died is tried again so many times: a machine that goes away takes its shards along once or twice, a
# listing that kills whoever examines it would do so for ever.
_RETRIES = 3


def run_shards(shards: Iterable[Shard], matcher: Matcher, root: Path) -> Iterator[tuple[int, ScanRecord]]:
    """Examine shards with Ray Data, one worker per core of the cluster; an :data:`imgmatch.scan.Runner`.

    Parameters
    ----------
    shards : iterable of Shard
        Read to its end first; the rows wait in Ray's object store, which spills to disk.
    matcher : Matcher
        Each worker makes its own, of the same catalog and settings.
    root : Path
        Folder that photo paths are relative to.

    Yields
    ------
    number : int
        Of the record's shard: Ray Data keeps no order between shards.
    record : ScanRecord
        Those of one shard in order.

    Raises
    ------
    MissingExtraError
        Without Ray.
    ScanError
        Where a worker cannot begin, or sees another catalog or other settings than this process.

    Notes
    -----
    Uses the cluster that this process is connected to, or that ``RAY_ADDRESS`` names, or a local one. Every machine needs
    imgmatch with its extras, the weights, and the catalog and the photos under the same paths. The shards of a worker
    that dies are given to another.
    """
    try:
        import pyarrow as pa
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("a scan on Ray", "ray") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a scan sends nothing anywhere
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="warning")
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False
    blocks = [ray.put(pa.table({"number": [s.number], "rows": [_packed(s)]})) for s in shards]
    if not blocks:
        return
    workers = min(len(blocks), max(1, int(ray.cluster_resources().get("CPU", 1))))
    with warnings.catch_warnings():
        # Ray 2.64 will take the retries in another way, which it does not have yet; hence the bound in setup.cfg.
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        done = ray.data.from_arrow_refs(blocks).map_batches(
            _Worker,
            fn_constructor_args=(str(matcher.catalog.path.resolve()), matcher.catalog.space.id, matcher.config),
            fn_constructor_kwargs={"root": str(root.resolve()), "expected": identity(matcher)},
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=1,
            max_task_retries=_RETRIES,
            compute=ray.data.ActorPoolStrategy(size=workers),
        )
    try:
        for row in done.iter_rows():
            for text in row["records"]:
                yield row["number"], ScanRecord.from_dict(json.loads(text))
    except ray.exceptions.RayError as error:
        raise ScanError(
            f"a Ray worker could not go on: {str(error).strip().splitlines()[-1]}; finished shards stay valid, run the same "
            "command again once this is put right"
        ) from error


class _Worker(Worker):
    """Holds a matcher in a process of the cluster."""

    def __call__(self, batch: Any) -> Any:
        import pyarrow as pa

        (number,), (text,) = batch["number"].to_pylist(), batch["rows"].to_pylist()
        rows = [(Listing.from_dict(listing), problem) for listing, problem in json.loads(text)]
        done, _ = self.examine(Shard(number, Path(), rows))
        return pa.table({"number": [number], "records": [[json.dumps(record.to_dict()) for record in done]]})


def _packed(shard: Shard) -> str:
    return json.dumps([[listing.to_dict(), problem] for listing, problem in shard.rows])
