"""Run the pieces of one recording one after the other, or in an executor's processes.

::

    decode   mix | part | part | part        each file
    align    part | part | part              each part
    speech   part | part | part ─► join      each part's evidence; joined here
    stems    stem | stem | stem | residual   each participant

A piece is a function of the recording's folder and a name, since samples stay in files, and its result is
small. A process costs half a second of imports, and the joins, which run in one place, take a tenth of the
time: two processes nearly halve the time of a meeting of ten minutes and more, and many never make it ten
times shorter. Pieces of a later stage can be submitted early, so that no process waits for the last file to
be decoded, or during a join.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from recall_audio.model.outcome import CountCallback

T = TypeVar("T")
Call = tuple[Callable[..., Any], tuple[Any, ...]]


class Pieces:
    """Runs a recording's pieces.

    Attributes:
        cpu_seconds: CPU time that the pieces have taken in other processes so far.

    Args:
        executor: takes picklable calls; None runs every piece in this process.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        self.cpu_seconds = 0.0
        self._executor = executor
        self._prefetched: dict[Call, Future[tuple[Any, float]]] = {}

    @property
    def in_processes(self) -> bool:
        """Return whether pieces run in other processes."""
        return self._executor is not None

    def prefetch(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Submit a hashable call early that a later :meth:`map` will ask for.

        Does nothing where pieces run in this process.
        """
        if self._executor is not None:
            self._prefetched[function, arguments] = self._executor.submit(_measured, function, arguments)

    def map(
        self, function: Callable[..., T], calls: Sequence[tuple[Any, ...]], progress: CountCallback
    ) -> Iterator[T]:
        """Yield what `function` returns for the arguments of each call, in order.

        Raises:
            Exception: what the first failing call raised; calls that have not begun are cancelled.
        """
        if self._executor is None or (len(calls) < 2 and not self._prefetched):
            answers: Iterator[tuple[T, float]] = ((function(*call), 0.0) for call in calls)
        else:
            answers = self._in_processes(function, calls)
        progress(0, len(calls))
        for done, (value, cpu_seconds) in enumerate(answers, 1):
            self.cpu_seconds += cpu_seconds
            progress(done, len(calls))
            yield value

    def _in_processes(
        self, function: Callable[..., T], calls: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[T, float]]:
        for call in calls:
            if (function, call) not in self._prefetched:
                self.prefetch(function, *call)
        waiting = [self._prefetched.pop((function, call)) for call in calls]
        try:
            for future in waiting:
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()

    def cancel(self) -> None:
        """Cancel the calls that were submitted early and not asked for."""
        while self._prefetched:
            self._prefetched.popitem()[1].cancel()


def _measured(function: Callable[..., T], call: tuple[Any, ...]) -> tuple[T, float]:
    """Return what a call returns, and the CPU time it took."""
    before = time.process_time()
    value = function(*call)
    return value, time.process_time() - before
