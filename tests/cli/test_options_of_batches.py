"""Options of run, process and fetch reach the batch, each its own field and no other."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from cli.covered import covers

from recall_audio import batch
from recall_audio.batch import queue_worker
from recall_audio.model.options import OPTION_FIELDS, Options
from recall_audio.model.outcome import Outcome

Command = Callable[..., tuple[int, str, str]]
Reached = Callable[..., dict[str, Any]]

BOT = "7d19a95b-deae-502c-a5d6-83e77e1b42d6"
PROCESSING = tuple(field.name for field in dataclasses.fields(Options))


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Fields of dataclasses within dataclasses by their dotted names."""
    if not dataclasses.is_dataclass(value):
        return {name: value}
    inner = [flat(getattr(value, f.name), f"{name}.{f.name}".lstrip(".")) for f in dataclasses.fields(value)]
    return {k: v for part in inner for k, v in part.items()}


@pytest.fixture
def reached(command: Command, monkeypatch: pytest.MonkeyPatch, processed_once: Path) -> Reached:
    """What a command line asks the batch for, where it differs from the command without options."""
    monkeypatch.setenv("RECALL_API_KEY", "canary-key-5f0c1d")
    monkeypatch.delenv("RECALL_REGION", raising=False)
    monkeypatch.delenv("RECALL_BASE_URL", raising=False)
    asked: list[dict[str, Any]] = []

    def run(ids: list[str], settings: Any, request: batch.Request, *_: Any, **__: Any) -> list[Any]:
        asked.append({**flat(request), "ids": ids, "region": settings().region})
        return []

    def process_folders(folders: list[Path], request: batch.Request, *_: Any, **__: Any) -> list[Any]:
        asked.append({**flat(request), "folders": folders})
        return []

    def process_queue(source: Any, settings: Any, request: batch.Request, *_: Any, **__: Any) -> list[Any]:
        asked.append({**flat(request), "follow": source.follow, "queue": source.queue.folder})
        return []

    monkeypatch.setattr(batch, "run", run)
    monkeypatch.setattr(batch, "process_folders", process_folders)
    monkeypatch.setattr(queue_worker, "process_queue", process_queue)

    def difference(name: str, *options: object) -> dict[str, Any]:
        subject = processed_once if name == "process" else BOT
        for arguments in ([], options):
            code, _, said = command(name, subject, *arguments)
            assert code in ((0, 5) if "--queue" in arguments else (0,)), said
        plain, asked_for = asked[-2:]
        return {k: v for k, v in asked_for.items() if k not in plain or plain[k] != v}

    return difference


FLAGS: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "--no-join": ("run process", [], {"options.people.join": False}),
    "--search": ("run process", ["1.5"], {"options.align.search_s": 1.5}),
    "--whole-mix": ("run process", [], {"options.align.whole_mix": True}),
    "--no-align": ("run process", [], {"options.align.enabled": False}),
    "--keep-leakage": ("run process", [], {"options.speech.remove_leakage": False}),
    "--threshold": ("run process", ["0.4"], {"options.speech.threshold": 0.4}),
    "--normalize": ("run process", ["peak"], {"options.stems.normalize": "peak"}),
    "--lufs": ("run process", ["podcast"], {"options.stems.lufs": -16.0}),
    "--peak": ("run process", ["-3"], {"options.stems.peak_dbtp": -3.0}),
    "--max-gain": ("run process", ["12"], {"options.stems.max_gain_db": 12.0}),
    "--limit": ("run process", [], {"options.stems.limit": True}),
    "--rate": ("run process", ["native"], {"options.stems.rate_hz": 0}),
    "--bits": ("run process", ["24"], {"options.stems.bits": "24"}),
    "--stem-format": ("run process", ["flac"], {"options.stems.format": "flac"}),
    "--mixdown": ("run process", [], {"options.stems.mixdown": True}),
    "--silent-stems": ("run process", [], {"options.stems.silent": True}),
    "--poly": ("run process", [], {"options.stems.poly": True}),
    "--gate": ("run process", [], {"options.stems.gate": True}),
    "--speakers": ("run process", ["Ann, Bob"], {"options.stems.speakers": ("Ann", "Bob")}),
    "--jobs": ("run process", ["3"], {"jobs": 3}),
    "--cluster": ("run process", ["tcp://h:8786"], {"cluster": "tcp://h:8786"}),
    "--item-timeout": ("run process", ["9.5"], {"item_timeout_s": 9.5}),
    "--verify": ("run process", [], {"verify": True}),
    "--discard-work": ("run process", [], {"keep_work": False}),
    "--force": ("run process fetch", [], {"force": True}),
    "--max-failures": ("run fetch", ["2"], {"max_failures": 2}),
    "--out": ("run fetch", ["elsewhere"], {"out": Path("elsewhere")}),
    "--region": ("run fetch", ["eu-central-1"], {"region": "eu-central-1"}),
    "--wait": ("run fetch", ["60"], {"fetch.wait_s": 60.0}),
    "--transcript": ("run fetch", [], {"fetch.transcript": True}),
    "--at-once": ("run fetch", ["2"], {"fetch.at_once": 2}),
    "--bots-at-once": ("run fetch", ["5"], {"fetch.bots_at_once": 5}),
    "--allow-download-host": (
        "run fetch",
        ["media.example.com"],
        {"fetch.allow_hosts": ("media.example.com",)},
    ),
}
"""Each flag, the commands that have it, its value, and the field that it sets."""

