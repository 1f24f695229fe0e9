"""What a photo or a text says: reading, wordmarks, brand mentions, wording, contacts."""
