"""Many machines: what a cluster's workers do to a batch, and what they never see. Real workers."""

import importlib
import json
import os
import pickle
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import distributed
import pytest
from batch.lab import KEY, Lab

from recall_audio import batch
from recall_audio.batch.executors import dask, dask_worker
from recall_audio.batch.executors.dask import DaskExecutor
from recall_audio.errors import MachineError
from recall_audio.fetch.api.settings import KEY_VARIABLE


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A scheduler and two workers, started by somebody who has the key; gives the scheduler's address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, KEY)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            patch.setenv(name, "1")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs="CRITICAL"
        ) as started:
            yield started.scheduler_address


def of(lab: Lab, undisturbed: Mapping[str, bytes]) -> dict[str, bytes]:
    """What an undisturbed batch leaves of the meetings that are served."""
    served = {m.recording_id for m in lab.served()}
    return {name: content for name, content in undisturbed.items() if name.split("/")[1] in served}


def wait_for(lab: Lab, n_lines: int, process: "subprocess.Popen[bytes]") -> None:
    """Until so many recordings have ended."""
    while len(lab.journal()) < n_lines and process.poll() is None:
        time.sleep(0.01)


def test_a_cluster_leaves_the_bytes_and_the_journal_that_one_machine_does(
    lab: Lab, cluster: str, undisturbed: Mapping[str, bytes]
) -> None:
    server = lab.serve(4)
    ran = lab.batch("--cluster", cluster)
    assert (ran.code, ran.statuses()) == (0, ["done"] * 4)
    assert [o["bot_id"] for o in ran.outcomes()] == list(server.bot_ids)
    assert sorted(line["bot_id"] for line in lab.journal()) == sorted(server.bot_ids)
    assert lab.results() == of(lab, undisturbed)

    asked = len(server.requests)
    again = lab.batch("--cluster", cluster)
    assert [o["reused"] for o in again.outcomes()] == [True] * 4
    assert len(server.requests) == asked


def test_folders_are_processed_on_a_cluster_too(
    lab: Lab, cluster: str, undisturbed: Mapping[str, bytes]
) -> None:
    server = lab.serve(2)
    assert lab.run("fetch", *server.bot_ids, "--out", "out", "--quiet").code == 0
    assert lab.run("process", "out", "--cluster", cluster, "--quiet").code == 0
    assert lab.results() == of(lab, undisturbed)


