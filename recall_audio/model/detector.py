"""What a voice detector does, whichever network is behind it."""

from collections.abc import Sequence
from typing import Protocol

from recall_audio.typing import Float32Array

HOP_SAMPLES = 512
"""Samples of 16 kHz audio that one probability stands for: 32 ms."""


class Detector(Protocol):
    """Tells speech from everything else."""

    def probabilities(self, stretches: Sequence[Float32Array]) -> list[Float32Array]:
        """How likely each 32 ms of each stretch is speech.

        Args:
            stretches: float32, mono, 16 kHz, about −1 to 1, any lengths.

        Returns:
            for each stretch of n samples ``ceil(n / 512)`` probabilities, 0 to 1. Stretches are heard apart
            from each other: what one says does not depend on which others came with it.
        """
        ...
