"""Protostructures and prototypes: a space group and what sits on its Wyckoff positions, without coordinates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from math import gcd
from operator import attrgetter
from string import ascii_lowercase, ascii_uppercase

from .elements import ATOMIC_NUMBER
from .errors import ProtostructureError
from .spacegroup import LETTERS, SpaceGroup

DEFAULT_PROFILE = "pymatgen"

# Formula letters of AFLOW labels; nobody defines more, and 52 elements in one crystal are far beyond any known.
FORMULA_LETTERS = ascii_uppercase + ascii_lowercase


@dataclass(frozen=True, slots=True, order=True)
class Orbit:
    """One set of symmetry-equivalent atoms: an element on a Wyckoff position."""

    element: str
    """Chemical symbol."""
    letter: str
    """Wyckoff letter."""


class _Orbits(dict[str, dict[str, Orbit]]):
    """Orbits by element and letter, made when first asked for; KeyError for what is no element."""

    def __missing__(self, element: str) -> dict[str, Orbit]:
        if element not in ATOMIC_NUMBER:
            raise KeyError(element)
        made = self[element] = {letter: Orbit(element, letter) for letter in LETTERS}
        return made


# Shared by all protostructures: labels repeat their orbits by the million.
ORBITS = _Orbits()


def format_field(letters: Sequence[str]) -> str:
    """One element's letters as a label field; they must be sorted by ASCII.

    >>> format_field(["a", "i", "i"])
    'a2i'
    """
    if len(letters) == 1:
        return letters[0]
    runs = ((letter, len(list(run))) for letter, run in groupby(letters))
    return "".join(letter if n == 1 else f"{n}{letter}" for letter, n in runs)


def format_formula(amounts: Sequence[int]) -> str:
    """An anonymous formula, reduced: one formula letter an amount.

    >>> format_formula([3, 18, 3])
    'AB6C'
    """
    if len(amounts) > len(FORMULA_LETTERS):
        raise ProtostructureError(
            f"a label names at most {len(FORMULA_LETTERS)} elements, got {len(amounts)} in one material"
        )
    divisor = gcd(*amounts)
    return "".join(
        letter if n == divisor else f"{letter}{n // divisor}"
        for letter, n in zip(FORMULA_LETTERS, amounts, strict=False)
    )


@lru_cache(maxsize=1 << 16)
def occupation_facts(number: int, fields: tuple[tuple[str, ...], ...]) -> tuple[str, str, int]:
    """(formula, Pearson symbol, atoms in the conventional cell) of elements that occupy `fields`, in that order.

    They depend on letters alone, and few patterns make up whole databases, so they are kept.
    """
    group = SpaceGroup.from_number(number)
    amounts = [sum(group.position(letter).multiplicity for letter in field) for field in fields]
    n_atoms = sum(amounts)
    return format_formula(amounts), f"{group.family}{group.centring}{n_atoms}", n_atoms


def check_constrained(group: SpaceGroup, letters: Iterable[str]) -> None:
    """Raise ProtostructureError where a position without free coordinates holds more than one orbit."""
    for letter, n in Counter(letters).items():
        if n > 1 and group.position(letter).is_constrained:
            raise ProtostructureError(
                f"position {letter} of {group.symbol} ({group.number}) has no free coordinate, "
                f"so it holds one orbit, got {n}"
            )


@dataclass(frozen=True)
class Protostructure:
    """A space group and the elements on its Wyckoff positions.

    Orbits are kept sorted by (element, letter); several orbits of one element on one unconstrained position are
    listed several times. Raises ProtostructureError where an orbit cannot be. Not canonical until `canonical()`.

    >>> rock_salt = Protostructure(SpaceGroup.from_number(225), (Orbit("Na", "a"), Orbit("Cl", "b")))
    >>> rock_salt.composition, rock_salt.pearson_symbol
    ({'Cl': 4, 'Na': 4}, 'cF8')
    """

    space_group: SpaceGroup
    orbits: tuple[Orbit, ...]

    def __post_init__(self) -> None:
        group = self.space_group
        if not isinstance(group, SpaceGroup):
            raise ProtostructureError(f"space_group must be a SpaceGroup, got {group!r}")
        orbits = tuple(sorted(self.orbits))
        if not orbits:
            raise ProtostructureError(f"an empty material: no orbit on any position of {group.symbol} ({group.number})")
        for orbit in orbits:
            if orbit.element not in ATOMIC_NUMBER:
                raise ProtostructureError(f"{orbit.element!r} is not the symbol of an element")
            group.position(orbit.letter)
        check_constrained(group, (orbit.letter for orbit in orbits))
        object.__setattr__(self, "orbits", orbits)

    @classmethod
    def trusted(cls, space_group: SpaceGroup, orbits: tuple[Orbit, ...]) -> Protostructure:
        """Without the checks, for code that has made them: orbits valid, sorted by (element, letter)."""
        made = object.__new__(cls)
        state = made.__dict__
        state["space_group"] = space_group
        state["orbits"] = orbits
        return made

    @cached_property
    def occupations(self) -> dict[str, tuple[str, ...]]:
        """Letters of each element's orbits, elements and letters in alphabetical (ASCII) order."""
        by_element = groupby(self.orbits, key=attrgetter("element"))
        return {element: tuple(orbit.letter for orbit in orbits) for element, orbits in by_element}

    @property
    def composition(self) -> dict[str, int]:
        """Atoms of each element in the conventional cell."""
        group = self.space_group
        return {
            element: sum(group.position(letter).multiplicity for letter in letters)
            for element, letters in self.occupations.items()
        }

    @property
    def n_atoms(self) -> int:
        """Atoms in the conventional cell."""
        return occupation_facts(self.space_group.number, tuple(self.occupations.values()))[2]

    @property
    def pearson_symbol(self) -> str:
        """Crystal family, centring and atoms in the conventional cell (hexagonal cell for hR)."""
        return occupation_facts(self.space_group.number, tuple(self.occupations.values()))[1]

    @property
    def dof(self) -> int:
        """Free coordinates of all orbits together; the cell's free parameters are not counted."""
        return sum(self.space_group.position(orbit.letter).dof for orbit in self.orbits)

    def prototype(self, profile: str = DEFAULT_PROFILE) -> Prototype:
        """What stays when the elements are dropped; the same for all equivalent settings of the profile."""
        from .canonical import canonical_prototype

        return canonical_prototype(self, profile)

    def canonical(self, profile: str = DEFAULT_PROFILE) -> Protostructure:
        """The least of the equivalent settings under a profile's relabelings (see `canonical`)."""
        from .canonical import canonical_form

        return canonical_form(self, profile)

    def __str__(self) -> str:
        from .label import format_label

        return format_label(self)


