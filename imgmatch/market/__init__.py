"""What several signals read with: words, names, contacts, prices, sellers."""
