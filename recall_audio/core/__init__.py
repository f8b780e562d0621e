"""What the project exists for: spans, alignment, speech, talk, loudness. Arrays and values in and out."""
