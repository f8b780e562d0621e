"""Tables of many recordings are those of each, concatenated, and lasting ids identify persons."""

import io
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from recall_audio.core.talk.measure import measure_talk
from recall_audio.export import ExportView, export
from recall_audio.export.tables import TABLES, CsvTables, ParquetTables
from recall_audio.model.outcome import Ending
from recall_audio.model.persons import lasting_keys
from recall_audio.results.collect import ALL_TABLES, Ended, Loaded, collect_rows

ZOOM = {"zoom": {"conf_user_id": "CUI-1", "user_id": 16778240}}
TEAMS = {"microsoft_teams": {"user_id": "T-1"}}


def loaded(
    recording_id: str, duration_s: float, segments: dict[str, list[list[float]]], **people: dict[str, Any]
) -> Loaded:
    presence = {label: [[0.0, duration_s]] for label in segments}
    talk = measure_talk(segments, duration_s, presence=presence)
    view = ExportView(recording_id, duration_s, segments, {label: label for label in segments}, talk)
    return Loaded(Ended("b", view.recording_id, Ending("complete")), view, people)


def meetings() -> Iterator[Loaded]:
    """Ann by email, by email and Zoom, by Zoom twice in one meeting; and another Ann."""
    yield loaded("r1", 100.0, {"Ann": [[0, 10]], "Bob": [[20, 50]]}, Ann={"email": "Ann@x.org"})
    both = {"email": "ann@x.org ", "extra_data": ZOOM}
    yield loaded("r2", 1000.0, {"A_Lee": [[0, 400]], "Bob": [[500, 600]]}, A_Lee=both)
    again = {"Ann": [[0, 1]], "Ann_2": [[2, 3]], "Cy": []}
    yield loaded("r3", 10.0, again, Ann={"extra_data": ZOOM}, Ann_2={"extra_data": ZOOM})
    yield loaded("r4", 10.0, {"Ann": [[0, 5]]})


def written(form: type[CsvTables] | type[ParquetTables], of: Iterator[Loaded]) -> dict[str, pd.DataFrame]:
    streams = {table.name: io.BytesIO() for table in ALL_TABLES}
    tables = form(streams, ALL_TABLES)
    for table, rows in collect_rows(of):
        tables.write(table, rows)
    tables.close()
    read = pd.read_csv if form is CsvTables else pd.read_parquet
    return {name: read(io.BytesIO(stream.getvalue())) for name, stream in streams.items()}


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return written(ParquetTables, meetings())


def test_collected_tables_are_those_of_each_recording_below_each_other() -> None:
    found = written(CsvTables, meetings())
    for table in TABLES:
        each = [io.BytesIO(export(m.view, "csv")[f"tables/{table.name}.csv"]) for m in meetings()]
        rows = [pd.read_csv(one, dtype=str).values.tolist() for one in each]
        whole = found[table.name]
        assert len(whole) == sum(len(r) for r in rows)
        assert whole["recording_id"].tolist() == [r[0] for one in rows for r in one]


def test_csv_and_parquet_collect_the_same(tables: dict[str, pd.DataFrame]) -> None:
    text = written(CsvTables, meetings())
    for name, table in tables.items():
        assert list(text[name].columns) == list(table.columns)
        numbers = table.select_dtypes("number").columns
        assert text[name][numbers].fillna(-9).values.tolist() == table[numbers].fillna(-9).values.tolist()


def test_rows_are_the_same_in_one_row_group_and_in_many(
    monkeypatch: pytest.MonkeyPatch, tables: dict[str, pd.DataFrame]
) -> None:
    monkeypatch.setattr(ParquetTables, "group_rows", 1)
    for name, table in written(ParquetTables, meetings()).items():
        pd.testing.assert_frame_equal(table, tables[name])


