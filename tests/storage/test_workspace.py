"""What a reader of a store can see while recordings are published, replaced, and published by two at once."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from recall_audio.errors import ItemError, MachineError, TransientError, UsageError
from recall_audio.storage import (
    Mirror,
    Store,
    Url,
    address_of,
    discard,
    ensure_file,
    load_state,
    parse_location,
    publish,
    size_of,
)
from recall_audio.storage.store import Conflict
from recall_audio.storage.workspace import Sidecar, publish_fetched, read_sidecar, temporary_workspace


def make(folder: Path, word: str, stems: tuple[str, ...] = ("Ann.wav", "Bob.wav")) -> Path:
    """A recording's folder as a run leaves it, as far as a store looks at it; its content is a word's."""
    files = {
        "recording.json": b'{"schema": "recall-audio/recording/1"}',
        "talk.json": json.dumps({"schema": "recall-audio/talk/1", "word": word}).encode(),
        **{f"stems/{name}": f"{name} {word}".encode() * 50 for name in stems},
        "report.html": b"<p>the same</p>",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    facts = {n: {"bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in files.items()}
    groups = {"talk": ("talk",), "stems": ("stems/",), "report": ("report",)}
    stages = [
        {"name": s, "key": f"{s} {word}", "outputs": {n: f for n, f in facts.items() if n.startswith(begin)}}
        for s, begin in groups.items()
    ]
    body = {"schema": "recall-audio/run/1", "status": "done", "stages": stages}
    body |= {"inputs": {"recording.json": facts["recording.json"]}}
    (folder / "run.json").write_text(json.dumps(body))
    return folder


def content(store: Store) -> dict[str, bytes]:
    """Every object, by name."""
    return {name: store.read(name) for name in store.listing()}


def of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by name."""
    files = [f for f in folder.rglob("*") if f.is_file() and not f.name.startswith(".")]
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in files}


def words(folder: Path) -> set[str]:
    """Of which runs a reader's documents are; none if the recording counts as not processed."""
    if not (folder / "run.json").is_file():
        assert not (folder / "talk.json").is_file()
        return set()
    found = {json.loads((folder / "talk.json").read_text())["word"]}
    return found | {s["key"].split()[1] for s in json.loads((folder / "run.json").read_text())["stages"]}


