"""Ctrl-C and SIGTERM as a flag, so that they never strike between two steps that belong together."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

_CAUGHT = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))


class Deferred:
    """Within the block a signal sets `stop`; what it used to do is done when the block ends.

    A second one changes nothing: the end is bounded as it is. Outside the main thread, where Python takes no
    handlers, this does nothing.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._before: dict[int, Any] = {}
        self._caught: int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _CAUGHT:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = before
                    signal.signal(number, self._note)
        return self

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._caught = self._caught or number
        self._stop.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        if self._caught is not None:
            handler: Callable[[int, FrameType | None], Any] | Any = self._before[self._caught]
            if callable(handler):
                handler(self._caught, None)  # raises KeyboardInterrupt, or whatever the caller arranged
            else:
                signal.raise_signal(self._caught)
