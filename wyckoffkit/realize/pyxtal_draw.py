"""What runs in the worker process of the second engine: importing this module imports PyXtal."""

from __future__ import annotations

import numpy as np
from pyxtal import pyxtal  # type: ignore[import-untyped]

from ..protostructure import Protostructure

# What PyXtal raises where a site does not fit or a draw goes wrong.
_FAILURES = (ValueError, RuntimeError, IndexError, TypeError, AttributeError, KeyError, AssertionError)

Rows = list[list[float]]


def draw(protostructure: Protostructure, generator: np.random.Generator) -> tuple[Rows, Rows] | str:
    """The lattice (3, 3) and the position (O, 3) of each orbit that PyXtal draws, or why it has none."""
    group, occupations = protostructure.space_group, protostructure.occupations
    wanted = [[f"{group.position(x).multiplicity}{x}" for x in letters] for letters in occupations.values()]
    made = pyxtal()
    try:
        # `seed=` does not seed PyXtal; a generator does.
        made.from_random(
            3,
            group.number,
            list(occupations),
            list(protostructure.composition.values()),
            sites=wanted,
            random_state=generator,
        )
    except _FAILURES as error:
        return f"PyXtal failed: {type(error).__name__}: {error}"
    if not made.valid:
        return "PyXtal found no packing"
    places: dict[tuple[str, str], Rows] = {}
    for site in made.atom_sites:
        places.setdefault((site.specie, site.wp.letter), []).append([float(x) for x in site.position])
    try:
        # PyXtal may drop a site: then one of these is missing.
        positions = [places[orbit.element, orbit.letter].pop() for orbit in protostructure.orbits]
    except (KeyError, IndexError):
        return f"PyXtal dropped a site: it made {', '.join(f'{e} {w}' for e, w in places)}"
    return made.lattice.matrix.tolist(), positions
