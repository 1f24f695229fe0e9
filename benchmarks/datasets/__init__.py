"""One small file a data set: its card, and a reader of the layout as its owners publish it."""
