"""Fitting calibrations: above the matcher, which it runs."""
