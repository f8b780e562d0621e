"""Choose where recordings are processed: in this process, in worker processes, or on a Dask cluster."""

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
    """An executor that calls at once, in the calling thread.

    Args:
        progress: called as a call's first argument, a task, advances.
    """

    def __init__(self, progress: ProgressCallback) -> None:
        self._progress = progress

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Make the call and return its future, which is done.

        Raises:
            KeyboardInterrupt: Ctrl-C.
        """
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        with progress_to(partial(self._progress, args[0].folder.name)):
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - an executor passes on whatever was raised
                future.set_exception(error)
        return future


def _is_inline(request: Request, given: Executor | None) -> bool:
    """Tell whether recordings are processed in the calling thread itself."""
    if given is not None or request.cluster:
        return False
    return request.options is not None and not request.isolate and request.jobs == 1


def defer_signals(request: Request, given: Executor | None, stop: Event) -> AbstractContextManager[object]:
    """Return the context in which Ctrl-C ends a batch in good order."""
    # Work in the calling thread has to be interrupted where it is.
    return nullcontext() if _is_inline(request, given) else DeferredSignals(stop)


@contextmanager
def open_executor(
    request: Request, progress: ProgressCallback, given: Executor | None, folders: Iterable[Path] = ()
) -> Iterator[Executor]:
    """Open the executor that a request asks for.

    Args:
        request: what to do.
        progress: called as recordings advance.
        given: the caller's own executor, which is not shut down, or None.
        folders: the recordings, where they are known; otherwise all lie below the output folder.

    Raises:
        UsageError, MachineError: the cluster is not available; see
            :func:`~recall_audio.batch.executors.dask.connect`.
    """

    def on_call_progress(task: Any, stage: str, done: int, total: int) -> None:
        progress(task.folder.name, stage, done, total)

    if given is not None:
        yield given
    elif _is_inline(request, given):
        yield InlineExecutor(progress)
    elif request.cluster:
        from recall_audio.batch.executors.dask import connect

        shared = {folder.parent.parent for folder in folders} or {request.out}
        shared = set() if request.store is not None else shared
        with connect(
            request.cluster, shared, request.jobs, on_call_progress, request.item_timeout_s
        ) as cluster:
            yield cluster
    else:
        workers = ProcessExecutor(request.jobs, request.item_timeout_s, on_call_progress)
        try:
            yield workers
        finally:
            workers.shutdown(wait=True, cancel_futures=True)


def do_nothing(*_: object) -> None:
    """Ignore the arguments, in place of a callback that was not given."""


_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))


class DeferredSignals:
    """A block in which SIGINT and SIGTERM set an event.

    A signal therefore never strikes between two steps that belong together. A second one changes nothing: the
    time to the end is bounded. Outside the main thread, where Python takes no handlers, this does nothing.

    Args:
        stop: the event.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._before: dict[int, Any] = {}
        self._caught: int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
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
                handler(self._caught, None)  # raises KeyboardInterrupt, or what the caller arranged
            else:
                signal.raise_signal(self._caught)
