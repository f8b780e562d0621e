"""Each output chooses its columns, and every column it chooses is a field of its records."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import recall_audio as ra
from recall_audio.cli import inspect
from recall_audio.model.options import TalkOptions
from recall_audio.pipeline.documents import read_documents, read_posteriors
from recall_audio.results import records as data_frames
from recall_audio.results.records import (
    WINDOW_FIGURES,
    Record,
    pair_records,
    part_records,
    segment_records,
    select,
    speaker_records,
    window_records,
    window_talk_columns,
)


def fields(records: Sequence[Record]) -> set[str]:
    return {name for record in records for name in record}


def test_every_column_of_an_output_is_a_field_of_its_records(processed_once: Path) -> None:
    documents = read_documents(processed_once)
    windows = window_records(documents, TalkOptions(), read_posteriors(processed_once))
    assert set(inspect.PART_COLUMNS) <= fields(part_records(documents))
    assert {*inspect.SPEAKER_COLUMNS, *inspect.SPEAKER_INTERVALS} <= fields(speaker_records(documents))
    assert {*inspect.PAIR_COLUMNS, *inspect.PAIR_INTERVALS} <= fields(pair_records(documents))
    of_speakers = window_talk_columns(documents, WINDOW_FIGURES)
    assert {*inspect.WINDOW_COLUMNS, *inspect.WINDOW_INTERVALS, *of_speakers} == fields(windows)
    assert set(window_talk_columns(documents)) < set(of_speakers)
    assert set(data_frames.PART_COLUMNS) <= fields(part_records(documents))
    assert set(data_frames.TALK_COLUMNS) <= fields(speaker_records(documents))
    assert set(data_frames.SEGMENT_COLUMNS) == fields(segment_records(documents))


def test_the_terminal_and_the_notebook_choose_their_columns_apart(
    processed_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect, "SPEAKER_COLUMNS", ("speaker", "ipus"))
    assert list(ra.open(processed_once).talk.columns) == list(data_frames.TALK_COLUMNS)


def test_a_selection_keeps_the_order_of_its_columns_and_leaves_out_the_rest() -> None:
    records = [{"a": 1, "b": 2, "c": 3}, {"c": 6, "b": 5}]
    assert select(records, ("c", "a")) == (["c", "a"], [[3, 1], [6, None]])


def test_pairs_are_shown_where_only_the_first_one_has_a_reason(processed: Path) -> None:
    path = processed / "talk.json"
    talk = json.loads(path.read_text("utf-8"))
    talk["pairs"].sort(key=lambda pair: "overlap_of_shorter_reason" not in pair)
    assert "overlap_of_shorter_reason" in talk["pairs"][0]
    path.write_text(json.dumps(talk), "utf-8")
    columns, rows = select(pair_records(read_documents(processed)), inspect.PAIR_COLUMNS)
    assert len(rows) == len(talk["pairs"])
    assert [row[columns.index("overlap_s")] for row in rows] == [pair["overlap_s"] for pair in talk["pairs"]]


def test_every_figure_lies_within_its_interval_in_csv_pairs_and_windows(
    processed_once: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    figures = {
        (): ["talk_s", "share_of_talk", "share_of_speech", "share_of_meeting", "share_of_presence"],
        ("--pairs",): ["overlap_s"],
        ("--window", "30"): ["overlap_s", "talk_s Priya_Raman", "share_of_talk Priya_Raman"],
    }
    for options, names in figures.items():
        rows = list(
            csv.DictReader(command("talk", processed_once, *options, "--format", "csv")[1].splitlines())
        )
        assert rows
        for row in rows:
            for name in names:
                figure, _, label = name.partition(" ")
                low, high = (float(row[f"{figure}_{end} {label}".rstrip()]) for end in ("low", "high"))
                assert low <= float(row[name]) <= high


def test_without_the_probabilities_windows_have_figures_and_no_intervals(processed: Path) -> None:
    whole = ra.open(processed).windows("30s")
    assert whole["talk_s_low"].notna().all()
    (processed / "posteriors.npz").write_bytes(b"PK damaged")
    damaged = ra.open(processed).windows("30s")
    assert damaged["talk_s"].equals(whole["talk_s"])
    assert damaged["talk_s_low"].isna().all()
    assert damaged.dtypes.equals(whole.dtypes)
