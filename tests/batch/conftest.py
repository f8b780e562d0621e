"""Every batch runs in a lab, and every lab is searched for secrets and leftovers."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from batch.lab import Lab
from batch.meetings import make_meetings, results

from recall_audio import batch
from recall_audio.fetch import Settings
from recall_audio.standin import StandIn


@pytest.fixture(scope="session")
def tiny_meetings(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """Twelve meetings of a second and a half; to be read, not changed."""
    return make_meetings(tmp_path_factory.mktemp("tiny"), 12, seconds=1.5)


@pytest.fixture(scope="session")
def undisturbed(tiny_meetings: Sequence[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a batch of the twelve leaves that nobody disturbs, by path below its folder."""
    out = tmp_path_factory.mktemp("undisturbed")
    with StandIn(tiny_meetings) as server:
        settings = Settings(server.base_url, "us-west-2", server.key)
        outcomes = batch.run(server.bot_ids, lambda: settings, batch.Request(out=out))
    assert {o.status for o in outcomes} == {"done"}
    return results(out)


@pytest.fixture
def lab(
    tmp_path: Path,
    tiny_meetings: Sequence[Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Lab]:
    for name in ("RECALL_API_KEY", "RECALL_BASE_URL", "RECALL_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # limits and locks of its own
    monkeypatch.chdir(tmp_path)
    made = Lab(tmp_path, tiny_meetings, capfd, monkeypatch)
    yield made
    made.close()
