"""The package's public names, as a notebook imports them."""

import ast
import builtins
from pathlib import Path

import pytest

import recall_audio


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
