"""Many machines: an executor over the workers of a Dask cluster.

::

    submit ──▶ waiting ──▶ client ══ scheduler ══▶ workers (processes, on any machine)
                  ▲           │
                  └── ended ◀─┘   as many are handed over as there are threads to work on them

A worker that is lost costs a run of what it worked on: the scheduler gives that to another. What ends its
workers again and again (four times, by the scheduler's ``allowed-failures``) is ``crashed`` for good. Because
the scheduler blames all that a lost worker had been given, it is given no more than it can work on.
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
Told = Callable[[Any, str, int, int], None]
"""Called with a call's first argument, what is being done, units done and units in all."""

PATIENCE_S, LOOK_EVERY_S, _RESTART_S = 600.0, 2.0, 30.0
# A cluster that grows on demand may need minutes for its first machine; one that lost all may get none.


@dataclass(frozen=True, slots=True)
class _Begun:
    """A call that the cluster has.

    Attributes:
        future: ours.
        key: the cluster's name for it.
        at: its number.
        since: when it was handed over, on the monotonic clock.
    """

    future: "Future[Any]"
    key: str
    at: int
    since: float


class DaskExecutor(Executor):
    """An executor whose calls are made by a cluster's workers.

    A future ends with ItemError ``crashed`` where the call ended one worker after another, ``timeout`` where
    it took longer than allowed (its worker is started anew), with MachineError where a worker has another
    version of this package or does not see the output.

    Args:
        client: a ``distributed.Client``, which stays the caller's.
        requirements: what a worker has to meet, for :func:`~recall_audio.batch.executors.dask_worker.check`.
        at_once: calls handed to the cluster at once.
        told: hears how far calls are, from a thread of the client's.
        timeout_s: longest time for one call, or None.
    """

    def __init__(
        self,
        client: Any,
        requirements: tuple[str, tuple[str, ...]],
        at_once: int,
        told: Told | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.at_once, self._client, self._timeout_s = at_once, client, timeout_s
        self._pool = client.get_executor(pure=False)
        self._requirements, self._told = requirements, told
        self._topic = f"recall-audio-{secrets.token_hex(6)}"
        self._waiting: deque[tuple[Future[Any], RemoteCall, int]] = deque()
        self._begun: dict[Future[Any], _Begun] = {}
        self._items: dict[int, Any] = {}
        self._numbers = itertools.count()
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._broken: MachineError | None = None
        if told is not None:
            client.subscribe_topic(self._topic, self._hear)
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Make a picklable call on a worker; keywords are not taken."""
        if kwargs:
            raise TypeError("no keywords are taken")
        future: Future[T] = Future()
        if self._broken is not None:
            future.set_exception(self._broken)
            return future
        at = next(self._numbers)
        call = RemoteCall(dask_worker.answer, self._requirements, self._topic, at, pickle.dumps((fn, args)))
        self._items[at] = args[0] if args else None
        self._waiting.append((future, call, at))
        self._hand_over()
        return future

    def cancel_all(self) -> None:
        """Give up all work; what workers are at they leave within seconds. Does not wait."""
        self._over.set()
        self._give_up(TransientError("Stopped before it was finished.", code="interrupted"))

    def _give_up(self, error: RecallAudioError) -> None:
        with self._lock:
            waiting, begun = list(self._waiting), dict(self._begun)
            self._waiting.clear()
            self._begun.clear()
        for ours, _, _ in waiting:
            ours.cancel()
        for theirs, one in begun.items():
            theirs.cancel()
            one.future.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Give up what is not done, or wait for it."""
        if cancel_futures:
            self.cancel_all()
        self._pool.shutdown(wait=wait)

    def _watch(self) -> None:
        """End what takes too long, and all where no worker has been for long; in a thread of its own."""
        alive_at = time.monotonic()
        while not self._over.wait(LOOK_EVERY_S):
            self._end_late()
            if not self._begun or _has_workers(self._client):
                alive_at = time.monotonic()
            elif time.monotonic() - alive_at > PATIENCE_S:
                self._broken = MachineError(
                    f"The cluster has had no worker for {PATIENCE_S:g} s; finished work is kept.",
                    "Start some: `dask worker ADDRESS`; then run the same command again.",
                    code="no_worker",
                )
                self._give_up(self._broken)
                return

    def _end_late(self) -> None:
        limit_s = self._timeout_s
        if limit_s is None:
            return
        for theirs, one in list(self._begun.items()):
            if time.monotonic() - one.since > limit_s and self._begun.pop(theirs, None) is not None:
                error = ItemError(f"It took longer than {limit_s:g} s and was ended.", code="timeout")
                one.future.set_exception(error)
                _end_on_cluster(self._client, one.key, theirs)
                self._hand_over()

    def _hand_over(self) -> None:
        handed: list[Future[Any]] = []
        with self._lock:
            while self._waiting and len(self._begun) < self.at_once:
                ours, call, at = self._waiting.popleft()
                if ours.set_running_or_notify_cancel():
                    key = f"process-{self._topic}-{at}"
                    theirs = self._pool.submit(pickle.loads, pickle.dumps(call), key=key)
                    self._begun[theirs] = _Begun(ours, key, at, time.monotonic())
                    handed.append(theirs)
        for theirs in handed:
            theirs.add_done_callback(self._ended)

    def _ended(self, theirs: "Future[Any]") -> None:
        with self._lock:
            one = self._begun.pop(theirs, None)
        if one is not None:
            ours = one.future
            self._items.pop(one.at, None)
            try:
                ours.set_result(theirs.result())
            except CancelledError:
                ours.set_exception(_lost_sight())
            except Exception as error:  # noqa: BLE001 - whatever the call or the cluster raised is handed on
                ours.set_exception(_as_ours(error))
        self._hand_over()

    def _hear(self, event: tuple[float, tuple[int, str, int, int]]) -> None:
        at, what, done, total = event[1]
        if self._told is not None and self._items.get(at) is not None:
            self._told(self._items[at], what, done, total)


def _end_on_cluster(client: Any, key: str, theirs: "Future[Any]") -> None:
    """Cancel a call, and start the worker anew that is at it: a thread cannot be ended otherwise."""
    with contextlib.suppress(Exception):  # a worker without a nanny cannot be started anew
        workers = [w for w, keys in client.processing().items() if key in keys]
        theirs.cancel()
        client.restart_workers(workers, timeout=_RESTART_S, raise_for_error=False)


def _has_workers(client: Any) -> bool:
    try:
        return bool(client.nthreads())
    except Exception:  # noqa: BLE001 - a scheduler that is gone is told of in many ways
        return False


def _lost_sight() -> TransientError:
    return TransientError("The cluster's scheduler went away.", "Run the same command again.", code="lost")


def _as_ours(error: Exception) -> Exception:
    """The package's own error for what a cluster says of a call."""
    if isinstance(error, RecallAudioError):
        return error
    if type(error).__name__ == "KilledWorker":
        # args: task, the last worker, the failures allowed. Only the first two differ from run to run.
        times = getattr(error, "allowed_failures", error.args[2] if len(error.args) > 2 else 0)
        times = times + 1 if isinstance(times, int) else 1
        return ItemError(
            f"It ended {times} of the cluster's workers, one after the other.", code="crashed", times=times
        )
    if isinstance(error, ImportError | AttributeError) and "recall_audio" in str(error):
        return unfit(error)
    return error


def unfit(error: BaseException) -> MachineError:
    """The error for a worker that cannot even take a call."""
    lacking = f" ({error})" if isinstance(error, ImportError) else ""
    return MachineError(
        f"A worker of the cluster cannot take this package's work: it lacks recall_audio "
        f"{dask_worker.build_id()}{lacking}.",
        "Install the same version on the cluster's workers and here.",
        code="other_version",
    )


_CONNECT_S, _FIRST_WORKER_S, _LEAVE_S = 10.0, 120.0, 5.0
_SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")
_LONGEST_GREETING = 1 << 16


@contextmanager
def connect(
    address: str,
    shared: Iterable[Path],
    at_least: int = 1,
    told: Told | None = None,
    timeout_s: float | None = None,
) -> Iterator[DaskExecutor]:
    """An executor over the cluster at `address`, its workers checked.

    Args:
        address: of the scheduler, ``tcp://HOST:8786``.
        shared: folders that workers have to see as this machine does.
        at_least: calls handed over at once, where the cluster has fewer threads (and may grow).
        told: hears how far calls are.
        timeout_s: longest time for one call, or None.

    Raises:
        UsageError: this is no address.
        MachineError: the extra is not installed, nobody answers, or a worker does not fit.
    """
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        client = stack.enter_context(_client(address))
        requirements = dask_worker.build_id(), tuple(stack.enter_context(_token(folder)) for folder in shared)
        _check(client, requirements)
        pool = DaskExecutor(
            client, requirements, max(at_least, sum(client.nthreads().values())), told, timeout_s
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
            "Is it running (`dask scheduler`), is the address right, does it speak TLS (tls://)?",
            code="no_cluster",
        )
    try:
        yield client
    finally:
        client.close(timeout=_LEAVE_S)


def _is_scheduler(address: str) -> bool:
    """Whether something at an address takes connections and, as far as can be seen, is a scheduler.

    Looked at first because ``Client`` waits for ever for a peer that takes a connection and says nothing
    (measured with distributed 2026.8), and leaves threads behind where nobody is. A scheduler speaks first:
    the number of frames and their lengths, 64 bits each.
    """
    host, port = _host_and_port(address)
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_S) as peer:
            if not address.startswith("tcp://"):
                return True  # TLS and websockets wait for us
            began = peer.recv(8, socket.MSG_WAITALL)
            return len(began) == 8 and int.from_bytes(began, "little") < _LONGEST_GREETING
    except OSError:
        return False


