"""Meetings, a policy that runs in milliseconds, and fetches whose every outcome is searched for secrets."""

import json
import pickle
import random
import re
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from recall_audio.errors import RecallAudioError
from recall_audio.fetch import BotFetch, Settings, bot
from recall_audio.fetch.api.rate_limit import RateLimit
from recall_audio.fetch.context import open_context
from recall_audio.fetch.http.retry import Policy, RetryPolicy, TransferPolicy
from recall_audio.model.options import FetchOptions
from recall_audio.standin import Fault, Reply, ServedMeeting, StandIn, StandInOptions, State, meeting

KEY = "canary-key-5f1e9c"
FAST = Policy(
    retry=RetryPolicy(budget_s=3.0, wait_first_s=0.001, wait_most_s=0.004),
    transfer=TransferPolicy(
        read_s=5.0, slow_window_s=30.0, progress_bytes=20_000, slack_bytes=1 << 20, reserve_bytes=1
    ),
    poll_s=0.001,
)


class Clock:
    """A clock that only its own sleep moves on; what slept on it is in `slept`, seconds."""

    def __init__(self) -> None:
        self.at = 1_700_000_000.0
        self.slept: list[float] = []
        self.lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.slept.append(seconds)
            self.at += seconds

    def policy(self) -> Policy:
        return replace(
            FAST, retry=replace(FAST.retry, sleep=self.sleep, budget_s=200.0), now=lambda: self.at,
            monotonic=lambda: self.at,
        )  # fmt: skip


MP3_FRAME = bytes.fromhex("fffb9064") + bytes(413)
ANN = {"id": 100, "name": "Ann", "is_host": True, "platform": "desktop", "extra_data": None, "email": None}
BOB = {**ANN, "id": 101, "name": "Bob", "is_host": False}


def audio(suffix: str, n_bytes: int, seed: int = 1) -> bytes:
    """Bytes that pass for audio of a format, the same for the same seed."""
    noise = random.Random(seed).randbytes(n_bytes)
    if suffix == "mp3":
        frames = (MP3_FRAME[:4] + noise[i : i + 413] for i in range(0, n_bytes - 413, 417))
        return b"".join(frames)
    head = {"ogg": b"OggS\0", "flac": b"fLaC", "wav": b"RIFF\0\0\0\0WAVE", "raw": b"\0\1\0\2"}[suffix]
    return head + noise[len(head) :]


def make_meeting(folder: Path, formats: Sequence[str] = ("ogg", "raw"), n_bytes: int = 100_000) -> Path:
    """A meeting's folder: a mix, a part of each format by Ann, and Bob who never spoke."""
    (folder / "parts").mkdir(parents=True)
    (folder / "mix.mp3").write_bytes(audio("mp3", n_bytes))
    parts = []
    for at, suffix in enumerate(formats):
        part_id = f"00000000-0000-4000-8000-00000000000{at}"
        file = f"parts/{part_id}.{suffix}"
        (folder / file).write_bytes(audio(suffix, n_bytes, seed=10 + at))
        start = {"relative": 0.25 * at - 0.1}
        parts.append({"id": part_id, "participant": ANN, "format": suffix, "file": file})
        parts[-1] |= {"start_timestamp": start, "duration": 3.0}
    content = {"recording_id": "5f9a1c3e-1111-4222-8333-444455556666", "duration": 3.0}
    content |= {"participants": [ANN, BOB], "parts": parts}
    (folder / "meeting.json").write_text(json.dumps(content))
    return folder


def after(meeting_json: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a meeting's description."""
    content = json.loads(meeting_json.read_text())
    change(content)
    meeting_json.write_text(json.dumps(content))


@dataclass
class Lab:
    """One stand-in, one folder of results, and fetches from the one into the other.

    Attributes:
        root: a folder of its own.
        out: where results go.
    """

    root: Path
    server: StandIn = field(init=False)
    said: list[str] = field(default_factory=list)
    failures: list[RecallAudioError] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def folder(self) -> Path:
        """The meeting that is served."""
        return self.root / "meeting"

    def serve(
        self, *faults: Fault, state: State | None = None, options: StandInOptions | None = None, **kind: Any
    ) -> StandIn:
        """A stand-in of one meeting, to be used as a context manager."""
        if not self.folder.exists():
            make_meeting(self.folder, **kind)
        served: ServedMeeting = meeting(self.folder, state)
        self.server = StandIn([served], faults, replace(options or StandInOptions(), key=KEY))
        return self.server

    @property
    def settings(self) -> Settings:
        return Settings(base_url=self.server.base_url, region="us-west-2", key=KEY)

    def fetch(
        self,
        policy: Policy = FAST,
        rate_limit: RateLimit | None = None,
        options: FetchOptions | None = None,
        stop: threading.Event | None = None,
        **more: Any,
    ) -> BotFetch:
        """Fetch the bot; whatever comes of it is searched for secrets."""
        try:
            with open_context(self.settings, options, policy, rate_limit or RateLimit(), stop) as context:
                bot_id = more.pop("bot_id", None) or self.server.bot_ids[0]
                result = bot.fetch_with(context, bot_id, self.out, **more)
        except RecallAudioError as error:
            self.keep(error)
            self.failures.append(error)
            raise
        self.keep(result)
        return result

    def keep(self, thing: Any) -> None:
        """Remember everything that `thing` could show to anybody."""
        self.said += [repr(thing), str(thing), pickle.dumps(thing).decode("latin-1")]
        if isinstance(thing, BaseException):
            self.said.append("".join(traceback.format_exception(thing)))
            seen = thing.__context__
            assert seen is None or isinstance(seen, RecallAudioError), "a library's error is carried along"

    def secrets(self) -> set[str]:
        """The key, and every signature and token that was asked with."""
        found = {KEY}
        for request in self.server.requests:
            for name, value in re.findall(r"(Signature|x-amz-security-token)=([^&]*)", request.query):
                assert name
                found |= {value, unquote_plus(value)}
        return found

    def assert_clean(self) -> None:
        """No temporary file is left, and no secret anywhere."""
        files = [f for f in self.out.rglob("*") if f.is_file()] if self.out.exists() else []
        assert [f for f in files if f.name.endswith(".part")] == []
        texts = [*self.said, *(f.read_bytes().decode("latin-1") for f in files)]
        for secret in self.secrets():
            assert not any(secret in text for text in texts), "a secret got out"

    def asked(self, containing: str) -> list[str]:
        """Paths asked for that hold a word."""
        return self.server.paths(containing)

    def source(self, name: str) -> bytes:
        """Bytes of a fetched file."""
        (found,) = self.out.glob(f"*/*/source/{name}")
        return found.read_bytes()


def replies(path: str, *several: Reply, forever: bool = False) -> Fault:
    """A fault."""
    return Fault(path, several, forever)
