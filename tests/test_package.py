"""The package's public names, as a notebook imports them."""

import ast
import builtins
import re
from pathlib import Path

import pytest

import recall_audio
from recall_audio.environment import PREFIX, SECRET_VARIABLES, VARIABLES


def test_every_name_of_the_stub_loads_and_is_the_object_its_module_holds() -> None:
    stub = ast.parse(Path(recall_audio.__file__).with_suffix(".pyi").read_text("utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in imports for alias in node.names]
    assert sorted(recall_audio.__all__) == sorted(names) == sorted(dir(recall_audio))
    assert 20 <= len(set(names)) == len(names) <= 35
    for node in imports:
        home = __import__(f"recall_audio.{node.module}", fromlist=["*"])
        for alias in node.names:
            assert getattr(recall_audio, alias.name) is getattr(home, alias.name)


def test_open_is_the_packages_own_and_leaves_the_builtin_alone() -> None:
    assert recall_audio.open is not builtins.open
    assert recall_audio.open.__module__ == "recall_audio.results.recording"


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        recall_audio.no_such_name  # noqa: B018 - looking it up is the test


ROOT = Path(recall_audio.__file__).parents[1]
READ = re.compile(r"[\"'`](RECALL_[A-Z_]+)[\"'`]")


def test_the_readme_lists_the_environment_variables_that_the_registry_holds() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    rows = [f"| `{v.name}` | {v.meaning} | {v.default} |" for v in VARIABLES]
    assert "\n".join(rows) in text
    listed = re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE)
    assert listed == [v.name for v in VARIABLES]


def test_every_variable_of_our_own_that_the_code_names_is_in_the_registry() -> None:
    sources = (ROOT / "recall_audio").rglob("*.py")
    named = {name for path in sources for name in READ.findall(path.read_text("utf-8"))}
    assert named == {v.name for v in VARIABLES if v.name.startswith(PREFIX)}


def test_no_secret_reaches_a_child_process() -> None:
    assert set(SECRET_VARIABLES) == {v.name for v in VARIABLES if re.search("KEY|SECRET", v.name)}
