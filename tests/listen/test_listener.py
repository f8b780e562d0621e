"""The listener on real sockets: what is answered, what is kept, and what nobody can do to it."""

import http.client
import json
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from listen.lab import LONGEST_S, Process, bot, done, entries, free_port, listening

from recall_audio.listen.listener import Limits
from recall_audio.standin.webhooks import Message, Sender, message

QUICK = Limits(body_bytes=4096, header_bytes=2048, header_s=0.3, body_s=0.3, connections=4)


def raw(sender: Sender, *pieces: bytes) -> bytes:
    """What comes back for bytes as they are, until the other side hangs up."""
    port = int(sender.url.rpartition(":")[2].strip("/"))
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=LONGEST_S) as s:
        try:
            for piece in pieces:
                s.sendall(piece)
            while chunk := s.recv(4096):
                got += chunk
        except ConnectionError:
            pass
    return got


def post(what: Message, length: int | None = None) -> bytes:
    headers = what.headers() | {"Content-Length": str(len(what.body) if length is None else length)}
    lines = [b"POST /hook HTTP/1.1", b"Host: x", *(f"{k}: {v}".encode() for k, v in headers.items())]
    return b"\r\n".join([*lines, b"", b""])


def test_a_message_is_in_the_queue_once_it_is_answered(tmp_path: Path) -> None:
    with listening(tmp_path) as sender:
        assert sender.once(done(1)) == 200
        kept = entries(tmp_path)
    assert list(kept) == [bot(1)]
    assert kept[bot(1)]["recordings"] == {
        "r0000000-000001": {"audio_separate": "a0000000-audio_separate-000001"}
    }


def test_the_same_message_again_changes_nothing(tmp_path: Path) -> None:
    with listening(tmp_path) as sender:
        assert sender.once(done(1)) == 200
        before = {p: p.read_bytes() for p in tmp_path.rglob("*.json")}
        assert [sender.once(done(1)) for _ in range(3)] == [200, 200, 200]
        assert {p: p.read_bytes() for p in tmp_path.rglob("*.json")} == before


def test_the_order_of_messages_does_not_matter(tmp_path: Path) -> None:
    kinds = ("audio_mixed", "audio_separate", "recording")
    made = []
    for place, order in ((tmp_path / "a", kinds), (tmp_path / "b", kinds[::-1])):
        with listening(place) as sender:
            assert {sender.once(done(1, kind)) for kind in order} == {200}
        [entry] = entries(place).values()
        made.append((entry["recordings"], sorted(entry["messages"]), entry["not_before"]))
    assert made[0] == made[1]


def test_other_events_are_answered_and_left_alone(tmp_path: Path) -> None:
    others = [
        message("bot.status_change", {"bot": bot(1)}, "msg_1"),
        message("audio_mixed.processing", {"bot": bot(1)}, "msg_2"),
        message("event.that.comes.next.year", {"bot": bot(1)}, "msg_3"),
        message("recording.done", {}, "msg_4"),
        Message("msg_5", b"not JSON"),
    ]
    with listening(tmp_path) as sender:
        assert [sender.once(one) for one in others] == [200] * 5
    assert entries(tmp_path) == {}


