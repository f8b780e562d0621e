"""Meetings of any length from synthetic voices, and the recording's folder that a fetch of one would leave.

::

    turns ─▶ one voice a person, 16 bits on disk ─┬─▶ sum, noise ──────────────────▶ mix.mp3
                                                  └─▶ noise, a clock of its own ───▶ parts/<id>.<format>

Nothing is held whole, so eight hours with ten people take as little memory as five minutes. The same
arguments give the same meeting. `python cost_meetings.py FOLDER MINUTES PEOPLE FORMAT [LEAK_DB]` makes one.
"""

import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "sample_data")]

import voices  # noqa: E402 - found by the line above

from recall_audio.files import sha256, write_json  # noqa: E402
from recall_audio.model.meeting import MediaFile, Meeting, Part, Participant  # noqa: E402

RATE_HZ = 16_000
BLOCK = 30 * RATE_HZ
DRIFT_PPM = 40.0
NOISE_DB = 36.0
"""Noise lies so far below a voice, in every microphone and in the mix."""

Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]
Random = np.random.Generator
Turns = list[list[tuple[int, int]]]

# FFmpeg's encoder, rate, sample format, bits a second, container.
_PACKED = {
    "mp3": ("libmp3lame", 44_100, "fltp", 64_000, "mp3"),
    "ogg": ("libopus", 16_000, "flt", 32_000, "ogg"),
}


@dataclass(frozen=True)
class Recipe:
    """A meeting.

    Attributes:
        seconds: the mix's length.
        people: how many; each has one part.
        formats: of the parts' files, cycled: ogg, mp3, raw.
        seed: of everything drawn.
        mix_bits_s: of the MP3 mix, bits a second.
        leak_db: how much quieter others are in a part than in their own; None: they are not heard there.
    """

    seconds: float
    people: int
    formats: tuple[str, ...] = ("ogg",)
    seed: int = 0
    mix_bits_s: int = 64_000
    leak_db: float | None = None

    @property
    def n_samples(self) -> int:
        """Length of the mix."""
        return round(self.seconds * RATE_HZ)


def conversation(recipe: Recipe, rng: Random) -> Turns:
    """Who speaks when, rows [start, end) in samples: one after the other, three in ten overlapping."""
    turns: Turns = [[] for _ in range(recipe.people)]
    free, at, last = [0.0] * recipe.people, 0.5, -1
    while True:
        who = int(rng.choice([i for i in range(recipe.people) if i != last or recipe.people == 1]))
        start = max(at, free[who])
        end = start + rng.uniform(2.0, 9.0)
        if end > recipe.seconds - 1.0:
            return turns
        turns[who].append((round(start * RATE_HZ), round(end * RATE_HZ)))
        free[who], last = end + 0.4, who
        at = end + (-rng.uniform(0.2, 1.2) if rng.random() < 0.3 else rng.uniform(0.1, 0.8))


def spoken(work: Path, who: int, rows: Sequence[tuple[int, int]], recipe: Recipe) -> Samples:
    """One person's voice over the whole meeting, mapped from a file."""
    track = np.memmap(work / f"{who}.s16", dtype=np.int16, mode="w+", shape=(recipe.n_samples,))
    loud = 10 ** ((who % 4 - 2) * 2.0 / 20)
    for k, (start, end) in enumerate(rows):
        sound = voices.speak(_voice(who), (end - start) / RATE_HZ, seed=recipe.seed + 1000 * who + k)
        track[start : start + len(sound)] = np.rint(np.clip(sound * loud, -1, 1) * 32767)
    track.flush()
    return track


def blocks(tracks: Sequence[Samples], start: int, seed: int, leak_db: float | None = 0.0) -> Iterator[Floats]:
    """The first track from a sample on, full scale 1, with noise, and with the others by so many dB."""
    rng, level = np.random.default_rng(seed), np.float32(voices.LEVEL * 10 ** (-NOISE_DB / 20) / np.sqrt(3))
    scales = [1.0] + [0.0 if leak_db is None else 10 ** (leak_db / 20)] * (len(tracks) - 1)
    delays = [0] + [0 if leak_db == 0.0 else 400 + 130 * k for k in range(len(tracks) - 1)]
    for a in range(start, len(tracks[0]), BLOCK):
        b = min(a + BLOCK, len(tracks[0]))
        white = rng.standard_normal(b - a + 2, dtype=np.float32)
        out = (white[:-2] + white[1:-1] + white[2:]) * level
        for track, scale, delay in zip(tracks, scales, delays, strict=True):
            first = max(a - delay, 0)
            if scale:
                out[first + delay - a :] += track[first : b - delay] * np.float32(scale / 32768)
        yield np.tanh(out)


def paced(source: Iterator[Floats], drift_ppm: float) -> Iterator[Floats]:
    """The same by a clock of its own: a second of it lasts 1 + drift seconds of the mix's."""
    import soxr

    stream = soxr.ResampleStream(RATE_HZ, RATE_HZ / (1.0 + drift_ppm * 1e-6), 1, "float32", "HQ")
    for block in source:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)


