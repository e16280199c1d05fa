"""Where two datasets of the same materials differ, and in what way: two engines, tolerances, versions of a source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import gcd

from ..label import parse_label
from ..protostructure import Protostructure
from .form import Dataset

CAUSES = (
    "only in the first",
    "only in the second",
    "another composition",
    "an equivalent setting",
    "the same space group, other positions",
    "more symmetry in the first",
    "more symmetry in the second",
    "another space group, as much symmetry",
)
"""The ways in which a material can differ, in the order in which they are tried.

Symmetry is counted in operations an atom: the order of the group in one cell over the atoms in it.
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One material on which two datasets do not agree."""

    material_id: str
    cause: str
    """One of CAUSES."""
    first: str
    """Its label in the first dataset; empty where it is not in it."""
    second: str


def differences(first: Dataset, second: Dataset) -> Iterator[Difference]:
    """Materials that differ, in the order of the first dataset, then those that only the second has.

    Labels are compared as they are: those of different profiles differ by an equivalent setting.
    """
    labels = dict(zip(second.material_id.tolist(), second.label.tolist(), strict=True))
    for name, label in zip(first.material_id.tolist(), first.label.tolist(), strict=True):
        other = labels.pop(name, None)
        if other is None:
            yield Difference(name, "only in the first", label, "")
        elif other != label:
            yield Difference(name, cause(parse_label(label), parse_label(other)), label, other)
    for name, label in labels.items():
        yield Difference(name, "only in the second", "", label)


def cause(first: Protostructure, second: Protostructure) -> str:
    """In which way two descriptions of one material differ: one of CAUSES."""
    if _formula(first) != _formula(second):
        return "another composition"
    if first.space_group == second.space_group:
        if first.canonical("affine") == second.canonical("affine"):
            return "an equivalent setting"
        return "the same space group, other positions"
    a, b = _operations_per_atom(first), _operations_per_atom(second)
    if a == b:
        return "another space group, as much symmetry"
    return f"more symmetry in the {'first' if a > b else 'second'}"


def _formula(p: Protostructure) -> dict[str, int]:
    unit = reduce(gcd, p.composition.values())
    return {element: count // unit for element, count in p.composition.items()}


def _operations_per_atom(p: Protostructure) -> Fraction:
    return Fraction(p.space_group.positions[-1].multiplicity, sum(p.composition.values()))
