"""Worker processes, each behind a pipe of its own: what ends one of them costs one item.

::

    submit ──▶ queue ──▶ keeper (thread) ══ pipe ══▶ worker (process)
                            ▲                            │
                            └── progress, result, or its end

An own pool because those at hand share more than that. With ``concurrent.futures`` and loky a killed worker
loses every item that waits; pebble survives a death at work, but not that of an idle worker (the whole pool
breaks, measured with 5.2), and its workers share one pipe and its locks. Here there is nothing to share.
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

T = TypeVar("T")
Told = Callable[[Any, str, int, int], None]
"""Called with a job's first argument, what is being done, units done and units in all."""

# Spawned: a forked worker would inherit threads' locks, and the parent's memory with the key in it.
_SPAWNED = multiprocessing.get_context("spawn")
_LOOK_S = 0.5
_GRACE_S = 2.0
# A worker that is ended has so long to remove its temporary files.


_environment = threading.RLock()


@contextlib.contextmanager
def hidden_secrets() -> Iterator[None]:
    """Within the block, which others wait for, no secret is in the environment that a child would get."""
    with _environment:
        hidden = {name: os.environ.pop(name) for name in SECRET_VARIABLES if name in os.environ}
        try:
            yield
        finally:
            os.environ.update(hidden)


def with_secrets(read: Callable[[], T]) -> Callable[[], T]:
    """`read`, never while the key is hidden."""

    def careful() -> T:
        with _environment:
            return read()

    return careful


@dataclass(frozen=True, slots=True)
class _Job:
    future: "Future[Any]"
    call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class ProcessExecutor(Executor):
    """An executor of at most `n` processes; one is started when an item finds no idle one.

    A future ends with ItemError ``crashed`` where its process ended (``facts['exit_code']``, negative for a
    signal), ``timeout`` where it took longer than allowed; both have ``facts['pid']``. Others go on.

    Args:
        n: processes at most.
        timeout_s: longest time for one item, or None.
        told: hears how far items are, from several threads.
    """

    def __init__(self, n: int, timeout_s: float | None = None, told: Told | None = None) -> None:
        self._n, self._timeout_s, self._told = n, timeout_s, told
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._keepers: list[threading.Thread] = []
        self._idle = 0
        self._lock = threading.Lock()
        self._is_ending = threading.Event()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Run a picklable call in a worker."""
        future: Future[T] = Future()
        with self._lock:
            if self._is_ending.is_set():
                raise RuntimeError("no work is taken after shutdown")
            if self._idle < self._jobs.qsize() + 1 and len(self._keepers) < self._n:
                keeper = threading.Thread(target=self._keep, daemon=True)
                self._keepers.append(keeper)
                keeper.start()
            self._jobs.put(_Job(future, (fn, args, kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers once their work is done; with `cancel_futures` at once, unfinished or not."""
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
        """End all work now, begun or not; does not wait."""
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
        """Do one job; gives the worker if it can take the next."""
        try:
            worker = _ready(worker, job)
        except Exception as error:  # noqa: BLE001 - what cannot be pickled or started is this job's failure
            job.future.set_exception(error)
            return None
        try:
            value = worker.answer(self._timeout_s, self._is_ending, self._passing(job))
        except Exception as error:  # noqa: BLE001 - whatever the call raised is handed on
            job.future.set_exception(error)
        else:
            job.future.set_result(value)
        return worker if worker.process.is_alive() else None

    def _passing(self, job: _Job) -> Callable[[str, int, int], None]:
        told, args = self._told, job.call[1]
        return lambda *facts: None if told is None else told(args[0], *facts)


def _ready(worker: "_Worker | None", job: _Job) -> "_Worker":
    """A living worker that has been given the job; one that died idle is replaced."""
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
    """See to it that workers nobody has ended are ended before the interpreter waits for them."""

    def end_all() -> None:
        for worker in list(_living):
            worker.end()

    atexit.register(end_all)


class _Worker:
    """One process and the pipe to it."""

    def __init__(self) -> None:
        self.pipe: Connection
        self.pipe, theirs = _SPAWNED.Pipe()
        # Not a daemon, which may have no workers of its own for one recording's pieces.
        self.process = _SPAWNED.Process(target=worker_process.serve, args=(theirs,))
        with hidden_secrets():
            self.process.start()
        _living.add(self)
        _at_exit()
        theirs.close()

    def answer(
        self, timeout_s: float | None, ending: threading.Event, told: Callable[[str, int, int], None]
    ) -> Any:
        """What the call gave, or the error it raised.

        Raises:
            ItemError: ``crashed``, ``timeout``.
            TransientError: ``interrupted``, once `ending` is set.
        """
        until = None if timeout_s is None else monotonic() + timeout_s
        while True:
            left_s = _LOOK_S if until is None else min(_LOOK_S, max(until - monotonic(), 0.0))
            ready = wait([self.pipe, self.process.sentinel], left_s)
            if self.pipe in ready:
                try:
                    kind, value = self.pipe.recv()
                except (EOFError, OSError):
                    raise self._crashed() from None
                if kind == worker_process.PROGRESS:
                    told(*value)
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
                    f"It took longer than {timeout_s:g} s and was ended.", code="timeout", **self._facts()
                )

    def _facts(self) -> dict[str, Any]:
        return {"pid": self.process.pid, "exit_code": self.process.exitcode}

    def _crashed(self) -> ItemError:
        self.process.join(_GRACE_S)  # its own exit code, not one that we give it
        self.end()
        return ItemError(
            f"The process that worked on it ended ({ended_how(self.process.exitcode)}).",
            code="crashed",
            **self._facts(),
        )

    def end(self) -> None:
        """End the process: asked first, so that it removes its temporary files, then killed."""
        self.pipe.close()
        for stop in (self.process.terminate, self.process.kill):
            if self.process.is_alive():
                stop()
                self.process.join(_GRACE_S)


def ended_how(exit_code: int | None) -> str:
    """An exit code in words."""
    if exit_code is not None and exit_code < 0:
        import signal

        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"
