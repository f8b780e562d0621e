"""Run a batch: show its progress on stderr while it runs, and how it ended.

Progress is a live line on a terminal and a plain line a stage otherwise.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from recall_audio.cli import logs
from recall_audio.errors import RecallAudioError
from recall_audio.model.outcome import Outcome

if TYPE_CHECKING:
    from recall_audio.batch import OutcomeCallback

_EVERY_S = 60.0
"""Shortest time between two plain lines about the same stage, seconds."""

_FEW = 3
"""Most items for which every stage is shown; of more, each item is shown once."""


class Progress:
    """Progress of a batch: what is being done, on which recording, and how far it is.

    Every thread may call it.

    ::

        with Progress(quiet=False, n_items=len(ids)) as progress:
            batch.run(ids, settings, request, progress, on_outcome=progress.on_outcome)
    """

    def __init__(self, *, quiet: bool = False, n_items: int = 1) -> None:
        self._quiet, self._n_items = quiet, n_items
        self._live: Any = None
        self._whole: Any = None
        self._tasks: dict[tuple[str, str], Any] = {}
        self._said: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._bots: set[str] = set()
        self._n_new = self._n_failed = 0

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
            if self._n_items > 1:
                self._whole = self._live.add_task("all", total=self._n_items)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the live lines off the terminal."""
        if self._live is not None:
            self._live.stop()

    def __call__(self, item: str, what: str, done: int, total: int | None) -> None:
        """Show that `done` of `total` units of the work `what` on `item` are finished."""
        if self._quiet:
            return
        is_over = total is not None and done >= total
        with self._lock:
            if self._live is not None:
                self._draw((item, what), done, total, is_over)
            elif self._n_items <= _FEW:
                self._say((item, what.split(" ", maxsplit=1)[0]), done, total)

    def on_outcome(self, outcome: Outcome) -> None:
        """Count a recording that has ended, or a bot without one."""
        with self._lock:
            self._bots.add(outcome.bot_id)
            self._n_new += not outcome.reused
            self._n_failed += outcome.status == "failed"
            for key in [k for k in self._tasks if k[0] in (outcome.bot_id, outcome.recording_id)]:
                self._live.remove_task(self._tasks.pop(key))  # interrupted: its line would never be removed
            if self._quiet or self._n_items <= 1:
                return
            so_far = self._so_far()
            if self._live is not None:
                self._live.update(self._whole, completed=len(self._bots), description=so_far)
                return
        name = " ".join(n for n in (outcome.bot_id, outcome.recording_id) if n)
        self._print(f"{name}: {outcome.status_text}; {so_far}")

    def _so_far(self) -> str:
        said = speed(len(self._bots), self._n_items, self._n_new, time.monotonic() - self._began)
        return f"{said}, {self._n_failed} failed" if self._n_failed else said

    def _draw(self, key: tuple[str, str], done: int, total: int | None, is_over: bool) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._live.add_task(f"{key[0][:8]} {key[1]}"[:32], total=total)
        self._live.update(self._tasks[key], completed=done, total=total)
        if is_over:
            self._live.remove_task(self._tasks.pop(key))

    def _say(self, key: tuple[str, str], done: int, total: int | None) -> None:
        """Print one line when a stage begins, and one a minute while a long one lasts."""
        now, last = time.monotonic(), self._said.get(key)
        if last is not None and now - last < _EVERY_S:
            return
        self._said[key] = now
        share = f" {100 * done // total} %" if total and last is not None else ""
        self._print(f"{key[0]}: {key[1]}{share}")

    def _print(self, text: str) -> None:
        clean = "".join(c if c.isprintable() else "?" for c in text)
        print(clean, file=sys.stderr, flush=True)


def speed(n_ended: int, n_items: int, n_new: int, seconds: float) -> str:
    """Describe how far a batch is, its rate, and the time it still needs at this rate.

    Items that an earlier run finished take no time: only the `n_new` others count for the rate.
    """
    said = f"{n_ended} of {n_items}"
    if n_new == 0 or seconds <= 0.0:
        return said
    left_s = round((n_items - n_ended) * seconds / n_new)
    rate = f"{60.0 * n_new / seconds:.3g} a minute"
    hours, minutes = divmod(left_s // 60, 60)
    left = f", about {hours}:{minutes:02}:{left_s % 60:02} left" if n_ended < n_items else ""
    return f"{said}, {rate}{left}"


Work = Callable[[Progress, "OutcomeCallback"], list[Outcome]]


def run_batch(n_items: int, work: Work, *, quiet: bool, as_json: bool) -> int:
    """Run a batch of `n_items` bots or folders, print how it ended, and return the exit code.

    After an interruption, or an error that ends the whole batch, print the outcomes so far and raise again.
    """
    from recall_audio.cli.printing import print_outcomes

    so_far: list[Outcome] = []
    with Progress(quiet=quiet, n_items=n_items) as progress:

        def on_outcome(outcome: Outcome) -> None:
            so_far.append(outcome)
            progress.on_outcome(outcome)

        try:
            outcomes = work(progress, on_outcome)
        except (KeyboardInterrupt, RecallAudioError):
            progress.close()
            if so_far:
                print_outcomes(so_far, as_json=as_json)
                _say_counts(so_far, n_items)
            raise
    code = print_outcomes(outcomes, as_json=as_json)
    if n_items > 1:
        _say_counts(outcomes, n_items)
    return code


def _say_counts(outcomes: Sequence[Outcome], n_items: int) -> None:
    facts: dict[str, int] = Counter(o.status for o in outcomes)
    logs.say(count_outcomes(outcomes, n_items), **facts)


def count_outcomes(outcomes: Sequence[Outcome], n_items: int) -> str:
    """Describe a batch in one line: how many ended in each way, and how many were not started."""
    how_many = Counter(o.status_text for o in outcomes)
    said = [f"{n} {status}" for status, n in how_many.most_common()]
    n_started = len({o.bot_id if o.bot_id else o.folder for o in outcomes})
    n_left = max(n_items - n_started, 0)
    return ", ".join([*said, *([f"{n_left} not begun"] if n_left else [])]) + "."
