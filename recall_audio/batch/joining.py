"""The way to a Dask cluster: reach its scheduler, and see that its workers can do this package's work."""

import logging
import pickle
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from recall_audio.batch import elsewhere
from recall_audio.batch.cluster import Cluster, Told, unfit
from recall_audio.batch.elsewhere import Sent
from recall_audio.errors import MachineError, RecallAudioError, UsageError
from recall_audio.files import atomic, temporary_beside

_CONNECT_S, _FIRST_WORKER_S, _LEAVE_S = 10.0, 120.0, 5.0
_SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")
_LONGEST_GREETING = 1 << 16


@contextmanager
def connected(
    address: str,
    shared: Iterable[Path],
    at_least: int = 1,
    told: Told | None = None,
    timeout_s: float | None = None,
) -> Iterator[Cluster]:
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
        terms = elsewhere.made_by(), tuple(stack.enter_context(_token(folder)) for folder in shared)
        _check(client, terms)
        pool = Cluster(client, terms, max(at_least, sum(client.nthreads().values())), told, timeout_s)
        try:
            yield pool
        finally:
            pool.break_off()


@contextmanager
def _client(address: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError:
        raise MachineError(
            "--cluster needs Dask distributed, which is not installed.",
            "pip install 'recall-audio[cluster]'",
            code="missing_extra",
        ) from None
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


def _check(client: Any, terms: tuple[str, tuple[str, ...]]) -> None:
    """Let one worker, then each, say whether it fits; a cluster that grows on demand starts one for it."""
    call = pickle.dumps(Sent(elsewhere.check, terms))
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
