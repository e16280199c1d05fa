"""AFLOW protostructure labels: `AB6C_hR24_166_a_h_b:Cs-F-Sn`.

label   = formula "_" pearson "_" number "_" field ("_" field)* ":" element ("-" element)*
formula = "A"[n] "B"[n] …     consecutive letters; n ≥ 2 or absent; the n's have gcd 1
pearson = family centring atoms
field   = ([count] letter)+   count ≥ 2 or absent; letters in ASCII order, each once in a field

Fields, formula letters and elements run in alphabetical order of the element symbols. What can be derived (formula,
Pearson symbol) must agree with the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from operator import lt
from typing import TypeVar

from .elements import ATOMIC_NUMBER
from .errors import LabelError, ProtostructureError
from .protostructure import (
    FORMULA_LETTERS,
    ORBITS,
    Protostructure,
    Prototype,
    format_field,
    format_formula,
    occupation_facts,
)
from .spacegroup import SpaceGroup

T = TypeVar("T")

_TERM = re.compile(r"([0-9]*)([A-Za-z])")
_SHORT_FIELD = re.compile(r"(?:(?:[2-9]|[1-9][0-9])?[A-Za-z])+")
_PEARSON = re.compile(r"([amothc])([PCIFR])([1-9][0-9]*)")
_NUMBER = re.compile(r"[1-9][0-9]{0,2}")
# Counts come from text, so they are bounded: 99,999 orbits are beyond any crystal.
_MAX_DIGITS = 5
MAX_ORBITS = 99_999


@dataclass(frozen=True, slots=True)
class _Head:
    """What stands before the colon, parsed and checked."""

    space_group: SpaceGroup
    fields: tuple[tuple[str, ...], ...]


class _Fault(Exception):
    """A rule that a part of a label breaks, and the column in that part."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


def parse_label(label: str) -> Protostructure:
    """The protostructure of a label. Strict: raises LabelError, with the rule and the column, for anything else.

    >>> parse_label("AB_cF8_225_a_b:Ca-O").composition
    {'Ca': 4, 'O': 4}
    """
    try:
        head_text, elements_text = label.split(":")
        head = _parse_head(head_text)
        elements = elements_text.split("-")
        by_letter = [ORBITS[element] for element in elements]
        if len(elements) == len(head.fields) and all(map(lt, elements, elements[1:])):
            orbits = tuple([of[letter] for of, field in zip(by_letter, head.fields, strict=True) for letter in field])
            return Protostructure.trusted(head.space_group, orbits)
    except (_Fault, KeyError, ValueError, AttributeError, TypeError):
        pass
    raise _fault_of(label)


def _fault_of(label: object) -> LabelError:
    """The first rule that a refused label breaks."""
    if not isinstance(label, str):
        return LabelError(f"a label is text, got {type(label).__name__}")
    head_text, colon, elements_text = label.partition(":")
    try:
        if not colon:
            raise _Fault("a label has ':' between the positions and the elements, found none", len(label))
        fields = _parse_head(head_text).fields
        n_elements = _at(len(head_text) + 1, _check_elements, elements_text)
        if n_elements != len(fields):
            rule = f"{len(fields)} fields of positions need as many elements, got {n_elements}"
            raise _Fault(rule, len(head_text) + 1)
    except _Fault as fault:
        return LabelError(fault.message, label, fault.column)
    raise AssertionError(f"{label!r} was refused but breaks no rule")


def parse_prototype(label: str) -> Prototype:
    """The prototype of a label without elements, as `ABC6_hR24_166_a_b_h`; fields in any order, else strict."""
    if not isinstance(label, str):
        raise LabelError(f"a label is text, got {type(label).__name__}")
    try:
        if ":" in label:
            raise _Fault("a prototype label has no elements, found ':'", label.index(":"))
        head = _parse_head(label)
    except _Fault as fault:
        raise LabelError(fault.message, label, fault.column) from None
    return Prototype(head.space_group, head.fields)


