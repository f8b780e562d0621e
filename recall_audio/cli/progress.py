"""Progress on stderr: a live line on a terminal, plain lines otherwise."""

import sys
import time
from types import TracebackType
from typing import Any, Self

_EVERY_S = 5.0
# How often a plain line tells of the same work, where stderr is a file or a pipe.


class Progress:
    """Tells what is being done, on which recording, and how far it is.

    ::

        with Progress(quiet=False) as progress:
            batch.run(ids, settings, request, progress=progress)
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live: Any = None
        self._tasks: dict[tuple[str, str], Any] = {}
        self._said: dict[tuple[str, str], float] = {}

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._live = progress.Progress(
                progress.TextColumn("{task.description:<32}", markup=False),
                progress.BarColumn(24),
                progress.TaskProgressColumn(),
                progress.TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, item: str, what: str, done: int, total: int | None) -> None:
        """Work on `item` has come to `done` of `total` units of `what`."""
        if self._quiet:
            return
        finished = total is not None and done >= total
        if self._live is not None:
            self._draw((item, what), done, total, finished)
        else:
            self._say((item, what), done, total, finished)

    def _draw(self, key: tuple[str, str], done: int, total: int | None, finished: bool) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._live.add_task(f"{key[0][:8]} {key[1]}"[:32], total=total)
        self._live.update(self._tasks[key], completed=done, total=total)
        if finished:
            self._live.remove_task(self._tasks.pop(key))

    def _say(self, key: tuple[str, str], done: int, total: int | None, finished: bool) -> None:
        now = time.monotonic()
        if not finished and now - self._said.setdefault(key, now) < _EVERY_S:
            return
        self._said[key] = now
        share = f" {100 * done // total} %" if total else ""
        print(f"{key[0]}: {key[1]}{'' if finished else share}", file=sys.stderr, flush=True)