@pytest.mark.parametrize("where", ["s3", "memory"])
def test_a_published_folder_is_the_same_there_without_what_is_nobodys_business(
    where: str, url: Url, tmp_path: Path
) -> None:
    place = url if where == "s3" else Url(f"memory://{url.text.partition('://')[2]}")
    store, folder = Store(place), make(tmp_path / "one", "first")
    expected = of(folder)
    for name in (".work/run.json", ".work/mix.pcm", ".talk.json.1.abcd1234.part", "crashes.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"?")
    publish(store, folder)
    assert content(store) == expected


def test_what_has_not_changed_is_not_written_again_and_what_is_gone_is_removed(
    store: Store, tmp_path: Path
) -> None:
    publish(store, make(tmp_path / "one", "first", ("Ann.wav", "Bob.wav")))
    before = store.listing()
    second = make(tmp_path / "two", "first", ("Ann.wav",))
    (second / "stems" / "Ann.flac").write_bytes(b"flac")
    run = json.loads((second / "run.json").read_text())
    run["stages"][1]["outputs"]["stems/Ann.flac"] = {
        "bytes": 4,
        "sha256": hashlib.sha256(b"flac").hexdigest(),
    }
    (second / "run.json").write_text(json.dumps(run))
    written: list[str] = []
    watched = Store(store.url)
    upload = watched.upload
    watched.upload = lambda path, name: written.append(name) or upload(path, name)  # type: ignore[method-assign]
    publish(watched, second)
    assert written == ["stems/Ann.flac"]
    assert content(store) == of(second)
    assert set(before) - set(store.listing()) == {"stems/Bob.wav"}


class Killed(BaseException):
    """The writer is no more."""


def dying(url: Url, after: int) -> Store:
    """A store whose writer dies before its next change, once it has made so many."""
    store, left = Store(url), [after]
    for name in ("write", "upload", "remove"):
        real = getattr(store, name)

        def call(*given: Any, _real: Any = real, **more: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return _real(*given, **more)

        setattr(store, name, call)
    return store


def test_a_writer_killed_between_any_two_objects_shows_a_reader_one_run_or_none(
    store: Store, url: Url, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First publication, and replacement by another run: killed before each of their changes."""
    monkeypatch.setattr("recall_audio.storage.cache._WAIT_S", 0.0)
    first, second = make(tmp_path / "one", "first"), make(tmp_path / "two", "second")
    seen: list[frozenset[str]] = []
    for folder in (first, second):
        for n in range(20):
            try:
                publish(dying(url, n), folder)
            except Killed:
                [there] = (
                    Mirror(url).recordings() if "recording.json" in store.listing() else [tmp_path / "no"]
                )
                seen.append(frozenset(words(there)))
                assert len(seen[-1]) <= 1, "of two runs"
            else:
                break
        assert content(store) == of(folder)
        [there] = Mirror(url).recordings()
        assert words(there) == {"first" if folder is first else "second"}
    assert len(seen) >= 8
    assert seen[0] == frozenset()


def test_after_a_killed_replacement_no_spoilt_file_counts_as_the_former_runs(
    store: Store, url: Url, tmp_path: Path
) -> None:
    """Stems of two runs can have the same size: only the mark tells that the former ones are gone."""
    publish(store, make(tmp_path / "one", "abc"))
    with pytest.raises(Killed):
        publish(dying(url, 2), make(tmp_path / "two", "xyz"))
    marked = json.loads(store.read("run.json"))
    assert marked["status"] == "unfinished"
    assert {s["name"]: s["key"] for s in marked["stages"]} == {
        "talk": "",
        "stems": "",
        "report": "report abc",
    }


def test_of_two_who_publish_at_once_the_later_sees_it(store: Store, url: Url, tmp_path: Path) -> None:
    """The same results are nobody's loss; other results are an error that may be tried again."""
    first, second = make(tmp_path / "one", "first"), make(tmp_path / "two", "second")

    def overtaken_by(folder: Path) -> Store:
        late = Store(url)
        upload = late.upload

        def slow(path: Path, name: str) -> None:
            upload(path, name)
            if name == "talk.json":
                late.upload = upload  # type: ignore[method-assign]
                publish(Store(url), folder)

        late.upload = slow  # type: ignore[method-assign]
        return late

    publish(overtaken_by(first), first)
    assert content(store) == of(first)
    with pytest.raises(TransientError, match="at the same time"):
        publish(overtaken_by(first), second)
    publish(store, second)
    assert content(store) == of(second)


def test_a_conditional_write_holds(store: Store) -> None:
    tag = store.write("x", b"1", "")
    with pytest.raises(Conflict):
        store.write("x", b"2", "")
    with pytest.raises(Conflict):
        store.write("x", b"2", '"another"')
    assert store.read("x") == b"1"
    assert store.write("x", b"2", tag) != tag


def test_recording_json_is_the_last_of_a_download(url: Url, tmp_path: Path) -> None:
    folder = make(tmp_path / "one", "first")
    (folder / "source").mkdir()
    (folder / "source" / "mixed.mp3").write_bytes(b"mp3")
    for n in range(3):
        store = dying(url, n)
        try:
            publish_fetched(store, folder)
        except Killed:
            assert "recording.json" not in Store(url).listing()
    assert set(Store(url).listing()) == {"source/mixed.mp3", "recording.json"}


def test_a_stem_comes_when_it_is_asked_for_and_only_with_the_manifests_bytes(
    store: Store, url: Url, tmp_path: Path
) -> None:
    publish(store, make(tmp_path / "one", "first"))
    [there] = Mirror(url).recordings()
    assert not (there / "stems").exists()
    assert ensure_file(there, "stems/Ann.wav").read_bytes() == (tmp_path / "one/stems/Ann.wav").read_bytes()
    store.write("stems/Bob.wav", b"another")
    with pytest.raises(ItemError, match="not what its manifest says"):
        ensure_file(there, "stems/Bob.wav")
    publish(store, make(tmp_path / "two", "second"))
    [there] = Mirror(url).recordings()
    assert ensure_file(there, "stems/Ann.wav").read_bytes() == (tmp_path / "two/stems/Ann.wav").read_bytes()


@pytest.mark.usefixtures("own_folder")
def test_what_is_not_needed_here_counts_as_there(store: Store, url: Url, tmp_path: Path) -> None:

    publish(store, make(tmp_path / "one", "first"))
    there = tmp_path / "scratch"
    assert load_state(store, there)
    assert size_of(there, "stems/Ann.wav") == (tmp_path / "one/stems/Ann.wav").stat().st_size
    assert size_of(there, "stems/Eve.wav") is None
    assert not (there / "stems").exists()
    assert not load_state(Store(url / "elsewhere"), tmp_path / "none")


def test_scratch_folders_of_the_dead_are_removed_and_those_of_the_living_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with temporary_workspace() as mine:
        mine.mkdir()
        (mine.parent.parent / "left").mkdir()
        (mine.parent.parent / "left" / "mix.pcm").write_bytes(b"?")
        with temporary_workspace() as other:
            assert mine.is_dir()
            assert other != mine
            assert not (mine.parent.parent / "left").exists()
    assert not mine.parent.exists()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("data/out", Path("data/out")),
        ("file:///data/my%20out", Path("/data/my out")),
        ("s3://bucket/a/b/", Url("s3://bucket/a/b")),
        ("S3://bucket", Url("s3://bucket")),
        ("gs://bucket//a", Url("gs://bucket/a")),
        ("C:/data", Path("C:/data")),
    ],
)
def test_an_address_is_told_from_a_folder(text: str, place: Path | Url) -> None:
    assert parse_location(text) == place


@pytest.mark.parametrize(
    "text",
    ["s3://", "s3://id:key@bucket/x", "s3://bucket/../x", "s3://bucket/x?a=b", "http://host/x", "s3:///x#y"],
)
def test_an_odd_address_is_refused_without_being_repeated_where_it_could_hold_a_key(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_location(text)
    assert "key@" not in str(refused.value)


def test_a_refusal_is_told_without_the_stores_own_words(
    store: Store, monkeypatch: pytest.MonkeyPatch, s3: Mapping[str, str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("AWSAccessKeyId=canary Signature=canary")

    assert s3
    monkeypatch.setattr(type(store._opened[0]), "find", refuse)
    with pytest.raises(MachineError) as told:
        store.listing()
    assert "canary" not in str(told.value)
    assert told.value.__context__ is None


@pytest.mark.usefixtures("own_folder")
def test_a_file_that_comes_later_leaves_what_is_known_of_the_others(
    store: Store, url: Url, tmp_path: Path
) -> None:
    """A temporary workspace and a mirror have the same sidecar, and either may add to it."""
    publish(store, make(tmp_path / "one", "first"))
    local = tmp_path / "workspace"
    assert load_state(store, local)
    before = read_sidecar(local)
    ensure_file(local, "stems/Ann.wav")
    after = read_sidecar(local)
    assert before is not None
    assert after == before
    assert size_of(local, "stems/Bob.wav") == (tmp_path / "one/stems/Bob.wav").stat().st_size
    discard(local, "stems/Bob.wav")
    assert size_of(local, "stems/Bob.wav") is None
    assert size_of(local, "stems/Ann.wav") is not None


@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize(
    "body", ['{"url": "s3://b/x", "files": {"talk.json": "1 a"}}', '{"url": "s3://b/x"}']
)
def test_a_sidecar_of_another_version_still_names_the_address(tmp_path: Path, body: str) -> None:
    (tmp_path / ".store.json").write_text(body)
    assert read_sidecar(tmp_path) == Sidecar(Url("s3://b/x"))
    assert address_of(tmp_path / "talk.json") == "s3://b/x/talk.json"


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"url"'])
def test_a_folder_whose_sidecar_is_damaged_is_a_folder_of_its_own(tmp_path: Path, body: str) -> None:
    (tmp_path / ".store.json").write_text(body)
    assert read_sidecar(tmp_path) is None
    assert ensure_file(tmp_path, "talk.json") == tmp_path / "talk.json"