def test_only_what_lasts_makes_two_participants_one_person(tables: dict[str, pd.DataFrame]) -> None:
    person = tables["people"].set_index(["recording_id", "speaker"])["person"]
    ann = {person["r1", "Ann"], person["r2", "A_Lee"], person["r3", "Ann"], person["r3", "Ann_2"]}
    assert len(ann) == 1
    assert person["r4", "Ann"] not in ann  # a name does not identify a person
    assert person["r1", "Bob"] != person["r2", "Bob"]


def test_every_merge_is_logged_with_its_key(tables: dict[str, pd.DataFrame]) -> None:
    assert tables["merges"].values.tolist() == [
        ["email:ann@x.org", "r2", "A_Lee", "r1", "Ann", ""],
        ["zoom.conf_user_id:CUI-1", "r3", "Ann", "r2", "A_Lee", ""],
        ["zoom.conf_user_id:CUI-1", "r3", "Ann_2", "r2", "A_Lee", ""],
    ]


def test_a_persons_means_count_meetings_and_pooled_shares_count_seconds(
    tables: dict[str, pd.DataFrame],
) -> None:
    persons = tables["persons"].set_index("person")
    ann = persons.loc[tables["people"]["person"].iloc[0]]
    assert (ann["n_meetings"], ann["talk_s"], ann["meeting_s"]) == (3, 412.0, 1110.0)
    assert ann["share_of_meeting_mean"] == pytest.approx((0.1 + 0.4 + 0.2) / 3)
    assert ann["share_of_meeting_pooled"] == pytest.approx(412 / 1110)
    assert ann["share_of_talk_mean"] == pytest.approx((10 / 40 + 400 / 500 + 1) / 3)
    assert ann["share_of_talk_pooled"] == pytest.approx(412 / 542)
    # In r3 both labels were present for all of it.
    assert ann["share_of_presence_pooled"] == pytest.approx(412 / (100 + 1000 + 20))


def test_a_persons_code_does_not_hang_on_the_order_of_the_meetings(tables: dict[str, pd.DataFrame]) -> None:
    other = written(ParquetTables, iter(reversed(list(meetings()))))
    assert set(other["persons"]["person"]) == set(tables["persons"]["person"])


def test_a_silent_person_in_a_silent_meeting_has_reasons_and_no_shares() -> None:
    persons = written(ParquetTables, iter([loaded("r", 10.0, {"Cy": []})]))["persons"]
    assert pd.isna(persons["share_of_talk_mean"][0])
    assert "share_of_talk" in persons["reasons"][0]
    assert persons["n_silent_meetings"][0] == 1


def test_nothing_collected_is_tables_without_rows() -> None:
    for form in (CsvTables, ParquetTables):
        assert {len(t) for t in written(form, iter(())).values()} == {0}


def test_recordings_are_read_one_by_one() -> None:
    given: list[str] = []

    def watched() -> Iterator[Loaded]:
        for one in meetings():
            given.append(one.view.recording_id)
            yield one

    chunks = collect_rows(watched())
    next(chunks)
    assert given == ["r1"]


@pytest.mark.parametrize(
    ("email", "extra", "keys"),
    [
        (None, None, ()),
        ("no-address", {}, ()),
        (None, ZOOM, ("zoom.conf_user_id:CUI-1",)),
        (None, TEAMS, ("teams.user_id:T-1",)),
        (None, {"zoom": {"user_id": 1}}, ()),
        (None, {"google_meet": {"static_participant_id": "s1"}}, ("google_meet.static_participant_id:s1",)),
        (None, {"webex": {"webex_id": "w1"}}, ("webex.webex_id:w1",)),
        (None, {"zoom": None, "microsoft_teams": {"user_id": " "}}, ()),
        ("A@b.c", TEAMS, ("email:a@b.c", "teams.user_id:T-1")),
    ],
)
def test_keys_are_those_ids_that_last(
    email: str | None, extra: dict[str, Any] | None, keys: tuple[str, ...]
) -> None:
    assert lasting_keys(email, extra) == keys
