"""What the periodic table says about an element, as features that similar elements share."""

from __future__ import annotations

import torch
from torch import Tensor

from wyckoffkit.periodic_table import COVALENT_RADIUS, NOBLE_GASES, PAULING_ELECTRONEGATIVITY, place


def element_features(n_elements: int) -> Tensor:
    """(E, 50) float32 features of elements 1 … E; one-hot but for the last seven columns, which have unit scale."""
    rows = []
    for z in range(1, n_elements + 1):
        period, group, block = place(z)
        f_electrons = z - NOBLE_GASES[period - 1] - 2 if block == "f" else 0
        row = [float(period == p) for p in range(1, 8)] + [float(group == g) for g in range(1, 19)]
        row += [float(block == b) for b in "spdf"] + [float(f_electrons == n) for n in range(1, 15)]
        for value, centre, scale in (
            (PAULING_ELECTRONEGATIVITY[z], 1.7, 0.6),
            (COVALENT_RADIUS[z], 1.5, 0.4),
        ):
            known = value == value
            standard = (value - centre) / scale if known else 0.0
            row += [standard, standard**2 - 1 if known else 0.0, float(known)]
        row.append((z - 50) / 30)
        rows.append(row)
    return torch.tensor(rows)
