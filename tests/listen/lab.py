"""A listener on loopback, in a thread or as a process of its own; and what is in its queue."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from batch.lab import MAIN

from recall_audio.listen import Queue
from recall_audio.listen.listener import Limits, Listener, Secrets
from recall_audio.standin.webhooks import SECRET, Message, Sender, message

LONGEST_S = 60.0
# Nothing here takes so long; a test that would hang fails instead.


def bot(n: int) -> str:
    """The id of the n-th bot."""
    return f"b0000000-0000-4000-8000-{n:012}"


def done(n: int, kind: str = "audio_separate", message_id: str = "") -> Message:
    """The message that an artifact of the n-th bot is done."""
    ids = {kind: f"a0000000-{kind}-{n:06}", "recording": f"r0000000-{n:06}", "bot": bot(n)}
    return message(f"{kind}.done", ids, message_id or f"msg_{kind}_{n}")


def entries(folder: Path) -> dict[str, dict[str, Any]]:
    """Every entry of a queue that is to be worked off, by bot; each is whole."""
    found = [json.loads(p.read_text("utf-8")) for p in folder.glob("*.json")]
    assert {f"{e['bot_id']}.json" for e in found} == {p.name for p in folder.glob("*.json")}
    return {e["bot_id"]: e for e in found}


@contextlib.contextmanager
def listening(folder: Path, limits: Limits | None = None) -> Iterator[Sender]:
    """A listener in a thread; gives who sends to it."""
    stop, ports = threading.Event(), []
    is_ready = threading.Event()

    def ready(port: int) -> None:
        ports.append(port)
        is_ready.set()

    with_secret = contextlib.ExitStack()
    os.environ["RECALL_WEBHOOK_SECRET"] = SECRET
    with_secret.callback(os.environ.pop, "RECALL_WEBHOOK_SECRET", None)
    with with_secret:
        listener = Listener(Queue(folder), Secrets.from_environment(), limits or Limits())
    thread = threading.Thread(target=listener.serve, args=("127.0.0.1", 0, stop, ready), daemon=True)
    thread.start()
    assert is_ready.wait(LONGEST_S)
    try:
        yield Sender(f"http://127.0.0.1:{ports[0]}/")
    finally:
        stop.set()
        thread.join(LONGEST_S)
        assert not thread.is_alive()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Process:
    """``recall-audio listen`` as users start it."""

    def __init__(self, root: Path, *arguments: str, port: int = 0) -> None:
        env = os.environ | {"RECALL_WEBHOOK_SECRET": SECRET, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-c", MAIN, "listen", "--port", str(port), *arguments]
        self._popen = subprocess.Popen(
            command, cwd=root, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.said: list[str] = []
        self.port = port
        assert self._popen.stderr is not None
        for line in self._popen.stderr:
            self.said.append(line)
            if found := re.search(r"http://[^ ]*?:(\d+)/", line):
                self.port = int(found[1])
                break

    @property
    def sender(self) -> Sender:
        """Who sends to it."""
        return Sender(f"http://127.0.0.1:{self.port}/hook")

    def end(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and wait for the end; gives the exit code."""
        self._popen.send_signal(number)
        out, err = self._popen.communicate(timeout=LONGEST_S)
        self.said += [out, err]
        assert SECRET.removeprefix("whsec_") not in "".join(self.said)
        return self._popen.returncode
