"""What was found, for people: a page of the best candidates with pictures, and VASP inputs for them."""

from __future__ import annotations

import base64
import html
import io
from importlib import import_module
from pathlib import Path
from typing import Any

from ..hull.compatibility import quiet
from ..realize.files import structure_dict
from ..realize.many import file_stem
from ..realize.record import Row
from ..relax import read_relaxed
from ..relax.search import crystal_in
from ..symmetry.crystal import Crystal
from .pipeline import Discovery

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; color: #1d2730 }
table { border-collapse: collapse; width: 100% }
td, th { padding: .35rem .6rem; text-align: left; border-bottom: 1px solid #dde3e8 }
td.n { text-align: right; font-variant-numeric: tabular-nums }
td.stable { color: #1b6b5a; font-weight: 600 }
img { height: 110px }
"""
_HEAD = """
<tr><th></th><th>label</th><th>above hull<br>meV/atom</th><th>formation<br>eV/atom</th><th>kept its label</th>
<th>would turn into</th></tr>
"""


def write_report(folder: Path, discovery: Discovery, *, best: int = 20) -> Path:
    """`report.html` in the folder, self-contained."""
    relaxed = {row["label"]: row for row in read_relaxed(folder)}
    found = discovery.rates
    told = ", ".join(f"{n} {reason}" for reason, n in sorted(discovery.refused.items(), key=lambda item: -item[1]))
    placed = [row for row in discovery.rows if row["outcome"] == "placed"][:best]
    counts = (
        f"{discovery.candidates} candidates ({told or 'none refused'}); {discovery.relaxed} relaxed, "
        f"{discovery.failed} failed. On or below the hull {found.stable}, metastable {found.metastable}; unique and "
        f"novel of these {found.sun} and {found.msun}."
    )
    lines = [
        "<!doctype html><meta charset='utf-8'><title>Candidates</title>",
        f"<style>{_STYLE}</style><h1>Candidates</h1><p>{html.escape(counts)}</p><table>{_HEAD}",
        *(_row(row, relaxed[row["label"]]) for row in placed),
        "</table>",
    ]
    path = folder / "report.html"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _row(row: Row, relaxed: Row) -> str:
    parts = ", ".join(f"{share:.2f} {name}" for name, share in row["decomposition"].items())
    stable = " stable" if row["stable"] else ""
    kept = "yes" if relaxed["kept"] else f"now {relaxed['label_free']}"
    return (
        f"<tr><td>{_picture(crystal_in(relaxed))}</td><td>{html.escape(row['label'])}</td>"
        f"<td class='n{stable}'>{row['energy_above_hull'] * 1000:+.0f}</td>"
        f"<td class='n'>{row['formation_energy']:+.3f}</td><td>{html.escape(kept)}</td>"
        f"<td>{html.escape(parts)}</td></tr>"
    )


def _picture(crystal: Crystal) -> str:
    """The primitive cell, drawn by ASE, as an image in the page."""
    from matplotlib.figure import Figure

    atoms = import_module("ase").Atoms(
        numbers=crystal.numbers, scaled_positions=crystal.frac, cell=crystal.lattice, pbc=True
    )
    figure = Figure(figsize=(2, 2))
    axes: Any = figure.add_subplot()
    axes.axis("off")
    import_module("ase.visualize.plot").plot_atoms(atoms, axes, rotation="10x,-15y")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return f"<img alt='' src='data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'>"


def write_vasp_inputs(folder: Path, discovery: Discovery, *, best: int = 20) -> int:
    """VASP inputs for each of the best: INCAR, KPOINTS and POSCAR of MPRelaxSet, and the POTCARs by name alone."""
    relaxed = {row["label"]: row for row in read_relaxed(folder)}
    placed = [row for row in discovery.rows if row["outcome"] == "placed"][:best]
    Structure = import_module("pymatgen.core").Structure
    MPRelaxSet = import_module("pymatgen.io.vasp.sets").MPRelaxSet
    for row in placed:
        with quiet():
            structure = Structure.from_dict(structure_dict(crystal_in(relaxed[row["label"]]))).get_sorted_structure()
            MPRelaxSet(structure).write_input(folder / "vasp" / file_stem(row["label"], 0), potcar_spec=True)
    return len(placed)
