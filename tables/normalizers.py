"""The permutations of Wyckoff letters that the affine normalizer of a space group induces.

An affine map (P, p) normalises the group when it carries the lattice, and then every operation, into the group. It
moves each Wyckoff position onto one of the group's, and so permutes their letters. In the primitive basis P is an
integer matrix that normalises the point group, and the origin shifts p solve (I - W') p = w' - P w modulo the
lattice, where W' = P W P^-1 and (W', w') is the group's operation. All shifts on one flat of solutions induce one
permutation, since they are joined by a path of normalising maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import product as choices

import numpy as np
from exact import IDENTITY, Matrix, Vector, apply, integral, inverse, product
from flats import Operation, solutions
from positions import LETTERS, positions
from settings import crystal_system, group

PROFILES = ("pymatgen", "aviary-1.1.1", "affine")


def generators(operations: Sequence[Operation]) -> list[Operation]:
    """A few operations that generate all, modulo the lattice."""
    chosen: list[Operation] = []
    reached = {IDENTITY}
    for operation in operations:
        if operation[0] not in reached:
            chosen.append(operation)
            front = list(reached)
            while front:
                front = [r for r in {product(a, b) for a in front for b, _ in chosen} if r not in reached]
                reached.update(front)
    return chosen


@cache
def unimodular(bound: int) -> np.ndarray:
    """All integer matrices (n, 3, 3) of determinant 1 or -1 with entries from -bound to bound."""
    rows = np.array(list(choices(range(-bound, bound + 1), repeat=3)), dtype=np.int8)
    normals = np.cross(rows[:, None].astype(int), rows[None].astype(int))  # (n, n, 3)
    volume = normals @ rows.T.astype(int)
    first, second, third = np.nonzero(np.abs(volume) == 1)
    return np.stack([rows[first], rows[second], rows[third]], axis=1)


@cache
def linear_parts(number: int, bound: int) -> tuple[Matrix, ...]:
    """The candidates that normalise the point group, one of each of its cosets."""
    operations = group(number).primitive
    known = np.array([rotation for rotation, _ in operations])
    candidates = unimodular(bound).astype(int)
    for rotation, _ in generators(operations):
        # P W = W' P for some W' of the point group
        left = candidates @ np.array(rotation)
        right = known[:, None] @ candidates[None]
        candidates = candidates[(left[None] == right).all(axis=(2, 3)).any(axis=0)]
    cosets = {min((p @ w).tobytes() for w in known): p for p in candidates}
    return tuple(integral(p.tolist()) for p in cosets.values())


def origin_shifts(operations: Sequence[Operation], linear: Matrix) -> Iterator[Vector]:
    """One point of every flat of origin shifts with which `linear` normalises the group."""
    translation_of = dict(operations)
    back = integral(inverse(linear))
    rows: list[tuple[int, ...]] = []
    right = []
    for rotation, translation in generators(operations):
        image = product(product(linear, rotation), back)
        rows += [tuple(e - w for e, w in zip(a, b, strict=True)) for a, b in zip(IDENTITY, image, strict=True)]
        moved = apply(linear, translation)
        right += [a - b for a, b in zip(translation_of[image], moved, strict=True)]
    for flat in solutions(tuple(rows), right):
        yield flat.parametrisation[0]


def permutation(number: int, move: Operation) -> str:
    """The letters that the group's letters, in table order, become under a normalising map."""
    rows = [stratum for _, stratum in positions(number)]
    flats = [next(iter(stratum.flats)).moved(move) for stratum in rows]
    return "".join(LETTERS[next(i for i, s in enumerate(rows) if flat in s.flats)] for flat in flats)


def generated(permutations: Iterable[str], letters: str) -> set[str]:
    """The group that permutations of `letters` generate."""
    tables: list[dict[int, int]] = []
    reached = {letters}
    for new in permutations:
        if new not in reached:
            tables.append(str.maketrans(letters, new))
            front = list(reached)
            while front:
                front = [p for p in {q.translate(t) for q in front for t in tables} if p not in reached]
                reached.update(front)
    return reached


def letters_of(number: int) -> str:
    """The group's letters in table order, the identity among its relabelings."""
    return LETTERS[: len(positions(number))]


def origin_relabelings(number: int) -> set[str]:
    """Those of origin shifts alone: what the Euclidean normalizer gives when the cell is oblique."""
    shifts = origin_shifts(group(number).primitive, IDENTITY)
    return generated((permutation(number, (IDENTITY, p)) for p in shifts), letters_of(number))


def affine_relabelings(number: int, bound: int | None = None) -> set[str]:
    """Those of the full affine normalizer, from linear parts with entries up to `bound` and what they generate.

    From the orthorhombic groups on, the linear parts belong to a finite group and have entries -1, 0, 1 in the
    primitive basis. In P-1 any matrix will do and only its residue modulo 2 matters, which the same entries
    reach. The monoclinic ones act in the plane as congruence subgroups of level 2, for which 2 suffices.
    """
    if bound is None:
        bound = 2 if crystal_system(number)[0] == "monoclinic" else 1

    def induced() -> Iterator[str]:
        for linear in linear_parts(number, bound):
            shift = next(origin_shifts(group(number).primitive, linear), None)
            if shift is not None:
                yield permutation(number, (linear, shift))

    if len(letters_of(number)) == 1:
        return {letters_of(number)}
    return generated([*origin_relabelings(number), *induced()], letters_of(number))


def relabelings(number: int) -> dict[str, set[str]]:
    """Image strings by profile.

    The pymatgen profile knows origin shifts alone in the triclinic and monoclinic groups, as if the cell's shape
    were given, but the whole affine normalizer of C2/c; the profile of aviary 1.1.1 lacks that exception.
    """
    affine, origin = affine_relabelings(number), origin_relabelings(number)
    oblique = crystal_system(number)[0] in ("triclinic", "monoclinic")
    return {
        "pymatgen": origin if oblique and number != 15 else affine,
        "aviary-1.1.1": origin if oblique else affine,
        "affine": affine,
    }
