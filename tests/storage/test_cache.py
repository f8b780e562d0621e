"""Every command that looks at results says the same of a store as of the folder that was published there."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recall_audio as ra
from recall_audio.results.sample import sample_meeting
from recall_audio.storage import Store, Url, publish, publish_fetched

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def out(
    s3: Mapping[str, str], processed_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The sample meeting in a store, and a cache that is empty at first."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.items():
            patch.setenv(name, value)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        root = Url("s3://bucket/read me")
        store = Store(root / processed_once.parent.name / processed_once.name)
        publish_fetched(store, processed_once)
        publish(store, processed_once)
        yield root.text


@pytest.mark.parametrize(
    "asked",
    [
        ("info", "--format", "json"),
        ("align", "--format", "json"),
        ("talk", "--format", "csv"),
        ("talk", "--pairs", "--format", "csv"),
        ("talk", "--window", "30", "--format", "csv"),
        ("score", "--against", "speaker-timeline", "--format", "json"),
    ],
    ids=" ".join,
)
def test_what_is_told_of_a_store_is_what_is_told_of_a_folder(
    out: str, processed_once: Path, command: Command, asked: tuple[str, ...]
) -> None:
    there, here = command(asked[0], out, *asked[1:]), command(asked[0], processed_once, *asked[1:])
    assert there[:2] == here[:2]
    assert there[0] == 0, there[2]


def test_a_summary_names_the_address(out: str, command: Command) -> None:
    code, told, _ = command("info", out)
    assert code == 0
    assert "Zoë Lindqvist" in told
    assert out in told.replace("\n", " ")


def test_documents_come_at_once_and_stems_when_they_are_asked_for(out: str, processed_once: Path) -> None:
    there, here = ra.open(out), ra.open(processed_once)
    pd.testing.assert_frame_equal(there.talk, here.talk)
    pd.testing.assert_frame_equal(there.segments, here.segments)
    assert not list(there.folder.glob("stems/*"))
    label = here.talk.index[0]
    ours, rate_hz = there.stem(label).load(10.0, 12.0)
    theirs, expected_hz = here.stem(label).load(10.0, 12.0)
    np.testing.assert_array_equal(ours, theirs)
    assert rate_hz == expected_hz
    assert [f.stem for f in there.folder.glob("stems/*")] == [label]


def test_what_is_here_already_is_not_loaded_again(out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ra.open(out).folder
    monkeypatch.setattr(Store, "read", None)
    loaded: list[str] = []
    monkeypatch.setattr(Store, "read_all", lambda _, names: dict.fromkeys(loaded.extend(names) or ()))
    assert ra.open(out).folder == first
    assert loaded == []


def test_exports_tables_and_reports_go_into_the_store(
    out: str, processed_once: Path, command: Command, tmp_path: Path
) -> None:
    copy = tmp_path / "out" / processed_once.parent.name / processed_once.name
    shutil.copytree(processed_once, copy)
    store = Store(Url(out))
    for asked in (("export", "--to", "rttm"), ("export", "--to", "hf"), ("collect",), ("report",)):
        code, told, said = command(asked[0], out, *asked[1:])
        assert code == 0, said
        here, local, _ = command(asked[0], copy.parent.parent, *asked[1:])
        assert here == 0
        assert len(told.splitlines()) == len(local.splitlines()) > 0
        for address, path in zip(told.splitlines(), local.splitlines(), strict=True):
            assert address == f"{out}/{Path(path).relative_to(tmp_path / 'out').as_posix()}"
            assert store.read(address.removeprefix(f"{out}/")) == Path(path).read_bytes(), address


def test_a_manifest_for_training_names_the_audio_where_it_is(
    out: str, processed_once: Path, command: Command, tmp_path: Path
) -> None:
    code, _, said = command("export", out, "--to", "seglst", "--into", tmp_path)
    assert code == 0, said
    rows = json.loads((tmp_path / "segments.seglst.json").read_text("utf-8"))
    folder = f"{out}/{processed_once.parent.name}/{processed_once.name}"
    assert {r["audio_path"].rpartition("/")[0] for r in rows} == {f"{folder}/stems"}


def test_a_notebook_runs_into_a_store(
    s3: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with sample_meeting() as (bot_id, settings):
        [made] = ra.run(bot_id, "memory://notebook", settings=settings)
    assert made.talk.index.size == 4
    assert made.stem(made.talk.index[0]).load(0.0, 1.0)[0].size == 16_000
    assert set(ra.collect("memory://notebook")["meetings"]["recording_id"]) == {made.folder.name}


def test_nothing_there_is_a_usage_error(out: str, command: Command) -> None:
    code, _, said = command("info", f"{out}/no-such-bot")
    assert code == 2
    assert "No recording in" in said


def test_a_transcript_goes_into_the_store_with_what_depends_on_it(
    out: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def engine(samples: np.ndarray, rate_hz: int) -> list[dict[str, object]]:
        return [{"start": 0.0, "end": len(samples) / rate_hz, "text": "Yes."}]

    n_words = len(ra.transcribe(ra.open(out), engine).segments)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))  # nothing but the store tells it
    there = ra.open(out)
    assert len(there.transcript) == n_words > 0
    assert there.talk["words"].sum() == n_words
    code, _, said = command("process", out, "--json", "-q")
    assert code == 0, said
    assert ra.open(out).talk["words"].sum() == n_words, "a later run knows the transcript"
