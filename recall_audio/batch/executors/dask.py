"""Run calls on the workers of a Dask cluster.

::

    submit ──▶ waiting ──▶ client ══ scheduler ══▶ workers (processes, on any machine)
                  ▲           │
                  └── done ◀──┘   as many are handed over as there are threads to run them

A lost worker costs a run of the calls it had: the scheduler gives them to another. A call that ends its
workers again and again (four times, by the scheduler's ``allowed-failures``) is ``crashed`` for good. Because
the scheduler blames all calls that a lost worker had been given, a worker is given no more than it can run.
"""

import contextlib
import itertools
import logging
import pickle
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from recall_audio.batch.executors import dask_worker
from recall_audio.batch.executors.dask_worker import RemoteCall
from recall_audio.batch.executors.processes import CallProgress
from recall_audio.errors import (
    ItemError,
    MachineError,
    RecallAudioError,
    TransientError,
    UsageError,
    missing_extra,
)
from recall_audio.files import atomic, temporary_beside

T = TypeVar("T")

NO_WORKER_S = 600.0
"""Longest time without a worker, seconds: one that grows on demand may need minutes for its first machine."""
POLL_S = 2.0
"""Time between two looks at overdue calls and lost workers, seconds."""
_RESTART_S = 30.0
"""Time for a worker to start anew, seconds."""


@dataclass(frozen=True, slots=True)
class _Running:
    """A call that the cluster has.

    Attributes:
        future: the future that the caller has.
        key: the cluster's name for it.
        number: its number.
        started: when it was handed over, on the monotonic clock.
    """

    future: "Future[Any]"
    key: str
    number: int
    started: float


