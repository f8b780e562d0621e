"""The README and the pages it points to are true: blocks run, commands and options exist, figures agree."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import recall_audio
from recall_audio.cli import group

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
MANY_MEETINGS = (ROOT / ".github" / "many-meetings.md").read_text("utf-8")
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / ".github").glob("*.md")))
}


def blocks(language: str, page: str = README) -> list[str]:
    """Return the fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


def shown_output() -> str:
    """Return the demo's output as the README shows it."""
    [output] = re.findall(r"^The demo prints:\n\n```text\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    return output


def test_readme_begins_with_two_shell_blocks_of_one_command_line_each() -> None:
    fences = re.findall(r"^```(\w*)\n.*?^```", README, flags=re.MULTILINE | re.DOTALL)
    assert fences[:2] == ["sh", "sh"]
    assert "sh" not in fences[2:]
    for block in blocks("sh"):
        assert block.count("\n") == 1
        assert " && " in block


def test_readme_is_a_page_to_start_from() -> None:
    assert len(README.splitlines()) <= 165


def test_first_block_runs_on_a_copy_with_nothing_installed_and_prints_what_the_readme_shows(
    tmp_path: Path,
) -> None:
    copy = tmp_path / "checkout"
    left_out = shutil.ignore_patterns(".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=left_out)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RECALL_", "PYTHON", "VIRTUAL_ENV"))}
    block = blocks("sh")[0]
    if os.name == "nt":  # a virtual environment keeps its programs in another folder, pipes another encoding
        block, env["PYTHONUTF8"] = block.replace(".venv/bin/", ".venv/Scripts/"), "1"
    done = subprocess.run(
        ["sh", "-euc", block], cwd=copy, env=env, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    [report] = copy.glob("recall-audio-demo/*/*/report.html")
    stems = list(report.parent.glob("stems/*.wav"))
    assert len(stems) == 3
    assert done.stdout.replace(os.sep, "/") == shown_output(), "rewrite it: python .ci/readme_output.py"
    [licence] = copy.glob(".venv/[Ll]ib/**/recall_audio-*.dist-info/licenses/recall_audio/LICENSE")
    assert "Silero Team" in licence.read_text("utf-8")


def test_summary_of_the_sample_meeting_is_what_the_readme_shows(
    processed_once: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from recall_audio.cli.printing import print_summary

    print_summary(processed_once)

    def figures(text: str) -> list[str]:
        """Return all lines but those with the folder, which is another one here."""
        return text[: text.index("Files in ")].splitlines()

    printed = capsys.readouterr().out
    assert len(figures(printed)) > 8
    assert figures(printed) == figures(shown_output()), "rewrite it: python .ci/readme_output.py"


def test_every_command_is_in_the_readme_and_documented() -> None:
    for name, command in group.commands.items():
        assert f"recall-audio {name}" in README, name
        assert command.help
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name != "form":
                assert parameter.help, (name, parameter.name)


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_on_a_page_exist(page: str) -> None:
    commands = re.findall(r"recall-audio ([a-z]+(?:-[a-z]+)*)((?: --[a-z-]+(?: [^-\s]\S*)?)*)", PAGES[page])
    for name, options in commands:
        known = {o for p in group.commands[name].params for o in p.opts}
        assert set(re.findall(r"--[a-z-]+", options)) <= known, (name, options)


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_to_files(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGES[page])
    files = [link for link in links if not link.startswith(("https:", "mailto:"))]
    assert not [link for link in files if not (ROOT / page).parent.joinpath(link).exists()]


def test_every_public_name_is_documented_and_there_are_at_most_35() -> None:
    assert len(recall_audio.__all__) <= 35
    for name in recall_audio.__all__:
        assert getattr(recall_audio, name).__doc__, name


def test_api_reference_is_built_by_the_command_that_the_contributing_notes_give(tmp_path: Path) -> None:
    [options] = re.findall(r"-m pdoc (.*)", PAGES[".github/CONTRIBUTING.md"])
    command = [sys.executable, "-m", "pdoc", *options.replace("build/reference", str(tmp_path)).split()]
    subprocess.run(command, check=True, cwd=ROOT)
    page = (tmp_path / "recall_audio.html").read_text("utf-8")
    assert [name for name in recall_audio.__all__ if f'<section id="{name}">' not in page] == []


def test_python_of_the_readme_runs(processed_once: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    shown = "\n".join(blocks("python"))
    assert "ra.open(" in shown
    monkeypatch.setattr("recall_audio.results.recording.folders_at", lambda _: [processed_once])
    names: dict[str, object] = {}
    exec(shown, names)  # noqa: S102 - the README's own example
    talk = names["talk"]
    assert talk.overlap_s == 0.5 + 1.4  # type: ignore[attr-defined]
    assert re.search(r"talk\.overlap_s +# 1\.9\n", shown)


def test_many_meetings_are_counted_with_the_rate_limits_in_force() -> None:
    from recall_audio.fetch.api.rate_limit import PER_MINUTE

    lists, retrieves = PER_MINUTE["list"], PER_MINUTE["retrieve"]
    listed_h, webhook_h = 50_000 / lists / 60, 2 * 50_000 / retrieves / 60
    assert f"{listed_h:.1f} h at {lists} lists a minute" in MANY_MEETINGS
    assert f"{webhook_h:.1f} h at {retrieves} retrieves a minute" in MANY_MEETINGS
    found = re.search(
        r"processing \| (\d+) s \| (\d+) core-hours: (\d+) cores for .*?, (\d+) for", MANY_MEETINGS
    )
    assert found
    cpu_s, core_hours, listed_cores, webhook_cores = map(int, found.groups())
    assert abs(core_hours - 50_000 * cpu_s / 3600) < 5
    assert listed_cores == int(lists * cpu_s / 60)
    assert webhook_cores == int(retrieves / 2 * cpu_s / 60)
    wav, flac = (round((69 + written) / cpu_s) for written in (461, 139))
    assert f"moves {wav} MB/s to and from the store, {flac} with FLAC" in MANY_MEETINGS
    assert (
        f"{lists} × {cpu_s} / 60 = {listed_cores}, with webhooks {retrieves // 2} × {cpu_s} / 60"
        in MANY_MEETINGS
    )


def test_manifests_and_scripts_for_many_meetings_can_be_read() -> None:
    import yaml

    cluster, job = [yaml.safe_load(text) for text in blocks("yaml", MANY_MEETINGS)]
    for name in ("worker", "scheduler"):
        [container] = cluster["spec"][name]["spec"]["containers"]
        assert container["command"][:2] == ["dask", name]
    rules = {r["action"]: r["onExitCodes"]["values"] for r in job["spec"]["podFailurePolicy"]["rules"]}
    assert rules == {"FailJob": [2, 3, 4], "FailIndex": [1]}, "5 is tried again"
    [script] = blocks("bash", MANY_MEETINGS)
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
