"""Measure how a voice sounds over pieces of speech: pitch, level, pace, brightness.

References: Mauch & Dixon, pYIN (ICASSP 2014); De Jong & Wempe, Praat script to detect syllable nuclei and
measure speech rate automatically (Behavior Research Methods 41, 2009); Grey & Gordon (JASA 63, 1978) for the
spectral centroid.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from recall_audio.core.voice.frames import HOP_S, VoiceFrames, analyse_frames, count_nuclei
from recall_audio.model.options import FeatureOptions
from recall_audio.model.turns import VoiceFeatures
from recall_audio.typing import Float32Array, FloatArray
from recall_audio.units import RATE_HZ

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
    pitch, why_pitch = _pitch(f0_hz[f0_hz > 0.0], options)
    rate, why_rate = _rate(frames, loud_db, n_samples / RATE_HZ, options)
    return VoiceFeatures(
        analysed_s=round(n_samples / RATE_HZ, 6),
        **pitch,
        voiced_share=round(float(np.mean(f0_hz > 0.0)), 3),
        level_dbfs=round(10.0 * math.log10(energy) - gain_db, 2),
        syllables_per_s=rate,
        centroid_hz=round(float(np.median(np.concatenate([f.centroid_hz for f in frames])[active])), 1),
        reasons=why_pitch | why_rate,
    )


def _pitch(voiced_hz: FloatArray, options: FeatureOptions) -> tuple[dict[str, float | None], dict[str, str]]:
    """Return F0's median, edges and range, or the reason why there is none."""
    names = ("f0_median_hz", "f0_low_hz", "f0_high_hz", "f0_range_semitones")
    voiced_s = len(voiced_hz) * HOP_S
    if voiced_s < options.voiced_s:
        why = f"{voiced_s:.2f} s of the speech are voiced, {options.voiced_s:g} s are wanted"
        return dict.fromkeys(names), dict.fromkeys(names, why)
    low, median, high = (float(q) for q in np.quantile(voiced_hz, (LOW_QUANTILE, 0.5, HIGH_QUANTILE)))
    values = (round(median, 2), round(low, 2), round(high, 2), round(12.0 * math.log2(high / low), 2))
    return dict(zip(names, values, strict=True)), {}


def _rate(
    frames: Sequence[VoiceFrames], loud_db: float, analysed_s: float, options: FeatureOptions
) -> tuple[float | None, dict[str, str]]:
    """Return the syllable nuclei a second, or the reason why there is no rate."""
    if analysed_s < options.rate_s:
        why = f"{analysed_s:.2f} s of speech, {options.rate_s:g} s are wanted"
        return None, {"syllables_per_s": why}
    return round(sum(count_nuclei(f, loud_db, options) for f in frames) / analysed_s, 3), {}
