"""The reliability matrix has forty rows, and each of them a test that names it."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
ROWS = range(1, 41)


def rows_of(name: str) -> set[int]:
    """Rows that a test's name holds: ``row_7``, ``rows_17_to_20``."""
    found = {int(n) for n in re.findall(r"row_(\d+)", name)}
    for first, last in re.findall(r"rows_(\d+)_to_(\d+)", name):
        found |= set(range(int(first), int(last) + 1))
    return found


def test_every_row_of_the_matrix_has_a_test_that_names_it() -> None:
    names = [
        node.name
        for file in sorted(TESTS.rglob("test_*.py"))
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    covered = set().union(*map(rows_of, names))
    assert sorted(set(ROWS) - covered) == []
