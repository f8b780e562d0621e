"""Where recordings are processed: in this process, in worker processes, or on a Dask cluster."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from threading import Event
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from recall_audio.batch.executors.processes import ProcessExecutor
from recall_audio.batch.executors.worker_process import progress_to
from recall_audio.batch.request import Request
from recall_audio.model.outcome import ProgressCallback

T = TypeVar("T")


class InlineExecutor(Executor):
    """Works where it is called: for one recording at a time, in a notebook or a test.

    Args:
        report: hears how far each call's first argument, a task, has come.
    """

    def __init__(self, report: ProgressCallback) -> None:
        self._report = report

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Make the call; what it returns or raises is in the future. Ctrl-C goes through."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        with progress_to(partial(self._report, args[0].folder.name)):
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - an executor hands on whatever was raised
                future.set_exception(error)
        return future


def _is_here(request: Request, given: Executor | None) -> bool:
    """Whether recordings are processed in the calling thread itself."""
    if given is not None or request.cluster:
        return False
    return request.options is not None and not request.isolate and request.jobs == 1


def defer_signals(request: Request, given: Executor | None, stop: Event) -> AbstractContextManager[object]:
    """What Ctrl-C does while a batch runs: ends it in good order."""
    # What computes in this very thread has to be interruptible where it is.
    return nullcontext() if _is_here(request, given) else DeferredSignals(stop)


@contextmanager
def open_executor(
    request: Request, report: ProgressCallback, given: Executor | None, folders: Iterable[Path] = ()
) -> Iterator[Executor]:
    """Where recordings are processed: those of `folders`, or what comes below the output folder."""

    def told(task: Any, what: str, done: int, total: int) -> None:
        report(task.folder.name, what, done, total)

    if given is not None:
        yield given
    elif _is_here(request, given):
        yield InlineExecutor(report)
    elif request.cluster:
        from recall_audio.batch.executors.dask import connect

        shared = {folder.parent.parent for folder in folders} or {request.out}
        shared = set() if request.store is not None else shared
        with connect(request.cluster, shared, request.jobs, told, request.item_timeout_s) as pool:
            yield pool
    else:
        workers = ProcessExecutor(request.jobs, request.item_timeout_s, told)
        try:
            yield workers
        finally:
            workers.shutdown(wait=True, cancel_futures=True)


def ignore_progress(*_: object) -> None:
    """Tell nobody."""


_CAUGHT = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))


class DeferredSignals:
    """Within the block a signal sets `stop`; what it used to do is done when the block ends.

    A second one changes nothing: the end is bounded as it is. Outside the main thread, where Python takes no
    handlers, this does nothing.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._before: dict[int, Any] = {}
        self._caught: int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _CAUGHT:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = before
                    signal.signal(number, self._note)
        return self

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._caught = self._caught or number
        self._stop.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        if self._caught is not None:
            handler: Callable[[int, FrameType | None], Any] | Any = self._before[self._caught]
            if callable(handler):
                handler(self._caught, None)  # raises KeyboardInterrupt, or whatever the caller arranged
            else:
                signal.raise_signal(self._caught)
