"""Alignment on generated meetings, each figure beside its target.

    python tests/benchmarks/alignment.py               synthetic voices, made here
    python tests/benchmarks/alignment.py --lab DIR     lab meetings: DIR/make_meeting.py with DIR/speech,
                                                       DIR/noise, DIR/turns/*.rttm
    ... [--keep FOLDER] [--minutes 5] [--seeds 2]      where meetings go, how long, how many of each

The added conditions change a finished meeting: starts far off, parts of 2 s, polarity, listeners, crowds.

A part's error is the worst over the part, places of steps apart; wander is scored over speech. CPU is that of
decoding the part, finding its place, and its share of decoding the mix.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "sample_data")]

import makers  # noqa: E402

from recall_audio.core.alignment.align import reconcile  # noqa: E402
from recall_audio.core.alignment.search import search_part  # noqa: E402
from recall_audio.media.decode import decode  # noqa: E402
from recall_audio.media.pcm_file import open_work  # noqa: E402
from recall_audio.model.alignment import (  # noqa: E402
    PartAlignment,
    PartAudio,
    TimeMap,
)
from recall_audio.model.options import AlignOptions  # noqa: E402

RATE_HZ = 16_000
LAME_DELAY_S = 1105 / 44_100
STEP_NEAR_S = 5.0


@dataclass(frozen=True)
class Condition:
    """One kind of meeting: options of the lab's generator, and the same for synthetic voices."""

    name: str
    lab: str
    recipe: dict[str, Any] = field(default_factory=dict)


CONDITIONS = (
    Condition("no drift", ""),
    Condition("no drift, 3 parts", "--parts 3", {"parts": 3}),
    Condition("drift", "--drift-ppm 100", {"drift_ppm": 100.0}),
    Condition("drift, 3 parts", "--drift-ppm 60 --parts 3", {"drift_ppm": 60.0, "parts": 3}),
    Condition("nominal ±2 s", "--offset-error 2", {"offset_error_s": 2.0}),
    Condition("leakage -26 dB", "--bleed-db -26", {"leakage_db": -26.0}),
    Condition("leakage -26 dB, room", "--bleed-db -26 --room", {"leakage_db": -26.0, "room": True}),
    Condition("leakage -14 dB, room", "--bleed-db -14 --room", {"leakage_db": -14.0, "room": True}),
    Condition("14 dB SNR, drift", "--snr-db 14 --drift-ppm 60", {"snr_db": 14.0, "drift_ppm": 60.0}),
    Condition("OGG", "--format ogg", {"formats": ("ogg",)}),
    Condition("MP3", "--format mp3", {"formats": ("mp3",)}),
    Condition("raw", "--format raw", {"formats": ("raw",)}),
    Condition("untagged mix", "--untagged", {"tagged": False}),
    Condition("step 50 ms", "--stall 0.05", {"step_s": 0.05}),
    Condition("step 1 s", "--stall 1", {"step_s": 1.0}),
    Condition("step 18 s", "--stall 18", {"step_s": 18.0}),
    Condition("wander ±10 ms", "--wander 10", {"wander_ms": 10.0}),
    Condition("wander ±30 ms", "--wander 30", {"wander_ms": 30.0}),
)


ADDED = (
    *(f"start {seconds} s off" for seconds in (5, 12, 40)),
    "opposite polarity",
    "2-s parts, 30 a person",
    *(f"listener at {level_db} dB" for level_db in (-14, -20, -26, -32)),
    *(f"crowd of {n_people}" for n_people in (8, 15, 25)),
)
"""Conditions that :func:`change` makes of a meeting with leakage."""


@dataclass(frozen=True)
class Score:
    """One part: what was found, against the truth; errors in ms."""

    condition: str
    format: str
    found: PartAlignment
    truth: TimeMap
    drift_ppm: float
    speech_s: float
    worst_ms: float
    speech_error_ms: np.ndarray
    near_speech: bool
    cpu_s_a_minute: float


