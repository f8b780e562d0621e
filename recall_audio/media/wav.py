"""Write and read WAV files, in blocks.

A file holds its samples and nothing about the meeting. libsndfile reads, and is the oracle of the tests. It
does not write, for three reasons: it has to know beforehand whether a file will pass 4 GiB and needs RF64 (a
plain WAV reads back short), and the header here becomes RF64 when the file is closed; it puts the time of
writing into files of floats (``PEAK``), and here equal samples give equal bytes; and it hides the system's
error when the disk is full.

::

    plain   RIFF size WAVE  JUNK 28 zeros                  fmt  (fact)  data size        samples
    RF64    RF64 -1   WAVE  ds64 RIFF, data, frame counts  fmt  (fact)  data -1          samples

Source: EBU Tech 3306 (RF64).
"""

import struct
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from recall_audio.errors import ItemError
from recall_audio.files import atomic, disk_error
from recall_audio.media.pcm_file import FULL_SCALE, to_int16
from recall_audio.typing import Float32Array, FloatArray, Samples
from recall_audio.units import RATE_HZ

Block = Samples | Float32Array | FloatArray
"""Samples: int16, or floats with full scale ±1; shape (n,) or, for several channels, (n, n_channels)."""

PLAIN_LIMIT = 0xFFFF_FFFF
"""Bytes that a plain WAV can count, and what RF64 writes in place of its 32-bit counts."""

_DS64_BYTES = 28
"""Length of the chunk that holds RF64's 64-bit counts, reserved as ``JUNK`` in a plain file."""

_FORMAT_PCM, _FORMAT_FLOAT, _FORMAT_EXTENSIBLE = 1, 3, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""KSDATAFORMAT_SUBTYPE_* after the format tag."""

_FULL_SCALE_24 = 2.0**23
"""The float 1.0 of a 24-bit sample."""


@dataclass(frozen=True, slots=True)
class WavFormat:
    """The format of a WAV file's samples.

    Attributes:
        rate_hz: sample rate.
        bits: ``16`` and ``24``: integers; ``32f``: floats, full scale ±1.
        n_channels: channels, interleaved.
    """

    rate_hz: int
    bits: str = "16"
    n_channels: int = 1

    @property
    def sample_bytes(self) -> int:
        """Return the bytes of one sample of one channel."""
        return {"16": 2, "24": 3, "32f": 4}[self.bits]

    @property
    def frame_bytes(self) -> int:
        """Return the bytes of one sample of all channels."""
        return self.sample_bytes * self.n_channels


def wav_header(kind: WavFormat, n_data: int) -> bytes:
    """Return everything before `n_data` bytes of samples.

    Its length does not depend on `n_data`.
    """
    middle = _chunk(b"fmt ", _format_body(kind))
    n_frames = n_data // kind.frame_bytes
    if kind.bits == "32f":
        middle += _chunk(b"fact", struct.pack("<I", min(n_frames, PLAIN_LIMIT)))
    n_riff = 4 + (8 + _DS64_BYTES) + len(middle) + 8 + n_data + n_data % 2
    if n_riff <= PLAIN_LIMIT:
        start = b"RIFF" + struct.pack("<I", n_riff) + b"WAVE" + _chunk(b"JUNK", bytes(_DS64_BYTES))
        return start + middle + b"data" + struct.pack("<I", n_data)
    counts = struct.pack("<QQQI", n_riff, n_data, n_frames, 0)
    start = b"RF64" + struct.pack("<I", PLAIN_LIMIT) + b"WAVE" + _chunk(b"ds64", counts)
    return start + middle + b"data" + struct.pack("<I", PLAIN_LIMIT)


def _chunk(name: bytes, body: bytes) -> bytes:
    """Return one RIFF chunk.

    Every body here has an even length and needs no padding.
    """
    return name + struct.pack("<I", len(body)) + body


def _format_body(kind: WavFormat) -> bytes:
    """Return the ``fmt`` chunk's body.

    It is extensible from three channels on, without speaker positions.
    """
    tag = _FORMAT_FLOAT if kind.bits == "32f" else _FORMAT_PCM
    is_extensible = kind.n_channels > 2
    bits = 8 * kind.sample_bytes
    body = struct.pack(
        "<HHIIHH",
        _FORMAT_EXTENSIBLE if is_extensible else tag,
        kind.n_channels,
        kind.rate_hz,
        kind.rate_hz * kind.frame_bytes,
        kind.frame_bytes,
        bits,
    )
    if is_extensible:
        return body + struct.pack("<HHIH", 22, bits, 0, tag) + _GUID_TAIL
    return body + struct.pack("<H", 0) if tag == _FORMAT_FLOAT else body


def pack(block: Block, bits: str) -> bytes:
    """Return samples as the bytes of a WAV file of 16, 24 or 32f bits.

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
    scaled = floats * np.float32(_FULL_SCALE_24)  # exact: a power of two
    rounded = np.clip(np.rint(scaled, out=scaled), -_FULL_SCALE_24, _FULL_SCALE_24 - 1.0, out=scaled)
    integers = np.ascontiguousarray(rounded.astype("<i4"))
    return integers.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


