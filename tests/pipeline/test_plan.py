"""Which stages run again when an input changes: exactly those that depend on it, for every input there is."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, make_dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from recall_audio.files import read_json, write_json
from recall_audio.model.meeting import MediaFile, Meeting, Part, Participant, Presence
from recall_audio.model.options import OPTION_FIELDS, Options
from recall_audio.model.outcome import Finding
from recall_audio.pipeline import job, stages
from recall_audio.pipeline.documents import KINDS, Layout, read_documents
from recall_audio.pipeline.manifest import StageRecord, describe, earlier, is_done
from recall_audio.pipeline.plan import STAGES, stage_keys, stale_stages

ALL = ["people", "decode", "align", "speech", "talk", "stems", "report"]

MEETING = Meeting(
    bot={"id": "b1", "name": "Notes"},
    recording={"id": "r1", "started_at": "2026-01-01T10:00:00Z"},
    participants=(Participant(1, "Ann"), Participant(2, "Bob")),
    parts=(Part("p1", 1, 0.5, MediaFile("source/p1.ogg", "ogg", 10, "aa", 60.0)),),
    mix=MediaFile("source/mixed.mp3", "mp3", 20, "bb", 60.0),
    presence=(Presence(1, 0.0, None), Presence(2, 5.0, 50.0)),
    findings=(Finding("odd", "Something is odd."),),
)

REDONE: Mapping[str, tuple[Meeting, list[str]]] = MappingProxyType({
    "bot": (replace(MEETING, bot={"id": "b1", "name": "Other"}), ["report"]),
    "recording": (replace(MEETING, recording={"id": "r1", "started_at": None}), ["report"]),
    "participants": (
        replace(MEETING, participants=(Participant(1, "Ann"), Participant(2, "Rob"))),
        ["people", "speech", "talk", "stems", "report"],
    ),
    "parts": (
        replace(MEETING, parts=(replace(MEETING.parts[0], nominal_start_s=0.75),)),
        ["people", "decode", "align", "speech", "talk", "stems", "report"],
    ),
    "mix": (
        replace(MEETING, mix=MediaFile("source/mixed.mp3", "mp3", 20, "cc", 60.0)),
        ["decode", "align", "speech", "talk", "stems", "report"],
    ),
    "spoke": (replace(MEETING, spoke=(1,)), ["talk", "report"]),
    "presence": (replace(MEETING, presence=(Presence(1, 0.0, 59.0),)), ["talk", "report"]),
    "findings": (replace(MEETING, findings=()), ["report"]),
})  # fmt: skip
"""Field of ``recording.json``: the meeting with another value there, and what has to be done again."""

REDONE_BY_STEP = {
    "people": ["people", "talk", "report"],
    "align": ["align", "speech", "talk", "stems", "report"],
    "speech": ["speech", "talk", "stems", "report"],
    "talk": ["talk", "report"],
    "stems": ["stems", "report"],
}
"""Step of the options: what has to be done again when any of its options changes."""


class Left:
    """Stands for the manifest of an earlier run: its keys, and the stages whose files are lost."""

    def __init__(self, keys: Mapping[str, str], lost: tuple[str, ...] = ()) -> None:
        self.keys, self.lost = keys, lost

    def is_fresh(self, name: str, key: str, *, check_files: bool = True) -> bool:
        return self.keys[name] == key and not (check_files and name in self.lost)


def redone(meeting: Meeting = MEETING, options: Options = Options(), lost: tuple[str, ...] = ()) -> list[str]:  # noqa: B008
    """The stages that run, after a run on :data:`MEETING` with the defaults."""
    left: Any = Left(stage_keys(MEETING, Options()), lost)
    stale = stale_stages(left, stage_keys(meeting, options))
    return [name for name in ALL if name in stale]


def another(value: Any, kind: Any) -> Any:
    """A value of an option's type other than the one given."""
    if get_origin(kind) is tuple:
        return (*value, "Ann" if get_args(kind)[0] is str else 0.4)
    choices = [c for c in get_args(kind) if c != value]
    if choices:
        return choices[0]
    return not value if isinstance(value, bool) else type(value)(value + 1)


def test_the_stages_run_in_their_order_and_read_only_earlier_ones() -> None:
    assert list(STAGES) == ALL
    for i, stage in enumerate(STAGES.values()):
        assert set(stage.reads) <= set(ALL[:i])
        assert callable(getattr(stages, stage.function))


