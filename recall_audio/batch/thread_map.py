"""Several at once, by threads that draw from one iterator; results as they come."""

import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_LOOK_S = 0.25


def several(n: int, items: Iterator[T], one: Callable[[T], R]) -> Iterator[R]:
    """``one(item)`` of each item, up to `n` at once, as they come to an end.

    The first goes alone: what would fail for all of them, fails once. Each thread is at most one result ahead
    of who draws.

    Args:
        n: calls at once; 1 makes each in the drawing thread.
        items: drawn from by one thread at a time; may wait.
        one: called from several threads.

    Raises:
        Exception: what `items` or `one` raised first; nothing more is begun then.
    """
    for item in items:
        yield one(item)
        if n > 1:
            yield from _Crew(items, one).results(n)


class _Ended:
    """What a thread says last: nothing, or the error that ended it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Crew(Generic[T, R]):
    """Threads at work."""

    def __init__(self, items: Iterator[T], one: Callable[[T], R]) -> None:
        self._items, self._one = items, one
        self._made: queue.Queue[R | _Ended] = queue.Queue(1)
        self._drawing, self._is_over = threading.Lock(), threading.Event()

    def results(self, n: int) -> Iterator[R]:
        """What `n` threads make."""
        for _ in range(n):
            threading.Thread(target=self._work, name="fetching", daemon=True).start()
        try:
            while n:
                made = self._made.get()
                if not isinstance(made, _Ended):
                    yield made
                elif made.error is not None:
                    raise made.error
                else:
                    n -= 1
        finally:
            self._is_over.set()

    def _work(self) -> None:
        try:
            while item := self._drawn():
                self._hand_over(self._one(item[0]))
        except BaseException as error:  # noqa: BLE001 - whatever it is, who draws has to hear of it
            self._hand_over(_Ended(error))
        else:
            self._hand_over(_Ended())

    def _drawn(self) -> list[T]:
        """The next item, or nothing."""
        with self._drawing:
            return [] if self._is_over.is_set() else list(itertools.islice(self._items, 1))

    def _hand_over(self, made: R | _Ended) -> None:
        while not self._is_over.is_set():
            try:
                self._made.put(made, timeout=_LOOK_S)
            except queue.Full:
                continue
            return
