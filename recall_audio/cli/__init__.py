"""Parse a command line, run one command, and turn errors into exit codes.

Nothing heavy is imported until a command runs.
"""

import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import click

from recall_audio import __version__, errors
from recall_audio.cli import analyse, bots, doctor, export, fetch, inspect, listen, logs, process
from recall_audio.environment import THREAD_VARIABLES
from recall_audio.files import DISK_FULL_ERRORS

# numpy's own threads cost more than they give on arrays this small: measured, +24 % CPU for two of them.
# Recordings are processed side by side instead. Set before numpy is imported; what the user set wins.
for _variable in THREAD_VARIABLES:
    os.environ.setdefault(_variable, "1")

EXIT_CODES: dict[type[errors.RecallAudioError], int] = {
    errors.UsageError: 2,
    errors.KeyRefused: 3,
    errors.MachineError: 4,
    errors.TransientError: 5,
    errors.ItemError: 1,
}

EPILOG = """Exit codes: 0 all done; 1 some bot failed for good (a table says which and why); 2 wrong usage;
3 key refused; 4 this machine (disk full, no decoder); 5 only waiting or transient left: run again; 130, 143
interrupted and resumable.

Completion: eval "$(_RECALL_AUDIO_COMPLETE=bash_source recall-audio)" in ~/.bashrc; zsh_source and fish_source
for the other shells."""


class Terminated(KeyboardInterrupt):
    """An interruption by SIGTERM; like Ctrl-C, with an exit code of its own."""


class ReaderGone(Exception):
    """The reader of stdout has closed it."""


class Commands(click.Group):
    """The group of all commands; click itself would exit with 1 at a closed pipe."""

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke a command.

        Raises:
            ReaderGone: the reader of stdout has closed it.
        """
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            raise ReaderGone from None
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under headings, in the order in which they are used."""
        named = {name for names in COMMAND_GROUPS.values() for name in names}
        others = tuple(name for name in self.list_commands(ctx) if name not in named)
        for heading, names in {**COMMAND_GROUPS, "Others": others}.items():
            known = [(name, self.commands[name]) for name in names if name in self.commands]
            if known:
                with formatter.section(heading):
                    formatter.write_dl([(name, command.get_short_help_str(70)) for name, command in known])


COMMAND_GROUPS = {
    "Start": ("demo", "doctor"),
    "Record": ("create-bot", "bots"),
    "Fetch and process": ("run", "fetch", "process", "listen"),
    "Look": ("info", "talk", "align", "report", "features", "score"),
    "Use elsewhere": ("export", "transcribe", "merge-transcripts", "collect", "pseudonymise"),
}
"""Headings of the list of commands."""


@click.group(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="recall-audio")
def group() -> None:
    """Measure who spoke, when, how much and over whom in meetings recorded by Recall.ai bots.

    Start with `recall-audio demo`. For your own meetings set RECALL_API_KEY (in the environment or a .env
    file) and give bot ids to `recall-audio run`.
    """


for command in (
    *process.COMMANDS,
    *fetch.COMMANDS,
    *listen.COMMANDS,
    *inspect.COMMANDS,
    *analyse.COMMANDS,
    *export.COMMANDS,
    bots.bots,
    doctor.doctor,
):
    group.add_command(command)


_BOT = "7d19a95b-deae-502c-a5d6-83e77e1b42d6"
EXAMPLES: dict[str, tuple[str, ...]] = {
    "demo": ("--out recall-audio-demo",),
    "doctor": ("", "--json | jq 'select(.status != \"ok\")'"),
    "create-bot": (
        "https://zoom.us/j/123456789",
        "https://zoom.us/j/123456789 --join-at 2030-01-31T09:00 --metadata team=sales",
    ),
    "bots": ("--since 7d --status done | recall-audio run --ids-file -",),
    "run": (
        _BOT,
        f"https://us-west-2.recall.ai/dashboard/bots/{_BOT}",
        "--ids-file bots.csv --ids-column bot_id",
    ),
    "fetch": (f"{_BOT} --wait 600",),
    "process": ("recall-audio-out --jobs 2", "recall-audio-out --lufs podcast --stem-format flac"),
    "listen": ("--port 8080 --queue queue",),
    "info": ("recall-audio-out",),
    "talk": (
        "recall-audio-out",
        "recall-audio-out --window 60 --step 60 --format csv",
        "recall-audio-out --pairs",
    ),
    "align": ("recall-audio-out --clock",),
    "report": ("recall-audio-out --open",),
    "features": ("recall-audio-out --format csv > voices.csv",),
    "score": ("recall-audio-out --against annotated.rttm --collar 250",),
    "export": ("recall-audio-out --to textgrid", "recall-audio-out --to rttm --into there"),
    "transcribe": ("recall-audio-out",),
    "merge-transcripts": ("recall-audio-out whisper/*.json",),
    "collect": ("recall-audio-out --format parquet",),
    "pseudonymise": ("recall-audio-out --into to-hand-out --pseudonym-key-file key.txt",),
}
"""Examples of every command, without ``recall-audio NAME``; a test runs them."""

for name, examples in EXAMPLES.items():
    lines = "\n".join(f"  recall-audio {name} {example}".rstrip() for example in examples)
    group.commands[name].epilog = f"\b\nExamples:\n{lines}"


def main() -> NoReturn:
    """Run a command line and exit with its code: the entry point of ``recall-audio``."""
    signal.signal(signal.SIGTERM, _terminate)
    _prepare_streams()
    code = run()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _say_unwritable(error)
    if code in (4, 141):  # what could not be written must not be tried again at exit
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - until the process ends
    sys.exit(code)


def _prepare_streams() -> None:
    """Make stdout and stderr take every text: what their encoding lacks is replaced."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def run(arguments: list[str] | None = None) -> int:  # noqa: PLR0911 - a return for each exit code
    """Run a command line and return its exit code; an error becomes a sentence on stderr."""
    try:
        code: Any = group.main(args=arguments, prog_name="recall-audio", standalone_mode=False)
    except click.exceptions.Abort as abort:  # click raises it for both
        return _say_interrupted(143 if isinstance(abort.__cause__, Terminated) else 130)
    except click.ClickException as error:
        error.show()
        return 2
    except errors.RecallAudioError as error:
        return _say(error)
    except Terminated:
        return _say_interrupted(143)
    except KeyboardInterrupt:
        return _say_interrupted(130)
    except (ReaderGone, BrokenPipeError):
        return 141
    except OSError as error:
        return _say_unwritable(error)
    except Exception as error:  # noqa: BLE001 - no traceback reaches a user
        return _say_unexpected(error)
    return code if isinstance(code, int) else 0


def _say(error: errors.RecallAudioError) -> int:
    logs.say_error(error)
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))


def _say_unwritable(error: OSError) -> int:
    """Report a failed write where it is the disk's or the pipe's, and any other error as unexpected."""
    if isinstance(error, BrokenPipeError):
        return 141
    if error.errno not in DISK_FULL_ERRORS:
        return _say_unexpected(error)
    return _say(
        errors.MachineError("No room left on the disk for what was to be printed.", "Free some space.")
    )


def _say_interrupted(code: int) -> int:
    logs.say("Interrupted. Finished work is kept; run the same command again to go on.")
    return code


def _say_unexpected(error: Exception) -> int:
    """Report where an unexpected error was raised, without its text, which may hold a secret."""
    name = type(error).__name__
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "an unknown place"
    click.echo(
        f"recall-audio: an unexpected error ({name} in {place}); finished work is kept.\n"
        "  Please report it with the command you ran.",
        err=True,
    )
    return 1


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated
