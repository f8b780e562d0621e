"""Measure stems with reference programs, and make signals whose values are known."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyebur128
import soundfile as sf

from recall_audio.core.stems.meters import EnergyMeter, PeakMeter, block_energies, gated_lufs

Floats = npt.NDArray[np.float64]


def libebur128(signal: npt.NDArray[np.floating], rate_hz: int) -> tuple[float, float]:
    """Return integrated loudness (LUFS) and true peak (dBTP) of a mono signal by libebur128."""
    mode = pyebur128.MeasurementMode.MODE_I | pyebur128.MeasurementMode.MODE_TRUE_PEAK
    state = pyebur128.R128State(1, rate_hz, mode)
    state.add_frames(np.ascontiguousarray(signal, dtype=np.float32), len(signal))
    with np.errstate(divide="ignore"):
        peak_dbtp = float(20.0 * np.log10(pyebur128.get_true_peak(state, 0)))
    return pyebur128.get_loudness_global(state), peak_dbtp


def libebur128_of(path: Path) -> tuple[float, float]:
    """Return the same of a mono file that libsndfile reads."""
    signal, rate_hz = sf.read(path, dtype="float32")
    return libebur128(signal, rate_hz)


def ours(signal: npt.NDArray[np.floating], rate_hz: int, block: int = 7919) -> tuple[float, float]:
    """Return the same by this package, in blocks of a size that divides nothing."""
    energy, peak = EnergyMeter(rate_hz), PeakMeter(rate_hz)
    for start in range(0, len(signal), block):
        energy.add(signal[start : start + block].astype(np.float32))
        peak.add(signal[start : start + block].astype(np.float32))
    return gated_lufs(block_energies(energy.energies())), peak.dbtp


def sine(hz: float, level_db: float, seconds: float, rate_hz: int, phase: float = 0.0) -> Floats:
    """Return a sine of a peak level in dBFS."""
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    return 10.0 ** (level_db / 20.0) * np.sin(2.0 * np.pi * hz * at + phase)


def int16(signal: npt.NDArray[np.floating]) -> npt.NDArray[np.int16]:
    """Convert a signal of full scale 1 to 16-bit samples."""
    return np.clip(np.rint(signal * 32768.0), -32768, 32767).astype(np.int16)


def clicks(n_samples: int, at: Floats) -> npt.NDArray[np.int16]:
    """Return band-limited clicks (windowed sinc, below 7 kHz at 16 kHz) between samples."""
    signal = np.zeros(n_samples)
    for p in at:
        k = np.arange(int(p) - 60, int(p) + 62)
        signal[k] += np.sinc((k - p) * 0.8) * np.cos(np.pi * (k - p) / 130.0) ** 2
    return int16(0.6 * signal)


def landing(signal: npt.NDArray[np.floating], about: float) -> float:
    """Return the position between samples of the click near `about`, from its phase's slope."""
    centre = round(about)
    part = np.pad(signal[centre - 50 : centre + 51].astype(np.float64), (0, 4096 - 101))
    spectrum = np.fft.rfft(np.roll(part, -50))
    hz = np.fft.rfftfreq(4096)
    band = (hz > 0.02) & (hz < 0.35)
    slope = np.polyfit(hz[band], np.unwrap(np.angle(spectrum[band])), 1, w=np.abs(spectrum[band]))[0]
    return float(centre - slope / (2.0 * np.pi))


def babble(seconds: float, seed: int, rate_hz: int = 16_000) -> Floats:
    """Return noise with a voice's tilt and syllables, about −20 dBFS, for tests of levels."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate_hz)
    white = rng.standard_normal(n + 64)
    tilted = np.convolve(white, np.hanning(7) / 2.0, mode="same")[:n]
    syllables = 0.2 + np.abs(np.sin(2.0 * np.pi * 2.1 * np.arange(n) / rate_hz + seed))
    return 0.1 * tilted * syllables
