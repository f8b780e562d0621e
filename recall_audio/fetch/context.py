"""Everything a fetch works with: the API, the store, the options, and one switch that ends it all."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from recall_audio.fetch.api.client import Api
from recall_audio.fetch.api.rate_limit import Pace
from recall_audio.fetch.api.settings import Settings
from recall_audio.fetch.download.media_host import Store
from recall_audio.fetch.http.retry import Halt, Policy
from recall_audio.fetch.http.sessions import BoundToken, Sockets, Unsigned, session
from recall_audio.model.options import FetchOptions

_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class World:
    """What the steps of a fetch share.

    Attributes:
        api: calls of the API.
        store: reads of the store.
        options: the user's choices.
        policy: limits, clocks and sleeps.
        halt: ends waits and retries.
        sockets: every connection that is open.
    """

    api: Api
    store: Store
    options: FetchOptions
    policy: Policy
    halt: Halt
    sockets: Sockets

    def stop(self) -> None:
        """End every wait, retry and transfer now."""
        self.halt.event.set()
        self.sockets.shut()


@dataclass(frozen=True, slots=True)
class Patience:
    """What tests and shared machines bring along.

    Attributes:
        policy: limits, clocks and sleeps.
        pace: the workspace's limits, shared with others.
    """

    policy: Policy
    pace: Pace


@contextlib.contextmanager
def opened(
    settings: Settings, options: FetchOptions, patience: Patience, stop: threading.Event | None
) -> Iterator[World]:
    """A world that ends when `stop` is set; its sessions are closed with the block."""
    halt, sockets, policy = Halt(), Sockets(), patience.policy
    signed = session(sockets, BoundToken(settings.key, settings.origin), 1)
    unsigned = session(sockets, Unsigned(), options.at_once)
    with signed, unsigned:
        api = Api(settings, signed, policy, patience.pace, halt)
        store = Store(unsigned, policy, settings.origin, options.allow_hosts, halt)
        world = World(api, store, options, policy, halt, sockets)
        over = threading.Event()
        if stop is not None:
            threading.Thread(target=_pass_on, args=(stop, over, world), daemon=True).start()
        try:
            yield world
        finally:
            over.set()


def _pass_on(stop: threading.Event, over: threading.Event, world: World) -> None:
    """Pass the caller's wish to stop on to everything that waits."""
    while not over.wait(_LOOK_S):
        if stop.is_set():
            world.stop()
            return
