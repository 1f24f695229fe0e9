"""Which parts of the product differ from the reference design?"""
