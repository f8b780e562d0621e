"""Hold the fitted networks that decide whose speech a frame is, and evaluate them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.typing import Float32Array

_LIMIT = 4.0  # scaled inputs are kept within this


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A small feed-forward network with rectified units.

    Attributes:
        centre: shape (inputs,), subtracted from the inputs.
        scale: shape (inputs,), the inputs are divided by.
        weights: one matrix a layer, shapes (inputs, units), (units, units), (units, 1).
        biases: one vector a layer.
    """

    centre: Float32Array
    scale: Float32Array
    weights: tuple[Float32Array, ...]
    biases: tuple[Float32Array, ...]

    def log_odds(self, inputs: Float32Array) -> Float32Array:
        """Return the log-odds of each row, shape (n,); unknown inputs (NaN) count as the centre."""
        x = np.clip((inputs - self.centre) / self.scale, -_LIMIT, _LIMIT)
        x = np.where(np.isnan(x), np.float32(0), x)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.maximum(x @ weight + bias, 0)
        return np.asarray((x @ self.weights[-1] + self.biases[-1])[:, 0])


@dataclass(frozen=True, slots=True, eq=False)
class OwnershipModel:
    """Two groups of networks: the first guesses the owner, the second decides with that guess.

    Attributes:
        owner: evidence to the first guess; their log-odds are averaged.
        speech: evidence and context of the guess to the probability of own speech.
        calibration: slope and offset of the log-odds of the second group.
        provenance: what the networks were fitted to, as plain text.
    """

    owner: tuple[Network, ...]
    speech: tuple[Network, ...]
    calibration: tuple[float, float] = (1.0, 0.0)
    provenance: str = ""

    def guess(self, features: Float32Array) -> Float32Array:
        """Return the first guess of each row, shape (n,), 0 to 1."""
        return _probability(_averaged(self.owner, features))

    def decide(self, features: Float32Array, context: Float32Array) -> Float32Array:
        """Return the calibrated probability of own speech of each row, shape (n,), 0 to 1."""
        slope, offset = self.calibration
        inputs = np.concatenate((features, context), axis=1)
        return _probability(np.float32(slope) * _averaged(self.speech, inputs) + np.float32(offset))


def _averaged(networks: Sequence[Network], inputs: Float32Array) -> Float32Array:
    return np.asarray(np.mean([n.log_odds(inputs) for n in networks], axis=0), dtype=np.float32)


def _probability(log_odds: Float32Array) -> Float32Array:
    return np.asarray(1 / (1 + np.exp(-log_odds)), dtype=np.float32)
