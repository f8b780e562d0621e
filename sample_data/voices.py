"""Synthesise speech-like sound for demos and tests, with numpy alone.

The sound has no words but syllables that a voice activity detector takes for speech: vowels with moving
formants, nasals and liquids, stops with closure and burst, fricatives, phrases that fall in pitch, pauses::

    plan      phrase | pause | phrase        syllables of onset, vowel, sometimes a coda
    tracks    pitch, voicing, formants, noise band, one value each 10 ms, smoothed (coarticulation)
    source    band-limited pulses (Stilson & Smith 1996, BLIT) + aspiration; noise for consonants
    filter    five resonators in cascade (Klatt 1980, eq. 1-3), changed frame by frame, overlap-add

>>> sound = speak(VOICES[0], seconds=4.0, seed=1)          # float32, 16 kHz
>>> sound, spoken = speak_spans(VOICES[0], 4.0, seed=1)    # spoken: [start, end) of each phrase, in samples
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000
HOP = 160
FFT = 512
LEVEL = 0.06
"""RMS of the spoken samples, full scale 1."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker.

    Attributes:
        name: the name in tests.
        pitch_hz: mean fundamental frequency.
        melody: range of the pitch, as a fraction of it.
        tract: factor of the formants; 1 is a man's vocal tract of 17 cm, 1.17 a woman's.
        syllables: syllables a second.
        breath: aspiration against voicing, 0 to 1.
    """

    name: str
    pitch_hz: float
    melody: float
    tract: float
    syllables: float
    breath: float


VOICES = (
    Voice("alto", 196.0, 0.20, 1.15, 4.6, 0.06),
    Voice("baritone", 112.0, 0.16, 1.00, 4.3, 0.03),
    Voice("soprano", 228.0, 0.24, 1.20, 5.1, 0.08),
    Voice("tenor", 138.0, 0.22, 1.05, 5.3, 0.05),
    Voice("bass", 92.0, 0.14, 0.94, 3.9, 0.04),
    Voice("mezzo", 178.0, 0.17, 1.11, 4.1, 0.10),
)
"""Speakers that differ in pitch, tract, pace and breath."""

# First three formants of American English vowels, men's means (Peterson & Barney 1952, table II).
_VOWELS = np.array(
    [
        (270, 2290, 3010),
        (390, 1990, 2550),
        (530, 1840, 2480),
        (660, 1720, 2410),
        (730, 1090, 2440),
        (570, 840, 2410),
        (440, 1020, 2240),
        (300, 870, 2240),
        (640, 1190, 2390),
        (490, 1350, 1690),
    ],
    dtype=np.float64,
)
_UPPER = (3500.0, 4500.0)
_WIDTHS = np.array((70.0, 90.0, 130.0, 200.0, 250.0))

# Voicing, noise, middle and width of the noise in Hz, formants in Hz (0: the vowel's), seconds.
_ONSETS = {
    "m": (0.5, 0.0, 0, 1, (250, 1100, 2200), 0.07),
    "n": (0.5, 0.0, 0, 1, (250, 1500, 2500), 0.06),
    "l": (0.7, 0.0, 0, 1, (360, 1200, 2700), 0.06),
    "r": (0.7, 0.0, 0, 1, (420, 1300, 1650), 0.06),
    "w": (0.6, 0.0, 0, 1, (300, 700, 2200), 0.06),
    "j": (0.6, 0.0, 0, 1, (280, 2200, 2900), 0.05),
    "s": (0.0, 0.5, 5600, 1400, (0, 0, 0), 0.09),
    "S": (0.0, 0.6, 3300, 1100, (0, 0, 0), 0.09),
    "f": (0.0, 0.2, 4500, 3000, (0, 0, 0), 0.08),
    "z": (0.4, 0.3, 5400, 1400, (300, 1700, 2600), 0.07),
    "v": (0.5, 0.1, 4500, 3000, (300, 1100, 2300), 0.05),
    "h": (0.1, 0.3, 1500, 1500, (0, 0, 0), 0.05),
    "p": (0.0, 0.5, 1000, 1200, (0, 0, 0), 0.02),
    "t": (0.0, 0.6, 4200, 1600, (0, 0, 0), 0.02),
    "k": (0.0, 0.5, 2100, 900, (0, 0, 0), 0.03),
    "b": (0.2, 0.2, 900, 900, (200, 900, 2200), 0.02),
    "d": (0.2, 0.3, 3600, 1400, (200, 1700, 2600), 0.02),
    "g": (0.2, 0.3, 2000, 900, (200, 2000, 2300), 0.02),
}
_STOPS = "ptkbdg"
_CLOSURE_S = 0.04
_CODAS = "nmlrsndv"


def speak(voice: Voice, seconds: float, seed: int = 0) -> Floats:
    """Return speech of `voice`, float32, shape (seconds * 16000,): phrases and pauses."""
    return speak_spans(voice, seconds, seed)[0]


def speak_spans(
    voice: Voice, seconds: float, seed: int = 0, pause_s: tuple[float, float] = (0.35, 0.7)
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return speech and its phrases, rows ``[start, end)`` in samples.

    It begins and ends with a phrase. Pauses are drawn from `pause_s`; ``(0, 0)`` gives one phrase.
    """
    rng = np.random.default_rng([seed, int(voice.pitch_hz * 10)])
    n = round(seconds * RATE_HZ)
    sound = np.zeros(n, dtype=np.float32)
    rows = _phrases(n, pause_s, rng)
    for start, end in rows:
        sound[start:end] = _phrase(voice, end - start, rng)
    return sound, np.array(rows, dtype=np.int64).reshape(-1, 2)


