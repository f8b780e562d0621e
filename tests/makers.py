"""Meetings with exact truth for tests, made from synthetic voices.

As arrays, for tests of the steps::

    import makers

    made = makers.make(n_speakers=3, duration_s=60.0, seed=1, drift_ppm=40.0, leakage_db=-26.0)
    made.mix                            # int16, shape (n,), 16 kHz, sample 0 = mix time 0
    made.parts[0].samples               # int16, what the device recorded, on its own clock
    made.parts[0].time_map              # the true TimeMap, local to mix seconds
    made.speakers[0].spans              # the true speech, rows [start, end) in samples on the mix's clock
    made.audio()                        # [PartAudio, ...] with their nominal (wrong) starts
    made.tracks()                       # [Track, ...] placed by the truth

As files, in the layout of sample_data (mix.mp3, parts/<id>.<format>, meeting.json, truth.json)::

    folder = made.write(tmp_path / "m")

One codec at a time: :func:`encoded` writes any samples as mp3, ogg, m4a, wav, flac, vorbis or raw.

Truth: a span is one phrase, from its first sample to its last; within one there is no silence of more than
60 ms, between two of one speaker at least 0.35 s unless their turns meet. Everything is drawn from
the seed; the same call gives the same meeting.
"""

import json
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import render
import voices

from recall_audio.core import spans
from recall_audio.model.alignment import PartAudio, PlacedPart, TimeMap, Track
from recall_audio.typing import Spans

RATE_HZ = 16_000
Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """What a meeting is made from; times in seconds.

    Attributes:
        n_speakers: up to six different voices; more repeat them.
        duration_s: the mix's length.
        seed: of everything drawn.
        parts: recordings a speaker.
        silent: indices of speakers who never speak (their tracks hold noise alone).
        offset_error_s: nominal starts are wrong by up to this, each way.
        drift_ppm: each part's drift is drawn from ± this; a tuple gives each part's own, repeated.
        leakage_db: others' voices in a track against the speaker's own, or None.
        room: leaked voices come through a room, not as a plain delay.
        snr_db: speech against noise in every track; None leaves the tracks digitally silent between.
        noise_db: level of the mix's own noise, dB of full scale; None for none.
        step_s: each part loses this much in its middle (negative: repeats it); 0 for no step.
        overlap: how readily turns overlap, 0 to 1.
        formats: of the parts' files, cycled.
        tagged: the mix has a LAME tag.
    """

    n_speakers: int = 3
    duration_s: float = 60.0
    seed: int = 0
    parts: int = 1
    silent: tuple[int, ...] = ()
    offset_error_s: float = 0.3
    drift_ppm: float | tuple[float, ...] = 0.0
    leakage_db: float | None = None
    room: bool = False
    snr_db: float | None = 30.0
    noise_db: float | None = -60.0
    step_s: float = 0.0
    overlap: float = 0.3
    formats: tuple[str, ...] = ("ogg", "mp3", "raw")
    tagged: bool = True


@dataclass(frozen=True, eq=False)
class MadeSpeaker:
    """One participant and the truth about them: spans are the speech on the mix's clock, clean the voice."""

    participant_id: int
    name: str
    spans: Spans
    clean: Floats = field(repr=False)


@dataclass(frozen=True, eq=False)
class MadePart:
    """One recording of one participant, and where it truly lies."""

    part_id: str
    speaker: int
    participant_id: int
    samples: Samples = field(repr=False)
    nominal_start_s: float
    time_map: TimeMap
    drift_ppm: float
    format: str

    @property
    def file(self) -> str:
        """Path below the meeting's folder."""
        return f"parts/{self.part_id}.{self.format}"


