"""Answer slowly for ever, hugely, or from a proxy that wants the key: every exchange ends, and safely."""

import os
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recall_audio.errors import ItemError, RecallAudioError, TransientError, UsageError
from recall_audio.fetch.api.protocol import parse_json
from recall_audio.fetch.api.settings import Settings
from recall_audio.fetch.http import urls
from recall_audio.fetch.http.retry import TransferPolicy
from recall_audio.fetch.http.sessions import (
    BoundToken,
    Call,
    Sockets,
    Unsigned,
    capped_body,
    open_response,
    session,
)

KEY = "canary-key-hostile"
LIMITS = TransferPolicy(connect_s=2.0, read_s=1.0, answer_s=1.5)


@contextmanager
def server(first: bytes, drip: bytes, pause_s: float = 0.1) -> Iterator[tuple[str, list[bytes]]]:
    """Serve one connection after another: some bytes at once, then a byte at a time for ever."""
    heard: list[bytes] = []
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                heard.append(connection.recv(65_536))
                connection.sendall(first)
                while drip and not over.wait(pause_s):
                    connection.sendall(drip)
            except OSError:
                return

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", heard
    finally:
        over.set()
        listening.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
DRIPS = {
    "status line": (b"", b"H"),
    "header": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
    "endless headers": (b"HTTP/1.1 200 OK\r\n", b"a"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body with a length": (OK + b"Content-Length: 100000\r\n\r\n[", b" "),
    "body without a length": (OK + b"\r\n[", b" "),
    "chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n", b" "),
    "chunk header": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_an_exchange_at_a_byte_at_a_time_ends(drip: str) -> None:
    began = time.monotonic()
    with (
        server(*DRIPS[drip]) as (url, _),
        session(Sockets(), Unsigned(), 1) as opened,
        pytest.raises(TransientError) as caught,
        open_response(opened, Call("GET", url), LIMITS) as response,
    ):
        capped_body(response, url, 1 << 20, LIMITS.answer_s)
    assert caught.value.code in ("slow", "network")
    assert time.monotonic() - began < 10.0


def test_a_handshake_at_a_byte_at_a_time_ends_and_ends_with_the_fetch() -> None:
    """The head of a record of 16 kB, then its bytes one by one: each resets the socket's own time limit."""
    head, limits = b"\x16\x03\x03\x3f\xff\x02", TransferPolicy(connect_s=0.4)
    for stopped in (False, True):
        sockets, began = Sockets(), time.monotonic()
        if stopped:
            threading.Timer(0.2, sockets.shut).start()
        with (
            server(head, b"\x00", 0.05) as (url, _),
            session(sockets, Unsigned(), 1) as opened,
            pytest.raises(TransientError) as caught,
            open_response(opened, Call("GET", url.replace("http:", "https:")), limits),
        ):
            pass
        assert caught.value.code == "network"
        assert time.monotonic() - began < 10.0


def test_an_ordinary_answer_is_not_cut_by_a_deadline() -> None:
    with (
        server(OK + b"Content-Length: 2\r\n\r\n[]", b"") as (url, _),
        session(Sockets(), Unsigned(), 1) as opened,
        open_response(opened, Call("GET", url), LIMITS) as response,
    ):
        assert capped_body(response, url, 1 << 20, LIMITS.answer_s) == b"[]"


@pytest.mark.parametrize("item", [b"[],", b"{},", b"0,", b'"",', b"[0],", b"1.5,"], ids=repr)
def test_a_huge_answer_of_tiny_values_is_refused_before_it_takes_memory(item: bytes) -> None:
    body = b"[" + item * ((64 << 20) // len(item)) + b"0]"
    tracemalloc.start()
    try:
        with pytest.raises(ItemError) as caught:
            parse_json(body, "bot")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.code == "too_large"
    assert peak < 1 << 20


def test_the_key_goes_to_no_proxy_before_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = OK + b"Content-Length: 2\r\n\r\n[]"
    with server(answer, b"") as (proxy, heard_by_proxy), server(answer, b"") as (url, heard):
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        token = BoundToken(KEY, urls.split(url)[1])
        with session(Sockets(), token, 1) as opened, open_response(opened, Call("GET", url), LIMITS) as r:
            assert r.status_code == 200
    assert heard_by_proxy == []
    assert KEY.encode() in heard[0]


def test_the_key_is_not_sent_unencrypted_to_another_machine() -> None:
    url = "http://api.example.org/api/v1"
    token = BoundToken(KEY, urls.split(url)[1])
    with (
        session(Sockets(), token, 1) as opened,
        pytest.raises(RecallAudioError) as caught,
        open_response(opened, Call("GET", url), LIMITS),
    ):
        pass
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("in_file", "in_environment", "is_accepted"),
    [
        ({"RECALL_BASE_URL"}, {"RECALL_API_KEY"}, False),
        ({"RECALL_BASE_URL", "RECALL_API_KEY"}, {"RECALL_API_KEY"}, False),
        ({"RECALL_BASE_URL", "RECALL_API_KEY"}, set(), True),
        ({"RECALL_API_KEY"}, {"RECALL_BASE_URL"}, True),
        ({"RECALL_BASE_URL"}, {"RECALL_BASE_URL", "RECALL_API_KEY"}, True),
        (set(), {"RECALL_BASE_URL", "RECALL_API_KEY"}, True),
    ],
)
def test_an_address_from_a_folder_gets_no_key_from_elsewhere(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_file: set[str],
    in_environment: set[str],
    is_accepted: bool,
) -> None:
    values = {"RECALL_BASE_URL": "https://api.example.org", "RECALL_API_KEY": KEY}
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("".join(f"{name}={values[name]}\n" for name in sorted(in_file)))
    for name in values:
        monkeypatch.delenv(name, raising=False)
    for name in in_environment:
        monkeypatch.setenv(name, values[name])
    if is_accepted:
        assert Settings.from_environment().key == KEY
        return
    with pytest.raises(UsageError) as caught:
        Settings.from_environment()
    assert caught.value.code == "other_place"
    assert KEY not in str(caught.value)
    assert "RECALL_API_KEY" in str(caught.value)
    assert os.environ["RECALL_API_KEY"] == KEY