def _phrases(n: int, pause_s: tuple[float, float], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draw phrases of 1.2 to 3.2 s and pauses that fill `n` samples; no phrase is below 0.6 s."""
    rows, at, shortest = [], 0, round(0.6 * RATE_HZ)
    while n - at > 0:
        length = round(rng.uniform(1.2, 3.2) * RATE_HZ)
        pause = round(rng.uniform(*pause_s) * RATE_HZ)
        if pause == 0 or at + length + pause + shortest > n:
            length = n - at
        rows.append((at, at + length))
        at += length + pause
    return rows


def _phrase(voice: Voice, n: int, rng: np.random.Generator) -> Floats:
    """Return one phrase of exactly `n` samples, at :data:`LEVEL`."""
    n_frames = -(-n // HOP)
    voicing, noise, band, formants = _tracks(voice, n_frames, rng)
    pitch = _pitch(voice, n_frames, rng)
    source = _pulses(np.interp(np.arange(n), np.arange(n_frames) * HOP, pitch), rng)
    source += voice.breath * rng.standard_normal(n)
    voiced = _filter(source, voicing[:, None] * _vocal_tract(formants))
    rough = _filter(rng.standard_normal(n), noise[:, None] * _noise_band(band))
    sound = voiced / _rms(voiced) + 0.5 * rough / (_rms(rough) + 0.05)
    edge = min(160, n // 2)
    fade = np.sin(np.linspace(0, np.pi / 2, edge)) ** 2
    sound[:edge] *= fade
    sound[n - edge :] *= fade[::-1]
    return np.asarray(sound * (LEVEL / max(_rms(sound), 1e-9)), dtype=np.float32)


def _rms(x: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(x**2)))


Tracks = tuple[npt.NDArray[np.float64], ...]


def _tracks(voice: Voice, n_frames: int, rng: np.random.Generator) -> Tracks:
    """Return voicing, noise, noise band (middle, width) and three formants of each 10 ms frame."""
    rows: list[tuple[float, ...]] = []
    while len(rows) < n_frames:
        rows += _syllable(voice, rng)
    table = np.array(rows[:n_frames])
    smooth = np.apply_along_axis(
        lambda x: np.convolve(np.pad(x, 2, "edge"), np.full(5, 0.2), "valid"), 0, table
    )
    quick = np.apply_along_axis(
        lambda x: np.convolve(np.pad(x, 1, "edge"), (0.25, 0.5, 0.25), "valid"), 0, table
    )
    return quick[:, 0], quick[:, 1], table[:, 2:4], smooth[:, 4:] * voice.tract


def _syllable(voice: Voice, rng: np.random.Generator) -> list[tuple[float, ...]]:
    """Return one syllable, a row for each frame."""
    vowel = _VOWELS[rng.integers(len(_VOWELS))]
    glide = vowel + rng.uniform(0.0, 0.35) * (_VOWELS[rng.integers(len(_VOWELS))] - vowel)
    rows = _consonant(str(rng.choice(list(_ONSETS))), vowel)
    left = max(round(rng.normal(1.0, 0.2) * 100.0 / voice.syllables) - len(rows), 7)
    stress = rng.uniform(0.75, 1.0)
    rows += [(stress, 0.0, 1000.0, 1000.0, *(vowel + (glide - vowel) * i / left)) for i in range(left)]
    if rng.random() < 0.3:
        rows += _consonant(str(rng.choice(list(_CODAS))), glide)
    return rows


def _consonant(name: str, vowel: npt.NDArray[np.float64]) -> list[tuple[float, ...]]:
    voicing, noise, middle, width, formants, seconds = _ONSETS[name]
    own = np.where(np.array(formants) > 0, formants, vowel)
    closure = [(0.0, 0.0, middle, width, *own)] * round(100 * _CLOSURE_S) if name in _STOPS else []
    return closure + [(voicing, noise, middle, width, *own)] * round(100 * seconds)


def _pitch(voice: Voice, n_frames: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return the pitch of each frame: a fall over the phrase, accents, a little jitter."""
    t = np.linspace(0.0, 1.0, n_frames)
    knots = max(n_frames // 25, 2)
    accents = np.interp(t, np.linspace(0.0, 1.0, knots), rng.uniform(-0.5, 1.0, knots))
    unsteady = np.convolve(rng.standard_normal(n_frames + 4), np.full(5, 0.2), "valid") * 0.012
    return np.asarray(voice.pitch_hz * (1.0 + voice.melody * (0.5 - t + 0.6 * accents) + unsteady))


def _pulses(pitch_hz: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a band-limited pulse train (Stilson & Smith 1996, eq. 6)."""
    phase = np.cumsum(pitch_hz) / RATE_HZ + rng.random()
    m = 2 * np.floor(0.5 * RATE_HZ / pitch_hz.max()) - 1  # harmonics, odd; one count for the phrase
    below = np.sin(np.pi * phase)
    safe = np.where(np.abs(below) < 1e-6, 1.0, below)
    pulse = np.where(np.abs(below) < 1e-6, 1.0, np.sin(np.pi * phase * m) / (m * safe))
    return np.asarray((pulse - 1.0 / m) * np.sqrt(m))


def _vocal_tract(formants: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
    """Return the transfer function of each frame, shape (frames, bins).

    Source tilt, then five resonators in cascade (Klatt 1980).
    """
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(FFT))
    upper = np.broadcast_to(np.array(_UPPER) * (formants[:, :1] * 0 + 1.0), (len(formants), 2))
    response = np.ones((len(formants), len(z)), dtype=np.complex128) * (1 - z) / (1 - 0.92 * z) ** 2
    for i, hz in enumerate(np.column_stack((formants, upper)).T):
        r = np.exp(-np.pi * _WIDTHS[i] / RATE_HZ)
        b = 2.0 * r * np.cos(2.0 * np.pi * hz[:, None] / RATE_HZ)
        response *= (1.0 - b + r * r) / (1.0 - b * z + r * r * z * z)
    return np.asarray(response)


def _noise_band(band: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return a bell around each frame's noise band, shape (frames, bins)."""
    hz = np.fft.rfftfreq(FFT, 1.0 / RATE_HZ)
    return np.asarray(np.exp(-0.5 * ((hz - band[:, :1]) / band[:, 1:]) ** 2))


def _filter(
    source: npt.NDArray[np.float64], response: npt.NDArray[np.complex128] | npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Filter `source` by a response that changes each frame: Hann windows, overlap-add."""
    n, n_frames = len(source), len(response)
    padded = np.concatenate((np.zeros(HOP), source, np.zeros((n_frames + 1) * HOP - n)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * HOP)[::HOP][:n_frames]
    window = np.hanning(2 * HOP + 1)[:-1]
    pieces = np.fft.irfft(np.fft.rfft(frames * window, FFT) * response, FFT)
    out = np.zeros((n_frames - 1) * HOP + FFT + HOP)
    rows = -(-FFT // HOP)
    for i in range(rows):  # each piece spans several hops: add them hop by hop
        part = pieces[:, i * HOP : (i + 1) * HOP]
        full = np.zeros((n_frames, HOP))
        full[:, : part.shape[1]] = part
        out[i * HOP : (i + n_frames) * HOP] += full.ravel()
    return out[HOP : HOP + n]