def test_nothing_runs_where_nothing_has_changed() -> None:
    assert redone() == []


def test_every_field_of_the_recording_is_tried() -> None:
    assert set(REDONE) == {f.name for f in fields(Meeting)}


@pytest.mark.parametrize("name", REDONE)
def test_a_changed_field_of_the_recording_redoes_exactly_what_depends_on_it(name: str) -> None:
    meeting, expected = REDONE[name]
    assert getattr(meeting, name) != getattr(MEETING, name)
    assert redone(meeting) == expected


def test_another_recording_id_measures_talk_again_since_the_rttm_names_it() -> None:
    assert redone(replace(MEETING, recording={**MEETING.recording, "id": "r2"})) == ["talk", "report"]


def test_every_step_of_the_options_is_tried() -> None:
    assert set(REDONE_BY_STEP) == {f.name for f in fields(Options)}


@pytest.mark.parametrize("option", [o for o in OPTION_FIELDS if o.partition(".")[0] in REDONE_BY_STEP])
def test_a_changed_option_redoes_exactly_what_depends_on_it(option: str) -> None:
    step, _, name = option.partition(".")
    chosen = getattr(Options(), step)
    value = another(getattr(chosen, name), get_type_hints(type(chosen))[name])
    options = replace(Options(), **{step: replace(chosen, **{name: value})})
    assert redone(options=options) == REDONE_BY_STEP[step]


@pytest.mark.parametrize("step", REDONE_BY_STEP)
def test_a_new_option_at_its_default_leaves_every_key_and_at_another_value_changes_it(step: str) -> None:
    grown = make_dataclass("Grown", [("brand_new", float, field(default=0.25))],
                           bases=(type(getattr(Options(), step)),), frozen=True)  # fmt: skip
    keys = stage_keys(MEETING, Options())
    assert stage_keys(MEETING, replace(Options(), **{step: grown()})) == keys
    assert redone(options=replace(Options(), **{step: grown(brand_new=0.5)})) == REDONE_BY_STEP[step]


def test_options_read_from_json_have_the_keys_of_those_that_were_chosen() -> None:
    @dataclass(frozen=True)
    class Read:
        align: Any
        speech: Any
        talk: Any
        stems: Any
        people: Any

    def through_json(step: Any) -> Any:
        return type(step)(**json.loads(json.dumps({f.name: getattr(step, f.name) for f in fields(step)})))

    chosen = Options(stems=replace(Options().stems, speakers=("Ann",)))
    for options in (Options(), chosen):
        read: Any = Read(**{f.name: through_json(getattr(options, f.name)) for f in fields(options)})
        assert stage_keys(MEETING, read) == stage_keys(MEETING, options)


@pytest.mark.parametrize("name", ALL)
def test_a_raised_revision_redoes_the_stage_and_what_depends_on_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: Any = Left(stage_keys(MEETING, Options()))
    raised = replace(STAGES[name], revision=STAGES[name].revision + 1)
    monkeypatch.setattr("recall_audio.pipeline.plan.STAGES", {**STAGES, name: raised})
    expected = {"people": ["people", "talk", "report"], "decode": ALL[1:], "report": ["report"],
                **REDONE_BY_STEP}[name]  # fmt: skip
    assert sorted(stale_stages(left, stage_keys(MEETING, Options()))) == sorted(expected)


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        (("people",), ["people", "report"]),
        (("align",), ["align", "report"]),
        (("talk",), ["talk", "report"]),
        (("report",), ["report"]),
        (("decode",), []),
        (("decode", "talk"), ["talk", "report"]),
        (("decode", "stems"), ["decode", "stems", "report"]),
    ],
)
def test_lost_files_are_made_again_and_audio_is_decoded_only_for_a_stage_that_reads_it(
    lost: tuple[str, ...], expected: list[str]
) -> None:
    assert redone(lost=lost) == expected


FILES = ("talk.json", "segments.rttm")


def finished(folder: Path, status: str = "done") -> Layout:
    """A folder whose run measured talk under the key ``k`` and wrote :data:`FILES`."""
    paths = [folder / name for name in FILES]
    for path in paths:
        path.write_bytes(b"0123456789")
    stage = StageRecord("talk", "k", "done", 1.0, 1.0, describe(folder, paths))
    facts = {"status": status, "parameters": {}, "stages": [stage.to_json()]}
    write_json(folder / "run.json", "run", facts)
    return Layout(folder)


