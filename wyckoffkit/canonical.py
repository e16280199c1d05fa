"""Canonical forms: one of the equivalent settings of a protostructure, under a named profile of relabelings.

A relabeling is the permutation of Wyckoff letters that a normalizer of the space group induces: a shift of the origin,
another choice of axes. Three profiles name which of them count.

pymatgen       the default, as pymatgen, aviary from 1.1.2 and Matbench Discovery have it
aviary-1.1.1   without four relabelings of C2/c (15); the paper and its published data
affine         the full affine normalizer: the label no longer depends on which cell of a lattice was chosen

The canonical form is the setting with the least (score, string): the score adds the ranks of the letters (a = 1 …
z = 26, A = 0) over distinct pairs of field and letter, the string is the fields as the label has them.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from . import tables
from .errors import ProtostructureError
from .protostructure import (
    DEFAULT_PROFILE,
    ORBITS,
    Protostructure,
    Prototype,
    format_field,
    occupation_facts,
)
from .spacegroup import SpaceGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

PROFILES = ("pymatgen", "aviary-1.1.1", "affine")
AS_GIVEN = "as-given"
"""What a file records in the place of a profile, where labels were kept as they came and are not all canonical."""

Fields = tuple[tuple[str, ...], ...]


@cache
def _all_relabelings() -> dict[tuple[int, str], tuple[str, ...]]:
    found: dict[tuple[int, str], list[str]] = {}
    for row in tables.rows("relabelings"):
        for profile in row["profiles"].split(" "):
            found.setdefault((int(row["number"]), profile), []).append(row["letters"])
    return {key: tuple(images) for key, images in found.items()}


def check_profile(profile: str) -> None:
    """Raise ProtostructureError for the name of no profile."""
    if profile == AS_GIVEN:
        raise ProtostructureError(
            "the labels were kept as they were given and are canonical under no profile; encode them with --profile"
        )
    if profile not in PROFILES:
        raise ProtostructureError(f"{profile!r} is not a profile: there are {', '.join(PROFILES)}")


def relabelings(number: int, profile: str = DEFAULT_PROFILE) -> tuple[str, ...]:
    """What the group's letters, in table order, become under each relabeling; the identity first.

    >>> relabelings(225)
    ('abcdefghijkl', 'bacdefgihjkl')
    """
    check_profile(profile)
    SpaceGroup.from_number(number)
    return _all_relabelings()[number, profile]


@cache
def _byte_tables(number: int, profile: str) -> tuple[bytes, ...]:
    """One table for `bytes.translate` for each relabeling; `_` stays itself."""
    letters = SpaceGroup.from_number(number).letters.encode()
    return tuple(bytes.maketrans(letters, image.encode()) for image in relabelings(number, profile))


def position_permutations(number: int, profile: str = DEFAULT_PROFILE) -> NDArray[np.uint8]:
    """(relabelings, positions): the 0-based place in `SpaceGroup.positions` that each position moves to.

    Row 0 is the identity. Constrained positions move to constrained ones, so a row permutes each block in itself.
    """
    import numpy as np

    group = SpaceGroup.from_number(number)
    images = relabelings(number, profile)
    return np.array([[group.index(letter) for letter in image] for image in images], np.uint8)


def _text(fields: Iterable[tuple[str, ...]]) -> str:
    return "_".join(map(format_field, fields))


def _least(number: int, fields: Fields, profile: str, finish: Callable[[list[tuple[str, ...]]], Fields]) -> Fields:
    """The least (score, text) over relabelings of `fields`, each image put in order by `finish`."""
    permutations = _byte_tables(number, profile)
    # Bytes that differ from the ranks by constants, of letters that number the same in each image; only `A`, which
    # ranks 0, would not, but every relabeling keeps it.
    distinct = "".join("".join(set(field)) for field in fields).encode()
    whole = "_".join(map("".join, fields)).encode()
    scores = [sum(distinct.translate(table)) for table in permutations]
    least = min(scores)
    images = {whole.translate(table) for table, score in zip(permutations, scores, strict=True) if score == least}
    settings = (finish([tuple(sorted(field)) for field in image.decode().split("_")]) for image in images)
    return min(settings, key=_text)


@lru_cache(maxsize=1 << 16)
def _canonical_fields(number: int, fields: Fields, profile: str) -> Fields:
    return _least(number, fields, profile, tuple)


@lru_cache(maxsize=1 << 16)
def _canonical_prototype(number: int, fields: Fields, profile: str) -> Prototype:
    group = SpaceGroup.from_number(number)
    multiplicity = {position.letter: position.multiplicity for position in group}

    def ordered(image: list[tuple[str, ...]]) -> Fields:
        # As in `Prototype`: amounts ascending, then text, of which the separator is a part.
        amount = {field: sum(multiplicity[letter] for letter in field) for field in image}
        return tuple(sorted(image, key=lambda field: (amount[field], format_field(field) + "_")))

    return Prototype(group, _least(number, fields, profile, ordered))


def canonical_form(protostructure: Protostructure, profile: str = DEFAULT_PROFILE) -> Protostructure:
    """The least of the equivalent settings; the same object where it is canonical already.

    >>> from wyckoffkit import Orbit
    >>> halite = Protostructure(SpaceGroup.from_number(225), (Orbit("Na", "a"), Orbit("Cl", "b")))
    >>> canonical_label(halite)
    'AB_cF8_225_a_b:Cl-Na'
    """
    occupations = protostructure.occupations
    fields = tuple(occupations.values())
    group = protostructure.space_group
    found = _canonical_fields(group.number, fields, profile)
    if found == fields:
        return protostructure
    by_letter = [ORBITS[element] for element in occupations]
    orbits = tuple([of[letter] for of, field in zip(by_letter, found, strict=True) for letter in field])
    return Protostructure.trusted(group, orbits)


def is_canonical(protostructure: Protostructure, profile: str = DEFAULT_PROFILE) -> bool:
    """Whether the setting is the canonical one."""
    return canonical_form(protostructure, profile) is protostructure


def are_equivalent(one: Protostructure, other: Protostructure, profile: str = "affine") -> bool:
    """Whether two protostructures are settings of one: the same crystal but for its free coordinates and cell.

    Enantiomorphic groups stay different. Only the affine profile finds equal crystals in different cells equal.
    """
    return canonical_form(one, profile) == canonical_form(other, profile)


def canonical_label(protostructure: Protostructure, profile: str = DEFAULT_PROFILE) -> str:
    """The label of the canonical form, without making it."""
    occupations = protostructure.occupations
    number = protostructure.space_group.number
    fields = tuple(occupations.values())
    formula, pearson, _ = occupation_facts(number, fields)
    return f"{formula}_{pearson}_{number}_{_text(_canonical_fields(number, fields, profile))}:{'-'.join(occupations)}"


def canonical_prototype(material: Protostructure | Prototype, profile: str = DEFAULT_PROFILE) -> Prototype:
    """The prototype, in the least of its equivalent settings; the same for all settings of the protostructure."""
    fields = material.fields if isinstance(material, Prototype) else material.occupations.values()
    return _canonical_prototype(material.space_group.number, tuple(sorted(fields)), profile)


@lru_cache(maxsize=1 << 12)
def _moves(number: int, permutation: str) -> dict[str, str]:
    group = SpaceGroup.from_number(number)
    if sorted(permutation) != sorted(group.letters):
        raise ProtostructureError(
            f"a relabeling of {group.symbol} ({number}) permutes {group.letters}, got {permutation!r}"
        )
    for a, b in zip(group, map(group.position, permutation), strict=True):
        if (a.multiplicity, a.dof) != (b.multiplicity, b.dof):
            raise ProtostructureError(
                f"a relabeling keeps multiplicity and degrees of freedom, but {a.letter} of {group.symbol} ({number}) "
                f"has {a.multiplicity} and {a.dof}, {b.letter} {b.multiplicity} and {b.dof}"
            )
    return dict(zip(group.letters, permutation, strict=True))


def relabel(protostructure: Protostructure, permutation: str) -> Protostructure:
    """The protostructure with its letters permuted; `permutation` is what the letters, in table order, become."""
    moves = _moves(protostructure.space_group.number, permutation)
    orbits = sorted(ORBITS[orbit.element][moves[orbit.letter]] for orbit in protostructure.orbits)
    return Protostructure.trusted(protostructure.space_group, tuple(orbits))


def equivalent_settings(protostructure: Protostructure, profile: str = DEFAULT_PROFILE) -> tuple[Protostructure, ...]:
    """All distinct settings under the profile's relabelings, the protostructure itself first."""
    images = relabelings(protostructure.space_group.number, profile)
    return tuple(dict.fromkeys(relabel(protostructure, image) for image in images))
