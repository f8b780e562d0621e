"""Ask an OpenAI-compatible endpoint for the transcript of a sound.

Any host that the user names: OpenAI's, another service's, or a server on this machine (speaches, LocalAI,
whisper.cpp). The key comes from the environment or ``.env`` only, and goes to that host only, over TLS or
loopback. Reference: OpenAI, ``POST /audio/transcriptions``.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from recall_audio.environment import (
    OPENAI_KEY_VARIABLE,
    TRANSCRIBE_KEY_VARIABLE,
    TRANSCRIBE_URL_VARIABLE,
    read_env_file,
    read_variables,
)
from recall_audio.errors import ItemError, KeyRefused, RecallAudioError, TransientError, UsageError
from recall_audio.fetch.api import protocol
from recall_audio.fetch.api.settings import check_same_place
from recall_audio.fetch.http import sessions, urls
from recall_audio.fetch.http.retry import Cancellation, Policy, attempt

DEFAULT_URL = "https://api.openai.com/v1"
_BUSY = (408, 409, 425, 429)
_ERROR_PAGE_BYTES = 1 << 16


@dataclass(slots=True)
class SpeechToText:
    """A client of one endpoint.

    Attributes:
        base_url: the address before ``/audio/transcriptions``.
        key: the key, or None for a server that wants none; never shown.
        policy: limits and retries.
    """

    base_url: str
    key: str | None = field(default=None, repr=False)
    policy: Policy = field(default_factory=Policy, repr=False)
    _form: str = "verbose_json"
    _session: Any = field(default=None, repr=False)
    _cancellation: Cancellation = field(default_factory=Cancellation, repr=False)

    @staticmethod
    def from_environment(url: str | None = None) -> "SpeechToText":
        """Read ``RECALL_TRANSCRIBE_URL`` and ``RECALL_TRANSCRIBE_KEY``; `url` wins.

        OpenAI's own host is also given ``OPENAI_API_KEY``.

        Raises:
            UsageError: the address is unusable or would send the key unencrypted, OpenAI's host lacks a key,
                or only the address is in ``.env``.
            KeyRefused: no header can carry the key.
        """
        variables = read_variables()
        base_url = _checked_url(url or variables.get(TRANSCRIBE_URL_VARIABLE) or DEFAULT_URL)
        is_openai = urls.split(base_url)[1] == urls.split(DEFAULT_URL)[1]
        name = TRANSCRIBE_KEY_VARIABLE
        if is_openai and not variables.get(name):
            name = OPENAI_KEY_VARIABLE
        key = variables.get(name, "").strip() or None
        if not url:
            check_same_place(read_env_file(), TRANSCRIBE_URL_VARIABLE, name)
        if is_openai and key is None:
            raise UsageError(
                f"No key: neither {TRANSCRIBE_KEY_VARIABLE} nor {OPENAI_KEY_VARIABLE} is set.",
                "Set one in the environment or in a .env file in this folder, or name another server: --url.",
                code="no_key",
            )
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise KeyRefused(
                f"The key in {name} holds characters that no key has; nothing was sent.", "Copy it again."
            )
        return SpeechToText(base_url, key)

    @property
    def where(self) -> str:
        """Return the host, for messages."""
        return urls.split(self.base_url)[1][1]

    def transcribe(self, wav: bytes, model: str, language: str | None) -> Any:
        """Return the endpoint's JSON for one WAV file.

        Models that give no times are asked for the text alone.

        Raises:
            KeyRefused: 401, 403.
            ItemError: the request is refused for good, or the answer is no JSON.
            TransientError: overload, a limit or the network, after the retries that the policy allows.
        """
        form = self._form
        try:
            return self._tried(wav, model, language, form)
        except ItemError as error:
            if form == "json" or error.facts.get("status") not in (400, 422):
                raise
        answer = self._tried(wav, model, language, "json")
        self._form = "json"
        return answer

    def _tried(self, wav: bytes, model: str, language: str | None, form: str) -> Any:
        fields: list[tuple[str, str]] = [("model", model), ("response_format", form)]
        if form == "verbose_json":
            fields += [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")]
        if language:
            fields.append(("language", language))
        url = f"{self.base_url}/audio/transcriptions"
        call = sessions.Call("POST", url, form=tuple(fields), files={"file": ("clip.wav", wav, "audio/wav")})
        return attempt(lambda: self._exchange(call), self.policy.retry, self._cancellation)

    def _exchange(self, call: sessions.Call) -> Any:
        if self._session is None:
            origin = urls.split(self.base_url)[1]
            auth = sessions.BoundToken(self.key, origin, "Bearer") if self.key else sessions.Unsigned()
            self._session = sessions.session(sessions.Sockets(), auth, 8)
        limits = self.policy.transfer
        with sessions.open_response(self._session, call, limits) as response:
            is_good = response.status_code == 200
            most_bytes = limits.document_bytes if is_good else _ERROR_PAGE_BYTES
            body = sessions.capped_body(response, call.url, most_bytes, limits.answer_s)
            answer = protocol.Answer(response.status_code, response.headers, body)
        if is_good:
            return protocol.parse_json(answer.body, f"transcript of {self.where}")
        raise self._error(answer)

    def _error(self, answer: protocol.Answer) -> RecallAudioError:
        status, said = answer.status, f"{self.where} answered {answer.status}"
        if status in (401, 403):
            return KeyRefused(
                f"{said}: it refuses the key, or needs one.",
                f"Set {TRANSCRIBE_KEY_VARIABLE} to a key of that host.",
            )
        if status in _BUSY or status >= 500:
            after = protocol.when_again(answer.headers, time.time())
            return TransientError(
                f"{said}.", protocol.again_hint(after), code="overload", status=status, **after
            )
        body = answer.body.replace((self.key or "\0").encode(), b"(key)")
        why = protocol.explanation(protocol.Answer(status, answer.headers, body))
        message = f"{said} for a clip{': ' + why if why else ''}."
        return ItemError(message, "Check --model and --url.", code="engine_refused", status=status)


def _checked_url(text: str) -> str:
    """Return an endpoint's address without a slash at its end.

    Raises:
        UsageError: it cannot be read, or would send sounds and the key unencrypted.
    """
    url = text.strip().rstrip("/")
    url = url.removesuffix("/audio/transcriptions")
    if problem := urls.problem_of_base(url, "voices and the key"):
        raise UsageError(
            f"The address of the endpoint {problem}.",
            "Expected https://HOST/v1, or http:// to this machine itself.",
        )
    return url
