"""Make up sounds that are no speech of a participant: chords, a keyboard, a laugh, a cough, a television."""

import numpy as np
import numpy.typing as npt
from scipy import signal

from platform_lab.material import (
    FRAME,
    RATE_HZ,
    SOUND_RMS,
    Floats,
    Mask,
    Material,
    factor,
    in_room,
    read,
    rms_where_sounding,
    speak,
)

KINDS = ("music", "keyboard", "laughter", "cough", "television")

_IN_NAME = {
    "music": ("music", "gnome"),
    "keyboard": ("keyboard", "mouse"),
    "laughter": ("laugh",),
    "cough": ("cough", "sneez", "breath", "snor", "drink"),
    "television": ("tv",),
}
_PAUSE_S = {"music": 0.0, "keyboard": 3.0, "laughter": 9.0, "cough": 8.0, "television": 0.0}


def sound(material: Material, kind: str, n: int, rng: np.random.Generator) -> tuple[Floats, Mask]:
    """Return a sound of RMS 0.05 where it sounds, and the frames in which it is speech."""
    silent = np.zeros(n // FRAME, dtype=np.bool_)
    found = [p for p in material.sounds if any(word in p.name.lower() for word in _IN_NAME[kind])]
    if kind == "television" and (not found or rng.random() < 0.6):
        return _television(material, n, rng)
    out = np.zeros(n, dtype=np.float32)
    at_s = rng.uniform(0, 2)
    while at_s < n / RATE_HZ - 0.5:
        recorded = bool(found) and rng.random() < 0.6
        x = read(found[int(rng.integers(len(found)))])[: 20 * RATE_HZ] if recorded else _made_up(kind, rng)
        start = int(at_s * RATE_HZ)
        piece = x[: n - start] / rms_where_sounding(x) * factor(rng.uniform(-3, 3))
        out[start : start + len(piece)] += piece
        at_s += len(x) / RATE_HZ + _PAUSE_S[kind] * rng.uniform(0.4, 1.6)
    return (out / rms_where_sounding(out) * SOUND_RMS).astype(np.float32), silent


def _television(material: Material, n: int, rng: np.random.Generator) -> tuple[Floats, Mask]:
    """Return a voice at another pitch, across a room."""
    starts = np.arange(rng.uniform(0, 3), n / RATE_HZ - 1, 9.5)
    turns = [(float(t), float(min(t + 8, n / RATE_HZ))) for t in starts]
    folder = material.speakers[int(rng.integers(len(material.speakers)))]
    x, spoken = speak(folder, turns, n, rng, float(rng.choice([0.84, 1.17])))
    x = in_room(material, x, rng)
    return (x / rms_where_sounding(x) * SOUND_RMS).astype(np.float32), spoken


def _made_up(kind: str, rng: np.random.Generator) -> Floats:
    return {"keyboard": _keyboard, "laughter": _laugh, "cough": _cough}.get(kind, _chords)(rng)


def _keyboard(rng: np.random.Generator) -> Floats:
    out = np.zeros(int(rng.uniform(1, 6) * RATE_HZ), dtype=np.float32)
    click = np.exp(-np.linspace(0, 8, 480))
    for at in (np.cumsum(rng.uniform(0.07, 0.28, 60)) * RATE_HZ).astype(int):
        piece = rng.standard_normal(480) * click * rng.uniform(0.3, 1)
        out[at : at + 480] += piece[: max(0, len(out) - at)]
    return out


def _laugh(rng: np.random.Generator) -> Floats:
    """Return voiced bursts, four to six a second, falling in pitch, with breath between."""
    pitch_hz, pieces = rng.uniform(120, 420), []
    burst_s, pause, breath = rng.uniform(0.06, 0.12), rng.uniform(0.7, 1.3), rng.uniform(0.02, 0.15)
    formants = zip(np.array([700, 1200, 2600]) * rng.uniform(0.8, 1.25), (1.0, 0.7, 0.3), strict=True)
    filters = [(_band(centre_hz, 0.15), gain) for centre_hz, gain in formants]
    for i in range(int(rng.integers(4, 13))):
        n = int(burst_s * rng.uniform(0.85, 1.2) * RATE_HZ)
        track_hz = pitch_hz * (1 - 0.03 * i) * np.linspace(1.05, 0.92, n)
        source = signal.sawtooth(2 * np.pi * np.cumsum(track_hz) / RATE_HZ)
        burst = np.sum([gain * signal.sosfilt(sos, source) for sos, gain in filters], axis=0)
        rest = int(n * pause)
        pieces += [burst * np.hanning(n), breath * rng.standard_normal(rest) * np.hanning(rest)]
    return np.concatenate(pieces).astype(np.float32)


def _cough(rng: np.random.Generator) -> Floats:
    """Return one to four coughs: a burst of noise, then a voiced or breathy rest."""
    pieces = []
    for _ in range(int(rng.integers(1, 5))):
        n = int(rng.uniform(0.15, 0.45) * RATE_HZ)
        fall = np.exp(-np.linspace(0, rng.uniform(3, 8), n))
        noise = signal.sosfilt(_band(rng.uniform(500, 2000), 0.6), rng.standard_normal(n))
        voiced = signal.sawtooth(2 * np.pi * rng.uniform(90, 260) * np.arange(n) / RATE_HZ)
        part = rng.uniform(0, 0.5)
        pieces += [
            (noise + part * voiced * np.hanning(n)) * fall,
            np.zeros(int(rng.uniform(0.1, 0.5) * RATE_HZ)),
        ]
    return np.concatenate(pieces).astype(np.float32)


def _band(centre_hz: float, half: float) -> npt.NDArray[np.float64]:
    """Return a band-pass about a frequency, `half` of it to each side."""
    edges_hz = ((1 - half) * centre_hz, (1 + half) * centre_hz)
    return np.asarray(signal.butter(2, edges_hz, "bandpass", fs=RATE_HZ, output="sos"))


def _chords(rng: np.random.Generator) -> Floats:
    """Return thirty-two chords with a melody and a beat."""
    t = np.arange(int(rng.uniform(0.4, 0.7) * RATE_HZ)) / RATE_HZ
    out = []
    for root_hz in np.repeat(rng.choice([174.6, 196.0, 220.0, 246.9, 261.6], 4), 8):
        chord = sum(np.sin(2 * np.pi * root_hz * r * h * t) / h for r in (1, 1.26, 1.5) for h in (1, 2, 3))
        melody_hz = 2 * root_hz * 2 ** (rng.choice([0, 2, 4, 7, 9]) / 12)
        melody = 0.5 * np.sin(2 * np.pi * melody_hz * t + 3 * np.sin(35 * t)) * np.hanning(len(t))
        beat = 0.5 * rng.standard_normal(len(t)) * np.exp(-t * 100)
        out.append(0.2 * chord * np.exp(-2 * t) + melody + beat)
    return np.concatenate(out).astype(np.float32)
