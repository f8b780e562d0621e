"""Giving back the memory of a mapped file that has been read."""

import mmap

from recall_audio.model.tracks import Samples


def release(samples: Samples) -> None:
    """Let go of the pages of a memory-mapped working file that are in memory; others do nothing.

    The system would keep every page of an eight-hour file that was read, 0.9 GB, and count it as this
    process's for as long as nobody else needs the memory. Reading a page again is as cheap as before. Where
    the system has no such call (Windows), it trims by itself.
    """
    base: object = samples
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
