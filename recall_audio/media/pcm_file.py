"""Write and read working files: headerless 16-bit mono PCM, in blocks.

A microphone's constant offset, and what else lies below 20 Hz, would count in every level that is measured
later. A file that holds much of it is filtered once, when all of it has been written; every other file keeps
its samples to the bit.
"""

import contextlib
import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import soxr

from recall_audio.files import disk_error, temporary_beside
from recall_audio.typing import BoolArray, Float32Array, FloatArray, Samples

HELD_BYTES = 2 << 20
"""Bytes read between one release of mapped pages and the next."""

OTHER_FILES = 128
"""Files and sockets that a process holds open beside its maps, with room to spare."""


class Mapped(np.ndarray[tuple[int], np.dtype[np.int16]]):
    """A read-only int16 array on a mapped file that releases pages as it is read.

    The system would keep every page of an eight-hour file that was read, 0.9 GB, and count it as this
    process's until another process needs the memory. A slice is a plain view that stays valid: its pages
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


def allow_maps(n_files: int) -> int:
    """Raise this process's limit of open files for so many maps where it may, and return how many fit.

    A map holds a file open, and a recording of a thousand parts has as many.
    """
    try:
        import resource
    except ImportError:  # Windows, where a map counts against no such limit
        return n_files
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = n_files + OTHER_FILES
    if soft != unlimited and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            soft_now = wanted if hard == unlimited else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft_now, hard))
            soft = soft_now
    return n_files if soft == unlimited else min(n_files, max(soft - OTHER_FILES, 0))


def open_work(path: Path, *, mapped: bool = True) -> Samples:
    """Open a working file as an array of shape (n,), int16.

    An odd last byte is left out.

    Args:
        path: the working file.
        mapped: map it; else read it whole, which holds no file open.

    Raises:
        FileNotFoundError: there is no such file.
    """
    n_samples = path.stat().st_size // 2
    if n_samples == 0:
        return np.empty(0, dtype=np.int16)  # an empty file cannot be mapped
    if not mapped:
        return np.fromfile(path, dtype="<i2", count=n_samples)
    with path.open("rb") as stream:
        memory = mmap.mmap(stream.fileno(), 2 * n_samples, access=mmap.ACCESS_READ)
    array = np.frombuffer(memory, dtype="<i2").view(Mapped)
    array._map = memory
    return array


FULL_SCALE = 32768.0
"""The float 1.0 of a 16-bit sample."""


def to_int16(block: Float32Array | FloatArray) -> Samples:
    """Return float samples, full scale ±1, as the nearest 16-bit values (ties to even), clipped.

    The inverse of ``x / 32768`` for every 16-bit x; no dither, so the same input gives the same bytes.
    """
    scaled = block * block.dtype.type(FULL_SCALE)  # exact: a power of two
    np.rint(scaled, out=scaled)
    np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1.0, out=scaled)
    integers: Samples = scaled.astype("<i2")
    return integers


LOWEST_HZ = 20.0
"""Below this there is no voice: the lowest note that is heard."""

OFFSET_LEAST = 0.002
"""Offset that is taken out, full scale 1: -54 dB, the level of a quiet room."""

RUMBLE_LEAST = 0.0003
"""Root mean square below 20 Hz that may be taken out, full scale 1: -70 dB, a quiet microphone's noise."""

RUMBLE_SHARE = 0.25
"""Share of a file's power below 20 Hz from which it is taken out; voices have less than 0.02 there."""

RUMBLE_SHARE_OF_QUIET = 0.5
"""The same of its quiet seconds, whose level is taken for its background noise."""

QUIET_PERCENTILE = 10
"""Percentile of a file's seconds, by power, that are its quiet ones."""

SILENCE_S = 0.02
"""Seconds of zeros that are silence put in or a muted microphone, and hold no offset."""

SETTLED_S = 0.5
"""Seconds after which the filter has forgotten what was before: exp(-2 pi 20 / sqrt(2) / 2) is -190 dB."""


