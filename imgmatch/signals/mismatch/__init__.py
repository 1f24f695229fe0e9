"""Does the promo show what the listing sells?"""
