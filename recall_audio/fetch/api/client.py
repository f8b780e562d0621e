"""The API: retrieve one thing, list many, create a bot. The only user of the key."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import requests

from recall_audio.environment import KEY_VARIABLE
from recall_audio.errors import ItemError, RecallAudioError, TransientError
from recall_audio.fetch.api import payloads, protocol
from recall_audio.fetch.api.payloads import Json
from recall_audio.fetch.api.rate_limit import CallKind, Pace
from recall_audio.fetch.api.settings import Settings
from recall_audio.fetch.http import sessions, urls
from recall_audio.fetch.http.retry import Halt, Policy, attempt
from recall_audio.fetch.http.sessions import Call

_REPEATABLE_CREATE = ("rate_limited", "no_capacity", "conflict")


class Api:
    """Calls of the API, paced and repeated.

    Every method raises KeyRefused (401, 402), ItemError (this object, for good) or TransientError (after the
    retries that the policy allows).
    """

    def __init__(
        self, settings: Settings, session: requests.Session, policy: Policy, pace: Pace, halt: Halt
    ) -> None:
        self._settings, self._session, self._policy = settings, session, policy
        self._pace, self._halt = pace, halt

    def retrieve(self, collection: str, object_id: str) -> Any:
        """One object by its id."""
        url = f"{self._settings.base_url}/{collection}/{quote(object_id, safe='')}/"
        return self._ask(Call("GET", url), "retrieve", f"{collection.replace('_', ' ')} {object_id}")

    def listed(self, collection: str, **asked_for: str | list[str]) -> Iterator[Json]:
        """Every row of a list, page after page.

        Raises:
            ItemError: ``pagination_loop``; ``url_not_allowed`` where a page lies at another host.
        """
        url: str | None = f"{self._settings.base_url}/{collection}/?{urlencode(asked_for, doseq=True)}"
        words = [w for v in asked_for.values() for w in ([v] if isinstance(v, str) else v)]
        what = f"{collection.replace('_', ' ')} of {' '.join(words)}"
        seen: set[str] = set()
        while url is not None:
            if url in seen or len(seen) >= self._policy.most_pages:
                raise ItemError(f"The list of {what} has no end ({len(seen)} pages).", code="pagination_loop")
            seen.add(url)
            urls.check_same_origin(url, self._settings.origin)
            rows, url = payloads.page(self._ask(Call("GET", url), "list", what))
            yield from rows

    def create(self, collection: str, body: dict[str, Any]) -> Any:
        """A new object. Only repeated where the server said that nothing was made."""
        url = f"{self._settings.base_url}/{collection}/"
        return self._ask(Call("POST", url, body=body), "create", collection)

    def _ask(self, call: Call, kind: CallKind, what: str) -> Any:
        def once() -> Any:
            while (wait_s := self._pace.before(kind)) > 0.0:
                self._halt.sleep(wait_s, self._policy.retry)
            return self._exchange(call, what)

        def worth_it(error: RecallAudioError) -> bool:
            return kind != "create" or error.code in _REPEATABLE_CREATE

        return attempt(once, self._policy.retry, self._halt, worth_it)

    def _exchange(self, call: Call, what: str) -> Any:
        answer = self._answer(call)
        now = self._policy.now()  # a wait that is asked for begins with the answer
        asked = protocol.Asked(what, self._settings.where, KEY_VARIABLE, now)
        try:
            return protocol.value(answer, asked)
        except TransientError as error:
            failure = error
        after_s = failure.facts.get("retry_after_s")
        if after_s is not None and after_s <= self._policy.retry.longest_retry_after_s:
            self._pace.hold_until(now + after_s)
        raise failure

    def _answer(self, call: Call) -> protocol.Answer:
        limits = self._policy.transfer
        with sessions.opened(self._session, call, limits) as response:
            good = response.status_code in (200, 201)
            body = b""
            try:
                body = sessions.capped_body(response, call.url, limits.document_bytes if good else 1 << 16)
            except RecallAudioError:
                if good:
                    raise
            secret = self._settings.key.encode()
            return protocol.Answer(
                response.status_code, response.headers, body if good else body.replace(secret, b"(key)")
            )
