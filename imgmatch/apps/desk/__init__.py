"""The desk: review, decide, look further and act, in the browser; docs/desk.md."""
