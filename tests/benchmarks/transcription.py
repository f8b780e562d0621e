"""Measure who gets which words: the mix, stems, gated stems and clips, through one recogniser.

    python tests/benchmarks/transcription.py --speech DIR --noise DIR --model DIR --truth-model DIR --work DIR
        [--seeds 1 2] [--seconds 150] [--conditions NAME...] [--ways mix clips stems gate] [--write FILE]

Needs faster-whisper (extra ``transcribe``) and meeteval (extra ``interop``). ``--speech`` holds one folder a
speaker with 16 kHz files, as LibriSpeech has them; ``--model`` and ``--truth-model`` are folders of models.

A meeting has four talkers and one who only listens, with the microphone open. Its truth of words is not
written by people: it is what the truth model (larger than the model measured) makes of each excerpt alone,
clean, before anything is mixed or leaks. Errors of the recogniser itself are thus in every figure, and the
differences between ways are what counts.

A row a condition and way, in %: ``cpWER`` (meeteval; speakers as labelled by the way), ``SA-WER`` (the same
without permutation: words of the right person only), ``wrong`` words that another person said at that time,
of all words written, ``twice`` words of the truth that stand with two persons, ``cut`` words of the truth
that lie in no clip of their speaker, ``lost`` words that were recognised and dropped though that person said
them then; in numbers: ``heard`` words of the one who only listens, ``dropped`` words, and all words written.
A word is looked for by its last 0.3 s, because recognisers stretch its start over the pause before.
"""

import argparse
import json
import os
import re
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "benchmarks"), str(ROOT / "sample_data")]

import render  # noqa: E402
from cost_meetings import recording_folder  # noqa: E402

from recall_audio.files import read_json  # noqa: E402
from recall_audio.model.options import Options, StemOptions, TranscriptOptions  # noqa: E402
from recall_audio.model.transcript import Transcript  # noqa: E402
from recall_audio.pipeline.documents import read_documents  # noqa: E402
from recall_audio.pipeline.process import process  # noqa: E402
from recall_audio.results.transcribe import plan_chunks, transcribe_folder  # noqa: E402
from recall_audio.results.transcripts import attribute_mix, attribute_stems  # noqa: E402
from recall_audio.transcripts import read_values  # noqa: E402
from recall_audio.transcripts.engines import FasterWhisper  # noqa: E402
from recall_audio.transcripts.readers import ReadSegment  # noqa: E402

RATE_HZ = 16_000
LISTENER = "Listener"
CONDITIONS: Mapping[str, tuple[float | None, bool, float]] = {
    "no leakage": (None, False, 25.0),
    "-26 dB direct": (-26.0, False, 25.0),
    "-14 dB room": (-14.0, True, 25.0),
    "-14 dB room, 10 dB SNR": (-14.0, True, 10.0),
}
"""Leakage in dB or None, through a room or direct, speech against background noise in dB."""
WAYS = ("mix", "clips", "stems", "stems, own", "gate")
Floats = Any


@dataclass(frozen=True)
class Said:
    """One word of the truth or of a transcript, on the meeting's clock."""

    text: str
    start_s: float
    end_s: float
    speaker: str

    def meets(self, other: "Said", slack_s: float = 0.5) -> bool:
        """Tell whether it is the same word at the same time, whoever said it."""
        return (
            self.text == other.text
            and self.start_s < other.end_s + slack_s
            and other.start_s < self.end_s + slack_s
        )


def plain(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower().replace("’", "'"))


