"""Give figures of talk their 95 % intervals, from the doubt about the speech counted.

What goes wrong with one speaker goes wrong together: the edges of one voice, one threshold, one leak's gain.
So a speaker's doubtful seconds at edges move as one, in a line; longer runs of doubtful frames are wrong as a
whole; these causes, and different speakers, move apart from each other, in a sum of squares::

    low    √((a over_i)² + (b over_run_i)²)
    high   √((c (over_i + over_run_i))² + (d missed_i)² + (e missed_run_i)² + (f T_i leaked_i / D)²)

where over_i is Σ (1 − p) over the frames counted, missed_i is Σ p over the others (:mod:`.doubt`), and
leaked_i is others' speech that was taken out of the track: while it lasts, own words are missed more often.
Sums, overlaps and shares follow to first order (JCGM 100:2008, Guide to the expression of uncertainty in
measurement, 5.1.2). A share s_i = T_i / S moves with 1 − s_i of its own speaker and with −s_i of the others.

The factors are those of quantile regression (Koenker & Bassett, Econometrica 46, 1978) on meetings whose
truth is known, of voices and rooms that the networks were not fitted to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recall_audio.core.activity import covered
from recall_audio.core.spans import total
from recall_audio.core.talk.doubt import Change, Doubt, count_edges, measure_doubt
from recall_audio.model.talk import PairTalk, SpeakerTalk, Talk, TalkWindow
from recall_audio.typing import ByteArray, FloatArray, Spans
from recall_audio.units import RATE_HZ, to_samples


@dataclass(frozen=True, slots=True)
class IntervalModel:
    """The factors of the half widths.

    Attributes:
        over_low: of doubtful speech counted, at edges, on the lower side.
        run_low: of doubtful speech counted, in longer runs, on the lower side.
        over_high: of all doubtful speech counted, on the upper side.
        missed_high: of doubtful speech not counted, at edges, on the upper side.
        run_high: of doubtful speech not counted, in longer runs, on the upper side.
        leaked_high: of talk times the share of the meeting in which leaked speech was taken out.
        share: of the half widths of shares of talk and of speech.
        overlap: of the half widths of overlaps.
    """

    over_low: float
    run_low: float
    over_high: float
    missed_high: float
    run_high: float
    leaked_high: float
    share: float
    overlap: float


FITTED = IntervalModel(2.252, 4.796, 2.268, 3.704, 7.279, 0.051, share=0.921, overlap=1.091)
"""Fitted by ``tests/benchmarks/intervals.py --fit`` to meetings of two makers."""
EDGE_S = 0.01
"""Half a frame a segment: what is wrong where every frame is sure."""


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """Half widths of 95 % intervals, below and above the figures.

    Attributes:
        low: of the part below, shape (N, ...).
        high: of the part above.
    """

    low: FloatArray
    high: FloatArray

    def __mul__(self, factor: float | FloatArray) -> "Half":
        return Half(self.low * factor, self.high * factor)

    def total(self) -> "Half":
        """Return the half widths of the sum over the speakers, which move apart from each other."""
        return Half(_root(self.low), _root(self.high))


def _root(*values: FloatArray) -> FloatArray:
    """Return the root of the sum of squares over the first axis of one array, or over several arrays."""
    stacked = values[0] if len(values) == 1 else np.stack(np.broadcast_arrays(*values))
    return np.asarray(np.sqrt(np.sum(stacked * stacked, axis=0)))


def _of_others(values: FloatArray) -> FloatArray:
    """Return the root of the sum of squares over all others, for each."""
    squares = values * values
    return np.asarray(np.sqrt(np.maximum(squares.sum() - squares, 0)))


@dataclass(frozen=True, slots=True, eq=False)
class Uncertain:
    """What the intervals of one stretch are computed from; seconds, speakers in one order.

    Attributes:
        talk_s: T_i, shape (N,).
        leaked_s: others' speech that was taken out of each track, shape (N,).
        edges: segments of each, shape (N,).
        lost_s: audio of each that is lost, and may all be speech, shape (N,).
        place_s: half width of each track's place on the mix's clock, NaN where it is not known, shape (N,).
        length_s: the stretch, D.
        doubt: about the speech counted.
        model: the factors.
    """

    talk_s: FloatArray
    leaked_s: FloatArray
    edges: FloatArray
    lost_s: FloatArray
    place_s: FloatArray
    length_s: float
    doubt: Doubt
    model: IntervalModel = FITTED

    def talk(self) -> Half:
        """Return the half widths of each speaker's talk."""
        edge = EDGE_S * self.edges
        found = self._of(self.doubt.talk)
        return Half(_root(found.low, edge), _root(found.high, self._leaked(), edge) + self.lost_s)

    def speech(self) -> Half:
        """Return the half widths of the time in which at least one speaks, by who moves it."""
        return self._of(self.doubt.speech)

    def overlap(self) -> Half:
        """Return the half widths of the overlap, by who moves it."""
        found = self._of(self.doubt.overlap)
        place = np.nan_to_num(self.place_s) * np.sqrt(self.edges)
        high = _root(found.high, self._leaked(), place)
        return Half(_root(found.low, place), high) * self.model.overlap

    def pairs(self) -> Half:
        """Return the half widths of the overlap of each two of ``doubt.known``, shape (K, K)."""
        found, known = self._of(self.doubt.pairs), self.doubt.known

        def lesser(values: FloatArray) -> FloatArray:
            return np.minimum(values[known][:, None], values[known][None, :])

        place = lesser(np.nan_to_num(self.place_s) * np.sqrt(self.edges))
        low = _root(found.low, found.low.T, place)
        high = _root(found.high, found.high.T, place, lesser(self._leaked()))
        return Half(low, high) * self.model.overlap

    def shares(self, own: Half) -> Half:
        """Return the half widths of the shares of talk, of those of talk."""
        whole_s = float(self.talk_s.sum())
        return self._shares(self.talk_s / whole_s, own, own, whole_s)

    def shares_of_speech(self, own: Half, speech_s: float) -> Half:
        """Return the half widths of the shares of the time in which at least one speaks."""
        return self._shares(self.talk_s / speech_s, own, self.speech(), speech_s)

    def _shares(self, share: FloatArray, own: Half, whole: Half, whole_s: float) -> Half:
        low = _root((1 - share) * own.low, share * _of_others(whole.high)) / whole_s
        high = _root((1 - share) * own.high, share * _of_others(whole.low)) / whole_s
        return Half(low, high) * self.model.share

    def _of(self, change: Change) -> Half:
        m, over = self.model, change.over + change.over_run
        low = _root(m.over_low * change.over, m.run_low * change.over_run)
        missed = _root(m.missed_high * change.missed, m.run_high * change.missed_run)
        return Half(low, _root(m.over_high * over, missed))

    def _leaked(self) -> FloatArray:
        if not self.length_s:
            return np.zeros(len(self.talk_s))
        return self.model.leaked_high * self.talk_s * self.leaked_s / self.length_s


