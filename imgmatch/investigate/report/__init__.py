"""Reports people read: the page of a scan, the page of rings, the case file."""

from imgmatch.investigate.report.listings import write_report

__all__ = ["write_report"]
