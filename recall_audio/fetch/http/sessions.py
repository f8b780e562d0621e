"""Two HTTP sessions that cannot be confused, and a way to end every wait on a socket at once.

The API's session can send the key to the API's own origin and nowhere else. The store's session has no key,
no cookies, and ignores ``~/.netrc``. Neither follows redirects. Proxies and CA bundles of the environment
are honoured by both.
"""

import contextlib
import logging
import re
import socket
import threading
import weakref
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import requests.adapters
import urllib3
from requests.auth import AuthBase

from recall_audio.errors import ItemError
from recall_audio.fetch.http import urls


class BoundToken(AuthBase):
    """Signs requests to one origin with the key, and refuses to sign any other."""

    def __init__(self, key: str, origin: urls.Origin) -> None:
        self._key, self._origin = key, origin

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign `request`; ItemError ``url_not_allowed`` for any other origin."""
        if urls.split(request.url or "")[1] != self._origin:
            raise ItemError("Refused to send the key to another host than the API's.", code="url_not_allowed")
        request.headers["Authorization"] = f"Token {self._key}"
        return request

    def __repr__(self) -> str:
        return "BoundToken(...)"


class Unsigned(AuthBase):
    """Signs nothing; being there, it keeps ``~/.netrc`` from signing."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Leave `request` without a signature."""
        request.headers.pop("Authorization", None)
        return request


class Sockets:
    """Every socket that is open, so that another thread can end what waits on them."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._is_shut = False
        self._lock = threading.Lock()

    def add(self, sock: socket.socket | None) -> None:
        """Keep an eye on a socket; one that comes after :meth:`shut` is ended at once."""
        if sock is None:
            return
        with self._lock:
            self._open.add(sock)
            is_shut = self._is_shut
        if is_shut:
            _end(sock)

    def shut(self) -> None:
        """End every read and write under way."""
        with self._lock:
            self._is_shut = True
            left = list(self._open)
        for sock in left:
            _end(sock)


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


class _WatchedAdapter(requests.adapters.HTTPAdapter):
    """An adapter whose connections show their sockets to `sockets`."""

    def __init__(self, sockets: Sockets, **kwargs: Any) -> None:
        self._pools = _watched_pools(sockets)
        super().__init__(**kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager


def _watched_pools(sockets: Sockets) -> dict[str, Any]:
    """urllib3's connection pools with connections that report their socket."""

    class Plain(urllib3.connection.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            sockets.add(self.sock)

    class Secure(urllib3.connection.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            sockets.add(self.sock)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def session(sockets: Sockets, auth: AuthBase, at_once: int) -> requests.Session:
    """A session without cookies that signs with `auth` and never retries by itself."""
    made = requests.Session()
    made.headers.clear()
    made.headers.update({"User-Agent": "recall-audio", "Accept-Encoding": "identity"})
    made.auth = auth
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        made.mount(scheme, _WatchedAdapter(sockets, max_retries=0, pool_maxsize=max(at_once, 1)))
    return made


class _NoQueries(logging.Filter):
    """Takes the query off every address that urllib3 logs: signatures stand there."""

    _QUERY = re.compile(r"\?[^\s\"')>]*")

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self._QUERY.sub("?...", record.getMessage())
        record.args, record.exc_info, record.exc_text = (), None, None
        return True


for _name in ("connectionpool", "connection", "util.retry", "poolmanager", "response"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_NoQueries())
