"""Who speaks when: what each part says by itself, joined across tracks.

::

    part ──► part_evidence ──┐  each part on its own clock, in a process of its own if wanted
    part ──► part_evidence ──┤
    part ──► part_evidence ──┴─► join_speech     all tracks on the mix's clock, minutes (an era) at a time:
                                  whose voice is in whose track ─ taken out ─ voices learnt ─ frames decided
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core import spans as sp
from recall_audio.core.activity import measure_activity
from recall_audio.core.speech.classify import own_speech
from recall_audio.core.speech.diagnostics import oddities
from recall_audio.core.speech.evidence import part_evidence
from recall_audio.core.speech.frames import Frames, joined
from recall_audio.core.speech.leakage import Observed, Pair, barred_pairs, findings_of, leaks_of, twins
from recall_audio.core.speech.leakage_removal import Signals, clean, load, look, loudest_speaks
from recall_audio.core.speech.voice_model import Voice, learn
from recall_audio.model.alignment import Track
from recall_audio.model.options import SpeechOptions
from recall_audio.model.speech import Detector, OtherThreshold, PartEvidence, SpeechResult
from recall_audio.typing import BoolArray, Spans
from recall_audio.units import FRAME_SAMPLES, RATE_HZ, to_samples

_MARGIN = 1000  # frames heard on both sides of an era, whole gain windows
_FRAMES_OF_ALL_TRACKS = 120_000  # an era times the tracks: 20 minutes of sound held at a time
_ERAS_TO_LEARN_FROM = 3  # evenly over the meeting; they are kept, and not cleaned again, ...
_MANY_ERAS = 60  # ... unless they are so few of all that memory (27 MB each, for hours) is the dearer
_FEWEST_VOICED = 300  # 3 s of voice in the sample; with less, the era itself may know better


def find_speech(
    tracks: Sequence[Track],
    duration_s: float,
    detector: Detector,
    options: SpeechOptions,
    progress: Callable[[int, int], None] | None = None,
) -> SpeechResult:
    """Each participant's own speech.

    Args:
        tracks: every participant, silent ones too; labels differ.
        duration_s: the mix's length: nothing is found past it.
        detector: the voice detector.
        options: what counts as speech.
        progress: called with (parts heard, parts in all).

    Returns:
        segments, raw segments and leakage; every label is there, with no spans where nothing was said.
    """
    parts = [p for t in tracks for p in t.parts]
    evidence: dict[str, PartEvidence] = {}
    for i, part in enumerate(parts):
        evidence[part.part_id] = part_evidence(part.part_id, part.samples, detector)
        if progress is not None:
            progress(i + 1, len(parts))
    return join_speech(tracks, evidence, duration_s, options)


def join_speech(
    tracks: Sequence[Track],
    evidence: Mapping[str, PartEvidence],
    duration_s: float,
    options: SpeechOptions,
) -> SpeechResult:
    """The same from evidence found before, by part id (for parts heard in processes of their own)."""
    join = _Join([t for t in tracks if t.parts], evidence, to_samples(duration_s), options)
    nobody = {t.label: sp.EMPTY for t in tracks}
    unbridged, raw = ({**nobody, **found} for found in join.decide())
    segments, raw = ({k: join.finished(s) for k, s in found.items()} for found in (unbridged, raw))
    leaks = leaks_of(join.observed)
    findings = (*findings_of(segments, raw, leaks, join.twins), *oddities(join.tracks, segments))
    return SpeechResult(segments, raw, leaks, options, findings, unbridged, join.other_thresholds(nobody))


class _Join:
    """One meeting's tracks on their way to segments, an era at a time."""

    def __init__(
        self, tracks: Sequence[Track], evidence: Mapping[str, PartEvidence], end: int, options: SpeechOptions
    ) -> None:
        self.tracks, self.evidence, self.end, self.options = tracks, evidence, end, options
        self.observed: list[Observed] = []
        self.twins: set[Pair] = set()
        self._others = {t: {k.label: [sp.EMPTY] for k in tracks} for t in options.other_thresholds}
        self._n_frames = -(-end // FRAME_SAMPLES)
        self._step = max(_FRAMES_OF_ALL_TRACKS // max(len(tracks), 1), 2 * _MARGIN)

    def decide(self) -> tuple[dict[str, Spans], dict[str, Spans]]:
        """Own and raw speech by label, before pauses are bridged."""
        starts = list(range(0, self._n_frames, self._step))
        sampled = starts[:: -(-len(starts) // _ERAS_TO_LEARN_FROM) or 1]
        known = {start: self._era(start) for start in sampled}
        voices = self._voices(list(known.values()))
        if len(starts) > _MANY_ERAS:
            known = {starts[0]: known[starts[0]]}
        own: dict[str, list[Spans]] = {t.label: [sp.EMPTY] for t in self.tracks}
        raw: dict[str, list[Spans]] = {t.label: [sp.EMPTY] for t in self.tracks}
        for start in starts:
            era = known.pop(start, None) or self._era(start)
            self.observed += era.observed
            for label, frames in era.frames.items():
                inner = slice(era.before, era.before + min(self._step, self._n_frames - start))
                mine, *others = self._judge(frames, voices[label], tuple(self._others))
                leaky = bool(frames.leaked.any())
                heard = self._judge(frames.without_leakage(), voices[label])[0] if leaky else mine
                into = (own, raw, *self._others.values())
                for by_label, mask in zip(into, (mine, heard, *others), strict=True):
                    by_label[label].append(sp.from_mask(mask[inner], FRAME_SAMPLES, start * FRAME_SAMPLES))
        return {k: self._spans(s) for k, s in own.items()}, {k: self._spans(s) for k, s in raw.items()}

    def _era(self, start: int) -> "_Cleaned":
        """An era's frames with leaked voices taken out.

        Paths are learnt where one voice is clearly the loudest. A second round, from what the first found,
        was tried: 0.3 points better on the mean, 0.7 worse at the worst, for twice the CPU.
        """
        first = max(0, start - _MARGIN)
        n = min(start + self._step + _MARGIN, self._n_frames) - first
        era = load(self.tracks, self.evidence, first, n)
        signals = Signals(era)
        sources: dict[str, list[str]] = {}
        speaking: dict[str, BoolArray] = {}
        if self.options.remove_leakage and len(self.tracks) > 1:
            found = twins(era, self.options.threshold)
            self.twins |= found
            speaking = loudest_speaks(era, self.options.threshold)
            sources = look(era, speaking, signals, barred_pairs(found))
        frames, seen = clean(era, speaking, sources, signals)
        inner_s = (start / 100, (start + self._step) / 100)
        return _Cleaned(frames, start - first, tuple(Observed(s, first / 100, inner_s) for s in seen))

    def _voices(self, eras: "Sequence[_Cleaned]") -> dict[str, Voice | None]:
        """Everybody's voice, from a sample of the meeting."""
        return {
            t.label: learn(joined([e.frames[t.label] for e in eras]), self.options.threshold)
            for t in self.tracks
            if eras
        }

    def other_thresholds(self, nobody: Mapping[str, Spans]) -> tuple[OtherThreshold, ...]:
        """Everybody's talk as it would have been decided under the other thresholds."""
        told = []
        for threshold, by_label in self._others.items():
            found = {k: self.finished(self._spans(s)) for k, s in by_label.items()}
            activity = measure_activity(list({**nobody, **found}.values()), self.end)
            talk_s = {k: int(t) / RATE_HZ for k, t in zip(nobody, activity.talk, strict=True)}
            told.append(OtherThreshold(threshold, talk_s, activity.overlap / RATE_HZ))
        return tuple(told)

    def _judge(self, frames: Frames, voice: Voice | None, others: tuple[float, ...] = ()) -> list[BoolArray]:
        """Frames of own speech; somebody not heard in the sample is learnt where they are.

        Under the threshold that was chosen, then under the others, with the voices learnt at the chosen one.
        """
        if voice is None or voice.n_voiced < _FEWEST_VOICED:
            here = learn(frames, self.options.threshold)
            voice = here if voice is None or (here and here.n_voiced > voice.n_voiced) else voice
        if voice is None:
            return [np.zeros(len(frames.probability), dtype=np.bool_) for _ in (0, *others)]
        return own_speech(frames, voice, (self.options.threshold, *others))

    def _spans(self, several: Sequence[Spans]) -> Spans:
        """Spans of eras one after the other as one's."""
        return sp.clip(sp.union(*several), 0, self.end)

    def finished(self, found: Spans) -> Spans:
        """Spans as they are published."""
        return sp.finished(found, to_samples(self.options.bridge_s), to_samples(self.options.shortest_s))


@dataclass(frozen=True, slots=True, eq=False)
class _Cleaned:
    """An era's frames by label, how many of them are margin at its start, and the paths it has."""

    frames: Mapping[str, Frames]
    before: int
    observed: tuple[Observed, ...] = ()
