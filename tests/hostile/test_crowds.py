"""A meeting of many costs as much for each who never speaks, however many they are."""

import json
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from benchmarks.cost_meetings import Recipe, make, recording_folder
from benchmarks.crowd import TALKERS, with_crowd
from counting import Counts, counted

import recall_audio as ra
from recall_audio.core.talk.measure import measure_talk, with_unknown
from recall_audio.media import pcm_file
from recall_audio.model.labels import make_labels
from recall_audio.model.meeting import Participant

CROWDS = (70, 110, 190)


@pytest.fixture(scope="module")
def crowds(tmp_path_factory: pytest.TempPathFactory) -> MappingProxyType[int, tuple[Path, Counts]]:
    """Process a short meeting with more and more attendees, each with a part of noise, and count."""
    root, found = tmp_path_factory.mktemp("crowds"), {}
    lab = make(root / "lab", Recipe(6.0, TALKERS, ("raw",)))
    counted(recording_folder(lab, root / "warm"))
    for n in CROWDS:
        folder = with_crowd(recording_folder(lab, root / str(n)), n, "short", noise_s=0.3)
        found[n] = folder, counted(folder, ra.Options())
    return MappingProxyType(found)


def grows_straight(few: float, more: float, most: float) -> bool:
    """Return whether the second step, twice as long as the first, is about twice as high."""
    return most - more <= 2.3 * (more - few)


def test_work_grows_with_the_attendees_and_not_with_their_pairs(
    crowds: MappingProxyType[int, tuple[Path, Counts]],
) -> None:
    few, more, most = (counts for _, counts in crowds.values())
    for stage, calls in most.of("calls").items():
        # A thousand calls of leeway: blocks of fixed size, and what the meeting's own speakers cost.
        assert grows_straight(few["calls", stage], more["calls", stage] + 1000, calls), stage
    for kind in ("decoded", "asked", "transformed", "hashed", "written"):
        assert grows_straight(few.total(kind), more.total(kind) + 1000, most.total(kind)), kind
    assert len(most.of("rendered")) <= TALKERS, "no stem is rendered of who never speaks"


def test_files_grow_with_the_attendees_and_not_with_their_pairs(
    crowds: MappingProxyType[int, tuple[Path, Counts]],
) -> None:
    few, more, most = (
        {p.name: p.stat().st_size for p in folder.iterdir() if p.is_file()} for folder, _ in crowds.values()
    )
    for name in most:
        assert grows_straight(few[name], more[name], most[name]), name
    assert (most["report.html"] - few["report.html"]) / (CROWDS[2] - CROWDS[0]) < 2500, "3 MB for a thousand"


def test_everyone_is_a_row_and_only_who_speaks_is_paired(
    crowds: MappingProxyType[int, tuple[Path, Counts]],
) -> None:
    folder, _ = crowds[CROWDS[-1]]
    talk = json.loads((folder / "talk.json").read_text("utf-8"))
    assert len(talk["speakers"]) == TALKERS + CROWDS[-1]
    heard = {label for label, figures in talk["speakers"].items() if figures["talk_s"]}
    assert {label for pair in talk["pairs"] for label in (pair["a"], pair["b"])} <= heard
    recording = ra.open(folder)
    assert recording.overlap.shape == (len(talk["speakers"]),) * 2
    assert len(recording.talk) == len(talk["speakers"])
    page = (folder / "report.html").read_text("utf-8")
    assert "say nothing: they are in this table only" in page
    assert {p.stem for p in folder.glob("stems/*")} == heard


def test_pairs_of_a_crowd_are_those_of_the_same_meeting_without_it() -> None:
    rng = np.random.default_rng(5)
    spoken = {
        f"S{i}": [[float(t), float(t) + 1.5] for t in rng.choice(60, 8, replace=False)] for i in range(6)
    }
    spoken = {k: sorted(v) for k, v in spoken.items()}
    alone = measure_talk(spoken, 62.0)
    crowd = {f"Guest_{i}": [] for i in range(80)}
    among = measure_talk(spoken | crowd, 62.0)
    assert among.pairs == alone.pairs
    assert [among.speakers[k].turn_s for k in spoken] == [alone.speakers[k].turn_s for k in spoken]
    unknown = with_unknown(among, {"Gone": "lost"}, [*spoken, *crowd, "Gone"])
    assert unknown.pairs == alone.pairs
    assert unknown.speakers["Gone"].talk_s is None


def test_a_thousand_guests_are_labelled_at_once_and_each_differs() -> None:
    labels = make_labels([Participant(i, "Guest") for i in range(1000)])
    assert len(set(labels.values())) == 1000


def test_more_parts_than_files_may_be_open_are_read_all_the_same(
    monkeypatch: pytest.MonkeyPatch, crowds: MappingProxyType[int, tuple[Path, Counts]], tmp_path: Path
) -> None:
    """As where the system's limit is low and may not be raised."""
    from recall_audio.pipeline import job as jobs

    folder, _ = crowds[CROWDS[0]]
    monkeypatch.setattr(jobs, "allow_maps", lambda _n: 7)
    parts = jobs.Job.of(folder, ra.Options()).audio.parts
    samples = {part_id: parts[part_id].samples for part_id in parts}
    assert sum(isinstance(s, pcm_file.Mapped) for s in samples.values()) == 7
    assert {len(s) for s in samples.values()} >= {round(0.3 * 16_000)}
