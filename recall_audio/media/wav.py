"""WAV in and out, in blocks."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from recall_audio.errors import ItemError
from recall_audio.files import atomic, disk_error
from recall_audio.media.bext import Chunk, WavFormat, header
from recall_audio.media.pcm_file import FULL_SCALE, to_int16
from recall_audio.typing import Float32Array, FloatArray, Samples

Block = Samples | Float32Array | FloatArray
"""Samples: int16, or floats with full scale ±1; shape (n,) or, for several channels, (n, n_channels)."""


def pack(block: Block, bits: str) -> bytes:
    """Samples as the bytes of a WAV file of 16, 24 or 32f bits.

    Floats go to the nearest integer (ties to even) and are clipped at full scale; there is no dither, so
    the same input gives the same bytes. int16 keeps its value in every width.
    """
    if not np.issubdtype(block.dtype, np.floating):
        if bits == "16":
            return block.astype("<i2").tobytes()
        block = block / np.float32(FULL_SCALE)
    floats = block.astype(np.float32, copy=False)
    if bits == "16":
        return to_int16(floats).tobytes()
    if bits == "32f":
        return floats.astype("<f4", copy=False).tobytes()
    scaled = floats * np.float32(2.0**23)  # exact: a power of two
    whole = np.clip(np.rint(scaled, out=scaled), -(2.0**23), 2.0**23 - 1.0, out=scaled).astype("<i4")
    return np.ascontiguousarray(whole).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


class StemWriter:
    """Writes a WAV file block by block; it appears when the ``with`` block ends well, else not at all.

    Past 4 GiB it becomes an RF64 file (a plain one would read back short).

    ::

        with StemWriter(path, 16_000, "16") as stem:
            stem.write(block)

    Attributes:
        path: the file.
        kind: rate, width and channels.
        n_frames: moments written so far.
    """

    def __init__(
        self, path: Path, rate_hz: int, bits: str = "16", n_channels: int = 1, chunks: Sequence[Chunk] = ()
    ) -> None:
        self.path, self.kind, self.n_frames = path, WavFormat(rate_hz, bits, n_channels), 0
        self._chunks = tuple(chunks)
        self._stack = ExitStack()
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> "StemWriter":
        self._stream = self._stack.enter_context(atomic(self.path))
        self._put(header(self.kind, 0, self._chunks))
        return self

    def write(self, block: Block) -> None:
        """Append samples.

        Raises:
            ValueError: the block's shape does not fit the channels.
            MachineError: no room on the disk.
        """
        n_channels = block.shape[1] if block.ndim == 2 else 1
        if block.ndim > 2 or n_channels != self.kind.n_channels:
            raise ValueError(f"a block of shape {block.shape} for {self.kind.n_channels} channels")
        self._put(pack(block, self.kind.bits))
        self.n_frames += len(block)

    def _put(self, data: bytes) -> None:
        assert self._stream is not None, "a StemWriter is used in a with block"  # noqa: S101
        try:
            self._stream.write(data)
        except OSError as error:
            failure = disk_error(error, self.path)
        else:
            return
        raise failure

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._stream is not None:
            n_data = self.n_frames * self.kind.frame_bytes
            self._put(b"\0" * (n_data % 2))
            self._stream.seek(0)
            self._put(header(self.kind, n_data, self._chunks))
        self._stack.__exit__(kind, error, trace)


def read_block(path: Path, start_s: float = 0.0, end_s: float | None = None) -> tuple[Float32Array, int]:
    """Samples of an audio file between two times, and its sample rate.

    Args:
        path: WAV or FLAC (only the stretch is read), or any other format :func:`decode` reads.
        start_s: first moment, seconds; what lies outside the file is left out.
        end_s: end, seconds; None reads to the end.

    Returns:
        float32, full scale ±1, shape (n,), or (n_channels, n) where there are several (librosa's way);
        the rate in Hz.

    Raises:
        ItemError: ``missing_file`` or ``not_audio``.
    """
    import soundfile

    if not path.is_file():
        raise ItemError(f"{path} is not there.", "Process the recording again.", code="missing_file")
    try:
        with soundfile.SoundFile(path) as source:
            if source.format not in ("WAV", "WAVEX", "RF64", "FLAC"):
                return _read_packed(path, start_s, end_s)
            first, n = _range(start_s, end_s, source.samplerate, source.frames)
            source.seek(first)
            block: Float32Array = source.read(n, dtype="float32")
            return np.ascontiguousarray(block.T), int(source.samplerate)
    except soundfile.LibsndfileError:
        return _read_packed(path, start_s, end_s)


def _range(start_s: float, end_s: float | None, rate_hz: int, n_frames: int) -> tuple[int, int]:
    """First frame and count of a stretch, inside the file."""
    first = min(max(round(start_s * rate_hz), 0), n_frames)
    end = n_frames if end_s is None else min(max(round(end_s * rate_hz), first), n_frames)
    return first, end - first


def _read_packed(path: Path, start_s: float, end_s: float | None) -> tuple[Float32Array, int]:
    """The same for formats that libsndfile reads in part or not at all: decode, then cut."""
    from recall_audio.media.decode import decode
    from recall_audio.media.pcm_file import open_work
    from recall_audio.media.probe import probe
    from recall_audio.model.options import DecodeOptions

    rate_hz = probe(path).rate_hz
    with tempfile.TemporaryDirectory() as folder:
        samples = open_work(decode(path, Path(folder) / "work", options=DecodeOptions(rate_hz)).path)
        first, n = _range(start_s, end_s, rate_hz, len(samples))
        block = samples[first : first + n].astype(np.float32) / np.float32(FULL_SCALE)
        del samples  # Windows removes no file that is mapped
    return block, rate_hz


_BITS = {"PCM_16": ("16", "int16"), "PCM_24": ("24", "float32"), "FLOAT": ("32f", "float32")}
_AT_ONCE = 1 << 18


def copy_wav(source: Path, target: Path, chunks: Callable[[WavFormat], Sequence[Chunk]]) -> None:
    """Write the samples of `source` to `target`; nothing else of it goes along.

    Args:
        source: a WAV file of 16, 24 or 32f bits, as :class:`StemWriter` writes them.
        target: the file to write.
        chunks: given the format, what is to stand beside the samples.

    Raises:
        ItemError: the file is not there, or no such WAV.
        MachineError: the disk is full.
    """
    import soundfile

    wrong = ItemError(
        f"{source} is no stem that this version wrote.", "Process the recording again.", code="not_audio"
    )
    if not source.is_file():
        raise ItemError(f"{source} is not there.", "Process the recording again.", code="missing_file")
    try:
        with soundfile.SoundFile(source) as samples:
            if samples.subtype not in _BITS:
                raise wrong
            bits, dtype = _BITS[samples.subtype]
            kind = WavFormat(samples.samplerate, bits, samples.channels)
            with StemWriter(target, kind.rate_hz, bits, kind.n_channels, chunks(kind)) as copy:
                while len(block := samples.read(_AT_ONCE // kind.n_channels, dtype=dtype)):
                    copy.write(block)
    except soundfile.LibsndfileError:
        raise wrong from None


@dataclass(frozen=True, slots=True)
class Stem:
    """One participant's track on the mix's clock.

    Attributes:
        label: whose.
        path: the audio file.
    """

    label: str
    path: Path

    def load(self, start_s: float = 0.0, end_s: float | None = None) -> tuple[Float32Array, int]:
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
