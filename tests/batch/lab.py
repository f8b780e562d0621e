"""Batches of tiny meetings by the ordinary command; whatever it says or leaves is searched for secrets."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
from batch import poison
from batch.meetings import results

from recall_audio import batch
from recall_audio.cli import run as run_command
from recall_audio.fetch import Settings
from recall_audio.model.outcome import Outcome
from recall_audio.standin import Fault, ServedMeeting, StandIn, StandInOptions, State, meeting

KEY = "canary-key-8d02b7"
MAIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from recall_audio.cli import main
main()
"""
# A shell's background job ignores SIGINT, and its children inherit that: the command gets the default back.
LONGEST_S = 180.0
# Nothing here takes so long; a test that would hang fails instead.


@dataclass(frozen=True)
class Ran:
    """How a command ended: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    def outcomes(self) -> list[dict[str, Any]]:
        """What ``--json`` printed."""
        return [json.loads(line) for line in self.out.splitlines()]

    def statuses(self) -> list[str]:
        """Every outcome's status, with its code where it has one."""
        return [f"{o['status']} {o['code']}".strip() for o in self.outcomes()]


@dataclass
class Lab:
    """One stand-in, one folder of results, and commands from the one into the other.

    Attributes:
        root: a folder of its own; the working folder of every command.
        meetings: tiny meetings, ready to be served.
        capfd: hears what commands say that run in this process.
        patch: undone when the test ends.
    """

    root: Path
    meetings: Sequence[Path]
    capfd: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch
    server: StandIn = field(init=False)
    said: list[str] = field(default_factory=list)
    may_leave_parts: bool = False
    _running: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def out(self) -> Path:
        """Where results go."""
        return self.root / "out"

    def serve(self, n: int, *faults: Fault, state: State | None = None, **options: Any) -> StandIn:
        """Serve so many meetings from now on, and point the environment at them."""
        return self.serve_these([meeting(f, state) for f in self.meetings[:n]], *faults, **options)

    def serve_these(self, served: Sequence[ServedMeeting], *faults: Fault, **options: Any) -> StandIn:
        """Serve some meetings from now on."""
        self.server = StandIn(served, faults, StandInOptions(key=KEY, **options)).__enter__()
        self.patch.setenv("RECALL_API_KEY", KEY)
        self.patch.setenv("RECALL_BASE_URL", self.server.base_url)
        return self.server

    def poison(self, *, light: bool = False, **ills: str) -> None:
        """Let recordings be ill, by place (``_0="segfault"``); `light`: the others are not processed."""
        folders = {f"_{i}": m.recording_id for i, m in enumerate(self.served())}
        plan = {"light": light, "ills": {folders[place]: ill for place, ill in ills.items()}}
        (self.root / "poison.json").write_text(json.dumps(plan))
        self.patch.setattr("recall_audio.batch.tasks.process_safely", poison.process_safely)

    def served(self) -> list[ServedMeeting]:
        """The meetings that are served, in their bots' order."""
        return [meeting(f) for f in self.meetings[: len(self.server.bot_ids)]]

    def tried(self) -> list[str]:
        """Recordings that a poisoned process was given, in order."""
        log = self.root / "calls.log"
        return log.read_text().split() if log.exists() else []

    def run(self, *arguments: object) -> Ran:
        """A command in this process."""
        self.capfd.readouterr()
        code = run_command([str(a) for a in arguments])
        told = self.capfd.readouterr()
        self.said += [told.out, told.err]
        return Ran(code, told.out, told.err)

    def batch(self, *arguments: object) -> Ran:
        """``run`` for every bot, with outcomes as JSON."""
        return self.run("run", *self.server.bot_ids, "--out", self.out, "--json", *arguments)

    def here(self, *bot_ids: str, **asked: Any) -> list[Outcome]:
        """The same batch without a command and without worker processes, which is quicker."""
        settings = Settings(self.server.base_url, "us-west-2", KEY)
        request = batch.Request(out=self.out, **asked)
        outcomes = batch.run(bot_ids or self.server.bot_ids, lambda: settings, request)
        self.said += [repr(outcomes), pickle.dumps(outcomes).decode("latin-1")]
        return outcomes

    def start(self, *arguments: object, **environment: str) -> "subprocess.Popen[bytes]":
        """A command in a process group of its own; :meth:`ended` gives what came of it."""
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, *map(str, arguments)],
            cwd=self.root,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def ended(self, process: "subprocess.Popen[bytes]") -> Ran:
        """How a started command ended; waits for it."""
        out, err = process.communicate(timeout=LONGEST_S)
        self.said += [out.decode(), err.decode()]
        return Ran(process.returncode, out.decode(), err.decode())

    def journal(self) -> list[dict[str, Any]]:
        """Every line of the journal."""
        file = self.out / "journal.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def n_ended(self) -> int:
        """Whole lines of the journal."""
        file = self.out / "journal.jsonl"
        return file.read_bytes().count(b"\n") if file.exists() else 0

    def results(self) -> Mapping[str, bytes]:
        """Every file whose bytes are a result."""
        return results(self.out)

    def folder(self, i: int) -> Path:
        """The folder of the i-th bot's recording."""
        [found] = (self.out / self.server.bot_ids[i]).iterdir()
        return found

    def secrets(self) -> set[str]:
        """The key, and every signature and token that was asked with."""
        found = {KEY}
        for request in self.server.requests:
            for value in re.findall(r"(?:Signature|x-amz-security-token)=([^&]*)", request.query):
                found |= {value, unquote_plus(value)}
        return found

    def close(self) -> None:
        """End what still runs, and look for secrets and leftovers."""
        for process in self._running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        if not hasattr(self, "server"):
            return
        self.server.__exit__(None, None, None)
        files = [f for f in self.root.rglob("*") if f.is_file()]
        assert self.may_leave_parts or not [f for f in files if f.name.endswith(".part")]
        texts = [*self.said, *(f.read_bytes().decode("latin-1") for f in files)]
        for secret in self.secrets():
            assert not any(secret in text for text in texts), "a secret got out"
