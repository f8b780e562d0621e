"""Signed addresses live for hours, not for ever: each is asked for anew before or after it ends."""

import threading
from collections.abc import Callable, Mapping

from recall_audio.errors import ItemError
from recall_audio.fetch.http import urls
from recall_audio.fetch.http.limits import Policy

Addresses = Mapping[str, str | None]


class AddressBook:
    """The addresses of one artifact's files by key; they are renewed together, by one retrieve.

    Threads that find the same address ended renew it once.
    """

    def __init__(self, addresses: Addresses, renew: Callable[[], Addresses], policy: Policy) -> None:
        self._addresses, self._renew, self._policy = dict(addresses), renew, policy
        self._generation = 0
        self._clock_is_right = True
        self._lock = threading.Lock()

    def current(self, key: str) -> tuple[str, int]:
        """An address to ask now, and its generation.

        One that is missing or about to end is asked for anew first. A new one that has already ended by
        this machine's clock is used all the same: then the clock is wrong.

        Raises:
            ItemError: ``no_url`` where the API gives none.
        """
        with self._lock:
            url = self._addresses.get(key)
            if url is None or (self._clock_is_right and self._is_ending(url)):
                self._renew_now()
                url = self._addresses.get(key)
                self._clock_is_right = url is None or not self._is_ending(url)
            if url is None:
                raise ItemError("The API says it is done but gives no address for it.", code="no_url")
            return url, self._generation

    def renewed(self, key: str, generation: int) -> str:
        """An address newer than that of `generation`."""
        with self._lock:
            if self._generation == generation:
                self._renew_now()
            url = self._addresses.get(key)
        if url is None:
            raise ItemError("The API gives no address for it any more.", code="no_url")
        return url

    def renew(self) -> None:
        """Ask for all addresses anew."""
        with self._lock:
            self._renew_now()

    def _renew_now(self) -> None:
        self._addresses = dict(self._renew())
        self._generation += 1

    def _is_ending(self, url: str) -> bool:
        ends_at = urls.expires_at(url)
        return ends_at is not None and ends_at - self._policy.now() < self._policy.fresh_s
