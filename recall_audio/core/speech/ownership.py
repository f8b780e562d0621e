"""Decide, for a stretch of all tracks, how likely each frame is its participant's own speech."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from recall_audio.core import spans as sp
from recall_audio.core.speech.features import Evidence, context, gather
from recall_audio.core.speech.frames import (
    FRAME_SAMPLES,
    FRAMES_PER_S,
    N_BANDS,
    TrackFrames,
    near,
    read_track,
    runs,
)
from recall_audio.core.speech.mixed import MixFrames, read_mix
from recall_audio.core.speech.on_mix import on_mix
from recall_audio.core.transforms import sliding_mean
from recall_audio.model.alignment import PlacedPart, Track
from recall_audio.model.speech import OwnershipModel, PartEvidence
from recall_audio.typing import BoolArray, ByteArray, Float32Array, Samples, Spans
from recall_audio.units import RATE_HZ

_SURE_FRAMES, _SURE = 25, 0.85  # half a second whose mean probability is at least this is surely own
_LEAST_SURE = 15  # frames, 0.3 s in the whole meeting
_HEARD_RUN = 15  # frames: leaked speech shorter than 0.3 s is not counted as heard
_PAUSE = 10  # frames bridged in what the detector hears
_UTTERANCE, _DOUBT = 10, 0.15  # frames, and the mean chance of a wrong decision from which it counts
_LEAK_REACH = 40  # frames, 0.8 s, within which a leak follows its source


@dataclass(slots=True)
class Posteriors:
    """What was found in every track, one byte for each frame of 20 ms.

    Attributes:
        n: frames of the meeting.
        own: by label, probability of own speech × 255; missing where a track never sounds like speech.
        heard: by label, the detector's probability × 255.
    """

    n: int
    own: dict[str, ByteArray] = field(default_factory=dict)
    heard: dict[str, ByteArray] = field(default_factory=dict)

    def put(self, label: str, first: int, own: Float32Array, heard: Float32Array) -> None:
        """Store a stretch of one track."""
        for kept, values in ((self.own, own), (self.heard, heard)):
            row = kept.setdefault(label, np.zeros(self.n, dtype=np.uint8))
            row[first : first + len(values)] = np.rint(values * 255).astype(np.uint8)

    def spans(self, label: str, threshold: float) -> Spans:
        """Return own speech of a track, pauses not bridged, in samples."""
        if label not in self.own or not self.is_sure(label):
            return sp.EMPTY
        return sp.from_mask(self.own[label] > threshold * 255, FRAME_SAMPLES)

    def is_sure(self, label: str) -> bool:
        """Return whether anything in a track is surely own speech."""
        sure = sliding_mean(self.own[label].astype(np.float32), _SURE_FRAMES) > _SURE * 255
        return int(np.count_nonzero(sure)) >= _LEAST_SURE

    def doubtful_s(self, label: str) -> float:
        """Return the expected seconds of whole utterances that are counted wrongly, or not counted.

        An utterance is a run of frames decided alike. Its edges are always in doubt, so that only those count
        whose mean probability is far from the decision.
        """
        row = self.own.get(label)
        if row is None:
            return 0.0
        probability = row.astype(np.float32) / np.float32(255)
        own, heard = probability > 0.5, self.heard[label] > 127
        wrong = _in_doubt(np.float32(1) - probability, own) + _in_doubt(probability, heard & ~own)
        return wrong * FRAME_SAMPLES / RATE_HZ

    def heard_spans(self, own: Mapping[str, Spans], threshold: float) -> dict[str, Spans]:
        """Return speech on each track, own or not: what the detector hears while another participant speaks.

        Args:
            own: own speech by label, in samples.
            threshold: the detector's.
        """
        masks = {label: sp.to_mask(spans, FRAME_SAMPLES, self.n) for label, spans in own.items()}
        speaking = (
            np.sum(list(masks.values()), axis=0, dtype=np.int16) if masks else np.zeros(self.n, np.int16)
        )
        found = {}
        for label, mask in masks.items():
            leaked = self._leaked(label, mask, speaking - mask > 0, threshold)
            found[label] = sp.union(own[label], sp.from_mask(leaked, FRAME_SAMPLES))
        return found

    def _leaked(self, label: str, own: BoolArray, others: BoolArray, threshold: float) -> BoolArray:
        if label not in self.heard:
            return np.zeros(self.n, dtype=np.bool_)
        heard = sp.bridge(sp.from_mask(self.heard[label] > threshold * 255, 1), _PAUSE)
        rest = sp.to_mask(heard, 1, self.n) & ~own & near(others, _LEAK_REACH)
        return sp.to_mask(sp.drop_short(sp.from_mask(rest, 1), _HEARD_RUN), 1, self.n)


def _in_doubt(wrong: Float32Array, mask: BoolArray) -> float:
    """Return the chance of being wrong, summed over the runs of a mask where its mean is high, in frames."""
    pieces = (wrong[start:end] for start, end in runs(mask) if end - start >= _UTTERANCE)
    return sum(float(piece.sum()) for piece in pieces if piece.mean() > _DOUBT)


_COPY = 0.97  # correlation of two patterns: the same recording, coded twice
_FEWEST_TO_COMPARE = 100


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Some minutes of every track in which there may be speech, n frames of 20 ms.

    Attributes:
        first: first frame on the mix's clock.
        evidence: of each such track.
        mix: the mix, whole and less the tracks; None without a mix.
        copies: tracks that hold the sound of an earlier one or of the mix at the same time; they own nothing.
    """

    first: int
    evidence: tuple[Evidence, ...]
    mix: MixFrames | None
    copies: tuple[TrackFrames, ...] = ()

    @property
    def labels(self) -> list[str]:
        """Labels of the tracks that are looked at."""
        return [e.frames.label for e in self.evidence]


