"""Call the API: retrieve one object, list many, create a bot, delete its media.

No other module uses the key.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import requests

from recall_audio.environment import KEY_VARIABLE
from recall_audio.errors import ItemError, RecallAudioError, TransientError
from recall_audio.fetch.api import payloads, protocol
from recall_audio.fetch.api.rate_limit import CallKind, RateLimit
from recall_audio.fetch.api.settings import Settings
from recall_audio.fetch.http import sessions, urls
from recall_audio.fetch.http.retry import Cancellation, Policy, attempt
from recall_audio.fetch.http.sessions import Call

_REPEATABLE_CREATE = ("rate_limited", "no_capacity", "conflict")
"""Codes of errors after which the server has created nothing for certain."""

_GOOD = (200, 201, 202, 204)
"""Statuses of a good answer; the last two have no value."""

_ERROR_PAGE_BYTES = 1 << 16
"""Bytes read of an error's body."""


class Api:
    """Calls of the API, within the rate limits and retried.

    Every method raises KeyRefused (401, 402), ItemError (this object, for good) or TransientError (after the
    retries that the policy allows).
    """

    def __init__(
        self,
        settings: Settings,
        session: requests.Session,
        policy: Policy,
        rate_limit: RateLimit,
        cancellation: Cancellation,
    ) -> None:
        self._settings, self._session, self._policy = settings, session, policy
        self._rate_limit, self._cancellation = rate_limit, cancellation

    def retrieve(self, collection: str, object_id: str) -> Any:
        """Retrieve one object by its id."""
        url = f"{self._settings.base_url}/{collection}/{quote(object_id, safe='')}/"
        return self._call(Call("GET", url), "retrieve", f"{collection.replace('_', ' ')} {object_id}")

    def list_rows(self, collection: str, **query: str | list[str]) -> Iterator[Any]:
        """Yield every row of a list as it is, page after page.

        Raises:
            ItemError: ``pagination_loop``, or ``url_not_allowed`` where a page lies at another host.
        """
        url: str | None = f"{self._settings.base_url}/{collection}/?{urlencode(query, doseq=True)}"
        words = [word for v in query.values() for word in ([v] if isinstance(v, str) else v)]
        what = f"{collection.replace('_', ' ')} of {' '.join(words)}"
        seen: set[str] = set()
        while url is not None:
            if url in seen or len(seen) >= self._policy.most_pages:
                raise ItemError(
                    f"The list of {what} does not end ({len(seen)} pages).", code="pagination_loop"
                )
            seen.add(url)
            urls.check_same_origin(url, self._settings.origin)
            rows, url = payloads.page(self._call(Call("GET", url), "list", what))
            yield from rows

    def create(self, collection: str, body: dict[str, Any]) -> Any:
        """Create an object.

        Retried only where the server said that nothing was created.
        """
        url = f"{self._settings.base_url}/{collection}/"
        return self._call(Call("POST", url, body=body), "create", collection)

    def act(self, collection: str, object_id: str, action: str) -> None:
        """Call an action of one object that may be called twice, and ignore the body of its answer."""
        url = f"{self._settings.base_url}/{collection}/{quote(object_id, safe='')}/{action}/"
        what = f"{collection.replace('_', ' ')} {object_id}"
        self._call(Call("POST", url), "retrieve", what, has_value=False)

    def wait_for_call(self, kind: CallKind) -> None:
        """Wait until the rate limits allow a call, and count it."""
        while (wait_s := self._rate_limit.acquire(kind)) > 0.0:
            self._cancellation.sleep(wait_s, self._policy.retry)

    def _call(self, call: Call, kind: CallKind, what: str, *, has_value: bool = True) -> Any:
        """Make a call, within the rate limits and retried, and return the answer's value."""

        def call_once() -> Any:
            self.wait_for_call(kind)
            return self._exchange(call, what, has_value=has_value)

        def is_repeatable(error: RecallAudioError) -> bool:
            return kind != "create" or error.code in _REPEATABLE_CREATE

        return attempt(call_once, self._policy.retry, self._cancellation, is_repeatable)

    def _exchange(self, call: Call, what: str, *, has_value: bool) -> Any:
        """Send one request and return its value.

        Hold all calls where the server names a wait.
        """
        answer = self._answer(call)
        if not has_value and answer.status in _GOOD:
            return None
        now = self._policy.now()  # the wait begins with the answer
        request = protocol.RequestFacts(what, self._settings.where, KEY_VARIABLE, now)
        try:
            return protocol.value(answer, request)
        except TransientError as error:
            failure = error
        after_s = failure.facts.get("retry_after_s")
        if after_s is not None and after_s <= self._policy.retry.longest_retry_after_s:
            self._rate_limit.hold_until(now + after_s)
        raise failure

    def _answer(self, call: Call) -> protocol.Answer:
        """Send one request and read its answer, with the key blanked out of an error's body."""
        limits = self._policy.transfer
        with sessions.open_response(self._session, call, limits) as response:
            is_good = response.status_code in _GOOD
            body = b""
            try:
                most_bytes = limits.document_bytes if is_good else _ERROR_PAGE_BYTES
                body = sessions.capped_body(response, call.url, most_bytes, limits.answer_s)
            except RecallAudioError:
                if is_good:
                    raise
            if not is_good:
                body = body.replace(self._settings.key.encode(), b"(key)")
            return protocol.Answer(response.status_code, response.headers, body)
