"""Is there room on the disk for the next recording, beside those under way?"""

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
_SAMPLE_BYTES = {"16": 2, "24": 3, "32f": 4}
_NATIVE_HZ = 48_000
_BYTES_PER_SOURCE_BYTE = 12
# A working file against a source whose length nobody declared: 24 kbit/s Opus grows by 10.7.


def needed_bytes(meeting: Meeting, options: Options) -> int:
    """Most bytes that processing writes: working files, stems, and one stem more while it is made."""
    parts_s = [p.media.duration_s or _length_s(p.media.n_bytes) for p in meeting.parts if p.media.file]
    mix_s = max([_mix_s(meeting), *parts_s], default=0.0)
    work = _WORK_BYTES_PER_S * (mix_s + sum(parts_s))
    n_stems = len(meeting.participants) if parts_s else 0
    return int(work + _stem_bytes_per_s(options.stems) * mix_s * (n_stems + bool(n_stems)))


def _stem_bytes_per_s(options: StemOptions) -> float:
    rate_hz = options.rate_hz or _NATIVE_HZ
    bytes_per_s = rate_hz * _SAMPLE_BYTES[options.bits]
    return float(bytes_per_s) * (2.0 if options.poly else 1.0) * (1.5 if options.mixdown else 1.0)


def _length_s(n_bytes: int | None) -> float:
    return (n_bytes or 0) * _BYTES_PER_SOURCE_BYTE / _WORK_BYTES_PER_S


def _mix_s(meeting: Meeting) -> float:
    """Length of the mix, as declared, or as the recording's own times have it."""
    if meeting.mix is None or not meeting.mix.file:
        return 0.0
    if meeting.mix.duration_s is not None:
        return meeting.mix.duration_s
    try:
        start, end = (
            datetime.datetime.fromisoformat(meeting.recording[k]) for k in ("started_at", "completed_at")
        )
        return max((end - start).total_seconds(), 0.0)
    except (KeyError, TypeError, ValueError):
        return _length_s(meeting.mix.n_bytes)


class FreeSpace:
    """The free space of the output's disk, and what recordings under way may still take of it."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._taken: dict[Path, int] = {}

    def check(self, more_bytes: int = 0) -> None:
        """Raise MachineError ``disk_full`` where so many bytes more would leave too little."""
        free, promised = self._free(), sum(list(self._taken.values()))
        if more_bytes + promised + RESERVE_BYTES > free:
            raise MachineError(
                f"Not enough room on the disk: the next recording may take {more_bytes >> 20} MiB, "
                f"{promised >> 20} MiB are promised to others, {free >> 20} MiB are free, "
                f"{RESERVE_BYTES >> 20} MiB stay free.",
                "Free some space, then run the same command again: finished work is kept.",
                code="disk_full",
            )

    def reserve(self, folder: Path, options: Options) -> bool:
        """Promise a recording its room; False where it has to wait for others to end.

        Raises:
            MachineError: ``disk_full``: not even alone would it fit.
        """
        try:
            needed = needed_bytes(read_meeting(Layout(folder)), options) - _held(folder)
        except ItemError:
            needed = 0  # its own failure, when it is tried
        try:
            self.check(max(needed, 0))
        except MachineError:
            if self._taken:
                return False
            raise
        self._taken[folder] = max(needed, 0)
        return True

    def release(self, folder: Path) -> None:
        """A recording has ended: what it needed is written, or will not be."""
        self._taken.pop(folder, None)

    def _free(self) -> int:
        place = self._out.absolute()
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free


class DownloadSpace(FreeSpace):
    """Recordings are worked on by other machines: only downloads need room here."""

    def reserve(self, folder: Path, options: Options) -> bool:
        """Nothing is promised."""
        return True


def _held(folder: Path) -> int:
    """Bytes that an earlier run of a recording already takes, and a new one takes over."""
    layout = Layout(folder)
    found = (f for root in (layout.work, layout.stems) if root.is_dir() for f in root.rglob("*"))
    return sum(f.stat().st_size for f in found if f.is_file())