@dataclass(slots=True)
class LowLevels:
    """Measures what a file holds below 20 Hz, a block at a time.

    Attributes:
        rate_hz: the blocks' sample rate.
    """

    rate_hz: int
    _seconds: list[tuple[float, float, float, int]] = field(default_factory=list)

    def add(self, block: Float32Array) -> None:
        """Take the next block, shape (n,), full scale 1."""
        width = round(self.rate_hz / (2.0 * LOWEST_HZ))
        means = block[: len(block) // width * width].reshape(-1, width).mean(axis=1, dtype=np.float32)
        power = float(np.dot(block, block))
        if power > 0.0 and len(means):
            low = float(np.dot(means, means)) * width
            self._seconds.append((float(means.sum()) * width, low, power, len(means) * width))

    @property
    def offset(self) -> float:
        """Return the mean of what is not digital silence, full scale 1."""
        total, _, _, n_samples = self._sums()
        return float(total / n_samples) if n_samples else 0.0

    @property
    def rms(self) -> float:
        """Return the root mean square below 20 Hz, full scale 1."""
        _, low, _, n_samples = self._sums()
        return math.sqrt(low / n_samples) if n_samples else 0.0

    @property
    def is_high(self) -> bool:
        """Return whether so much lies below 20 Hz that it has to be taken out."""
        if abs(self.offset) >= OFFSET_LEAST:
            return True
        if self.rms < RUMBLE_LEAST:
            return False
        _, low, power, n_samples = np.array(self._seconds).T
        density = power / n_samples
        quiet = density <= np.percentile(density, QUIET_PERCENTILE)
        share_of_quiet = float(np.sum(low[quiet]) / np.sum(power[quiet]))
        return share_of_quiet >= RUMBLE_SHARE_OF_QUIET or bool(np.sum(low) >= RUMBLE_SHARE * np.sum(power))

    def _sums(self) -> FloatArray:
        return np.sum(np.array(self._seconds), axis=0) if self._seconds else np.zeros(4)


def without_low(samples: Samples, rate_hz: int) -> Iterator[Samples]:
    """Yield the blocks of a file without what lies below 20 Hz; its digital silence stays silent.

    The filter runs forwards and backwards over each block and half a second beyond it: no phase is turned.

    Args:
        samples: shape (n,), int16.
        rate_hz: their sample rate.
    """
    from scipy.signal import butter, sosfiltfilt

    # Half the order: each direction takes 3 dB at 20 Hz.
    sections = butter(2, LOWEST_HZ, "highpass", fs=rate_hz, output="sos")
    settled, n_block = round(SETTLED_S * rate_hz), 8 * rate_hz
    for start in range(0, len(samples), n_block):
        first, stop = max(start - settled, 0), min(start + n_block, len(samples))
        wide = np.asarray(samples[first : min(stop + settled, len(samples))], dtype=np.float64)
        silent = _silence(wide, round(SILENCE_S * rate_hz))
        if np.all(silent):
            yield np.zeros(stop - start, dtype=np.int16)
            continue
        wide = _bridged(wide, silent, round(SILENCE_S * rate_hz)) / FULL_SCALE
        kept = slice(start - first, stop - first)
        filtered = sosfiltfilt(sections, wide, padtype="even", padlen=min(settled, len(wide) - 1))[kept]
        filtered[silent[kept]] = 0.0
        yield to_int16(filtered)


def _silence(block: FloatArray, shortest: int) -> BoolArray:
    """Return which samples lie in a run of at least `shortest` zeros."""
    edges = np.flatnonzero(np.diff(np.r_[False, block == 0.0, False]))
    silent = np.zeros(len(block), dtype=np.bool_)
    for start, stop in edges.reshape(-1, 2).tolist():
        silent[start:stop] = stop - start >= shortest
    return silent


def _bridged(block: FloatArray, silent: BoolArray, reach: int) -> FloatArray:
    """Return the block with a straight line across each silence, from the mean before it to the mean after.

    An offset that begins and ends would be a click of its own height.
    """
    edges = np.flatnonzero(np.diff(np.r_[False, silent, False])).reshape(-1, 2).tolist()
    for start, stop in edges:
        before, after = block[max(start - reach, 0) : start], block[stop : stop + reach]
        level = [float(np.mean(side)) for side in (before, after) if len(side)]
        block[start:stop] = np.linspace(level[0], level[-1], stop - start)
    return block


class WorkFull(Exception):
    """Ends the decoding loop: the working file holds as much audio as it may."""


class WorkWriter:
    """Resamples mono float blocks and writes them as a working file of at most `limit` samples.

    The file has a temporary name until the ``with`` block ends well, and is gone otherwise.
    soxr's HQ filter has linear phase and its delay is removed: output sample n is input time
    n / rate_hz to within 0.001 sample. What lies below 20 Hz is taken out at the end, where it is much.

    Attributes:
        path: the working file.
        rate_hz: its sample rate.
        limit: samples it may hold.
        n_samples: samples written so far.
        low: what was pushed below 20 Hz.
    """

    def __init__(self, path: Path, rate_hz: int, limit: int) -> None:
        self.path, self.rate_hz, self.limit = path, rate_hz, limit
        self.n_samples = 0
        self.low = LowLevels(rate_hz)
        self._temporary = temporary_beside(path)
        self._stream: IO[bytes] | None = None
        self._source_hz = 0
        self._pushed_s = 0.0
        self._resampler: soxr.ResampleStream | None = None

    def __enter__(self) -> "WorkWriter":
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._temporary.open("wb")
        except OSError as error:
            failure = disk_error(error, self.path)
        except BaseException:  # a signal that came while it was opened: no __exit__ follows
            self._temporary.unlink(missing_ok=True)
            raise
        else:
            return self
        raise failure

    @property
    def position_s(self) -> float:
        """Return the seconds pushed so far.

        The resampler may still hold the last of them.
        """
        return self._pushed_s

    def source_rate(self, source_hz: int) -> None:
        """Set the sample rate of the blocks that follow.

        It may change midway.
        """
        if source_hz != self._source_hz:
            self.drain()
            self._source_hz = source_hz
            same = source_hz == self.rate_hz
            self._resampler = (
                None if same else soxr.ResampleStream(source_hz, self.rate_hz, 1, "float32", "HQ")
            )

    def push(self, block: Float32Array) -> None:
        """Append a block at the source's rate.

        Raises:
            WorkFull: the limit is reached; what fits has been written.
            MachineError: no space on the disk.
        """
        self._pushed_s += len(block) / self._source_hz
        self._write(block if self._resampler is None else self._resampler.resample_chunk(block))

    def silence(self, n_source: int) -> None:
        """Append this many samples of silence at the source's rate."""
        while n_source > 0:
            n_block = min(n_source, self._source_hz)
            self.push(np.zeros(n_block, dtype=np.float32))
            n_source -= n_block

    def drain(self) -> None:
        """Write what the resampler still holds.

        To be called after the last block of a rate.
        """
        if self._resampler is not None:
            rest = self._resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
            self._resampler, self._source_hz = None, 0
            self._write(rest)

    def _write(self, block: Float32Array) -> None:
        block = block[: self.limit - self.n_samples]
        self.n_samples += len(block)
        self.low.add(block)
        try:
            assert self._stream is not None, "a WorkWriter is used in a with block"  # noqa: S101
            self._stream.write(to_int16(block).data)
        except OSError as error:
            failure = disk_error(error, self.path)
        else:
            if self.n_samples >= self.limit:
                raise WorkFull
            return
        raise failure

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._stream is not None  # noqa: S101
        failure = None
        try:
            self._stream.close()
            if kind is None:
                if self.low.is_high:
                    self._filter()
                self._temporary.replace(self.path)
        except OSError as problem:
            failure = disk_error(problem, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)
        if failure is not None and kind is None:
            raise failure

    def _filter(self) -> None:
        """Write the file anew without what lies below 20 Hz."""
        filtered = temporary_beside(self.path)
        samples = open_work(self._temporary)
        try:
            with filtered.open("wb") as stream:
                for block in without_low(samples, self.rate_hz):
                    stream.write(block.data)
            del samples  # Windows replaces no file that is mapped
            filtered.replace(self._temporary)
        finally:
            filtered.unlink(missing_ok=True)
