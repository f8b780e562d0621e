"""Retry requests within limits of time and size, until they are cancelled.

tenacity is the engine. Every limit, clock and sleep stands in :class:`Policy`, so that tests can replace
them.
"""

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
    """When to retry, and when to give up.

    Attributes:
        budget_s: no new attempt begins later than this after the first one, seconds.
        wait_first_s: upper end of the first random wait, seconds; it doubles from attempt to attempt.
        wait_most_s: upper end of every random wait, seconds.
        longest_retry_after_s: a longer ``Retry-After`` is not waited for but reported, as ``retry_at``.
        bad_json_again: retries of an answer 200 that is not JSON.
        sleep: called with seconds; None waits on the event of the cancellation.
    """

    budget_s: float = 180.0
    wait_first_s: float = 0.5
    wait_most_s: float = 30.0
    longest_retry_after_s: float = 120.0
    bad_json_again: int = 2
    sleep: Callable[[float], None] | None = None


@dataclass(frozen=True, slots=True)
class TransferPolicy:
    """Limits of a download.

    Attributes:
        connect_s: longest wait for a connection, seconds.
        read_s: longest wait for the next byte, seconds.
        slow_window_s: a body must bring ``slow_bytes`` in every such window, seconds.
        slow_bytes: least bytes a window.
        answer_s: longest time for a JSON document or an error page, seconds.
        deadline_s: longest time for one file, even with progress, seconds.
        progress_bytes: new bytes that restart the retry budget.
        most_bytes: largest file accepted where its length in seconds is unknown.
        most_bytes_per_s: largest rate of audio expected (48 kHz, two channels, 16 bits: 192,000, rounded up).
        slack_bytes: added to what a declared duration allows.
        reserve_bytes: free space that a download leaves on the disk.
        document_bytes: largest JSON document, and largest error page read.
    """

    connect_s: float = 5.0
    read_s: float = 20.0
    slow_window_s: float = 30.0
    slow_bytes: int = 4096
    answer_s: float = 120.0
    deadline_s: float = 4 * 3600.0
    progress_bytes: int = MIB
    most_bytes: int = 8 << 30
    most_bytes_per_s: float = 200_000.0
    slack_bytes: int = 64 * MIB
    reserve_bytes: int = 128 * MIB
    document_bytes: int = 64 * MIB

    def cap_bytes(self, duration_s: float | None) -> int:
        """Return the bytes of the largest file accepted for audio of `duration_s`."""
        if duration_s is None:
            return self.most_bytes
        return min(self.most_bytes, int(self.slack_bytes + duration_s * self.most_bytes_per_s))


@dataclass(frozen=True, slots=True)
class Policy:
    """Every limit, clock and sleep of a fetch.

    Attributes:
        retry: for calls of the API, documents and each stretch of a download without progress.
        transfer: for downloads.
        poll_s: pause between two polls of an artifact that is being made, seconds.
        fresh_s: a signed URL that ends sooner than this is renewed, seconds.
        most_pages: largest number of pages of one list.
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


class Cancellation:
    """A flag that ends waits, downloads and retries, and the count of retries.

    Attributes:
        event: set once the fetch is to end.
        retries: attempts beyond each first one, of all calls together.
        late_after_s: the time allowed, once it has passed; None before.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.retries = 0
        self.late_after_s: float | None = None

    def sleep(self, wait_s: float, policy: RetryPolicy) -> None:
        """Wait `wait_s` seconds.

        Raise TransientError ``interrupted`` once the fetch is cancelled.
        """
        self.check()
        (policy.sleep or tenacity.sleep_using_event(self.event))(wait_s)
        self.check()

    def check(self) -> None:
        """Raise TransientError ``interrupted``, or ``deadline``, once the fetch is cancelled."""
        if self.event.is_set() and self.late_after_s is not None:
            raise TransientError(
                f"This bot was not fetched within {self.late_after_s:.0f} s, so that others are not held up.",
                "Run the same command again: what arrived is kept. `--set fetch.longest_s=` allows more.",
                code="deadline",
            )
        if self.event.is_set():
            raise TransientError(
                "Stopped before it was finished.", "Run the same command again.", code="interrupted"
            )


def attempt(
    call: Callable[[], T],
    policy: RetryPolicy,
    cancellation: Cancellation,
    is_repeatable: Callable[[RecallAudioError], bool] | None = None,
) -> T:
    """Return what `call` returns, after as many attempts as `policy` allows.

    Args:
        call: one attempt.
        policy: the budget and the waits.
        cancellation: ends waits at once.
        is_repeatable: a further condition on an error for a new attempt.

    Raises:
        RecallAudioError: the last attempt's; TransientError ``interrupted`` once `cancellation` is set.
    """
    bad_json = 0

    def is_retried(state: tenacity.RetryCallState) -> bool:
        nonlocal bad_json
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, RecallAudioError) or not (is_repeatable is None or is_repeatable(error)):
            return False
        if isinstance(error, ItemError) and error.code == "bad_json":
            bad_json += 1
            return bad_json <= policy.bad_json_again
        return isinstance(error, TransientError) and _retry_after_s(error) <= policy.longest_retry_after_s

    def count_retry(_: tenacity.RetryCallState) -> None:
        cancellation.retries += 1

    def call_unless_cancelled() -> T:
        cancellation.check()
        return call()

    engine = tenacity.Retrying(
        retry=is_retried,
        wait=_wait(policy),
        stop=tenacity.stop_any(
            tenacity.stop_before_delay(policy.budget_s), tenacity.stop_when_event_set(cancellation.event)
        ),
        sleep=policy.sleep or tenacity.sleep_using_event(cancellation.event),
        before_sleep=count_retry,
        reraise=True,
    )
    try:
        return engine(call_unless_cancelled)
    except RecallAudioError as error:
        failure = error
    cancellation.check()  # an error of a connection that the cancellation closed means nothing
    raise failure


def _wait(policy: RetryPolicy) -> Callable[[tenacity.RetryCallState], float]:
    """Return the wait before the next attempt, seconds.

    It is ``Retry-After`` and a jitter where the server named one, else random and doubling.
    """
    backoff = tenacity.wait_random_exponential(multiplier=policy.wait_first_s, max=policy.wait_most_s)
    jitter = tenacity.wait_random(0.0, policy.wait_first_s)

    def wait(state: tenacity.RetryCallState) -> float:
        error: Any = state.outcome.exception() if state.outcome else None
        after_s = _retry_after_s(error) if isinstance(error, RecallAudioError) else 0.0
        return after_s + jitter(state) if after_s > 0.0 else backoff(state)

    return wait


def _retry_after_s(error: RecallAudioError) -> float:
    return float(error.facts.get("retry_after_s", 0.0))
