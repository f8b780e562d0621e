"""The neural voice detector: 16 kHz audio to speech probabilities.

Silero VAD without torch. Its ONNX model comes inside another package's wheel and is run here in batches of
stretches: 6.4 CPU-s an audio hour where the wheel's own frame-by-frame loop takes 26.
"""

from recall_audio.detector.load import load

__all__ = ["load"]
