"""Where a batch's recordings are processed, and how it is interrupted there."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Event

from recall_audio.batch.executors.inline import Here
from recall_audio.batch.executors.processes import Workers
from recall_audio.batch.request import Progress, Request
from recall_audio.batch.signals import Deferred
from recall_audio.batch.tasks import Task


def _is_here(request: Request, given: Executor | None) -> bool:
    """Whether recordings are processed in the calling thread itself."""
    if given is not None or request.cluster:
        return False
    return request.options is not None and not request.isolate and request.jobs == 1


def catching(request: Request, given: Executor | None, stop: Event) -> AbstractContextManager[object]:
    """What Ctrl-C does while a batch runs: ends it in good order."""
    # What computes in this very thread has to be interruptible where it is.
    return nullcontext() if _is_here(request, given) else Deferred(stop)


@contextmanager
def pool_for(
    request: Request, report: Progress, given: Executor | None, folders: Iterable[Path] = ()
) -> Iterator[Executor]:
    """Where recordings are processed: those of `folders`, or what comes below the output folder."""

    def told(task: Task, what: str, done: int, total: int) -> None:
        report(task.folder.name, what, done, total)

    if given is not None:
        yield given
    elif _is_here(request, given):
        yield Here(report)
    elif request.cluster:
        from recall_audio.batch.executors.dask import connected

        shared = {folder.parent.parent for folder in folders} or {request.out}
        shared = set() if request.store is not None else shared
        with connected(request.cluster, shared, request.jobs, told, request.item_timeout_s) as pool:
            yield pool
    else:
        workers = Workers(request.jobs, request.item_timeout_s, told)
        try:
            yield workers
        finally:
            workers.shutdown(wait=True, cancel_futures=True)


def silent(*_: object) -> None:
    """Tell nobody."""
