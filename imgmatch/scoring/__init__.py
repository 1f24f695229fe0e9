"""How near is near: the metric learnt from a catalog, the background it is held against, local descriptors."""
