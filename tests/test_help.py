"""The help of every command: at once, with an example, and the example is a command that there is."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main
from wyckoffkit.cli.app import app as toolkit

ROOT = Path(__file__).parent.parent
SLOW_TO_IMPORT = {"torch", "numpy", "pymatgen", "ase", "aviary", "smact", "h5py", "rich.progress"}


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for inner, subcommand in getattr(command, "commands", {}).items():
        yield from commands(subcommand, f"{name} {inner}")


def programs() -> list[str]:
    """Every module of reference_model that says it is a program."""
    names = []
    for path in sorted((ROOT / "reference_model").rglob("*.py")):
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8"):
            names.append(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__"))
    return names


LIST = "reference_model"  # `python -m reference_model` names the programs
PROGRAMS = [name for name in programs() if name != LIST]


def example_of(text: str) -> list[str]:
    """The words of the command that the help gives, as far as the first pipe or redirection."""
    found = re.search(r"^Example: (.+)$", text, re.MULTILINE)
    assert found, f"no example in {text!r}"
    words = shlex.split(found[1])
    return words[: min((i for i, word in enumerate(words) if word in "<>|"), default=len(words))]


TOOLKIT = dict(commands(typer.main.get_command(toolkit), "wyckoffkit"))


@pytest.mark.parametrize("name", TOOLKIT)
def test_the_example_in_the_help_is_a_command_that_the_parser_takes(name: str) -> None:
    command = TOOLKIT[name]
    words = example_of(command.epilog or command.help)
    assert words[: len(name.split())] == name.split()
    accepted(TOOLKIT["wyckoffkit"], words)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_example_of_a_program_of_the_model_is_one_that_its_parser_takes(name: str) -> None:
    module = next(m for m in (f"{name}.app", name) if (ROOT / f"{m.replace('.', '/')}.py").exists())
    command = typer.main.get_command(import_module(module).app)
    words = example_of(command.help or "")
    assert words[:3] == ["python", "-m", name]
    accepted(command, words[2:])


def accepted(command: Any, words: list[str]) -> None:
    context = command.make_context(words[0], words[1:])  # exits where it does not understand
    while getattr(command, "commands", None):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("program", ["wyckoffkit", *PROGRAMS])
def test_help_waits_for_nothing_that_is_slow_to_import(program: str) -> None:
    script = (
        f"import runpy, sys; sys.argv = ['x', '--help']\n"
        f"try: runpy.run_module({program!r}, run_name='__main__', alter_sys=True)\n"
        f"except SystemExit as end: print(end.code, *sorted(set(sys.modules) & {SLOW_TO_IMPORT!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Usage:" in done.stdout
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_the_model_s_programs_are_listed() -> None:
    done = subprocess.run([sys.executable, "-m", LIST, "--help"], capture_output=True, text=True, check=True)
    for program in PROGRAMS:
        name = program.removeprefix(f"{LIST}.")
        assert "." in name or f"\n  {name} " in done.stdout  # those within a package are for making what is shipped
