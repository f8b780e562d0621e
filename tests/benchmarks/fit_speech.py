"""Fit the networks that decide whose speech a frame is, and score them on what was left out.

    python tests/benchmarks/fit_speech.py --speech DIR... --turns DIR... --sounds DIR... --rooms DIR...
        --noise DIR... --work DIR [--out recall_audio/detector/ownership.npz] [--meetings 50] [--jobs 2]
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
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
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
from platform_lab.small_network import Fitting, fit  # noqa: E402

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
EVERY = 2  # rows fitted to: every second frame
WITHOUT_MIX = 5  # every fifth meeting has no mix, so that the networks can do without
HARD = ("listener", "listener_agc", "no_track", "screen_share_leaks", "second_device", "laughter")
"""Conditions that too few of the drawn meetings hold."""

CROWD = 4.0  # a meeting counts as so many tracks at most
TEST_SEEDS = (501,)
TEST_S = 90.0


@dataclass(frozen=True)
class Drawn:
    """One meeting ready to be fitted to.

    Attributes:
        meeting: with its truth.
        evidence: of the detector, the mix's too.
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
    named += [(name, seed, 60.0) for seed in (2, 3) for name in HARD]
    # Mixed, so that the networks of every fold see every kind.
    return [drawn_or_named for pair in zip(drawn, named, strict=False) for drawn_or_named in pair] + (
        drawn[len(named) :] + named[len(drawn) :]
    )


def prepared(recipe: Recipe, material: Material, work: Path) -> Path:
    """Make one meeting and its features, unless they are there; return their file."""
    condition, seed, duration_s = recipe
    path = work / f"{condition}-{seed}-{duration_s:.0f}.pkl"
    if path.exists():
        return path
    meeting = make_meeting(material, condition, seed, duration_s)
    detector = load_detector()
    parts = [*(p for t in meeting.tracks for p in t.parts), meeting.mix]
    evidence = {p.part_id: part_evidence(p.part_id, p.samples, detector) for p in parts}
    n = int(np.ceil(duration_s * 16_000 / FRAME_SAMPLES))
    without = zlib.crc32(path.stem.encode()) % WITHOUT_MIX == 0
    stretch = read_stretch(meeting.tracks, evidence, (0, n), None if without else meeting.mix.samples)
    truth = tuple(sp.to_mask(meeting.truth[label], FRAME_SAMPLES, n) for label in stretch.labels)
    partial_path = path.with_suffix(".partial")
    partial_path.write_bytes(pickle.dumps(Drawn(meeting, evidence, stretch, truth), 4))
    partial_path.replace(path)
    return path


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
    """Return every second candidate frame of all tracks."""
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
    fold = rows.meeting % FOLDS
    owner = [_fit(rows, rows.features, fold != f, replace(how, seed=1 + f)) for f in range(FOLDS)]
    inputs = np.concatenate((rows.features, contexts_of(drawn, owner)), axis=1)
    speech = [_fit(rows, inputs, fold != f, replace(how, seed=11 + f)) for f in range(FOLDS)]
    odds = np.empty(len(fold), dtype=np.float32)
    for f, network in enumerate(speech):
        odds[fold == f] = network.log_odds(inputs[fold == f])
    line = calibration(odds, rows.own, rows.weight)
    print(f"{len(fold)} rows of {len(drawn)} meetings; calibration {line[0]:.3f} {line[1]:+.3f}", flush=True)
    return OwnershipModel(tuple(owner), tuple(speech), line, provenance)


def _fit(rows: Rows, inputs: Float32Array, chosen: np.ndarray, how: Fitting) -> Network:
    return fit(inputs[chosen], rows.own[chosen], rows.weight[chosen], how)


def calibration(odds: Float32Array, own: np.ndarray, weight: Float32Array) -> tuple[float, float]:
    """Return slope and offset that make log-odds those of the truth (Platt 1999)."""
    from scipy.optimize import minimize

    x, sign = np.clip(odds, -12, 12).astype(np.float64), np.where(own, 1.0, -1.0)

    def loss(line: np.ndarray) -> float:
        return float(np.mean(weight * np.logaddexp(0, -sign * (line[0] * x + line[1]))))

    slope, offset = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(slope), float(offset)


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
    p, own = [], []
    for path in files:
        one = read(path)
        for evidence, truth, row in zip(
            one.stretch.evidence, one.truth, own_speech(one.stretch, model), strict=True
        ):
            p.append(row[evidence.rows])
            own.append(truth[evidence.rows])
    stated, true = np.concatenate(p), np.concatenate(own)
    cell = np.minimum((stated * 10).astype(int), 9)
    print("\nstated probability, share that is own speech, frames")
    for k in range(10):
        there = cell == k
        if there.any():
            print(f"{stated[there].mean():.2f}  {true[there].mean():.2f}  {np.count_nonzero(there)}")


def print_families(files: Sequence[Path], tests: Sequence[Path], how: Fitting) -> None:
    """Print, for each family of conditions, the scores of a model that never saw it."""
    for family in FAMILIES:
        drawn = [d for d in map(read, files) if family not in d.meeting.families and not _is(d, family)]
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
    parser.add_argument("--meetings", type=int, default=50)
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
