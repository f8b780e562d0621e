"""Mapped files whose pages do not stay in memory once they have been read."""

import mmap
from pathlib import Path
from typing import Any

import numpy as np

from recall_audio.model.tracks import Samples

HELD_BYTES = 2 << 20
"""Bytes handed out between one letting go and the next."""


class Mapped(np.ndarray[tuple[int], np.dtype[np.int16]]):
    """A read-only int16 array on a mapped file that lets go of its pages as it is read, slice by slice.

    The system would keep every page of an eight-hour file that was read, 0.9 GB, and count it as this
    process's for as long as nobody else needs the memory. A slice is a plain view that stays valid: its pages
    come back when they are touched, as cheaply as before. Where the system has no such call (Windows), it
    trims by itself.
    """

    _map: mmap.mmap | None
    _handed_out: int

    def __array_finalize__(self, made_from: Any) -> None:
        self._map, self._handed_out = None, 0

    def __getitem__(self, key: Any) -> Any:
        found = self.view(np.ndarray)[key]
        self._handed_out += getattr(found, "nbytes", 0)
        if self._map is not None and self._handed_out > HELD_BYTES:
            self._handed_out = 0
            if hasattr(mmap, "MADV_DONTNEED"):
                self._map.madvise(mmap.MADV_DONTNEED)
        return found


def open_work(path: Path) -> Samples:
    """A working file as an array of shape (n,); an odd last byte is left out.

    Raises:
        FileNotFoundError: there is no such file.
    """
    n_samples = path.stat().st_size // 2
    if n_samples == 0:
        return np.empty(0, dtype=np.int16)  # an empty file cannot be mapped
    with path.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 2 * n_samples, access=mmap.ACCESS_READ)
    array = np.frombuffer(mapped, dtype="<i2").view(Mapped)
    array._map = mapped
    return array
