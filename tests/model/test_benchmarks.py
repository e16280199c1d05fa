"""Benchmarks and fuzzers are run by hand: what they take from the project must still be there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
SCRIPTS = sorted([*(TESTS / "benchmarks").glob("*.py"), *(TESTS / "fuzz").glob("*.py")])
OURS = ("wyckoffkit", "reference_model")


def taken(source: str) -> Iterator[tuple[str, str]]:
    """(module, name) of everything imported from our packages, in functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            yield from ((node.module, alias.name) for alias in node.names)


def is_there(module: str, name: str) -> bool:
    """As an attribute or as a module of its own."""
    try:
        return hasattr(import_module(module), name) or bool(import_module(f"{module}.{name}"))
    except ModuleNotFoundError as error:
        return not (error.name or "").startswith(OURS)  # else of another package, which need not be installed


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_what_a_script_takes_from_us_is_there(script):
    assert [f"{module}.{name}" for module, name in taken(script.read_text()) if not is_there(module, name)] == []


def test_what_is_not_there_is_found_out():
    source = (
        "def f():\n from wyckoffkit.label import parse_label, parse_nothing\nfrom reference_model.nothing import x\n"
    )
    assert [name for module, name in taken(source) if not is_there(module, name)] == ["x", "parse_nothing"]
