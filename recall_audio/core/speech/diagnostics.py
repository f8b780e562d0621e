"""Two cases to recognise and say: an own voice that comes back late, and several voices at one microphone.

Both look at a sample of what a participant says while no other participant speaks, at 8 kHz.

::

    echo      ▇▇▅▇▃▁▁▁▂▂▁▂▁▁       the same again, some 100 ms later and fainter: a peak of the whitened
              └─ delay ─┘           autocorrelation that stays where it is, which no voice makes by itself

    pitch     ·   ::· ··     ···::::··         medians of utterances: one voice makes one heap;
              ←  man    gap    woman →         two heaps with nothing between them are two voices
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core import spans as sp
from recall_audio.core.speech.on_mix import HALF_RATE_HZ, read_half
from recall_audio.core.transforms import fast_length, irfft, rfft, sliding_mean
from recall_audio.model.alignment import Track
from recall_audio.model.outcome import Finding
from recall_audio.typing import Float32Array, Spans
from recall_audio.units import RATE_HZ

_MOST = 30
_STRETCH = 4 * RATE_HZ
_SHORTEST = RATE_HZ
_APART = RATE_HZ // 4

_EARLIEST_S, _LATEST_S = 0.08, 1.5
_FEWEST_WINDOWS, _STANDS_OUT, _LEAST_DB = 5, 14.0, -32.0

_FRAME, _HOP = 512, 128
_PITCH_HZ = (65.0, 330.0)
_CLEAR = 0.5
_FEWEST_FRAMES, _FEWEST_UTTERANCES = 20, 8
_LEAST_SHARE, _LEAST_GAP, _LEAST_D = 0.2, 8.0, 5.5


@dataclass(frozen=True, slots=True)
class Echo:
    """An own voice that comes back.

    Attributes:
        delay_ms: after how long.
        gain_db: how loud, against the voice itself.
        height: the peak, in standard deviations of chance.
    """

    delay_ms: float
    gain_db: float
    height: float


@dataclass(frozen=True, slots=True)
class TwoVoices:
    """Two heaps of utterances by pitch.

    Attributes:
        low_hz: median pitch of the lower heap.
        high_hz: of the higher one.
        share: part of the speech that is in the smaller heap.
        d: distance of the heaps over their spread (Ashman, Bird & Zepf 1994: above 2 is two-humped).
    """

    low_hz: float
    high_hz: float
    share: float
    d: float


def oddities(tracks: Sequence[Track], segments: Mapping[str, Spans]) -> tuple[Finding, ...]:
    """What a reader should know about echoes of own voices, and of microphones that several people share."""
    found = []
    for track in tracks:
        stretches = samples_alone(track, segments)
        if (echo := find_echo(stretches)) is not None:
            text = (
                f"This participant's own voice comes back in the track after {echo.delay_ms:.0f} ms, at "
                f"about {echo.gain_db:.0f} dB: an echo, by a loudspeaker or a second device; it may lengthen "
                "turns."
            )
            found.append(Finding("own_echo", text, where=track.label))
        if (voices := find_two_voices(stretches)) is not None:
            text = (
                f"More than one person seems to speak on this track (voices near {voices.low_hz:.0f} Hz and "
                f"{voices.high_hz:.0f} Hz): a shared room. They cannot be told apart here, and count as one."
            )
            found.append(Finding("shared_room", text, where=track.label))
    return tuple(found)


def samples_alone(track: Track, segments: Mapping[str, Spans]) -> list[Float32Array]:
    """Up to two minutes of what a participant says alone, in stretches of up to 4 s."""
    others = sp.union(sp.EMPTY, *(s for k, s in segments.items() if k != track.label))
    wide = sp.union(others + np.array([-_APART, _APART]))
    pieces = [
        (a, min(a + _STRETCH, end))
        for start, end in sp.drop_short(sp.subtract(segments[track.label], wide), _SHORTEST).tolist()
        for a in range(start, end - _SHORTEST + 1, _STRETCH)
    ]
    step = max(1, -(-len(pieces) // _MOST))
    return [read_half(track, a, b - a) for a, b in pieces[::step]]


def find_echo(stretches: Sequence[Float32Array]) -> Echo | None:
    """The own voice's echo in a track, from stretches of own speech at 8 kHz; None where there is none."""
    first, last = round(_EARLIEST_S * HALF_RATE_HZ), round(_LATEST_S * HALF_RATE_HZ)
    long = [x for x in stretches if len(x) >= 2 * HALF_RATE_HZ]
    if len(long) < _FEWEST_WINDOWS:
        return None
    n_fft = fast_length(_STRETCH // 2 + last)
    total = np.zeros(n_fft)
    for x in long:
        spectrum = rfft(x - x.mean(), n_fft)
        power = np.abs(spectrum) ** 2
        # Whitened by its own envelope, 200 Hz wide: what is left is fine structure, where an echo's comb is.
        envelope = sliding_mean(power, round(200 * n_fft / HALF_RATE_HZ)) + 1e-12
        white = irfft(np.minimum(power / envelope, 20.0), n_fft)
        total += white / white[0]
    average = total[: last + 1] / len(long)
    searched = average[first:]
    spread = 1.4826 * float(np.median(np.abs(searched - np.median(searched)))) + 1e-12
    at = int(np.argmax(searched))
    height = float(searched[at] - np.median(searched)) / spread
    gain_db = 20 * float(np.log10(max(searched[at], 1e-6)))
    if height < _STANDS_OUT or gain_db < _LEAST_DB:
        return None  # coders' frames leave peaks of up to 11 at multiples of 20 ms, 33 dB down and fainter
    return Echo((first + at) * 1000 / HALF_RATE_HZ, gain_db, height)


def find_two_voices(stretches: Sequence[Float32Array]) -> TwoVoices | None:
    """Whether utterances fall into two heaps by pitch; None where one voice would explain them."""
    pitch = np.array([p for x in stretches if (p := median_pitch(x)) is not None])
    if len(pitch) < _FEWEST_UTTERANCES:
        return None
    tones = np.sort(12 * np.log2(pitch / 100.0))
    best = None
    for k in range(1, len(tones)):
        share = min(k, len(tones) - k) / len(tones)
        low, high = tones[:k], tones[k:]
        if share < _LEAST_SHARE or high[0] - low[-1] < 1.0:
            continue
        gap = float(np.median(high) - np.median(low))
        d = np.sqrt(2) * gap / np.sqrt(_spread(low) ** 2 + _spread(high) ** 2)
        if gap >= _LEAST_GAP and d >= _LEAST_D and (best is None or d > best.d):
            low_hz, high_hz = (100.0 * 2 ** (float(np.median(x)) / 12) for x in (low, high))
            best = TwoVoices(low_hz, high_hz, share, float(d))
    return best


def median_pitch(x: Float32Array) -> float | None:
    """Median pitch of clearly voiced frames, Hz, by autocorrelation (Boersma 1993); None where too few."""
    if len(x) < _FRAME:
        return None
    window = np.hanning(_FRAME).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(x, _FRAME)[::_HOP]
    frames = frames[(power := np.einsum("ij,ij->i", frames, frames)) > 0.05 * np.percentile(power, 95)]
    r = irfft(np.abs(rfft(frames * window, 2 * _FRAME)) ** 2, 2 * _FRAME)[:, :_FRAME]
    own = irfft(np.abs(rfft(window, 2 * _FRAME)) ** 2, 2 * _FRAME)[:_FRAME]
    low, high = round(HALF_RATE_HZ / _PITCH_HZ[1]), round(HALF_RATE_HZ / _PITCH_HZ[0])
    fair = r[:, low : high + 1] / np.maximum(r[:, :1], 1e-12) / (own[low : high + 1] / own[0])
    # The first lag nearly as high as the highest: a multiple of the period is no period.
    lag = np.argmax(fair >= 0.9 * fair.max(axis=1, keepdims=True), axis=1)
    # from there up to its hill's top
    for _ in range(8):
        ahead = np.minimum(lag + 1, fair.shape[1] - 1)
        rows = np.arange(len(fair))
        lag = np.where(fair[rows, ahead] > fair[rows, lag], ahead, lag)
    voiced = fair.max(axis=1) > _CLEAR
    if np.count_nonzero(voiced) < _FEWEST_FRAMES:
        return None
    return float(np.median(HALF_RATE_HZ / (lag[voiced] + low)))


def _spread(x: Float32Array) -> float:
    return max(float(np.std(x)), 0.7)
