"""Wyckoff positions derived from the operations of a space group, in exact arithmetic.

A flat is a point, line, plane or the whole of space; an operation (W, w) fixes the flats
{x : Wx + w + t = x}, t a lattice vector. A Wyckoff position is an orbit, under the group, of flats in the
intersection lattice of these fixed flats (International Tables A, section 1.4.4: points whose site-symmetry
groups are conjugate). All coordinates here refer to a primitive basis: the translation lattice is Z^3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product as choices

from exact import IDENTITY, Matrix, Vector, apply, diagonal_form, echelon, integral, inverse, modulo, product

Operation = tuple[Matrix, Vector]


@dataclass(frozen=True)
class Flat:
    """{x : normals x = offsets modulo 1}, a flat and its lattice translates.

    `normals` is the Hermite normal form of a saturated integer basis of the equations, so that a flat
    modulo Z^3 has one representation; `offsets` lie in [0, 1).
    """

    normals: Matrix
    offsets: Vector

    @classmethod
    def of(cls, normals: Matrix, offsets: Sequence[Fraction]) -> Flat:
        """From any saturated basis of the equations."""
        hermite, unimodular = echelon(normals)
        return cls(hermite, modulo(apply(unimodular, offsets)))

    @classmethod
    def spanned(cls, directions: Matrix, point: Sequence[Fraction]) -> Flat:
        """Through `point` along `directions` (integer vectors, three of them, dependent or zero)."""
        d, u, _ = diagonal_form(tuple(zip(*directions, strict=True)))
        normals = u[len(d) :]
        return cls.of(normals, apply(normals, point))

    @property
    def dof(self) -> int:
        """The dimension of the flat."""
        return 3 - len(self.normals)

    @cached_property
    def parametrisation(self) -> tuple[Vector, Matrix]:
        """A point of the flat, and integer vectors that span its directions."""
        if not self.normals:
            return (Fraction(0),) * 3, IDENTITY
        d, u, v = diagonal_form(self.normals)
        rank = len(d)
        y = apply(u, self.offsets)
        point = tuple(sum((row[i] * y[i] for i in range(rank)), Fraction(0)) for row in v)
        return point, tuple(zip(*v, strict=True))[rank:]

    def moved(self, operation: Operation) -> Flat:
        """The image under x -> Wx + w."""
        if not self.normals:
            return self
        rotation, translation = operation
        normals = product(self.normals, integral(inverse(rotation)))
        shift = apply(normals, translation)
        return Flat.of(normals, tuple(c + s for c, s in zip(self.offsets, shift, strict=True)))

    def is_fixed_by(self, operation: Operation) -> bool:
        """Whether the operation, followed by some lattice translation, fixes every point."""
        rotation, translation = operation
        point, directions = self.parametrisation
        if any(apply(rotation, v) != v for v in directions):
            return False
        image = apply(rotation, point)
        return all((y + w - x).denominator == 1 for x, y, w in zip(point, image, translation, strict=True))


def solutions(normals: Matrix, offsets: Sequence[Fraction]) -> Iterator[Flat]:
    """All flats {x : normals x = offsets + m}, m any integer vector, each once modulo Z^3."""
    if not normals:
        yield Flat((), ())
        return
    d, u, v = diagonal_form(normals)
    rank = len(d)
    right = apply(u, offsets)
    if any(Fraction(c).denominator != 1 for c in right[rank:]):
        return
    equations = integral(inverse(v))[:rank]
    for shifts in choices(*(range(x) for x in d)):
        yield Flat.of(equations, [(c + j) / x for c, j, x in zip(right, shifts, d, strict=False)])


def fixed_flats(operation: Operation) -> Iterator[Flat]:
    """The flats {x : Wx + w + t = x}, t any lattice vector, each once modulo Z^3."""
    rotation, translation = operation
    moved = tuple(tuple(w - e for w, e in zip(a, b, strict=True)) for a, b in zip(rotation, IDENTITY, strict=True))
    return solutions(moved, tuple(-w for w in translation))


@dataclass(frozen=True)
class Stratum:
    """One Wyckoff position: an orbit of flats modulo the primitive lattice."""

    flats: frozenset[Flat]
    dof: int
    stabiliser: tuple[int, ...]
    """Indices of the operations that fix the first flat pointwise."""


def orbit(flat: Flat, operations: Sequence[Operation]) -> frozenset[Flat]:
    """All images of a flat modulo Z^3."""
    return frozenset(flat.moved(g) for g in operations)


def strata(operations: Sequence[Operation]) -> list[Stratum]:
    """All Wyckoff positions of the group whose coset representatives modulo Z^3 are `operations`."""
    fixed = {flat for g in operations if g[0] != IDENTITY for flat in fixed_flats(g)}
    whole = Flat((), ())
    seen, representatives = {whole}, [whole]
    found = []
    for flat in representatives:  # grows while it is walked
        members = orbit(flat, operations)
        stabiliser = tuple(i for i, g in enumerate(operations) if flat.is_fixed_by(g))
        found.append(Stratum(members, flat.dof, stabiliser))
        for other in fixed:
            for meet in solutions(flat.normals + other.normals, flat.offsets + other.offsets):
                if meet not in seen:
                    seen |= orbit(meet, operations)
                    representatives.append(meet)
    return found
