"""Every parameter of the segmentation can be changed from the command line, and is stamped."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recall_audio.cli import step_options
from recall_audio.model.options import OPTION_FIELDS, TalkOptions

Command = Callable[..., tuple[int, str, str]]


def read(folder: Path, kind: str) -> dict[str, object]:
    return json.loads((folder / f"{kind}.json").read_text("utf-8"))  # type: ignore[no-any-return]


def test_a_changed_parameter_of_talk_redoes_talk_alone_and_is_stamped(
    processed: Path, command: Command
) -> None:
    before = read(processed, "talk")
    code, told, _ = command("process", processed, "--set", "talk.turn_join_s=0.25", "--dry-run")
    assert code == 0
    assert "talk, report" in " ".join(told.split())
    assert "speech" not in told
    code, _, said = command("process", processed, "-q", "--set", "talk.turn_join_s=0.25",
                            "--set", "talk.bridge_choices_s=0.1, 0.4")  # fmt: skip
    assert code == 0, said
    after = read(processed, "talk")
    assert after["parameters"]["turn_join_s"] == 0.25  # type: ignore[index]
    assert after["parameters"]["bridge_choices_s"] == [0.1, 0.4]  # type: ignore[index]
    assert after["turn_taking"]["turns"] > before["turn_taking"]["turns"]  # type: ignore[index]
    assert after["talk_s"] == before["talk_s"]
    assert read(processed, "run")["parameters"]["talk"]["turn_join_s"] == 0.25  # type: ignore[index]


def test_a_longer_bridge_joins_what_a_shorter_one_keeps_apart(processed: Path, command: Command) -> None:
    before = read(processed, "segments")["speakers"]
    code, _, said = command("process", processed, "-q", "--set", "speech.bridge_s=1.5")
    assert code == 0, said
    after = read(processed, "segments")
    assert after["parameters"]["bridge_s"] == 1.5  # type: ignore[index]
    n_before, n_after = (sum(map(len, found.values())) for found in (before, after["speakers"]))  # type: ignore[attr-defined]
    assert n_after < n_before


@pytest.mark.parametrize(
    "change",
    ["talk.turn_join_s", "talk.nothing=1", "turn_join_s=1", "talk.turn_join_s=-1", "talk.turn_join_s=nan",
     "talk.turn_join_s=x", "talk.bridge_choices_s=", "speech.threshold=1.5", "stems.lufs=3", "stems.bits=8",
     "align.enabled=perhaps", "fetch.wait_s=1", "features.rate_s=1", "talk.window_s=0"],
)  # fmt: skip
def test_what_is_no_parameter_or_no_value_is_refused(change: str, processed: Path, command: Command) -> None:
    code, told, said = command("process", processed, "--set", change)
    assert (code, told) == (2, "")
    assert "--set" in said


def test_the_defaults_are_those_of_the_definitions() -> None:
    o = TalkOptions()
    assert (o.ipu_gap_s, o.turn_join_s, o.backchannel_longest_s, o.backchannel_silence_s) == (0.2, 1.5, 1, 1)
    assert (o.same_onset_s, o.fto_window_s, o.fto_lead_s, o.window_s, o.step_s) == (0.05, 10, 0.2, 150, 30)


def test_a_flag_and_set_take_the_same_road(processed: Path, command: Command) -> None:
    results = []
    by_field = ["--set", "stems.lufs=-16", "--set", "align.enabled=no"]
    for options in (["--lufs", "podcast", "--no-align"], by_field):
        code, _, said = command("process", processed, "-q", "--force", *options)
        assert code == 0, said
        parameters: Any = read(processed, "run")["parameters"]
        assert parameters["stems"]["lufs"] == -16.0
        assert parameters["align"]["enabled"] is False
        results.append([read(processed, kind) for kind in ("stems", "alignment", "talk")])
    assert results[0] == results[1]


def test_two_spellings_of_one_option_are_refused_together(processed: Path, command: Command) -> None:
    code, told, said = command("process", processed, "--lufs", "-16", "--set", "stems.lufs=-20")
    assert (code, told) == (2, "")
    assert "--lufs" in said
    assert "--set stems.lufs" in said


def test_set_names_every_field_of_every_step_by_its_type() -> None:
    for key, field in OPTION_FIELDS.items():
        assert isinstance(field.default, bool | int | float | str | tuple), key
        assert step_options.type_of(field) is not None
