"""One recording that kills whatever processes it, wherever its folder is; runs in the worker."""

import os
import signal

from recall_audio.batch import tasks
from recall_audio.batch.tasks import Task
from recall_audio.model.outcome import Outcome


def process_safely(ill: str, task: Task) -> Outcome:
    """Process a recording, unless it is the one."""
    if task.folder.name == ill:
        os.kill(os.getpid(), signal.SIGKILL)
    return tasks.process_safely(task)
