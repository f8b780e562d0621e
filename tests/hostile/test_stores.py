"""Plant what makes a local folder upload to, or be written from, another place than it should."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from recall_audio import storage
from recall_audio.storage.store import Facts
from recall_audio.storage.workspace import SIDECAR, Sidecar, read_sidecar, size_of

URL = "s3://attacker/prefix"


def plant(folder: Path) -> None:
    """Write the sidecar that would send results to another's bucket."""
    objects = {"stems/Ann.wav": {"bytes": 7, "tag": "x"}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SIDECAR).write_text(json.dumps({"url": URL, "objects": objects}))


def test_a_planted_sidecar_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage.Store, "upload", lambda *_: pytest.fail("uploaded"))
    monkeypatch.setattr(storage.Store, "listing", lambda *_: pytest.fail("asked"))
    plant(tmp_path)
    (tmp_path / "report.html").write_text("x")
    assert read_sidecar(tmp_path) is None
    assert storage.upload_if_mirrored(tmp_path / "report.html") == str(tmp_path / "report.html")
    assert size_of(tmp_path, "stems/Ann.wav") is None
    storage.ensure_files(tmp_path, ("stems/",))


def test_a_sidecar_is_believed_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    mirror = storage.Mirror(storage.Url("s3://bucket/out"))
    mirror.root.mkdir(parents=True)
    Sidecar(mirror.url).write(mirror.root)
    found = read_sidecar(mirror.root)
    assert found is not None
    assert found.url == mirror.url
    elsewhere = tmp_path / "elsewhere"
    plant(elsewhere)
    (mirror.root / "bot").symlink_to(elsewhere)
    assert read_sidecar(mirror.root / "bot") is None


def test_objects_whose_names_lead_out_are_not_listed(
    s3: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = storage.Store(storage.Url("memory://bucket/out"))

    class System:
        """A store that lists what a bucket may hold."""

        def find(self, path: str, detail: bool) -> Mapping[str, Mapping[str, int]]:
            names = ("bot/rec/recording.json", "bot/../../x", "bot/..", "bot\\..\\x", "c:/x", "bot//x")
            return {f"bucket/out/{name}": {"size": 1} for name in names}

    monkeypatch.setattr(storage.Store, "_opened", (System(), "bucket/out"))
    assert store.listing() == {"bot/rec/recording.json": Facts(1, "")}
