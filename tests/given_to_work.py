"""What a command gives to the function that does its work, which is stopped as it is called."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest
from typer.testing import CliRunner

LABEL = "AB_cF8_225_a_b:Ca-O"


class StoppedError(Exception):
    """Raised where the work would begin, with what it was given."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__()
        self.given = given


@dataclass(frozen=True)
class Command:
    """A command, its work ("module:function"), and of each option a value and what the work is given for it.

    An option is named by its long form, and stands for (word or None for a flag, where to look, what is to be there);
    where to look is a parameter of the function and names in it, with dots.
    """

    app: Any
    words: Sequence[str]
    work: str
    options: dict[str, tuple[str | None, str, Any]]
    elsewhere: frozenset[str] = field(default_factory=frozenset)
    """Options that the work is not given."""

    def given(self, *more: str) -> dict[str, Any]:
        """Arguments of the work, by parameter."""
        module_name, name = self.work.split(":")
        module = import_module(module_name)
        signature = inspect.signature(getattr(module, name))

        def stop(*positional: Any, **named: Any) -> None:
            bound = signature.bind(*positional, **named)
            bound.apply_defaults()
            raise StoppedError(bound.arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, name, stop)
            result = CliRunner().invoke(self.app, [*self.words, *more])
        assert isinstance(result.exception, StoppedError), (result.exception, result.output)
        return result.exception.given


def found_at(given: dict[str, Any], place: str) -> Any:
    """What stands at a place like `options.stage.fmax`."""
    name, *inner = place.split(".")
    value = given[name]
    for key in inner:
        value = value[key] if isinstance(value, dict) else getattr(value, key)
    return value


def check_option(command: Command, option: str) -> None:
    """The work is given what the option says, and something else without it."""
    word, place, expected = command.options[option]
    assert found_at(command.given(), place) != expected
    assert found_at(command.given(option, *([] if word is None else [word])), place) == expected


def options_of(command: Any) -> set[str]:
    """The long forms of a parser's options, of a pair the second too."""
    named = (name for option in command.params for name in (*option.opts, *option.secondary_opts))
    return {name for name in named if name.startswith("--")} - {"--help"}