@dataclass(frozen=True)
class Prototype:
    """A space group and which positions its (nameless) elements occupy: fields sorted as in the prototype label."""

    space_group: SpaceGroup
    fields: tuple[tuple[str, ...], ...]
    """One tuple of letters for each element, letters in ASCII order, repeated for several orbits."""

    def __post_init__(self) -> None:
        group = self.space_group
        if not self.fields or not all(self.fields):
            raise ProtostructureError("an empty prototype: each element occupies at least one position")
        fields = [tuple(sorted(field)) for field in self.fields]
        check_constrained(group, (letter for field in fields for letter in field))
        amounts = {field: sum(group.position(letter).multiplicity for letter in field) for field in fields}
        # "_" separates fields, so it takes part when equal amounts are ordered by their text.
        fields.sort(key=lambda field: (amounts[field], format_field(field) + "_"))
        object.__setattr__(self, "fields", tuple(fields))

    @property
    def pearson_symbol(self) -> str:
        """As for a protostructure."""
        return occupation_facts(self.space_group.number, self.fields)[1]

    def __str__(self) -> str:
        """The prototype label: `ABC6_hR24_166_a_b_h`."""
        formula, pearson, _ = occupation_facts(self.space_group.number, self.fields)
        return "_".join([formula, pearson, str(self.space_group.number), *map(format_field, self.fields)])