for _flag, (_commands, _, _) in FLAGS.items():
    covers(_commands, _flag)


@pytest.mark.parametrize(
    ("name", "flag"), [(name, flag) for flag, (names, _, _) in FLAGS.items() for name in names.split()]
)
def test_a_flag_reaches_the_batch_and_changes_nothing_else(reached: Reached, name: str, flag: str) -> None:
    _, values, expected = FLAGS[flag]
    assert reached(name, flag, *values) == expected


ARTIFACTS = (("r", "audio_mixed", "a"), ("r", "audio_separate", "b"))
OTHERS: dict[Any, tuple[str, Any]] = {
    tuple[str, ...]: ("Ann,Bob", ("Ann", "Bob")),
    tuple[float, ...]: ("0.25, 0.5", (0.25, 0.5)),
    tuple[tuple[str, str, str], ...]: ("r:audio_mixed:a, r:audio_separate:b", ARTIFACTS),
}


def other_value(key: str) -> tuple[str, Any]:
    """A value of a field that is not its default: as text and as the field holds it."""
    field = OPTION_FIELDS[key]
    if field.type in OTHERS:
        return OTHERS[field.type]
    if field.type is bool:
        return ("no", False) if field.default else ("yes", True)
    value: Any = field.default / 2 if field.type is float and field.default else 1.5
    if field.type is int:
        value = 8000 if key.endswith("rate_hz") else field.default + 1
    if get_origin(field.type) is Literal:
        value = next(choice for choice in get_args(field.type) if choice != field.default)
    return str(value), value


@covers("run process fetch", "--set")
@pytest.mark.parametrize("key", [k for k, f in OPTION_FIELDS.items() if f.step in ("fetch", *PROCESSING)])
def test_set_reaches_every_field_of_every_step(reached: Reached, key: str) -> None:
    text, value = other_value(key)
    is_fetching = key.startswith("fetch.")
    expected = {key if is_fetching else f"options.{key}": value}
    for name in ("run", "fetch" if is_fetching else "process"):
        assert reached(name, "--set", f"{key}={text}") == expected


@covers("run fetch", "--ids-file", "--ids-column")
@pytest.mark.parametrize("name", ["run", "fetch"])
def test_ids_come_from_a_file_or_from_a_column_of_it(reached: Reached, name: str, tmp_path: Path) -> None:
    a, b, c = (f"00000000-0000-4000-8000-00000000000{n}" for n in "abc")
    (tmp_path / "ids.txt").write_text(f"{a}\n# {b}\n{c}  # later\n")
    (tmp_path / "ids.csv").write_text(f'title,bot\n"x, y",{a}\nz,{c}\n')
    assert reached(name, "--ids-file", tmp_path / "ids.txt") == {"ids": [BOT, a, c]}
    by_column = reached(name, "--ids-file", tmp_path / "ids.csv", "--ids-column", "bot")
    assert by_column == {"ids": [BOT, a, c]}


@covers("run", "--queue", "--follow")
def test_a_queue_is_processed_once_or_followed(reached: Reached, command: Command, tmp_path: Path) -> None:
    queue = tmp_path / "queue"
    assert reached("run", "--queue", queue) == {"queue": queue, "follow": False}
    assert reached("run", "--queue", queue, "--follow") == {"queue": queue, "follow": True}
    assert command("run", BOT, "--follow")[0] == 2


@covers("run process", "--dry-run")
def test_a_dry_run_names_what_is_stale_and_changes_nothing(processed: Path, command: Command) -> None:
    before = {p: p.stat().st_mtime_ns for p in processed.rglob("*")}
    out = processed.parent.parent
    for subject in (["process", processed], ["run", processed.parent.name, "--out", out]):
        for options, expected in (
            ([], "nothing"),
            (["--gate"], "stems, report"),
            (["--threshold", "0.4"], "speech"),
        ):
            code, told, said = command(*subject, "--dry-run", *options)
            assert code == 0, said
            assert expected in " ".join(told.split())
    assert {p: p.stat().st_mtime_ns for p in processed.rglob("*")} == before


@covers("run process fetch", "--json", "--quiet")
@pytest.mark.parametrize("name", ["run", "process", "fetch"])
def test_outcomes_as_json_and_no_progress_when_quiet(
    name: str, processed_once: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = Outcome(BOT, processed_once.name, "done", str(processed_once))

    def batch_of_one(*arguments: Any, on_outcome: Callable[[Outcome], None]) -> list[Outcome]:
        progress = arguments[-1]
        progress(BOT, "speech", 1, 1)
        on_outcome(done)
        return [done]

    monkeypatch.setattr(batch, "run", batch_of_one)
    monkeypatch.setattr(batch, "process_folders", batch_of_one)
    subject = processed_once if name == "process" else BOT
    code, told, said = command(name, subject)
    assert (code, said) == (0, f"{BOT}: speech\n")
    assert "Marcus Webb" in told
    code, told, said = command(name, subject, "--json", "-q")
    assert (code, said) == (0, "")
    assert json.loads(told) == done.to_json()
