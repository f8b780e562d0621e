"""A mapped file that has been read need not stay in memory."""

import re
from pathlib import Path

import numpy as np
import pytest

from recall_audio.media.pages import release
from recall_audio.media.work import open_work

STATUS = Path("/proc/self/status")


def mapped_mb() -> float:
    """Memory of this process that is pages of files."""
    return int(re.search(r"RssFile:\s+(\d+) kB", STATUS.read_text())[1]) / 1024


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux says which memory is a file's")
def test_released_pages_leave_memory_and_read_the_same_again(tmp_path: Path) -> None:
    (tmp_path / "work").write_bytes(np.arange(16_000_000, dtype=np.int16).tobytes())
    samples = open_work(tmp_path / "work")
    before, total = mapped_mb(), int(samples.sum(dtype=np.int64))
    assert mapped_mb() > before + 25.0
    release(samples[5:])
    assert mapped_mb() < before + 5.0
    assert int(samples.sum(dtype=np.int64)) == total


def test_arrays_in_memory_are_left_alone() -> None:
    samples = np.arange(100, dtype=np.int16)
    release(samples)
    assert samples.sum() == 4950
