"""Measure talk time, overlap, turns and turn-taking from annotations."""
