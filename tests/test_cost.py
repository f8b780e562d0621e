"""Hold the cost of a job, counted in operations, independent of clock and machine.

Bounds follow from the meeting: its files, its length, the speech in it. The last tests put each waste back,
one at a time, and expect the bound that guards against it to fail. Seconds are measured by
``benchmarks/cost.py``.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from benchmarks.cost_meetings import RATE_HZ, Recipe, make, recording_folder
from counting import Counts, counted

from recall_audio.core.alignment import search
from recall_audio.core.speech import evidence
from recall_audio.pipeline import job, manifest, stages
from recall_audio.pipeline.process import process
from recall_audio.pipeline.stems import export
from recall_audio.pipeline.stems.level import LevelledTrack
from recall_audio.pipeline.stems.track_reader import RenderCache

SECONDS = 32
PEOPLE = 3

HEAVY = {"scipy.signal", "scipy.stats", "librosa", "numba", "pandas", "matplotlib", "onnxruntime", "sklearn"}
"""Modules that take half a second of CPU or more to import."""


@dataclass(frozen=True)
class MeasuredJob:
    """A meeting's recording and the counts of its whole job."""

    folder: Path
    counts: Counts

    @property
    def n_mix(self) -> int:
        """Return the samples of the mix."""
        return round(self.json("alignment")["mix"]["duration_s"] * RATE_HZ)

    @property
    def speech(self) -> int:
        """Return the samples of speech of all participants together."""
        rows = self.json("segments")["speakers"].values()
        return round(sum(end - start for spans in rows for start, end in spans) * RATE_HZ)

    @property
    def n_bytes(self) -> int:
        """Return the bytes of everything that was written."""
        return sum(
            p.stat().st_size for p in self.folder.rglob("*") if p.is_file() and "source" not in p.parts
        )

    def json(self, kind: str) -> dict[str, Any]:
        """Return one of the results."""
        value: dict[str, Any] = json.loads((self.folder / f"{kind}.json").read_text("utf-8"))
        return value

    def wasted(self) -> set[str]:
        """Return the bounds that do not hold."""
        counts, tracks = self.counts, PEOPLE * self.n_mix
        once = 1.05 * self.n_mix + RATE_HZ
        holds = {
            "each file is decoded once": sorted(counts.of("decodings").values()) == [1] * (PEOPLE + 1),
            # What rises above the noise, with 0.3 s on both sides.
            "the detector gets little but speech": counts.total("asked") <= 2 * self.speech,
            # A few long windows a part; then each loud half second once, 0.16 s farther on both sides.
            "only windows are correlated": counts["transformed", "align"]
            <= 16 * self.speech + 3_000_000 * PEOPLE,
            # Of each 20 ms a window of 40, of each 10 ms one of 20, tracks and mix, and the detector's own.
            "the sound is looked at once": counts["transformed", "speech"] <= 4.8 * tracks,
            # K-weighting, and one second in two of the mix and of each track against each other.
            "loudness is measured once": counts["transformed", "stems"] <= 4 * tracks,
            "each stem is rendered once": max(counts.of("rendered").values()) <= once,
            "each file is hashed once": counts.total("hashed") <= 1.02 * self.n_bytes + 100_000,
        }
        return {claim for claim, does in holds.items() if not does}


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Make a meeting and one twice as long: an MP3 mix, an Ogg, an MP3 and a raw part."""
    root, kinds = tmp_path_factory.mktemp("labs"), ("ogg", "mp3", "raw")
    return {s: make(root / str(s), Recipe(s, PEOPLE, kinds)) for s in (SECONDS, 2 * SECONDS)}


Run = Callable[[int], MeasuredJob]


@pytest.fixture
def run(labs: dict[int, Path], tmp_path: Path) -> Run:
    """Return a function that processes a meeting of so many seconds and counts."""

    def done(seconds: int) -> MeasuredJob:
        folder = recording_folder(labs[seconds], tmp_path / str(seconds))
        return MeasuredJob(folder, counted(folder))

    return done


@pytest.fixture(scope="module")
def jobs(labs: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[MeasuredJob, MeasuredJob]:
    """Process both meetings after a first run has imported and computed what later runs reuse."""
    root = tmp_path_factory.mktemp("jobs")
    process(recording_folder(labs[SECONDS], root / "warm"))
    folders = [recording_folder(lab, root / str(seconds)) for seconds, lab in labs.items()]
    short, long = (MeasuredJob(folder, counted(folder)) for folder in folders)
    return short, long


def test_a_job_does_nothing_twice_and_nothing_that_it_need_not(jobs: tuple[MeasuredJob, MeasuredJob]) -> None:
    for measured in jobs:
        assert measured.json("segments")["speakers"].keys() == measured.counts.of("rendered").keys()
        assert not measured.wasted(), measured.counts


def test_twice_the_length_costs_at_most_twice_as_much(jobs: tuple[MeasuredJob, MeasuredJob]) -> None:
    assert not grown(*jobs)


def grown(short: MeasuredJob, long: MeasuredJob) -> set[str]:
    """Return the counts that grow more than 5 % faster than the meeting, or the speech in it."""
    length, speech = long.n_mix / short.n_mix, max(long.speech / short.speech, long.n_mix / short.n_mix)
    most = dict.fromkeys(("decoded", "rendered", "written", "hashed", "calls"), 1.05 * length)
    most |= dict.fromkeys(("asked", "transformed"), 1.05 * speech)
    return {k for k, times in most.items() if long.counts.total(k) > times * short.counts.total(k)}


def test_a_minute_more_of_a_track_is_no_call_of_a_function_for_each_sample_or_hop(
    jobs: tuple[MeasuredJob, MeasuredJob],
) -> None:
    short, long = jobs
    frames = PEOPLE * (long.n_mix - short.n_mix) // 160
    assert long.counts.total("calls") - short.counts.total("calls") < 10 * frames


def alone(code: str, *arguments: object) -> Any:
    """Return what a Python process of its own prints, read as JSON."""
    command = [sys.executable, "-c", code, *(str(a) for a in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


LISTED = "import json, sys; print(json.dumps([n for n in sys.modules]))"


def test_importing_the_package_imports_nothing_that_computes() -> None:
    modules = set(alone(f"import recall_audio; {LISTED}"))
    assert "recall_audio" in modules
    assert not modules & (HEAVY | {"numpy", "scipy", "av", "soundfile", "requests", "click"})


def test_help_imports_nothing_that_computes() -> None:
    modules = set(alone(f"from recall_audio.cli import run; run(['--help']); {LISTED}"))
    assert "click" in modules
    assert not modules & (HEAVY | {"numpy", "scipy", "av", "soundfile", "requests"})


WATCHED = """
import json, sys
from pathlib import Path
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
import recall_audio
recall_audio.process(Path(sys.argv[1]))
print(json.dumps([opened, list(sys.modules)]))
"""
AUDIO = (".mp3", ".ogg", ".raw", ".s16", ".wav")


def test_the_job_imports_nothing_heavy_and_a_done_one_opens_no_audio(
    labs: dict[int, Path], tmp_path: Path
) -> None:
    folder = recording_folder(labs[SECONDS], tmp_path)
    opened, modules = alone(WATCHED, folder)
    assert {Path(f).suffix for f in opened} >= set(AUDIO), "what is opened is seen"
    assert "av" in modules
    assert not set(modules) & (HEAVY | {"scipy", "requests", "click"})
    opened, modules = alone(WATCHED, folder)
    assert any(f.endswith("run.json") for f in opened)
    assert not [f for f in opened if f.endswith(AUDIO)]
    assert not set(modules) & (HEAVY | {"numpy", "scipy", "av", "soundfile"})


def doing(what: Any, times: int) -> Callable[..., Any]:
    """Return the same function, doing its work so many times."""

    def wasteful(*args: Any, **kwargs: Any) -> Any:
        return [what(*args, **kwargs) for _ in range(times)][-1]

    return wasteful


def decode_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(job, "decode", doing(job.decode, 2))


def ask_of_everything(patch: pytest.MonkeyPatch) -> None:
    import numpy as np

    def all_of_it(level_db: Any, *_: Any) -> Any:
        return np.array([[0, len(level_db) * 160]])

    patch.setattr(evidence, "worth_asking", all_of_it)
    patch.setattr(evidence, "_loud_enough", all_of_it)


def correlate_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(search, "gather_candidates", doing(search.gather_candidates, 3))


def look_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(stages, "join_speech", doing(stages.join_speech, 2))


def measure_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(export, "level_track", doing(export.level_track, 2))


def forget_what_was_rendered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RenderCache, "block", lambda *_: None)


def hash_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(manifest, "describe", doing(manifest.describe, 2))


WASTES = {
    "each file is decoded once": decode_twice,
    "the detector gets little but speech": ask_of_everything,
    "only windows are correlated": correlate_again,
    "the sound is looked at once": look_twice,
    "loudness is measured once": measure_twice,
    "each stem is rendered once": forget_what_was_rendered,
    "each file is hashed once": hash_twice,
}


@pytest.mark.parametrize("claim", WASTES)
def test_a_guard_sees_the_waste_it_is_there_for(
    claim: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    WASTES[claim](monkeypatch)
    assert claim in run(2 * SECONDS).wasted()


def test_work_that_grows_with_the_square_of_the_length_is_seen(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = LevelledTrack.read

    def from_the_beginning(levelled: LevelledTrack, start: int, stop: int) -> Any:
        levelled.track.read(0, stop)
        return read(levelled, start, stop)

    # Blocks are a minute long: the shorter meeting has one, the longer one two.
    monkeypatch.setattr(LevelledTrack, "read", from_the_beginning)
    assert "rendered" in grown(run(SECONDS), run(2 * SECONDS))
