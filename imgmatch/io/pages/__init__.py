"""Captured pages as listings: WARC and WACZ archives, folders of saved pages. Nothing is fetched, no script runs."""

from imgmatch.io.pages.capture import is_capture, unpack

__all__ = ["is_capture", "unpack"]