def test_no_message_is_ignored_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first of each kind says what to subscribe to; a thousand more of them say nothing."""
    joining = [message("bot.joining_call", {"bot": bot(n)}, f"msg_{n}") for n in range(3)]
    with listening(tmp_path) as sender:
        for one in [*joining, message("bot.status_change", {"bot": bot(1)}, "msg_9")]:
            assert sender.once(one) == 200
        assert sender.once(message("bot.done", {"bot": bot(1)}, "msg_10")) == 200
    said = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert [s.split(":")[1].split(" needs")[0].strip() for s in said] == [
        "bot.joining_call", "bot.status_change to no known status",
    ]  # fmt: skip
    assert all("audio_separate.done, audio_mixed.done, recording.done" in s for s in said)
    assert list(entries(tmp_path)) == [bot(1)]


def test_what_is_not_signed_by_who_knows_the_secret_is_refused_without_an_echo(tmp_path: Path) -> None:
    one, body = done(1), b'{"canary-body": 1}'
    spoilt = [
        {"webhook_signature": "v1,AAAA"},
        {"webhook_signature": "v2," + one.headers()["webhook-signature"][3:]},
        {"webhook_id": "msg_other"},
        {"webhook_timestamp": "1"},
        {"webhook_timestamp": ""},
    ]
    with listening(tmp_path) as sender:
        assert [sender.once(one, **altered) for altered in spoilt] == [401] * 5
        headers = one.headers() | {"webhook-id": "canary-id", "Content-Length": str(len(body))}
        lines = [b"POST /canary-path?canary=query HTTP/1.1", b"Host: x", b"Connection: close"]
        lines += [f"{k}: {v}".encode() for k, v in headers.items()]
        answer = raw(sender, b"\r\n".join([*lines, b"", body]))
        no_headers = raw(
            sender, b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
        )
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert no_headers.startswith(b"HTTP/1.1 401 ")
    assert b"canary" not in answer
    assert entries(tmp_path) == {}


def test_a_message_that_was_signed_long_ago_is_refused_and_the_same_signed_anew_is_taken(
    tmp_path: Path,
) -> None:
    import time

    old = done(1).headers(signed_at=time.time() - 301)
    with listening(tmp_path) as sender:
        assert sender.once(done(1), **{k.replace("-", "_"): v for k, v in old.items()}) == 401
        assert sender.once(done(1)) == 200


def test_health_is_asked_by_get_and_says_when_nothing_can_be_kept(tmp_path: Path) -> None:
    with listening(tmp_path / "queue") as sender:
        to = http.client.HTTPConnection(sender.url.split("/")[2], timeout=LONGEST_S)
        seen = []
        for method in ("GET", "HEAD", "PUT", "GET"):
            if len(seen) == 3:
                (tmp_path / "queue").rename(tmp_path / "moved")
            to.request(method, "/health")
            answer = to.getresponse()
            seen.append((answer.status, answer.read()))
        to.close()
        (tmp_path / "moved").rename(tmp_path / "queue")
    assert seen == [
        (200, b"ok\n"),
        (200, b""),
        (405, b"POST webhooks here\n"),
        (503, b"the queue is not there\n"),
    ]


def test_a_body_too_large_is_not_read_whether_it_is_declared_or_not(tmp_path: Path) -> None:
    huge = Message("msg_1", b" " * (QUICK.body_bytes + 1))
    with listening(tmp_path, QUICK) as sender:
        assert raw(sender, post(huge)).startswith(b"HTTP/1.1 413 "), "before any of it came"
        assert b" 200 " not in raw(sender, post(huge, 10**15))
        head = post(huge).replace(b"Content-Length: 4097", b"Transfer-Encoding: chunked")
        chunks = b"".join(b"400\r\n" + b" " * 1024 + b"\r\n" for _ in range(64))
        assert b" 200 " not in raw(sender, head, chunks)
        assert b" 200 " not in raw(sender, b"POST / HTTP/1.1\r\nx: " + b"y" * 100_000 + b"\r\n\r\n")
        assert sender.once(done(1)) == 200, "all others are served"


@pytest.mark.parametrize("where", ["nothing", "headers", "body"])
def test_whoever_is_slow_is_hung_up_on_however_steadily_a_byte_comes(tmp_path: Path, where: str) -> None:
    begun = {"nothing": b"", "headers": b"POST / HTTP/1.1\r\n", "body": post(done(1), 3000)}[where]
    with listening(tmp_path, QUICK) as sender:
        port = int(sender.url.rpartition(":")[2].strip("/"))
        with socket.create_connection(("127.0.0.1", port), timeout=0.02) as s:
            s.sendall(begun)
            for _ in range(2000):
                try:
                    if where != "nothing":
                        s.sendall(b"x")
                    if s.recv(100) == b"":
                        break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            else:
                raise AssertionError("nobody hung up")
        assert sender.once(done(2)) == 200
    assert list(entries(tmp_path)) == [bot(2)]


def test_more_connections_than_allowed_are_closed_and_free_ones_are_taken_again(tmp_path: Path) -> None:
    limits = Limits(connections=2)
    with listening(tmp_path, limits) as sender:
        port = int(sender.url.rpartition(":")[2].strip("/"))
        idle = [socket.create_connection(("127.0.0.1", port), timeout=LONGEST_S) for _ in range(2)]
        assert sender.once(done(1)) == 0, "connections are taken in the order they come"
        for s in idle:
            s.close()
        assert sender.until_taken(done(1)) == 200


def test_deliveries_at_once_are_all_kept_each_once(tmp_path: Path) -> None:
    kinds = ("audio_separate", "audio_mixed", "recording")
    deliveries = [done(n, kind) for n in range(12) for kind in kinds for _ in range(2)]
    with listening(tmp_path) as sender, ThreadPoolExecutor(16) as pool:
        assert set(pool.map(sender.once, deliveries)) == {200}
    kept = entries(tmp_path)
    assert sorted(kept) == [bot(n) for n in range(12)]
    for n in range(12):
        assert sorted(kept[bot(n)]["messages"]) == sorted(f"msg_{kind}_{n}" for kind in kinds)


def test_what_cannot_be_written_is_not_answered_as_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    right = os.fsync

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with listening(tmp_path) as sender:
        monkeypatch.setattr(os, "fsync", full)
        assert sender.once(done(1)) == 503
        assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == []
        monkeypatch.setattr(os, "fsync", right)
        assert sender.once(done(1)) == 200
    assert list(entries(tmp_path)) == [bot(1)]


def test_nothing_is_lost_by_a_kill_midway_and_nothing_is_there_twice(tmp_path: Path) -> None:
    port = free_port()
    first = Process(tmp_path, "--queue", "q", port=port)
    deliveries = [done(n, kind) for n in range(15) for kind in ("audio_separate", "recording")]
    half = threading.Semaphore(0)

    def deliver(one: Message) -> int:
        status = first.sender.until_taken(one)
        half.release()
        return status

    with ThreadPoolExecutor(6) as pool:
        statuses = [pool.submit(deliver, one) for one in deliveries]
        for _ in range(10):
            assert half.acquire(timeout=LONGEST_S)
        first.end(signal.SIGKILL)
        second = Process(tmp_path, "--queue", "q", port=port)
        assert {s.result() for s in statuses} == {200}
        assert [second.sender.once(one) for one in deliveries] == [200] * len(deliveries)
    assert second.end(signal.SIGTERM) == 143
    kept = entries(tmp_path / "q")
    assert sorted(kept) == [bot(n) for n in range(15)]
    for n in range(15):
        assert sorted(kept[bot(n)]["messages"]) == [f"msg_audio_separate_{n}", f"msg_recording_{n}"]


def test_it_says_where_it_listens_and_ends_as_it_is_asked_to(tmp_path: Path) -> None:
    first, second = Process(tmp_path, "--log-format", "json"), Process(tmp_path)
    assert first.end(signal.SIGINT) == 130
    assert second.end(signal.SIGTERM) == 143
    assert json.loads(first.said[0])["port"] == first.port
    assert "TLS proxy" not in "".join(first.said + second.said)
    assert (tmp_path / "recall-audio-out" / "queue" / "done").is_dir()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.0.1", "::1", "localhost", "0.0.0.0", "::", "10.0.0.7", "a.example"]
)
def test_it_warns_where_others_than_this_machine_can_reach_it(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from recall_audio.cli import run
    from recall_audio.listen.listener import Listener
    from recall_audio.standin.webhooks import SECRET

    monkeypatch.setattr(Listener, "serve", lambda *_: None)
    monkeypatch.setenv("RECALL_WEBHOOK_SECRET", SECRET)
    assert run(["listen", "--port", "8090", "--host", host, "--queue", str(tmp_path)]) == 0
    is_here = host in ("127.0.0.1", "127.8.0.1", "::1", "localhost")
    assert ("TLS proxy" in capsys.readouterr().err) is not is_here


def test_it_does_not_start_without_a_secret_or_without_its_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from recall_audio.cli import run
    from recall_audio.standin.webhooks import SECRET

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECALL_WEBHOOK_SECRET", raising=False)
    assert run(["listen", "--port", "0"]) == 2
    assert "RECALL_WEBHOOK_SECRET" in capsys.readouterr().err
    (tmp_path / ".env").write_text(f"RECALL_WEBHOOK_SECRET={SECRET}\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run(["listen", "--port", str(taken.getsockname()[1])]) == 4
    assert "port" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["tornado", "standardwebhooks"])
def test_without_its_extra_it_says_in_one_sentence_what_installs_it(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    from recall_audio.cli import run

    for name in [n for n in sys.modules if n.split(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "recall_audio.listen.listener", raising=False)
    assert run(["listen", "--port", "0", "--queue", str(tmp_path)]) == 4
    said = capsys.readouterr().err
    assert package in said
    assert "pip install 'recall-audio[listen]'" in said