class StemWriter:
    """Writes a WAV file block by block.

    The file appears when the ``with`` block ends without an error, else not at all. Past 4 GiB it becomes an
    RF64 file.

    ::

        with StemWriter(path, 16_000, "16") as stem:
            stem.write(block)

    Attributes:
        path: the file.
        kind: rate, width and channels.
        n_frames: samples of each channel written so far.
    """

    def __init__(self, path: Path, rate_hz: int, bits: str = "16", n_channels: int = 1) -> None:
        self.path, self.kind, self.n_frames = path, WavFormat(rate_hz, bits, n_channels), 0
        self._stack = ExitStack()
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> "StemWriter":
        self._stream = self._stack.enter_context(atomic(self.path))
        self._put(wav_header(self.kind, 0))
        return self

    def write(self, block: Block) -> None:
        """Append samples.

        Raises:
            ValueError: the block's shape does not fit the channels.
            MachineError: no space on the disk.
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
            self._put(wav_header(self.kind, n_data))
        self._stack.__exit__(kind, error, trace)


def read_block(path: Path, start_s: float = 0.0, end_s: float | None = None) -> tuple[Float32Array, int]:
    """Read the samples of an audio file between two times.

    Args:
        path: WAV or FLAC (only the stretch is read), or any other format that :func:`decode` reads.
        start_s: start, seconds; times outside the file are left out.
        end_s: end, seconds; None reads to the end.

    Returns:
        Samples, float32, full scale ±1, shape (n,), or (n_channels, n) where there are several (librosa's
        convention); the rate in Hz.

    Raises:
        ItemError: ``missing_file`` or ``not_audio``.
    """
    import soundfile

    if not path.is_file():
        raise _missing(path)
    try:
        with soundfile.SoundFile(path) as source:
            if source.format not in ("WAV", "WAVEX", "RF64", "FLAC"):
                return _decode_block(path, start_s, end_s)
            first, n_frames = _frame_range(start_s, end_s, source.samplerate, source.frames)
            source.seek(first)
            block: Float32Array = source.read(n_frames, dtype="float32")
            return np.ascontiguousarray(block.T), int(source.samplerate)
    except soundfile.LibsndfileError:
        return _decode_block(path, start_s, end_s)


def _missing(path: Path) -> ItemError:
    return ItemError(f"{path} does not exist.", "Process the recording again.", code="missing_file")


def _frame_range(start_s: float, end_s: float | None, rate_hz: int, n_frames: int) -> tuple[int, int]:
    """Return the first frame and the number of frames of a stretch, inside the file."""
    first = min(max(round(start_s * rate_hz), 0), n_frames)
    end = n_frames if end_s is None else min(max(round(end_s * rate_hz), first), n_frames)
    return first, end - first


def _decode_block(path: Path, start_s: float, end_s: float | None) -> tuple[Float32Array, int]:
    """Decode a file that libsndfile reads in part or not at all, then cut the stretch."""
    from recall_audio.media.decode import decode
    from recall_audio.media.pcm_file import open_work
    from recall_audio.media.probe import probe
    from recall_audio.model.options import DecodeOptions

    rate_hz = probe(path).rate_hz
    with tempfile.TemporaryDirectory() as folder:
        samples = open_work(decode(path, Path(folder) / "work", options=DecodeOptions(rate_hz)).path)
        first, n_frames = _frame_range(start_s, end_s, rate_hz, len(samples))
        block = samples[first : first + n_frames].astype(np.float32) / np.float32(FULL_SCALE)
        del samples  # Windows removes no file that is mapped
    return block, rate_hz


_READ_AS = {"PCM_16": ("16", "int16"), "PCM_24": ("24", "float32"), "FLOAT": ("32f", "float32")}
"""libsndfile's subtypes: the width that is written, and the type that holds every value of it."""

