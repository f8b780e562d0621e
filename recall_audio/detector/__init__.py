"""The neural voice detector: 16 kHz audio to speech probabilities."""
