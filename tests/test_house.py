"""The house rules that a number can hold: small modules, small functions, few parameters."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "recall_audio"
MODULES = sorted(PACKAGE.rglob("*.py"))


def functions(path: Path) -> list[ast.FunctionDef]:
    """Every function and method of a module."""
    return [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.FunctionDef)]


def length(function: ast.FunctionDef) -> int:
    """Lines of a function without its docstring."""
    docstring = ast.get_docstring(function, clean=False)
    return (function.end_lineno or 0) - function.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_stays_within_400_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 400, "what second thing does it do?"


def test_nine_functions_in_ten_stay_within_30_lines() -> None:
    lengths = [length(f) for path in MODULES for f in functions(path)]
    assert sum(n <= 30 for n in lengths) >= 0.9 * len(lengths)


def test_no_function_takes_more_than_7_parameters() -> None:
    crowded = []
    for path in MODULES:
        for f in functions(path):
            named = [a.arg for a in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs)]
            # click hands a command's options over as keywords: they are the command's own interface.
            if len([n for n in named if n not in {"self", "cls"}]) > 7 and "cli" not in path.parts:
                crowded.append(f"{path.name}:{f.name}")
    assert not crowded
