"""How work says how far it is, wherever it runs: here, or in a process whose parent listens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Told = Callable[[str, int, int], None]
"""Called with what is being done, units done and units in all."""

_listener: ContextVar[Told | None] = ContextVar("listener", default=None)


@contextmanager
def listening(told: Told) -> Iterator[None]:
    """Whatever :func:`tell` is told within the block goes to `told`."""
    token = _listener.set(told)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(what: str, done: int, total: int) -> None:
    """Say how far the work is, if anybody listens."""
    told = _listener.get()
    if told is not None:
        told(what, done, total)
