"""Fit a small feed-forward network to rows of features, in numpy, the same on every run."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from recall_audio.model.speech import Network
from recall_audio.typing import Float32Array


@dataclass(frozen=True)
class Fitting:
    """How a network is fitted (Adam, Kingma & Ba 2015; cosine learning rate; dropout).

    Attributes:
        units: of the two hidden layers.
        epochs: passes over the rows.
        rate: first learning rate.
        decay: of the weights.
        batch: rows a step.
        dropped: share of hidden units left out of each step.
        seed: of the first weights, the order and what is dropped.
    """

    units: tuple[int, int] = (128, 64)
    epochs: int = 5
    rate: float = 2e-3
    decay: float = 1e-3
    batch: int = 1024
    dropped: float = 0.2
    seed: int = 0


def scaling(rows: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return each column's median and spread; NaN left out."""
    sample = rows[::7]
    low, high = np.nanpercentile(sample, (5, 95), axis=0)
    spread = np.maximum((high - low) / 3.3, 0.7 * np.nanstd(sample, axis=0))
    return np.nanmedian(sample, axis=0).astype(np.float32), np.maximum(spread, 1e-3).astype(np.float32)


def scaled(rows: Float32Array, centre: Float32Array, scale: Float32Array) -> Float32Array:
    """Return rows as a network sees them."""
    x = np.clip((rows - centre) / scale, -4, 4)
    return np.where(np.isnan(x), np.float32(0), x).astype(np.float32)


def fit(
    x: Float32Array,
    own: np.ndarray,
    weight: Float32Array,
    how: Fitting,
    centre_and_scale: tuple[Float32Array, Float32Array],
) -> Network:
    """Return the network fitted to the logistic loss.

    Args:
        x: shape (n, inputs), scaled.
        own: shape (n,), True or 1 where the row is own speech.
        weight: shape (n,), of each row in the loss.
        how: the settings.
        centre_and_scale: what `x` was scaled with.
    """
    rng = np.random.default_rng(how.seed)
    y = own.astype(np.float32)
    sizes = [x.shape[1], *how.units, 1]
    matrices = [(rng.standard_normal((a, b)) * np.sqrt(2 / a)).astype(np.float32) for a, b in pairwise(sizes)]
    parameters = [*matrices, *(np.zeros(size, dtype=np.float32) for size in sizes[1:])]
    adam = _Adam(parameters, how.rate, len(x) // how.batch * how.epochs)
    for _ in range(how.epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x) - how.batch + 1, how.batch):
            at = order[start : start + how.batch]
            adam.step(_gradients(parameters, x[at], y[at], weight[at], how, rng))
    return Network(*centre_and_scale, tuple(parameters[:3]), tuple(parameters[3:]))


def _gradients(
    parameters: list[Float32Array],
    x: Float32Array,
    y: Float32Array,
    weight: Float32Array,
    how: Fitting,
    rng: np.random.Generator,
) -> list[Float32Array]:
    matrices, biases = parameters[:3], parameters[3:]
    layers, kept = [x], []
    for matrix, bias in zip(matrices[:-1], biases[:-1], strict=True):
        keep = (rng.random((len(x), len(bias)), dtype=np.float32) > how.dropped) / np.float32(1 - how.dropped)
        kept.append(keep.astype(np.float32))
        layers.append(np.maximum(layers[-1] @ matrix + bias, 0) * kept[-1])
    output = (layers[-1] @ matrices[-1] + biases[-1])[:, 0]
    slope = ((1 / (1 + np.exp(-output)) - y) * weight / len(y))[:, None].astype(np.float32)
    by_matrix, by_bias = [], []
    for k in (2, 1, 0):
        by_matrix.insert(0, layers[k].T @ slope + np.float32(how.decay) * matrices[k])
        by_bias.insert(0, slope.sum(axis=0))
        if k:
            slope = (slope @ matrices[k].T) * (layers[k] > 0) * kept[k - 1]
    return [*by_matrix, *by_bias]


class _Adam:
    """Adam with a learning rate that falls as a cosine."""

    def __init__(self, parameters: list[Float32Array], rate: float, n_steps: int) -> None:
        self.parameters, self.rate, self.n_steps, self.k = parameters, rate, max(n_steps, 1), 0
        self.first = [np.zeros_like(p) for p in parameters]
        self.second = [np.zeros_like(p) for p in parameters]

    def step(self, gradients: list[Float32Array]) -> None:
        """Move the parameters against their gradients."""
        self.k += 1
        rate = self.rate * 0.5 * (1 + np.cos(np.pi * self.k / self.n_steps)) + 1e-5
        for k, g in enumerate(gradients):
            self.first[k] += np.float32(0.1) * (g - self.first[k])
            self.second[k] += np.float32(0.001) * (g * g - self.second[k])
            scale = np.sqrt(self.second[k] / (1 - 0.999**self.k)) + 1e-8
            self.parameters[k] -= (rate * self.first[k] / (1 - 0.9**self.k) / scale).astype(np.float32)
