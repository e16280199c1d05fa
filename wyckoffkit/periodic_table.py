"""What the periodic table says of each element: its period, group and block, its radius and electronegativity."""

from __future__ import annotations

from math import nan

# Index = atomic number, as in `elements.SYMBOLS`.
# fmt: off
PAULING_ELECTRONEGATIVITY: tuple[float, ...] = (
    nan,
    2.2, nan, 0.98, 1.57, 2.04, 2.55, 3.04, 3.44, 3.98, nan, 0.93, 1.31, 1.61, 1.9, 2.19, 2.58,
    3.16, nan, 0.82, 1, 1.36, 1.54, 1.63, 1.66, 1.55, 1.83, 1.88, 1.91, 1.9, 1.65, 1.81, 2.01,
    2.18, 2.55, 2.96, 3, 0.82, 0.95, 1.22, 1.33, 1.6, 2.16, 1.9, 2.2, 2.28, 2.2, 1.93, 1.69,
    1.78, 1.96, 2.05, 2.1, 2.66, 2.6, 0.79, 0.89, 1.1, 1.12, 1.13, 1.14, 1.13, 1.17, 1.2, 1.2,
    1.1, 1.22, 1.23, 1.24, 1.25, 1.1, 1.27, 1.3, 1.5, 2.36, 1.9, 2.2, 2.2, 2.28, 2.54, 2,
    1.62, 2.33, 2.02, 2, 2.2, 2.2, 0.7, 0.9, 1.1, 1.3, 1.5, 1.38, 1.36, 1.28, 1.3, 1.3,
    1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, nan, nan, nan, nan, nan, nan, nan, nan, nan,
    nan, nan, nan, nan, nan, nan,
)
"""Dimensionless, as compiled in pymatgen (MIT licence); nan where none is defined."""

COVALENT_RADIUS: tuple[float, ...] = (
    nan,
    0.31, 0.28, 1.28, 0.96, 0.84, 0.76, 0.71, 0.66, 0.57, 0.58, 1.66, 1.41, 1.21, 1.11, 1.07, 1.05,
    1.02, 1.06, 2.03, 1.76, 1.7, 1.6, 1.53, 1.39, 1.39, 1.32, 1.26, 1.24, 1.32, 1.22, 1.22, 1.2,
    1.19, 1.2, 1.2, 1.16, 2.2, 1.95, 1.9, 1.75, 1.64, 1.54, 1.47, 1.46, 1.42, 1.39, 1.45, 1.44,
    1.42, 1.39, 1.39, 1.38, 1.39, 1.4, 2.44, 2.15, 2.07, 2.04, 2.03, 2.01, 1.99, 1.98, 1.98, 1.96,
    1.94, 1.92, 1.92, 1.89, 1.9, 1.87, 1.87, 1.75, 1.7, 1.62, 1.51, 1.44, 1.41, 1.36, 1.36, 1.32,
    1.45, 1.46, 1.48, 1.4, 1.5, 1.5, 2.6, 2.21, 2.15, 2.06, 2.0, 1.96, 1.9, 1.87, 1.8, 1.69,
    nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan,
    nan, nan, nan, nan, nan, nan,
)
"""Å, single bond, low spin, to curium (96); nan beyond.

Cordero et al., Dalton Trans. 2832 (2008), doi:10.1039/b801115j, as compiled in ASE.
"""
# fmt: on

NOBLE_GASES = (0, 2, 10, 18, 36, 54, 86, 118)
"""Atomic numbers with which periods 1 to 7 end, after a 0."""


def place(atomic_number: int) -> tuple[int, int, str]:
    """Period, group 1 … 18 (3 for all lanthanides and actinides), and block of an element.

    La to Yb and Ac to No are the f block, Lu and Lr stand in group 3 (IUPAC, provisional report of 2021).

    >>> place(26), place(58), place(2)
    ((4, 8, 'd'), (6, 3, 'f'), (1, 18, 's'))
    """
    period = next(p for p in range(1, 8) if atomic_number <= NOBLE_GASES[p])
    rank = atomic_number - NOBLE_GASES[period - 1]  # 1 … in the period
    length = NOBLE_GASES[period] - NOBLE_GASES[period - 1]
    if rank <= 2:
        return period, 18 if atomic_number == 2 else rank, "s"
    from_the_end = length - rank
    if from_the_end < 6:
        return period, 18 - from_the_end, "p"
    if length == 32 and rank <= 16:
        return period, 3, "f"
    return period, 18 - from_the_end, "d"