def made(folder: Path, condition: Condition, seed: int, options: argparse.Namespace) -> Path:
    """The folder of one meeting; made where it is not there yet."""
    if (folder / "truth.json").exists():
        return folder
    if options.lab is None:
        recipe = {k: v for k, v in condition.recipe.items() if k != "wander_ms"}
        meeting = makers.make(n_speakers=4, duration_s=60.0 * options.minutes, seed=seed, **recipe)
        meeting.write(folder)
        if "wander_ms" in condition.recipe:
            wandering(folder, meeting, condition.recipe["wander_ms"], seed)
        return folder
    lab = options.lab
    command = [
        sys.executable,
        lab / "make_meeting.py",
        folder,
        "--rttm",
        next((lab / "turns").glob("*.rttm")),
    ]
    command += ["--speech", lab / "speech", "--noise", lab / "noise", "--seed", str(seed)]
    command += ["--start", str(seed * 37 % 90), "--duration", str(60 * options.minutes)]
    subprocess.run([str(c) for c in command] + condition.lab.split(), check=True, capture_output=True)
    return folder


def wandering(folder: Path, meeting: makers.Made, limit_ms: float, seed: int) -> None:
    """Drop and repeat short stretches of each part, four a minute; its lag stays within ±`limit_ms`."""
    rng, limit = np.random.default_rng(seed), int(limit_ms * RATE_HZ / 1000)
    truth = json.loads((folder / "truth.json").read_text("utf-8"))
    for part in meeting.parts:
        n, start_s = len(part.samples), part.time_map.start_s
        lag, source, pieces, knots = 0, 0, [], [[0.0, start_s]]
        for cut in np.sort(rng.integers(RATE_HZ, n - RATE_HZ, n // RATE_HZ // 15)).tolist():
            move = int(rng.uniform(0.3, 1.0) * limit) * (-1 if rng.random() < 0.5 else 1)
            move = -move if abs(lag + move) > limit else move
            if abs(lag + move) > limit or cut - source < RATE_HZ:
                continue
            pieces.append(part.samples[source:cut])
            local_s = sum(map(len, pieces)) / RATE_HZ
            knots += [[local_s, start_s + cut / RATE_HZ], [local_s, start_s + (cut + move) / RATE_HZ]]
            source, lag = cut + move, lag + move
        samples = np.concatenate([*pieces, part.samples[source:]])
        knots.append([len(samples) / RATE_HZ, start_s + n / RATE_HZ])
        makers.encoded(samples, folder / part.file, part.format)
        truth["parts"][part.part_id]["time_map"] = knots
    (folder / "truth.json").write_text(json.dumps(truth), "utf-8")


class Changed:
    """A meeting's documents and decoded parts, to be changed and written again as raw parts."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.rng = folder, np.random.default_rng(seed)
        self.meeting = json.loads((folder / "meeting.json").read_text("utf-8"))
        self.truth = json.loads((folder / "truth.json").read_text("utf-8"))
        self.parts = self.meeting["parts"]

    def samples(self, name: str, kind: str | None = None) -> np.ndarray:
        """Decode one file of the meeting."""
        decode(self.folder / name, self.folder / "changed.work", kind)
        return np.array(open_work(self.folder / "changed.work"))

    def put(self, part: dict[str, Any], samples: np.ndarray, start_s: float, nominal_s: float) -> None:
        """Write a raw part and its truth; its participant and speaker are those of `part`."""
        speaker = self.truth["parts"].get(part["id"], {}).get("speaker", part["participant"]["name"])
        name = f"changed-{len(self.meeting['parts']):03d}"
        makers.encoded(samples.astype(np.int16), self.folder / f"parts/{name}.raw", "raw")
        duration_s = len(samples) / RATE_HZ
        self.meeting["parts"].append(
            {
                **part,
                "id": name,
                "format": "raw",
                "file": f"parts/{name}.raw",
                "start_timestamp": {"relative": nominal_s},
                "duration": duration_s,
            }
        )
        knots = [[0.0, start_s], [duration_s, start_s + duration_s]]
        self.truth["parts"][name] = {"speaker": speaker, "drift_ppm": 0.0, "time_map": knots}

    def add_person(self, name: str, level_db: float | None) -> None:
        """Add somebody who never speaks and hears the others at a level, late, or nothing but noise."""
        mix = self.samples("mix.mp3").astype(float)
        late = round(self.rng.uniform(0.03, 0.5) * RATE_HZ)
        heard = 0.0 if level_db is None else np.r_[np.zeros(late), mix[:-late]] * 10 ** (level_db / 20)
        number = 300 + len(self.meeting["participants"])
        person = {**self.meeting["participants"][0], "id": number, "name": name}
        self.meeting["participants"].append(person)
        self.truth["speakers"][name] = []
        samples = np.clip(heard + self.rng.standard_normal(len(mix)) * 12, -32767, 32767)
        self.put({"id": name, "participant": person}, samples, 0.0, float(self.rng.uniform(-0.3, 0.3)))

    def write(self) -> None:
        """Write both documents."""
        for kind, value in (("meeting", self.meeting), ("truth", self.truth)):
            (self.folder / f"{kind}.json").write_text(json.dumps(value), "utf-8")


def change(folder: Path, name: str, seed: int) -> None:
    """Make an added condition of a finished meeting."""
    made, value = (
        Changed(folder, seed),
        [int(x) for x in name.replace("-", " -").split() if x.lstrip("-").isdigit()],
    )
    first = made.parts[0]
    if name.startswith("start"):
        first["start_timestamp"]["relative"] += value[0] * float(made.rng.choice([-1, 1]))
    elif name == "opposite polarity":
        start_s = made.truth["parts"][first["id"]]["time_map"][0][1]
        turned = -np.maximum(made.samples(first["file"], first["format"]), -32767)
        made.put(first, turned, start_s, first["start_timestamp"]["relative"])
        made.parts.remove(first)
    elif name.startswith("2-s"):
        for part in list(made.parts):
            samples, error_s = made.samples(part["file"], part["format"]), made.rng.uniform(-0.3, 0.3)
            start_s = made.truth["parts"][part["id"]]["time_map"][0][1]
            for at in range(0, min(len(samples), 60 * RATE_HZ) - 2 * RATE_HZ + 1, 2 * RATE_HZ):
                true_s = start_s + at / RATE_HZ
                nominal_s = true_s + error_s + float(made.rng.uniform(-0.02, 0.02))
                made.put(part, samples[at : at + 2 * RATE_HZ], true_s, nominal_s)
            made.parts.remove(part)
    elif name.startswith("listener"):
        made.add_person("Listener", value[0])
    else:
        for k in range(value[0] - len(made.meeting["participants"])):
            made.add_person(f"Guest {k}", float(made.rng.uniform(-34, -22)) if k % 5 < 2 else None)
    made.write()


def report_added(rows: dict[str, list[Score]]) -> None:
    """Print what became of the added conditions, each figure beside its target."""
    placed = {"aligned", "drift_unobservable", "step"}
    print(
        f"\n{'added condition':34} {'parts':5} {'error, ms: median / p95 / max':40} {'not placed':10} target"
    )
    for name, scored_parts in rows.items():
        spoken = [s for s in scored_parts if s.speech_s >= (0.3 if name.startswith("2-s") else 2.0)]
        lost = sum(s.found.status not in placed for s in spoken)
        target = "p95 20" if name.startswith("2-s") else "0.02 / 0.05 / 0.10"
        print(
            f"{name:34} {len(spoken):5} {tail([s.worst_ms for s in spoken]):40} {lost:10} {target}, 0",
            flush=True,
        )
    listening = [s for name, several in rows.items() if name[:5] in {"liste", "crowd"} for s in several]
    silent = [s for s in listening if s.speech_s == 0.0 and s.found.status != "silent"]
    told = [s for s in silent if s.found.uncertainty_ms is not None]
    inside = sum(s.worst_ms <= (s.found.uncertainty_ms or 0.0) for s in told)
    as_speakers = sum(s.found.placed_by == "itself" for s in silent)
    print(f"tracks without a voice: {len(silent)}, placed as if they spoke {as_speakers} (target 0)")
    print(f"    within their interval {inside} of {len(told)} (target all)")


def scores(folder: Path, condition: Condition) -> Iterator[Score]:
    """Decode, align and score one meeting."""
    meeting = json.loads((folder / "meeting.json").read_text("utf-8"))
    truth = json.loads((folder / "truth.json").read_text("utf-8"))
    before = time.process_time()
    mixed = decode(folder / "mix.mp3", folder / "mix.work")
    mix = open_work(folder / "mix.work")
    shared = (time.process_time() - before) / len(meeting["parts"])
    parts, fits, cpu = [], [], []
    for part in meeting["parts"]:
        before = time.process_time()
        work = folder / f"{part['id']}.work"
        decode(folder / part["file"], work, part["format"])
        nominal_s = part["start_timestamp"]["relative"]
        parts.append(PartAudio(part["id"], part["participant"]["id"], nominal_s, open_work(work)))
        fits.append(search_part(mix, parts[-1], AlignOptions()))
        cpu.append(time.process_time() - before + shared)
    before = time.process_time()
    found = reconcile(mix, parts, fits, mixed.source.encoder_delay_known)
    cpu = [c + (time.process_time() - before) / len(parts) for c in cpu]
    late_s = 0.0 if mixed.source.encoder_delay_known else LAME_DELAY_S
    for part, audio, place, used_s in zip(meeting["parts"], parts, found.parts, cpu, strict=True):
        true = truth["parts"][part["id"]]
        true_map = TimeMap(tuple((a, b + late_s) for a, b in true["time_map"]))
        rows = np.array(truth["speakers"][true["speaker"]]).reshape(-1, 2) + late_s
        minutes = len(audio.samples) / RATE_HZ / 60
        yield scored(condition, part["format"], place, (true_map, true["drift_ppm"], rows), used_s / minutes)


def scored(
    condition: Condition,
    kind: str,
    found: PartAlignment,
    truth: tuple[TimeMap, float, np.ndarray],
    cpu: float,
) -> Score:
    """One part against its truth."""
    true_map, drift_ppm, rows = truth
    local_s = np.arange(0.0, true_map.knots[-1][0], 0.05)
    mix_s = true_map.to_mix(local_s)
    error_ms = np.abs(found.time_map.to_mix(local_s) - mix_s) * 1e3
    spoken = np.any((mix_s[:, None] >= rows[:, 0]) & (mix_s[:, None] < rows[:, 1]), axis=1)
    clear, near = np.ones(len(local_s), dtype=bool), True
    for knots in (true_map.knots, found.time_map.knots):
        for place_s, _ in knots[1:-1]:
            clear &= np.abs(local_s - place_s) > STEP_NEAR_S
    for place_s, _ in true_map.knots[1:-1:2]:
        before, after = local_s[spoken & (local_s < place_s)], local_s[spoken & (local_s > place_s)]
        near &= len(before) > 0 and len(after) > 0 and bool(after[0] - before[-1] < 2 * STEP_NEAR_S)
    worst_ms = float(np.max(error_ms[clear], initial=0.0))
    return Score(
        condition.name,
        kind,
        found,
        true_map,
        drift_ppm,
        float(np.sum(spoken)) * 0.05,
        worst_ms,
        error_ms[spoken],
        near,
        cpu,
    )


def tail(values: Any) -> str:
    """Median, 95th percentile and maximum."""
    v = np.asarray(values, dtype=float)
    return (
        f"{np.median(v):.4f} / {np.percentile(v, 95):.4f} / {v.max():.4f} (n={len(v)})" if len(v) else "none"
    )


def report(all_scores: list[Score], strangers: list[PartAlignment], hushed: list[PartAlignment]) -> None:
    """Print every figure beside its target."""
    spoken = [s for s in all_scores if s.speech_s >= 2.0]
    straight = [s for s in spoken if len(s.truth.knots) == 2]
    still = [s for s in straight if s.drift_ppm == 0.0]
    drifting = [s for s in straight if s.drift_ppm != 0.0 and s.speech_s >= 15.0]
    stepped = [s for s in spoken if s.condition.startswith("step") and len(s.truth.knots) == 4]
    placed = {"aligned", "drift_unobservable", "step"}
    print(f"\n{'figure':46} {'found':44} target")
    line = "{:46} {:44} {}".format
    print(
        line("no drift, >= 2 s of speech: error, ms", tail([s.worst_ms for s in still]), "0.02 / 0.05 / 0.10")
    )
    print(line("drift, >= 15 s: error, ms", tail([s.worst_ms for s in drifting]), "0.05 / 0.10 / 0.25"))
    ppm = [abs(s.found.drift_ppm - s.drift_ppm) for s in drifting if s.found.drift_ppm is not None]
    print(line("drift, >= 15 s: error, ppm", tail(ppm), "p95 1"))
    false = sum(abs(s.found.drift_ppm or 0.0) > 0.5 for s in still)
    print(line("false drifts (> 0.5 ppm)", f"{false} of {len(still)}", "0"))
    print(
        line(
            "refusals, >= 2 s of speech",
            f"{sum(s.found.status not in placed for s in spoken)} of {len(spoken)}",
            "0",
        )
    )
    print(
        line(
            "grossly wrong (> 1 ms), straight",
            f"{sum(s.worst_ms > 1 for s in straight)} of {len(straight)}",
            "0",
        )
    )
    print(
        line(
            "foreign tracks placed", f"{sum(p.status in placed for p in strangers)} of {len(strangers)}", "0"
        )
    )
    print(line("silent tracks placed", f"{sum(p.status in placed for p in hushed)} of {len(hushed)}", "0"))
    print_steps(stepped, line)
    for name in ("wander ±10 ms", "wander ±30 ms"):
        errors = [s.speech_error_ms for s in spoken if s.condition == name]
        print(
            line(
                f"{name}: error over speech, ms", tail(np.concatenate(errors) if errors else []), "2 / 12 / -"
            )
        )
    known = [s for s in straight if s.found.uncertainty_ms is not None]
    covered = np.mean([s.worst_ms <= (s.found.uncertainty_ms or 0.0) for s in known])
    print(line("uncertainty_ms covers the truth", f"{covered:.1%} of {len(known)}", "90-99 %"))
    print(line("uncertainty_ms", tail([s.found.uncertainty_ms for s in known]), "-"))
    print(
        line(
            "lowest confidence of a placed track",
            f"{min(s.found.confidence or 0.0 for s in spoken):.3f}",
            "-",
        )
    )
    print(
        line(
            "highest confidence of a foreign track", f"{max(p.confidence or 0.0 for p in strangers):.3f}", "-"
        )
    )
    for kind, target in (("mp3", 0.25), ("raw", 0.25), ("ogg", 0.6)):
        cpu = [s.cpu_s_a_minute for s in all_scores if s.format == kind]
        print(line(f"CPU s a track-minute, {kind}", f"{np.mean(cpu):.3f}" if cpu else "none", f"{target}"))


def print_steps(stepped: list[Score], line: Any) -> None:
    """What became of single steps."""
    found = [s for s in stepped if len(s.found.time_map.knots) == 4]
    size_ms, place_s = [], []
    for s in found:
        mine, true = s.found.time_map.knots, s.truth.knots
        size_ms.append(abs((mine[2][1] - mine[1][1]) - (true[2][1] - true[1][1])) * 1e3)
        if s.near_speech:
            place_s.append(abs(mine[1][0] - true[1][0]))
    print(line("steps found", f"{len(found)} of {len(stepped)}", "all with speech on both sides"))
    print(line("step's size: error, ms", tail(size_ms), "max 0.2"))
    print(line("step's place, speech within 10 s: error, s", tail(place_s), "max 5"))


def others(folders: list[Path]) -> tuple[list[PartAlignment], list[PartAlignment]]:
    """Every meeting's parts against the next one's mix, and parts that hold nothing."""
    strangers, hushed = [], []
    for mine, next_one in zip(folders, folders[1:] + folders[:1], strict=True):
        mix = open_work(next_one / "mix.work")
        meeting = json.loads((mine / "meeting.json").read_text("utf-8"))
        works = [open_work(mine / f"{p['id']}.work") for p in meeting["parts"]]
        starts = [p["start_timestamp"]["relative"] for p in meeting["parts"]]
        parts = [PartAudio(str(i), i, s, w) for i, (s, w) in enumerate(zip(starts, works, strict=True))]
        fits = [search_part(mix, p, AlignOptions()) for p in parts]
        strangers += reconcile(mix, parts, fits, True).parts
        noise = (np.random.default_rng(len(hushed)).standard_normal(len(works[0])) * 60).astype(np.int16)
        empty = [PartAudio("zeros", 1, 0.0, np.zeros_like(works[0])), PartAudio("noise", 2, 0.0, noise)]
        hushed += reconcile(mix, empty, [search_part(mix, p, AlignOptions()) for p in empty], True).parts
    return strangers, hushed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--added", action="store_true", help="only the added conditions")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        base = options.keep or Path(scratch)
        score_of: dict[Path, list[Score]] = {}
        print(f"{'condition':24} {'parts':5} {'error, ms: median / p95 / max':44} {'status':30} CPU s/min")
        for number, condition in enumerate(() if options.added else CONDITIONS):
            rows: list[Score] = []
            for k in range(options.seeds):
                seed = 100 * number + k
                folder = base / f"{condition.name.replace(' ', '_')}-{k}"
                folder.mkdir(parents=True, exist_ok=True)
                score_of[folder] = list(scores(made(folder, condition, seed, options), condition))
                rows += score_of[folder]
            spoken = [s for s in rows if s.speech_s >= 2.0]
            if condition.name.startswith("wander"):
                errors: Any = np.concatenate([s.speech_error_ms for s in spoken])
            else:
                errors = [s.worst_ms for s in spoken]
            status = ", ".join(f"{n} {s}" for s, n in sorted(counts(spoken).items()))
            cpu = np.mean([s.cpu_s_a_minute for s in rows])
            print(f"{condition.name:24} {len(spoken):5} {tail(errors):44} {status:30} {cpu:.3f}", flush=True)
        added: dict[str, list[Score]] = {name: [] for name in ADDED}
        for number, name in enumerate(ADDED):
            base_condition = Condition(name, "--bleed-db -26", {"leakage_db": -26.0})
            for k in range(options.seeds):
                folder = base / f"{name.replace(' ', '_')}-{k}"
                fresh = not (folder / "truth.json").exists()
                folder.mkdir(parents=True, exist_ok=True)
                made(folder, base_condition, 5000 + 100 * number + k, options)
                if fresh:
                    change(folder, name, k)
                added[name] += scores(folder, base_condition)
        report_added(added)
        if options.added:
            return
        folders = list(score_of)
        report([s for rows in score_of.values() for s in rows], *others(folders[:20]))


def counts(rows: list[Score]) -> dict[str, int]:
    """How often each status."""
    return {s: sum(r.found.status == s for r in rows) for s in {r.found.status for r in rows}}


if __name__ == "__main__":
    main()
