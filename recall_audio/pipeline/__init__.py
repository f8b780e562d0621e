"""The whole job of one recording, stage by stage."""
