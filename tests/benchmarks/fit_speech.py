"""Fit the networks that decide whose speech a frame is, and score them on what was left out.

    python tests/benchmarks/fit_speech.py --speech DIR... --turns DIR... --sounds DIR... --rooms DIR...
        --noise DIR... --work DIR [--out recall_audio/detector/ownership.npz] [--meetings 280] [--jobs 2]
        [--families]

Meetings are drawn by ``platform_lab`` from three quarters of the voices, turns, sounds and rooms, by the
place of their names in order; the others score. Detector and features run in processes, one BLAS thread each;
results are kept in ``--work``, so that a second run takes minutes. The same folders give the same weights.
``--families`` also fits without each family of conditions and scores on that family, on left-out voices.
Which corpora serve and which were used: FITTING.md beside this file.
"""

import argparse
import os
import pickle
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from platform_lab.conditions import CONDITIONS, FAMILIES  # noqa: E402
from platform_lab.material import Material  # noqa: E402
from platform_lab.meeting import Meeting, make_meeting  # noqa: E402
from platform_lab.scores import Score, score  # noqa: E402
from platform_lab.small_network import Fitting, fit, scaled, scaling  # noqa: E402

from recall_audio.core import spans as sp  # noqa: E402
from recall_audio.core.speech.evidence import part_evidence  # noqa: E402
from recall_audio.core.speech.features import context  # noqa: E402
from recall_audio.core.speech.find import join_speech  # noqa: E402
from recall_audio.core.speech.frames import FRAME_SAMPLES  # noqa: E402
from recall_audio.core.speech.ownership import Stretch, own_speech, read_stretch  # noqa: E402
from recall_audio.detector import load_detector  # noqa: E402
from recall_audio.detector.ownership import pack, unpack  # noqa: E402
from recall_audio.model.options import SpeechOptions  # noqa: E402
from recall_audio.model.speech import (  # noqa: E402
    Network,
    OwnershipModel,
    PartEvidence,
)
from recall_audio.typing import Float32Array  # noqa: E402

FOLDS = 3
EVERY = 4  # rows fitted to: every fourth frame; neighbours are nearly the same
WITHOUT_MIX = 5  # every fifth meeting has no mix, so that the networks can do without
HARD = (
    "listener", "listener_agc", "no_track", "screen_share_leaks", "second_device", "laughter",
    "laughter_speaker", "television", "television_speaker", "cough", "agc_fast", "agc_slow", "telephone_all",
    "noisy", "gate", "lag_late", "lag_drift", "cancel_start", "leak_all", "keyboard_speaker",
    "music_speaker", "muted",
)  # fmt: skip
"""Conditions that too few of the drawn meetings hold."""
HARDEST = ("listener", "listener_agc", "screen_share_leaks", "no_track", "laughter")

CROWD = 4.0  # a meeting counts as so many tracks at most
TEST_SEEDS = (501,)
TEST_S = 90.0


@dataclass(frozen=True)
class Drawn:
    """One meeting ready to be fitted to.

    Attributes:
        meeting: with its truth.
        evidence: of the detector.
        stretch: the features.
        truth: for each track of the stretch, frames of 20 ms of own speech.
    """

    meeting: Meeting
    evidence: dict[str, PartEvidence]
    stretch: Stretch
    truth: tuple[np.ndarray, ...]


Recipe = tuple[str, int, float]
"""Condition, seed and seconds."""


def recipes(n_random: int) -> list[Recipe]:
    """Return the meetings that are fitted to."""
    drawn = [("random", seed, 45.0 + seed * 37 % 45) for seed in range(n_random)]
    named = [(name, 1, 60.0) for name in CONDITIONS if name != "random"]
    named += [(name, seed, 60.0) for seed in (2, 3, 4) for name in HARD]
    named += [(name, seed, 60.0) for seed in range(5, 10) for name in HARDEST]
    # Mixed, so that the networks of every fold see every kind.
    return [drawn_or_named for pair in zip(drawn, named, strict=False) for drawn_or_named in pair] + (
        drawn[len(named) :] + named[len(drawn) :]
    )


def made(recipe: Recipe, material: Material, work: Path) -> Path:
    """Make one meeting and hear it with the detector, unless it is there; return its file."""
    condition, seed, duration_s = recipe
    path = work / f"{condition}-{seed}-{duration_s:.0f}.meeting"
    if not path.exists():
        meeting = make_meeting(material, condition, seed, duration_s)
        detector = load_detector()
        parts = [p for t in meeting.tracks for p in t.parts]
        evidence = {p.part_id: part_evidence(p.part_id, p.samples, detector) for p in parts}
        _write(path, (meeting, evidence))
    return path


