"""The neural voice detector: 16 kHz audio to speech probabilities.

Silero VAD without torch. Its ONNX model comes inside another package's wheel; its network is computed here in
large products: 2.0 CPU-s an audio hour, where a runtime takes 6.2 for batches and the wheel's own loop 26.
"""

from recall_audio.detector.load import load as load_detector

__all__ = ["load_detector"]
