"""Asking again: which errors are worth it, how long to wait, and when to stop. The engine is tenacity's."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import tenacity

from recall_audio.errors import ItemError, RecallAudioError, TransientError
from recall_audio.fetch.http.limits import RetryPolicy

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
