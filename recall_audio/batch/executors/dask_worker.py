"""Run inside a Dask worker: check that it fits the client, then run the call that was sent.

A call comes as bytes inside a call of this module, so that a worker that lacks the package, or has another
version of it, can report that: what cannot be unpickled on arrival would end the worker's connection instead.
"""

import os
import pickle
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from recall_audio import __version__
from recall_audio.batch.executors import worker_process
from recall_audio.environment import SECRET_VARIABLES
from recall_audio.errors import MachineError, TransientError
from recall_audio.model.options import Options
from recall_audio.pipeline.plan import STAGES, key_of
from recall_audio.pipeline.process import parameters_of

_REPORT_EVERY_S = 1.0
"""Shortest time between two reports of progress, seconds."""


class RemoteCall:
    """A call of this module's, pickled as a function's name and plain arguments."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._parts = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._parts


@cache
def build_id() -> str:
    """Return the package's version with a digest of stages and options.

    It covers the stages' revisions and the default of every option.
    """
    revisions = {name: stage.revision for name, stage in STAGES.items()}
    return f"{__version__} ({key_of(revisions, parameters_of(Options()))[:8]})"


def run_call(requirements: tuple[str, tuple[str, ...]], topic: str, number: int, call: bytes) -> Any:
    """Run a pickled call ``(function, arguments)`` and report its progress on a topic.

    Raises:
        MachineError: this worker is unfit; see :func:`check`.
    """
    check(requirements)
    function, arguments = pickle.loads(call)  # noqa: S301 - from the client, which the cluster trusts anyway
    with worker_process.progress_to(_TopicProgress(topic, number)):
        return function(*arguments)


def check(requirements: tuple[str, tuple[str, ...]]) -> str:
    """Check that this worker can run the client's calls and return its host.

    Args:
        requirements: the client's :func:`build_id`, and files that it has put into the shared folders.

    Raises:
        MachineError: ``other_version``; ``not_shared``: it does not see what the client has written.
    """
    for name in SECRET_VARIABLES:  # the worker's environment may have held them when it started
        os.environ.pop(name, None)
    expected, tokens = requirements
    if expected != build_id():
        raise MachineError(
            f"A worker on {socket.gethostname()} has recall_audio {build_id()}, expected {expected} as here.",
            "Install the same version on the cluster's workers and here.",
            code="other_version",
        )
    for token in tokens:
        _check_shared(Path(token))
    return socket.gethostname()


def unfit_error(error: BaseException) -> MachineError:
    """Return the error for a worker that cannot even unpickle a call."""
    detail = f" ({error})" if isinstance(error, ImportError) else ""
    return MachineError(
        f"A worker of the cluster cannot run this package's calls: it lacks recall_audio "
        f"{build_id()}{detail}.",
        "Install the same version on the cluster's workers and here.",
        code="other_version",
    )


@cache
def _check_shared(token: Path) -> None:
    """Check that a shared folder can be read and written, once a process."""
    beside = token.with_name(f"{token.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        token.read_bytes()
        beside.write_bytes(b"")
        beside.unlink()
    except OSError:
        pass
    else:
        return
    raise MachineError(
        f"A worker on {socket.gethostname()} cannot read and write this machine's folder {token.parent}.",
        "With --cluster the output has to be a folder that all workers see under the same path, or a store: "
        "--out s3://BUCKET/PREFIX.",
        code="not_shared",
    )


class _TopicProgress:
    """Sends progress to the client, and ends a call that it has cancelled."""

    def __init__(self, topic: str, number: int) -> None:
        self._topic, self._number, self._sent_at = topic, number, 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - self._sent_at < _REPORT_EVERY_S:
            return
        from distributed import get_worker

        self._sent_at = now
        try:
            worker = get_worker()
        except ValueError:
            return  # not on a worker
        worker.log_event(self._topic, (self._number, stage, done, total))
        if _is_cancelled(worker):
            raise TransientError("Stopped before it was finished.", code="interrupted")


def _is_cancelled(worker: Any) -> bool:
    with suppress(AttributeError, KeyError):  # the worker's own bookkeeping, which may change
        return str(worker.state.tasks[worker.get_current_task()].state) == "cancelled"
    return False