def encode(source: Iterator[Floats], path: Path, kind: str, bits_s: int | None = None) -> int:
    """Write blocks at 16 kHz as mp3, ogg (Opus) or raw; gives how many samples there were."""
    if kind == "raw":
        with path.open("wb") as stream:
            sizes = [stream.write(np.rint(b * 32767).astype("<i2").data) for b in source]
        return sum(sizes) // 2
    import av
    import soxr

    codec, rate_hz, layout, usual, container = _PACKED[kind]
    resampler = soxr.ResampleStream(RATE_HZ, rate_hz, 1, "float32", "HQ")
    n, at, left = 0, 0, np.empty(0, np.float32)
    with av.open(str(path), "w", format=container, options={"fflags": "+bitexact"}) as out:
        stream_: Any = out.add_stream(codec, rate=rate_hz, layout="mono", format=layout)
        stream_.bit_rate = bits_s or usual
        if codec == "libmp3lame":
            stream_.codec_context.options = {"compression_level": "7"}
        stream_.codec_context.open()
        size = stream_.codec_context.frame_size
        for block, is_last in _and_last(source):
            n += len(block)
            left = np.concatenate((left, resampler.resample_chunk(block, last=is_last)))
            usable = len(left) if is_last else len(left) // size * size
            for a in range(0, usable, size):
                piece = np.ascontiguousarray(left[None, a : min(a + size, usable)])
                frame = av.AudioFrame.from_ndarray(piece, layout, "mono")
                frame.sample_rate, frame.pts = rate_hz, at
                at += piece.shape[1]
                out.mux(stream_.encode(frame))
            left = left[usable:]
        out.mux(stream_.encode(None))
    return n


def _and_last(source: Iterator[Floats]) -> Iterator[tuple[Floats, bool]]:
    """Every block, then an empty one that is the last."""
    yield from ((block, False) for block in source)
    yield np.empty(0, np.float32), True


def make(folder: Path, recipe: Recipe) -> Path:
    """The meeting's folder: mix.mp3, parts/, meeting.json (written last); one that is there is left alone."""
    if (folder / "meeting.json").is_file():
        return folder
    rng = np.random.default_rng([recipe.seed, recipe.people, recipe.n_samples])
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    people, parts = [], []
    with tempfile.TemporaryDirectory(dir=folder) as work:
        turns = conversation(recipe, rng)
        tracks = [spoken(Path(work), who, rows, recipe) for who, rows in enumerate(turns)]
        encode(blocks(tracks, 0, 1), folder / "mix.mp3", "mp3", recipe.mix_bits_s)
        for who in range(recipe.people):
            person = {"id": 100 + who, "name": f"{_voice(who).name.title()} {who + 1}", "is_host": who == 0}
            people.append(person | {"platform": "desktop", "email": None, "extra_data": None})
            heard = [tracks[who], *tracks[:who], *tracks[who + 1 :]]
            parts.append(_part(folder, who, heard, people[-1], recipe, rng))
        del tracks, heard
    content = {"recording_id": _id(f"recording {recipe}")}
    content |= {"duration": recipe.seconds, "participants": people, "parts": parts}
    (folder / "meeting.json").write_text(json.dumps(content, indent=1), "utf-8")
    return folder


def _part(
    folder: Path,
    who: int,
    heard: list[Samples],
    person: dict[str, Any],
    recipe: Recipe,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """One person's recording: it starts a little late, and its nominal start is wrong by up to 0.3 s."""
    kind = recipe.formats[who % len(recipe.formats)]
    part_id, start = _id(f"part {who} {recipe}"), round(rng.uniform(0.05, 0.4) * RATE_HZ)
    drift_ppm = float(rng.uniform(-DRIFT_PPM, DRIFT_PPM))
    source = paced(blocks(heard, start, 100 + who, recipe.leak_db), drift_ppm)
    n = encode(source, folder / "parts" / f"{part_id}.{kind}", kind)
    nominal_s = start / RATE_HZ + rng.uniform(-0.3, 0.3)
    return {
        "id": part_id,
        "participant": person,
        "format": kind,
        "file": f"parts/{part_id}.{kind}",
        "start_timestamp": {"relative": round(nominal_s, 6)},
        "duration": round(n / RATE_HZ, 3),
    }


def _voice(who: int) -> voices.Voice:
    return voices.VOICES[who % len(voices.VOICES)]


def _id(what: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, what))


def recording_folder(lab: Path, out: Path, bot_id: str = "bot") -> Path:
    """What a fetch of a meeting's folder leaves below `out`: ``recording.json`` and ``source/``."""
    content = json.loads((lab / "meeting.json").read_text("utf-8"))
    folder = out / bot_id / content["recording_id"]
    (folder / "source").mkdir(parents=True)

    def media(path: Path, file: str, kind: str, seconds: float) -> MediaFile:
        target = folder / file
        try:
            os.link(path, target)
        except OSError:  # another disk, or a file system without links
            shutil.copy(path, target)
        return MediaFile(file, kind, target.stat().st_size, sha256(target), seconds, True)

    fields = ("id", "name", "is_host", "platform", "email", "extra_data")
    parts = []
    for p in content["parts"]:
        kept = media(lab / p["file"], f"source/{p['id']}.{p['format']}", p["format"], p["duration"])
        parts.append(Part(p["id"], p["participant"]["id"], p["start_timestamp"]["relative"], kept))
    mix = media(lab / content.get("mix", "mix.mp3"), "source/mixed.mp3", "mp3", content["duration"])
    people = tuple(Participant(*(p[k] for k in fields)) for p in content["participants"])
    meeting = Meeting({"id": bot_id}, {"id": content["recording_id"]}, people, tuple(parts), mix)
    write_json(folder / "recording.json", "recording", meeting.to_json())
    return folder


if __name__ == "__main__":
    to, minutes, number, kinds, *leak = sys.argv[1:]
    leak_db = float(leak[0]) if leak else None
    make(Path(to), Recipe(float(minutes) * 60, int(number), tuple(kinds.split(",")), leak_db=leak_db))
