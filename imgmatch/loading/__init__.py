"""From bytes to the photo under examination: what was computed from it once, and what is remembered between scans."""
