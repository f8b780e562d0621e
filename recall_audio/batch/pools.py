"""Where a batch's recordings are processed, and how it is interrupted there."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Event

from recall_audio.batch.here import Here
from recall_audio.batch.request import Progress, Request
from recall_audio.batch.signals import Deferred
from recall_audio.batch.workers import Workers


def _is_here(request: Request, given: Executor | None) -> bool:
    """Whether recordings are processed in the calling thread itself."""
    return given is None and request.options is not None and not request.isolate and request.jobs == 1


def catching(request: Request, given: Executor | None, stop: Event) -> AbstractContextManager[object]:
    """What Ctrl-C does while a batch runs: ends it in good order."""
    # What computes in this very thread has to be interruptible where it is.
    return nullcontext() if _is_here(request, given) else Deferred(stop)


@contextmanager
def pool_for(request: Request, report: Progress, given: Executor | None) -> Iterator[Executor]:
    """Where recordings are processed."""
    if given is not None:
        yield given
    elif _is_here(request, given):
        yield Here(report)
    else:
        workers = Workers(
            request.jobs,
            request.item_timeout_s,
            lambda task, what, done, total: report(task.folder.name, what, done, total),
        )
        try:
            yield workers
        finally:
            workers.shutdown(wait=True, cancel_futures=True)


def silent(*_: object) -> None:
    """Tell nobody."""
