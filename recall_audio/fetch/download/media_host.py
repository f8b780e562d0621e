"""Read signed URLs from the media host.

Requests carry no key and no cookies, hosts are checked first, and one redirect at most is followed.

Signed URLs live for hours. Each is renewed before it ends, or after the host has refused it.
"""

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
from recall_audio.fetch.http.retry import Cancellation, Policy, attempt
from recall_audio.fetch.http.sessions import Call

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REQUESTS = 2
"""Requests for one URL: the first, and one after a redirect."""

_ERROR_PAGE_BYTES = 1 << 16
"""Bytes read of an error's body."""

UrlsByKey = Mapping[str, str | None]
T = TypeVar("T")


class SignedUrls:
    """The URLs of one artifact's files by key.

    They are renewed together, by one retrieve.

    Threads that find the same URL ended renew it once.
    """

    def __init__(self, urls_by_key: UrlsByKey, renew: Callable[[], UrlsByKey], policy: Policy) -> None:
        self._urls, self._request_new, self._policy = dict(urls_by_key), renew, policy
        self._generation = 0
        self._clock_is_right = True
        self._lock = threading.Lock()

    def current(self, key: str) -> tuple[str, int]:
        """Return a URL to request now, and its generation.

        One that is missing or about to end is renewed first. A new one that has already ended by this
        machine's clock is used all the same, because then the clock is wrong.

        Raises:
            ItemError: ``no_url`` where the API gives none.
        """
        with self._lock:
            url = self._urls.get(key)
            if url is None or (self._clock_is_right and self._is_ending(url)):
                self._renew_now()
                url = self._urls.get(key)
                self._clock_is_right = url is None or not self._is_ending(url)
            if url is None:
                raise ItemError("The API reports this file as done but gives no URL for it.", code="no_url")
            return url, self._generation

    def renewed(self, key: str, generation: int) -> str:
        """Return a URL newer than that of `generation`.

        Raises:
            ItemError: ``no_url`` where the API gives none any more.
        """
        with self._lock:
            if self._generation == generation:
                self._renew_now()
            url = self._urls.get(key)
        if url is None:
            raise ItemError("The API gives no URL for this file any more.", code="no_url")
        return url

    def renew(self) -> None:
        """Request all URLs anew."""
        with self._lock:
            self._renew_now()

    def _renew_now(self) -> None:
        self._urls = dict(self._request_new())
        self._generation += 1

    def _is_ending(self, url: str) -> bool:
        ends_at = urls.expires_at(url)
        return ends_at is not None and ends_at - self._policy.now() < self._policy.fresh_s


class MediaHost:
    """Reads signed URLs."""

    def __init__(
        self,
        session: requests.Session,
        policy: Policy,
        api: urls.Origin,
        allow_hosts: tuple[str, ...],
        cancellation: Cancellation,
        wait_for_call: Callable[[], None],
    ) -> None:
        """Take what reads share; `wait_for_call` waits until the rate limits allow a call of the API."""
        self._session, self.policy, self._api = session, policy, api
        self._wait_for_call = wait_for_call
        self._allow_hosts, self.cancellation = allow_hosts, cancellation

    @contextlib.contextmanager
    def open(self, url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """Open an answer, its body unread.

        A redirect to an allowed host is followed once.

        Raises:
            ItemError: ``url_not_allowed``, before any connection.
            TransientError: no connection.
        """
        target = url
        for _ in range(_MOST_REQUESTS):
            urls.check_media(target, self._api, self._allow_hosts)
            if urls.is_download_call(target, self._api):
                self._wait_for_call()
            call = Call("GET", target, headers)
            with sessions.open_response(self._session, call, self.policy.transfer) as response:
                location = response.headers.get("Location")
                if response.status_code not in _REDIRECTS or not location:
                    yield response
                    return
            target = urljoin(target, location)
        raise ItemError(f"{urls.shown(url)} redirects more than once.", code="url_not_allowed")

    def failure(self, response: requests.Response, url: str) -> RecallAudioError:
        """Return the error for an answer that is neither 200 nor 206."""
        body = b""
        with contextlib.suppress(RecallAudioError):
            body = sessions.capped_body(response, url, _ERROR_PAGE_BYTES, self.policy.transfer.answer_s)
        return resume.host_error(response.status_code, response.headers, body, self.policy.now())

    def document(self, signed_urls: SignedUrls, key: str, what: str) -> Any:
        """Read the JSON document at a URL, renewed and retried where that helps.

        Raises:
            ItemError: ``bad_json``, ``bad_payload``, ``too_large``, ``gone``, ``access_denied`` and the like.
            TransientError: after the retries that the policy allows.
        """

        def read(url: str) -> Any:
            with self.open(url, {}) as response:
                if response.status_code != 200:
                    raise self.failure(response, url)
                limits = self.policy.transfer
                body = sessions.capped_body(response, url, limits.document_bytes, limits.answer_s)
            return protocol.parse_json(body, what)

        return attempt(lambda: with_fresh_url(signed_urls, key, read), self.policy.retry, self.cancellation)


def with_fresh_url(signed_urls: SignedUrls, key: str, use: Callable[[str], T]) -> T:
    """Return what `use` returns for a URL.

    Where it is denied, try once more with a new URL.

    Raises:
        TransientError: ``url_expired``: the host says that the new URL has ended too. A later try may
            succeed: a clock may be wrong, or the URL came from a cache.
    """
    url, generation = signed_urls.current(key)
    try:
        return use(url)
    except ItemError as error:
        if error.code not in resume.DENIED:
            raise
    try:
        return use(signed_urls.renewed(key, generation))
    except ItemError as error:
        if error.code != "url_expired":
            raise
        failure = TransientError(error.message, "Run again later.", code=error.code, **error.facts)
    raise failure