def with_intervals(
    talk: Talk,
    speech: Mapping[str, Spans],
    posteriors: Mapping[str, ByteArray],
    uncertainty_ms: Mapping[str, float | None],
    lost_s: Mapping[str, float | None],
    model: IntervalModel = FITTED,
) -> Talk:
    """Add the 95 % intervals to a meeting's figures.

    Every interval holds its figure and stays within what is possible. Where a figure is None, so are its
    ends. A speaker whose place on the mix's clock is not known overlaps others by anything from nothing to
    all.

    Args:
        talk: the figures of the known speakers, without those who are not known.
        speech: label to segments, the labels of ``talk.over``.
        posteriors: label to the probability of own speech × 255 of each 20 ms; missing where nothing is in
            doubt.
        uncertainty_ms: label to the alignment's 95 % half width, None where the place is not known.
        lost_s: label to the length of audio that is lost, where there is any; None where it is not known.
        model: the factors.
    """
    uncertain = uncertain_of(talk, speech, posteriors, uncertainty_ms, lost_s, model)
    speakers = _speakers(talk, talk.over, uncertain)
    return replace(
        talk,
        speakers=speakers,
        pairs=_pairs(talk, speakers, uncertain),
        **_meeting(talk, uncertain),
    )


def uncertain_of(
    talk: Talk,
    speech: Mapping[str, Spans],
    posteriors: Mapping[str, ByteArray],
    uncertainty_ms: Mapping[str, float | None],
    lost_s: Mapping[str, float | None],
    model: IntervalModel = FITTED,
) -> Uncertain:
    """Return what the intervals of a whole meeting are computed from; arguments of :func:`with_intervals`."""
    labels, n = list(talk.over), to_samples(talk.duration_s)
    spans, figures = [speech[label] for label in labels], [talk.speakers[label] for label in labels]
    return Uncertain(
        talk_s=np.array([f.talk_s for f in figures], dtype=np.float64),
        leaked_s=np.array([max(0.0, (f.talk_raw_s or 0.0) - (f.talk_s or 0.0)) for f in figures]),
        edges=count_edges(spans, 0, n).astype(np.float64),
        lost_s=np.array([talk.duration_s if (x := lost_s.get(k, 0.0)) is None else x for k in labels]),
        place_s=places(labels, uncertainty_ms),
        length_s=talk.duration_s,
        doubt=measure_doubt(spans, [posteriors.get(label) for label in labels], 0, n),
        model=model,
    )


