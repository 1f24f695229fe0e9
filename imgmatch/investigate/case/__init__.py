"""Case files: one subject, its listings and their evidence, sealed."""
