"""Does the listing show the design of a catalog item?"""
