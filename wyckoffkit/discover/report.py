"""What was found, for people: a page of the best candidates, their phase diagrams, and VASP inputs for them."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from ..files import replacing
from ..hull import Hull, plot_system
from ..hull.compatibility import quiet
from ..label import format_label, parse_label
from ..realize.files import structure_dict
from ..realize.many import file_stem
from ..realize.record import Row
from ..relax import read_relaxed
from ..relax.search import crystal_in
from .pipeline import Discovery
from .rank import Candidate
from .viewer import canvas, script

# Phase diagrams on the page, at most.
_DIAGRAMS = 12

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 82rem; padding: 0 1rem; color: #1d2730 }
table { border-collapse: collapse; width: 100% }
td, th { padding: .35rem .6rem; text-align: left; border-bottom: 1px solid #dde3e8; vertical-align: middle }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
td.stable { color: #1b6b5a; font-weight: 600 }
code span { display: inline-block; white-space: nowrap }
td:last-child { min-width: 13rem }
canvas { width: 150px; height: 150px; cursor: grab; touch-action: none; display: block }
.key { font-size: .8rem } .key span { margin-right: .6rem; white-space: nowrap; display: inline-block }
.key i { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .2em }
.key i { border: 1px solid #555 }
.diagrams { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)) }
.diagrams img { width: 100% }
.scroll { overflow-x: auto }
@media (prefers-color-scheme: dark) {
  body { background: #12171d; color: #e7ebf0 }
  td, th { border-color: #2f3943 }
  td.stable { color: #4fd1b0 }
  .diagrams img { filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen }
}
"""
_HEAD = """
<tr><th>primitive cell<br>(drag to turn)</th><th>label</th><th>above hull<br>meV/atom</th><th>formation<br>eV/atom</th>
<th>predicted<br>formation</th><th>bits</th><th>when its symmetry<br>was released</th><th>would turn into</th></tr>
"""


def write_report(folder: Path, discovery: Discovery, hull: Hull, *, best: int = 20) -> Path:
    """`report.html` in the folder, self-contained; phase diagrams of the best's systems also as PNG in `diagrams/`."""
    relaxed = {row["label"]: row for row in read_relaxed(folder)}
    judged = {format_label(c.protostructure): c for c in discovery.candidates}
    placed = [row for row in discovery.rows if row["outcome"] == "placed"]
    lines = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Candidates</title>",
        f"<meta name='viewport' content='width=device-width, initial-scale=1'><style>{_STYLE}</style>",
        "<h1>Candidates</h1>",
        *(f"<p>{html.escape(text)}</p>" for text in _summary(discovery, hull)),
        f"<div class='scroll'><table>{_HEAD}",
        *(_row(row, relaxed[row["label"]], judged[row["label"]]) for row in placed[:best]),
        "</table></div>",
        *_diagrams(folder, hull, placed, best),
        f"<script>{script()}</script></html>",
    ]
    path = folder / "report.html"
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _summary(discovery: Discovery, hull: Hull) -> list[str]:
    told = ", ".join(f"{reason} {n}" for reason, n in sorted(discovery.refused.items(), key=lambda item: -item[1]))
    left = len(discovery.candidates) - discovery.relaxed - discovery.failed
    counts = (
        f"{len(discovery.candidates)} candidates (left out: {told or 'none'}); {discovery.relaxed} relaxed, "
        f"{discovery.failed} failed, {left} not begun. {discovery.places}."
    )
    energies = (
        f"Energies by {discovery.calculator}, on the scale '{discovery.scale}'. The hull: "
        f"{Path(hull.references.source).name}, {len(hull.references.entries)} entries. A calculator's errors are tens "
        "of meV/atom: what is on the hull here is a candidate for DFT, and no more."
    )
    return [counts, energies]


def _row(row: Row, relaxed: Row, candidate: Candidate) -> str:
    parts = ", ".join(f"{share:.2f} {name}" for name, share in row["decomposition"].items())
    kept = "kept its label" if relaxed["kept"] else f"now {_code(relaxed['label_free'])}"
    predicted = "" if candidate.formation_energy is None else f"{candidate.formation_energy:+.3f}"
    bits = "" if candidate.bits is None else f"{candidate.bits:.1f}"
    return (
        f"<tr><td>{canvas(crystal_in(relaxed))}</td><td>{_code(row['label'])}</td>"
        f"<td class='n{' stable' if row['stable'] else ''}'>{row['energy_above_hull'] * 1000:+.0f}</td>"
        f"<td class='n'>{row['formation_energy']:+.3f}</td><td class='n'>{predicted}</td><td class='n'>{bits}</td>"
        f"<td>{kept}</td><td>{html.escape(parts)}</td></tr>"
    )


def _code(label: str) -> str:
    """A label that breaks after its colon alone."""
    positions, colon, elements = label.partition(":")
    return f"<code><span>{html.escape(positions + colon)}</span><span>{html.escape(elements)}</span></code>"


def _diagrams(folder: Path, hull: Hull, placed: list[Row], best: int) -> Iterable[str]:
    systems = dict.fromkeys(tuple(parse_label(row["label"]).composition) for row in placed[:best])
    shown = [system for system in systems if len(system) in (2, 3)][:_DIAGRAMS]
    if not shown:
        return
    yield "<h2>Phase diagrams</h2><div class='diagrams'>"
    for system in shown:
        name = "-".join(system)
        path = folder / "diagrams" / f"{name}.png"
        plot_system(hull, system, placed, path)
        data = base64.b64encode(path.read_bytes()).decode()
        yield f"<img alt='Phase diagram of {name}' src='data:image/png;base64,{data}'>"
    yield "</div>"


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
