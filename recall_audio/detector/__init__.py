"""Give the probability of speech in 16 kHz audio: Silero VAD, computed in numpy."""

from recall_audio.detector.network import load_detector

__all__ = ["load_detector"]
