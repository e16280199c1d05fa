"""Command-line apps whose help reads alike: -h, whole paragraphs as wide as the terminal, an example of its own."""

from __future__ import annotations

from collections.abc import Callable
from inspect import cleandoc
from typing import Any

import typer
from typer.core import TyperCommand


class CommandApp(typer.Typer):
    """A typer app as all of the project's commands are; errors are left to `commandline`."""

    def __init__(self, *, add_completion: bool = False, **settings: Any) -> None:
        super().__init__(
            add_completion=add_completion,
            pretty_exceptions_enable=False,
            context_settings={"help_option_names": ["-h", "--help"]},
            **settings,
        )

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """As typer's; the help is the function's docstring, reflowed."""
        return super().command(name, cls=_Reflowed, **settings)


class _Reflowed(TyperCommand):
    """Typer keeps the line breaks of every paragraph but the first."""

    def __init__(self, *arguments: Any, help: str | None = None, **settings: Any) -> None:
        super().__init__(*arguments, help=reflowed(help or ""), **settings)


def reflowed(text: str) -> str:
    """Paragraphs without line breaks of their own.

    >>> reflowed("What it does.\\n\\n    More,\\n    and more.")
    'What it does.\\n\\nMore, and more.'
    """
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in cleandoc(text).split("\n\n"))