def _host_and_port(address: str) -> tuple[str, int]:
    with suppress(ValueError):
        parts = urlsplit(address)
        if parts.scheme in _SCHEMES and parts.hostname and parts.port:
            return parts.hostname, parts.port
    raise UsageError(f"{address[:80]!r} is no scheduler's address.", "Expected e.g. tcp://HOST:8786.")


def _check(client: Any, requirements: tuple[str, tuple[str, ...]]) -> None:
    """Let one worker, then each, say whether it fits; a cluster that grows on demand starts one for it."""
    call = pickle.dumps(RemoteCall(dask_worker.check, requirements))
    first = client.submit(pickle.loads, call, pure=False)
    try:
        first.result(timeout=_FIRST_WORKER_S)
        answers = list(client.run(pickle.loads, call, on_error="return").values())
    except Exception as error:  # noqa: BLE001 - what a worker raised: judged below
        answers = [error]
    problem = next((a for a in answers if isinstance(a, Exception)), None)
    if isinstance(problem, RecallAudioError):
        raise problem
    if isinstance(problem, TimeoutError):
        raise MachineError(
            f"The cluster has no worker: none took work within {_FIRST_WORKER_S:g} s.",
            "Start some: `dask worker ADDRESS --nthreads 1 --nworkers N`.",
            code="no_worker",
        )
    if problem is not None:
        raise unfit(problem)


@contextmanager
def _token(folder: Path) -> Iterator[str]:
    """A file in a folder that whoever shares it can see."""
    path = temporary_beside(folder.absolute() / "cluster")
    try:
        with atomic(path) as stream:
            stream.write(b"")
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Within the block Dask's own log lines do not go to stderr: what matters is said in our words."""
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