def places(labels: Sequence[str], uncertainty_ms: Mapping[str, float | None]) -> FloatArray:
    """Return the half width of each track's place, seconds: 0 without a part, NaN where it is not known."""
    found = [uncertainty_ms.get(label, 0.0) for label in labels]
    return np.array([np.nan if ms is None else ms / 1000 for ms in found], dtype=np.float64)


def ends(name: str, value: float | None, half: tuple[float, float], most: float) -> dict[str, float | None]:
    """Return ``<name>_low`` and ``<name>_high`` within ``[0, most]``, None where the figure is None."""
    if value is None:
        return {f"{name}_low": None, f"{name}_high": None}
    low, high = max(0.0, value - float(half[0])), min(most, value + float(half[1]))
    return {f"{name}_low": min(low, value), f"{name}_high": max(high, value)}


def _speakers(talk: Talk, labels: Sequence[str], uncertain: Uncertain) -> dict[str, SpeakerTalk]:
    own = uncertain.talk()
    of_talk = uncertain.shares(own) if talk.talk_s else own
    of_speech = uncertain.shares_of_speech(own, talk.speech_s) if talk.speech_s else own
    found = {}
    for i, label in enumerate(labels):
        s = talk.speakers[label]
        half_s = own.low[i], own.high[i]
        figures = ends("talk_s", s.talk_s, half_s, talk.duration_s)
        figures |= ends("share_of_talk", s.share_of_talk, (of_talk.low[i], of_talk.high[i]), 1.0)
        figures |= ends("share_of_speech", s.share_of_speech, (of_speech.low[i], of_speech.high[i]), 1.0)
        for name, whole_s in (("share_of_meeting", talk.duration_s), ("share_of_presence", s.presence_s)):
            scaled = (half_s[0] / whole_s, half_s[1] / whole_s) if whole_s else (0.0, 0.0)
            figures |= ends(name, getattr(s, name), scaled, 1.0)
        found[label] = replace(s, **_with_reasons(s.reasons, figures))
    return found


def _with_reasons(reasons: Mapping[str, str], figures: Mapping[str, float | None]) -> dict[str, Any]:
    """Return figures and reasons, with that of a figure for both ends of its interval."""
    further = {
        end: reasons[end.rsplit("_", 1)[0]]
        for end, value in figures.items()
        if value is None and end.rsplit("_", 1)[0] in reasons
    }
    return {**figures, "reasons": {**reasons, **further}}


def _pairs(talk: Talk, speakers: Mapping[str, SpeakerTalk], uncertain: Uncertain) -> tuple[PairTalk, ...]:
    half, own = uncertain.pairs(), uncertain.talk()
    index = {label: i for i, label in enumerate(talk.over)}
    row = {i: k for k, i in enumerate(uncertain.doubt.known.tolist())}
    found = []
    for pair in talk.pairs:
        i, j = index[pair.a], index[pair.b]
        half_s = (0.0, 0.0)
        if np.isnan(uncertain.place_s[[i, j]]).any():
            half_s = talk.duration_s, talk.duration_s
        elif i in row and j in row:
            half_s = float(half.low[row[i], row[j]]), float(half.high[row[i], row[j]])
        most_s = min(float(speakers[x].talk_s_high or 0.0) for x in (pair.a, pair.b))
        shorter = i if uncertain.talk_s[i] <= uncertain.talk_s[j] else j
        share, talk_s = pair.overlap_of_shorter, float(uncertain.talk_s[shorter])
        of_shorter = _of(share, half_s, (own.low[shorter], own.high[shorter]), talk_s)
        figures = ends("overlap_s", pair.overlap_s, half_s, most_s)
        figures |= ends("overlap_of_shorter", share, of_shorter, 1.0)
        found.append(replace(pair, **_with_reasons(pair.reasons, figures)))
    return tuple(found)


def _of(
    ratio: float | None, part: tuple[float, float], whole: tuple[float, float], whole_s: float
) -> tuple[float, float]:
    """Return the half widths of a ratio, of those of its part and its whole, which move apart."""
    if ratio is None or not whole_s:
        return 0.0, 0.0
    low, high = np.hypot(part[0], ratio * whole[1]), np.hypot(part[1], ratio * whole[0])
    return float(low) / whole_s, float(high) / whole_s


