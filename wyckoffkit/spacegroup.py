"""Space groups and their Wyckoff positions.

International Tables A in the standard setting: unique axis b, hexagonal axes for R groups, origin choice 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import NoReturn

from . import tables
from .errors import ProtostructureError

LETTERS = "abcdefghijklmnopqrstuvwxyzA"
"""Of Wyckoff positions, in the order of International Tables."""
CRYSTAL_SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")

_PLAIN = str.maketrans("₁₂₃₄₅", "12345", "_ ")  # screw axes, however they are written


@dataclass(frozen=True, slots=True)
class WyckoffPosition:
    """One Wyckoff position of one space group."""

    letter: str
    """`a` … `z`, and `A` for the 27th position of group 47."""
    multiplicity: int
    """Equivalent atoms in the conventional cell."""
    site_symmetry: str
    """Oriented site-symmetry symbol of International Tables, as `4m.m`."""
    dof: int
    """Free coordinates, 0 to 3."""
    coordinates: str
    """A representative coordinate triplet, fractional, as `x,2x,1/4`."""

    @property
    def is_constrained(self) -> bool:
        """Without a free coordinate, so that one orbit at most fits on it."""
        return self.dof == 0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SpaceGroup:
    """One of the 230 space-group types; two are equal if their numbers are."""

    number: int
    symbol: str
    """Short Hermann–Mauguin symbol, as `Fm-3m`."""
    positions: tuple[WyckoffPosition, ...]
    """In International Tables order: `a` first, the general position last, `A` after `z`."""
    family: str = ""
    """Crystal family in the Pearson symbol: a, m, o, t, h or c."""
    centring: str = ""
    """Centring in the Pearson symbol: P, C, I, F or R."""
    crystal_system: str = ""
    point_group: str = ""
    constrained: tuple[WyckoffPosition, ...] = field(init=False, repr=False)
    """The positions without free coordinates, in table order."""
    unconstrained: tuple[WyckoffPosition, ...] = field(init=False, repr=False)
    """The positions with free coordinates, in table order."""
    letters: str = field(init=False, repr=False)
    """All letters in table order."""
    _by_letter: dict[str, WyckoffPosition] = field(init=False, repr=False)
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "constrained", tuple(p for p in self.positions if p.is_constrained))
        put(self, "unconstrained", tuple(p for p in self.positions if not p.is_constrained))
        put(self, "letters", "".join(p.letter for p in self.positions))
        put(self, "_by_letter", {p.letter: p for p in self.positions})
        put(self, "_index", {p.letter: i for i, p in enumerate(self.positions)})

    @staticmethod
    def from_number(number: int) -> SpaceGroup:
        """The group with this International Tables number.

        >>> SpaceGroup.from_number(225).symbol
        'Fm-3m'
        """
        try:
            return _groups()[number]
        except (KeyError, TypeError):
            raise ProtostructureError(f"space groups are numbered from 1 to 230, got {number!r}") from None

    @staticmethod
    def from_symbol(symbol: str) -> SpaceGroup:
        """The group with this short Hermann–Mauguin symbol; `P6_3/mmc`, `P63/mmc` and `P6₃/mmc` are one.

        >>> SpaceGroup.from_symbol("P63/mmc").number
        194
        """
        found = _by_symbol().get(_plain(symbol))
        if found is None:
            raise ProtostructureError(f"{symbol!r} is not the short Hermann–Mauguin symbol of a standard setting")
        return found

    def position(self, letter: str) -> WyckoffPosition:
        """The position with this letter; ProtostructureError if the group has none."""
        return self._by_letter.get(letter) or self._refuse(letter)

    def index(self, letter: str) -> int:
        """The 0-based place of a letter in `positions`."""
        found = self._index.get(letter)
        return self._refuse(letter) if found is None else found

    def _refuse(self, letter: str) -> NoReturn:
        raise ProtostructureError(
            f"{self.symbol} ({self.number}) has no Wyckoff position {letter!r}: its letters are {self.letters}"
        )

    def __iter__(self) -> Iterator[WyckoffPosition]:
        return iter(self.positions)

    def __repr__(self) -> str:
        return f"SpaceGroup({self.number}, {self.symbol!r})"

    def __eq__(self, other: object) -> bool:
        return self.number == other.number if isinstance(other, SpaceGroup) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.number)

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return SpaceGroup.from_number, (self.number,)


def _plain(symbol: str) -> str:
    return symbol.translate(_PLAIN)


@cache
def _by_symbol() -> dict[str, SpaceGroup]:
    return {_plain(group.symbol): group for group in _groups().values()}


@cache
def _groups() -> dict[int, SpaceGroup]:
    positions: dict[int, list[WyckoffPosition]] = {}
    for row in tables.rows("wyckoff_positions"):
        positions.setdefault(int(row["number"]), []).append(
            WyckoffPosition(
                letter=row["letter"],
                multiplicity=int(row["multiplicity"]),
                site_symmetry=row["site_symmetry"],
                dof=int(row["dof"]),
                coordinates=row["coordinates"],
            )
        )
    return {
        (number := int(row["number"])): SpaceGroup(
            number=number,
            symbol=row["symbol"],
            positions=tuple(positions[number]),
            family=row["family"],
            centring=row["centring"],
            crystal_system=row["crystal_system"],
            point_group=row["point_group"],
        )
        for row in tables.rows("space_groups")
    }
