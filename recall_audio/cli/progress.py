"""Run a batch: show its progress on stderr while it runs, and how it ended.

Progress is a live line on a terminal and plain lines otherwise.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from recall_audio.batch import OutcomeCallback
from recall_audio.cli import logs
from recall_audio.errors import RecallAudioError
from recall_audio.model.outcome import Outcome

_EVERY_S = 5.0
# How often a plain line tells of the same work, where stderr is a file or a pipe.
_FEW = 3
# Of so many items each stage is told; of more, each item once.


class Progress:
    """Tells what is being done, on which recording, and how far it is; may be called from any thread.

    ::

        with Progress(quiet=False, n_items=len(ids)) as progress:
            batch.run(ids, settings, request, progress, on_outcome=progress.ended)
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
        """Work on `item` has come to `done` of `total` units of `what`."""
        if self._quiet:
            return
        is_over = total is not None and done >= total
        with self._lock:
            if self._live is not None:
                self._draw((item, what), done, total, is_over)
            elif self._n_items <= _FEW:
                self._say((item, what), done, total, is_over)

    def ended(self, outcome: Outcome) -> None:
        """A recording, or a bot that came to none, has ended."""
        with self._lock:
            self._bots.add(outcome.bot_id)
            self._n_new += not outcome.reused
            self._n_failed += outcome.status == "failed"
            for key in [k for k in self._tasks if k[0] in (outcome.bot_id, outcome.recording_id)]:
                self._live.remove_task(self._tasks.pop(key))  # broken off: its line would stay for ever
            if self._quiet or self._n_items <= 1:
                return
            so_far = self._so_far()
            if self._live is not None:
                self._live.update(self._whole, completed=len(self._bots), description=so_far)
                return
        name = " ".join(n for n in (outcome.bot_id, outcome.recording_id) if n)
        self._print(f"{name}: {outcome.told}; {so_far}")

    def _so_far(self) -> str:
        said = speed(len(self._bots), self._n_items, self._n_new, time.monotonic() - self._began)
        return f"{said}, {self._n_failed} failed" if self._n_failed else said

    def _draw(self, key: tuple[str, str], done: int, total: int | None, is_over: bool) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._live.add_task(f"{key[0][:8]} {key[1]}"[:32], total=total)
        self._live.update(self._tasks[key], completed=done, total=total)
        if is_over:
            self._live.remove_task(self._tasks.pop(key))

    def _say(self, key: tuple[str, str], done: int, total: int | None, is_over: bool) -> None:
        now = time.monotonic()
        if not is_over and now - self._said.setdefault(key, now) < _EVERY_S:
            return
        self._said[key] = now
        share = f" {100 * done // total} %" if total else ""
        self._print(f"{key[0]}: {key[1]}{'' if is_over else share}")

    def _print(self, text: str) -> None:
        clean = "".join(c if c.isprintable() else "?" for c in text)
        print(clean, file=sys.stderr, flush=True)


def speed(n_ended: int, n_items: int, n_new: int, seconds: float) -> str:
    """How far a batch is, how fast it goes, and when it will be over if it goes on like this.

    What was done before costs no time: only the `n_new` others count for the rate.
    """
    said = f"{n_ended} of {n_items}"
    if n_new == 0 or seconds <= 0.0:
        return said
    left_s = round((n_items - n_ended) * seconds / n_new)
    rate = f"{60.0 * n_new / seconds:.3g} a minute"
    hours, minutes = divmod(left_s // 60, 60)
    left = f", about {hours}:{minutes:02}:{left_s % 60:02} left" if n_ended < n_items else ""
    return f"{said}, {rate}{left}"


Work = Callable[[Progress, OutcomeCallback], list[Outcome]]


def carried_out(n_items: int, work: Work, *, quiet: bool, as_json: bool) -> int:
    """Carry out a batch of so many bots or folders; show how it ended and give the exit code.

    Interrupted, or ended by an error that stands for all, it shows what had ended by then, and raises on.
    """
    from recall_audio.cli.printing import print_outcomes

    heard: list[Outcome] = []
    with Progress(quiet=quiet, n_items=n_items) as progress:

        def hear(outcome: Outcome) -> None:
            heard.append(outcome)
            progress.ended(outcome)

        try:
            outcomes = work(progress, hear)
        except (KeyboardInterrupt, RecallAudioError):
            progress.close()
            if heard:
                print_outcomes(heard, as_json=as_json)
                _say_counts(heard, n_items)
            raise
    code = print_outcomes(outcomes, as_json=as_json)
    if n_items > 1:
        _say_counts(outcomes, n_items)
    return code


def _say_counts(outcomes: Sequence[Outcome], n_items: int) -> None:
    facts: dict[str, int] = Counter(o.status for o in outcomes)
    logs.say(counted(outcomes, n_items), **facts)


def counted(outcomes: Sequence[Outcome], n_items: int) -> str:
    """A batch in one line: how many ended how, and how many were not begun."""
    how_many = Counter(o.told for o in outcomes)
    said = [f"{n} {status}" for status, n in how_many.most_common()]
    begun = len({o.bot_id if o.bot_id else o.folder for o in outcomes})
    left = max(n_items - begun, 0)
    return ", ".join([*said, *([f"{left} not begun"] if left else [])]) + "."