def format_label(protostructure: Protostructure, *, rhombohedral: bool = False) -> str:
    """The label of a protostructure, in the setting it is in; `format_label(p.canonical())` is the canonical one.

    With `rhombohedral`, Pearson symbols hR count the atoms of the rhombohedral cell, as AFLOW's own library does;
    `parse_lenient` reads such labels.

    >>> format_label(parse_label("AB_cF8_225_a_b:Ca-O"))
    'AB_cF8_225_a_b:Ca-O'
    >>> format_label(parse_label("AB6C_hR24_166_a_h_b:Cs-F-Sn"), rhombohedral=True)
    'AB6C_hR8_166_a_h_b:Cs-F-Sn'
    """
    occupations = protostructure.occupations
    try:
        head = _format_head(protostructure.space_group.number, tuple(occupations.values()))
        if rhombohedral and protostructure.space_group.centring == "R":
            n_atoms = protostructure.n_atoms
            head = head.replace(f"_hR{n_atoms}_", f"_hR{n_atoms // 3}_", 1)
    except ProtostructureError as error:
        raise LabelError(str(error)) from None
    return head + ":" + "-".join(occupations)


@lru_cache(maxsize=1 << 16)
def _format_head(number: int, fields: tuple[tuple[str, ...], ...]) -> str:
    formula, pearson, _ = occupation_facts(number, fields)
    return "_".join([formula, pearson, str(number), *map(format_field, fields)])


def _check_elements(text: str) -> int:
    elements = text.split("-")
    column = 0
    for i, element in enumerate(elements):
        if element not in ATOMIC_NUMBER:
            hint = " (deuterium and tritium are written H)" if element in ("D", "T") else ""
            raise _Fault(f"{element[:20]!r} is not the symbol of an element{hint}", column)
        if i and element <= elements[i - 1]:
            rule = "is named twice" if element == elements[i - 1] else f"stands after {elements[i - 1]}"
            raise _Fault(f"elements stand in alphabetical order, each once: {element} {rule}", column)
        column += len(element) + 1
    return len(elements)


@lru_cache(maxsize=1 << 16)
def _parse_head(text: str) -> _Head:
    """Checked once for each pattern of positions; elements play no part in it."""
    return _read_head(text) or _check_head(text)


def _read_head(text: str) -> _Head | None:
    """The usual head, all rules checked; None where one is broken, or where a count has three digits."""
    parts = text.split("_")
    if not 4 <= len(parts) <= 3 + len(FORMULA_LETTERS):
        return None
    number = parts[2]
    found = [_read_field(number, part) for part in parts[3:]]
    fields, amounts, constrained = [], [], ""
    for field in found:
        if field is None:
            return None
        fields.append(field[0])
        amounts.append(field[1])
        constrained += field[2]
    group = SpaceGroup.from_number(int(number))
    due = format_formula(amounts), f"{group.family}{group.centring}{sum(amounts)}"
    if due != (parts[0], parts[1]) or len(set(constrained)) < len(constrained):
        return None
    return _Head(group, tuple(fields))


@lru_cache(maxsize=1 << 16)
def _read_field(number: str, text: str) -> tuple[tuple[str, ...], int, str] | None:
    """(letters, atoms, letters of constrained positions) of a field; None as for the head."""
    if not _NUMBER.fullmatch(number) or int(number) > 230 or not _SHORT_FIELD.fullmatch(text):
        return None
    group = SpaceGroup.from_number(int(number))
    letters: list[str] = []
    amount, constrained, last = 0, "", ""
    for digits, letter in _TERM.findall(text):
        if letter <= last or letter not in group.letters:
            return None
        count, last = int(digits or 1), letter
        position = group.position(letter)
        if position.is_constrained:
            if count > 1:
                return None
            constrained += letter
        letters += [letter] * count
        amount += position.multiplicity * count
    return tuple(letters), amount, constrained


