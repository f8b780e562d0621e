"""Measure how a voice sounds over pieces of speech: pitch, level, pace, brightness.

::

    frames of 10 ms    level      energy under a window of 64 ms, as Praat's intensity has it
                       centroid   librosa's
    frames of 20 ms    pitch      librosa's pyin (Mauch & Dixon 2014), windows of 40 ms

pyin's own choices are made for music. On read speech, beside Praat's autocorrelation, they found 58 % of the
voiced frames, and 79 % of what they found was voiced. A window of 40 ms (pitch moves less within it), the
third of the paper's priors for the threshold (its mean 0.2 instead of 0.1), rumble filtered out and quiet
frames left out: 88 and 89 %, medians within 0.15 semitones for half of the recordings.

References: Mauch & Dixon, pYIN (ICASSP 2014); De Jong & Wempe, Praat script to detect syllable nuclei and
measure speech rate automatically (Behavior Research Methods 41, 2009); Grey & Gordon (JASA 63, 1978) for the
spectral centroid.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from recall_audio.core.spans import clip, drop_short, spans, subtract, total, union
from recall_audio.model.options import FeatureOptions
from recall_audio.model.turns import VoiceFeatures
from recall_audio.typing import Float32Array, FloatArray, Spans
from recall_audio.units import RATE_HZ, to_samples

HOP = RATE_HZ // 100
"""Samples between two frames: 10 ms."""

HOP_S = 0.01
"""The same in seconds."""

PITCH_HOP = 2 * HOP
"""Samples between two frames of pitch: 20 ms."""

PITCH_WINDOW = RATE_HZ // 25
"""Samples of pyin's window: 40 ms, within which pitch moves little."""

PITCH_STEP_SEMITONES = 0.2
"""Resolution of pyin's pitches."""

FASTEST_OCTAVES_PER_S = 35.92
"""Largest change of pitch that pyin expects: its own default."""

THRESHOLD_PRIOR = (2, 8)
"""The two parameters of pyin's beta prior for its threshold, with a mean of 0.2: the paper's third."""

ENERGY_BLOCK = RATE_HZ // 500
"""Samples whose squares are averaged before they are smoothed: 2 ms."""

INTENSITY_WINDOW_S = 0.064
"""Length of the level's window: Praat's for a lowest pitch of 50 Hz, which De Jong & Wempe used."""

LEAST_ENERGY = 1e-12
"""Added to an energy before its logarithm: −120 dB."""

SILENT_DB = -120.0
"""Level of digital silence."""


def widen(speech: Iterable[Spans], guard_s: float) -> Spans:
    """Return all speakers' speech together, each stretch longer by `guard_s` on either side."""
    guard = to_samples(guard_s)
    return spans((int(a) - guard, int(b) + guard) for a, b in union(*speech))


def clear_speech(start: int, end: int, own: Spans, others: Spans, options: FeatureOptions) -> Spans:
    """Return where the speaker of a turn speaks clear of all others for long enough.

    Args:
        start: of the turn, samples.
        end: of the turn, samples.
        own: the speaker's speech.
        others: the others' speech, as :func:`widen` gives it.
        options: the shortest stretch that counts.
    """
    clear = subtract(clip(own, start, end), clip(others, start, end))
    return drop_short(clear, to_samples(options.shortest_s))


def choose_pieces(stretches: Spans, options: FeatureOptions) -> list[tuple[int, int]]:
    """Return ``(start, end)`` of pieces of up to ``piece_s``, evenly spread if too many.

    Args:
        stretches: speech, samples.
        options: longest piece, shortest piece, and how much is analysed in all.
    """
    longest, limit = to_samples(options.piece_s), to_samples(options.longest_s)
    cut = [piece for start, end in stretches.tolist() for piece in _cut(start, end, longest)]
    every = max(1.0, total(stretches) / limit)  # one moment in so many is analysed
    chosen, passed, used = [], 0, 0
    for start, end in cut:
        passed += end - start
        # A piece is taken once half of it is due.
        room = min(end - start, limit - used)
        if passed - (end - start) / 2 >= used * every and room >= to_samples(options.shortest_s):
            chosen.append((start, start + room))
            used += room
    return chosen


