"""Labels without a crystal, and the generator that starts a realization."""

from __future__ import annotations

import numpy as np

# Caesium on 8a and 16c of Fd-3m: no free parameter, and a and c are only 0.22 of the cell apart.
NO_ROOM = "A_cF24_227_ac:Cs"
# One atom in P1 always has an inversion centre.
COLLAPSING = "A_aP1_1_a:Fe"


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)