def prepared(recipe: Recipe, material: Material, work: Path) -> Path:
    """Make one meeting and its features, unless they are there; return the features' file.

    Features are computed anew when the code that computes them has changed.
    """
    source = made(recipe, material, work)
    path = source.with_suffix(f".{features_code():08x}.pkl")
    if not path.exists():
        meeting, evidence = pickle.loads(source.read_bytes())  # noqa: S301
        n = int(np.ceil(meeting.duration_s * 16_000 / FRAME_SAMPLES))
        without = zlib.crc32(path.name.split(".")[0].encode()) % WITHOUT_MIX == 0
        stretch = read_stretch(meeting.tracks, evidence, (0, n), None if without else meeting.mix.samples)
        truth = tuple(sp.to_mask(meeting.truth[label], FRAME_SAMPLES, n) for label in stretch.labels)
        _write(path, Drawn(meeting, evidence, stretch, truth))
    return path


def _write(path: Path, value: object) -> None:
    partial_path = path.with_name(path.name + ".partial")
    partial_path.write_bytes(pickle.dumps(value, 4))
    partial_path.replace(path)


@cache
def features_code() -> int:
    """Return a digest of the modules that compute features."""
    folder = ROOT / "recall_audio" / "core" / "speech"
    names = ("features", "frames", "likeness", "mixed", "on_mix")
    return zlib.crc32(b"".join((folder / f"{name}.py").read_bytes() for name in names))


def all_prepared(wanted: Sequence[Recipe], material: Material, work: Path, jobs: int) -> list[Path]:
    """Make meetings in processes; return their files in order."""
    work.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with ProcessPoolExecutor(jobs) as pool:
        found = list(pool.map(partial(prepared, material=material, work=work), wanted))
    print(f"{len(found)} meetings in {work.name}: {time.monotonic() - started:.0f} s", flush=True)
    return found


def read(path: Path) -> Drawn:
    """Return a meeting that was prepared."""
    drawn: Drawn = pickle.loads(path.read_bytes())  # noqa: S301
    return drawn


@dataclass(frozen=True)
class Rows:
    """Rows of all meetings: features, truth, weight, and the meeting each is from."""

    features: Float32Array
    own: np.ndarray
    weight: Float32Array
    meeting: np.ndarray


def rows_of(drawn: Sequence[Drawn]) -> Rows:
    """Return every fourth candidate frame of all tracks."""
    features, own, weight, meeting = [], [], [], []
    for g, one in enumerate(drawn):
        for k, (evidence, truth) in enumerate(zip(one.stretch.evidence, one.truth, strict=True)):
            chosen = slice((g + k) % EVERY, None, EVERY)
            rows = evidence.rows[chosen]
            features.append(evidence.features[chosen])
            own.append(truth[rows])
            weight.append(np.full(len(rows), min(1.0, CROWD / len(one.truth)), dtype=np.float32))
            meeting.append(np.full(len(rows), g))
    return Rows(*(np.concatenate(x) for x in (features, own, weight, meeting)))


def contexts_of(drawn: Sequence[Drawn], networks: Sequence[Network]) -> Float32Array:
    """Return the context of the same rows, each meeting's by the network that was not fitted to it."""
    found = []
    for g, one in enumerate(drawn):
        guess = OwnershipModel((networks[g % FOLDS],), ())
        guesses = []
        for evidence in one.stretch.evidence:
            row = np.zeros(evidence.frames.n, dtype=np.float32)
            row[evidence.rows] = guess.guess(evidence.features)
            guesses.append(row)
        if guesses:
            further = context(one.stretch.evidence, guesses)
            found += [c[(g + k) % EVERY :: EVERY] for k, c in enumerate(further)]
    return np.concatenate(found)


def fitted(drawn: Sequence[Drawn], how: Fitting, provenance: str = "") -> OwnershipModel:
    """Return the model fitted to meetings: three networks a stage, each to two thirds of them."""
    rows = rows_of(drawn)
    owner = _fitted_to_folds(rows, rows.features, replace(how, seed=1))
    inputs = np.concatenate((rows.features, contexts_of(drawn, owner)), axis=1)
    speech = _fitted_to_folds(rows, inputs, replace(how, seed=11))
    print(f"{len(rows.meeting)} rows of {len(drawn)} meetings", flush=True)
    return OwnershipModel(tuple(owner), tuple(speech), provenance=provenance)


def stated_and_true(drawn: Iterable[Drawn], model: OwnershipModel) -> tuple[Float32Array, np.ndarray]:
    """Return the probability and the truth of every candidate frame."""
    p, own = [], []
    for one in drawn:
        decided = own_speech(one.stretch, model)
        for evidence, truth, row in zip(one.stretch.evidence, one.truth, decided, strict=True):
            p.append(row[evidence.rows])
            own.append(truth[evidence.rows])
    return np.concatenate(p), np.concatenate(own)


