"""Turn a track on the mix's clock into the file that a participant's device would record.

Knots ``[[local_s, mix_s], ...]`` with straight lines between them describe a device's clock. Two knots at one
local time are a step: lost audio (mix time jumps forward) or repeated audio (back). The encoders are those of
PyAV's wheels and of libsndfile, so ffmpeg is not needed. The same input gives the same bytes.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000

Floats = npt.NDArray[np.float32]
Knots = Sequence[Sequence[float]]

# Kind: FFmpeg's encoder, sample rate in Hz, sample format, bits a second, container.
_PACKED: dict[str, tuple[str, int, str, int, str]] = {
    "mp3": ("libmp3lame", 44_100, "fltp", 64_000, "mp3"),
    "ogg": ("libopus", 16_000, "flt", 32_000, "ogg"),
    "m4a": ("aac", 44_100, "fltp", 64_000, "mp4"),
}
# Kind: libsndfile's format and subtype.
_SNDFILE = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "vorbis": ("OGG", "VORBIS")}

FORMATS = ("raw", *_PACKED, *_SNDFILE)
"""Everything :func:`encode` can write."""


def knots(start_s: float, duration_s: float, drift_ppm: float = 0.0) -> list[list[float]]:
    """Return the knots of a device that starts at `start_s` of the mix and drifts by `drift_ppm`."""
    return [[0.0, start_s], [duration_s, start_s + duration_s * (1.0 + drift_ppm * 1e-6)]]


def as_recorded(track: Floats, device: Knots) -> Floats:
    """Return the device's samples: sample n is the track at the knots' mix time of n / 16000 s."""
    pieces = []
    for (a, x), (b, y) in pairwise(device):
        n = round(b * RATE_HZ) - round(a * RATE_HZ)
        if n > 0:
            pieces.append(_piece(track, x, (y - x) / (b - a), n))
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.float32)


def _piece(track: Floats, start_s: float, rate: float, n: int) -> Floats:
    """Return `n` samples of the track from `start_s`, at `rate` mix seconds a local second."""
    import soxr

    first = int(np.floor(start_s * RATE_HZ))
    last = first + int(np.ceil(n * rate)) + 64
    low = max(first - 64, 0)
    stretch = np.zeros(last - (first - 64), dtype=np.float32)
    part = track[low : max(last, 0)]
    stretch[low - (first - 64) : low - (first - 64) + len(part)] = part
    moved = advanced(stretch, start_s * RATE_HZ - first)[64:]
    if rate != 1.0:
        moved = soxr.resample(moved, RATE_HZ, RATE_HZ / rate, quality="VHQ")
    out = np.zeros(n, dtype=np.float32)
    out[: min(n, len(moved))] = moved[:n]
    return out


def advanced(x: Floats, n_samples: float) -> Floats:
    """Return `x` earlier by a fraction of a sample, by a phase ramp over its spectrum."""
    if n_samples == 0.0:
        return x
    n = 1 << int(np.ceil(np.log2(len(x) + 64)))
    turn = np.exp(2j * np.pi * np.fft.rfftfreq(n) * n_samples)
    return np.fft.irfft(np.fft.rfft(x, n) * turn, n)[: len(x)].astype(np.float32)


def to_int16(x: Floats) -> npt.NDArray[np.int16]:
    """Convert samples of full scale ±1 to 16 bits."""
    return np.clip(np.rint(x * 32768.0), -32768, 32767).astype(np.int16)


def encode(
    samples: npt.NDArray[np.int16], path: Path, kind: str, tagged: bool = True, bit_rate: int | None = None
) -> None:
    """Write 16 kHz mono samples in one of :data:`FORMATS`.

    Args:
        samples: shape (n,).
        path: the file to write.
        kind: raw, mp3 (44.1 kHz, 64 kb/s), ogg (Opus), m4a, wav, flac or vorbis.
        tagged: False leaves the LAME tag out of an MP3: every decoder then plays it 1105 samples late.
        bit_rate: bits a second instead of the format's default.
    """
    import soundfile

    if kind == "raw":
        path.write_bytes(samples.astype("<i2").tobytes())
    elif kind in _SNDFILE:
        form, subtype = _SNDFILE[kind]
        soundfile.write(path, samples, RATE_HZ, format=form, subtype=subtype)
    else:
        _encode_packed(samples, path, kind, {} if tagged else {"write_xing": "0"}, bit_rate)


def _encode_packed(
    samples: npt.NDArray[np.int16], path: Path, kind: str, options: dict[str, str], bit_rate: int | None
) -> None:
    import av
    import soxr

    codec, rate_hz, layout, usual, container = _PACKED[kind]
    x = samples.astype(np.float32) / np.float32(32768.0)
    if rate_hz != RATE_HZ:
        x = soxr.resample(x, RATE_HZ, rate_hz, quality="HQ")
    with av.open(str(path), "w", format=container, options={"fflags": "+bitexact", **options}) as out:
        stream: Any = out.add_stream(codec, rate=rate_hz, layout="mono", format=layout)
        stream.bit_rate = bit_rate or usual
        if codec == "libmp3lame":
            stream.codec_context.options = {"compression_level": "7"}  # takes half the time of LAME's default
        stream.codec_context.flags |= int(av.codec.context.Flags.bitexact)
        stream.codec_context.open()
        size = stream.codec_context.frame_size
        for at in range(0, len(x), size):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(x[None, at : at + size]), layout, "mono")
            frame.sample_rate, frame.pts = rate_hz, at
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
