"""A person who left and came back under another id is one speaker in every result, or two by `--no-join`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile as sf

from recall_audio.model.options import Options, PeopleOptions, TalkOptions
from recall_audio.model.pseudonyms import Pseudonyms
from recall_audio.pipeline.documents import read_documents
from recall_audio.pipeline.process import process
from recall_audio.pipeline.talk import talk_findings, talk_of
from recall_audio.results.collect import collect_recordings
from recall_audio.results.pseudonymise import pseudonymise

PRIYA, BACK = 102, 107
"""The sample's participant who has two parts, and the id that her second part gets here."""

LABEL = "Priya_Raman"


def load(folder: Path, kind: str) -> dict[str, Any]:
    """One JSON file of a recording."""
    value: dict[str, Any] = json.loads((folder / f"{kind}.json").read_text("utf-8"))
    return value


def in_recording(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change recording.json."""
    value = load(folder, "recording")
    change(value)
    (folder / "recording.json").write_text(json.dumps(value))


def come_back_under_another_id(value: dict[str, Any]) -> None:
    """Give Priya's second part an id of its own, another name and no email."""
    [priya] = (p for p in value["participants"] if p["participant_id"] == PRIYA)
    value["participants"].append(priya | {"participant_id": BACK, "name": "Priya (phone)", "email": None})
    parts = [p for p in value["parts"] if p["participant_id"] == PRIYA]
    parts[1]["participant_id"] = BACK


def stages(folder: Path) -> dict[str, str]:
    """The key of each stage."""
    return {s["name"]: s["key"] for s in load(folder, "run")["stages"]}


@pytest.fixture(scope="module")
def rejoined(processed_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample meeting in which Priya comes back under another id; to be read."""
    out = tmp_path_factory.mktemp("rejoined")
    folder = out / processed_once.parent.name / processed_once.name
    shutil.copytree(processed_once, folder)
    in_recording(folder, come_back_under_another_id)
    assert process(folder).status == "done"
    return folder


@pytest.fixture
def folder(rejoined: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    copy = tmp_path / "out" / rejoined.parent.name / rejoined.name
    shutil.copytree(rejoined, copy)
    return copy


def test_one_person_with_two_ids_has_the_talk_and_the_stem_of_one_with_one(
    rejoined: Path, processed_once: Path
) -> None:
    speakers = load(rejoined, "speakers")
    assert speakers["speakers"][LABEL]["participant_ids"] == [PRIYA, BACK]
    assert [(row["speaker"], row["participant_ids"]) for row in speakers["joined"]] == [
        (LABEL, [PRIYA, BACK])
    ]
    assert speakers["joined"][0]["key"].startswith("zoom.conf_user_id:")
    talk, expected = (load(f, "talk")["speakers"] for f in (rejoined, processed_once))
    assert list(talk) == list(expected)
    for label, figures in talk.items():
        assert figures["talk_s"] == pytest.approx(expected[label]["talk_s"], abs=0.1)
        assert figures["presence_s"] == pytest.approx(expected[label]["presence_s"], abs=0.1)
        assert figures["turns"] == expected[label]["turns"]
    assert talk[LABEL]["ids"] == [PRIYA, BACK]
    stems = {s["participant"]: s for s in load(rejoined, "stems")["stems"]}
    assert list(stems) == list(expected)
    assert stems[LABEL]["ids"] == [PRIYA, BACK]
    ours, theirs = (sf.read(f / stems[LABEL]["file"])[0] for f in (rejoined, processed_once))
    assert (ours**2).sum() == pytest.approx((theirs**2).sum(), rel=0.01), "both parts are in it"
    assert "persons_joined" in {w["code"] for w in load(rejoined, "run")["warnings"]}


def test_collect_has_one_person_with_both_ids_and_says_what_joined_them(folder: Path) -> None:
    tables = {
        p.stem: [row.split(",") for row in p.read_text("utf-8").splitlines()]
        for p in collect_recordings(folder.parent.parent, "csv")[0]
    }
    ids = {row[1]: row[-1] for row in tables["people"][1:]}
    assert len(ids) == 4
    assert ids[LABEL] == f"{PRIYA} {BACK}"
    [merge] = tables["merges"][1:]
    assert merge[0].startswith("zoom.conf_user_id:")
    assert merge[-1] == f"{PRIYA} {BACK}"
    assert len(tables["persons"]) == 1 + 4


def test_no_join_keeps_two_speakers_and_redoes_only_what_hangs_on_labels(folder: Path) -> None:
    joined = stages(folder)
    assert process(folder, Options(people=PeopleOptions(join=False))).status == "done"
    assert {"Priya_Raman", "Priya_phone"} < set(load(folder, "talk")["speakers"])
    assert {"Priya_Raman.wav", "Priya_phone.wav"} < {f.name for f in (folder / "stems").iterdir()}
    [apart] = load(folder, "speakers")["apart"]
    assert apart["speakers"] == ["Priya_Raman", "Priya_phone"]
    redone = {name for name, key in stages(folder).items() if key != joined[name]}
    assert redone == {"people", "speech", "talk", "stems", "report"}


def test_a_pseudonymised_copy_joins_the_same_ids_and_tells_none(folder: Path, tmp_path: Path) -> None:
    copy = pseudonymise(folder, tmp_path / "copies", Pseudonyms(b"0123456789abcdef"))
    coded = load(copy, "speakers")
    assert sorted(len(p["participant_ids"]) for p in coded["speakers"].values()) == [1, 1, 1, 2]
    [row] = coded["joined"]
    assert coded["speakers"][row["speaker"]]["participant_ids"] == row["participant_ids"]
    [before] = load(folder, "speakers")["joined"]
    value = before["key"].partition(":")[2]
    assert not [f for f in copy.rglob("*.json") if value in f.read_text("utf-8")]


@pytest.mark.parametrize(("heard", "codes"), [(False, set()), (True, {"speaker_incomplete"})])
def test_a_second_id_without_audio_makes_a_person_incomplete_where_it_was_heard(
    rejoined: Path, heard: bool, codes: set[str]
) -> None:
    documents = read_documents(rejoined)
    meeting = documents["recording"]
    meeting["parts"] = [p for p in meeting["parts"] if p["participant_id"] != BACK]
    meeting["spoke"] = [i for i in meeting["spoke"] or [] if i != BACK] + ([BACK] if heard else [])
    aligned = documents["alignment"]
    aligned["parts"] = [p for p in aligned["parts"] if p["participant_id"] != BACK]
    talk = talk_of(documents, TalkOptions())
    assert talk.speakers[LABEL].talk_s
    assert {f.code for f in talk_findings(talk) if f.where == LABEL} == codes
