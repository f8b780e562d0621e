"""Messages are taken from whoever knows the secret, within five minutes of their signing."""

import base64
import datetime
import time
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import WebhookVerificationError

from recall_audio.errors import UsageError
from recall_audio.listen.listener import Secrets, signature_headers, verified_id
from recall_audio.standin.webhooks import SECRET, Message

# The example that Svix publishes for people who verify by hand.
PUBLISHED_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLISHED = {
    "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "svix-timestamp": "1614265330",
    "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
PUBLISHED_BODY = b'{"test": 2432232314}'
AT = 1_700_000_000
MESSAGE = Message("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", b'{"event": "recording.done"}')


def keys(*secrets: str) -> Secrets:
    return Secrets(tuple(base64.b64decode(s.removeprefix("whsec_")) for s in secrets))


def taken_id(
    headers: dict[str, str], body: bytes, now: float = AT, secrets: Secrets | None = None
) -> str | None:
    """The id of a message that is taken at a time, seconds since the epoch; None where it is refused."""

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Clock":
            return cls.fromtimestamp(now, tz)

    with mock.patch("standardwebhooks.webhooks.datetime", Clock):
        try:
            return verified_id(body, signature_headers(headers), secrets or keys(SECRET))
        except WebhookVerificationError:
            return None


def is_taken(headers: dict[str, str], body: bytes, now: float = AT, secrets: Secrets | None = None) -> bool:
    return taken_id(headers, body, now, secrets) is not None


def test_the_published_example_is_verified_and_not_with_another_body() -> None:
    secrets = keys(PUBLISHED_SECRET)
    assert taken_id(PUBLISHED, PUBLISHED_BODY, 1614265330, secrets) == PUBLISHED["svix-id"]
    assert taken_id(PUBLISHED, b'{"test":2432232314}', 1614265330, secrets) is None


@pytest.mark.parametrize("prefix", ["webhook", "svix"])
def test_both_names_of_the_headers_are_taken(prefix: str) -> None:
    assert is_taken(MESSAGE.headers(signed_at=AT, prefix=prefix), MESSAGE.body)


def test_either_set_of_headers_is_enough_where_both_came() -> None:
    ours = MESSAGE.headers(signed_at=AT, prefix="svix")
    others = MESSAGE.headers("whsec_" + base64.b64encode(b"another one's secret").decode(), AT)
    assert is_taken(others | ours, MESSAGE.body)


def test_several_signatures_stand_side_by_side_while_a_secret_is_changed() -> None:
    headers = MESSAGE.headers(signed_at=AT)
    headers["webhook-signature"] = f"v1a,abc v1,AAAA {headers['webhook-signature']} v1,é"
    assert is_taken(headers, MESSAGE.body)


def test_several_secrets_are_tried() -> None:
    other = "whsec_" + base64.b64encode(b"the workspace's old secret").decode()
    assert is_taken(MESSAGE.headers(SECRET, AT), MESSAGE.body, secrets=keys(other, SECRET))
    assert not is_taken(MESSAGE.headers(SECRET, AT), MESSAGE.body, secrets=keys(other))


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
def test_a_request_without_one_of_the_three_headers_claims_nothing(name: str) -> None:
    headers = MESSAGE.headers(signed_at=AT)
    del headers[f"webhook-{name}"]
    assert signature_headers(headers) == []
    assert not is_taken(headers, MESSAGE.body)


@pytest.mark.parametrize(("off_s", "taken"), [(-300, True), (300, True), (-301, False), (301, False)])
def test_five_minutes_is_the_tolerance_each_way(off_s: int, taken: bool) -> None:
    assert is_taken(MESSAGE.headers(signed_at=AT), MESSAGE.body, AT + off_s) is taken


@pytest.mark.parametrize("stamp", ["", "now", "-1", "1e9", "१७०००००००००", "1" * 5000, "17000000000.0"])
def test_a_time_that_is_no_number_of_seconds_is_refused(stamp: str) -> None:
    assert not is_taken(MESSAGE.headers(signed_at=AT) | {"webhook-timestamp": stamp}, MESSAGE.body)


@given(
    what=st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "body"]),
    at=st.integers(0, 200),
    flip=st.integers(1, 127),
)
def test_no_changed_character_goes_unnoticed(what: str, at: int, flip: int) -> None:
    parts = {**MESSAGE.headers(signed_at=AT), "body": MESSAGE.body.decode()}
    place = at % len(parts[what])
    changed = chr(ord(parts[what][place]) ^ flip)
    parts[what] = parts[what][:place] + changed + parts[what][place + 1 :]
    body = parts.pop("body").encode()
    # 1700000000 and another digit may still be near; the signature covers it all the same.
    assert not is_taken(parts, body)


def test_a_secret_is_read_from_the_environment_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALL_WEBHOOK_SECRET", f"{SECRET}, {PUBLISHED_SECRET}")
    secrets = Secrets.from_environment()
    now = time.time()
    assert taken_id(MESSAGE.headers(signed_at=now), MESSAGE.body, now, secrets) == MESSAGE.message_id
    assert len(secrets.keys) == 2
    assert "secret" not in repr(secrets)


@pytest.mark.parametrize("value", ["", "   ", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64!", "whsec_ä"])
def test_without_a_secret_that_can_be_one_there_is_no_listening(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECALL_WEBHOOK_SECRET", value)
    with pytest.raises(UsageError) as caught:
        Secrets.from_environment()
    assert "RECALL_WEBHOOK_SECRET" in str(caught.value)
    assert not value.strip() or value.strip() == "whsec_" or value not in str(caught.value)
