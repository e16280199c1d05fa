"""Labels whose separators were lost or swapped, as in scanned tables and copies of PDF files.

`repair_candidates` finds every valid label with the same letters and digits, held together by stoichiometry and Pearson
symbol. What is merely not strict is for `lenient`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from .elements import ATOMIC_NUMBER
from .errors import LabelError, ProtostructureError
from .label import format_label
from .protostructure import FORMULA_LETTERS, Orbit, Protostructure, check_constrained
from .spacegroup import SpaceGroup

_TERM = re.compile(r"([0-9]{0,6})([A-Za-z])")
# What scanners take for one another; tried only where the text as it stands has no reading.
_CONFUSED = {"l": "1", "I": "1", "O": "0", "o": "0", "1": "l", "0": "o", "5": "S", "S": "5", "q": "g", "g": "q"}
_MOST_CONFUSED = 2
# A text of n characters has n readings, and n³ with two of them exchanged; labels of real crystals have under 100.
_MAX_LENGTH = 1000
_MAX_CONFUSED_LENGTH = 150


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
