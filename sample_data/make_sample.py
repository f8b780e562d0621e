"""Make the sample meeting.

Run ``python make_sample.py [FOLDER]``; the default folder is this script's own.

The meeting is a weekly call of 78 s. Zoë hosts, Marcus' clock drifts by 40 ppm, Priya leaves and rejoins (two
parts), Jonas is present and muted::

    s       0        10        20        30        40        50        60        70
    Zoë     ████▌   ▖ ▖     ███▌       ████▌        █████          ███▌     ▄ █████ █▌
    Marcus        ████▌    ▖   ███████▌      █████   ▖  █████▌        ████▌       ██
    Priya              ██████        ██   ███         |   ████▌          ████
    Jonas

The script writes the files of a recorder (meeting.json, mix.mp3, parts/) and the truth (truth.json). Every
voice is synthetic (voices.py). The script needs numpy, soxr, soundfile and PyAV; the same versions of them
give the same bytes.
"""

import json
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from render import RATE_HZ, Floats, as_recorded, encode, knots, to_int16
from voices import LEVEL, VOICES, Voice, speak_spans

DURATION_S = 78.0
STARTED = datetime(2026, 1, 12, 9, 0, tzinfo=UTC)
SEED = 20260112


@dataclass(frozen=True, slots=True)
class Person:
    """One participant; a voice of None never speaks."""

    participant_id: int
    name: str
    email: str
    voice: Voice | None
    level_db: float
    client: str = "desktop"
    host: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the participant as the API describes one."""
        return {
            "id": self.participant_id,
            "name": self.name,
            "is_host": self.host,
            "platform": self.client,
            "extra_data": {"zoom": {"conf_user_id": str(33_555_000 + self.participant_id)}},
            "email": self.email,
        }


@dataclass(frozen=True, slots=True)
class Part:
    """One recording of one participant, with its drift and the error of its nominal start."""

    person: int
    start_s: float
    end_s: float
    kind: str
    drift_ppm: float
    wrong_s: float
    bit_rate: int | None = None

    @property
    def part_id(self) -> str:
        """Return the part's id, the same in every run."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"part/{SEED}/{self.person}/{self.start_s}"))


ZOE, MARCUS, PRIYA, JONAS = range(4)

PEOPLE = (
    Person(100, "Zoë Lindqvist", "zoe.lindqvist@example.com", VOICES[0], 0.0, host=True),
    Person(101, "Marcus Webb", "marcus.webb@example.com", VOICES[1], -7.0),
    Person(102, "Priya Raman", "priya.raman@example.com", VOICES[2], 3.0, client="mobile_app"),
    Person(103, "Jonas Berg", "jonas.berg@example.com", None, 0.0),
)

# Start in seconds, participant, length in seconds. Those of half a second are backchannels.
TURNS = (
    (0.8, ZOE, 5.2),
    (6.3, MARCUS, 4.6),
    (8.6, ZOE, 0.5),
    (10.6, PRIYA, 6.0),
    (13.4, MARCUS, 0.5),
    (16.9, ZOE, 3.8),
    (20.5, MARCUS, 7.4),
    (25.4, PRIYA, 2.2),
    (28.3, ZOE, 4.2),
    (33.0, PRIYA, 3.2),
    (36.5, MARCUS, 4.6),
    (41.4, ZOE, 5.2),
    (44.1, MARCUS, 0.5),
    (46.8, MARCUS, 5.6),
    (51.9, PRIYA, 4.4),
    (56.7, ZOE, 3.6),
    (59.9, MARCUS, 4.3),
    (64.6, PRIYA, 3.9),
    (66.1, ZOE, 0.6),
    (68.8, ZOE, 4.6),
    (72.6, MARCUS, 2.2),
    (75.1, ZOE, 1.7),
)

PARTS = (
    Part(ZOE, 0.413207, 77.9, "ogg", 0.0, -0.187, 24_000),
    Part(MARCUS, 1.270931, 77.8, "mp3", 40.0, 0.264, 32_000),
    Part(PRIYA, 2.052148, 37.4, "ogg", 0.0, 0.093),
    Part(PRIYA, 50.337719, 69.1, "raw", 0.0, -0.231),
    Part(JONAS, 3.118, 77.6, "ogg", 0.0, 0.12),
)


def spoken(person: int) -> tuple[Floats, list[tuple[int, int]]]:
    """Return a participant's voice over the whole meeting, and its phrases in samples."""
    track, rows, voice = np.zeros(round(DURATION_S * RATE_HZ), np.float32), [], PEOPLE[person].voice
    for k, (start_s, who, length_s) in enumerate(TURNS):
        if who == person and voice is not None:
            sound, phrases = speak_spans(voice, length_s, seed=SEED + k)
            at = round(start_s * RATE_HZ)
            track[at : at + len(sound)] = sound * np.float32(10 ** (PEOPLE[person].level_db / 20))
            rows += [(at + int(a), at + int(b)) for a, b in phrases]
    return track, rows


def microphone(track: Floats, person: int, rng: np.random.Generator) -> Floats:
    """Add a room's noise 38 dB below the voice; a muted microphone stays silent."""
    if PEOPLE[person].voice is None:
        return track
    noise = rng.standard_normal(len(track) + 2, dtype=np.float32)
    level = np.float32(LEVEL * 10 ** ((PEOPLE[person].level_db - 38.0) / 20) / np.sqrt(3.0))
    return track + (noise[:-2] + noise[1:-1] + noise[2:]) * level


