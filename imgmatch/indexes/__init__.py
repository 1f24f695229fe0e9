"""Vector indexes: exact search as the oracle, FAISS for work."""
