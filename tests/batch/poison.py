"""Recordings that are bad for whoever processes them; stands in for ``batch.tasks.process_safely``.

Runs in the worker process. What it does to a recording is in ``poison.json``, three folders above it; each
recording that it is given becomes a line in ``calls.log`` beside that.
"""

import ctypes
import errno
import json
import os
import signal
import time
from pathlib import Path
from unittest import mock

from recall_audio.batch import tasks
from recall_audio.batch.tasks import Task
from recall_audio.model.outcome import Outcome


def process_safely(task: Task) -> Outcome:
    """Process a recording, unless it is poison."""
    root = task.folder.parents[2]
    plan = json.loads((root / "poison.json").read_text())
    log = os.open(root / "calls.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, f"{task.folder.name}\n".encode())
    os.close(log)
    ill = plan["ills"].get(task.folder.name)
    done = Outcome(task.folder.parent.name, "done", task.folder.name, str(task.folder))
    if ill == "unpicklable":  # as it could come from outside of what is guarded
        raise _Unpicklable(1, 2)
    if ill is not None:
        spoilt = mock.patch.object(tasks, "process", side_effect=lambda *_, **__: ILLS[ill](task) or done)
        with spoilt:
            return tasks.process_safely(task)
    return done if plan["light"] else tasks.process_safely(task)


def _segfault(_: Task) -> None:
    ctypes.string_at(0)


def _killed(task: Task) -> None:
    """As by the kernel that is out of memory, with a file half-written."""
    (task.folder / f".talk.json.{os.getpid()}.0123abcd.part").write_text("{")
    os.kill(os.getpid(), signal.SIGKILL)


def _hang(_: Task) -> None:
    time.sleep(3600.0)


def _deaf(_: Task) -> None:
    """Hangs, and does not hear when it is asked to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600.0)


def _unforeseen(_: Task) -> None:
    raise ZeroDivisionError("canary-text")


class _Unpicklable(Exception):
    def __init__(self, one: object, two: object) -> None:
        super().__init__("canary-text")


def _full(_: Task) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _environment(task: Task) -> None:
    """Writes down what the worker's environment is, and what it began with."""
    began = Path("/proc/self/environ")
    (task.folder.parents[2] / "environment.json").write_text(
        json.dumps([dict(os.environ), began.read_bytes().decode("latin-1") if began.exists() else ""])
    )


ILLS = {
    "segfault": _segfault,
    "killed": _killed,
    "hang": _hang,
    "deaf": _deaf,
    "unforeseen": _unforeseen,
    "full": _full,
    "environment": _environment,
}
