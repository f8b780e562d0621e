"""The pieces of one recording: done here one after the other, or side by side in an executor's processes.

::

    decode   mix | part | part | part        each file
    align    part | part | part              each part
    speech   part | part | part ─► join      each part's evidence; joined here
    stems    stem | stem | stem | residual   each participant

A piece is a function of the recording's folder and a name, since samples stay in files; what it hands back
is small. A process costs half a second of imports, and what is joined in one place takes a tenth of all: two
processes nearly halve the time of a meeting of ten minutes and more; many never make it ten times shorter.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with units done and units in all."""


class Pieces:
    """Where a recording's pieces are done.

    Attributes:
        cpu_seconds: what they have cost in other processes so far.

    Args:
        executor: takes picklable calls; None: everything is done here.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        self.cpu_seconds = 0.0
        self._executor = executor

    @property
    def are_apart(self) -> bool:
        """Whether they are done in other processes."""
        return self._executor is not None

    def each(
        self, function: Callable[..., T], calls: Sequence[tuple[Any, ...]], progress: Progress
    ) -> list[T]:
        """What `function` gives for the arguments of each call, in order.

        Raises:
            Exception: what the first call to fail raised; those that have not begun are given up.
        """
        if self._executor is None or len(calls) < 2:
            return list(self._here(function, calls, progress))
        waiting = [self._executor.submit(_measured, function, call) for call in calls]
        results: list[T] = []
        try:
            for future in waiting:
                progress(len(results), len(calls))
                value, cpu_seconds = future.result()
                self.cpu_seconds += cpu_seconds
                results.append(value)
        finally:
            for future in waiting:
                future.cancel()
        progress(len(calls), len(calls))
        return results

    @staticmethod
    def _here(function: Callable[..., T], calls: Sequence[tuple[Any, ...]], progress: Progress) -> Any:
        for done, call in enumerate(calls):
            progress(done, len(calls))
            yield function(*call)
        progress(len(calls), len(calls))


def _measured(function: Callable[..., T], call: tuple[Any, ...]) -> tuple[T, float]:
    """What a call gives, and the CPU time it took."""
    before = time.process_time()
    value = function(*call)
    return value, time.process_time() - before
