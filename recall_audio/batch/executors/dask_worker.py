"""What a worker of a cluster does: see that it fits the client, then make the call it was sent.

A call comes as bytes inside a call of this module, so that a worker that lacks the package, or has another
version of it, can say so: what cannot be unpickled on arrival would end the worker's connection instead.
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

_TELL_EVERY_S = 1.0


class RemoteCall:
    """A call of a function of this module; pickled, it is only the function's name and plain arguments."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._parts = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._parts


@cache
def build_id() -> str:
    """This version of the package, and a digest of its steps' revisions and of all its options."""
    revisions = {name: stage.revision for name, stage in STAGES.items()}
    return f"{__version__} ({key_of(revisions, parameters_of(Options()))[:8]})"


def answer(requirements: tuple[str, tuple[str, ...]], topic: str, at: int, call: bytes) -> Any:
    """Make a pickled call ``(function, arguments)``, telling on a topic how far it is.

    Raises:
        MachineError: this worker cannot do it; see :func:`check`.
    """
    check(requirements)
    function, arguments = pickle.loads(call)  # noqa: S301 - from the client that the cluster trusts anyhow
    with worker_process.progress_to(_Teller(topic, at)):
        return function(*arguments)


def check(requirements: tuple[str, tuple[str, ...]]) -> str:
    """Whether this worker can work for the client; gives its host's name.

    Args:
        requirements: the client's :func:`build_id`, and files that it has put into the shared folders.

    Raises:
        MachineError: ``other_version``; ``not_shared``: it does not see what the client has written.
    """
    for name in SECRET_VARIABLES:  # whoever started the worker may have had them
        os.environ.pop(name, None)
    theirs, tokens = requirements
    if theirs != build_id():
        raise MachineError(
            f"A worker on {socket.gethostname()} has recall_audio {build_id()}; expected {theirs}, as here.",
            "Install the same version on the cluster's workers and here.",
            code="other_version",
        )
    for token in tokens:
        _see(Path(token))
    return socket.gethostname()


@cache
def _see(token: Path) -> None:
    """Once in each worker process."""
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


class _Teller:
    """Sends progress to the client now and then, and ends work that the client has given up."""

    def __init__(self, topic: str, at: int) -> None:
        self._topic, self._item, self._at = topic, at, 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - self._at < _TELL_EVERY_S:
            return
        from distributed import get_worker

        self._at = now
        try:
            worker = get_worker()
        except ValueError:
            return  # not on a worker
        worker.log_event(self._topic, (self._item, what, done, total))
        if _is_given_up(worker):
            raise TransientError("Stopped before it was finished.", code="interrupted")


def _is_given_up(worker: Any) -> bool:
    with suppress(AttributeError, KeyError):  # the worker's own bookkeeping, which may change
        return str(worker.state.tasks[worker.get_current_task()].state) == "cancelled"
    return False
