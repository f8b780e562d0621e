"""Run inside a worker process: take calls from a pipe, report progress, send back results.

A worker ignores Ctrl-C (its parent decides), has no API key, and does not outlive its parent.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import NoReturn

from recall_audio.environment import SECRET_VARIABLES
from recall_audio.errors import ItemError
from recall_audio.model.outcome import StageCallback

PROGRESS = "progress"
RETURNED = "returned"
RAISED = "raised"
"""Kinds of message from a worker."""

_REPORT_EVERY_S = 0.5
"""Shortest time between two reports of progress, seconds."""
_GRACE_S = 2.0
"""Time for the work to clean up once the parent is gone, seconds."""
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
"""Parameters of mallopt, from malloc.h."""
_LARGEST_REUSED_BYTES = 32 << 20
_KEPT_BYTES = 64 << 20
"""Largest block that is reused, and most freed memory that is kept: arrays of stages have a few MB."""


_listener: ContextVar[StageCallback | None] = ContextVar("listener", default=None)


@contextmanager
def progress_to(callback: StageCallback) -> Iterator[None]:
    """Pass what :func:`report_progress` is given within the block to `callback`."""
    token = _listener.set(callback)
    try:
        yield
    finally:
        _listener.reset(token)


def report_progress(stage: str, done: int, total: int) -> None:
    """Report progress to the innermost :func:`progress_to`, if there is one."""
    callback = _listener.get()
    if callback is not None:
        callback(stage, done, total)


def serve(pipe: Connection) -> None:
    """Answer calls until the parent closes the pipe or ends."""
    for name in SECRET_VARIABLES:
        os.environ.pop(name, None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    _keep_freed_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with progress_to(_PipeProgress(pipe)):
        while True:
            try:
                function, args, kwargs = pipe.recv()
            except (EOFError, OSError):
                return
            try:
                pipe.send((RETURNED, function(*args, **kwargs)))
            except OSError:
                return  # the parent has gone
            except Exception as error:  # noqa: BLE001 - the call's own errors belong to its caller
                pipe.send((RAISED, _portable(error)))


def _portable(error: Exception) -> Exception:
    """Return the error if it survives pickling, else one that names it."""
    import pickle

    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):  # noqa: S301 - pickled by this very line
            return error
    except Exception:  # noqa: BLE001, S110 - exceptions' own pickling can raise anything
        pass
    return ItemError(f"An error that should not happen ({type(error).__name__}).", code="unexpected")


class _PipeProgress:
    """Sends progress to the parent, not more often than is useful."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._sent_at = pipe, 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - self._sent_at >= _REPORT_EVERY_S:
            self._sent_at = now
            self._pipe.send((PROGRESS, (stage, done, total)))


def _keep_freed_memory() -> None:
    """Let the C library keep up to 64 MB that was freed, where it is glibc.

    By default it hands large blocks back at once and gets them again page by page, for every array of a few
    MB: measured, a third of the alignment's CPU.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_REUSED_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(143)  # raised where the work is, so that its temporary files go


def _end_with_parent() -> None:
    """End this process once its parent was killed: first by SIGTERM, then at once."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        signal.raise_signal(signal.SIGTERM)
        time.sleep(_GRACE_S)
        os._exit(143)
