"""Process one recording, stage by stage."""
