"""Make meetings with exact truth from synthetic voices.

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

:func:`encoded` writes samples as mp3, ogg, m4a, wav, flac, vorbis or raw.

Truth: a span is one phrase, from its first sample to its last. It holds no silence of more than 60 ms; two
spans of one speaker are at least 0.35 s apart unless their turns meet. Everything is drawn from the seed: the
same call gives the same meeting.
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
    """Parameters of a meeting; times in seconds.

    Attributes:
        n_speakers: up to six different voices; more repeat them.
        duration_s: the mix's length.
        seed: seed of all random numbers.
        parts: recordings of each speaker.
        silent: indices of participants who never speak; their tracks hold noise only.
        offset_error_s: largest error of a nominal start, early or late.
        drift_ppm: largest drift of a part, drawn from ± this; a tuple gives the drift of each part, repeated.
        leakage_db: level of leakage against the speaker's own voice; None for no leakage.
        room: leakage has the impulse response of a room instead of a plain delay.
        snr_db: speech against background noise in every track; None for digital silence between speech.
        noise_db: level of the mix's own noise, dB of full scale; None for none.
        step_s: audio lost in the middle of each part; negative: repeated; 0: no step.
        overlap: probability that a turn begins before the last one ends, 0 to 1.
        formats: formats of the parts' files, repeated.
        tagged: whether the mix has a LAME tag.
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
    """One participant: speech on the mix's clock (`spans`) and the voice alone (`clean`)."""

    participant_id: int
    name: str
    spans: Spans
    clean: Floats = field(repr=False)


@dataclass(frozen=True, eq=False)
class MadePart:
    """One recording of one participant, and its true time map."""

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
        """Return the path below the meeting's folder."""
        return f"parts/{self.part_id}.{self.format}"


@dataclass(frozen=True, eq=False)
class Made:
    """A meeting as a recorder gives it, and the truth."""

    recipe: Recipe
    mix: Samples = field(repr=False)
    speakers: tuple[MadeSpeaker, ...]
    parts: tuple[MadePart, ...]

    def audio(self) -> list[PartAudio]:
        """Return the parts as the alignment gets them."""
        return [PartAudio(p.part_id, p.participant_id, p.nominal_start_s, p.samples) for p in self.parts]

    def tracks(self) -> list[Track]:
        """Return each participant's parts in their true place, as later stages get them."""
        placed = [(p.speaker, PlacedPart(p.part_id, p.samples, p.time_map)) for p in self.parts]
        return [
            Track(speaker.name, tuple(part for i, part in placed if i == index))
            for index, speaker in enumerate(self.speakers)
        ]

    def meeting_json(self) -> dict[str, Any]:
        """Return the meeting's facts as the recorder gives them."""
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
        """Return the truth."""
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
        """Write mix.mp3, parts/, meeting.json and truth.json, and return the folder."""
        (folder / "parts").mkdir(parents=True, exist_ok=True)
        encoded(self.mix, folder / "mix.mp3", "mp3", tagged=self.recipe.tagged)
        for part in self.parts:
            encoded(part.samples, folder / part.file, part.format)
        for name, value in (("meeting", self.meeting_json()), ("truth", self.truth_json())):
            (folder / f"{name}.json").write_text(json.dumps(value, indent=1), "utf-8")
        return folder


def make(recipe: Recipe = Recipe(), **changes: Any) -> Made:
    """Make a meeting by `recipe`, with the fields in `changes` replaced."""
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
        parts += _parts(i, _microphone(i, speakers, recipe, rng), speakers, len(parts), recipe, rng)
    return Made(recipe, render.to_int16(np.tanh(mix)), speakers, tuple(parts))


def encoded(samples: Samples, path: Path, kind: str, tagged: bool = True) -> Path:
    """Write 16 kHz mono samples to `path` as `kind` (see render.FORMATS), and return `path`."""
    render.encode(samples, path, kind, tagged)
    return path


def tone(hz: float, seconds: float, level: float = 0.25, rate_hz: int = RATE_HZ) -> Samples:
    """Return a sine of amplitude `level`."""
    return render.to_int16(
        np.float32(level) * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    )


def _gain(level_db: float) -> np.float32:
    return np.float32(10.0 ** (level_db / 20.0))


def _conversation(recipe: Recipe, rng: np.random.Generator) -> list[list[tuple[int, int]]]:
    """Draw the turns of each speaker, rows [start, end) in samples; some overlap."""
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
    """Let a voice speak a participant's turns."""
    voice = voices.VOICES[index % len(voices.VOICES)]
    clean, rows, level = np.zeros(n, np.float32), [], _gain(rng.uniform(-6, 3))
    for k, (start, end) in enumerate(turns):
        sound, phrases = voices.speak_spans(voice, (end - start) / RATE_HZ, seed=recipe.seed * 1000 + k)
        clean[start:end] = sound * level
        rows += [(start + a, start + b) for a, b in phrases]
    name = f"{voice.name.title()} {index + 1}"
    return MadeSpeaker(100 + index, name, spans.spans(rows), clean)


def _microphone(
    index: int, speakers: tuple[MadeSpeaker, ...], recipe: Recipe, rng: np.random.Generator
) -> Floats:
    """Return a participant's track: the voice, leakage of others, background noise."""
    own = speakers[index].clean
    track = own.copy()
    for other in (s for i, s in enumerate(speakers) if i != index and recipe.leakage_db is not None):
        delay = int(rng.uniform(0.01, 0.12) * RATE_HZ)
        leaked = _through_room(other.clean, rng) if recipe.room else other.clean
        track[delay:] += leaked[:-delay] * _gain((recipe.leakage_db or 0.0) + rng.uniform(-4, 4))
    if recipe.snr_db is not None:
        spoken = own[own != 0]
        level = float(np.sqrt(np.mean(spoken**2))) if len(spoken) else voices.LEVEL
        noise = rng.standard_normal(len(own) + 2, dtype=np.float32)
        dull = (noise[:-2] + noise[1:-1] + noise[2:]) / np.float32(
            np.sqrt(3.0)
        )  # a room's noise falls with pitch
        track += dull * np.float32(level) * _gain(-recipe.snr_db)
    return track


def _through_room(x: Floats, rng: np.random.Generator) -> Floats:
    """Apply the impulse response of a room: decaying noise, highs damped, the same power."""
    from scipy.signal import oaconvolve

    t = np.arange(RATE_HZ // 2) / RATE_HZ
    response = rng.standard_normal(len(t)) * np.exp(-6.9 * t / rng.uniform(0.15, 0.5))
    response[0] += 6.0
    response = np.convolve(response, (0.25, 0.5, 0.25))[: len(t)]
    out = oaconvolve(x, response.astype(np.float32))[: len(x)]
    return np.asarray(out * np.sqrt(np.mean(x**2) / (np.mean(out**2) + 1e-12)), dtype=np.float32)


def _parts(
    index: int,
    track: Floats,
    speakers: tuple[MadeSpeaker, ...],
    n_before: int,
    recipe: Recipe,
    rng: np.random.Generator,
) -> list[MadePart]:
    """Cut a track into recordings with drift, steps and wrong nominal starts."""
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
    """Return the knots of a recording from `start_s` to `end_s` of the mix, a step in its middle."""
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
