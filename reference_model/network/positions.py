"""What is known of a Wyckoff position, as features that positions of different groups share."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from wyckoffkit import tables
from wyckoffkit.spacegroup import LETTERS


def one_hot(values: Sequence[Hashable]) -> Tensor:
    """(rows, distinct values) float32; a column for each value in sorted order."""
    names = sorted(set(values), key=lambda value: (str(type(value)), value))
    return (torch.tensor([names.index(v) for v in values])[:, None] == torch.arange(len(names))).float()


def position_features() -> Tensor:
    """(1731, F) float32: dof, letter, multiplicity, site symmetry, and the group's centring, system, class, number.

    The site symmetry counts three times: as the oriented symbol, as the symbol without its blank directions
    (".m." and "m.." alike), and as its order.
    """
    rows = list(tables.rows("wyckoff_positions"))
    groups = {row["number"]: row for row in tables.rows("space_groups")}
    general = {row["number"]: int(row["multiplicity"]) for row in rows}  # the last row of a group stays
    multiplicity = [int(row["multiplicity"]) for row in rows]
    lattice_points = {"P": 1, "C": 2, "I": 2, "R": 3, "F": 4}
    centring = [groups[row["number"]]["centring"] for row in rows]
    primitive = [m // lattice_points[c] for m, c in zip(multiplicity, centring, strict=True)]
    columns = [
        one_hot([int(row["dof"]) for row in rows]),
        one_hot([LETTERS.index(row["letter"]) for row in rows]),
        one_hot(multiplicity),
        one_hot(primitive),
        torch.tensor(primitive).log2()[:, None] / 3 - 0.5,
        one_hot([row["site_symmetry"] for row in rows]),
        one_hot([row["site_symmetry"].replace(".", "") for row in rows]),
        one_hot([general[row["number"]] // m for row, m in zip(rows, multiplicity, strict=True)]),
        one_hot(centring),
        one_hot([groups[row["number"]]["crystal_system"] for row in rows]),
        one_hot([groups[row["number"]]["point_group"] for row in rows]),
        one_hot([int(row["number"]) for row in rows]),
    ]
    return torch.cat(columns, 1)