def test_no_worker_ever_has_the_key(lab: Lab, cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers were started with it in their environment; calls are looked at as they leave."""
    sent: list[bytes] = []

    class Watched(DaskExecutor):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            hand_over = self._pool.submit
            self._pool.submit = lambda *a, **k: sent.append(pickle.dumps((a, k))) or hand_over(*a, **k)

    monkeypatch.setattr(dask, "DaskExecutor", Watched)
    lab.serve(2)
    lab.poison(_1="environment")
    assert lab.batch("--cluster", cluster).statuses() == ["done", "done"]
    seen, _ = json.loads((lab.root / "environment.json").read_text())
    (lab.root / "environment.json").unlink()  # what a process began with cannot be changed from inside
    assert KEY_VARIABLE not in seen
    assert KEY not in json.dumps(seen)
    assert len(sent) == 2
    assert lab.served()[0].recording_id.encode() in b"".join(sent), "the calls themselves were looked at"
    assert not any(KEY.encode() in call for call in sent)


def test_what_kills_every_worker_it_meets_fails_alone_and_is_set_aside(
    lab: Lab, cluster: str, undisturbed: Mapping[str, bytes]
) -> None:
    lab.may_leave_parts = True  # of processes that died on another machine: swept by age
    lab.serve(3)
    lab.poison(_1="killed")
    ill = lab.served()[1].recording_id
    first = lab.batch("--cluster", cluster)
    assert (first.code, first.statuses()) == (1, ["done", "failed crashed", "done"])
    assert "4 of the cluster's workers" in first.outcomes()[1]["message"]
    assert lab.tried().count(ill) == 4
    spared = {n: b for n, b in of(lab, undisturbed).items() if ill not in n}
    assert {n: b for n, b in lab.results().items() if ill not in n} == spared
    assert lab.batch("--cluster", cluster).statuses()[1] == "failed set_aside"
    assert lab.tried().count(ill) == 4


def test_what_a_lost_worker_was_at_runs_again(
    lab: Lab, cluster: str, undisturbed: Mapping[str, bytes]
) -> None:
    lab.may_leave_parts = True
    server = lab.serve(4)
    with distributed.Client(cluster, set_as_default=False) as client:
        victim = next(iter(client.run(os.getpid).values()))
    run = lab.start("run", *server.bot_ids, "--out", lab.out, "--json", "--quiet", "--cluster", cluster)
    wait_for(lab, 1, run)
    os.kill(victim, signal.SIGKILL)
    ran = lab.ended(run)
    assert (ran.code, ran.statuses()) == (0, ["done"] * 4)
    left = {n: b for n, b in lab.results().items() if not n.endswith(".part")}
    assert left == of(lab, undisturbed)


def test_ctrl_c_ends_a_batch_on_a_cluster_and_the_next_run_finishes_it(
    lab: Lab, cluster: str, undisturbed: Mapping[str, bytes]
) -> None:
    lab.may_leave_parts = True
    server = lab.serve(5)
    run = lab.start("run", *server.bot_ids, "--out", lab.out, "--json", "--quiet", "--cluster", cluster)
    wait_for(lab, 1, run)
    run.send_signal(signal.SIGINT)
    ran = lab.ended(run)
    assert ran.code == 130
    assert "Traceback" not in ran.err
    assert not list(lab.out.glob(".*")), "the file by which workers see the folder"
    assert lab.batch("--cluster", cluster).code == 0
    left = {n: b for n, b in lab.results().items() if not n.endswith(".part")}
    assert left == of(lab, undisturbed)


def test_workers_of_another_version_are_refused_before_anything_is_asked(
    lab: Lab, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = lab.serve(1)
    monkeypatch.setattr(dask_worker, "build_id", lambda: "9.9.9 (canary)")
    ran = lab.batch("--cluster", cluster)
    assert (ran.code, len(server.requests)) == (4, 0)
    assert "9.9.9 (canary)" in ran.err
    assert "same version" in ran.err


def test_workers_without_the_package_are_refused(
    lab: Lab, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if its modules had other names there."""
    server = lab.serve(1)

    class Unknown:
        def __reduce__(self) -> tuple[Any, ...]:
            return importlib.import_module, ("recall_audio_of_another_machine",)

    monkeypatch.setattr(dask, "RemoteCall", lambda *_: Unknown())
    ran = lab.batch("--cluster", cluster)
    assert (ran.code, len(server.requests)) == (4, 0)
    assert "lacks recall_audio" in ran.err


def test_an_output_that_workers_do_not_see_is_refused(
    lab: Lab, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = lab.serve(1)
    real = dask._token

    @contextmanager
    def unseen(folder: Path) -> Iterator[str]:
        with real(folder) as token:
            Path(token).unlink()
            yield token

    monkeypatch.setattr(dask, "_token", unseen)
    ran = lab.batch("--cluster", cluster)
    assert (ran.code, len(server.requests)) == (4, 0)
    assert str(lab.out) in ran.err
    assert "see under the same path" in ran.err


def test_where_no_scheduler_answers_one_sentence_says_so(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody there; somebody who takes the connection and says nothing; an address that is none."""
    monkeypatch.setattr(dask, "_CONNECT_S", 0.2)
    server = lab.serve(1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        addresses = [f"tcp://127.0.0.1:{silent.getsockname()[1]}"]
        with socket.create_server(("127.0.0.1", 0)) as gone:
            addresses.append(f"tcp://127.0.0.1:{gone.getsockname()[1]}")
        for address in addresses:
            ran = lab.batch("--cluster", address)
            assert ran.code == 4
            assert f"No Dask scheduler answers at {address}." in ran.err
    assert lab.batch("--cluster", "here").code == 2
    assert server.requests == []


def test_what_hangs_on_a_cluster_is_ended_alone(lab: Lab, cluster: str) -> None:
    """Its worker is started anew, and processes the others.

    The time limit leaves room for a worker's start on a busy machine: what hangs has no end.
    """
    lab.serve(4)
    lab.poison(light=True, _0="hang", _2="hang")
    ran = lab.batch("--cluster", cluster, "--item-timeout", "20")
    assert ran.statuses() == ["transient timeout", "done", "transient timeout", "done"]
    assert ran.code == 5
    lab.poison(light=True)
    assert lab.batch("--cluster", cluster, "--item-timeout", "60").statuses() == ["done"] * 4


def test_a_worker_that_cannot_write_is_told_from_one_that_can(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_bytes(b"")
    requirements = dask_worker.build_id(), (str(token),)
    assert dask_worker.check(requirements) == socket.gethostname()
    with pytest.raises(MachineError, match="cannot read and write"):
        dask_worker.check((dask_worker.build_id(), (str(tmp_path / "elsewhere" / "token"),)))
    assert list(tmp_path.iterdir()) == [token]


def test_whoever_waits_for_the_cluster_can_be_a_library(lab: Lab, cluster: str) -> None:
    """The same request without the command; its outcomes are small and plain."""
    lab.serve(1)
    [outcome] = lab.here(cluster=cluster)
    assert outcome.status == "done"
    assert len(pickle.dumps(outcome)) < 1000
    assert batch.Request(out=lab.out).cluster == ""


def test_a_cluster_that_has_lost_all_its_workers_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recall_audio.batch.executors.dask.NO_WORKER_S", 0.2)
    monkeypatch.setattr("recall_audio.batch.executors.dask.POLL_S", 0.01)
    alive = {"tcp://worker": 1}

    class Deserted:
        def get_executor(self, **_: object) -> "Deserted":
            return self

        def submit(self, *_: object, **__: object) -> "Future[None]":
            return Future()

        def nthreads(self) -> dict[str, int]:
            return alive

    pool = DaskExecutor(Deserted(), ("", ()), 1)
    begun, waiting = pool.submit(len, ""), pool.submit(len, "")
    with pytest.raises(TimeoutError):
        begun.result(timeout=0.4)
    alive.clear()
    with pytest.raises(MachineError, match="no worker"):
        begun.result(timeout=60.0)
    assert waiting.cancelled()
    with pytest.raises(MachineError, match="no worker"):
        pool.submit(len, "").result(timeout=60.0)
