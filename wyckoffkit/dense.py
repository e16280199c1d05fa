"""Dense tensors of many materials of one group, back into columns: what `WyckoffColumns.dense` undoes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .elements import SYMBOLS
from .encoding import WyckoffColumns
from .errors import ProtostructureError
from .spacegroup import SpaceGroup


def from_dense(number: int, constrained: Any, unconstrained: Any) -> WyckoffColumns:
    """Columns of n materials of group `number`, from z0 (n, C) and z∞ (n, U, E); empty ones stay empty.

    Raises ProtostructureError for arrays that do not fit the group, naming the first wrong material.

    >>> columns = from_dense(225, [[55, 50, 0, 0]], np.zeros((1, 8, 100), np.uint8))
    >>> [str(p) for p in columns]
    ['AB_cF8_225_a_b:Cs-Sn']
    """
    group = SpaceGroup.from_number(number)
    z0, z_inf = np.asarray(constrained), np.asarray(unconstrained)
    n = len(z0) if z0.ndim else -1
    fits = z0.shape == (n, len(group.constrained)) and z_inf.shape[:2] == (n, len(group.unconstrained))
    if not fits or z_inf.ndim != 3 or z0.dtype.kind not in "iu" or z_inf.dtype.kind not in "iu":
        raise ProtostructureError(
            f"tensors of {group.symbol} ({number}) are whole numbers in the shapes (n, {len(group.constrained)}) and "
            f"(n, {len(group.unconstrained)}, E), got {z0.dtype} in {z0.shape} and {z_inf.dtype} in {z_inf.shape}"
        )
    if z_inf.shape[2] >= len(SYMBOLS):
        raise ProtostructureError(f"z∞ has {z_inf.shape[2]} elements, there are {len(SYMBOLS) - 1}")
    for values, largest in ((z0, len(SYMBOLS) - 1), (z_inf, 255)):
        if values.size and (values.min() < 0 or values.max() > largest):
            at = int(np.argmax(((values < 0) | (values > largest)).reshape(n, -1).any(axis=1)))
            raise ProtostructureError(f"material {at} holds values beyond 0 to {largest}")
    rows = {p.letter: i for i, p in enumerate(group.positions)}
    place0 = np.array([rows[p.letter] for p in group.constrained], np.int64)
    place_inf = np.array([rows[p.letter] for p in group.unconstrained], np.int64)
    i, c = z0.nonzero()
    j, u, e = z_inf.nonzero()
    material = np.concatenate([i, j])
    position = np.concatenate([place0[c], place_inf[u]])
    element = np.concatenate([z0[i, c].astype(np.int64), e + 1])
    count = np.concatenate([np.ones(len(i), np.uint8), z_inf[j, u, e].astype(np.uint8)])
    order = np.argsort(material << 16 | position << 8 | element)
    offset = np.searchsorted(material[order], np.arange(n + 1)).astype(np.int64)
    kept = (column[order].astype(np.uint8) for column in (position, element, count))
    return WyckoffColumns(np.full(n, number, np.uint8), offset, *kept)
