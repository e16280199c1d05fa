"""Code blocks of the documentation, found and run as a reader would: one folder a page, from top to bottom.

    ```console   lines after "$ " are run by bash; what follows them is what they print, "..." for any text
    ```python    run in one namespace a page; with ">>>" its output is compared as well
    ```bash      for other machines (clusters, GPUs): its syntax is checked
    ```toml, json   parsed
    ```text      shown

A command that shows what it prints may fail, as the reader sees it fail; one that shows nothing, or "..." alone, must
succeed.
"""

from __future__ import annotations

import doctest
import io
import json
import os
import re
import subprocess
import sys
import tomllib
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[a-z]*)[^\n]*\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
COMMAND_SECONDS = 1800  # a guard against what never ends, on a slow machine too


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block of a page."""

    page: Path
    line: int
    """Of the opening fence, from 1."""
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command after "$ " and the lines that the page says it prints."""

    text: str
    output: str


def code_blocks(page: Path) -> list[CodeBlock]:
    """All fenced blocks of a Markdown file."""
    content = page.read_text(encoding="utf-8")
    return [
        CodeBlock(page, content.count("\n", 0, found.start()) + 1, found["language"], _dedent(found))
        for found in FENCE.finditer(content)
    ]


def _dedent(found: re.Match[str]) -> str:
    return "".join(line.removeprefix(found["indent"]) for line in found["body"].splitlines(keepends=True))


def commands(block: CodeBlock) -> list[Command]:
    """The commands of a console block; a backslash at the end of a line goes on in the next one."""
    found: list[list[str]] = []
    goes_on = False
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], ""])
        elif goes_on:
            found[-1][0] += "\n" + line
        elif found:
            found[-1][1] += line + "\n"
        else:
            raise AssertionError(f"{block.place}: output before the first command")
        goes_on = found[-1][0].endswith("\\") and not found[-1][1]
    return [Command(text, output.strip("\n")) for text, output in found]


def matches(shown: str, printed: str) -> bool:
    """Equal line by line but for blanks at the ends; "..." stands for any text, lines included."""

    def lines(text: str) -> str:
        return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())

    pattern = ".*".join(re.escape(part) for part in lines(shown).split("..."))
    return re.fullmatch(pattern, lines(printed), re.DOTALL) is not None


def run_command(command: Command, folder: Path) -> str | None:
    """What is wrong with what the command does, or None."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "120",
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-c", command.text],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if command.output.strip(".\n"):
        return None if matches(command.output, done.stdout) else f"$ {command.text}\nprints\n{done.stdout}"
    return None if done.returncode == 0 else f"$ {command.text}\nfails ({done.returncode})\n{done.stdout}"


def run_python(block: CodeBlock, folder: Path, namespace: dict[str, Any]) -> str | None:
    """What is wrong with a Python block, or None; it leaves its names for the next one."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        if not block.text.lstrip().startswith(">>>"):
            with redirect_stdout(io.StringIO()):
                exec(compile(block.text, block.place, "exec"), namespace)
            return None
        example = doctest.DocTestParser().get_doctest(block.text, namespace, block.place, block.place, block.line)
        runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        report = io.StringIO()
        runner.run(example, out=report.write, clear_globs=False)
        namespace.update(example.globs)
        return report.getvalue() or None
    finally:
        os.chdir(before)


def run_page(page: Path, folder: Path) -> list[str]:
    """Everything that is wrong with the blocks of a page; `folder` is what its reader has."""
    wrong: list[str] = []
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in code_blocks(page):
        found: list[str | None] = []
        if block.language == "console":
            found = [run_command(command, folder) for command in commands(block)]
        elif block.language == "python":
            found = [run_python(block, folder, namespace)]
        elif block.language == "bash":
            done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
            found = [done.stderr or None]
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language != "text":
            found = [f"a block is console, python, bash, toml, json or text, not {block.language!r}"]
        wrong += [f"{block.place}: {text}" for text in found if text]
    return wrong
