"""No option without a test: what the commands offer is compared with what tests say they cover."""

import click
from batch import test_media_deletion  # noqa: F401 - the same
from cli import (  # noqa: F401 - importing them fills COVERED
    test_options_of_batches,
    test_options_of_logs,
    test_options_of_processing,
    test_options_of_transcripts,
    test_options_of_views,
)
from cli.covered import COVERED

from recall_audio.cli import group


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
