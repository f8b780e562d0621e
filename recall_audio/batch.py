"""Many bots: each on its own, one journal, one exit code."""
