"""Find who speaks when: what each part says by itself, joined across tracks.

::

    part ──► part_evidence ──┐  each part on its own clock, in a process of its own if wanted
    part ──► part_evidence ──┴─► join_speech     all tracks on the mix's clock, minutes (a stretch) at a time:
                                  frames ─ compared in pairs ─ owner guessed ─ own speech decided
    mix  ────────────────────────────┘           heard by the detector only where no track explains it

No track owns a sound by default. What a track holds is own speech only where the networks say so.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from recall_audio.core import spans as sp
from recall_audio.core.activity import measure_activity
from recall_audio.core.speech.activity_alone import hears_others, with_activity
from recall_audio.core.speech.diagnostics import oddities
from recall_audio.core.speech.findings import Observed, leaks_of, observe, ownership_findings
from recall_audio.core.speech.frames import FRAME_SAMPLES, may_hold_speech, near
from recall_audio.core.speech.ownership import (
    Hearing,
    Posteriors,
    Stretch,
    across_gates,
    mark_left,
    own_speech,
    read_stretch,
    unassigned_speech,
)
from recall_audio.model.alignment import PlacedPart, Track
from recall_audio.model.options import SpeechOptions
from recall_audio.model.speech import OtherThreshold, OwnershipModel, PartEvidence, SpeechResult
from recall_audio.typing import Float32Array, Spans
from recall_audio.units import RATE_HZ, to_samples

_MARGIN = 500  # frames, 10 s, on both sides of a stretch: the longest running mean reaches 5 s
_FRAMES_OF_ALL_TRACKS = 60_000  # 20 minutes of sound are held at a time, over all tracks
_OTHER, _OTHERS_REACH = 0.8, 3  # probability, and frames about others' speech left as the networks decide
_SHORTEST_STRETCH = 1500  # frames, 30 s: own speech is known by its surroundings


def join_speech(
    tracks: Sequence[Track],
    evidence: Mapping[str, PartEvidence],
    duration_s: float,
    options: SpeechOptions,
    model: OwnershipModel,
    mix: PlacedPart | None = None,
    hear_mix: Hearing | None = None,
) -> SpeechResult:
    """Return each participant's own speech.

    Args:
        tracks: every participant, silent ones too; labels differ.
        evidence: what each part says by itself, by part id.
        duration_s: the mix's length; nothing is found past it.
        options: what counts as speech.
        model: the fitted networks.
        mix: the mixed recording; without it, voices that have no track are not taken out of others' tracks.
        hear_mix: asks the detector about stretches of the mix; without it, speech without a track is not
            found.

    Returns:
        segments, raw segments and leakage; every label is there, with no spans where nothing was said.
    """
    join = _Join([t for t in tracks if may_hold_speech(t, evidence)], evidence, options, mix)
    join.run(to_samples(duration_s), model)
    return join.result([t.label for t in tracks], to_samples(duration_s), hear_mix)


class _Join:
    """One meeting's tracks on their way to segments, a stretch at a time."""

    def __init__(
        self,
        tracks: Sequence[Track],
        evidence: Mapping[str, PartEvidence],
        options: SpeechOptions,
        mix: PlacedPart | None,
    ) -> None:
        self.tracks, self.evidence, self.options, self.mix = tracks, evidence, options, mix
        self.observed: list[Observed] = []

    def run(self, end: int, model: OwnershipModel) -> None:
        """Compute every track's posterior for the meeting's `end` samples."""
        n = -(-end // FRAME_SAMPLES)
        self.posteriors = Posteriors(n)
        self.left = np.zeros(n, dtype=np.uint8)
        step = max(_FRAMES_OF_ALL_TRACKS // max(len(self.tracks), 1), _SHORTEST_STRETCH)
        samples = self.mix.samples if self.mix is not None else None
        for start in range(0, n, step):
            frames = (max(0, start - _MARGIN), min(n, start + step + _MARGIN))
            stretch = read_stretch(self.tracks, self.evidence, frames, samples)
            inner = slice(start - frames[0], min(start + step, n) - frames[0])
            self._add(stretch, self._sharpened(stretch, own_speech(stretch, model)), inner)

    def _sharpened(self, stretch: Stretch, own: Sequence[Float32Array]) -> list[Float32Array]:
        """Return the probabilities with those of tracks that hear no other participant decided by levels."""
        tracks = {t.label: t for t in self.tracks}
        found = []
        for k, one in enumerate(stretch.evidence):
            if hears_others(own, stretch.evidence, k):
                found.append(own[k])
            else:
                others = [p > _OTHER for j, p in enumerate(own) if j != k]
                free = ~near(np.any(others, axis=0), _OTHERS_REACH) if others else np.ones(len(own[k]), bool)
                track = tracks[one.frames.label]
                found.append(with_activity(own[k], track, self.evidence, stretch.first, free))
        pairs = zip(found, stretch.evidence, strict=True)
        return [across_gates(p, one.frames.present) for p, one in pairs]

    def _add(self, stretch: Stretch, own: Sequence[Float32Array], inner: slice) -> None:
        first = stretch.first + inner.start
        for one, probability in zip(stretch.evidence, own, strict=True):
            heard = one.frames.probability
            self.posteriors.put(one.frames.label, first, probability[inner], heard[inner])
        for copy in stretch.copies:
            heard = copy.probability
            self.posteriors.put(copy.label, first, np.zeros_like(heard[inner]), heard[inner])
        self.observed += observe(stretch, own, inner)
        mark_left(self.left, stretch, inner)

    def result(self, labels: Sequence[str], end: int, hear_mix: Hearing | None) -> SpeechResult:
        """Return what was found, for every label."""
        options = self.options
        own = self._decided(labels, options.threshold, end)
        heard = self.posteriors.heard_spans(own, options.threshold)
        raw = {k: sp.clip(v, 0, end) for k, v in heard.items()}
        unbridged = own if options.remove_leakage else raw
        leaks = leaks_of(self.observed) if options.remove_leakage else ()
        segments, published_raw = ({k: self._published(v) for k, v in x.items()} for x in (unbridged, raw))
        unassigned = self._unassigned(end, hear_mix)
        findings = (
            *ownership_findings(segments, published_raw, leaks, self.posteriors, unassigned),
            *oddities(self.tracks, segments),
        )
        return SpeechResult(
            segments,
            published_raw,
            leaks,
            options,
            findings,
            unbridged,
            self._other_thresholds(labels, end),
            unassigned=unassigned,
            posteriors=self.posteriors.own,
        )

    def _decided(self, labels: Sequence[str], threshold: float, end: int) -> dict[str, Spans]:
        return {k: sp.clip(self.posteriors.spans(k, threshold), 0, end) for k in labels}

    def _published(self, spans: Spans) -> Spans:
        bridge, shortest = to_samples(self.options.bridge_s), to_samples(self.options.shortest_s)
        return sp.finished(spans, bridge, shortest)

    def _unassigned(self, end: int, hear_mix: Hearing | None) -> Spans | None:
        if self.mix is None or hear_mix is None:
            return None
        found = unassigned_speech(self.mix, hear_mix, self.posteriors.own, self.left)
        return sp.clip(found, 0, end)

    def _other_thresholds(self, labels: Sequence[str], end: int) -> tuple[OtherThreshold, ...]:
        """Return every participant's talk as decided under the other thresholds."""
        found = []
        for threshold in self.options.other_thresholds:
            own = {k: self._published(v) for k, v in self._decided(labels, threshold, end).items()}
            activity = measure_activity(list(own.values()), end)
            talk_s = {k: int(t) / RATE_HZ for k, t in zip(own, activity.talk, strict=True)}
            found.append(OtherThreshold(threshold, talk_s, activity.overlap / RATE_HZ))
        return tuple(found)
