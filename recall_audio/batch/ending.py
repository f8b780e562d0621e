"""How a recording's processing ended, by what its future says; and what is said before it begins."""

import contextlib
import logging
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Protocol, runtime_checkable

from recall_audio import __version__
from recall_audio.batch import known, tasks
from recall_audio.errors import ItemError, MachineError, RecallAudioError
from recall_audio.files import remove_parts_of
from recall_audio.model.options import Options
from recall_audio.model.outcome import Outcome

_log = logging.getLogger(__name__)


@runtime_checkable
class Breakable(Protocol):
    """An executor whose work can be ended at once."""

    def break_off(self) -> None:
        """End all work now; does not wait."""


def outcome_of(
    future: "Future[Outcome]", folder: Path, seconds: float
) -> tuple[Outcome, RecallAudioError | None]:
    """The outcome of a future that has ended, and the error that ends the whole batch, if it is one.

    A recording that ended its process may be tried once more (status ``transient``); from the second time on
    it is set aside (``failed``).
    """
    bot_id = folder.parent.name
    try:
        outcome = future.result()
    except CancelledError:
        return tasks.interrupted(folder, seconds), None
    except MachineError as error:
        return tasks.failure(bot_id, error, seconds, folder), error
    except ItemError as error:
        if error.code not in ("crashed", "timeout"):
            return tasks.failure(bot_id, error, seconds, folder), None
        crash: RecallAudioError = error
    except RecallAudioError as error:
        _sweep_after(error, folder)
        return tasks.failure(bot_id, error, seconds, folder), None
    except Exception as error:  # noqa: BLE001 - an executor's own word for work that it lost
        crash = ItemError(f"The process that worked on it was lost ({type(error).__name__}).", code="crashed")
    else:
        known.forgive(folder)
        return outcome, None
    return _crashed(folder, crash, seconds)


def _crashed(
    folder: Path, error: RecallAudioError, seconds: float
) -> tuple[Outcome, RecallAudioError | None]:
    _sweep_after(error, folder)
    full: RecallAudioError | None = None
    is_set_aside = False
    try:
        times = error.facts.get("times", 1)  # a cluster has tried it several times already
        is_set_aside = known.note_crash(folder, error.code, error.message, times)
    except MachineError as disk:
        full = disk
    hint = "It is set aside: --force tries again." if is_set_aside else "The next run tries it once more."
    shown = ItemError(error.message, hint, code=error.code)
    return tasks.failed(folder, shown, seconds, for_good=is_set_aside), full


def _sweep_after(error: RecallAudioError, folder: Path) -> None:
    """Remove what a process that was ended may have left half-written, where the error says which it was."""
    if isinstance(pid := error.facts.get("pid"), int):
        remove_parts_of(folder, pid)


def say_what_is_redone(folder: Path, options: Options) -> None:
    """Log which stages another version's results are redone from."""
    with contextlib.suppress(ItemError):
        version, stages = known.to_redo(folder, options)
        if version and version != __version__ and stages:
            _log.warning(
                "Recording %s was made by version %s; this is %s, which redoes %s.",
                folder.name,
                version,
                __version__,
                ", ".join(stages),
            )
