"""A crystal as a canvas that a reader of the page can turn: its data here, the drawing in viewer.js."""

from __future__ import annotations

import html
import json
from importlib import import_module
from itertools import product
from pathlib import Path

import numpy as np

from ..elements import SYMBOLS
from ..realize.sizes import RADII
from ..symmetry.crystal import Crystal

# Balls are drawn with this share of their covalent radius.
_BALL = 0.55
# Atoms this near to a face of the cell (fractional) are drawn on the opposite one as well.
_ON_FACE = 0.02


def script() -> str:
    """The drawing, to be put once at the end of a page."""
    return (Path(__file__).resolve().parent / "viewer.js").read_text(encoding="utf-8")


def canvas(crystal: Crystal) -> str:
    """The element of a page; lengths in Å about the middle of the cell."""
    middle = crystal.lattice.sum(axis=0) / 2
    corners = {corner: np.array(corner) @ crystal.lattice - middle for corner in product((0, 1), repeat=3)}
    edges = [
        [corners[one].round(3).tolist(), corners[other].round(3).tolist()]
        for one, other in product(corners, repeat=2)
        if one < other and sum(x != y for x, y in zip(one, other, strict=True)) == 1
    ]
    numbers = sorted(set(crystal.numbers.tolist()))
    atoms = [
        [*((place @ crystal.lattice - middle).round(3).tolist()), numbers.index(number)]
        for frac, number in zip(crystal.frac % 1.0, crystal.numbers.tolist(), strict=True)
        for place in _images(frac)
    ]
    colours = import_module("ase.data.colors").jmol_colors
    kinds = [
        {"symbol": SYMBOLS[z], "radius": round(_BALL * float(RADII[z]), 3), "colour": _hexadecimal(colours[z])}
        for z in numbers
    ]
    reach = max(float(np.linalg.norm(corner)) for corner in corners.values()) + 1
    data = json.dumps({"atoms": atoms, "edges": edges, "kinds": kinds, "reach": round(reach, 3)})
    legend = "".join(
        f"<span><i style='background:{kind['colour']}'></i>{html.escape(str(kind['symbol']))}</span>" for kind in kinds
    )
    shown = html.escape(data, quote=True)
    return (
        f'<canvas role="img" aria-label="the crystal" data-crystal="{shown}"></canvas><div class="key">{legend}</div>'
    )


def _images(frac: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """The atom, and its copies on the faces that it lies on."""
    shifts = [[0, 1] if x < _ON_FACE else [0, -1] if x > 1 - _ON_FACE else [0] for x in frac.tolist()]
    return [frac + np.array(shift) for shift in product(*shifts)]


def _hexadecimal(colour: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    return "#" + "".join(f"{round(255 * x):02x}" for x in colour.tolist())