def moment(at_s: float) -> dict[str, Any]:
    """Return a timestamp as the API gives one."""
    absolute = (STARTED + timedelta(seconds=at_s)).isoformat(timespec="milliseconds")
    return {"absolute": absolute.replace("+00:00", "Z"), "relative": round(at_s, 6)}


def active_speakers(rows: list[list[tuple[int, int]]]) -> list[dict[str, Any]]:
    """Return the platform's speaker timeline.

    It names one speaker at a time, half a second late, and misses phrases shorter than a second.
    """
    turns = sorted((a, b, person) for person, spans in enumerate(rows) for a, b in spans if b - a >= RATE_HZ)
    found: list[dict[str, Any]] = []
    for k, (start, end, person) in enumerate(turns):
        begin_s = start / RATE_HZ + 0.5
        end_s = min(end / RATE_HZ + 0.5, *(a / RATE_HZ + 0.5 for a, _, _ in turns[k + 1 : k + 2]), DURATION_S)
        if end_s > begin_s:
            who = PEOPLE[person].to_json()
            times = {"start_timestamp": moment(begin_s), "end_timestamp": moment(end_s)}
            found.append({"participant": who, **times})
    return found


def meeting(lengths: dict[str, int], rows: list[list[tuple[int, int]]]) -> dict[str, Any]:
    """Return the meeting as the recorder describes it.

    Args:
        lengths: samples of each part.
        rows: phrases of each participant.
    """
    people = [p.to_json() for p in PEOPLE]
    comings = [(max(p.start_s - 0.4, 0.0), "join", p.person) for p in PARTS]
    goings = [(min(p.end_s + 0.3, DURATION_S), "leave", p.person) for p in PARTS]
    return {
        "bot_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"bot/{SEED}")),
        "bot_name": "Notetaker",
        "platform": "zoom",
        "recording_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"recording/{SEED}")),
        "duration": DURATION_S,
        "mix": "mix.mp3",
        "participants": people,
        "parts": [
            {
                "id": p.part_id,
                "participant": people[p.person],
                "format": p.kind,
                "file": f"parts/{p.part_id}.{p.kind}",
                "start_timestamp": moment(p.start_s + p.wrong_s),
                "duration": round(lengths[p.part_id] / RATE_HZ, 3),
            }
            for p in PARTS
        ],
        "events": [
            {"participant": people[who], "action": action, "timestamp": moment(at_s), "data": None}
            for at_s, action, who in sorted(comings + goings)
        ],
        "speaker_timeline": active_speakers(rows),
    }


def truth(rows: list[list[tuple[int, int]]], devices: dict[str, list[list[float]]]) -> dict[str, Any]:
    """Return the true place of every part and the true speech of every participant."""
    speaking = np.zeros((len(PEOPLE), round(DURATION_S * RATE_HZ)), dtype=bool)
    for person, spans in enumerate(rows):
        for start, end in spans:
            speaking[person, start:end] = True
    at_once = speaking.sum(axis=0)
    names = [p.name for p in PEOPLE]
    return {
        "parts": {
            p.part_id: {
                "true_start": p.start_s,
                "drift_ppm": p.drift_ppm,
                "speaker": names[p.person],
                "time_map": [[round(a, 9), round(b, 9)] for a, b in devices[p.part_id]],
            }
            for p in PARTS
        },
        "speakers": {n: [[a / RATE_HZ, b / RATE_HZ] for a, b in r] for n, r in zip(names, rows, strict=True)},
        "talk_seconds": {n: int(s.sum()) / RATE_HZ for n, s in zip(names, speaking, strict=True)},
        "overlap_seconds": int((at_once > 1).sum()) / RATE_HZ,
        "speech_seconds": int((at_once > 0).sum()) / RATE_HZ,
    }


@dataclass(frozen=True, slots=True)
class Composed:
    """The meeting before it is encoded: 16 kHz samples, and the two JSON documents."""

    mix: npt.NDArray[np.int16]
    parts: dict[str, npt.NDArray[np.int16]]
    meeting: dict[str, Any]
    truth: dict[str, Any]


def compose() -> Composed:
    """Compose the sample meeting as arrays."""
    rng = np.random.default_rng(SEED)
    voices = [spoken(i) for i in range(len(PEOPLE))]
    tracks = [microphone(track, i, rng) for i, (track, _) in enumerate(voices)]
    mix = sum((track for track, _ in voices), np.zeros_like(voices[0][0]))
    mix = mix + rng.standard_normal(len(mix), dtype=np.float32) * np.float32(5e-4)
    devices, parts = {}, {}
    for p in PARTS:
        n = int((p.end_s - p.start_s) / (1.0 + p.drift_ppm * 1e-6) * RATE_HZ)
        devices[p.part_id] = knots(p.start_s, n / RATE_HZ, p.drift_ppm)
        parts[p.part_id] = to_int16(as_recorded(tracks[p.person], devices[p.part_id]))
    lengths = {part_id: len(samples) for part_id, samples in parts.items()}
    rows = [rows for _, rows in voices]
    return Composed(to_int16(np.tanh(mix)), parts, meeting(lengths, rows), truth(rows, devices))


def make(folder: Path) -> None:
    """Write the sample meeting into `folder`."""
    composed = compose()
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    encode(composed.mix, folder / "mix.mp3", "mp3")
    for p in PARTS:
        path = folder / "parts" / f"{p.part_id}.{p.kind}"
        encode(composed.parts[p.part_id], path, p.kind, bit_rate=p.bit_rate)
    for name, value in (("meeting", composed.meeting), ("truth", composed.truth)):
        text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
