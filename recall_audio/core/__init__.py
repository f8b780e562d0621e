"""Compute alignment, speech, talk, stems and voice features from arrays and values alone."""
