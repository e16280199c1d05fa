"""Whether two crystals, or labels of crystals, are one protostructure: without distances, with the reason if not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .canonical import PROFILES, canonical_label, canonical_prototype
from .label import parse_label, parse_prototype
from .protostructure import Protostructure, Prototype
from .spacegroup import SpaceGroup
from .symmetry import DEFAULT_SYMPREC, Crystal, find_protostructure, protostructure_of

# International Tables A, section 3.2.1.4: space groups that are each other's mirror image.
ENANTIOMORPHIC_PAIRS = (
    *((76, 78), (91, 95), (92, 96), (144, 145), (151, 153), (152, 154)),
    *((169, 170), (171, 172), (178, 179), (180, 181), (212, 213)),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two materials beside each other under a profile."""

    profile: str
    labels: tuple[str, str]
    """Canonical labels under the profile."""
    reason: str
    """Why they differ, in a clause; empty where they are the same."""

    @property
    def same(self) -> bool:
        """Whether both are settings of one protostructure."""
        return self.labels[0] == self.labels[1]


def compare(
    one: Any,
    other: Any,
    *,
    profile: str = "affine",
    symprec: float = DEFAULT_SYMPREC,
    angle_tolerance: float | None = None,
    engine: str = "moyopy",
) -> Comparison:
    """Compare two materials, each a label, a Protostructure, or a structure as `find_protostructure` takes it.

    Where one is a prototype, or a label without elements, the elements of the other are dropped. Only under the affine
    profile are equal crystals in different cells of one lattice the same. Raises LabelError or SymmetryError for what
    is no material.

    >>> compare("AB_aP2_2_a_b:Ca-O", "AB_aP2_2_a_d:Ca-O").same
    True
    >>> compare("AB_aP2_2_a_b:Ca-O", "AB_aP2_2_a_d:Ca-O", profile="pymatgen").reason
    'settings of one crystal in different cells: the same under the affine profile, not under pymatgen'
    """
    pair = [_protostructure(m, symprec, angle_tolerance, engine) for m in (one, other)]
    one, other = pair
    if isinstance(one, Prototype) or isinstance(other, Prototype):
        labels = (str(canonical_prototype(one, profile)), str(canonical_prototype(other, profile)))
        return Comparison(profile, labels, "" if labels[0] == labels[1] else _reason_of_prototypes(one, other, profile))
    labels = (canonical_label(one, profile), canonical_label(other, profile))
    return Comparison(profile, labels, "" if labels[0] == labels[1] else _reason(one, other, profile))


def _protostructure(
    material: Any, symprec: float, angle_tolerance: float | None, engine: str
) -> Protostructure | Prototype:
    if isinstance(material, (Protostructure, Prototype)):
        return material
    if isinstance(material, str):
        return parse_label(material) if ":" in material else parse_prototype(material)
    find = protostructure_of if isinstance(material, Crystal) else find_protostructure
    return find(material, symprec=symprec, angle_tolerance=angle_tolerance, engine=engine, profile=None)


def _reason_of_groups(a: SpaceGroup, b: SpaceGroup) -> str:
    pair = tuple(sorted((a.number, b.number)))
    mirror = ", an enantiomorphic pair" if pair in ENANTIOMORPHIC_PAIRS else ""
    return f"space groups {a.symbol} ({a.number}) and {b.symbol} ({b.number}){mirror}"


def _reason_of_prototypes(one: Protostructure | Prototype, other: Protostructure | Prototype, profile: str) -> str:
    if one.space_group is not other.space_group:
        return _reason_of_groups(one.space_group, other.space_group)
    prototypes = canonical_prototype(one, "affine"), canonical_prototype(other, "affine")
    if prototypes[0] != prototypes[1]:
        return f"prototypes {prototypes[0]} and {prototypes[1]}"
    return f"settings in different cells: the same under the affine profile, not under {profile}"


def _reason(one: Protostructure, other: Protostructure, profile: str) -> str:
    """The first thing in which two materials differ, from the coarsest to the finest."""
    if one.space_group is not other.space_group:
        return _reason_of_groups(one.space_group, other.space_group)
    prototypes = one.prototype("affine"), other.prototype("affine")
    if list(one.occupations) != list(other.occupations):
        of = "of one prototype" if prototypes[0] == prototypes[1] else "on other positions"
        return f"elements {'-'.join(one.occupations)} and {'-'.join(other.occupations)}, {of}"
    if prototypes[0] != prototypes[1]:
        return f"prototypes {prototypes[0]} and {prototypes[1]}"
    if canonical_label(one, "affine") != canonical_label(other, "affine"):
        return f"elements change places in the prototype {prototypes[0]}"
    others = [p for p in PROFILES if canonical_label(one, p) == canonical_label(other, p)]
    if "pymatgen" in others:
        return f"settings that the profile {profile} does not take for one: the same under {' and '.join(others)}"
    return f"settings of one crystal in different cells: the same under the affine profile, not under {profile}"
