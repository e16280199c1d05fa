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
from functools import lru_cache
from operator import lt

from .errors import LabelError, ProtostructureError
from .label_rules import NUMBER, TERM, Fault, Head, at, check_elements, check_head
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

# What is kept of labels must stay small, whatever a file of them holds.
_LONGEST_USUAL = 500  # characters
_MOST_USUAL = 255  # orbits
_SHORT_FIELD = re.compile(r"(?:(?:[2-9]|[1-9][0-9])?[A-Za-z])+")


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
    except (Fault, KeyError, ValueError, AttributeError, TypeError):
        pass
    raise _fault_of(label)


def _fault_of(label: object) -> LabelError:
    """The first rule that a refused label breaks."""
    if not isinstance(label, str):
        return LabelError(f"a label is text, got {type(label).__name__}")
    head_text, colon, elements_text = label.partition(":")
    try:
        if not colon:
            raise Fault("a label has ':' between the positions and the elements, found none", len(label))
        fields = _parse_head(head_text).fields
        n_elements = at(len(head_text) + 1, check_elements, elements_text)
        if n_elements != len(fields):
            rule = f"{len(fields)} fields of positions need as many elements, got {n_elements}"
            raise Fault(rule, len(head_text) + 1)
    except Fault as fault:
        return LabelError(fault.message, label, fault.column)
    raise AssertionError(f"{label!r} was refused but breaks no rule")


def parse_prototype(label: str) -> Prototype:
    """The prototype of a label without elements, as `ABC6_hR24_166_a_b_h`; fields in any order, else strict."""
    if not isinstance(label, str):
        raise LabelError(f"a label is text, got {type(label).__name__}")
    try:
        if ":" in label:
            raise Fault("a prototype label has no elements, found ':'", label.index(":"))
        head = _parse_head(label)
    except Fault as fault:
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
    if not isinstance(protostructure, Protostructure):
        raise LabelError(f"a Protostructure is written as a label, got {type(protostructure).__name__}")
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


def _parse_head(text: str) -> Head:
    try:
        return _usual_head(text)
    except Fault:
        return check_head(text)


@lru_cache(maxsize=1 << 16)
def _usual_head(text: str) -> Head:
    """Checked once for each pattern of positions; elements play no part in it. Fault for what is not to be kept."""
    head = _read_head(text)
    if head is None:
        raise Fault("an unusual head", 0)
    return head


def _read_head(text: str) -> Head | None:
    """The usual head, all rules checked; None where one is broken, or where the head or one of its counts is long."""
    if len(text) > _LONGEST_USUAL:
        return None
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
    if sum(map(len, fields)) > _MOST_USUAL:
        return None
    due = format_formula(amounts), f"{group.family}{group.centring}{sum(amounts)}"
    if due != (parts[0], parts[1]) or len(set(constrained)) < len(constrained):
        return None
    return Head(group, tuple(fields))


@lru_cache(maxsize=1 << 16)
def _read_field(number: str, text: str) -> tuple[tuple[str, ...], int, str] | None:
    """(letters, atoms, letters of constrained positions) of a field; None as for the head."""
    if not NUMBER.fullmatch(number) or int(number) > 230 or not _SHORT_FIELD.fullmatch(text):
        return None
    group = SpaceGroup.from_number(int(number))
    letters: list[str] = []
    amount, constrained, last = 0, "", ""
    for digits, letter in TERM.findall(text):
        if letter <= last or letter not in group.letters:
            return None
        count, last = int(digits or 1), letter
        position = group.position(letter)
        if position.is_constrained:
            if count > 1:
                return None
            constrained += letter
        if len(letters) + count > _MOST_USUAL:
            return None
        letters += [letter] * count
        amount += position.multiplicity * count
    return tuple(letters), amount, constrained
