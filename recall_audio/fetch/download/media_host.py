"""The store that media lie in: no key, no cookies, hosts checked first, one redirect at most."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urljoin

import requests

from recall_audio.errors import ItemError, RecallAudioError, TransientError
from recall_audio.fetch.api import protocol
from recall_audio.fetch.download import resume
from recall_audio.fetch.download.signed_urls import AddressBook
from recall_audio.fetch.http import exchange, urls
from recall_audio.fetch.http.exchange import Call
from recall_audio.fetch.http.limits import Policy
from recall_audio.fetch.http.retry import Halt, attempt

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
            with exchange.opened(self._session, call, self.policy.transfer) as response:
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
            body = exchange.capped_body(response, url, 1 << 16)
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
                body = exchange.capped_body(response, url, self.policy.transfer.document_bytes)
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