def _check_head(text: str) -> _Head:
    """Any head, each rule checked in turn, with a word on what is wrong."""
    parts = text.split("_")
    if len(parts) < 4:
        raise _Fault(
            "a label has formula, Pearson symbol, space group and at least one field, joined by '_'; "
            f"got {len(parts)} of these 4 parts",
            len(text),
        )
    starts = [0]
    for part in parts[:-1]:
        starts.append(starts[-1] + len(part) + 1)
    formula, pearson, number = parts[:3]
    _at(starts[0], _check_formula, formula)
    _at(starts[1], _check_pearson, pearson)
    group = _at(starts[2], _parse_number, number)
    n_fields = len(parts) - 3
    if n_fields > len(FORMULA_LETTERS):
        raise _Fault(f"a label names at most {len(FORMULA_LETTERS)} elements, got {n_fields} fields", starts[3])
    _check_number_of_orbits(parts[3:], starts[3:])
    fields = tuple(_at(start, _parse_field, part, group) for start, part in zip(starts[3:], parts[3:], strict=True))
    _check_occupied_once(group, fields, parts[3:], starts[3:])
    # Not by way of the kept facts, so that what is refused here is not kept there.
    due_formula, due_pearson, _ = occupation_facts.__wrapped__(group.number, fields)
    if formula != due_formula:
        raise _Fault(f"the positions of {group.symbol} make the formula {due_formula}, got {formula}", starts[0])
    if pearson != due_pearson:
        raise _Fault(f"the positions of {group.symbol} make the Pearson symbol {due_pearson}, got {pearson}", starts[1])
    return _Head(group, fields)


def _at(start: int, parse: Callable[..., T], *arguments: object) -> T:
    """Run a part's parser; its fault's column then counts from the start of the label."""
    try:
        return parse(*arguments)
    except _Fault as fault:
        raise _Fault(fault.message, start + fault.column) from None


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
            raise _Fault(f"an amount in the formula is 2 or more, or left out, got {amount}", place)
        place = end
    if not text or place < len(text):
        raise _Fault("the formula names A, B, C … in this order, each with an amount of 2 or more, or none", place)


def _check_pearson(text: str) -> None:
    if not _PEARSON.fullmatch(text):
        raise _Fault(
            "a Pearson symbol is a crystal family (a m o t h c), a centring (P C I F R) and a number of atoms, "
            f"got {text[:20]!r}",
            0,
        )


def _parse_number(text: str) -> SpaceGroup:
    if not _NUMBER.fullmatch(text) or int(text) > 230:
        raise _Fault(f"a space group is a number from 1 to 230, got {text[:20]!r}", 0)
    return SpaceGroup.from_number(int(text))


def _check_number_of_orbits(texts: list[str], starts: list[int]) -> None:
    """Before any list of orbits is made: a short text can ask for more than memory holds."""
    held = 0
    for text, start in zip(texts, starts, strict=True):
        for match in _TERM.finditer(text):
            if len(match[1]) <= _MAX_DIGITS:  # else the field itself is refused
                held += int(match[1] or 1)
            if held > MAX_ORBITS:
                raise _Fault(f"a label holds at most {MAX_ORBITS:,} orbits", start + match.start())


def _parse_field(text: str, group: SpaceGroup) -> tuple[str, ...]:
    letters: list[str] = []
    place = 0
    while place < len(text) or not text:
        match = _TERM.match(text, place)
        if not match:
            raise _Fault("a field is letters of Wyckoff positions, each with a count of 2 or more, or none", place)
        digits, letter = match.groups()
        if digits and (digits[0] == "0" or digits == "1" or len(digits) > _MAX_DIGITS):
            rule = f"at most {_MAX_DIGITS} digits" if len(digits) > _MAX_DIGITS else "2 or more, or left out"
            raise _Fault(f"the count of a position is {rule}, got {digits[:20]}", place)
        column = place + len(digits)
        if letter not in group.letters:
            raise _Fault(f"{group.symbol} ({group.number}) has the positions {group.letters}, got {letter}", column)
        if letters and letter <= letters[-1]:
            raise _Fault(
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
                    raise _Fault(
                        f"position {letter} of {group.symbol} ({group.number}) has no free coordinate, "
                        "so it holds one orbit",
                        start + text.index(letter),
                    )
                held.add(letter)
