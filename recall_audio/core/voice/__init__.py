"""Measure how a voice sounds: pitch, level, pace and brightness."""
