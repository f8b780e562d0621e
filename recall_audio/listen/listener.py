"""The listener: answers once a message is safe on the disk.

::

    POST, any path   200 kept, known or of no concern; 401 not signed; 413 too large; 503 come again
    GET, HEAD        200 the queue can be written to; 503 it cannot

Nothing is worked on in a request. Whoever gets no 2xx in time (Svix allows 15 s) sends again.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from threading import Event

from recall_audio.errors import MachineError, RecallAudioError
from recall_audio.listen import events, signatures
from recall_audio.listen.queue import Queue
from recall_audio.listen.server import Limits, server_for
from recall_audio.listen.signatures import Secrets

_log = logging.getLogger(__name__)
_LOOK_S = 0.1
_LAST_S = 5.0
_WARN_EVERY_S = 60.0
_WRITERS = 8


@dataclass
class Listener:
    """Takes webhooks on a port.

    Attributes:
        queue: where what they ask for is kept.
        secrets: what they are signed with.
        limits: how much anybody may ask.
        now: seconds since the epoch.
    """

    queue: Queue
    secrets: Secrets
    limits: Limits = field(default_factory=Limits)
    now: Callable[[], float] = time.time
    _writers: list[ThreadPoolExecutor] = field(default_factory=list)
    _pending: int = 0
    _warned: dict[str, float] = field(default_factory=dict)

    def serve(self, host: str, port: int, stop: Event, ready: Callable[[int], None]) -> None:
        """Listen until `stop` is set; then finish what has come in, and return.

        Args:
            host: name or address to listen on.
            port: 0 takes a free one.
            stop: ends it within a second or so.
            ready: told the port once messages are taken.

        Raises:
            MachineError: ``cannot_listen``: the port is taken, or not to be had.
        """
        asyncio.run(self._serve(host, port, stop, ready))

    async def _serve(self, host: str, port: int, stop: Event, ready: Callable[[int], None]) -> None:
        sockets = _bound(host, port)
        # One writer for all messages of a bot, so that none overlooks what another one writes.
        self._writers = [ThreadPoolExecutor(1) for _ in range(_WRITERS)]
        server = server_for(self)
        server.add_sockets(sockets)
        ready(sockets[0].getsockname()[1])
        while not stop.is_set():
            await asyncio.sleep(_LOOK_S)
        server.stop()
        until = time.monotonic() + _LAST_S
        while self._pending and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S / 10)
        await server.close_all_connections()
        for writer in self._writers:
            writer.shutdown()

    async def answer(self, body: bytes, among: list[signatures.Claim]) -> tuple[int, str]:
        """Status and a few words for a message."""
        message_id = signatures.verified(body, among, self.secrets, self.now())
        if message_id is None:
            self._refused(among)
            return HTTPStatus.UNAUTHORIZED, "not verified"
        told = events.read(body, message_id)
        if isinstance(told, events.Nothing):
            if told.is_odd:
                self.warn(f"A signed message was left alone: {told.why}.")
            return HTTPStatus.OK, f"left alone: {told.why}"
        if self._pending >= self.limits.pending:
            return HTTPStatus.SERVICE_UNAVAILABLE, "too much at once"
        return await self._kept(told)

    async def _kept(self, told: events.Told) -> tuple[int, str]:
        writer = self._writers[hash(told.bot_id) % len(self._writers)]
        self._pending += 1
        try:
            loop = asyncio.get_running_loop()
            is_new = await loop.run_in_executor(writer, partial(self.queue.add, told))
        except RecallAudioError as error:
            self.warn(str(error))
            return HTTPStatus.SERVICE_UNAVAILABLE, "cannot be kept now"
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender has to come again
            self.warn(f"A message could not be kept ({type(error).__name__}).")
            return HTTPStatus.SERVICE_UNAVAILABLE, "cannot be kept now"
        finally:
            self._pending -= 1
        _log.info("message %s: bot %s %s", told.message_id, told.bot_id, "queued" if is_new else "known")
        return HTTPStatus.OK, "queued" if is_new else "known already"

    def health(self) -> tuple[int, str]:
        """Status and a word: whether messages can be kept."""
        good = os.access(self.queue.folder, os.W_OK | os.X_OK)
        return (HTTPStatus.OK, "ok") if good else (HTTPStatus.SERVICE_UNAVAILABLE, "the queue is not there")

    def _refused(self, among: list[signatures.Claim]) -> None:
        if not among:
            why = "it has no signature headers; make a secret in Recall.ai's dashboard"
        elif not any(signatures.is_now(claim, self.now()) for claim in among):
            why = "its time is more than 5 minutes off; look at this machine's clock"
        else:
            why = "its signature is another secret's, or nobody's"
        self.warn(f"A message was refused: {why}.")

    def warn(self, text: str) -> None:
        """Say something in the log, the same once a minute at most."""
        now = time.monotonic()
        if now - self._warned.get(text, -_WARN_EVERY_S) >= _WARN_EVERY_S:
            self._warned[text] = now
            _log.warning("%s", text)


def _bound(host: str, port: int) -> list[socket.socket]:
    from tornado.netutil import bind_sockets

    try:
        return bind_sockets(port, host)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
    raise MachineError(
        f"Cannot listen on {host} port {port}: {why}.", "Choose another --port.", code="cannot_listen"
    )
