"""Which brands and which replica wording can be read in the photos and the listing's text?"""
