"""A place of each test's own in a store on loopback, and a cache of its own."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from recall_audio.storage import Store, Url


@pytest.fixture
def url(
    s3: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Url:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Url(f"s3://bucket/{abs(hash(request.node.nodeid))}")


@pytest.fixture
def store(url: Url) -> Store:
    return Store(url)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the test's folder be one of those in which a sidecar is believed."""
    monkeypatch.setattr("recall_audio.storage.workspace._temporary_root", lambda: tmp_path)
    return tmp_path
