"""Reserve disk space for recordings before they are begun."""

import datetime
import shutil
from pathlib import Path

from recall_audio.errors import ItemError, MachineError
from recall_audio.model.meeting import Meeting
from recall_audio.model.options import Options, StemOptions
from recall_audio.pipeline.documents import Layout, read_meeting
from recall_audio.units import RATE_HZ

RESERVE_BYTES = 128 << 20
"""Free space that no recording is begun into."""

_WORK_BYTES_PER_S = 2 * RATE_HZ
"""Working files: 16-bit samples."""
_SAMPLE_BYTES = {"16": 2, "24": 3, "32f": 4}
_NATIVE_HZ = 48_000
"""Highest rate of stems that keep their source's."""
_POLY_FACTOR = 2.0
"""Size of stems with ``poly``, which adds a file of all channels."""
_MIXDOWN_FACTOR = 1.5
"""Size of stems with a mixdown, which beside two stems adds half as much again."""
_BYTES_PER_SOURCE_BYTE = 12
"""Growth of a source of undeclared length when it is decoded: 24 kbit/s Opus grows by 10.7."""


def needed_bytes(meeting: Meeting, options: Options) -> int:
    """Return the most bytes that processing a recording writes.

    These are working files, stems, and one stem in the making.
    """
    parts_s = [p.media.duration_s or _estimated_s(p.media.n_bytes) for p in meeting.parts if p.media.file]
    mix_s = max([_mix_s(meeting), *parts_s], default=0.0)
    work_bytes = _WORK_BYTES_PER_S * (mix_s + sum(parts_s))
    n_stems = len(meeting.participants) if parts_s else 0
    return int(work_bytes + _stem_bytes_per_s(options.stems) * mix_s * (n_stems + bool(n_stems)))


def _stem_bytes_per_s(options: StemOptions) -> float:
    bytes_per_s = (options.rate_hz or _NATIVE_HZ) * _SAMPLE_BYTES[options.bits]
    poly_factor = _POLY_FACTOR if options.poly else 1.0
    return float(bytes_per_s) * poly_factor * (_MIXDOWN_FACTOR if options.mixdown else 1.0)


def _estimated_s(n_bytes: int | None) -> float:
    return (n_bytes or 0) * _BYTES_PER_SOURCE_BYTE / _WORK_BYTES_PER_S


def _mix_s(meeting: Meeting) -> float:
    """Return the length of the mix in seconds.

    It is as declared, else by the recording's times, else estimated from the bytes.
    """
    if meeting.mix is None or not meeting.mix.file:
        return 0.0
    if meeting.mix.duration_s is not None:
        return meeting.mix.duration_s
    try:
        start, end = (
            datetime.datetime.fromisoformat(meeting.recording[key]) for key in ("started_at", "completed_at")
        )
        return max((end - start).total_seconds(), 0.0)
    except (KeyError, TypeError, ValueError):
        return _estimated_s(meeting.mix.n_bytes)


class FreeSpace:
    """Free space of the output's disk, less what recordings under way reserve.

    Args:
        out: the output folder, which may not exist yet.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._reserved: dict[Path, int] = {}

    def check(self, more_bytes: int = 0) -> None:
        """Check that so many bytes more leave enough space free.

        Raises:
            MachineError: ``disk_full``.
        """
        free, reserved = self._free(), sum(list(self._reserved.values()))
        if more_bytes + reserved + RESERVE_BYTES > free:
            raise MachineError(
                f"Not enough space on the disk: the next recording may need {more_bytes >> 20} MiB, "
                f"{reserved >> 20} MiB are reserved for others, {free >> 20} MiB are free, of which "
                f"{RESERVE_BYTES >> 20} MiB must stay free.",
                "Free some space, then run the same command again: finished work is kept.",
                code="disk_full",
            )

    def reserve(self, folder: Path, options: Options) -> bool:
        """Reserve space for a recording.

        Returns False where the recording has to wait for others to end.

        Raises:
            MachineError: ``disk_full``: it would not even fit alone.
        """
        try:
            needed = needed_bytes(read_meeting(Layout(folder)), options) - _reusable_bytes(folder)
        except ItemError:
            needed = 0  # processing it will raise the same error
        try:
            self.check(max(needed, 0))
        except MachineError:
            if self._reserved:
                return False
            raise
        self._reserved[folder] = max(needed, 0)
        return True

    def release(self, folder: Path) -> None:
        """Release the reserved space of a recording that has ended."""
        self._reserved.pop(folder, None)

    def _free(self) -> int:
        folder = self._out.absolute()
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free


class DownloadSpace(FreeSpace):
    """Free space for downloads alone, where other machines process."""

    def reserve(self, folder: Path, options: Options) -> bool:
        """Reserve nothing."""
        return True


def _reusable_bytes(folder: Path) -> int:
    """Return the bytes of an earlier run that a new one reuses or overwrites."""
    layout = Layout(folder)
    found = (f for root in (layout.work, layout.stems) if root.is_dir() for f in root.rglob("*"))
    return sum(f.stat().st_size for f in found if f.is_file())
