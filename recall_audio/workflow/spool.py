"""Rendered blocks kept on disk between the measuring and the writing of a stem.

Reading between samples can cost more than all the rest of a stem, so it is done once. Blocks of
stems of 16 bits are kept in 16 bits too, each scaled by the power of two that fits its own peak: what was
16 bits stays exactly that.
"""

import math
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from recall_audio.core.stretch import Signal
from recall_audio.files import disk_error, temporary_beside


class Spool:
    """Blocks of one track by their first sample; the file is gone when the ``with`` block ends.

    Attributes:
        path: its file.
    """

    def __init__(self, beside: Path, bits: str) -> None:
        self.path = temporary_beside(beside)
        self._kind = np.dtype(np.int16 if bits == "16" else np.float32)
        self._blocks: dict[int, tuple[int, int, int]] = {}
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()
        self.path.unlink(missing_ok=True)

    def keep(self, start: int, block: Signal) -> None:
        """Keep a block, shape (n,).

        Raises:
            MachineError: no room on the disk.
        """
        try:
            if self._stream is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._stream = self.path.open("w+b")
            place = self._stream.seek(0, 2)
            peak = max(float(block.max(initial=0.0)), -float(block.min(initial=0.0)))
            exponent = 15 - math.frexp(peak)[1] if self._kind == np.int16 and peak else 0
            exponent -= math.ldexp(peak, exponent) >= 32767.5
            scaled = block if self._kind != np.int16 else np.rint(block * np.float32(2.0**exponent))
            self._stream.write(scaled.astype(self._kind).data)
        except OSError as problem:
            failure = disk_error(problem, self.path)
        else:
            self._blocks[start] = (place, len(block), exponent)
            return
        raise failure

    def block(self, start: int, stop: int) -> Signal | None:
        """The block kept from `start` on, None where there is none of that length."""
        place, n, exponent = self._blocks.get(start, (0, -1, 0))
        if n != stop - start or self._stream is None:
            return None
        self._stream.seek(place)
        kept = np.frombuffer(self._stream.read(n * self._kind.itemsize), dtype=self._kind)
        return kept.astype(np.float32) * np.float32(2.0**-exponent)
