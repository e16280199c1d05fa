"""The rules of a label (see `label`), checked one by one: what is wrong with a text, and in which column."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .elements import ATOMIC_NUMBER
from .protostructure import FORMULA_LETTERS, occupation_facts
from .spacegroup import SpaceGroup

T = TypeVar("T")

TERM = re.compile(r"([0-9]*)([A-Za-z])")
_PEARSON = re.compile(r"([amothc])([PCIFR])([1-9][0-9]*)")
NUMBER = re.compile(r"[1-9][0-9]{0,2}")
# Counts come from text, so they are bounded: 99,999 orbits are beyond any crystal.
_MAX_DIGITS = 5
MAX_ORBITS = 99_999


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the colon, parsed and checked."""

    space_group: SpaceGroup
    fields: tuple[tuple[str, ...], ...]


class Fault(Exception):
    """A rule that a part of a label breaks, and the column in that part."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


def check_head(text: str) -> Head:
    """Any head, each rule checked in turn, with a word on what is wrong."""
    parts = text.split("_")
    if len(parts) < 4:
        raise Fault(
            "a label has formula, Pearson symbol, space group and at least one field, joined by '_'; "
            f"got {len(parts)} of these 4 parts",
            len(text),
        )
    starts = [0]
    for part in parts[:-1]:
        starts.append(starts[-1] + len(part) + 1)
    formula, pearson, number = parts[:3]
    at(starts[0], _check_formula, formula)
    at(starts[1], _check_pearson, pearson)
    group = at(starts[2], _parse_number, number)
    n_fields = len(parts) - 3
    if n_fields > len(FORMULA_LETTERS):
        raise Fault(f"a label names at most {len(FORMULA_LETTERS)} elements, got {n_fields} fields", starts[3])
    _check_number_of_orbits(parts[3:], starts[3:])
    fields = tuple(at(start, _parse_field, part, group) for start, part in zip(starts[3:], parts[3:], strict=True))
    _check_occupied_once(group, fields, parts[3:], starts[3:])
    # Not by way of the kept facts, so that what is refused here is not kept there.
    due_formula, due_pearson, _ = occupation_facts.__wrapped__(group.number, fields)
    if formula != due_formula:
        raise Fault(f"the positions of {group.symbol} make the formula {due_formula}, got {formula}", starts[0])
    if pearson != due_pearson:
        raise Fault(f"the positions of {group.symbol} make the Pearson symbol {due_pearson}, got {pearson}", starts[1])
    return Head(group, fields)


def at(start: int, parse: Callable[..., T], *arguments: object) -> T:
    """Run a part's parser; its fault's column then counts from the start of the label."""
    try:
        return parse(*arguments)
    except Fault as fault:
        raise Fault(fault.message, start + fault.column) from None


def _check_formula(text: str) -> None:
    place = 0
    for letter in FORMULA_LETTERS:
        if not text.startswith(letter, place):
            break
        place += 1
        end = place
        while end < len(text) and text[end] in "0123456789":
            end += 1
        amount = text[place:end]
        if amount and (amount[0] == "0" or amount == "1"):
            raise Fault(f"an amount in the formula is 2 or more, or left out, got {amount}", place)
        place = end
    if not text or place < len(text):
        raise Fault("the formula names A, B, C … in this order, each with an amount of 2 or more, or none", place)


def _check_pearson(text: str) -> None:
    if not _PEARSON.fullmatch(text):
        raise Fault(
            "a Pearson symbol is a crystal family (a m o t h c), a centring (P C I F R) and a number of atoms, "
            f"got {text[:20]!r}",
            0,
        )


def _parse_number(text: str) -> SpaceGroup:
    if not NUMBER.fullmatch(text) or int(text) > 230:
        raise Fault(f"a space group is a number from 1 to 230, got {text[:20]!r}", 0)
    return SpaceGroup.from_number(int(text))


def _check_number_of_orbits(texts: list[str], starts: list[int]) -> None:
    """Before any list of orbits is made: a short text can ask for more than memory holds."""
    held = 0
    for text, start in zip(texts, starts, strict=True):
        for match in TERM.finditer(text):
            if len(match[1]) <= _MAX_DIGITS:  # else the field itself is refused
                held += int(match[1] or 1)
            if held > MAX_ORBITS:
                raise Fault(f"a label holds at most {MAX_ORBITS:,} orbits", start + match.start())


def _parse_field(text: str, group: SpaceGroup) -> tuple[str, ...]:
    letters: list[str] = []
    place = 0
    while place < len(text) or not text:
        match = TERM.match(text, place)
        if not match:
            raise Fault("a field is letters of Wyckoff positions, each with a count of 2 or more, or none", place)
        digits, letter = match.groups()
        if digits and (digits[0] == "0" or digits == "1" or len(digits) > _MAX_DIGITS):
            rule = f"at most {_MAX_DIGITS} digits" if len(digits) > _MAX_DIGITS else "2 or more, or left out"
            raise Fault(f"the count of a position is {rule}, got {digits[:20]}", place)
        column = place + len(digits)
        if letter not in group.letters:
            raise Fault(f"{group.symbol} ({group.number}) has the positions {group.letters}, got {letter}", column)
        if letters and letter <= letters[-1]:
            raise Fault(
                f"letters of a field stand in ASCII order, each once: {letter} stands after {letters[-1]}",
                column,
            )
        letters += [letter] * int(digits or 1)
        place = match.end()
    return tuple(letters)


def _check_occupied_once(
    group: SpaceGroup, fields: tuple[tuple[str, ...], ...], texts: list[str], starts: list[int]
) -> None:
    """A position without free coordinates holds one orbit of one element."""
    held: set[str] = set()
    for field, text, start in zip(fields, texts, starts, strict=True):
        for letter in field:
            if group.position(letter).is_constrained:
                if letter in held:
                    raise Fault(
                        f"position {letter} of {group.symbol} ({group.number}) has no free coordinate, "
                        "so it holds one orbit",
                        start + text.index(letter),
                    )
                held.add(letter)


def check_elements(text: str) -> int:
    elements = text.split("-")
    column = 0
    for i, element in enumerate(elements):
        if element not in ATOMIC_NUMBER:
            hint = " (deuterium and tritium are written H)" if element in ("D", "T") else ""
            raise Fault(f"{element[:20]!r} is not the symbol of an element{hint}", column)
        if i and element <= elements[i - 1]:
            rule = "is named twice" if element == elements[i - 1] else f"stands after {elements[i - 1]}"
            raise Fault(f"elements stand in alphabetical order, each once: {element} {rule}", column)
        column += len(element) + 1
    return len(elements)