@dataclass(frozen=True, eq=False)
class Made:
    """A meeting: what a recorder would hand out, and the truth."""

    recipe: Recipe
    mix: Samples = field(repr=False)
    speakers: tuple[MadeSpeaker, ...]
    parts: tuple[MadePart, ...]

    def audio(self) -> list[PartAudio]:
        """The parts as the alignment gets them."""
        return [PartAudio(p.part_id, p.participant_id, p.nominal_start_s, p.samples) for p in self.parts]

    def tracks(self) -> list[Track]:
        """The parts of each speaker as the steps after the alignment get them, truly placed."""
        placed = [(p.speaker, PlacedPart(p.part_id, p.samples, p.time_map)) for p in self.parts]
        return [
            Track(speaker.name, tuple(part for i, part in placed if i == index))
            for index, speaker in enumerate(self.speakers)
        ]

    def meeting_json(self) -> dict[str, Any]:
        """What the recorder knows."""
        people = [
            {
                "id": s.participant_id,
                "name": s.name,
                "is_host": i == 0,
                "platform": "desktop",
                "extra_data": None,
                "email": None,
            }
            for i, s in enumerate(self.speakers)
        ]
        parts = [
            {
                "id": p.part_id,
                "participant": people[p.speaker],
                "format": p.format,
                "file": p.file,
                "start_timestamp": {"relative": p.nominal_start_s},
                "duration": round(len(p.samples) / RATE_HZ, 3),
            }
            for p in self.parts
        ]
        return {
            "recording_id": f"00000000-0000-4000-8000-{self.recipe.seed:012d}",
            "duration": self.recipe.duration_s,
            "participants": people,
            "parts": parts,
        }

    def truth_json(self) -> dict[str, Any]:
        """The truth."""
        return {
            "parts": {
                p.part_id: {
                    "true_start": p.time_map.start_s,
                    "drift_ppm": p.drift_ppm,
                    "speaker": self.speakers[p.speaker].name,
                    "time_map": p.time_map.to_json(),
                }
                for p in self.parts
            },
            "speakers": {s.name: spans.to_seconds(s.spans) for s in self.speakers},
        }

    def write(self, folder: Path) -> Path:
        """The meeting as files: mix.mp3, parts/, meeting.json, truth.json; returns the folder."""
        (folder / "parts").mkdir(parents=True, exist_ok=True)
        encoded(self.mix, folder / "mix.mp3", "mp3", tagged=self.recipe.tagged)
        for part in self.parts:
            encoded(part.samples, folder / part.file, part.format)
        for name, value in (("meeting", self.meeting_json()), ("truth", self.truth_json())):
            (folder / f"{name}.json").write_text(json.dumps(value, indent=1), "utf-8")
        return folder


def make(recipe: Recipe = Recipe(), **changes: Any) -> Made:
    """A meeting by `recipe`, with the fields in `changes` replaced."""
    recipe = replace(recipe, **changes)
    rng = np.random.default_rng(recipe.seed)
    n = round(recipe.duration_s * RATE_HZ)
    spoken = _conversation(recipe, rng)
    speakers = tuple(_speaker(i, turns, n, recipe, rng) for i, turns in enumerate(spoken))
    mix = sum((s.clean * _gain(rng.uniform(-3, 3)) for s in speakers), np.zeros(n, np.float32))
    if recipe.noise_db is not None:
        mix = mix + rng.standard_normal(n, dtype=np.float32) * _gain(recipe.noise_db)
    parts = []
    for i in range(len(speakers)):
        parts += _parts(i, _heard(i, speakers, recipe, rng), speakers, len(parts), recipe, rng)
    return Made(recipe, render.to_int16(np.tanh(mix)), speakers, tuple(parts))


def encoded(samples: Samples, path: Path, kind: str, tagged: bool = True) -> Path:
    """`path`, holding 16 kHz mono samples as `kind` (see render.FORMATS)."""
    render.encode(samples, path, kind, tagged)
    return path


def tone(hz: float, seconds: float, level: float = 0.25, rate_hz: int = RATE_HZ) -> Samples:
    """A sine of amplitude `level`."""
    return render.to_int16(
        np.float32(level) * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    )


def _gain(level_db: float) -> np.float32:
    return np.float32(10.0 ** (level_db / 20.0))


def _conversation(recipe: Recipe, rng: np.random.Generator) -> list[list[tuple[int, int]]]:
    """Turns of each speaker, rows [start, end) in samples: one after the other, some overlapping."""
    talkers = [i for i in range(recipe.n_speakers) if i not in recipe.silent]
    turns: list[list[tuple[int, int]]] = [[] for _ in range(recipe.n_speakers)]
    free = np.zeros(recipe.n_speakers)
    at, last = rng.uniform(0.3, 1.0), -1
    while talkers:
        who = int(rng.choice([i for i in talkers if i != last] or talkers))
        start = max(at, free[who])
        end = start + rng.uniform(2.0, 7.0)
        if end > recipe.duration_s - 0.3:
            break
        turns[who].append((round(start * RATE_HZ), round(end * RATE_HZ)))
        free[who], last = end + 0.4, who
        early = rng.random() < recipe.overlap
        at = end + (-rng.uniform(0.2, 1.2) if early else rng.uniform(0.1, 0.8))
    return turns


