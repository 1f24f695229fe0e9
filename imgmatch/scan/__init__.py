"""How a million listings pass through the matcher."""

from imgmatch.scan.run import ScanSummary, run_scan
from imgmatch.scan.stream import Runner, Shard, run_shards, scan_listings

__all__ = ["Runner", "ScanSummary", "Shard", "run_scan", "run_shards", "scan_listings"]