def _cut(start: int, end: int, longest: int) -> list[tuple[int, int]]:
    """Cut a stretch into equal pieces of up to `longest` samples."""
    n_pieces = -(-(end - start) // longest)
    edges = [start + (end - start) * i // n_pieces for i in range(n_pieces)] + [end]
    return list(pairwise(edges))


@dataclass(frozen=True, slots=True, eq=False)
class VoiceFrames:
    """Values of one piece of sound, one each 10 ms.

    Frame i is about sample 160 i.

    Attributes:
        energy: mean square of the whole piece, full scale 1.
        n_samples: its length.
        level_db: level of each frame.
        centroid_hz: spectral centroid of each frame.
        f0_hz: fundamental frequency; 0 where it is not voiced.
    """

    energy: float
    n_samples: int
    level_db: FloatArray
    centroid_hz: FloatArray
    f0_hz: FloatArray


def analyse_frames(samples: Float32Array, options: FeatureOptions) -> VoiceFrames:
    """Measure the frames of mono sound at 16 kHz, full scale 1, at least 0.1 s long."""
    import librosa

    energy = float(np.mean(np.square(samples, dtype=np.float64)))
    if energy == 0.0:
        n = 1 + len(samples) // HOP
        return VoiceFrames(energy, len(samples), np.full(n, SILENT_DB), np.zeros(n), np.zeros(n))
    clean = _without_rumble(samples, options.f0_lowest_hz)
    level_db = intensity_db(clean)
    centroid = librosa.feature.spectral_centroid(y=clean, sr=RATE_HZ, n_fft=512, hop_length=HOP)[0]
    f0_hz = np.repeat(_pitch(clean, options), 2)[: len(level_db)]
    f0_hz = np.pad(f0_hz, (0, len(level_db) - len(f0_hz)), mode="edge")
    return VoiceFrames(energy, len(samples), level_db, centroid[: len(level_db)], f0_hz)


def _without_rumble(samples: Float32Array, lowest_hz: float) -> FloatArray:
    """Return the sound above the lowest pitch, at zero phase."""
    from scipy.signal import butter, sosfiltfilt

    sections: Any = butter(2, lowest_hz, "highpass", fs=RATE_HZ, output="sos")
    return np.asarray(sosfiltfilt(sections, samples.astype(np.float64)))


def _pitch(samples: FloatArray, options: FeatureOptions) -> FloatArray:
    """Return F0 each 20 ms, 0 where it is not voiced."""
    import librosa

    f0_hz, voiced, _ = librosa.pyin(
        samples,
        sr=RATE_HZ,
        fmin=options.f0_lowest_hz,
        fmax=options.f0_highest_hz,
        frame_length=PITCH_WINDOW,
        hop_length=PITCH_HOP,
        resolution=PITCH_STEP_SEMITONES,
        beta_parameters=THRESHOLD_PRIOR,
        max_transition_rate=_fastest_change(options),
    )
    return np.where(voiced, f0_hz, 0.0)


def _fastest_change(options: FeatureOptions) -> float:
    """Return the largest change of pitch to expect, octaves a second.

    pyin refuses one that leads out of the range within a frame. It counts in whole semitones.
    """
    semitones = math.floor(12.0 * math.log2(options.f0_highest_hz / options.f0_lowest_hz))
    return min(FASTEST_OCTAVES_PER_S, semitones / 12.0 * RATE_HZ / PITCH_HOP)


def intensity_db(samples: FloatArray) -> FloatArray:
    """Return the level each 10 ms under a Hann window of 64 ms inside the piece."""
    n_frames = 1 + len(samples) // HOP
    blocks = np.zeros(-(-len(samples) // ENERGY_BLOCK) * ENERGY_BLOCK)
    blocks[: len(samples)] = np.square(samples)
    energy = blocks.reshape(-1, ENERGY_BLOCK).mean(axis=1)
    window = np.hanning(round(INTENSITY_WINDOW_S * RATE_HZ / ENERGY_BLOCK) + 3)[1:-1]
    weight = np.convolve(np.ones(len(energy)), window, mode="same")
    smooth = np.convolve(energy, window, mode="same") / weight
    at = np.minimum(np.arange(n_frames) * (HOP // ENERGY_BLOCK), len(smooth) - 1)
    return np.asarray(10.0 * np.log10(smooth[at] + LEAST_ENERGY))


def count_nuclei(frames: VoiceFrames, loud_db: float, options: FeatureOptions) -> int:
    """Count syllable nuclei: voiced peaks of the level that stand out by ``dip_db``.

    The method is that of De Jong & Wempe 2009.
    Their script wants the dip after a peak alone; here it is wanted on both sides, and the edge of a piece
    counts as one, being the edge of speech but for pieces that were cut.

    Args:
        frames: of one piece.
        loud_db: level below which no peak counts.
        options: how deep a dip has to be.
    """
    from scipy.signal import find_peaks

    edge = [min(float(np.min(frames.level_db)), loud_db) - options.dip_db - 1.0]
    peaks, _ = find_peaks(np.concatenate((edge, frames.level_db, edge)), prominence=options.dip_db)
    peaks = peaks[(peaks > 1) & (peaks < len(frames.level_db))] - 1
    return int(np.sum((frames.level_db[peaks] >= loud_db) & (frames.f0_hz[peaks] > 0.0)))


LOUD_QUANTILE = 0.95
"""Quantile of the frames' levels from which it is counted what is active."""

LOW_QUANTILE = 0.05
HIGH_QUANTILE = 0.95
"""Quantiles of F0 that are its low and high edge."""

NEVER_ALONE = "nowhere in the turn does the speaker speak alone for long enough"
SILENT = "the sound is silent there"


def measure_voice(
    pieces: Iterable[Float32Array],
    options: FeatureOptions = FeatureOptions(),  # noqa: B008 - a frozen value
    gain_db: float = 0.0,
) -> VoiceFeatures:
    """Measure the features of one voice over pieces of its speech.

    Args:
        pieces: mono sound at 16 kHz, full scale 1, shape (n,) each, at least 0.1 s long; taken one at a time.
        options: range of pitch, what counts as a syllable, how much is wanted.
        gain_db: what had been applied to the sound; it is taken out of the level.

    Returns:
        The figures; one that cannot be given is None with a reason. The level against the speaker's median is
        None.
    """
    frames = [analyse_frames(piece, options) for piece in pieces]
    n_samples = sum(f.n_samples for f in frames)
    if not frames:
        return VoiceFeatures.missing(NEVER_ALONE)
    energy = sum(f.energy * f.n_samples for f in frames) / n_samples
    if energy == 0.0:
        return VoiceFeatures.missing(SILENT)
    level_db = np.concatenate([f.level_db for f in frames])
    loud_db = float(np.quantile(level_db, LOUD_QUANTILE)) - options.active_db
    active = level_db >= loud_db
    f0_hz = np.concatenate([f.f0_hz for f in frames])[active]
    pitch, why_pitch = _f0_figures(f0_hz[f0_hz > 0.0], options)
    rate, why_rate = _syllable_rate(frames, loud_db, n_samples / RATE_HZ, options)
    return VoiceFeatures(
        analysed_s=round(n_samples / RATE_HZ, 6),
        **pitch,
        voiced_share=round(float(np.mean(f0_hz > 0.0)), 3),
        level_dbfs=round(10.0 * math.log10(energy) - gain_db, 2),
        syllables_per_s=rate,
        centroid_hz=round(float(np.median(np.concatenate([f.centroid_hz for f in frames])[active])), 1),
        reasons=why_pitch | why_rate,
    )


def _f0_figures(
    voiced_hz: FloatArray, options: FeatureOptions
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Return F0's median, edges and range, or the reason why there is none."""
    names = ("f0_median_hz", "f0_low_hz", "f0_high_hz", "f0_range_semitones")
    voiced_s = len(voiced_hz) * HOP_S
    if voiced_s < options.voiced_s:
        why = f"{voiced_s:.2f} s of the speech are voiced, {options.voiced_s:g} s are wanted"
        return dict.fromkeys(names), dict.fromkeys(names, why)
    low, median, high = (float(q) for q in np.quantile(voiced_hz, (LOW_QUANTILE, 0.5, HIGH_QUANTILE)))
    values = (round(median, 2), round(low, 2), round(high, 2), round(12.0 * math.log2(high / low), 2))
    return dict(zip(names, values, strict=True)), {}


def _syllable_rate(
    frames: Sequence[VoiceFrames], loud_db: float, analysed_s: float, options: FeatureOptions
) -> tuple[float | None, dict[str, str]]:
    """Return the syllable nuclei a second, or the reason why there is no rate."""
    if analysed_s < options.rate_s:
        why = f"{analysed_s:.2f} s of speech, {options.rate_s:g} s are wanted"
        return None, {"syllables_per_s": why}
    return round(sum(count_nuclei(f, loud_db, options) for f in frames) / analysed_s, 3), {}