def read_stretch(
    tracks: Sequence[Track],
    heard: Mapping[str, PartEvidence],
    frames: tuple[int, int],
    mix: Samples | None,
) -> Stretch:
    """Return the evidence of frames ``[start, end)`` of all tracks.

    Args:
        tracks: all participants.
        heard: what the detector found in each part, by part id.
        frames: start and end, in frames of 20 ms.
        mix: shape (any,), int16, 16 kHz; None where there is none.
    """
    first, n = frames[0], frames[1] - frames[0]
    read = (read_track(track, heard, first, n) for track in tracks)
    sounding = [t for t in read if t is not None]
    mixed = read_mix(mix, sounding, first, n) if mix is not None and sounding else None
    sounding, copies = _without_copies(sounding)
    if mixed is not None and (held := _whole_mix(sounding, mixed.whole)) is not None:
        copies.append(sounding.pop(held))
    evidence = tuple(gather(sounding, k, mixed) for k in range(len(sounding)))
    return Stretch(first, evidence, mixed, tuple(copies))


def _without_copies(tracks: Sequence[TrackFrames]) -> tuple[list[TrackFrames], list[TrackFrames]]:
    """Return the tracks, and apart from them those that hold the sound of an earlier one at the same time."""
    kept: list[TrackFrames] = []
    copies: list[TrackFrames] = []
    for track in tracks:
        same = any(_is_copy(track, other) for other in kept)
        (copies if same else kept).append(track)
    return kept, copies


_SAME_LEVEL_DB, _MOST_BANDS = 4.0, 0.2
_STEMS_FROM_S, _FEWEST_OWNERS = 2.0, 2


def _whole_mix(tracks: Sequence[TrackFrames], mix: TrackFrames) -> int | None:
    """Return the index of the track that holds the whole mix, such as a note-taker's, or None.

    The track of a participant who speaks nearly alone is like the mix as well: so the mix must also be, at
    its own level, what at least two other tracks hold.
    """
    alike = [k for k, t in enumerate(tracks) if _is_copy(t, mix)]
    if not alike:
        return None
    owners = [k for k, t in enumerate(tracks) if k != alike[0] and _is_mixed_s(t, mix) > _STEMS_FROM_S]
    return alike[0] if len(owners) >= _FEWEST_OWNERS else None


def _is_mixed_s(track: TrackFrames, mix: TrackFrames) -> float:
    """Return the seconds in which a track's voice makes up the mix."""
    clear = (track.bands_db > track.floor_db[:N_BANDS] + 6).astype(np.float32)
    share = clear.mean(axis=1)
    over_db = ((mix.bands_db - track.bands_db) * clear).mean(axis=1) / np.maximum(share, 0.05)
    same = (over_db < _SAME_LEVEL_DB) & (share > _MOST_BANDS) & (track.probability > 0.5)
    return int(np.count_nonzero(same)) / FRAMES_PER_S


def _is_copy(a: TrackFrames, b: TrackFrames) -> bool:
    either = (a.probability > 0.5) | (b.probability > 0.5)
    if np.count_nonzero(either) < _FEWEST_TO_COMPARE:
        return False
    one, other = a.pattern[either], b.pattern[either]
    scale = np.sqrt(np.sum(one * one) * np.sum(other * other))
    return bool(np.sum(one * other) > _COPY * scale)


