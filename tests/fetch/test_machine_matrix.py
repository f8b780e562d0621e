"""Rows 30 and 36-40 of the reliability matrix: what this machine may do wrong, and being stopped."""

import errno
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from fetch.lab import FAST, KEY, Lab, make_meeting, replies

from recall_audio.errors import MachineError, TransientError
from recall_audio.fetch import Settings, bot
from recall_audio.fetch.api.rate_limit import RateLimit
from recall_audio.fetch.context import open_context
from recall_audio.standin import Reply, StandIn, State, meeting

resource = pytest.importorskip("resource", reason="needs POSIX: limits and SIGKILL")
MIX = r"/mix\.mp3"


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(f.relative_to(root)): f.read_bytes() for f in sorted(root.rglob("*")) if f.is_file()}


def undisturbed(lab: Lab) -> dict[str, bytes]:
    """What a fetch that nothing disturbs leaves."""
    other = Lab(lab.root / "undisturbed")
    make_meeting(other.folder)
    with other.serve():
        other.fetch()
    return tree(other.out)


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, name: str, nth: int) -> Iterator[list[int]]:
    """The `nth` call of ``os.fsync`` or ``os.replace`` finds the disk full; gives the calls made."""
    calls: list[int] = []
    real = getattr(os, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, call)
        yield calls


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_row_36_whichever_flush_or_rename_finds_the_disk_full_nothing_half_done_stays(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Fail the 1st, the 2nd, ... until a run goes through; then all is as if nothing had happened."""
    with lab.serve():
        for nth in range(1, 60):
            with failing(monkeypatch, name, nth) as calls, suppress(MachineError):
                lab.fetch()
            failure = lab.failures.pop() if lab.failures else None
            if failure is None:
                break
            assert failure.code == "disk_full"
            lab.assert_clean()
        assert len(calls) < nth, "the run that went through was not the one that was to fail"
        assert nth > 3
    assert tree(lab.out) == undisturbed(lab)


def test_row_36_a_file_that_cannot_grow_is_a_full_disk(lab: Lab) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with lab.serve():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        try:
            with pytest.raises(MachineError) as caught:
                lab.fetch()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert caught.value.code == "disk_full"
        lab.assert_clean()
        lab.fetch()
    assert tree(lab.out) == undisturbed(lab)


def test_row_36_a_file_that_will_not_fit_is_not_begun(lab: Lab) -> None:
    seen: list[str] = []
    with lab.serve(), pytest.raises(MachineError) as caught:
        lab.fetch(
            replace(FAST, transfer=replace(FAST.transfer, reserve_bytes=1 << 60)),
            progress=lambda what, done, total: seen.append(what),
        )
    assert caught.value.code == "disk_full"
    assert seen == []


CHILD = """
import os, signal, sys
from pathlib import Path
from recall_audio.fetch import Settings, fetch_bot
from recall_audio.model.options import FetchOptions
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
url, bot_id, out, kill_at = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
def progress(what, done, total):
    if 0 < kill_at <= done:
        os.kill(os.getpid(), signal.SIGKILL)
fetch_bot(bot_id, out, Settings(url, "us-west-2", os.environ["RECALL_API_KEY"]), FetchOptions(), progress)
"""


def child(lab: Lab, kill_at: int = 0) -> "subprocess.Popen[bytes]":
    """A fetch in a process of its own, which kills itself once any file has so many bytes."""
    command = [
        sys.executable,
        "-c",
        CHILD,
        lab.settings.base_url,
        lab.server.bot_ids[0],
        str(lab.out),
        str(kill_at),
    ]
    return subprocess.Popen(command, env={**os.environ, "RECALL_API_KEY": KEY})


def test_row_37_killed_anywhere_a_second_run_ends_as_if_undisturbed(lab: Lab) -> None:
    slowly = Reply(chunk_bytes=9_000, pause_s=0.001)
    with lab.serve(replies("/store/.*(mp3|ogg|raw)", slowly, forever=True)):
        for kill_at in (1, 40_000, 99_000):
            assert child(lab, kill_at).wait() == -signal.SIGKILL
            assert not list(lab.out.glob("*/*/recording.json")), "the manifest is written last"
        left = list(lab.out.rglob("*.part"))
        for part in left:
            os.utime(part, (time.time() - 86_400.0,) * 2)  # a day later
        assert left
        lab.fetch()
    assert tree(lab.out) == undisturbed(lab)


def test_row_38_two_processes_may_fetch_the_same_bot(lab: Lab) -> None:
    with lab.serve():
        both = [child(lab), child(lab)]
        assert [one.wait() for one in both] == [0, 0]
    assert tree(lab.out) == undisturbed(lab)


def stopping_after(lab: Lab, containing: str, stop: threading.Event) -> threading.Thread:
    """Set `stop` once a path has been asked for."""

    def watch() -> None:
        while not lab.asked(containing):
            time.sleep(0.005)
        stop.set()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        pytest.param("/bot/", Reply(status=429, headers={"Retry-After": "100"}), id="during a Retry-After"),
        pytest.param("mix.mp3", Reply(chunk_bytes=1000, pause_s=300.0), id="while a body stalls"),
    ],
)
def test_row_40_a_stop_ends_every_wait(lab: Lab, path: str, fault: Reply) -> None:
    """Without the stop either would last far beyond any limit of a test run."""
    patient = replace(
        FAST, retry=replace(FAST.retry, budget_s=1000.0), transfer=replace(FAST.transfer, read_s=900.0)
    )
    stop = threading.Event()
    with lab.serve(replies(path, fault, forever=True)):
        stopping_after(lab, path, stop)
        with pytest.raises(TransientError) as caught:
            lab.fetch(patient, stop=stop)
    assert caught.value.code == "interrupted"
    assert not list(lab.out.glob("*/*/recording.json"))


def test_row_40_ctrl_c_ends_a_fetch_and_leaves_nothing_half_done(lab: Lab) -> None:
    stalled = replies(MIX, Reply(chunk_bytes=1000, pause_s=300.0), forever=True)
    with lab.serve(stalled):
        process = child(lab)
        while not lab.asked("mix.mp3"):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == -signal.SIGINT
    assert not list(lab.out.glob("*/*/recording.json"))


def test_row_30_a_certificate_is_checked_and_a_ca_bundle_honoured(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same server, with and without REQUESTS_CA_BUNDLE; never is a check left out, never repeated."""
    authority = trustme.CA()
    tls_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls_context)
    bundle = lab.root / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    make_meeting(lab.folder)
    lab.server = StandIn([meeting(lab.folder, State())], tls=tls_context)
    with lab.server as server:
        settings = Settings(server.base_url, "us-west-2", server.key)
        with open_context(settings, policy=FAST, rate_limit=RateLimit()) as context:
            with pytest.raises(MachineError) as caught:
                bot.fetch_with(context, server.bot_ids[0], lab.out)
            assert caught.value.code == "tls"
            assert context.cancellation.retries == 0
            assert server.requests == []
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
            (recording,) = bot.fetch_with(context, server.bot_ids[0], lab.out).recordings
    lab.keep(caught.value)
    assert recording.status == "complete"