def _meeting(talk: Talk, uncertain: Uncertain) -> dict[str, Any]:
    """Return the ends of the meeting's own figures."""
    whole, speech, overlap = (x.total() for x in (uncertain.talk(), uncertain.speech(), uncertain.overlap()))
    unplaced = np.isnan(uncertain.place_s)
    overlapped = [talk.speakers[label].overlapped_s or 0.0 for label in talk.over]
    below, above = (float(np.sum(x)) for x in (np.array(overlapped)[unplaced], uncertain.talk_s[unplaced]))
    overlap_s = float(overlap.low) + below, float(overlap.high) + above
    whole_s, speech_s = (float(whole.low), float(whole.high)), (float(speech.low), float(speech.high))
    figures = ends("talk_s", talk.talk_s, whole_s, len(talk.over) * talk.duration_s)
    figures |= ends("speech_s", talk.speech_s, speech_s, talk.duration_s)
    figures |= ends("overlap_s", talk.overlap_s, overlap_s, talk.duration_s)
    of_speech = _of(talk.overlap_of_speech, overlap_s, speech_s, talk.speech_s)
    of_meeting = _of(talk.overlap_of_meeting, overlap_s, (0.0, 0.0), talk.duration_s)
    figures |= ends("overlap_of_speech", talk.overlap_of_speech, of_speech, 1.0)
    figures |= ends("overlap_of_meeting", talk.overlap_of_meeting, of_meeting, 1.0)
    return _with_reasons(talk.reasons, figures)


def with_window_intervals(
    windows: Sequence[TalkWindow],
    speech: Mapping[str, Spans],
    leaked: Mapping[str, Spans],
    posteriors: Mapping[str, ByteArray],
    uncertainty_ms: Mapping[str, float | None],
) -> tuple[TalkWindow, ...]:
    """Add the 95 % intervals to windows, each from the doubt about its own stretch.

    Args:
        windows: as :func:`~recall_audio.core.talk.measure.slide_talk` gives them.
        speech: label to segments.
        leaked: label to others' speech that was taken out of that track.
        posteriors: label to the probability of own speech × 255 of each 20 ms.
        uncertainty_ms: label to the alignment's 95 % half width, None where the place is not known.
    """
    place_s = places(list(speech), uncertainty_ms)
    spoken_s = np.array([total(spans) / RATE_HZ for spans in speech.values()], dtype=np.float64)
    uncertain = (window_uncertainty(w, speech, leaked, posteriors, place_s) for w in windows)
    return tuple(_window(w, u, spoken_s) for w, u in zip(windows, uncertain, strict=True))


def window_uncertainty(
    window: TalkWindow,
    speech: Mapping[str, Spans],
    leaked: Mapping[str, Spans],
    posteriors: Mapping[str, ByteArray],
    place_s: FloatArray,
) -> Uncertain:
    """Return what a window's intervals are computed from."""
    labels, at = list(speech), np.array([to_samples(window.start_s), to_samples(window.end_s)])
    spans, (start, end) = [speech[label] for label in labels], at.tolist()
    return Uncertain(
        talk_s=np.array([window.talk_s[label] for label in labels], dtype=np.float64),
        leaked_s=np.array([np.diff(covered(leaked[x], at))[0] / RATE_HZ for x in labels], dtype=np.float64),
        edges=count_edges(spans, start, end).astype(np.float64),
        lost_s=np.zeros(len(labels)),
        place_s=place_s,
        length_s=window.length_s,
        doubt=measure_doubt(spans, [posteriors.get(label) for label in labels], start, end),
    )


def _window(window: TalkWindow, uncertain: Uncertain, spoken_s: FloatArray) -> TalkWindow:
    labels = list(window.talk_s)
    own, overlap = uncertain.talk(), uncertain.overlap().total()
    # Where a track's place is not known, none or all of its speech may lie in this window.
    moved = np.where(np.isnan(uncertain.place_s), spoken_s, uncertain.place_s)
    own = Half(_root(own.low, moved), _root(own.high, moved))
    talk = {
        x: ends("x", window.talk_s[x], (own.low[i], own.high[i]), window.length_s)
        for i, x in enumerate(labels)
    }
    share = {x: ends("x", None, (0, 0), 1.0) for x in labels}
    if window.speech_s:
        half = uncertain.shares(own)
        share = {
            x: ends("x", window.share_of_talk[x], (half.low[i], half.high[i]), 1.0)
            for i, x in enumerate(labels)
        }
    low_s, high_s = ends(
        "overlap_s", window.overlap_s, (float(overlap.low), float(overlap.high)), window.length_s
    ).values()
    return replace(
        window,
        overlap_s_low=low_s,
        overlap_s_high=high_s,
        talk_s_low={x: v["x_low"] for x, v in talk.items()},
        talk_s_high={x: v["x_high"] for x, v in talk.items()},
        share_of_talk_low={x: v["x_low"] for x, v in share.items()},
        share_of_talk_high={x: v["x_high"] for x, v in share.items()},
    )
