"""Asking again: which errors are worth it, how long to wait, and when to stop. The engine is tenacity's."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import tenacity

from recall_audio.errors import ItemError, RecallAudioError, TransientError

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to ask again, and when to give up.

    Attributes:
        budget_s: no new attempt is begun later than this after the first one.
        wait_first_s: upper end of the first random wait; it doubles from attempt to attempt.
        wait_most_s: upper end of every random wait.
        longest_retry_after_s: a ``Retry-After`` beyond this is not slept but reported, as ``retry_at``.
        bad_json_again: how often an unreadable 200 is asked for again before it is final.
        sleep: takes seconds; None waits on the event that also ends the wait when the run is stopped.
    """

    budget_s: float = 180.0
    wait_first_s: float = 0.5
    wait_most_s: float = 30.0
    longest_retry_after_s: float = 120.0
    bad_json_again: int = 2
    sleep: Callable[[float], None] | None = None


@dataclass(frozen=True, slots=True)
class TransferPolicy:
    """What a download may cost.

    Attributes:
        connect_s: longest wait for a connection, seconds.
        read_s: longest wait for the next byte, seconds.
        slow_window_s: a body must bring ``slow_bytes`` in every such window, seconds.
        slow_bytes: least bytes a window.
        deadline_s: longest time for one file, whatever the progress, seconds.
        progress_bytes: so many new bytes start the retry budget anew.
        most_bytes: largest file taken where its length in seconds is not known.
        most_bytes_per_s: largest rate of audio expected (48 kHz, two channels, 16 bits, and a little).
        slack_bytes: added to what a declared duration allows.
        reserve_bytes: free space that a download leaves on the disk.
        document_bytes: largest JSON document, and largest error page read.
    """

    connect_s: float = 5.0
    read_s: float = 20.0
    slow_window_s: float = 30.0
    slow_bytes: int = 4096
    deadline_s: float = 4 * 3600.0
    progress_bytes: int = MIB
    most_bytes: int = 8 << 30
    most_bytes_per_s: float = 200_000.0
    slack_bytes: int = 64 * MIB
    reserve_bytes: int = 128 * MIB
    document_bytes: int = 64 * MIB

    def cap_bytes(self, duration_s: float | None) -> int:
        """Largest file taken for audio declared to be `duration_s` long."""
        if duration_s is None:
            return self.most_bytes
        return min(self.most_bytes, int(self.slack_bytes + duration_s * self.most_bytes_per_s))


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything about patience.

    Attributes:
        retry: for calls of the API, for documents and for each stretch of a download without progress.
        transfer: for downloads.
        poll_s: pause between two looks at an artifact that is being made, seconds.
        fresh_s: a signed URL that has less than this to live is asked for anew, seconds.
        most_pages: pages of one list.
        now: seconds since the epoch.
        monotonic: seconds on a clock that is never set.
    """

    retry: RetryPolicy = RetryPolicy()
    transfer: TransferPolicy = TransferPolicy()
    poll_s: float = 10.0
    fresh_s: float = 60.0
    most_pages: int = 1000
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


T = TypeVar("T")


class Halt:
    """The flag that ends waits, downloads and retries, and the count of what was repeated.

    Attributes:
        event: set once everything should end.
        retries: attempts beyond each first one.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.retries = 0

    def sleep(self, wait_s: float, policy: RetryPolicy) -> None:
        """Wait, unless the run is being stopped (TransientError ``interrupted``)."""
        self.check()
        (policy.sleep or tenacity.sleep_using_event(self.event))(wait_s)
        self.check()

    def check(self) -> None:
        """Raise TransientError ``interrupted`` once the run is being stopped."""
        if self.event.is_set():
            raise TransientError(
                "Stopped before it was finished.", "Run the same command again.", code="interrupted"
            )


def attempt(
    call: Callable[[], T],
    policy: RetryPolicy,
    halt: Halt,
    worth_it: Callable[[RecallAudioError], bool] | None = None,
) -> T:
    """What `call` returns, after as many attempts as `policy` allows.

    Args:
        call: one attempt.
        policy: the budget and the waits.
        halt: ends waiting at once.
        worth_it: a further condition on an error for a new attempt.

    Raises:
        RecallAudioError: the last attempt's; TransientError ``interrupted`` once `halt` is set.
    """
    bad_json = 0

    def again(state: tenacity.RetryCallState) -> bool:
        nonlocal bad_json
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, RecallAudioError) or not (worth_it is None or worth_it(error)):
            return False
        if isinstance(error, ItemError) and error.code == "bad_json":
            bad_json += 1
            return bad_json <= policy.bad_json_again
        return isinstance(error, TransientError) and _asked_wait_s(error) <= policy.longest_retry_after_s

    def count(_: tenacity.RetryCallState) -> None:
        halt.retries += 1

    def once() -> T:
        halt.check()
        return call()

    engine = tenacity.Retrying(
        retry=again,
        wait=_wait(policy),
        stop=tenacity.stop_any(
            tenacity.stop_before_delay(policy.budget_s), tenacity.stop_when_event_set(halt.event)
        ),
        sleep=policy.sleep or tenacity.sleep_using_event(halt.event),
        before_sleep=count,
        reraise=True,
    )
    try:
        return engine(once)
    except RecallAudioError as error:
        failure = error
    halt.check()  # what a connection gave that was torn down on purpose is no verdict
    raise failure


def _wait(policy: RetryPolicy) -> Callable[[tenacity.RetryCallState], float]:
    """``Retry-After`` where the server gave one, a little later than asked; else random and doubling."""
    backoff = tenacity.wait_random_exponential(multiplier=policy.wait_first_s, max=policy.wait_most_s)
    jitter = tenacity.wait_random(0.0, policy.wait_first_s)

    def wait(state: tenacity.RetryCallState) -> float:
        error: Any = state.outcome.exception() if state.outcome else None
        asked_s = _asked_wait_s(error) if isinstance(error, RecallAudioError) else 0.0
        return asked_s + jitter(state) if asked_s > 0.0 else backoff(state)

    return wait


def _asked_wait_s(error: RecallAudioError) -> float:
    return float(error.facts.get("retry_after_s", 0.0))
