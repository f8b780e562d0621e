"""Write and read working files: headerless 16-bit mono PCM, in blocks."""

import mmap
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import soxr

from recall_audio.files import disk_error, temporary_beside
from recall_audio.typing import Float32Array, FloatArray, Samples

HELD_BYTES = 2 << 20
"""Bytes read between one release of mapped pages and the next."""


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


def open_work(path: Path) -> Samples:
    """Open a working file as an array of shape (n,), int16.

    An odd last byte is left out.

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


class WorkFull(Exception):
    """Ends the decoding loop: the working file holds as much audio as it may."""


class WorkWriter:
    """Resamples mono float blocks and writes them as a working file of at most `limit` samples.

    The file has a temporary name until the ``with`` block ends well, and is gone otherwise.
    soxr's HQ filter has linear phase and its delay is removed: output sample n is input time
    n / rate_hz to within 0.001 sample.
    """

    def __init__(self, path: Path, rate_hz: int, limit: int) -> None:
        self.path, self.rate_hz, self.limit = path, rate_hz, limit
        self.n_samples = 0
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
                self._temporary.replace(self.path)
        except OSError as problem:
            failure = disk_error(problem, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)
        if failure is not None and kind is None:
            raise failure
