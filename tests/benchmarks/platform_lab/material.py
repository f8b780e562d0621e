"""Read what meetings are made of: voices, turns, sounds, rooms.

Folders: speech with a folder a speaker, sounds whose path names their kind, rooms with impulse responses,
turns as RTTM. Any sample rate will do. What is missing is made up: noise, a keyboard, chords, a room.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr
from scipy import signal

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Turn = tuple[float, float]

RATE_HZ = 16_000
FRAME = 160
"""Samples of 10 ms."""

VOICE_RMS = 0.06
SOUND_RMS = 0.05

_ACTIVE_PART = 0.35  # of the range from the 3rd to the 95th percentile of levels in dB, above which speech is
_CLOSED_FRAMES, _SHORTEST_FRAMES = 25, 6
_AUDIO = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True)
class Material:
    """What a meeting is drawn from.

    Attributes:
        speakers: folders of recordings, one a speaker.
        turns: RTTM files.
        sounds: recordings that are no participant's.
        rooms: impulse responses.
        noise: recordings of background noise.
    """

    speakers: tuple[Path, ...]
    turns: tuple[Path, ...] = ()
    sounds: tuple[Path, ...] = ()
    rooms: tuple[Path, ...] = ()
    noise: tuple[Path, ...] = ()

    @staticmethod
    def of(
        speech: Sequence[Path],
        turns: Sequence[Path] = (),
        sounds: Sequence[Path] = (),
        rooms: Sequence[Path] = (),
        noise: Sequence[Path] = (),
    ) -> "Material":
        """Return all that is in these folders, in the order of the names."""
        speakers = (p for folder in speech for p in folder.iterdir() if p.is_dir() and recordings(p))
        rttm = (p for folder in turns for p in folder.rglob("*.rttm"))
        return Material(
            tuple(sorted(speakers, key=lambda p: p.name)),
            tuple(sorted(rttm, key=lambda p: p.name)),
            tuple(p for folder in sounds for p in recordings(folder)),
            tuple(p for folder in rooms for p in recordings(folder) if "room" in p.name),
            tuple(p for folder in noise for p in recordings(folder)),
        )

    def part(self, *, left_out: bool) -> "Material":
        """Return the part that is fitted to, or the one left out: a quarter of each kind, by place of name.

        A folder of voices given twice is on one side. Turns are split by the first ten letters of the
        file, so that one group of people is on one side.
        """
        groups = sorted({p.name[:10] for p in self.turns})
        kept = {g for i, g in enumerate(groups) if (i % 4 == 3) == left_out}
        several = {
            name: tuple(p for p in getattr(self, name) if (p in _quarter(getattr(self, name))) == left_out)
            for name in ("speakers", "sounds", "rooms")
        }
        return replace(self, turns=tuple(p for p in self.turns if p.name[:10] in kept), **several)


def _quarter(paths: Sequence[Path]) -> set[Path]:
    """Return every fourth of the paths, repetitions left out."""
    return set(list(dict.fromkeys(paths))[3::4])


def recordings(folder: Path) -> list[Path]:
    """Return the audio files under a folder."""
    return sorted(p for p in folder.rglob("*") if p.suffix in _AUDIO)


@lru_cache(maxsize=512)
def read(path: Path) -> Floats:
    """Return a recording as mono at 16 kHz; not to be written to."""
    samples, rate = sf.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return mono if rate == RATE_HZ else soxr.resample(mono, rate, RATE_HZ).astype(np.float32)


def rms(x: Floats) -> float:
    """Return the root mean square, never 0."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)) + 1e-20))


def rms_where_sounding(x: Floats) -> float:
    """Return the root mean square of what is not silence; that of a usual voice where all is."""
    sounding = x[np.abs(x) > 1e-6]
    return rms(sounding) if len(sounding) else 0.03


def factor(level_db: float) -> float:
    """Return a level in dB as a factor of amplitude."""
    return float(10 ** (level_db / 20))


def frame_power(x: Floats) -> npt.NDArray[np.float64]:
    """Return the mean power of each 10 ms."""
    whole = len(x) // FRAME * FRAME
    return np.asarray(np.mean(x[:whole].reshape(-1, FRAME).astype(np.float64) ** 2, axis=1))


def active_frames(clean: Floats) -> Mask:
    """Return the frames of 10 ms in which a clean recording holds speech."""
    level_db = 10 * np.log10(frame_power(clean) + 1e-12)
    quiet, loud = np.percentile(level_db, (3, 95))
    return np.asarray(level_db > quiet + _ACTIVE_PART * (loud - quiet))


def closed(mask: Mask) -> Mask:
    """Return a mask with pauses under 250 ms closed, then bursts under 60 ms dropped."""
    out = mask.copy()
    for value, limit in ((True, _CLOSED_FRAMES), (False, _SHORTEST_FRAMES)):
        edges = np.flatnonzero(np.diff(out.astype(np.int8))) + 1
        bounds = np.r_[0, edges, len(out)]
        for start, end in pairwise(bounds):
            at_edge = start == 0 or end == len(out)
            if out[start] != value and end - start < limit and not (value and at_edge):
                out[start:end] = value
    return out


Studio = Callable[[Floats], Floats]
"""What a voice went through when it was recorded."""


