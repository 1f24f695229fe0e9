"""Is a listing photo a copy of a catalog photo, whole or in part?"""