def own_speech(stretch: Stretch, model: OwnershipModel) -> list[Float32Array]:
    """Return the probability of own speech of each track's frames, shapes (n,); 0 outside of candidates."""
    guesses = [_spread(e, model.guess(e.features)) for e in stretch.evidence]
    further = context(stretch.evidence, guesses) if guesses else []
    decided = (model.decide(e.features, c) for e, c in zip(stretch.evidence, further, strict=True))
    return [_spread(e, p) for e, p in zip(stretch.evidence, decided, strict=True)]


_GATED = 25  # frames, 0.5 s: longer digital silence is a pause; fitted on meetings of gating clients
_SPEECH, _MOSTLY, _IN_A_GATE = 0.5, 0.5, 0.6


def across_gates(own: Float32Array, present: BoolArray) -> Float32Array:
    """Return probabilities with the holes filled that a client's gate cut into own speech.

    A gate sends digital silence where a voice becomes quiet, also within a word.

    Args:
        own: probability of own speech, shape (n,).
        present: shape (n,), whether there is sound that is not digital silence.
    """
    filled = own.copy()
    for start, end in runs(own <= _SPEECH):
        inside = start > 0 and end < len(own)
        if inside and end - start <= _GATED and present[start:end].mean() < _MOSTLY:
            filled[start:end] = np.maximum(own[start:end], np.float32(_IN_A_GATE))
    return filled


def _spread(evidence: Evidence, values: Float32Array) -> Float32Array:
    """Return values of the candidate frames at their places, 0 elsewhere."""
    found = np.zeros(evidence.frames.n, dtype=np.float32)
    found[evidence.rows] = values
    return found


_VOICE = 0.6  # detector probability in the mix
_LEFT = 0.5  # of what is left of the mix, that it holds a voice
_MAYBE_OWN = 0.25
_REACH = 15  # frames, 0.3 s, about possible own speech
_BRIDGE, _SHORTEST = 3 * RATE_HZ // 10, RATE_HZ // 2
_LEFT_SHARE = 0.3  # of a stretch, in which something is left of the mix


def mark_left(left: ByteArray, stretch: Stretch, inner: slice) -> None:
    """Mark the frames in which the mix holds a voice beyond the tracks, or no track is looked at.

    Args:
        left: shape (frames of the meeting,), written to.
        stretch: the tracks.
        inner: the stretch's frames that count.
    """
    here = slice(stretch.first + inner.start, stretch.first + inner.stop)
    if stretch.mix is None:
        left[here] = 255
        return
    sounding = np.any([e.frames.candidate for e in stretch.evidence], axis=0)
    found = np.where(sounding, stretch.mix.rest.probability * 255, 255)
    left[here] = np.rint(found[inner]).astype(np.uint8)


Hearing = Callable[[Spans], PartEvidence]
"""What the detector finds in stretches of the mix, in samples."""


def unassigned_speech(mix: PlacedPart, hear: Hearing, own: Mapping[str, ByteArray], left: ByteArray) -> Spans:
    """Return speech of the mix that no track holds, in samples.

    The mix is heard only where something is left of it and no participant speaks.

    Args:
        mix: the mix.
        hear: asks the detector.
        own: probability of own speech × 255 of every track, shapes (n,).
        left: from :func:`mark_left`, shape (n,).
    """
    n = len(left)
    taken: BoolArray = np.zeros(n, dtype=np.bool_)
    for row in own.values():
        taken |= row > _MAYBE_OWN * 255
    free = ~near(taken, _REACH)
    asked = _mostly_left(sp.drop_short(sp.from_mask(free, FRAME_SAMPLES), _SHORTEST), left, _LEFT_SHARE / 3)
    if not len(asked):
        return sp.EMPTY
    _, quantised, _ = on_mix(Track("mix", (mix,)), {mix.part_id: hear(asked)}, 0, 2 * n)
    voice = quantised.reshape(n, 2).max(axis=1) > _VOICE * 255
    spoken = sp.from_mask(voice & free, FRAME_SAMPLES)
    return _mostly_left(sp.drop_short(sp.bridge(spoken, _BRIDGE), _SHORTEST), left, _LEFT_SHARE)


def _mostly_left(spans: Spans, left: ByteArray, least: float) -> Spans:
    """Return the spans of which a share of at least `least` holds what is left of the mix."""
    summed = np.r_[0, np.cumsum(left > _LEFT * 255)]
    at = np.minimum(spans // FRAME_SAMPLES, len(left))
    share = (summed[at[:, 1]] - summed[at[:, 0]]) / np.maximum(at[:, 1] - at[:, 0], 1)
    return np.asarray(spans[share > least])
