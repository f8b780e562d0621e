"""Try to reach files outside a recording's folder by names in its documents, listings and links."""

import ast
import json
import os
import shutil
import wave
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import recall_audio
from recall_audio import batch
from recall_audio.batch import previous_runs
from recall_audio.cli import run as run_command
from recall_audio.errors import ItemError
from recall_audio.fetch.ledger import Ledger
from recall_audio.files import path_in, read_json, relative_name
from recall_audio.model.meeting import MediaFile
from recall_audio.pipeline.documents import Layout, read_meeting
from recall_audio.pipeline.manifest import earlier

Document = dict[str, Any]
SECRET = bytes(range(1, 200)) * 64
"""Samples of the user's own file, which no result may hold."""


@pytest.fixture
def handed(processed_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Copy a finished recording, as one is handed a folder, beside a file of the user's own."""
    folder = tmp_path / "out" / "bot" / "recording"
    shutil.copytree(processed_once, folder)
    with wave.open(str(tmp_path / "own.wav"), "wb") as own:
        own.setparams((1, 2, 16_000, 0, "NONE", ""))
        own.writeframes(SECRET)
    monkeypatch.setenv("RECALL_PSEUDONYM_KEY", "k" * 32)
    before = (tmp_path / "own.wav").read_bytes()
    yield folder
    assert (tmp_path / "own.wav").read_bytes() == before, "the user's file was changed"
    # A link that was planted is read through; what is looked for is a copy.
    written = [f for f in tmp_path.rglob("*") if f.is_file() and not f.is_symlink() and f.name != "own.wav"]
    assert not [f for f in written if SECRET[:4000] in f.read_bytes()], "the user's file was taken in"


def rewrite(file: Path, change: Callable[[Document], object]) -> None:
    """Change a document."""
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def plant_output(folder: Path, name: str) -> None:
    """Name a file as a result of the stems."""

    def change(run: Document) -> None:
        outputs = next(s for s in run["stages"] if s["name"] == "stems")["outputs"]
        outputs[name] = {"bytes": 1, "sha256": "0" * 64}

    rewrite(folder / "run.json", change)


def plant_source(folder: Path, name: str) -> None:
    """Name a file as the mixed audio."""
    rewrite(folder / "recording.json", lambda r: r["mix"].update(file=name, format="wav", n_bytes=1))


def plant_part(folder: Path, name: str) -> None:
    """Name a file as one part's audio."""
    rewrite(folder / "recording.json", lambda r: r["parts"][0]["media"].update(file=name, format="wav"))


def plant_stem(folder: Path, name: str) -> None:
    """Name a file as a stem."""
    rewrite(folder / "stems.json", lambda s: s["stems"][0].update(file=name))


PLANTS = {f.__name__: f for f in (plant_output, plant_source, plant_part, plant_stem)}
COMMANDS: Mapping[str, list[str]] = {
    "lufs": ["process", "DIR", "--lufs", "-20"],
    "force": ["process", "DIR", "--force"],
    "verify": ["process", "DIR", "--verify"],
    "pseudonymise": ["pseudonymise", "DIR", "--into", "INTO"],
    "export": ["export", "DIR", "--to", "hf", "--pseudonymise"],
    "export plain": ["export", "DIR", "--to", "hf"],
}


def link(folder: Path) -> str:
    """Plant a link to the user's file inside the folder and return its name."""
    (folder / "stems" / "x.wav").symlink_to(folder.parents[2] / "own.wav")
    return "stems/x.wav"


NAMES = {
    "up": lambda folder: "../../../own.wav",
    "link": link,
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", NAMES)
def test_no_planted_name_reaches_a_file_of_the_user(
    handed: Path, name: str, plant: str, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if (plant, command) in {("plant_output", "force"), ("plant_output", "lufs"), ("plant_output", "verify")}:
        pytest.skip("redoes everything: in test_a_forced_run_over_planted_results")
    PLANTS[plant](handed, NAMES[name](handed))
    words = {"DIR": str(handed), "INTO": str(handed.parents[2] / "coded")}
    code = run_command([words.get(word, word) for word in COMMANDS[command]])
    said = "".join(capfd.readouterr())
    assert "unexpected error" not in said
    assert "should not happen" not in said
    if plant in ("plant_source", "plant_part") and name != "link":
        assert (code, "refused" in said) == (1, True)


def test_a_forced_run_over_planted_results_writes_its_own(handed: Path) -> None:
    plant_output(handed, "../../../own.wav")
    assert run_command(["process", str(handed), "--force"]) == 0
    outputs = {n for s in json.loads((handed / "run.json").read_text())["stages"] for n in s["outputs"]}
    assert outputs
    assert all((handed / n).is_file() for n in outputs)


@pytest.mark.parametrize("name", ["recording.json", "Recording.JSON", "source/mixed.mp3", "SOURCE/mixed.mp3"])
def test_what_was_fetched_is_no_result_to_be_removed(handed: Path, name: str) -> None:
    plant_output(handed, name)
    assert earlier(Layout(handed), {}).known == {}
    assert previous_runs.discard_changed(handed) == []
    assert (handed / "recording.json").is_file()


@pytest.mark.parametrize("folder", [".work", "stems"])
def test_results_are_not_written_through_a_folder_that_is_a_link(
    handed: Path, folder: str, capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere = handed.parents[2] / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine")
    shutil.rmtree(handed / folder, ignore_errors=True)
    (handed / folder).symlink_to(elsewhere)
    assert run_command(["process", str(handed), "--force"]) == 1
    assert [f.name for f in elsewhere.iterdir()] == ["mine"]
    assert "leads out of the folder" in "".join(capfd.readouterr())


def test_a_run_that_verifies_deletes_no_file_that_a_document_names_outside(handed: Path) -> None:
    plant_source(handed, "../../../own.wav")
    request = batch.Request(out=handed.parents[1], verify=True)
    assert previous_runs.fetched_folders("bot", request) is None


def test_a_ledger_names_files_of_its_folder_only(handed: Path) -> None:
    (handed / "source" / "link.wav").symlink_to(handed.parents[2] / "own.wav")
    rows = {n: {"file": f, "n_bytes": 1} for n, f in (("a", "../../own.wav"), ("b", "source/link.wav"))}
    ledger = {"schema": "recall-audio/fetched/1", "files": rows}
    (handed / "source" / "fetched.json").write_text(json.dumps(ledger))
    assert [Ledger(handed).find(name, MediaFile()) for name in rows] == [None, None]


def test_a_label_of_a_document_is_no_path_for_an_export(handed: Path) -> None:
    def change(value: Document) -> None:
        value["speakers"]["../../../../own"] = value["speakers"].pop(next(iter(value["speakers"])))

    for kind in ("segments", "speakers", "talk"):
        rewrite(handed / f"{kind}.json", change)
    assert run_command(["export", str(handed), "--to", "whisper"]) in (0, 1)
    assert not list(handed.parents[2].glob("own.*[!v]"))


def test_a_copy_is_not_written_through_a_link(handed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    into = handed.parents[2] / "coded"
    assert run_command(["pseudonymise", str(handed), "--into", str(into)]) == 0
    (bot,) = into.iterdir()
    elsewhere = handed.parents[2] / "elsewhere"
    bot.rename(elsewhere)
    before = {f: f.stat().st_mtime_ns for f in elsewhere.rglob("*")}
    bot.symlink_to(elsewhere)
    assert run_command(["pseudonymise", str(handed), "--into", str(into)]) == 1
    assert {f: f.stat().st_mtime_ns for f in elsewhere.rglob("*")} == before
    assert "leads out of the folder" in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/../b", "/x", "a//b", "a/", "C:/x", "C:x", "a\\b", "..\\x", "\\\\host\\x",
     "a\0b", "a\nb", "a/.. ", "a/..", "a.", "a ", "x:stream", None, 7, ["a"], {"a": 1}],
)  # fmt: skip
def test_the_gate_refuses_what_is_no_path_downwards(tmp_path: Path, name: object) -> None:
    with pytest.raises(ItemError) as caught:
        path_in(tmp_path, name)
    assert caught.value.code == "unsafe_path"
    assert all(c.isprintable() for c in caught.value.message)


@pytest.mark.parametrize("name", ["a", "stems/Ann_Lee.wav", ".work/mix.s16", "stems/Łukasz.wav", "a..b/c"])
def test_the_gate_lets_through_every_name_of_our_own(tmp_path: Path, name: str) -> None:
    assert path_in(tmp_path, name) == tmp_path / name
    assert relative_name(name) == name


def test_the_gate_follows_links_inside_the_folder_only(tmp_path: Path) -> None:
    (tmp_path / "in" / "real").mkdir(parents=True)
    (tmp_path / "in" / "near").symlink_to("real")
    (tmp_path / "in" / "far").symlink_to(tmp_path)
    (tmp_path / "in" / "round").symlink_to("round")
    assert path_in(tmp_path / "in", "near/x") == tmp_path / "in" / "near" / "x"
    for name in ("far", "far/x", "far/in/real/../.."):
        with pytest.raises(ItemError):
            path_in(tmp_path / "in", name)


@pytest.mark.parametrize(
    "change",
    [
        {"n_bytes": -1},
        {"n_bytes": "many"},
        {"duration_s": 1e300},
        {"duration_s": -1.0},
        {"duration_s": "1"},
        {"format": 7},
        {"file": 7},
    ],
    ids=str,
)
def test_a_document_with_another_type_or_an_absurd_number_is_refused(handed: Path, change: Document) -> None:
    rewrite(handed / "recording.json", lambda r: r["parts"][0]["media"].update(change))
    with pytest.raises(ItemError):
        read_meeting(Layout(handed))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 401, "NaN", "Infinity"])
def test_a_document_with_a_number_beyond_every_float_is_refused(tmp_path: Path, number: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(f'{{"schema": "recall-audio/x/1", "value": {number}}}')
    with pytest.raises(ItemError):
        read_json(file, "x")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_document_that_is_a_pipe_is_refused_and_not_waited_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(ItemError):
        read_json(tmp_path / "run.json", "run")


FROM_OUTSIDE = {"file", "part_id", "recording_id", "bot_id", "label", "email"}
"""Fields whose values come from documents, an API or a store."""
JOINED = {
    "fetch/bot.py: root / safe_id(recording.recording_id)": "safe_id",
    "pipeline/stems/export.py: self.folder / f\"{track.label}{SUFFIXES.get(kind, '.wav')}\"": "made here",
    "pipeline/stems/export.py: self.folder / f'{track.label}.wav'": "made here",
    "batch/workspace.py: self.store.url / outcome.bot_id": "an address to show",
    "batch/workspace.py: self.store.url / outcome.bot_id / outcome.recording_id": "an address to show",
    "fetch/ledger.py: Path(media.file)": "asks whether it is a plain name",
    "listen/queue.py: self._taken / f'{entry.bot_id}.json'": "an entry's bot is its file's name",
}
"""Joins of read data that are safe, and why; every other goes through ``files.path_in``."""


def joined(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield every expression that makes a path of something that a document or an API may have said."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            given: list[ast.expr] = [node.right]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rsplit(".", 1)[-1] in PATH_MAKERS:
            given = node.args
        else:
            continue
        for inner in (n for argument in given for n in ast.walk(argument)):
            is_key = isinstance(inner, ast.Subscript) and isinstance(inner.slice, ast.Constant)
            if (is_key and isinstance(inner.slice.value, str)) or (
                isinstance(inner, ast.Attribute) and inner.attr in {*FROM_OUTSIDE, "get"}
            ):
                yield node
                break


PATH_MAKERS = {"Path", "PurePath", "joinpath", "with_name"}


def test_no_module_joins_a_path_from_what_a_document_holds() -> None:
    package, found = Path(recall_audio.__file__).parent, set()
    for module in sorted(package.rglob("*.py")):
        name = module.relative_to(package).as_posix()
        if not name.startswith("standin/"):  # serves files of its own
            tree = ast.parse(module.read_text("utf-8"))
            found |= {f"{name}: {ast.unparse(node)}" for node in joined(tree)}
    assert found - JOINED.keys() == set(), "use files.path_in"
    assert JOINED.keys() - found == set(), "these are gone: remove them"


def test_the_contract_sees_a_join_of_read_data() -> None:
    for bad in ("folder / row['file']", "Path(folder, part.part_id)", "root.joinpath(doc.get('x'))"):
        assert list(joined(ast.parse(bad))), bad
    assert not list(joined(ast.parse("path_in(folder, row['file'])")))
    assert not list(joined(ast.parse("folder / 'run.json'")))
