"""What users bring and take: files, tables, sources of listings, sinks of records."""
