"""Run calls in worker processes, each behind a pipe of its own, so that a crash costs one call.

::

    submit ──▶ queue ──▶ keeper (thread) ══ pipe ══▶ worker (process)
                            ▲                            │
                            └── progress, result, or its end

Existing pools share more than that. With ``concurrent.futures`` and loky a killed worker loses every call
that waits; pebble survives the death of a busy worker, but not that of an idle one (the whole pool breaks,
measured with 5.2), and its workers share one pipe and its locks. Workers of this pool share nothing.
"""

import atexit
import contextlib
import multiprocessing
import os
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import Any, TypeVar

from recall_audio.batch.executors import worker_process
from recall_audio.environment import SECRET_VARIABLES
from recall_audio.errors import ItemError, TransientError
from recall_audio.model.outcome import StageCallback

T = TypeVar("T")
CallProgress = Callable[[Any, str, int, int], None]
"""Called with a call's first argument, its stage, units done and units in all."""

# Spawned: a forked worker would inherit threads' locks, and the parent's memory with the key in it.
_SPAWNED = multiprocessing.get_context("spawn")
_POLL_S = 0.5
_GRACE_S = 2.0
"""Time for a worker that is ended to remove its temporary files, seconds."""


_environment = threading.RLock()


@contextlib.contextmanager
def hidden_secrets() -> Iterator[None]:
    """Take secrets out of the environment for a block of one thread at a time."""
    with _environment:
        hidden = {name: os.environ.pop(name) for name in SECRET_VARIABLES if name in os.environ}
        try:
            yield
        finally:
            os.environ.update(hidden)


def with_secrets(read: Callable[[], T]) -> Callable[[], T]:
    """Return `read`, made to wait while secrets are hidden."""

    def read_when_visible() -> T:
        with _environment:
            return read()

    return read_when_visible


