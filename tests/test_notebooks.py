"""Each notebook runs in a fresh folder, without key and network, and draws its pictures."""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PICTURES = {"01_one_meeting": 5, "02_many_meetings": 2, "03_from_stems_to_transcripts": 0}


def code(path: Path) -> list[Any]:
    """Return the code cells of a notebook."""
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def test_every_notebook_is_tested() -> None:
    assert [p.stem for p in NOTEBOOKS] == list(PICTURES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_valid_and_holds_no_output_and_no_path_of_a_machine(path: Path) -> None:
    nbformat.validate(nbformat.read(path, as_version=4))
    for cell in code(path):
        assert cell.outputs == []
        assert cell.execution_count is None
    assert not re.search(r"/(home|Users|root|tmp)/", path.read_text("utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_names_the_line_to_change_for_other_bots(path: Path) -> None:
    first = code(path)[0].source
    assert re.search(r'#.*ra\.run\(.*BOT_ID"', first)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs_from_top_to_bottom_and_draws_its_pictures(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbclient import NotebookClient

    for name in [n for n in os.environ if n.startswith("RECALL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # no server listens there
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))  # no kernel but this interpreter's
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    at = tmp_path / "notebooks"
    shutil.copytree(
        FOLDER, at, ignore=shutil.ignore_patterns("data", "api", "transcripts", "__pycache__", ".*")
    )
    notebook = nbformat.read(at / path.name, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("import sys; sys.executable"))
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(at)}}
    )
    client.execute()  # raises where a cell does
    shown = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    assert shown[0].data["text/plain"] == repr(sys.executable), "another interpreter than the one under test"
    assert [o.text for o in shown if o.output_type == "stream" and o.name == "stderr"] == []
    pictures = [o for o in shown if "image/png" in o.get("data", {})]
    assert len(pictures) == PICTURES[path.stem]
