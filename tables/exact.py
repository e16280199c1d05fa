"""Exact linear algebra over the integers: the Smith normal form, row echelon form and lattices.

Matrices are tuples of rows, entries are `int` or `Fraction`; nothing is ever rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache

Matrix = tuple[tuple[int, ...], ...]
Vector = tuple[Fraction, ...]

IDENTITY: Matrix = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def product(a: Sequence[Sequence], b: Sequence[Sequence]) -> tuple[tuple, ...]:
    """Matrix product."""
    columns = list(zip(*b, strict=True))
    return tuple(tuple(sum(x * y for x, y in zip(row, c, strict=True)) for c in columns) for row in a)


def apply(a: Sequence[Sequence], x: Sequence) -> tuple:
    """Matrix times column vector."""
    return tuple(sum(m * v for m, v in zip(row, x, strict=True)) for row in a)


def modulo(x: Iterable) -> Vector:
    """Every entry reduced to [0, 1)."""
    return tuple(Fraction(v) % 1 for v in x)


def determinant(a: Sequence[Sequence]):
    """Determinant of a 3 x 3 matrix."""
    (p, q, r), (s, t, u), (v, w, x) = a
    return p * (t * x - u * w) - q * (s * x - u * v) + r * (s * w - t * v)


def inverse(a: Sequence[Sequence]) -> tuple[tuple[Fraction, ...], ...]:
    """Inverse of a 3 x 3 matrix."""
    (p, q, r), (s, t, u), (v, w, x) = a
    adjugate = (
        (t * x - u * w, r * w - q * x, q * u - r * t),
        (u * v - s * x, p * x - r * v, r * s - p * u),
        (s * w - t * v, q * v - p * w, p * t - q * s),
    )
    d = determinant(a)
    return tuple(tuple(Fraction(y) / d for y in row) for row in adjugate)


def integral(a: Sequence[Sequence]) -> Matrix:
    """The same matrix with `int` entries; ValueError if one is not an integer."""
    if any(Fraction(v).denominator != 1 for row in a for v in row):
        raise ValueError(f"not an integer matrix: {a}")
    return tuple(tuple(int(v) for v in row) for row in a)


def _clear(m: list[list[int]], companions: list[list[list[int]]], pivot: int, column: int) -> None:
    """Euclid's algorithm on `column` below row `pivot`; the same row operations act on the companions."""
    while True:
        rows = [i for i in range(pivot, len(m)) if m[i][column]]
        if not rows:
            return
        best = min(rows, key=lambda i: abs(m[i][column]))
        for a in (m, *companions):
            a[pivot], a[best] = a[best], a[pivot]
        if len(rows) == 1:
            return
        for i in range(pivot + 1, len(m)):
            q = m[i][column] // m[pivot][column]
            if q:
                for a in (m, *companions):
                    a[i] = [x - q * y for x, y in zip(a[i], a[pivot], strict=True)]


@cache
def echelon(rows: Matrix) -> tuple[Matrix, Matrix]:
    """`(H, U)` with `H = U rows` the row Hermite normal form and U unimodular; zero rows come last."""
    m = [list(r) for r in rows]
    u = [[int(i == j) for j in range(len(m))] for i in range(len(m))]
    pivot = 0
    for column in range(len(m[0]) if m else 0):
        _clear(m, [u], pivot, column)
        if pivot == len(m) or not m[pivot][column]:
            continue
        if m[pivot][column] < 0:
            m[pivot], u[pivot] = [-x for x in m[pivot]], [-x for x in u[pivot]]
        for i in range(pivot):
            q = m[i][column] // m[pivot][column]
            for a in (m, u):
                a[i] = [x - q * y for x, y in zip(a[i], a[pivot], strict=True)]
        pivot += 1
    return tuple(map(tuple, m)), tuple(map(tuple, u))


def _transpose(a: Sequence[Sequence[int]]) -> Matrix:
    return tuple(zip(*a, strict=True))


def _is_diagonal(m: Matrix) -> bool:
    """No entry off the diagonal, and the zeros on it last."""
    entries = [m[i][i] != 0 for i in range(min(len(m), len(m[0])))]
    return entries == sorted(entries, reverse=True) and not any(
        x for i, row in enumerate(m) for j, x in enumerate(row) if i != j
    )


@cache
def diagonal_form(matrix: Matrix) -> tuple[tuple[int, ...], Matrix, Matrix]:
    """`(d, U, V)` with `U matrix V` diagonal: d are its positive entries, U and V are unimodular.

    Alternating row and column reduction; the entries need not divide one another.
    """
    n = len(matrix[0])
    m: Matrix = matrix
    u: Matrix = tuple(tuple(int(i == j) for j in range(len(m))) for i in range(len(m)))
    v: Matrix = tuple(tuple(int(i == j) for j in range(n)) for i in range(n))
    while not _is_diagonal(m):
        m, left = echelon(m)
        u = product(left, u)
        transposed, right = echelon(_transpose(m))
        m, v = _transpose(transposed), product(v, _transpose(right))
    entries = [m[i][i] for i in range(min(len(m), n))]
    rank = sum(1 for x in entries if x)
    if any(x < 0 for x in entries):
        u = tuple(tuple(-x for x in row) if i < rank and entries[i] < 0 else row for i, row in enumerate(u))
    return tuple(abs(x) for x in entries[:rank]), u, v
