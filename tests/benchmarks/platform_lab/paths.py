"""Carry a sound from one place to another: delays that move, a loudspeaker, a codec, a telephone line."""

from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import numpy.typing as npt
import soxr
from scipy import ndimage, signal

from platform_lab.material import FRAME, RATE_HZ, Floats, factor, rms

Knots = npt.NDArray[np.float64]
"""Rows ``[mix time, lag]`` in seconds: constant from each on, or one straight line where there are two of a
drift."""

LAGS = ("fixed", "steps", "jitter", "drift", "late")

_FADE = 80  # samples, 5 ms
_OPUS = {
    "application": "voip",
    "compression_level": "1",
    "frame_duration": "60",
}  # little effort, long frames


def draw_lag(kind: str, duration_s: float, rng: np.random.Generator) -> Knots:
    """Return the lag of a leak over a meeting; ``air`` is a few milliseconds through a room."""
    ranges = {"late": (0.4, 0.7), "air": (0.002, 0.008)}
    base = rng.uniform(*ranges.get(kind, (0.03, 0.3)))
    if kind in ("fixed", "late", "air"):
        return np.array([[0.0, base]])
    if kind == "drift":
        slope = rng.choice([-1.0, 1.0]) * rng.uniform(20e-6, 150e-6)
        return np.array([[0.0, base], [duration_s, max(0.01, base + slope * duration_s)]])
    every_s, spread_s = (rng.uniform(5, 60), 0.25) if kind == "steps" else (rng.uniform(0.5, 4), 0.02)
    spread_s = spread_s if kind == "steps" else rng.uniform(0.005, 0.04)
    gaps = rng.uniform(0.5, 1.5, int(2 * duration_s / every_s) + 1) * every_s
    times = np.r_[0.0, np.cumsum(gaps)]
    times = times[times < duration_s]
    lags = np.maximum(0.005, base + rng.uniform(-spread_s, spread_s, len(times)))
    return np.column_stack((times, lags))


def delayed(x: Floats, knots: Knots, *, sliding: bool) -> Floats:
    """Return a signal later by a lag that changes, with 5 ms fades at its steps."""
    n = len(x)
    if sliding:
        (start_s, first_s), (end_s, last_s) = knots
        rate = 1 + (last_s - first_s) / (end_s - start_s)
        y = soxr.resample(x, RATE_HZ, RATE_HZ * rate).astype(np.float32)
        return _cut(np.r_[np.zeros(int(first_s * RATE_HZ), np.float32), y], n)
    out = np.zeros(n, dtype=np.float32)
    ends = [*(knots[1:, 0] * RATE_HZ).astype(int), n]
    for (start_s, lag_s), end in zip(knots, ends, strict=True):
        start, lag = int(start_s * RATE_HZ), int(lag_s * RATE_HZ)
        piece = x[max(0, start - lag) : max(0, end - lag)].copy()
        if len(piece) > 2 * _FADE:
            ramp = np.linspace(0, 1, _FADE, dtype=np.float32)
            piece[:_FADE] *= ramp
            piece[-_FADE:] *= ramp[::-1]
            out[end - len(piece) : end] = piece
    return out


def _cut(x: Floats, n: int) -> Floats:
    return np.pad(x[:n], (0, max(0, n - len(x)))).astype(np.float32)


def loudspeaker(x: Floats, drive: float) -> Floats:
    """Return a signal through a small loudspeaker that clips softly and unevenly, at the power it had."""
    y = np.tanh(x * np.float32(drive / 0.3))
    y = y + np.float32(0.4) * np.abs(y)
    y = signal.sosfilt(signal.butter(1, 60, "highpass", fs=RATE_HZ, output="sos"), y)
    return (y * rms(x) / rms(y)).astype(np.float32)


def through_opus(x: Floats, kbps: float) -> Floats:
    """Return a signal coded with Opus for speech and decoded again."""
    buffer = BytesIO()
    with av.open(buffer, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE_HZ, options=_OPUS)
        stream.bit_rate = int(kbps * 1000)
        stream.layout = "mono"
        step = 960 * RATE_HZ // 48_000 * 50
        for start in range(0, len(x), step):
            piece = np.clip(x[start : start + step], -1, 1)
            frame = av.AudioFrame.from_ndarray((piece * 32767).astype(np.int16)[None], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, start, Fraction(1, RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return decoded(buffer, len(x))


def through_mp3(x: Floats, kbps: float) -> Floats:
    """Return a signal coded as MP3 and decoded again, in place on its clock."""
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=RATE_HZ)
        stream.bit_rate = int(kbps * 1000)
        stream.layout = "mono"
        for start in range(0, len(x), RATE_HZ):
            piece = np.clip(x[start : start + RATE_HZ], -1, 1)
            frame = av.AudioFrame.from_ndarray((piece * 32767).astype(np.int16)[None], "s16p", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, start, Fraction(1, RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return decoded(buffer, len(x))


def decoded(buffer: BytesIO, n: int) -> Floats:
    """Return what a coded stream holds, at 16 kHz, cut or padded to `n` samples."""
    buffer.seek(0)
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    pieces = []
    with av.open(buffer) as container:
        for frame in container.decode(audio=0):
            pieces += [f.to_ndarray().ravel() for f in resampler.resample(frame)]
        pieces += [f.to_ndarray().ravel() for f in resampler.resample(None)]
    return _cut(np.concatenate(pieces).astype(np.float32) / 32768, n)


def telephone(x: Floats, loss: float, rng: np.random.Generator) -> Floats:
    """Return a signal over a telephone: 300 to 3400 Hz, mu-law, packets of 20 ms lost and faded over."""
    band = signal.butter(4, (300, 3400), "bandpass", fs=8000, output="sos")
    y = signal.sosfilt(band, soxr.resample(x, RATE_HZ, 8000))
    sounding = y[np.abs(y) > 1e-6]
    y = np.clip(y * 0.08 / (rms(sounding) if len(sounding) else 1.0), -1, 1)
    coded = np.round(np.sign(y) * np.log1p(255 * np.abs(y)) / np.log(256) * 127) / 127
    y = np.sign(coded) * np.expm1(np.abs(coded) * np.log(256)) / 255
    packets = y[: len(y) // 160 * 160].reshape(-1, 160)
    missing = 0
    for i in range(1, len(packets)):
        missing = missing + 1 if rng.random() < (0.5 if missing else loss) else 0
        if missing:
            packets[i] = packets[i - 1] * (0.8 if missing < 3 else 0.4)
    return _cut(soxr.resample(y, 8000, RATE_HZ).astype(np.float32), len(x))


def volume_steps(n: int, most_db: float, rng: np.random.Generator) -> Floats:
    """Return a gain for each sample that jumps within ±`most_db` every 10 to 60 s, in 50 ms."""
    times = np.r_[0.0, np.cumsum(rng.uniform(10, 60, n // (10 * RATE_HZ) + 2))]
    levels_db = rng.uniform(-most_db, most_db, len(times))
    at = np.searchsorted(times, np.arange(n // FRAME + 1) / 100, side="right") - 1
    smooth_db = ndimage.uniform_filter1d(np.repeat(levels_db[at], FRAME)[:n], 800)
    return (10 ** (smooth_db / 20)).astype(np.float32)


__all__ = [
    "LAGS",
    "Knots",
    "delayed",
    "draw_lag",
    "factor",
    "loudspeaker",
    "telephone",
    "through_mp3",
    "through_opus",
    "volume_steps",
]