class DaskExecutor(Executor):
    """An executor whose calls are run by a cluster's workers.

    A future ends with ItemError ``crashed`` where the call ended one worker after another, ``timeout`` where
    it took longer than allowed (its worker is started anew), with MachineError where a worker has another
    version of this package or does not see the output.

    Args:
        client: a ``distributed.Client``; the caller closes it.
        requirements: what a worker has to meet, for :func:`~recall_audio.batch.executors.dask_worker.check`.
        at_once: calls handed to the cluster at once.
        progress: called as calls advance, from a thread of the client's.
        timeout_s: longest time for one call, seconds, or None.
    """

    def __init__(
        self,
        client: Any,
        requirements: tuple[str, tuple[str, ...]],
        at_once: int,
        progress: CallProgress | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.at_once, self._client, self._timeout_s = at_once, client, timeout_s
        self._pool = client.get_executor(pure=False)
        self._requirements, self._progress = requirements, progress
        self._topic = f"recall-audio-{secrets.token_hex(6)}"
        self._waiting: deque[tuple[Future[Any], RemoteCall, int]] = deque()
        self._running: dict[Future[Any], _Running] = {}
        self._items: dict[int, Any] = {}
        self._numbers = itertools.count()
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._broken: MachineError | None = None
        if progress is not None:
            client.subscribe_topic(self._topic, self._on_progress)
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Run a picklable call without keywords on a worker.

        Raises:
            TypeError: there are keywords.
        """
        if kwargs:
            raise TypeError("keyword arguments are not supported")
        future: Future[T] = Future()
        if self._broken is not None:
            future.set_exception(self._broken)
            return future
        number = next(self._numbers)
        pickled = pickle.dumps((fn, args))
        call = RemoteCall(dask_worker.run_call, self._requirements, self._topic, number, pickled)
        self._items[number] = args[0] if args else None
        self._waiting.append((future, call, number))
        self._hand_over()
        return future

    def cancel_all(self) -> None:
        """Cancel all calls without waiting.

        Workers leave running ones within seconds.
        """
        self._over.set()
        self._fail_all(TransientError("Stopped before it was finished.", code="interrupted"))

    def _fail_all(self, error: RecallAudioError) -> None:
        with self._lock:
            waiting, running = list(self._waiting), dict(self._running)
            self._waiting.clear()
            self._running.clear()
        for future, _, _ in waiting:
            future.cancel()
        for remote, call in running.items():
            remote.cancel()
            call.future.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for calls, or cancel them with `cancel_futures`."""
        if cancel_futures:
            self.cancel_all()
        self._pool.shutdown(wait=wait)

    def _watch(self) -> None:
        """End overdue calls, and all once there was no worker for too long."""
        last_worker_at = time.monotonic()
        while not self._over.wait(POLL_S):
            self._end_overdue()
            if not self._running or _has_workers(self._client):
                last_worker_at = time.monotonic()
            elif time.monotonic() - last_worker_at > NO_WORKER_S:
                self._broken = MachineError(
                    f"The cluster has had no worker for {NO_WORKER_S:g} s; finished work is kept.",
                    "Start workers (`dask worker ADDRESS`), then run the same command again.",
                    code="no_worker",
                )
                self._fail_all(self._broken)
                return

    def _end_overdue(self) -> None:
        limit_s = self._timeout_s
        if limit_s is None:
            return
        for remote, call in list(self._running.items()):
            is_overdue = time.monotonic() - call.started > limit_s
            if is_overdue and self._running.pop(remote, None) is not None:
                error = ItemError(
                    f"It took longer than {limit_s:g} s (--item-timeout) and was ended.", code="timeout"
                )
                call.future.set_exception(error)
                _end_on_cluster(self._client, call.key, remote)
                self._hand_over()

    def _hand_over(self) -> None:
        handed_over: list[Future[Any]] = []
        with self._lock:
            while self._waiting and len(self._running) < self.at_once:
                future, call, number = self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    key = f"process-{self._topic}-{number}"
                    remote = self._pool.submit(pickle.loads, pickle.dumps(call), key=key)
                    self._running[remote] = _Running(future, key, number, time.monotonic())
                    handed_over.append(remote)
        for remote in handed_over:
            remote.add_done_callback(self._on_done)

    def _on_done(self, remote: "Future[Any]") -> None:
        with self._lock:
            call = self._running.pop(remote, None)
        if call is not None:
            self._items.pop(call.number, None)
            try:
                call.future.set_result(remote.result())
            except CancelledError:
                call.future.set_exception(_scheduler_lost())
            except Exception as error:  # noqa: BLE001 - whatever the call or the cluster raised is passed on
                call.future.set_exception(_translated(error))
        self._hand_over()

    def _on_progress(self, event: tuple[float, tuple[int, str, int, int]]) -> None:
        number, stage, done, total = event[1]
        if self._progress is not None and self._items.get(number) is not None:
            self._progress(self._items[number], stage, done, total)


def _end_on_cluster(client: Any, key: str, remote: "Future[Any]") -> None:
    """Cancel a call and restart its worker, as a thread cannot be ended."""
    with contextlib.suppress(Exception):  # a worker without a nanny cannot be restarted
        workers = [w for w, keys in client.processing().items() if key in keys]
        remote.cancel()
        client.restart_workers(workers, timeout=_RESTART_S, raise_for_error=False)


def _has_workers(client: Any) -> bool:
    try:
        return bool(client.nthreads())
    except Exception:  # noqa: BLE001 - a scheduler that is gone shows in many ways
        return False


def _scheduler_lost() -> TransientError:
    message = "The connection to the cluster's scheduler was lost."
    return TransientError(message, "Run the same command again.", code="lost")


def _translated(error: Exception) -> Exception:
    """Return the package's own error for what a cluster raised of a call."""
    if isinstance(error, RecallAudioError):
        return error
    if type(error).__name__ == "KilledWorker":
        # args: task, the last worker, the failures allowed
        times = getattr(error, "allowed_failures", error.args[2] if len(error.args) > 2 else 0)
        times = times + 1 if isinstance(times, int) else 1
        return ItemError(
            f"It ended {times} of the cluster's workers one after another.", code="crashed", times=times
        )
    if isinstance(error, ImportError | AttributeError) and "recall_audio" in str(error):
        return dask_worker.unfit_error(error)
    return error


_CONNECT_S = 10.0
_FIRST_WORKER_S = 120.0
"""Longest wait for a first worker, seconds."""
_CLOSE_S = 5.0
_SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")
_MAX_GREETING_FRAMES = 1 << 16
"""Frames of a scheduler's first message at most; other servers' first bytes make a larger number."""


@contextmanager
def connect(
    address: str,
    shared: Iterable[Path],
    at_least: int = 1,
    progress: CallProgress | None = None,
    timeout_s: float | None = None,
) -> Iterator[DaskExecutor]:
    """Connect to a cluster, check its workers, and yield an executor over it.

    Args:
        address: of the scheduler, ``tcp://HOST:8786``.
        shared: folders that workers have to see as this machine does.
        at_least: calls handed over at once where the cluster has fewer threads (it may grow).
        progress: called as calls advance.
        timeout_s: longest time for one call, seconds, or None.

    Raises:
        UsageError: the address is malformed.
        MachineError: the extra is not installed, no scheduler answers, or a worker is unfit.
    """
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        client = stack.enter_context(_client(address))
        requirements = dask_worker.build_id(), tuple(stack.enter_context(_token(folder)) for folder in shared)
        _check(client, requirements)
        pool = DaskExecutor(
            client, requirements, max(at_least, sum(client.nthreads().values())), progress, timeout_s
        )
        try:
            yield pool
        finally:
            pool.cancel_all()


@contextmanager
def _client(address: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError:
        raise missing_extra("--cluster needs Dask distributed", "cluster") from None
    client = None
    if _is_scheduler(address):
        with suppress(OSError, ValueError):
            client = Client(address, timeout=_CONNECT_S, set_as_default=False)
    if client is None:
        raise MachineError(
            f"No Dask scheduler answers at {address}.",
            "Check that it is running (`dask scheduler`), the address, and whether it needs TLS (tls://).",
            code="no_cluster",
        )
    try:
        yield client
    finally:
        client.close(timeout=_CLOSE_S)


def _is_scheduler(address: str) -> bool:
    """Tell whether a server at an address begins as a scheduler does.

    Checked first because ``Client`` waits for ever for a peer that accepts a connection and sends nothing
    (measured with distributed 2026.8), and leaves threads behind where none listens. A scheduler sends first:
    the number of frames and their lengths, 64 bits each.
    """
    host, port = _host_and_port(address)
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_S) as peer:
            if not address.startswith("tcp://"):
                return True  # with TLS and websockets the client sends first
            greeting = peer.recv(8, socket.MSG_WAITALL)
            return len(greeting) == 8 and int.from_bytes(greeting, "little") < _MAX_GREETING_FRAMES
    except OSError:
        return False


def _host_and_port(address: str) -> tuple[str, int]:
    with suppress(ValueError):
        parts = urlsplit(address)
        if parts.scheme in _SCHEMES and parts.hostname and parts.port:
            return parts.hostname, parts.port
    raise UsageError(f"{address[:80]!r} is not the address of a scheduler.", "Give e.g. tcp://HOST:8786.")


def _check(client: Any, requirements: tuple[str, tuple[str, ...]]) -> None:
    """Check one worker, then each.

    Raises:
        MachineError: there is no worker, or one is unfit.
    """
    call = pickle.dumps(RemoteCall(dask_worker.check, requirements))
    first = client.submit(pickle.loads, call, pure=False)
    try:
        first.result(timeout=_FIRST_WORKER_S)
        answers = list(client.run(pickle.loads, call, on_error="return").values())
    except Exception as error:  # noqa: BLE001 - what a worker raised is handled below
        answers = [error]
    problem = next((a for a in answers if isinstance(a, Exception)), None)
    if isinstance(problem, RecallAudioError):
        raise problem
    if isinstance(problem, TimeoutError):
        raise MachineError(
            f"The cluster has no worker: none took work within {_FIRST_WORKER_S:g} s.",
            "Start workers: `dask worker ADDRESS --nthreads 1 --nworkers N`.",
            code="no_worker",
        )
    if problem is not None:
        raise dask_worker.unfit_error(problem)


@contextmanager
def _token(folder: Path) -> Iterator[str]:
    """Yield a file in a folder that machines which share the folder see."""
    path = temporary_beside(folder.absolute() / "cluster")
    try:
        with atomic(path) as stream:
            stream.write(b"")
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Dask's log lines for a block: what matters is reported."""
    logs = [logging.getLogger(name) for name in ("distributed", "distributed.client", "tornado.application")]
    levels = [log.level for log in logs]
    with suppress(ImportError):
        import distributed  # noqa: F401 - sets the levels itself when first imported
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
