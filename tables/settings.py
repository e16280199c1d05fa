"""The groups in their standard settings: operations from spglib, coordinate triplets from pyxtal."""

from __future__ import annotations

import ast
import csv
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import spglib
from exact import (
    IDENTITY,
    Matrix,
    Vector,
    apply,
    determinant,
    integral,
    inverse,
    modulo,
    product,
)
from flats import Flat, Operation

CRYSTAL_SYSTEMS = (  # the last group of each, with the letter of its crystal family
    (2, "triclinic", "a"),
    (15, "monoclinic", "m"),
    (74, "orthorhombic", "o"),
    (142, "tetragonal", "t"),
    (167, "trigonal", "h"),
    (194, "hexagonal", "h"),
    (230, "cubic", "c"),
)


# Primitive vectors in the conventional basis (International Tables A, table 1.5.1.1, reverse setting left out). They
# are short, so that operations and normalizers have small entries in them.
HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
PRIMITIVE_VECTORS = {
    "P": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "A": ((1, 0, 0), (0, HALF, -HALF), (0, HALF, HALF)),
    "C": ((HALF, -HALF, 0), (HALF, HALF, 0), (0, 0, 1)),
    "I": ((-HALF, HALF, HALF), (HALF, -HALF, HALF), (HALF, HALF, -HALF)),
    "F": ((0, HALF, HALF), (HALF, 0, HALF), (HALF, HALF, 0)),
    "R": ((2 * THIRD, THIRD, THIRD), (-THIRD, THIRD, THIRD), (-THIRD, -2 * THIRD, THIRD)),
}


@dataclass(frozen=True)
class Group:
    """The operations of one group in the standard setting and in a primitive basis.

    Columns of `basis` are the primitive vectors; a conventional x is `basis` times a primitive x.
    """

    number: int
    centrings: tuple[Vector, ...]
    operations: tuple[Operation, ...]
    """Conventional basis, one a rotation; the centring translations are left out."""
    basis: tuple[tuple[Fraction, ...], ...]
    primitive: tuple[Operation, ...]
    """The same operations in the primitive basis, in the same order."""

    def to_primitive(self, x: Sequence[Fraction]) -> Vector:
        return apply(inverse(self.basis), x)


def crystal_system(number: int) -> tuple[str, str]:
    """Its name, and the letter of its crystal family."""
    return next((system, family) for last, system, family in CRYSTAL_SYSTEMS if number <= last)


@cache
def hall_numbers() -> tuple[int, ...]:
    """spglib's Hall number of each standard setting: unique axis b, hexagonal axes, origin choice 2."""
    best: dict[int, int] = {}
    for hall in range(1, 531):
        kind = spglib.get_spacegroup_type(hall)
        # Origin choice 1 comes first in the list and is replaced; every other first setting is the standard.
        if kind.number not in best or kind.choice == "2":
            best[kind.number] = hall
    return tuple(best[n] for n in range(1, 231))


@cache
def group(number: int) -> Group:
    """Read from spglib's Hall database; its translations are multiples of 1/24."""
    hall = hall_numbers()[number - 1]
    entry = spglib.get_symmetry_from_database(hall)
    translations = [tuple(Fraction(round(x * 24), 24) % 1 for x in w) for w in entry["translations"].tolist()]
    rotations = [tuple(map(tuple, w)) for w in entry["rotations"].tolist()]
    centrings = tuple(w for r, w in zip(rotations, translations, strict=True) if r == IDENTITY)
    first: dict[Matrix, Vector] = {}
    for rotation, translation in zip(rotations, translations, strict=True):
        first.setdefault(rotation, translation)
    vectors = PRIMITIVE_VECTORS[spglib.get_spacegroup_type(hall).international_short[0]]
    basis = tuple(zip(*vectors, strict=True))
    back = inverse(basis)
    spanned = all(x.denominator == 1 for t in centrings for x in apply(back, t))
    if not spanned or determinant(basis) * len(centrings) != 1 or len(first) * len(centrings) != len(rotations):
        raise ValueError(f"group {number}: the operations are not those of its centring")
    primitive = tuple((integral(product(product(back, r), basis)), modulo(apply(back, w))) for r, w in first.items())
    return Group(number, centrings, tuple(first.items()), basis, primitive)


def format_triplet(operation: Operation) -> str:
    """`(W, w)` as in International Tables: `-y,x-y,z+1/3`."""
    parts = []
    for row, shift in zip(*operation, strict=True):
        terms = "".join(f"{'+' if c > 0 else '-'}{name}" for c, name in zip(row, "xyz", strict=True) if c)
        parts.append((terms + (f"+{shift}" if shift else "")).removeprefix("+"))
    return ",".join(parts)


TERM = re.compile(r"([+-]?)(\d+(?:/\d+)?)?\*?([xyz]?)")


def parse_triplet(text: str) -> Operation:
    """The affine map that a coordinate triplet such as `x,2x,z+1/2` stands for."""
    rows, shifts = [], []
    for part in text.split(","):
        row, shift = [0, 0, 0], Fraction(0)
        for sign, number, name in TERM.findall(part.replace(" ", "")):
            if number or name:
                value = Fraction(number or 1) * (-1 if sign == "-" else 1)
                if name:
                    row["xyz".index(name)] += int(value)
                else:
                    shift += value
        rows.append(tuple(row))
        shifts.append(shift)
    return tuple(rows), tuple(shifts)


@cache
def stored_triplets() -> tuple[tuple[str, ...], ...]:
    """The first coordinate triplet of every position, `a` first, a tuple a group, as pyxtal has them."""
    spec = importlib.util.find_spec("pyxtal")  # found, not imported: the package takes a second to load
    path = Path(spec.submodule_search_locations[0]) / "database" / "wyckoff_list.csv"
    with open(path, encoding="utf-8", newline="") as file:
        rows = {int(row[0]): row[1] for row in csv.reader(file) if row[0].isdigit() and row[0] != "0"}
    return tuple(tuple(p[0].replace(" ", "") for p in reversed(ast.literal_eval(rows[n]))) for n in range(1, 231))


def flat_of(g: Group, triplet: str) -> Flat:
    """The flat, in the primitive basis, that a conventional triplet parametrises."""
    linear, shift = parse_triplet(triplet)
    back = inverse(g.basis)
    directions = [[24 * v for v in apply(back, column)] for column in zip(*linear, strict=True)]
    return Flat.spanned(integral(directions), g.to_primitive(shift))
