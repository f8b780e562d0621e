"""A mapped file that is read from one end to the other need not stay in memory."""

import re
from pathlib import Path

import numpy as np
import pytest

from recall_audio.media.pcm_file import HELD_BYTES, open_work

STATUS = Path("/proc/self/status")


def mapped_mb() -> float:
    """Memory of this process that is pages of files."""
    return int(re.search(r"RssFile:\s+(\d+) kB", STATUS.read_text())[1]) / 1024


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux says which memory is a file's")
def test_pages_leave_memory_as_slices_are_read_and_slices_stay_valid(tmp_path: Path) -> None:
    values = np.arange(40_000_000, dtype=np.int16)
    values.tofile(tmp_path / "work")
    samples = open_work(tmp_path / "work")
    before, first = mapped_mb(), samples[:1_000_000]
    total = sum(int(samples[a : a + 100_000].sum(dtype=np.int64)) for a in range(0, len(values), 100_000))
    assert total == int(values.sum(dtype=np.int64))
    assert mapped_mb() < before + 2 * HELD_BYTES / 2**20
    np.testing.assert_array_equal(first, values[:1_000_000])


def test_a_mapped_file_reads_like_the_array_that_was_written(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-32768, 32767, 5000).astype(np.int16)
    values.tofile(tmp_path / "work")
    samples = open_work(tmp_path / "work")
    assert len(samples) == 5000
    assert samples[17] == values[17]
    np.testing.assert_array_equal(samples[10:4000:3], values[10:4000:3])
    np.testing.assert_array_equal(np.asarray(samples), values)
    with pytest.raises(ValueError, match="read-only"):
        samples[0:1][0] = 1
    (tmp_path / "empty").touch()
    assert len(open_work(tmp_path / "empty")) == 0
