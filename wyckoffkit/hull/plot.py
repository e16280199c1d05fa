"""Binary and ternary phase diagrams as pictures, with the crystals that were placed in them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RealizationError
from ..files import replacing
from ..label import parse_label
from ..realize.record import Row
from .above import Hull

_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
_ON_HULL, _ABOVE, _NEW = "#1b6b5a", "#b5bdc4", "#c8443a"


def plot_system(hull: Hull, system: tuple[str, ...], rows: Iterable[Row], path: Path) -> None:
    """Draw the phase diagram of two or three elements, and the rows (of `hull_rows`) that belong there.

    The suffix of the path is the format. Raises RealizationError for other numbers of elements.
    """
    if len(system) not in (2, 3):
        raise RealizationError(f"phase diagrams of two or three elements can be drawn, got {'-'.join(system)}")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.5))
    axes: Any = figure.add_subplot()
    placed = [r for r in rows if r["outcome"] == "placed" and set(parse_label(r["label"]).composition) <= set(system)]
    (_draw_binary if len(system) == 2 else _draw_ternary)(axes, hull.diagram(system), system, placed)
    axes.set_title(f"{'–'.join(system)}, {hull.references.scale}", fontsize=9)
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format=path.suffix.removeprefix("."))


def _share(composition: Any, system: tuple[str, ...]) -> NDArray[np.float64]:
    amounts = np.array([float(composition.get(symbol, 0.0)) for symbol in system])
    shares: NDArray[np.float64] = amounts / amounts.sum()
    return shares


def _entry_share(entry: Any, system: tuple[str, ...]) -> NDArray[np.float64]:
    return _share({str(element): n for element, n in entry.composition.items()}, system)


def _draw_binary(axes: Any, diagram: Any, system: tuple[str, ...], placed: list[Row]) -> None:
    stable = sorted(
        (_entry_share(e, system)[1], e.energy_per_atom, e.composition.reduced_formula) for e in diagram.stable_entries
    )
    others = [(_entry_share(e, system)[1], e.energy_per_atom) for e in diagram.unstable_entries]
    if others:
        axes.scatter(*zip(*others, strict=True), s=12, color=_ABOVE, label="known, above the hull")
    axes.plot([x for x, _, _ in stable], [y for _, y, _ in stable], "o-", color=_ON_HULL, label="known, on the hull")
    for x, y, formula in stable:
        axes.annotate(formula, (x, y), textcoords="offset points", xytext=(3, -10), fontsize=7)
    points = [(_share(parse_label(r["label"]).composition, system)[1], r["formation_energy"]) for r in placed]
    if points:
        axes.scatter(*zip(*points, strict=True), marker="*", s=70, color=_NEW, label="new", zorder=3)
    axes.set_xlabel(f"share of {system[1]}")
    axes.set_ylabel("formation energy (eV/atom)")
    axes.legend(fontsize=7)


def _draw_ternary(axes: Any, diagram: Any, system: tuple[str, ...], placed: list[Row]) -> None:
    for facet in diagram.facets:
        points = np.array([_entry_share(diagram.qhull_entries[i], system) for i in facet]) @ _CORNERS
        axes.plot(*np.vstack([points, points[:1]]).T, color=_ON_HULL, linewidth=0.8)
    for entry in diagram.stable_entries:
        x, y = _entry_share(entry, system) @ _CORNERS
        axes.scatter([x], [y], s=18, color=_ON_HULL)
        axes.annotate(entry.composition.reduced_formula, (x, y), textcoords="offset points", xytext=(4, 3), fontsize=7)
    for row in placed:
        x, y = _share(parse_label(row["label"]).composition, system) @ _CORNERS
        axes.scatter([x], [y], marker="*", s=90, color=_NEW, zorder=3)
        axes.annotate(
            f"{row['energy_above_hull'] * 1000:+.0f} meV",
            (x, y),
            textcoords="offset points",
            xytext=(4, -10),
            fontsize=7,
            color=_NEW,
        )
    known = axes.plot([], [], "o-", color=_ON_HULL, linewidth=0.8, markersize=4, label="known, on the hull")
    new = axes.plot([], [], "*", color=_NEW, markersize=9, label="new, with its energy above the hull")
    axes.legend(handles=[*known, *new][: 1 + bool(placed)], fontsize=7, loc="upper left", frameon=False)
    axes.set_aspect("equal")
    axes.axis("off")
