"""Hold the rules of the code that a number can hold: sizes, parameters, and the language of docstrings."""

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "recall_audio"
MODULES = sorted(PACKAGE.rglob("*.py"))

LONGEST_MODULE = 400
MOST_MODULES = 195
MOST_FILES_A_FOLDER = 20
LONG_FUNCTION = 30
MOST_PARAMETERS = 7

VERBS = set(
    """
    abort accept acquire add adjust align allow analyse answer append apply approximate arrange ask
    assemble assign attach average await begin break bridge bring build calculate call cancel centre
    change check choose classify clean clear clip close collect combine compare complete compose
    compress compute concatenate connect construct continue convert copy correct correlate count
    cover create cut decide declare decode decompress define delay delete deliver derive describe
    detect determine digest discard divide do download draw drop dump empty encode end enforce enter
    escape estimate evaluate exclude exit expand explain export extend extract fade fail feed fetch
    fill filter find finish fit fix flush follow forget format gather generate give group guard
    handle hash hide hold ignore import include increase inform initialise insert install
    interpolate intersect invert iterate join judge keep lay let level link list listen load locate
    lock log look lower make mark match measure merge mirror move mute name narrow normalise note
    notice observe offer omit open order overwrite pack pad pair parse pass pause permit pick place
    plan plot poll prepare prevent print probe process produce propose protect prune publish push
    put quarantine query quote raise read rebuild receive recognise record reduce refer refine
    refuse register reject release remember remove rename render renew repair repeat replace report
    request require resample reserve reset resolve respond restart restore resume retrieve retry
    return reuse reverse rewind round run save say scale scan schedule score search select send
    separate serve set shift shorten show sign simulate skip slide smooth solve sort split spread
    start stop store stream strip submit subtract summarise suppress swap sweep switch take tell
    test tidy trace transform translate transmit transpose treat trim turn undo unite unpack update
    upload use validate verify visit wait warn watch weigh whiten widen wrap write yield
    """.split()  # noqa: SIM905 - words are easier to read and to add to than a list of strings
)
"""Imperative verbs that a docstring may begin with: add one that is missing, none that reads as a noun."""

PRIVATE_WORDS = re.compile(
    r"\b(nobody|somebody|whoever|anybody|everybody|be had|forgiv\w+|set aside)\b",
    re.IGNORECASE,
)
"""Words that make code a person, or a riddle; glossary and plain words are in .github/CONTRIBUTING.md."""


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return every function and method of a module."""
    tree = ast.parse(path.read_text("utf-8"))
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function without its docstring."""
    docstring = ast.get_docstring(function, clean=False)
    return (function.end_lineno or 0) - function.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)


def first_lines() -> Iterator[tuple[str, str]]:
    """Yield place and first docstring line of every function; a property may be named by a noun."""
    for path in MODULES:
        for function in functions(path):
            docstring = ast.get_docstring(function)
            decorators = " ".join(ast.unparse(d) for d in function.decorator_list)
            if docstring and "property" not in decorators:
                yield f"{path.relative_to(PACKAGE)}:{function.lineno}", docstring.splitlines()[0]


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line number and text of each docstring and comment; texts that users see are values."""
    text = path.read_text("utf-8")
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            for offset, line in enumerate(node.value.value.splitlines()):
                yield node.lineno + offset, line
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_module_stays_within_400_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST_MODULE, "split it: it does a second thing"


def test_package_has_not_too_many_modules_nor_a_folder_too_many_files() -> None:
    assert len(MODULES) <= MOST_MODULES
    folders = Counter(p.parent.relative_to(PACKAGE) for p in MODULES if p.name != "__init__.py")
    assert {str(folder): n for folder, n in folders.items() if n > MOST_FILES_A_FOLDER} == {}


def test_nine_functions_in_ten_stay_within_30_lines() -> None:
    lengths = [length(f) for path in MODULES for f in functions(path)]
    assert sum(n <= LONG_FUNCTION for n in lengths) >= 0.9 * len(lengths)


def test_no_function_takes_more_than_7_parameters() -> None:
    crowded = []
    for path in MODULES:
        for f in functions(path):
            named = [a.arg for a in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs)]
            # click passes a command's options as keywords: they are the command's own interface.
            if (
                len([n for n in named if n not in {"self", "cls"}]) > MOST_PARAMETERS
                and "cli" not in path.parts
            ):
                crowded.append(f"{path.name}:{f.name}")
    assert not crowded


def test_nine_docstrings_in_ten_begin_with_a_verb() -> None:
    lines = list(first_lines())
    others = [f"{place}: {line}" for place, line in lines if re.split(r"\W", line)[0].lower() not in VERBS]
    assert len(others) <= 0.1 * len(lines), "\n".join(others)


def test_three_docstrings_in_a_hundred_hold_a_semicolon_in_their_first_line() -> None:
    lines = list(first_lines())
    joined = [f"{place}: {line}" for place, line in lines if ";" in line]
    assert len(joined) <= 0.03 * len(lines), "\n".join(joined)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_docstrings_and_comments_hold_no_private_words(path: Path) -> None:
    assert [f"{n}: {line.strip()}" for n, line in prose(path) if PRIVATE_WORDS.search(line)] == []