def excerpts(folder: Path) -> Iterator[Floats]:
    """Yield stretches of 1.5 to 9 s of a speaker's files, cut in their own pauses."""
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".flac", ".wav")):
        samples, _ = soundfile.read(path, dtype="float32")
        samples = samples / (np.sqrt(np.mean(samples**2)) + 1e-9) * 0.06
        frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
        level = 20 * np.log10(np.sqrt(np.mean(frames**2, axis=1)) + 1e-6)
        quiet, loud = np.percentile(level, (3, 95))
        pauses = level < quiet + 0.35 * (loud - quiet)
        edges = np.flatnonzero(np.diff(np.r_[0, pauses.astype(int), 0])).reshape(-1, 2)
        cuts = [0, *(int(a + b) // 2 for a, b in edges if b - a >= 25), len(frames)]
        first = 0
        for cut in cuts[1:]:
            if cut - first >= 150:
                if cut - first <= 900:
                    yield samples[first * 160 : cut * 160]
                first = cut


def truth_of(samples: Floats, model: Any, cache: Path) -> list[dict[str, Any]]:
    """Return the words that the truth model hears in a clean excerpt."""
    key = f"{uuid.uuid5(uuid.NAMESPACE_OID, samples.tobytes().hex())}"
    path = cache / f"{key}.json"
    if not path.is_file():
        segments, _ = model.transcribe(samples, language="en", word_timestamps=True, beam_size=1)
        words = [{"word": w.word, "start": w.start, "end": w.end} for s in segments for w in s.words]
        cache.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(words))
    return list(json.loads(path.read_text()))


def in_a_room(x: Floats, rng: np.random.Generator) -> Floats:
    """Return sound as it is heard across a room: reverberation, highs lost, same power."""
    from scipy.signal import oaconvolve

    t = np.arange(RATE_HZ // 2) / RATE_HZ
    response = rng.standard_normal(len(t)) * np.exp(-6.9 * t / rng.uniform(0.15, 0.5))
    response[0] += 6.0
    response = np.convolve(response, [0.25, 0.5, 0.25])[: len(t)]
    heard = oaconvolve(x, response)[: len(x)].astype(np.float32)
    return heard * np.sqrt(np.mean(x**2) / (np.mean(heard**2) + 1e-12))


def conversation(options: argparse.Namespace, seed: int, model: Any) -> tuple[dict[str, Floats], list[Said]]:
    """Return each talker's clean voice on the meeting's clock, and every word said."""
    rng = np.random.default_rng(seed)
    folders = [p for p in sorted(options.speech.iterdir()) if p.is_dir()]
    chosen = [folders[i] for i in rng.permutation(len(folders))[:4]]
    sources = {f"Talker_{i + 1}": cycle(excerpts(folder)) for i, folder in enumerate(chosen)}
    n_samples = round(options.seconds * RATE_HZ)
    voices = {name: np.zeros(n_samples, np.float32) for name in sources}
    said: list[Said] = []
    at_s, last = 0.5, ""
    while True:
        who = str(rng.choice([name for name in sources if name != last]))
        sound = next(sources[who])
        start = max(round(at_s * RATE_HZ), 0)
        if start + len(sound) > n_samples - RATE_HZ:
            break
        voices[who][start : start + len(sound)] = sound
        for word in truth_of(sound, model, options.work / "truth"):
            times = start / RATE_HZ + word["start"], start / RATE_HZ + word["end"]
            said += [Said(text, *times, who) for text in plain(word["word"])]
        at_s = (start + len(sound)) / RATE_HZ + float(np.clip(rng.normal(0.3, 0.5), -0.8, 1.5))
        last = who
    gains = {name: np.float32(10 ** (rng.uniform(-6, 4) / 20)) for name in voices}
    return {name: voices[name] * gains[name] for name in voices}, said


def make_meeting(
    options: argparse.Namespace, condition: str, seed: int, voices: Mapping[str, Floats], folder: Path
) -> Path:
    """Write what a recorder hands out of a conversation under one condition, and return its folder."""
    leak_db, is_room, snr_db = CONDITIONS[condition]
    rng = np.random.default_rng(seed + 1000)
    noises = [soundfile.read(p, dtype="float32")[0] for p in sorted(options.noise.glob("*.wav"))]
    n_samples = len(next(iter(voices.values())))
    names = [*voices, LISTENER]
    mix = rng.standard_normal(n_samples).astype(np.float32) * 1e-3
    (folder / "parts").mkdir(parents=True)
    parts: list[dict[str, Any]] = []
    people = [
        {
            "id": 100 + i,
            "name": name,
            "is_host": i == 0,
            "platform": "desktop",
            "email": None,
            "extra_data": None,
        }
        for i, name in enumerate(names)
    ]
    for person, name in zip(people, names, strict=True):
        own = voices.get(name, np.zeros(n_samples, np.float32))
        track = own.copy()
        for other in [o for o in voices if o != name] if leak_db is not None else []:
            late = int(rng.uniform(0.01, 0.12) * RATE_HZ)
            heard = in_a_room(voices[other], rng) if is_room else voices[other]
            track[late:] += heard[:-late] * 10 ** ((leak_db + rng.uniform(-4, 4)) / 20)
        level = np.sqrt(np.mean(own[own != 0] ** 2)) if np.any(own) else 0.06
        noise = np.resize(noises[rng.integers(len(noises))], n_samples)
        noise = noise / (np.sqrt(np.mean(noise**2)) + 1e-9)
        track += noise * level * 10 ** (-(snr_db + rng.uniform(-5, 5)) / 20)
        mix += own * 10 ** (rng.uniform(-3, 3) / 20)
        kind = ("ogg", "mp3", "raw")[len(parts) % 3]
        part = {
            "id": f"part-{len(parts)}",
            "participant": person,
            "format": kind,
            "duration": n_samples / RATE_HZ,
        }
        parts.append(
            {**part, "file": f"parts/part-{len(parts)}.{kind}", "start_timestamp": {"relative": 0.0}}
        )
        render.encode(render.to_int16(np.clip(track, -1, 1)), folder / parts[-1]["file"], kind, True)
    render.encode(render.to_int16(np.tanh(mix)), folder / "mix.mp3", "mp3", True)
    content = {
        "recording_id": "meeting",
        "duration": n_samples / RATE_HZ,
        "participants": people,
        "parts": parts,
    }
    (folder / "meeting.json").write_text(json.dumps(content))
    return recording_folder(folder, folder / "out")


_HEARD: dict[tuple[str, int], list[ReadSegment]] = {}


def whole(path: Path, engine: FasterWhisper) -> list[ReadSegment]:
    """Return the transcript of a whole file, the recogniser's own voice activity detection on."""
    key = (str(path), path.stat().st_mtime_ns)
    if key not in _HEARD:
        segments, _ = engine._loaded().transcribe(str(path), language="en", word_timestamps=True)
        _HEARD[key] = list(read_values([list(segments)], str(path)).segments)
    return _HEARD[key]


def by_way(folder: Path, way: str, engine: FasterWhisper) -> tuple[Transcript, Transcript]:
    """Return the transcript of a recording by one way, and the same with every word that was recognised."""
    keep = TranscriptOptions(keep_outside=True)
    documents = read_documents(folder)
    if way == "mix":
        read = whole(folder / "source" / "mixed.mp3", engine)
        shared = attribute_mix(documents, read, TranscriptOptions(), {})
        return shared, shared
    if way == "clips":
        transcribe_folder(folder, engine, ["text"], keep)
        everything = Transcript.from_json(read_json(folder / "transcript.json", "transcript"))
        return own_alone(documents, everything), everything
    if way == "gate":
        process(folder, replace(Options(), stems=StemOptions(gate=True, silent=True)))
    stems = read_documents(folder)["stems"]["stems"]
    everything = attribute_stems(
        documents, {s["participant"]: whole(folder / s["file"], engine) for s in stems}, keep, {}
    )
    return (own_alone(documents, everything) if way == "stems, own" else everything), everything


def own_alone(documents: Any, transcript: Transcript) -> Transcript:
    """Return a transcript without the words outside their speakers' own speech."""
    read: dict[str, list[ReadSegment]] = {}
    for s in transcript.segments:
        segment = ReadSegment(s.text, s.start_s, s.end_s, tuple(s.words))
        read.setdefault(s.speaker or "", []).append(segment)
    return attribute_stems(documents, read, TranscriptOptions(), {})


def words_of(transcript: Transcript) -> list[Said]:
    """Return the words of a transcript with their times and speakers."""
    return [
        Said(text, w.start_s or s.start_s, w.end_s or s.end_s, s.speaker or "nobody")
        for s in transcript.segments
        for w in s.words
        for text in plain(w.text)
    ]


def error_rates(said: Sequence[Said], found: Sequence[Said]) -> tuple[float, float]:
    """Return cpWER and the word error by speaker as labelled, %."""
    from meeteval.wer import cp_word_error_rate, siso_word_error_rate

    def texts(words: Sequence[Said]) -> dict[str, str]:
        by_speaker: dict[str, list[str]] = {}
        for w in sorted(words, key=lambda w: w.start_s):
            by_speaker.setdefault(w.speaker, []).append(w.text)
        return {k: " ".join(v) for k, v in by_speaker.items()}

    truth, hypothesis = texts(said), texts(found)
    cp = cp_word_error_rate(truth, hypothesis)
    errors = sum(
        siso_word_error_rate(truth.get(k, ""), hypothesis.get(k, "")).errors
        for k in truth.keys() | hypothesis.keys()
    )
    return 100.0 * cp.error_rate, 100.0 * errors / len(said)


def row_of(
    said: Sequence[Said],
    transcripts: tuple[Transcript, Transcript],
    clips: Mapping[str, Sequence[Sequence[float]]],
) -> dict[str, float]:
    """Return the figures of one transcript, given with everything that was recognised."""
    found, everything = (words_of(t) for t in transcripts)
    cp, labelled = error_rates(said, found)
    n_wrong = sum(
        not any(w.speaker == t.speaker and w.meets(t) for t in said)
        and any(w.speaker != t.speaker and w.meets(t) for t in said)
        for w in found
    )
    near = [{w.speaker for w in found if w.meets(t)} for t in said]
    ends_s = [t.end_s - min(0.15, (t.end_s - t.start_s) / 2) for t in said]
    n_cut = sum(
        not any(a <= end_s < b for a, b in clips.get(t.speaker, ()))
        for t, end_s in zip(said, ends_s, strict=True)
    )
    dropped = [w for w in everything if w not in set(found)]
    lost = [w for w in dropped if any(w.speaker == t.speaker and w.meets(t) for t in said)]
    return {
        "cpWER": cp,
        "SA-WER": labelled,
        "wrong": 100.0 * n_wrong / max(len(found), 1),
        "twice": 100.0 * sum(len(s) > 1 for s in near) / len(said),
        "cut": 100.0 * n_cut / len(said),
        "lost": 100.0 * len(lost) / len(said),
        "heard": float(sum(w.speaker == LISTENER for w in found)),
        "dropped": float(len(dropped)),
        "words": float(len(found)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("speech", "noise", "work", "model", "truth-model"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=list(CONDITIONS))
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    from faster_whisper import WhisperModel

    truth_model = WhisperModel(str(options.truth_model), compute_type="int8", cpu_threads=2)
    engine = FasterWhisper(str(options.model), "en")
    rows = []
    print(
        f"{'condition':24} {'way':10} "
        + " ".join(
            f"{n:>7}"
            for n in ("cpWER", "SA-WER", "wrong", "twice", "cut", "lost", "heard", "dropped", "words")
        )
    )
    for condition in options.conditions:
        for seed in options.seeds:
            voices, said = conversation(options, seed, truth_model)
            lab = options.work / f"{re.sub('[^a-z0-9]+', '-', condition.lower())}-{seed}"
            folder = lab / "out" / "bot" / "meeting"
            if not folder.is_dir():
                folder = make_meeting(options, condition, seed, voices, lab)
            process(folder, replace(Options(), stems=StemOptions(silent=True)))
            clips: dict[str, list[tuple[float, float]]] = {}
            for chunk in plan_chunks(read_documents(folder), read_options()):
                clips.setdefault(chunk.label, []).extend(chunk.clips)
            for way in options.ways:
                row = row_of(said, by_way(folder, way, engine), clips)
                rows.append({"condition": condition, "seed": seed, "way": way, "n_truth": len(said), **row})
                print(f"{condition:24} {way:10} " + " ".join(f"{v:7.1f}" for v in row.values()), flush=True)
    if options.write:
        options.write.write_text(json.dumps(rows, indent=1) + "\n")


def read_options() -> Any:
    from recall_audio.model.options import ClipOptions

    return ClipOptions()


if __name__ == "__main__":
    main()
