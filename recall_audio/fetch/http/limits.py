"""How patient the fetcher is: every limit, clock and sleep in one place, so tests can bring their own."""

import time
from collections.abc import Callable
from dataclasses import dataclass

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
