"""Which brands' marks do the photos show, and were they altered?"""
