"""Place, level, limit and check the stem of each participant."""
