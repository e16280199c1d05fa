"""Labels as other programs write them: normalised where the meaning is plain, with what was changed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import reduce
from math import gcd

from .elements import ATOMIC_NUMBER, SYMBOLS
from .errors import LabelError, ProtostructureError
from .label_rules import MAX_ORBITS
from .protostructure import FORMULA_LETTERS, Orbit, Protostructure, Prototype
from .spacegroup import SpaceGroup

_TERM = re.compile(r"([0-9]{0,6})([A-Za-z])")
_LENIENT = re.compile(
    r"(?P<formula>(?:[A-Za-z][0-9]{0,6})+)_(?P<family>[amothc])(?P<centring>[PABCSIFR])(?P<atoms>[0-9]{1,6})"
    r"_(?P<number>[0-9]{1,6})(?P<fields>(?:_(?:[0-9]{0,6}[A-Za-z])+)+):(?P<elements>[A-Za-z]+(?:[-:][A-Za-z]+)*)",
    re.ASCII,
)
_LIBRARY_NUMBER = re.compile(r"-[0-9]{3}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class LenientLabel:
    """A protostructure, and what had to be changed in its text."""

    protostructure: Protostructure
    changes: tuple[str, ...]
    """One sentence a change; empty where the text was a strict label."""


def parse_lenient(text: str) -> LenientLabel:
    """Read a label whose meaning is plain though its form is not strict.

    Accepts white space around it, explicit and zero-padded counts (`1a`, `A1B2`), unsorted or repeated letters,
    unsorted elements, elements between colons as AFLOW has them or in letters of another case, deuterium, a formula
    that is not reduced, rhombohedral hR counts, and the centrings A, B, S for C.
    Raises LabelError for everything else.

    >>> parse_lenient("AB_oS8_63_1c_c:O-Ca").changes
    ('a count of 1 is left out: 1c', 'centring S is written C', 'elements in alphabetical order: O-Ca → Ca-O')
    """
    if not isinstance(text, str):
        raise LabelError(f"a label is text, got {type(text).__name__}")
    changes: list[str] = []
    stripped = text.strip()
    if stripped != text:
        changes.append("white space around the label removed")
    match = _LENIENT.fullmatch(stripped)
    if not match:
        raise LabelError("not a label, even leniently read (formula_pearson_number_fields:elements)", text)
    number = int(match["number"])
    if not 1 <= number <= 230:
        raise LabelError(f"a space group is a number from 1 to 230, got {match['number']}", text)
    group = SpaceGroup.from_number(number)
    elements = _elements(match["elements"], changes)
    fields = match["fields"][1:].split("_")
    if len(elements) != len(fields):
        raise LabelError(f"{len(fields)} fields of positions need as many elements, got {len(elements)}", text)
    try:
        _check_number_of_orbits(fields)
        letters = [_letters(field, changes) for field in fields]
        orbits = tuple(Orbit(e, letter) for e, field in zip(elements, letters, strict=True) for letter in field)
        if len(set(elements)) < len(elements):
            raise ProtostructureError(f"an element is named twice in {match['elements']}")
        protostructure = Protostructure(group, orbits)
        _compare_formula(match["formula"], protostructure, elements, changes)
    except ProtostructureError as error:
        raise LabelError(str(error), text) from None
    _compare_pearson(match, protostructure, changes, text)
    if str(number) != match["number"]:
        changes.append(f"the number is written {number}")
    if elements != sorted(elements):
        given, due = "-".join(elements), "-".join(sorted(elements))
        changes.append(f"elements in alphabetical order: {given} → {due}")
    return LenientLabel(protostructure, tuple(changes))


@dataclass(frozen=True, slots=True)
class LenientPrototype:
    """A prototype, and what had to be changed in its text."""

    prototype: Prototype
    changes: tuple[str, ...]
    """One sentence a change, as for a label; the order of fields is none."""


def parse_lenient_prototype(text: str) -> LenientPrototype:
    """Read a label without elements as `parse_lenient` reads one with them: AFLOW's `AB6C_hR8_148_a_f_b`.

    The number that AFLOW gives to structures of one label, `A_cF4_225_a-001`, is left out.

    >>> str(parse_lenient_prototype("AB6C_hR8_148_a_f_b").prototype)
    'ABC6_hR24_148_a_b_f'
    """
    if not isinstance(text, str):
        raise LabelError(f"a label is text, got {type(text).__name__}")
    if ":" in text:
        raise LabelError("a prototype label has no elements, found ':'", text, text.index(":"))
    # Elements stand in alphabetical order and take no part in what is checked, so any will do.
    elements = sorted(SYMBOLS[1:])[: max(1, text.count("_") - 2)]
    head = text.rstrip()
    numbered = _LIBRARY_NUMBER.search(head)
    if numbered:
        head = head[: numbered.start()]
    try:
        found = parse_lenient(f"{head}:{'-'.join(elements)}{text[len(text.rstrip()) :]}")
    except LabelError as error:
        raise LabelError(error.message, text) from None
    fields = tuple(found.protostructure.occupations.values())
    left_out = (f"the number in AFLOW's library is left out: {numbered[0]}",) if numbered else ()
    return LenientPrototype(Prototype(found.protostructure.space_group, fields), found.changes + left_out)


def _elements(text: str, changes: list[str]) -> list[str]:
    if ":" in text:
        changes.append(f"elements are joined by '-': {text}")
    elements = re.split("[-:]", text)
    for i, given in enumerate(elements):
        symbol = given.capitalize()
        if given in ATOMIC_NUMBER:
            continue
        if symbol in ("D", "T"):
            changes.append(f"deuterium and tritium are written H: {given}")
            elements[i] = "H"
        elif symbol in ATOMIC_NUMBER:
            changes.append(f"symbols of elements begin with a capital letter and go on in small ones: {given}")
            elements[i] = symbol
    return elements


def _check_number_of_orbits(fields: list[str]) -> None:
    held = sum(int(digits or 1) for field in fields for digits, _ in _TERM.findall(field))
    if held > MAX_ORBITS:
        raise ProtostructureError(f"a label holds at most {MAX_ORBITS:,} orbits, got {held:,}")


def _letters(field: str, changes: list[str]) -> list[str]:
    letters: list[str] = []
    for digits, letter in _TERM.findall(field):
        if digits and int(digits) == 0:
            raise ProtostructureError(f"a count of 0 in {field}")
        if digits == "1":
            changes.append(f"a count of 1 is left out: 1{letter}")
        elif digits.startswith("0"):
            changes.append(f"a count has no leading zero: {digits}{letter}")
        letters += [letter] * int(digits or 1)
    named = [letter for _, letter in _TERM.findall(field)]
    if named != sorted(set(named)):
        changes.append(f"letters in ASCII order, each once: {field}")
    return letters


def _compare_formula(formula: str, p: Protostructure, elements: list[str], changes: list[str]) -> None:
    """The formula must name the amounts of the elements in the order they were given, up to a factor."""
    terms = re.findall(r"([A-Za-z])([0-9]*)", formula)
    given = [int(digits or 1) for _, digits in terms]
    composition = p.composition
    due = [composition[element] for element in elements]
    same_ratios = len(given) == len(due) and all(g * due[0] == d * given[0] for g, d in zip(given, due, strict=True))
    if not same_ratios or 0 in given or "".join(letter for letter, _ in terms) != FORMULA_LETTERS[: len(terms)]:
        amounts = ", ".join(map(str, due))
        raise ProtostructureError(f"the fields of positions hold {amounts} atoms, not {formula}")
    if reduce(gcd, given) != 1:
        changes.append(f"the formula is reduced: {formula}")
    elif any(digits == "1" or digits.startswith("0") for _, digits in terms):
        changes.append(f"amounts of 1 are left out of the formula: {formula}")


def _compare_pearson(match: re.Match[str], p: Protostructure, changes: list[str], text: str) -> None:
    given = match["family"] + match["centring"] + match["atoms"]
    group = p.space_group
    fits = match["family"] == group.family
    if match["centring"] != group.centring:
        fits &= group.centring == "C" and match["centring"] in "ABS"
        changes.append(f"centring {match['centring']} is written C")
    atoms = int(match["atoms"])
    if group.centring == "R" and 3 * atoms == p.n_atoms:
        changes.append(f"atoms of the hexagonal cell, not the rhombohedral one: {given} → {p.pearson_symbol}")
    else:
        fits &= atoms == p.n_atoms
        if match["atoms"].startswith("0"):
            changes.append(f"atoms without leading zeros: {given}")
    if not fits:
        raise LabelError(f"the positions make the Pearson symbol {p.pearson_symbol}, got {given}", text)
