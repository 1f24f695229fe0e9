"""What investigators work with: rings, case files, reports."""
