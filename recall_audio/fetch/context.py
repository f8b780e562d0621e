"""Open what a fetch works with: the API, the media host, and a way to cancel both."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from recall_audio.fetch.api.client import Api
from recall_audio.fetch.api.rate_limit import RateLimit, shared_rate_limit
from recall_audio.fetch.api.settings import Settings
from recall_audio.fetch.download.media_host import MediaHost
from recall_audio.fetch.http.retry import Cancellation, Policy
from recall_audio.fetch.http.sessions import BoundToken, Sockets, Unsigned, session
from recall_audio.model.options import FetchOptions

_STOP_POLL_S = 0.1
"""Seconds between two looks at the caller's stop event."""

_DEFAULT_POLICY = Policy()


@dataclass(frozen=True, slots=True)
class FetchContext:
    """What the steps of a fetch share.

    Attributes:
        api: calls of the API.
        media_host: reads of signed URLs.
        options: the user's choices.
        policy: limits, clocks and sleeps.
        cancellation: ends waits and retries.
        sockets: every connection that is open.
    """

    api: Api
    media_host: MediaHost
    options: FetchOptions
    policy: Policy
    cancellation: Cancellation
    sockets: Sockets

    def cancel(self) -> None:
        """End every wait, retry and transfer now."""
        self.cancellation.event.set()
        self.sockets.shut()


@contextlib.contextmanager
def open_context(
    settings: Settings,
    options: FetchOptions | None = None,
    policy: Policy = _DEFAULT_POLICY,
    rate_limit: RateLimit | None = None,
    stop: threading.Event | None = None,
) -> Iterator[FetchContext]:
    """Open a context.

    Its sessions are closed with the block.

    Args:
        settings: where the API is, and the key.
        options: the user's choices; the defaults if None.
        policy: limits, clocks and sleeps.
        rate_limit: limits of the API; those shared on this machine by all users of the key if None.
        stop: cancels the context once it is set.
    """
    options = options or FetchOptions()
    cancellation, sockets = Cancellation(), Sockets()
    signed = session(sockets, BoundToken(settings.key, settings.origin), 1)
    unsigned = session(sockets, Unsigned(), options.at_once)
    with signed, unsigned:
        api = Api(settings, signed, policy, rate_limit or shared_rate_limit(settings.key), cancellation)
        hosts = (settings.origin, options.allow_hosts)
        media_host = MediaHost(unsigned, policy, *hosts, cancellation, lambda: api.wait_for_call("retrieve"))
        context = FetchContext(api, media_host, options, policy, cancellation, sockets)
        over, stop = threading.Event(), stop or threading.Event()
        threading.Thread(target=_cancel_on, args=(stop, over, context), daemon=True).start()
        try:
            yield context
        finally:
            over.set()


def _cancel_on(stop: threading.Event, over: threading.Event, context: FetchContext) -> None:
    """Cancel the context when `stop` is set or its time is up, unless it is over before."""
    longest_s = context.options.longest_s + context.options.wait_s
    ends_at = time.monotonic() + longest_s
    while not over.wait(_STOP_POLL_S):
        if time.monotonic() >= ends_at:
            context.cancellation.late_after_s = longest_s
        if stop.is_set() or context.cancellation.late_after_s is not None:
            context.cancel()
            return
