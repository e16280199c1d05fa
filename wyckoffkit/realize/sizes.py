"""How much room atoms take: radii, volumes, and the distances at which pairs of them usually stand.

Radii and electronegativities are those of `periodic_table`.
Volumes: least squares over 18,559 crystals of the Materials Project within 0.1 eV/atom of its hull (MP-20 and MPTS-52,
CC BY 4.0), additive in the elements; half of the crystals are within 6 % of the sum. Elements that fewer than five of
them hold (He, Ne, Ar, Po, At, Rn, Fr, Ra and those past Pu) have the volume of the solid element or of a neighbour.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..periodic_table import COVALENT_RADIUS, PAULING_ELECTRONEGATIVITY

RADII: NDArray[np.float64] = np.array([0.0, *COVALENT_RADIUS[1:]])
RADII[np.isnan(RADII)] = 2.0
"""Å, by atomic number; 2 Å past curium."""

# fmt: off
VOLUMES: NDArray[np.float64] = np.array([
    0,
    6.2, 19.0, 12.4, 8.1, 6.2, 6.3, 6.3, 8.3, 12.2, 22.0, 21.6, 22.1, 16.4, 14.7, 16.6, 21.2, 29.4, 39.0, 39.2, 28.8,
    20.4, 15.3, 13.6, 11.1, 11.6, 10.7, 9.7, 9.6, 11.7, 16.0, 17.3, 18.0, 19.5, 27.6, 37.2, 43.0, 47.1, 33.1, 28.1,
    20.6, 17.1, 15.4, 14.2, 12.7, 12.6, 14.5, 19.2, 24.0, 25.6, 26.2, 27.8, 35.1, 49.0, 58.5, 58.7, 41.9, 33.9, 29.3,
    32.7, 31.9, 32.0, 29.9, 33.3, 27.9, 27.7, 27.5, 27.0, 26.4, 26.0, 27.6, 24.8, 19.7, 17.4, 16.5, 15.0, 13.7, 13.8,
    15.3, 18.9, 26.5, 30.6, 31.8, 32.0, 37.0, 50.0, 70.0, 70.0, 45.0, 43.4, 31.8, 24.7, 23.5, 23.7, 25.8, 29.0, 30.0,
    *[30.0] * 22,
])
"""Å3 an atom, by atomic number."""
# fmt: on

_ELECTRONEGATIVITY: NDArray[np.float64] = np.array(PAULING_ELECTRONEGATIVITY)
_ELECTRONEGATIVITY[np.isnan(_ELECTRONEGATIVITY)] = 2.0  # noble gases and the heaviest elements

# An element is an anion (a cation) in a crystal where it is this much above (below) the mean electronegativity.
_POLAR = 0.4
# Usual nearest distances over sums of covalent radii; quartiles in the crystals named above.
_ANIONS_APART = 1.7
_CATIONS_APART = 1.15


def volume_of(elements: NDArray[np.int64], amounts: NDArray[np.float64]) -> float:
    """The volume, Å3, that so many atoms (E,) of these elements (E,) are expected to take."""
    return float((VOLUMES[elements] * amounts).sum())


@lru_cache(maxsize=4096)
def usual_distances(elements: tuple[int, ...], amounts: tuple[float, ...]) -> NDArray[np.float64]:
    """(E, E) Å: how close two of these elements usually come in a crystal with these amounts of them.

    The sum of covalent radii, and more between two anions or two cations.
    """
    z = np.array(elements)
    chi = _ELECTRONEGATIVITY[z]
    excess = chi - np.average(chi, weights=amounts)
    apart = np.ones((len(z), len(z)))
    anion, cation = excess > _POLAR, excess < -_POLAR
    apart[np.ix_(anion, anion)] = _ANIONS_APART
    apart[np.ix_(cation, cation)] = _CATIONS_APART
    distances: NDArray[np.float64] = apart * (RADII[z][:, None] + RADII[z][None, :])
    return distances
