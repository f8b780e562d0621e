"""Row 3 of the reliability matrix, across processes: limits and a hold after a 429 are everybody's."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recall_audio.fetch.api.rate_limit import MINUTE_S, PER_MINUTE, CallKind, RateLimit, shared_rate_limit

NOW = 1_700_000_000.0
ASKER = """
import sys
from pathlib import Path
from recall_audio.fetch.api.rate_limit import RateLimit
folder, now, kind, n = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3], int(sys.argv[4])
rate_limit = RateLimit(folder, lambda: now)
print(sum(rate_limit.acquire(kind) == 0.0 for _ in range(n)))
"""


def granted(folder: Path, now: float, kind: str = "list", n_processes: int = 3) -> int:
    """Calls that several processes may make that ask 40 times each at one moment, all at once."""

    def ask(_: int) -> int:
        command = [sys.executable, "-c", ASKER, str(folder), str(now), kind, "40"]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    with ThreadPoolExecutor(n_processes) as pool:
        return sum(pool.map(ask, range(n_processes)))


def test_row_3_processes_together_make_no_more_than_55_lists_a_minute(tmp_path: Path) -> None:
    assert granted(tmp_path, NOW) == PER_MINUTE["list"] == 55
    assert RateLimit(tmp_path, lambda: NOW + 59.0).acquire("list") > 0.0
    assert granted(tmp_path, NOW + 61.0) == 55, "a minute later as many again"


def test_row_3_a_hold_is_seen_by_every_process_and_every_kind_of_call(tmp_path: Path) -> None:
    RateLimit(tmp_path, lambda: NOW).hold_until(NOW + 7.0)
    assert granted(tmp_path, NOW + 6.9, n_processes=2) == 0
    other = RateLimit(tmp_path, lambda: NOW)
    kinds: tuple[CallKind, ...] = ("list", "retrieve", "create")
    assert [other.acquire(kind) for kind in kinds] == [7.0] * 3
    other.hold_until(NOW + 2.0)
    assert other.acquire("list") == 7.0, "an earlier end does not shorten it"
    assert granted(tmp_path, NOW + 7.1, n_processes=1) == 40


@pytest.mark.parametrize("is_shared", [False, True], ids=["in memory", "in a folder"])
def test_the_later_end_of_two_holds_stays(is_shared: bool, tmp_path: Path) -> None:
    for ends in ((7.0, 2.0), (2.0, 7.0)):
        rate_limit = RateLimit(tmp_path / str(ends) if is_shared else None, lambda: NOW)
        for end_s in ends:
            rate_limit.hold_until(NOW + end_s)
        assert rate_limit.acquire("list") == 7.0


def test_kinds_of_calls_are_counted_each_by_itself(tmp_path: Path) -> None:
    rate_limit = RateLimit(tmp_path, lambda: NOW)
    assert [sum(rate_limit.acquire(k) == 0.0 for _ in range(300)) for k in ("list", "create")] == [55, 55]
    assert rate_limit.acquire("retrieve") == 0.0


def test_a_wait_is_as_long_as_the_oldest_call_needs_to_be_a_minute_old(tmp_path: Path) -> None:
    at = NOW
    rate_limit = RateLimit(tmp_path, lambda: at)
    for n in range(55):
        at = NOW + n
        assert rate_limit.acquire("list") == 0.0
    assert rate_limit.acquire("list") == pytest.approx(MINUTE_S - 54.0, abs=0.01)


@pytest.mark.parametrize("back_s", [30.0, 86_400.0])
def test_a_clock_that_was_set_back_holds_nobody(tmp_path: Path, back_s: float) -> None:
    before = RateLimit(tmp_path, lambda: NOW)
    before.hold_until(NOW + 5.0)
    while before.acquire("list") == 0.0:
        pass
    later = RateLimit(tmp_path, lambda: NOW - back_s)
    assert later.acquire("list") <= MINUTE_S
    (tmp_path / "held_until").unlink()
    assert later.acquire("list") == 0.0


def test_a_damaged_or_readonly_folder_leaves_each_process_its_own_limits(tmp_path: Path) -> None:
    rate_limit = RateLimit(tmp_path, lambda: NOW)
    assert rate_limit.acquire("list") == 0.0
    for file in tmp_path.glob("calls.sqlite*"):
        if file.suffix != ".lock":
            file.write_bytes(b"no database " * 1000)
    (tmp_path / "held_until").write_bytes(b"\xff soon")
    assert 1 <= sum(rate_limit.acquire("list") == 0.0 for _ in range(100)) <= 55


def test_another_key_is_another_workspace_and_no_key_is_in_a_name(isolated_state: Path) -> None:
    assert shared_rate_limit("canary-key-one") is shared_rate_limit("canary-key-one")
    assert shared_rate_limit("canary-key-one") is not shared_rate_limit("canary-key-two")
    assert not [p for p in isolated_state.rglob("*") if "canary" in p.name]
