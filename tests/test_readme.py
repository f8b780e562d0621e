"""The README does what it says: its first block runs as it stands, every command and name in it is there."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

import recall_audio
from recall_audio.cli import group

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_it_begins_with_two_shell_blocks() -> None:
    fences = re.findall(r"^```(\w*)\n.*?^```", README, flags=re.MULTILINE | re.DOTALL)
    assert fences[:2] == ["sh", "sh"]
    assert "sh" not in fences[2:]


def test_the_first_block_works_on_a_copy_with_nothing_installed(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    left_out = shutil.ignore_patterns(".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=left_out)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RECALL_", "PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        ["sh", "-euc", blocks("sh")[0]], cwd=copy, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    [report] = copy.glob("recall-audio-demo/*/*/report.html")
    stems = list(report.parent.glob("stems/*.wav"))
    assert len(stems) == 4
    assert "Talk" in done.stdout


def test_the_demo_that_it_shows_is_the_demo_that_runs(
    processed_once: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from recall_audio.cli.printing import print_summary

    print_summary(processed_once)

    def form(text: str) -> list[str]:
        """Lines with a percentage in them; figures and bars dropped, which may differ in the last digit."""
        lines = (re.sub(r"[\d.:█▉▊▋▌▍▎▏\s]+", " ", line).strip() for line in text.splitlines() if "%" in line)
        return [line for line in lines if line]

    told, shown = form(capsys.readouterr().out), form(README)
    assert len(told) >= 4
    assert [line for line in told if line not in shown] == []


def test_every_command_is_in_it() -> None:
    for name, command in group.commands.items():
        assert f"recall-audio {name}" in README, name
        assert command.help
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name != "form":
                assert parameter.help, (name, parameter.name)


def test_every_public_name_is_there_and_there_are_at_most_25() -> None:
    assert len(recall_audio.__all__) <= 25
    for name in recall_audio.__all__:
        assert getattr(recall_audio, name).__doc__, name


def test_its_python_runs(processed_once: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    shown = "\n".join(blocks("python"))
    assert "ra.open(" in shown
    monkeypatch.setattr("recall_audio.results.recording.folders_at", lambda _: [processed_once])
    names: dict[str, object] = {}
    exec(shown, names)  # noqa: S102 - the README's own example
    talk = names["talk"]
    assert talk.overlap_s == 0.5 + 1.4  # type: ignore[attr-defined]


def test_the_page_on_many_machines_counts_with_the_limits_that_are_kept_and_counts_right() -> None:
    from recall_audio.fetch.api.rate_limit import PER_MINUTE

    lists, retrieves = PER_MINUTE["list"], PER_MINUTE["retrieve"]
    listed_h, told_h = 50_000 / lists / 60, 2 * 50_000 / retrieves / 60
    assert f"{listed_h:.1f} h at {lists} lists a minute" in README
    assert f"{told_h:.1f} h at {retrieves} retrieves a minute" in README
    found = re.search(r"processing \| (\d+) s \| (\d+) core-hours: (\d+) cores for .*?, (\d+) for", README)
    assert found
    cpu_s, core_hours, listed_cores, told_cores = map(int, found.groups())
    assert abs(core_hours - 50_000 * cpu_s / 3600) < 5
    assert listed_cores == int(lists * cpu_s / 60)
    assert told_cores == int(retrieves / 2 * cpu_s / 60)
    wav, flac = (round((69 + written) / cpu_s) for written in (461, 139))
    assert f"moves {wav} MB/s to and from the store, {flac} with FLAC" in README
    assert f"{lists} × {cpu_s} / 60 = {listed_cores}, with webhooks {retrieves // 2} × {cpu_s} / 60" in README


def test_its_manifests_and_its_script_can_be_read() -> None:
    import yaml

    cluster, job = [yaml.safe_load(text) for text in blocks("yaml")]
    for name in ("worker", "scheduler"):
        [container] = cluster["spec"][name]["spec"]["containers"]
        assert container["command"][:2] == ["dask", name]
    rules = {r["action"]: r["onExitCodes"]["values"] for r in job["spec"]["podFailurePolicy"]["rules"]}
    assert rules == {"FailJob": [2, 3, 4], "FailIndex": [1]}, "5 is tried again"
    [script] = blocks("bash")
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    commands = re.findall(r"recall-audio ([a-z-]+)((?: --[a-z-]+(?: [^-\s]\S*)?)*)", README)
    for name, options in commands:
        known = {o for p in group.commands[name].params for o in p.opts}
        assert set(re.findall(r"--[a-z-]+", options)) <= known, (name, options)