def _speaker(
    index: int, turns: list[tuple[int, int]], n: int, recipe: Recipe, rng: np.random.Generator
) -> MadeSpeaker:
    """One participant: their turns spoken by their voice."""
    voice = voices.VOICES[index % len(voices.VOICES)]
    clean, rows, level = np.zeros(n, np.float32), [], _gain(rng.uniform(-6, 3))
    for k, (start, end) in enumerate(turns):
        sound, phrases = voices.speak_spans(voice, (end - start) / RATE_HZ, seed=recipe.seed * 1000 + k)
        clean[start:end] = sound * level
        rows += [(start + a, start + b) for a, b in phrases]
    name = f"{voice.name.title()} {index + 1}"
    return MadeSpeaker(100 + index, name, spans.spans(rows), clean)


def _heard(index: int, speakers: tuple[MadeSpeaker, ...], recipe: Recipe, rng: np.random.Generator) -> Floats:
    """What a participant's microphone hears: their voice, others' leaking in, noise."""
    own = speakers[index].clean
    heard = own.copy()
    for other in (s for i, s in enumerate(speakers) if i != index and recipe.leakage_db is not None):
        delay = int(rng.uniform(0.01, 0.12) * RATE_HZ)
        leaked = _through_room(other.clean, rng) if recipe.room else other.clean
        heard[delay:] += leaked[:-delay] * _gain((recipe.leakage_db or 0.0) + rng.uniform(-4, 4))
    if recipe.snr_db is not None:
        spoken = own[own != 0]
        level = float(np.sqrt(np.mean(spoken**2))) if len(spoken) else voices.LEVEL
        noise = rng.standard_normal(len(own) + 2, dtype=np.float32)
        dull = (noise[:-2] + noise[1:-1] + noise[2:]) / np.float32(
            np.sqrt(3.0)
        )  # a room's noise falls with pitch
        heard += dull * np.float32(level) * _gain(-recipe.snr_db)
    return heard


def _through_room(x: Floats, rng: np.random.Generator) -> Floats:
    """A voice across a room: a decaying tail of noise, highs lost, the same power."""
    from scipy.signal import oaconvolve

    t = np.arange(RATE_HZ // 2) / RATE_HZ
    answer = rng.standard_normal(len(t)) * np.exp(-6.9 * t / rng.uniform(0.15, 0.5))
    answer[0] += 6.0
    answer = np.convolve(answer, (0.25, 0.5, 0.25))[: len(t)]
    out = oaconvolve(x, answer.astype(np.float32))[: len(x)]
    return np.asarray(out * np.sqrt(np.mean(x**2) / (np.mean(out**2) + 1e-12)), dtype=np.float32)


def _parts(
    index: int,
    track: Floats,
    speakers: tuple[MadeSpeaker, ...],
    n_before: int,
    recipe: Recipe,
    rng: np.random.Generator,
) -> list[MadePart]:
    """A participant's recordings: cut, drifting, with steps, nominally misplaced."""
    cuts = np.sort(rng.uniform(0.1, 0.9, recipe.parts - 1)) * recipe.duration_s
    edges, made = [0.0, *cuts, recipe.duration_s], []
    for k, (begin, end) in enumerate(pairwise(edges)):
        start_s = float(begin + rng.uniform(0.0, min(2.0, (end - begin) / 4)))
        number = n_before + k
        ppm = recipe.drift_ppm
        drift = (
            ppm[number % len(ppm)]
            if isinstance(ppm, tuple)
            else float(rng.uniform(-ppm, ppm))
            if ppm
            else 0.0
        )
        device = _device(start_s, end, drift, recipe.step_s)
        wrong_s = float(rng.uniform(-recipe.offset_error_s, recipe.offset_error_s))
        made.append(
            MadePart(
                part_id=f"part-{number:02d}",
                speaker=index,
                participant_id=speakers[index].participant_id,
                samples=render.to_int16(np.tanh(render.as_recorded(track, device))),
                nominal_start_s=round(start_s + wrong_s, 6),
                time_map=TimeMap(tuple((a, b) for a, b in device)),
                drift_ppm=drift,
                format=recipe.formats[number % len(recipe.formats)],
            )
        )
    return made


def _device(start_s: float, end_s: float, drift_ppm: float, step_s: float) -> list[list[float]]:
    """Knots of one recording from `start_s` to `end_s` on the mix's clock, with a step in its middle."""
    clock = 1.0 + drift_ppm * 1e-6
    n = int((end_s - start_s - max(step_s, 0.0)) / clock * RATE_HZ)  # whole samples, all inside the mix
    if step_s == 0.0:
        return [list(k) for k in render.knots(start_s, n / RATE_HZ, drift_ppm)]
    middle_s, local_s = n // 2 / RATE_HZ, n / RATE_HZ
    after_s = start_s + middle_s * clock + step_s
    return [
        [0.0, start_s],
        [middle_s, start_s + middle_s * clock],
        [middle_s, after_s],
        [local_s, after_s + (local_s - middle_s) * clock],
    ]
