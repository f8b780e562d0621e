"""Hold the values that layers pass to each other, frozen and documented."""