@pytest.mark.parametrize(
    ("content", "is_intact"),
    [
        pytest.param(b"0123456789", True, id="as it was"),
        pytest.param(None, False, id="gone"),
        pytest.param(b"012345678", False, id="shorter"),
        pytest.param(b"0123456789\n", False, id="longer"),
        pytest.param(b"", False, id="empty"),
    ],
)
@pytest.mark.parametrize("name", FILES)
def test_a_stage_is_fresh_while_each_of_its_files_has_its_size(
    tmp_path: Path, name: str, content: bytes | None, is_intact: bool
) -> None:
    layout = finished(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    left = earlier(layout, {})
    assert left.is_fresh("talk", "k") == is_done(layout, {"talk": "k"}) == is_intact
    assert left.is_fresh("talk", "k", check_files=False)
    assert not left.is_fresh("talk", "another key", check_files=False)


def test_a_run_is_done_where_its_manifest_says_so_under_the_same_keys(tmp_path: Path) -> None:
    layout = finished(tmp_path, "unfinished")
    assert not is_done(layout, {"talk": "k"}), "intact, of the same keys, and unfinished"
    finished(tmp_path)
    assert is_done(layout, {"talk": "k"})
    assert not is_done(layout, {"talk": "another key"})
    assert not is_done(layout, {"talk": "k", "stems": "k"}), "a stage is still to come"


def closure(name: str) -> Iterator[str]:
    """A stage, and all that it depends on."""
    yield name
    for read in STAGES[name].reads:
        yield from closure(read)


class Noted(dict[str, Any]):
    """Documents that note which of them are read."""

    def __init__(self, found: Mapping[str, Any], read: set[str]) -> None:
        super().__init__(found)
        self.read = read

    def __getitem__(self, kind: str) -> Any:
        self.read.add(kind)
        return super().__getitem__(kind)

    def get(self, kind: str, default: Any = None) -> Any:
        self.read.update({kind} & self.keys())
        return super().get(kind, default)


@pytest.mark.parametrize("name", [n for n in ALL if n != "report"])
def test_a_stage_reads_nothing_that_its_key_leaves_out(
    name: str, processed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = job.Job.of(processed, Options())
    read: set[str] = set()
    facts: set[str] = set()
    names = {f.name for f in fields(Meeting)}

    def read_noted(path: Path, kind: str) -> dict[str, Any]:
        read.add(kind)
        return read_json(path, kind)

    def attribute(meeting: Meeting, fact: str) -> Any:
        facts.update({fact} & names)
        return object.__getattribute__(meeting, fact)

    monkeypatch.setattr(job, "read_json", read_noted)
    monkeypatch.setattr(stages, "read_documents", lambda folder: Noted(read_documents(folder), read))
    monkeypatch.setattr(Meeting, "__getattribute__", attribute)
    manifest: Any = None
    getattr(stages, STAGES[name].function)(work, stages.StageContext(manifest))
    monkeypatch.undo()
    written = {kind for stage in closure(name) for kind in (*STAGES[stage].documents, stage)}
    others = {"transcript"} if STAGES[name].reads_transcript else set()
    assert read <= written | {"recording"} | others
    assert facts <= {fact for stage in closure(name) for fact in STAGES[stage].facts}
    assert read | facts, "what is read is seen"


def test_the_report_depends_on_everything() -> None:
    assert set(closure("report")) == set(ALL)
    assert set(STAGES["report"].facts) == {f.name for f in fields(Meeting)}


def test_every_stage_writes_what_the_table_says_and_nothing_else(processed_once: Path) -> None:
    for stage in read_json(processed_once / "run.json", "run")["stages"]:
        patterns = STAGES[stage["name"]].writes
        assert all(any(fnmatch(path, p) for p in patterns) for path in stage["outputs"])
        assert all(any(fnmatch(path, p) for path in stage["outputs"]) for p in patterns)


def test_the_documents_are_what_the_stages_write_between_recording_and_manifest() -> None:
    assert KINDS == (
        "recording", "speakers", "alignment", "segments", "leakage", "talk", "stems", "transcript", "run",
    )  # fmt: skip
