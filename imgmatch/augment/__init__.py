"""Photo edits, forgeries and wording that calibration, tests and benchmarks share."""
