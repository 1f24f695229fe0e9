"""Prices as people write them, and who may sell what."""
