"""Tables that users bring: CSV in any dialect, JSON, Parquet, spreadsheets; one row at a time, with the place of each."""

from imgmatch.io.tables.columns import Layout, normal, parse_map
from imgmatch.io.tables.reader import Table, append_rows, listing_input, read_table

__all__ = ["Layout", "Table", "append_rows", "listing_input", "normal", "parse_map", "read_table"]
