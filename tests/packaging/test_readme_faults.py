"""Each row of the README's table of faults names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HEADING = "## When things break\n"
COLUMNS = ["fault", "what happens", "what is kept", "test"]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)(?:\[([^`\]]+)\])?`")


def table() -> list[list[str]]:
    """Return the section's rows, the heading of the table first; none where there is no section."""
    section = README.partition(HEADING)[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if not set("".join(row)) <= set("-: ")]


ROWS = table()


def test_there_is_a_table_with_a_row_for_each_fault() -> None:
    assert ROWS, f"the README has no table under {HEADING.strip()!r}"
    assert ROWS[0] == COLUMNS
    assert len(ROWS) > 10


@pytest.mark.parametrize("row", ROWS[1:], ids=lambda row: str(row[0]))
def test_a_row_is_backed_by_tests_that_exist(row: list[str]) -> None:
    fault, happens, kept, tests = row
    assert fault
    assert happens
    assert kept
    named = TEST.findall(tests)
    assert named, f"no test is named for {fault!r}"
    assert TEST.sub("", tests).strip(" ,;") == "", f"{tests!r} is no list of tests"
    for path, name, case in named:
        assert name in functions_in(ROOT / path), f"{path} has no {name}"
        assert not case or case in texts_in((ROOT / path).parent), f"nothing is called {case}"


@cache
def functions_in(path: Path) -> frozenset[str]:
    """Return the names of all functions and classes that a file defines; none where it is not."""
    if not path.is_file():
        return frozenset()
    kinds = (ast.FunctionDef, ast.ClassDef)
    return frozenset(node.name for node in ast.walk(_tree(path)) if isinstance(node, kinds))


@cache
def texts_in(folder: Path) -> frozenset[str]:
    """Return all text constants in a folder's files: cases are called by those."""
    found: set[str] = set()
    for path in folder.glob("*.py"):
        nodes = (node for node in ast.walk(_tree(path)) if isinstance(node, ast.Constant))
        found.update(node.value for node in nodes if isinstance(node.value, str))
    return frozenset(found)


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