@dataclass(frozen=True, slots=True)
class _Job:
    future: "Future[Any]"
    call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class ProcessExecutor(Executor):
    """An executor of up to `n` processes, each started when none is idle.

    A future ends with ItemError ``crashed`` where its process ended (``facts['exit_code']``, negative for a
    signal), ``timeout`` where it took longer than allowed; both have ``facts['pid']``. Other calls go on.

    Args:
        n: most processes.
        timeout_s: longest time for one call, seconds, or None.
        progress: called as calls advance, from several threads.
    """

    def __init__(self, n: int, timeout_s: float | None = None, progress: CallProgress | None = None) -> None:
        self._n, self._timeout_s, self._progress = n, timeout_s, progress
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._keepers: list[threading.Thread] = []
        self._idle = 0
        self._lock = threading.Lock()
        self._is_ending = threading.Event()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Run a picklable call in a worker.

        Raises:
            RuntimeError: the executor was shut down.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._is_ending.is_set():
                raise RuntimeError("cannot submit after shutdown")
            if self._idle < self._jobs.qsize() + 1 and len(self._keepers) < self._n:
                keeper = threading.Thread(target=self._keep, daemon=True)
                self._keepers.append(keeper)
                keeper.start()
            self._jobs.put(_Job(future, (fn, args, kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers when their calls are done, or at once with `cancel_futures`."""
        if cancel_futures:
            self._is_ending.set()
        with self._lock:
            keepers = list(self._keepers)
        for _ in keepers:
            self._jobs.put(None)
        if wait:
            for keeper in keepers:
                keeper.join()
        self._is_ending.set()

    def cancel_all(self) -> None:
        """End all calls now, begun or not, without waiting."""
        self._is_ending.set()

    def _keep(self) -> None:
        """Feed one worker, and replace it when it ends."""
        worker: _Worker | None = None
        while True:
            with self._lock:
                self._idle += 1
            job = self._jobs.get()
            with self._lock:
                self._idle -= 1
            if job is None:
                break
            if self._is_ending.is_set():
                job.future.cancel()
            if job.future.set_running_or_notify_cancel():
                worker = self._done(job, worker)
        if worker is not None:
            worker.end()

    def _done(self, job: _Job, worker: "_Worker | None") -> "_Worker | None":
        """Do one job and return the worker if it can take the next."""
        try:
            worker = _ready(worker, job)
        except Exception as error:  # noqa: BLE001 - what cannot be pickled or started fails this job alone
            job.future.set_exception(error)
            return None
        try:
            value = worker.answer(self._timeout_s, self._is_ending, self._progress_of(job))
        except Exception as error:  # noqa: BLE001 - whatever the call raised is passed on
            job.future.set_exception(error)
        else:
            job.future.set_result(value)
        return worker if worker.process.is_alive() else None

    def _progress_of(self, job: _Job) -> StageCallback:
        progress, args = self._progress, job.call[1]
        return lambda *facts: None if progress is None else progress(args[0], *facts)


def _ready(worker: "_Worker | None", job: _Job) -> "_Worker":
    """Send the job to the worker, or to a new one, and return that worker."""
    if worker is not None and worker.process.is_alive():
        with contextlib.suppress(OSError):
            worker.pipe.send(job.call)
            return worker
    worker = _Worker()
    worker.pipe.send(job.call)
    return worker


_living: "weakref.WeakSet[_Worker]" = weakref.WeakSet()


@cache
def _at_exit() -> None:
    """Register that remaining workers are ended before the interpreter waits for them."""

    def end_all() -> None:
        for worker in list(_living):
            worker.end()

    atexit.register(end_all)


class _Worker:
    """One process and the pipe to it."""

    def __init__(self) -> None:
        self.pipe: Connection
        self.pipe, theirs = _SPAWNED.Pipe()
        # Not a daemon: a daemon may not have workers of its own for one recording's pieces.
        self.process = _SPAWNED.Process(target=worker_process.serve, args=(theirs,))
        with hidden_secrets():
            self.process.start()
        _living.add(self)
        _at_exit()
        theirs.close()

    def answer(self, timeout_s: float | None, ending: threading.Event, progress: StageCallback) -> Any:
        """Wait for the call and return its result, or raise its error.

        Raises:
            ItemError: ``crashed``, ``timeout``.
            TransientError: ``interrupted``, once `ending` is set.
        """
        until = None if timeout_s is None else monotonic() + timeout_s
        while True:
            poll_s = _POLL_S if until is None else min(_POLL_S, max(until - monotonic(), 0.0))
            ready = wait([self.pipe, self.process.sentinel], poll_s)
            if self.pipe in ready:
                try:
                    kind, value = self.pipe.recv()
                except (EOFError, OSError):
                    raise self._crashed() from None
                if kind == worker_process.PROGRESS:
                    progress(*value)
                elif kind == worker_process.RAISED:
                    raise value
                else:
                    return value
            elif ready:
                raise self._crashed()
            if ending.is_set():
                self.end()
                raise TransientError("Stopped before it was finished.", code="interrupted", **self._facts())
            if until is not None and monotonic() >= until:
                self.end()
                raise ItemError(
                    f"It took longer than {timeout_s:g} s (--item-timeout) and was ended.",
                    code="timeout",
                    **self._facts(),
                )

    def _facts(self) -> dict[str, Any]:
        return {"pid": self.process.pid, "exit_code": self.process.exitcode}

    def _crashed(self) -> ItemError:
        self.process.join(_GRACE_S)  # so that the exit code is its own, not that of being ended
        self.end()
        return ItemError(
            f"The process that worked on it ended ({describe_exit(self.process.exitcode)}).",
            code="crashed",
            **self._facts(),
        )

    def end(self) -> None:
        """End the process, by a signal that lets it clean up, then by a kill."""
        self.pipe.close()
        for stop in (self.process.terminate, self.process.kill):
            if self.process.is_alive():
                stop()
                self.process.join(_GRACE_S)


def describe_exit(exit_code: int | None) -> str:
    """Return an exit code in words."""
    if exit_code is not None and exit_code < 0:
        import signal

        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"
