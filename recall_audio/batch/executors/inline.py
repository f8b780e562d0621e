"""An executor that makes the call at once, in the calling thread."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, TypeVar

from recall_audio.batch.executors import progress
from recall_audio.batch.request import Progress

T = TypeVar("T")


class Here(Executor):
    """Works where it is called: for one recording at a time, in a notebook or a test.

    Args:
        report: hears how far each call's first argument, a task, has come.
    """

    def __init__(self, report: Progress) -> None:
        self._report = report

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Make the call; what it returns or raises is in the future. Ctrl-C goes through."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        with progress.listening(partial(self._report, args[0].folder.name)):
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - an executor hands on whatever was raised
                future.set_exception(error)
        return future
