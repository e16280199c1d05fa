"""Labels that are not quite labels: normalised where the meaning is plain, repaired where it can be inferred.

`parse_lenient` accepts what other programs write and says what it changed. `repair_candidates` goes further: for text
whose separators were lost or swapped (scanned tables, PDF copies) it finds every valid label with the same letters and
digits, held together by stoichiometry and Pearson symbol.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from math import gcd

from .elements import ATOMIC_NUMBER, SYMBOLS
from .errors import LabelError, ProtostructureError
from .label import format_label
from .label_rules import MAX_ORBITS
from .protostructure import FORMULA_LETTERS, Orbit, Protostructure, Prototype, check_constrained
from .spacegroup import SpaceGroup

_TERM = re.compile(r"([0-9]{0,6})([A-Za-z])")
_LENIENT = re.compile(
    r"(?P<formula>(?:[A-Za-z][0-9]{0,6})+)_(?P<family>[amothc])(?P<centring>[PABCSIFR])(?P<atoms>[0-9]{1,6})"
    r"_(?P<number>[0-9]{1,6})(?P<fields>(?:_(?:[0-9]{0,6}[A-Za-z])+)+):(?P<elements>[A-Za-z]+(?:[-:][A-Za-z]+)*)",
    re.ASCII,
)
_LIBRARY_NUMBER = re.compile(r"-[0-9]{3}\Z", re.ASCII)
# What scanners take for one another; tried only where the text as it stands has no reading.
_CONFUSED = {"l": "1", "I": "1", "O": "0", "o": "0", "1": "l", "0": "o", "5": "S", "S": "5", "q": "g", "g": "q"}
_MOST_CONFUSED = 2
# A text of n characters has n readings, and n³ with two of them exchanged; labels of real crystals have under 100.
_MAX_LENGTH = 1000
_MAX_CONFUSED_LENGTH = 150


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


def repair_label(text: str) -> Protostructure:
    """The one protostructure behind a mangled label; LabelError where there is none, or several (they are listed).

    >>> format_label(repair_label("A6B3C.mC20_12_i.j.a.i.d:F-Rb-V"))
    'A6B3C_mC20_12_ij_ai_d:F-Rb-V'
    """
    candidates = repair_candidates(text)
    if not candidates:
        raise LabelError("no valid label has these letters and digits", text)
    if len(candidates) > 1:
        listed = "\n    ".join(format_label(candidate) for candidate in candidates)
        raise LabelError(f"{len(candidates)} valid labels have these letters and digits:\n    {listed}\n  from", text)
    return candidates[0]


def repair_candidates(text: str) -> tuple[Protostructure, ...]:
    """Every protostructure whose label has the letters and digits of the text in their order, separators aside.

    Where there is none, up to two characters that scanners confuse (l, I and 1; O and 0; …) are exchanged, in texts of
    up to 150 characters.
    """
    if not isinstance(text, str):
        raise LabelError(f"a label is text, got {type(text).__name__}")
    if len(text) > _MAX_LENGTH:
        raise LabelError(f"a text of {len(text)} characters is no label; {_MAX_LENGTH} is the most that is repaired")
    text = unicodedata.normalize("NFKC", text)  # raised and lowered digits of printed formulae
    for changed in range(_MOST_CONFUSED + 1 if len(text) <= _MAX_CONFUSED_LENGTH else 1):
        found = {
            format_label(candidate): candidate
            for variant in _confusions(text.strip(), changed)
            for candidate in _readings(variant)
        }
        if found:
            return tuple(found[label] for label in sorted(found))
    return ()


def _confusions(text: str, changed: int, start: int = 0) -> Iterator[str]:
    """The text with exactly `changed` confusable characters exchanged."""
    if changed == 0:
        yield text
        return
    for i in range(start, len(text)):
        if text[i] in _CONFUSED:
            yield from _confusions(text[:i] + _CONFUSED[text[i]] + text[i + 1 :], changed - 1, i + 1)


def _readings(text: str) -> Iterator[Protostructure]:
    for head, elements in _split_elements(text):
        squeezed = re.sub(r"[^0-9A-Za-z]", "", head)
        yield from _read_head(squeezed, elements)


def _split_elements(text: str) -> Iterator[tuple[str, list[str]]]:
    """(what stands before the elements, elements): at the colon if there is one, else wherever symbols may begin."""
    head, colon, tail = text.rpartition(":")
    places = [(head, tail)] if colon else [(text[:i], text[i:]) for i in range(1, len(text)) if text[i].isupper()]
    for before, after in places:
        words = re.findall(r"[A-Za-z]+", after)
        if words and not re.search(r"[0-9]", after):
            for elements in _symbols(words, ""):
                yield before, elements


def _symbols(words: list[str], last: str) -> Iterator[list[str]]:
    """Every way to read runs of letters as chemical symbols in alphabetical order, each once, all after `last`."""
    if not words:
        yield []
        return
    word, *rest = words
    for length in (1, 2):
        symbol = word[:length]
        if len(word) >= length and symbol in ATOMIC_NUMBER and symbol > last:
            remaining = [word[length:], *rest] if len(word) > length else rest
            for others in _symbols(remaining, symbol):
                yield [symbol, *others]


def _read_head(head: str, elements: list[str]) -> Iterator[Protostructure]:
    """Readings of formula, Pearson symbol, number and letters that follow each other without separators."""
    formula = "".join(f"{letter}([0-9]*)" for letter in FORMULA_LETTERS[: len(elements)])
    match = re.fullmatch(formula + r"([amothc])([PABCSIFR])([0-9]+)([0-9A-Za-z]*)", head)
    if not match:
        return
    *digits, family, centring, numbers, letters = match.groups()
    amounts = [int(d or 1) for d in digits]
    if 0 in amounts:
        return
    centring = "C" if centring in "ABS" else centring
    for i in range(1, len(numbers)):
        for j in range(i + 1, min(i + 3, len(numbers)) + 1):
            if not 1 <= int(numbers[i:j]) <= 230 or numbers[i] == "0":
                continue
            group = SpaceGroup.from_number(int(numbers[i:j]))
            if (group.family, group.centring) == (family, centring):
                for n_cells in (1, 3) if centring == "R" else (1,):  # atoms of the rhombohedral cell, as AFLOW has it
                    n_atoms = n_cells * int(numbers[:i])
                    yield from _split_fields(group, n_atoms, amounts, numbers[j:] + letters, elements)


def _split_fields(
    group: SpaceGroup, n_atoms: int, amounts: list[int], text: str, elements: list[str]
) -> Iterator[Protostructure]:
    """Cut a run of letters with counts into one field an element, such that atoms and amounts come out right."""
    terms = _TERM.findall(text)
    if "".join(d + letter for d, letter in terms) != text or any(letter not in group.letters for _, letter in terms):
        return
    if n_atoms % sum(amounts) or any(digits.startswith("0") or len(digits) > 5 for digits, _ in terms):
        return
    scale = n_atoms // sum(amounts)
    fields: list[list[str]] = [[]]
    held = 0
    for digits, letter in terms:
        # Positive multiplicities: a field ends exactly when its element's atoms are complete.
        fields[-1] += [letter] * int(digits or 1)
        held += group.position(letter).multiplicity * int(digits or 1)
        due = amounts[len(fields) - 1] * scale
        if held > due:
            return
        if held == due:
            fields.append([])
            held = 0
            if len(fields) > len(elements):
                break
    if sum(map(len, fields)) != sum(int(digits or 1) for digits, _ in terms) or len(fields) != len(elements) + 1:
        return
    orbits = [Orbit(e, letter) for e, field in zip(elements, fields, strict=False) for letter in field]
    try:
        check_constrained(group, (orbit.letter for orbit in orbits))
    except ProtostructureError:
        return
    yield Protostructure(group, tuple(orbits))
