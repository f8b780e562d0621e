"""A participant's track, as researchers read it."""

from dataclasses import dataclass
from pathlib import Path

from recall_audio.media.wav import read_block
from recall_audio.media.work import Floats


@dataclass(frozen=True, slots=True)
class Stem:
    """One participant's track on the mix's clock.

    Attributes:
        label: whose.
        path: the audio file.
    """

    label: str
    path: Path

    def load(self, start_s: float = 0.0, end_s: float | None = None) -> tuple[Floats, int]:
        """Samples between two times.

        Args:
            start_s: first moment, seconds on the mix's clock.
            end_s: end; the stem's own where None.

        Returns:
            The samples, float32 in [-1, 1], shape (n,), and their rate in Hz.

        Raises:
            ItemError: the file is not there or cannot be read.
        """
        return read_block(self.path, start_s, end_s)