def _fitted_to_folds(rows: Rows, inputs: Float32Array, how: Fitting) -> list[Network]:
    """Return a network for each fold, fitted to the other folds; all scale their inputs alike."""
    centre_and_scale = scaling(inputs)
    x = scaled(inputs, *centre_and_scale)
    fold = rows.meeting % FOLDS
    calls = [(fold != f, replace(how, seed=how.seed + f)) for f in range(FOLDS)]
    return [fit(x[k], rows.own[k], rows.weight[k], h, centre_and_scale) for k, h in calls]


def scored(one: Drawn, model: OwnershipModel) -> Score:
    """Return the figures of one meeting."""
    meeting = one.meeting
    found = join_speech(meeting.tracks, one.evidence, meeting.duration_s, SpeechOptions(), model, meeting.mix)
    return score(found.segments, meeting.truth, meeting.duration_s)


def print_scores(
    title: str, files: Sequence[Path], model: OwnershipModel, wanted: Callable[[Drawn], bool]
) -> None:
    """Print a row a condition and the means."""
    by_condition: dict[str, list[Score]] = {}
    for path in files:
        one = read(path)
        if wanted(one):
            by_condition.setdefault(one.meeting.name.rsplit("-", 1)[0], []).append(scored(one, model))
    print(
        f"\n{title}\n{'condition':<22}{'missed %':>9}{'false %':>9}{'error %':>9}{'share':>7}{'never s':>9}"
    )
    for name, several in by_condition.items():
        means = [np.mean([getattr(s, k) for s in several]) for k in ("missed", "false", "error", "share")]
        never = max(s.never_s for s in several)
        print(f"{name:<22}" + "".join(f"{m:9.1f}" for m in means) + f"{never:9.2f}")
    errors = [s.error for several in by_condition.values() for s in several]
    if errors:
        print(
            f"mean {np.mean(errors):.2f}, median {np.median(errors):.2f}, worst {max(errors):.1f} %",
            flush=True,
        )


def print_reliability(files: Sequence[Path], model: OwnershipModel) -> None:
    """Print how often frames of a stated probability are own speech."""
    stated, true = stated_and_true(map(read, files), model)
    cell = np.minimum((stated * 10).astype(int), 9)
    print("\nstated probability, share that is own speech, frames")
    for k in range(10):
        there = cell == k
        if there.any():
            print(f"{stated[there].mean():.2f}  {true[there].mean():.2f}  {np.count_nonzero(there)}")


def print_families(files: Sequence[Path], tests: Sequence[Path], how: Fitting) -> None:
    """Print, for each family of conditions, the scores of a model that never saw it.

    Such a model is fitted to every second meeting that holds nothing of the family, in half of the passes.
    """
    how = replace(how, epochs=(how.epochs + 1) // 2)
    for family in FAMILIES:
        drawn = [d for d in map(read, files[::2]) if family not in d.meeting.families and not _is(d, family)]
        model = fitted(drawn, how)
        print_scores(f"without {family}, on {family}", tests, model, partial(_is, family=family))


def _is(one: Drawn, family: str) -> bool:
    return CONDITIONS[one.meeting.name.rsplit("-", 1)[0]][0] == family


def main() -> None:
    """Fit, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for kind in ("speech", "turns", "sounds", "rooms", "noise"):
        parser.add_argument(f"--{kind}", type=Path, nargs="*", default=[])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--meetings", type=int, default=280)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--families", action="store_true")
    a = parser.parse_args()
    material = Material.of(a.speech, a.turns, a.sounds, a.rooms, a.noise)
    fit_to, left_out = material.part(left_out=False), material.part(left_out=True)
    files = all_prepared(recipes(a.meetings), fit_to, a.work / "fit", a.jobs)
    voices = ", ".join(sorted({p.name for p in fit_to.speakers}))
    rooms = ", ".join(p.name for p in fit_to.rooms)
    provenance = f"fit_speech.py, {len(files)} meetings of platform_lab; voices: {voices}; rooms: {rooms}"
    model = fitted([read(f) for f in files], Fitting(), provenance)
    model = unpack({k: np.asarray(v) for k, v in pack(model).items()})
    if a.out:
        np.savez_compressed(a.out, **pack(model))
        print(f"{a.out}: {a.out.stat().st_size / 1000:.0f} kB", flush=True)
    tested = [(name, seed, TEST_S) for seed in TEST_SEEDS for name in CONDITIONS]
    tests = all_prepared(tested, left_out, a.work / "left_out", a.jobs)
    print_scores("left-out voices, turns, sounds and rooms", tests, model, lambda _one: True)
    print_reliability(tests, model)
    if a.families:
        print_families(files, tests, Fitting())


if __name__ == "__main__":
    main()
