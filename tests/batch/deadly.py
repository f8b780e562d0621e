"""What is deadly to a process or outstays its time, wherever its folder is; runs in the worker."""

import os
import signal
import time
from pathlib import Path

from recall_audio.batch import tasks
from recall_audio.batch.tasks import Task
from recall_audio.files import temporary_beside
from recall_audio.model.outcome import Outcome


def process_safely(ill: str, task: Task) -> Outcome:
    """Process a recording, unless it is the one."""
    if task.folder.name == ill:
        os.kill(os.getpid(), signal.SIGKILL)
    return tasks.process_safely(task)


def stay(folder: Path) -> None:
    """Leave a file half-written and hear no signal, until killed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    temporary_beside(folder / "mix.s16").write_bytes(b"half")
    while True:
        time.sleep(60)
