"""What every suite stands on: data sets, encoders, raw files, the scorer, the table. See ``benchmarks/README.md``."""