_COPIED_SAMPLES = 1 << 18
"""Samples of all channels together that are copied at once."""


def copy_wav(source: Path, target: Path) -> None:
    """Copy the samples of a WAV file under a new header.

    Nothing else of the file is copied.

    Stems of earlier versions hold names and times in further chunks of their headers.

    Args:
        source: a WAV file of 16, 24 or 32f bits, as :class:`StemWriter` writes them.
        target: the file to write.

    Raises:
        ItemError: the file does not exist, or is no such WAV.
        MachineError: the disk is full.
    """
    import soundfile

    wrong = ItemError(
        f"{source} is not a stem that this version wrote.", "Process the recording again.", code="not_audio"
    )
    if not source.is_file():
        raise _missing(source)
    try:
        with soundfile.SoundFile(source) as samples:
            if samples.subtype not in _READ_AS:
                raise wrong
            bits, dtype = _READ_AS[samples.subtype]
            with StemWriter(target, samples.samplerate, bits, samples.channels) as copy:
                while len(block := samples.read(_COPIED_SAMPLES // samples.channels, dtype=dtype)):
                    copy.write(block)
    except soundfile.LibsndfileError:
        raise wrong from None


@dataclass(frozen=True, slots=True)
class Stem:
    """One participant's track on the mix's clock.

    Attributes:
        label: the participant's label.
        path: the audio file; None for a silent participant without one, whose track is zeros.
        rate_hz: sample rate of those zeros.
        n_samples: their number, the mix's length.
    """

    label: str
    path: Path | None
    rate_hz: int = RATE_HZ
    n_samples: int = 0

    def load(self, start_s: float = 0.0, end_s: float | None = None) -> tuple[Float32Array, int]:
        """Read the samples between two times.

        Args:
            start_s: start, seconds on the mix's clock.
            end_s: end, seconds; the stem's own where None. What lies beyond it is left out.

        Returns:
            The samples, float32 in [-1, 1], shape (n,), and their rate in Hz.

        Raises:
            ValueError: nothing of the stem lies between the two times; it names the stem's length.
            ItemError: the file does not exist or cannot be read.
        """
        if self.path is None:
            _, n_frames = _frame_range(start_s, end_s, self.rate_hz, self.n_samples)
            samples, rate_hz = np.zeros(n_frames, dtype=np.float32), self.rate_hz
        else:
            samples, rate_hz = read_block(self.path, start_s, end_s)
        if not samples.size:
            raise ValueError(
                f"Nothing of the stem {self.label} lies from {start_s:g} to "
                f"{'its end' if end_s is None else f'{end_s:g}'} s: it is {self._length_s():.3f} s long."
            )
        return samples, rate_hz

    def _length_s(self) -> float:
        """Return the stem's length in seconds."""
        import soundfile

        if self.path is None:
            return self.n_samples / self.rate_hz
        return float(soundfile.info(self.path).duration)