def any_studio(material: "Material", rng: np.random.Generator) -> Studio:
    """Draw where a voice was recorded: its colour, its room, its noise.

    Pauses of a reverberant or noisy recording hold sound, which counts as speech or not by its level.
    """
    colour = rng.uniform(-0.5, 0.7) if rng.random() < 0.5 else 0.0
    response = room_response(material, rng) if rng.random() < 0.4 else None
    direct = rng.uniform(0.2, 0.9)
    noise_db = rng.uniform(-55, -26) if rng.random() < 0.3 else None
    hum = background(material, 30 * RATE_HZ, rng)

    def recorded(x: Floats) -> Floats:
        y = np.asarray(signal.lfilter([1.0, -colour], [1.0], x), dtype=np.float32)
        if response is not None:
            y = direct * y + (1 - direct) * across(y, response)
        if noise_db is not None:
            y = y / np.float32(rms(y)) + np.resize(hum, len(y)) * np.float32(factor(noise_db))
        return y.astype(np.float32)

    return recorded


def as_recorded(x: Floats) -> Floats:
    """Return a voice unchanged."""
    return x


def speak(
    folder: Path,
    turns: Sequence[Turn],
    n: int,
    rng: np.random.Generator,
    speed: float = 1.0,
    studio: Studio = as_recorded,
) -> tuple[Floats, Mask]:
    """Return a voice that fills the turns with one speaker's recordings, and where it really speaks.

    Args:
        folder: the speaker's recordings.
        turns: starts and ends in seconds.
        n: samples in all.
        rng: draws the order of the recordings.
        speed: above 1 is faster and higher.
        studio: what the recordings go through before.

    Returns:
        Shape (n,), RMS 0.06 where it speaks; shape (n // 160,).
    """
    wanted_s = sum(end - start for start, end in turns) + 1.0
    voice, active = _recorded(folder, wanted_s, rng, speed, studio)
    out, spoken = np.zeros(n, dtype=np.float32), np.zeros(n // FRAME, dtype=np.bool_)
    loud = np.mean(voice**2, axis=1) > 1e-4
    place = 0
    for start_s, end_s in turns:
        first, last = round(start_s * 100), min(round(end_s * 100), len(spoken))
        if last - first < 6:
            continue
        place += int(
            np.argmax(np.roll(loud, -place))
        )  # every turn begins with a sound, so that a word is one
        taken = (place + np.arange(last - first)) % len(active)
        piece = voice[taken].ravel()
        piece[:80] *= np.linspace(0, 1, 80, dtype=np.float32)
        piece[-80:] *= np.linspace(1, 0, 80, dtype=np.float32)
        out[first * FRAME : last * FRAME] = piece
        spoken[first:last] |= active[taken]
        place = int(taken[-1]) + 1
    return out, closed(spoken)


def _recorded(
    folder: Path, wanted_s: float, rng: np.random.Generator, speed: float, studio: Studio
) -> tuple[Floats, Mask]:
    """Return a speaker's recordings end to end, in frames, shape (n, 160), and their activity."""
    pieces, masks, got = [], [], 0.0
    files = recordings(folder)
    for i in rng.permutation(len(files)):
        x = read(files[i])
        x = soxr.resample(x, RATE_HZ, RATE_HZ / speed).astype(np.float32) if speed != 1 else x
        x = x[: len(x) // FRAME * FRAME]
        if len(x) < 20 * FRAME:
            continue
        x = studio(x)
        pieces.append(x / np.float32(rms(x)) * np.float32(VOICE_RMS))
        masks.append(active_frames(pieces[-1]))
        got += len(x) / RATE_HZ
        if got > wanted_s:
            break
    return np.concatenate(pieces).reshape(-1, FRAME), np.concatenate(masks)


def background(material: Material, n: int, rng: np.random.Generator) -> Floats:
    """Return noise of RMS 1: a recording, or white or brownish."""
    k = int(rng.integers(len(material.noise) + 2))
    if k < len(material.noise):
        x = read(material.noise[k])
        return (np.roll(np.resize(x, n), int(rng.integers(n))) / rms(x)).astype(np.float32)
    x = rng.standard_normal(n)
    x = signal.lfilter([1.0], [1.0, -0.9], x) if k > len(material.noise) else x
    return (x / rms(x)).astype(np.float32)


def room_response(material: Material, rng: np.random.Generator) -> Floats:
    """Return the impulse response of a room: a recording, or a made-up decay."""
    if material.rooms and rng.random() < 0.6:
        response = read(material.rooms[int(rng.integers(len(material.rooms)))])
        return response[max(0, int(np.argmax(np.abs(response))) - 16) :][:RATE_HZ]
    decay_s = rng.uniform(0.12, 0.7)
    at = np.arange(int(decay_s * RATE_HZ)) / RATE_HZ
    response = rng.standard_normal(len(at)) * 10 ** (-3 * at / decay_s) * rng.uniform(0.02, 0.12)
    response[0] = 1.0
    return response.astype(np.float32)


def across(x: Floats, response: Floats) -> Floats:
    """Return a signal across a room, at the power it had."""
    y = signal.oaconvolve(x, response)[: len(x)]
    return (y * rms(x) / rms(y)).astype(np.float32)


def in_room(material: Material, x: Floats, rng: np.random.Generator) -> Floats:
    """Return a signal across a drawn room, at the power it had."""
    return across(x, room_response(material, rng)) if np.any(x) else x


def read_turns(path: Path) -> list[tuple[float, float, str]]:
    """Return ``(start, end, speaker)`` of an RTTM file."""
    rows = (line.split() for line in path.read_text().splitlines() if line.startswith("SPEAKER"))
    return sorted((float(r[3]), float(r[3]) + float(r[4]), r[7]) for r in rows)
