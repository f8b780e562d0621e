"""Check which URLs may be requested, and show them without their query.

======================  ====================================================================
the API                 the configured host, and ``next`` only there
media                   ``*.recall.ai``, ``*recallai*.amazonaws.com``, hosts the user allowed
loopback and http       only where the API itself is on loopback (a proxy, the stand-in)
never                   user-info, IP literals, ``file:`` and the like, ports other than 443
======================  ====================================================================
"""

import datetime
import ipaddress
import re
from urllib.parse import SplitResult, parse_qs, urlsplit

from recall_audio.errors import ItemError

_MEDIA_HOST = re.compile(r"([a-z0-9-]+\.)*recall\.ai|[a-z0-9.-]*recallai[a-z0-9.-]*\.amazonaws\.com")
_HOST = re.compile(r"(?!-)[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?")
_PORTS = {"https": 443, "http": 80}

_MOST_SHOWN = 120
"""Characters shown of a URL."""

Origin = tuple[str, str, int]
"""Scheme, host in lower case, port."""


def shown(url: str) -> str:
    """Return a URL as it may be printed: scheme, host and path.

    Characters beyond printable ASCII become ``?``.
    """
    try:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path
    except ValueError:
        return "(an unreadable URL)"
    text = f"{parts.scheme}://{host}{path}" if host else f"{parts.scheme}:"
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text[:_MOST_SHOWN])


def claims_raw(url: str | None) -> bool:
    """Return whether a URL's path ends in ``.raw``, the name of headerless PCM."""
    return re.search(r"\.raw(?:[?#]|$)", url or "") is not None


def split(url: str) -> tuple[SplitResult, Origin]:
    """Return a URL's components and its origin.

    Raises:
        ItemError: ``url_not_allowed``: no host, user-info, an unreadable port, or characters that parsers
            are known to disagree about.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise refused(url, "it cannot be read") from None
    if not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        raise refused(url, "it holds characters that are not allowed in a URL")
    if parts.scheme not in _PORTS:
        raise refused(url, "only https is supported")
    if "@" in parts.netloc:
        raise refused(url, "it carries a user name")
    if not host or (not _HOST.fullmatch(host) and ":" not in host):
        raise refused(url, "it names no host")
    return parts, (parts.scheme, host, port or _PORTS[parts.scheme])


def problem_of_base(url: str, sent: str) -> str:
    """Return why a configured address cannot be the base of others, empty where it can.

    Args:
        url: the address.
        sent: what goes there and has to be encrypted beyond this machine, for the text.
    """
    try:
        parts, origin = split(url)
    except ItemError:
        return "cannot be read"
    if origin[0] != "https" and not is_loopback(origin[1]):
        return f"would send {sent} unencrypted"
    return "has a query" if parts.query or parts.fragment else ""


def refused(url: str, why: str) -> ItemError:
    """Return the error for a URL that must not be requested."""
    return ItemError(
        f"Refused to request {shown(url)}: {why}.",
        "If this host is yours, allow it with --allow-download-host.",
        code="url_not_allowed",
    )


def is_loopback(host: str) -> bool:
    """Return whether a host name or literal is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_same_origin(url: str, origin: Origin) -> None:
    """Raise ``url_not_allowed`` unless `url` is on the API's own scheme, host and port."""
    if split(url)[1] != origin:
        raise refused(url, f"the list continues at another host than {origin[1]}")


def is_download_call(url: str, api: Origin) -> bool:
    """Return whether a URL is a document download of the API's own host, which counts as a call."""
    parts, origin = split(url)
    return origin == api and parts.path.startswith("/api/")


def check_media(url: str, api: Origin, allow_hosts: tuple[str, ...] = ()) -> None:
    """Raise ``url_not_allowed`` unless media may come from `url`.

    Args:
        url: from the API, or from a redirect of the media host.
        api: the API's origin; if it is on loopback, so may media be.
        allow_hosts: further host names, exact, or with a leading dot for all below.
    """
    (scheme, host, port) = split(url)[1]
    if is_loopback(host):
        if not is_loopback(api[1]):
            raise refused(url, "it is on this machine")
        return
    if _is_ip(host):
        raise refused(url, "it names an IP address instead of a host")
    if scheme != "https" or port != 443:
        raise refused(url, "only https on its usual port is supported")
    if not (_MEDIA_HOST.fullmatch(host) or any(_matches(host, allowed) for allowed in allow_hosts)):
        raise refused(url, "media are accepted from Recall.ai's hosts only")


def _matches(host: str, allowed: str) -> bool:
    allowed = allowed.lower()
    return host.endswith(allowed) if allowed.startswith(".") else host == allowed


def _is_ip(host: str) -> bool:
    """Return whether some resolver takes `host` for an IP address.

    Besides 127.0.0.1 and ::1, resolvers accept 2130706433 and 0x7f.1.
    """
    last = host.rstrip(".").rsplit(".", 1)[-1]
    return ":" in host or last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last) is not None


def expires_at(url: str) -> float | None:
    """Return when a signed URL ends, seconds since the epoch, or None where it does not say.

    Reads ``Expires`` (SigV2) or ``X-Amz-Date`` and ``X-Amz-Expires`` (SigV4).
    """
    try:
        query = {k.lower(): v[-1] for k, v in parse_qs(urlsplit(url).query, max_num_fields=100).items()}
    except ValueError:
        return None
    if re.fullmatch(r"\d{1,12}", query.get("expires", "")):
        return float(query["expires"])
    try:
        made = datetime.datetime.strptime(query["x-amz-date"], "%Y%m%dT%H%M%SZ")
        return made.replace(tzinfo=datetime.UTC).timestamp() + float(int(query["x-amz-expires"]))
    except (KeyError, ValueError, OverflowError):
        return None
