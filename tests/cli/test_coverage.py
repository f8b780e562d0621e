"""No option without a test: what the commands offer is compared with what tests say they cover."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from batch import test_media_deletion  # noqa: F401 - the same
from cli import (  # noqa: F401 - importing them fills COVERED
    test_inspect,
    test_options_of_batches,
    test_options_of_logs,
    test_options_of_processing,
    test_options_of_transcripts,
    test_options_of_views,
    test_printing,
)
from cli.covered import COVERED

from recall_audio.cli import EXAMPLES, group, run


def offered() -> set[tuple[str, str]]:
    """Every option that some command offers, by its first long name."""
    return {
        (name, next(o for o in param.opts if o.startswith("--")))
        for name, command in group.commands.items()
        for param in command.params
        if isinstance(param, click.Option)
    }


def test_every_option_of_every_command_has_a_test() -> None:
    assert sorted(offered() - COVERED) == [], "write a test in which the option changes a result"
    assert sorted(COVERED - offered()) == [], "these options are gone: remove their tests"


def test_every_command_and_option_is_described_and_begins_with_a_capital() -> None:
    for name, command in group.commands.items():
        texts = {name: command.help, f"{name} (short)": command.get_short_help_str(200)}
        for param in command.params:
            if isinstance(param, click.Option):
                texts[f"{name} {param.opts[0]}"] = param.help
        for what, text in texts.items():
            assert text, f"{what} has no help text"
            assert text[0].isupper(), f"{what}: {text}"
            assert text.splitlines()[0].rstrip().endswith("."), f"{what}: {text}"


def test_the_help_of_commands_with_many_options_has_headings_and_leaves_none_out() -> None:
    context = click.Context(group, info_name="recall-audio")
    text = group.get_help(context)
    listed = re.findall(r"^  ([a-z][a-z-]+)  ", text, re.MULTILINE)
    assert set(listed) == set(group.commands)
    assert "Others:" not in text
    for name in ("run", "process"):
        command = group.commands[name]
        text = command.get_help(click.Context(command, parent=context, info_name=name))
        options = {o for p in command.params if isinstance(p, click.Option) for o in p.opts if o[:2] == "--"}
        assert options <= set(re.findall(r"--[a-z-]+[a-z0-9]", text))
        assert re.findall(r"^([A-Z][a-z ]+):$", text, re.MULTILINE)[-1] == "Output"
        assert "Others:" not in text, "name a heading for it: OPTION_GROUPS in cli/options.py"


def test_completion_is_offered_as_the_help_says(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    [variable, asked] = re.findall(r"(_[A-Z_]+)=(\w+)", str(group.epilog))[0]
    assert asked == "bash_source"
    monkeypatch.setenv(variable, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "recall-audio re")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit):
        run([])
    assert capfd.readouterr().out.split() == ["plain,report"]


ONLY_PARSED = {
    "demo",
    "doctor",
    "create-bot",
    "bots",
    "run",
    "fetch",
    "listen",
    "features",
    "transcribe",
    "process",
}
"""Commands whose examples need the API, much time or an engine; other tests run them."""


def test_every_example_of_the_help_runs(
    processed: Path, command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(EXAMPLES) == set(group.commands)
    out = processed.parent.parent.rename(processed.parents[2] / "recall-audio-out")
    monkeypatch.chdir(out.parent)
    monkeypatch.setattr("webbrowser.open", lambda _: True)
    Path("annotated.rttm").write_bytes(next(out.glob("*/*/segments.rttm")).read_bytes())
    Path("key.txt").write_text("a key of more than sixteen characters")
    Path("whisper").mkdir()
    said = {"segments": [{"start": 6.5, "end": 8.0, "text": "Yes."}]}
    Path("whisper/Marcus_Webb.json").write_text(json.dumps(said), "utf-8")
    for name, examples in EXAMPLES.items():
        shown = group.commands[name].get_help(click.Context(group.commands[name], info_name=name))
        for example in examples:
            assert f"recall-audio {name} {example}".rstrip() in shown
            arguments = shlex.split(re.split(r" [|>] |^[|] ", example)[0])
            found = [str(p) for a in arguments for p in (sorted(Path().glob(a)) if "*" in a else [a])]
            if name in ONLY_PARSED:
                group.commands[name].make_context(name, found).close()
            else:
                code, _, err = command(name, *found)
                assert code == 0, (name, example, err)
