"""Do to a microphone's sound what call clients do: cancel echo, suppress noise, gate, set the level."""

import numpy as np
from scipy import ndimage, signal

from platform_lab.material import FRAME, RATE_HZ, Floats, Mask, factor, frame_power

_ATTACK_RELEASE = {"slow": (0.05, 0.002, 30), "fast": (0.3, 0.02, 5)}
"""Share of the new level taken in each 10 ms when it rises and falls, and the frames the gain is averaged
over: gains that fall within tens of ms and rise again in 5 s or in half a second."""


def at_samples(mask: Mask, n: int) -> Floats:
    """Return a mask of 10 ms frames as one value a sample."""
    values = np.repeat(mask.astype(np.float32), FRAME)
    return np.pad(values, (0, max(0, n - len(values))))[:n]


def canceller(talking: Mask, n: int, kind: str, first_s: float, residual_db: float) -> Floats:
    """Return the gain of a leak behind an echo canceller.

    Args:
        talking: frames in which the participant speaks: the canceller lets the leak pass then, unless `kind`
            is ``start``.
        n: samples.
        kind: ``double_talk``, ``start`` (it needs its first seconds to adapt) or ``both``.
        first_s: seconds it needs.
        residual_db: what it leaves of the leak otherwise.
    """
    passing = np.zeros(n, dtype=np.float32)
    if kind != "start":
        passing = at_samples(ndimage.binary_dilation(talking, iterations=15), n)
    if kind != "double_talk":
        passing[: int(first_s * RATE_HZ)] = 1
    return ndimage.uniform_filter1d(np.maximum(passing, factor(residual_db)), 1600).astype(np.float32)


def suppress_noise(x: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Return a signal after spectral subtraction, with some musical noise."""
    spectrum = signal.stft(x, RATE_HZ, nperseg=512, noverlap=384)[2]
    power = np.abs(spectrum) ** 2
    noise = np.percentile(power, 15, axis=1, keepdims=True) * 2.2 * strength
    gain = np.sqrt(np.clip(1 - noise / (power + 1e-12), 0, 1))
    gain = ndimage.uniform_filter1d(gain, 3, axis=1)
    gain[gain < 0.25] = 0.01
    gain = np.where(rng.random(gain.shape) < 0.02, np.maximum(gain, 0.5), gain)
    y = signal.istft(spectrum * gain, RATE_HZ, nperseg=512, noverlap=384)[1]
    return np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)].astype(np.float32)


def gate(x: Floats, open_ms: float, hold_ms: float) -> Floats:
    """Return a signal behind a gate that opens late and closes to digital silence."""
    level_db = 10 * np.log10(ndimage.uniform_filter1d(frame_power(x), 3) + 1e-12)
    loud = level_db > np.percentile(level_db, 10) + 14
    is_open = np.zeros(len(loud), dtype=np.bool_)
    run = held = 0
    for i, now in enumerate(loud):
        run = run + 1 if now else 0
        was_open = i > 0 and is_open[i - 1]
        held = int(hold_ms / 10) if now and (was_open or run * 10 > open_ms) else held - 1
        is_open[i] = held > 0
    through = at_samples(is_open, len(x))
    return (x * ndimage.uniform_filter1d(through, 33) * through).astype(np.float32)


def comfort_noise(x: Floats, level_db: float, rng: np.random.Generator) -> Floats:
    """Return a signal with noise in its digital silences."""
    silent = at_samples(frame_power(x) < 1e-10, len(x))
    return (x + silent * rng.standard_normal(len(x)) * factor(level_db)).astype(np.float32)


def automatic_gain(x: Floats, kind: str, most_db: float, target_rms: float = 0.08) -> Floats:
    """Return a signal whose level follows a target, lifted by `most_db` at most and lowered by 12 dB."""
    rise, fall, smooth = _ATTACK_RELEASE[kind]
    level = target_rms**2
    levels = []
    for power in frame_power(x):
        level += (rise if power > level else fall) * (power - level)
        levels.append(level)
    wanted_db = 20 * np.log10(target_rms) - 10 * np.log10(np.array(levels) + 1e-12)
    gain_db = ndimage.uniform_filter1d(np.clip(wanted_db, -12, most_db), smooth)
    by_sample = np.interp(np.arange(len(x)), np.arange(len(gain_db)) * FRAME + FRAME / 2, gain_db)
    return np.tanh(x * 10 ** (by_sample / 20)).astype(np.float32)


def limiter(x: Floats) -> Floats:
    """Return a signal brought to one peak level, within 50 ms."""
    peak = ndimage.uniform_filter1d(ndimage.maximum_filter1d(np.abs(x), 800), 1600)
    return (x * np.minimum(0.1 / (peak + 1e-6), 4)).astype(np.float32)
