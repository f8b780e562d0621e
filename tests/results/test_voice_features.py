"""Voice features of a processed meeting, beside the voices that it was made with."""

import csv
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from recall_audio.model.options import FeatureOptions, Options, StemOptions
from recall_audio.model.turns import VOICE_FIGURES, TurnFeatures
from recall_audio.pipeline.process import process
from recall_audio.results.voice_features import NO_STEM, measure_features

SHORT = FeatureOptions(longest_s=2.0)
ZOE, MARCUS, PRIYA = "Zoë_Lindqvist", "Marcus_Webb", "Priya_Raman"


@pytest.fixture(scope="module")
def found(processed_once: Path) -> tuple[TurnFeatures, ...]:
    return measure_features(processed_once, SHORT)


def median(found: tuple[TurnFeatures, ...], speaker: str, figure: str) -> float:
    values = [getattr(t.voice, figure) for t in found if t.speaker == speaker]
    return statistics.median(v for v in values if v is not None)


def test_every_turn_has_every_figure_or_a_reason(
    found: tuple[TurnFeatures, ...], processed_once: Path
) -> None:
    talk = json.loads((processed_once / "talk.json").read_text("utf-8"))
    assert len(found) == sum(s["turns"] for s in talk["speakers"].values())
    for turn in found:
        for name in VOICE_FIGURES:
            assert (getattr(turn.voice, name) is None) == (name in turn.voice.reasons)
        assert turn.voice.analysed_s <= min(turn.alone_s, 2.0) + 1e-6
        assert turn.alone_s <= turn.talk_s + 1e-6


def test_the_sample_s_voices_have_the_pitch_and_level_they_were_made_with(
    found: tuple[TurnFeatures, ...],
) -> None:
    for speaker, pitch_hz, melody in ((ZOE, 196.0, 0.20), (MARCUS, 112.0, 0.16), (PRIYA, 228.0, 0.24)):
        assert abs(median(found, speaker, "f0_median_hz") / pitch_hz - 1.0) < melody / 2
    levels = {who: median(found, who, "level_dbfs") for who in (ZOE, MARCUS, PRIYA)}
    assert levels[MARCUS] - levels[ZOE] == pytest.approx(-7.0, abs=0.6)
    assert levels[PRIYA] - levels[ZOE] == pytest.approx(3.0, abs=0.6)
    for who in levels:
        assert median(found, who, "level_to_own_median_db") == pytest.approx(0.0, abs=0.011)


def test_a_turn_inside_another_s_has_no_voice_of_its_own(found: tuple[TurnFeatures, ...]) -> None:
    candidates = [t for t in found if t.backchannel_candidate]
    inside = [t for t in candidates if t.alone_s == 0.0]
    assert inside, candidates
    assert all(t.voice.f0_median_hz is None for t in inside)


def test_other_stems_give_the_same_features_and_a_missing_one_a_reason(
    found: tuple[TurnFeatures, ...], processed: Path
) -> None:
    stems = StemOptions(format="mp3", rate_hz=48_000, lufs=-30.0, speakers=(ZOE, MARCUS))
    process(processed, Options(stems=stems))
    again = measure_features(processed, SHORT)
    for a, b in zip(found, again, strict=True):
        assert (a.speaker, a.start_s, a.alone_s) == (b.speaker, b.start_s, b.alone_s)
        if a.speaker == PRIYA:
            assert set(b.voice.reasons.values()) == {NO_STEM}
        elif a.voice.f0_median_hz is not None:
            assert b.voice.f0_median_hz == pytest.approx(a.voice.f0_median_hz, rel=0.025)
            assert b.voice.level_dbfs == pytest.approx(a.voice.level_dbfs, abs=0.2)


def test_json_and_csv_say_the_same_and_no_cell_is_nan(
    processed: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    code, told, said = command("features", processed, "--longest", 1, "--format", "json")
    assert code == 0, said
    rows = json.loads(told, parse_constant=pytest.fail)
    in_csv = list(
        csv.DictReader(command("features", processed, "--longest", 1, "--format", "csv")[1].splitlines())
    )
    assert [{k: cell(v) for k, v in row.items()} for row in rows] == in_csv
    assert all(bool(row["reasons"]) == (None in row.values()) for row in rows)
    assert command("features", processed, "--longest", 1)[0] == 0


def test_pitch_is_looked_for_in_the_range_that_was_asked_for(
    processed: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    short = ("--longest", 1, "--format", "json", "--f0")
    for low, high in ((60, 140), (150, 400)):
        rows = json.loads(command("features", processed, *short, low, high)[1])
        found = [r for r in rows if r["f0_median_hz"] is not None]
        assert found
        assert all(low <= r["f0_low_hz"] <= r["f0_high_hz"] <= high * 1.01 for r in found)
    code, _, said = command("features", processed, *short, 300, 100)
    assert (code, "a lower frequency, then one that is higher" in said) == (2, True)


def cell(value: object) -> str:
    """A value as CSV has it."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
