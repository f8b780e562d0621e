"""The store that media lie in: no key, no cookies, hosts checked first, one redirect at most."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urljoin

import requests

from recall_audio.errors import ItemError, RecallAudioError, TransientError
from recall_audio.fetch.api import protocol
from recall_audio.fetch.download import resume
from recall_audio.fetch.http import sessions, urls
from recall_audio.fetch.http.retry import Halt, Policy, attempt
from recall_audio.fetch.http.sessions import Call

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


_REDIRECTS = (301, 302, 303, 307, 308)
T = TypeVar("T")


class Store:
    """Reads what signed addresses name."""

    def __init__(
        self,
        session: requests.Session,
        policy: Policy,
        api: urls.Origin,
        allow_hosts: tuple[str, ...],
        halt: Halt,
    ) -> None:
        self._session, self.policy, self._api = session, policy, api
        self._allow_hosts, self.halt = allow_hosts, halt

    @contextlib.contextmanager
    def opened(self, url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """The store's answer, its body unread; a redirect to an allowed host is followed once.

        Raises:
            ItemError: ``url_not_allowed``, before any connection.
            TransientError: no connection.
        """
        target = url
        for _ in range(2):
            urls.check_media(target, self._api, self._allow_hosts)
            call = Call("GET", target, headers)
            with sessions.opened(self._session, call, self.policy.transfer) as response:
                location = response.headers.get("Location")
                if response.status_code not in _REDIRECTS or not location:
                    yield response
                    return
            target = urljoin(target, location)
        raise ItemError(f"{urls.shown(url)} redirects more than once.", code="url_not_allowed")

    def failure(self, response: requests.Response, url: str) -> RecallAudioError:
        """The error that an answer which is none of the good ones stands for."""
        body = b""
        with contextlib.suppress(RecallAudioError):
            body = sessions.capped_body(response, url, 1 << 16)
        return resume.store_error(response.status_code, response.headers, body, self.policy.now())

    def document(self, book: AddressBook, key: str, what: str) -> Any:
        """The JSON document at an address; renewed, repeated and read strictly.

        Raises:
            ItemError: ``bad_json``, ``bad_payload``, ``too_large``, ``gone``, ``access_denied`` and the like.
            TransientError: after the retries that the policy allows.
        """

        def read(url: str) -> Any:
            with self.opened(url, {}) as response:
                if response.status_code != 200:
                    raise self.failure(response, url)
                body = sessions.capped_body(response, url, self.policy.transfer.document_bytes)
            return protocol.parse_json(body, what)

        return attempt(lambda: with_fresh_address(book, key, read), self.policy.retry, self.halt)


def with_fresh_address(book: AddressBook, key: str, use: Callable[[str], T]) -> T:
    """What `use` returns for the address; where it is denied, once more with a new one.

    Raises:
        TransientError: ``url_expired``: the new address is said to have ended too. Time will tell: a
            clock may be wrong, or the address came from a cache.
    """
    url, generation = book.current(key)
    try:
        return use(url)
    except ItemError as error:
        if error.code not in resume.DENIED:
            raise
    try:
        return use(book.renewed(key, generation))
    except ItemError as error:
        if error.code != "url_expired":
            raise
        failure = TransientError(error.message, "Run again later.", code=error.code, **error.facts)
    raise failure
