"""Whether a webhook was sent by who knows the secret, and just now.

Recall signs as Svix and Standard Webhooks do (docs.svix.com, "Verifying webhooks manually";
github.com/standard-webhooks/standard-webhooks, "Signature scheme")::

    signed content   ID.TIMESTAMP.BODY                    the body's bytes as they came
    signature        v1,BASE64(HMAC-SHA256(key, content))     several, one blank between: old key, new key
    secret           whsec_BASE64(key)

The headers are ``webhook-id``, ``webhook-timestamp``, ``webhook-signature``, or the same with ``svix-``.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from recall_audio.environment import WEBHOOK_SECRET_VARIABLE, given
from recall_audio.errors import UsageError

TOLERANCE_S = 300.0
"""A message signed longer ago, or so far ahead, is not taken: it may be replayed by whoever saw it."""

_PREFIX = "whsec_"
_PREFIXES = ("webhook", "svix")
_SHORTEST_KEY_BYTES = 16
_MOST_SIGNATURES = 16
_ID = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True, slots=True)
class Secrets:
    """What webhooks are signed with.

    Attributes:
        keys: one, or several while a secret is changed or where a workspace has one and an endpoint another.
    """

    keys: tuple[bytes, ...] = field(repr=False)

    @staticmethod
    def from_environment() -> "Secrets":
        """Secrets of ``RECALL_WEBHOOK_SECRET``, from the environment or ``.env``; blanks between several.

        Raises:
            UsageError: there is none, or one cannot be right. No message holds any of it.
        """
        words = given().get(WEBHOOK_SECRET_VARIABLE, "").replace(",", " ").split()
        if not words:
            raise UsageError(
                f"No webhook secret: {WEBHOOK_SECRET_VARIABLE} is not set; nothing unsigned is listened to.",
                "Copy it from Recall.ai's dashboard into the environment or a .env file in this folder.",
                code="no_webhook_secret",
            )
        return Secrets(tuple(_key(word) for word in words))


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < _SHORTEST_KEY_BYTES:
        raise UsageError(
            f"{WEBHOOK_SECRET_VARIABLE} holds no webhook secret: expected {_PREFIX} and base64 after it.",
            "Copy it again from Recall.ai's dashboard.",
            code="bad_webhook_secret",
        )
    return key


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of itself; true only once :func:`verified`.

    Attributes:
        message_id: the same in every attempt to deliver one message.
        timestamp: when this attempt was signed, seconds since the epoch.
        signatures: each ``v1,BASE64``.
    """

    message_id: str
    timestamp: str
    signatures: tuple[str, ...]


def claims(headers: Mapping[str, str]) -> list[Claim]:
    """The claims of a request, one for each complete set of headers: none, one, or both names' own.

    Args:
        headers: names in any case that `headers` itself finds.
    """
    found = []
    for prefix in _PREFIXES:
        names = (f"{prefix}-id", f"{prefix}-timestamp", f"{prefix}-signature")
        message_id, timestamp, signature = (headers.get(name, "") for name in names)
        if _ID.fullmatch(message_id) and timestamp and signature:
            found.append(Claim(message_id, timestamp, tuple(signature.split()[:_MOST_SIGNATURES])))
    return found


def is_now(claim: Claim, now: float) -> bool:
    """Whether a claim's time is within the tolerance."""
    sent = claim.timestamp
    return sent.isascii() and sent.isdecimal() and len(sent) < 16 and abs(now - int(sent)) <= TOLERANCE_S


def verified(body: bytes, among: list[Claim], secrets: Secrets, now: float) -> str | None:
    """The message id of the first claim that is true, or None.

    Every signature is compared with every key in time that does not depend on where they differ.

    Args:
        body: the body's bytes as they came.
        among: what the request claims.
        secrets: the keys.
        now: seconds since the epoch.
    """
    for claim in among:
        if is_now(claim, now) and True in [_is_signed(claim, body, key) for key in secrets.keys]:
            return claim.message_id
    return None


def _is_signed(claim: Claim, body: bytes, key: bytes) -> bool:
    content = f"{claim.message_id}.{claim.timestamp}.".encode("ascii") + body
    right = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest())
    signed = [s.removeprefix("v1,").encode("utf-8", "replace") for s in claim.signatures if s[:3] == "v1,"]
    return True in [hmac.compare_digest(one, right) for one in signed]
