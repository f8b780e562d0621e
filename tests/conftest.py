"""Share fixtures: the sample meeting, served on loopback or processed already, and a command line."""

import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from object_store import s3_server

from recall_audio import batch
from recall_audio.cli import run as run_command
from recall_audio.results.sample import sample_folder, sample_meeting
from recall_audio.standin import Fault, ServedMeeting, StandIn, StandInOptions, State, meeting

# Hypothesis makes no claim about seconds, which belong to the machine.
settings.register_profile("project", deadline=None, max_examples=60)
settings.load_profile("project")

# A shell's background job (`nohup pytest &`) ignores interrupts, and its children inherit that. A handler is
# not inherited: with one set here, every child starts with the default.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

CANARY_KEY = "canary-key-5f0c1d"


@pytest.fixture(scope="session", autouse=True)
def isolated_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep rate limits and locks of the tests apart from those of the user who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("state")
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def processed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Process the sample meeting once, and return its folder: read it, do not change it."""
    out = tmp_path_factory.mktemp("sample")
    with sample_meeting() as (bot_id, reach):
        outcomes = batch.run([bot_id], lambda: reach, batch.Request(out=out))
    assert [o.status for o in outcomes] == ["done"], outcomes
    return Path(outcomes[0].folder)


@pytest.fixture(scope="session")
def s3() -> Iterator[Mapping[str, str]]:
    """Serve S3 with one bucket, and return the environment that leads to it."""
    with s3_server() as environment:
        yield environment


@pytest.fixture
def processed(processed_once: Path, tmp_path: Path) -> Path:
    """Copy the processed sample meeting; the copy may be changed."""
    folder = tmp_path / "out" / processed_once.parent.name / processed_once.name
    shutil.copytree(processed_once, folder)
    return folder


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., StandIn]]:
    """Return a function that serves the sample meeting in a state and sets the environment to it."""
    opened: list[StandIn] = []

    def start(state: State | None = None, faults: tuple[Fault, ...] = (), **content: Any) -> StandIn:
        sample = meeting(sample_folder())
        served = ServedMeeting(sample.folder, sample.content | content, state or State(), sample.bot_id)
        server = StandIn([served], faults, StandInOptions(key=CANARY_KEY))
        server.__enter__()
        opened.append(server)
        monkeypatch.setenv("RECALL_API_KEY", CANARY_KEY)
        monkeypatch.setenv("RECALL_BASE_URL", server.base_url)
        return server

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # other tests may have used up a rate limit
    monkeypatch.chdir(tmp_path)  # the developer's folder may hold a .env file
    for name in ("RECALL_API_KEY", "RECALL_BASE_URL", "RECALL_REGION"):
        monkeypatch.delenv(name, raising=False)
    yield start
    for server in opened:
        server.__exit__(None, None, None)


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command line and returns exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run_command([str(a) for a in arguments])
        told = capfd.readouterr()
        return code, told.out, told.err

    return run
