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
interrupted and resumable."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: the same way out as Ctrl-C, with its own exit code."""


@click.group(
    epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="recall-audio")
def group() -> None:
    """Who spoke, when, how much and over whom in meetings recorded by Recall.ai bots.

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


def main() -> NoReturn:
    """Entry point of ``recall-audio``: run a command and exit with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:  # noqa: PLR0911 - one return a way out
    """Run a command line and give its exit code; every error has become a sentence on stderr."""
    try:
        code: Any = group.main(args=arguments, prog_name="recall-audio", standalone_mode=False)
    except click.exceptions.Abort as abort:  # what click makes of either
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
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone: nothing more to say
        return 141
    except Exception as error:  # noqa: BLE001 - the last door: no traceback reaches a user
        return _say_unexpected(error)
    return code if isinstance(code, int) else 0


def _say(error: errors.RecallAudioError) -> int:
    logs.say_error(error)
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))


def _say_interrupted(code: int) -> int:
    logs.say("Interrupted. Finished work is kept; run the same command again to go on.")
    return code


def _say_unexpected(error: Exception) -> int:
    """Name the place, never the text: an unforeseen exception may hold anything."""
    name = type(error).__name__
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "an unknown place"
    click.echo(
        f"recall-audio: an error that should not happen ({name} in {place}); finished work is kept.\n"
        "  Please report it with the command you ran.",
        err=True,
    )
    return 1


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated
