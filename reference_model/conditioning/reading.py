"""Text of options to numbers: elements, formulas, sites and groups, each refused with the reason."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wyckoffkit.elements import ATOMIC_NUMBER, SYMBOLS
from wyckoffkit.errors import WyckoffkitError
from wyckoffkit.protostructure import Prototype
from wyckoffkit.spacegroup import LETTERS


@dataclass(frozen=True)
class Site:
    """A slot that is to be occupied: by a given element, or by whichever element its role gets."""

    position: int
    """Rank of the letter: a is 0."""
    role: int
    count: int
    """Orbits; 0 where the model may choose."""


def atomic_number(symbol: str) -> int:
    if symbol not in ATOMIC_NUMBER:
        raise WyckoffkitError(f"{symbol!r} is not the symbol of an element")
    return ATOMIC_NUMBER[symbol]


def space_groups(space_group: int | Iterable[int] | None) -> tuple[int, ...] | None:
    if space_group is None:
        return None
    groups = (space_group,) if isinstance(space_group, int) else tuple(space_group)
    wrong = [n for n in groups if not 1 <= n <= 230]
    if wrong or not groups:
        raise WyckoffkitError(f"space groups are numbered 1 to 230, got {wrong[0] if wrong else 'none'}")
    return tuple(sorted(set(groups)))


def joined(symbols: str | Iterable[str] | None, separator: str) -> str | None:
    """Elements as an option has them, from a list of symbols too."""
    return symbols if symbols is None or isinstance(symbols, str) else separator.join(map(str, symbols))


def formula_of(amounts: str | Mapping[str, float] | None) -> str | None:
    """A formula, from amounts by symbol too."""
    if not isinstance(amounts, Mapping):
        return amounts
    return "".join(f"{symbol}{amount:g}" for symbol, amount in amounts.items())


def _listed(text: str | None, separator: str = ",") -> frozenset[int] | None:
    if text is None:
        return None
    return frozenset(atomic_number(part.strip()) for part in text.split(separator))


def element_sets(
    elements: str | None, require: str | None, forbid: str | None, chemical_system: str | None
) -> tuple[frozenset[int] | None, frozenset[int]]:
    allowed, required = _listed(elements), _listed(require) or frozenset()
    if chemical_system is not None:
        system = _listed(chemical_system, "-")
        assert system is not None
        if allowed is not None and not system <= allowed:
            raise WyckoffkitError(f"chemical system {chemical_system} has elements that are not allowed by {elements}")
        strangers = [SYMBOLS[z] for z in sorted(required - system)]
        if strangers:
            raise WyckoffkitError(f"{', '.join(strangers)} is required and not in chemical system {chemical_system}")
        allowed, required = system, system
    forbidden = _listed(forbid) or frozenset()
    both = [SYMBOLS[z] for z in sorted(required & forbidden)]
    if both:
        raise WyckoffkitError(f"{', '.join(both)} is required and forbidden at once")
    if forbidden:
        allowed = (allowed if allowed is not None else frozenset(range(1, len(SYMBOLS)))) - forbidden
    if allowed is not None and not allowed:
        raise WyckoffkitError("no element is left that is allowed")
    missing = [SYMBOLS[z] for z in sorted(required - allowed)] if allowed is not None else []
    if missing:
        raise WyckoffkitError(f"{', '.join(missing)} is required and not among the allowed {elements}")
    return allowed, required


def parse_formula(text: str, *, anonymous: bool = False) -> dict[str, int]:
    """Amount of each element, in the order written; "AB2C4" where anonymous.

    >>> parse_formula("LiMn2O4")
    {'Li': 1, 'Mn': 2, 'O': 4}
    """
    symbol = "[A-Z]" if anonymous else "[A-Z][a-z]?"
    parts = re.findall(rf"({symbol})([1-9]\d*)?", text)
    if not text or "".join(s + n for s, n in parts) != text:
        raise WyckoffkitError(
            f"a formula is symbols and whole numbers, as {'AB2C4' if anonymous else 'LiMn2O4'}, got {text!r}"
        )
    amounts: dict[str, int] = {}
    for s, n in parts:
        if not anonymous:
            atomic_number(s)
        amounts[s] = amounts.get(s, 0) + int(n or 1)
    return amounts


def parse_sites(text: str) -> tuple[tuple[Site, ...], tuple[int, ...]]:
    """Sites and the element of each, from "a=Ca,c=2O": letter, number of orbits where it matters, symbol."""
    sites, elements = [], []
    for i, part in enumerate(text.split(",")):
        match = re.fullmatch(r"\s*([a-zA])=([1-9]\d*)?([A-Z][a-z]?)\s*", part)
        if match is None:
            raise WyckoffkitError(f"a site is written letter=element, as a=Ca or c=2O, got {part!r}")
        letter, count, symbol = match.groups()
        sites.append(Site(LETTERS.index(letter), i, int(count or 0)))
        elements.append(atomic_number(symbol))
    pairs = [(s.position, z) for s, z in zip(sites, elements, strict=True)]
    if len(set(pairs)) < len(pairs):
        raise WyckoffkitError(f"{text} names a site twice: write c=2O for two orbits of one element on one position")
    return tuple(sites), tuple(elements)


def prototype_sites(prototype: Prototype) -> tuple[Site, ...]:
    return tuple(
        Site(prototype.space_group.index(letter), role, field.count(letter))
        for role, field in enumerate(prototype.fields)
        for letter in sorted(set(field))
    )


def reduced(amounts: dict[str, int]) -> dict[str, int]:
    """A formula divided by the greatest common divisor of its amounts."""
    divisor = math.gcd(*amounts.values())
    return {symbol: n // divisor for symbol, n in amounts.items()}
