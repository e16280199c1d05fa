"""Several evaluations side by side: a table of models with the interval of each difference from the first."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import hypot
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from wyckoffkit import DatasetError

from ..fwd import check_digests
from ..measures import MEMORY, PLAIN
from .measure import FORMAT_VERSION

Contents = Sequence[tuple[str, Mapping[str, Any]]]
Lines = tuple[float | None, float | None]
ENERGY = "predicted_formation_energy_ev_per_atom"
# Where a measure lies in `embedding`, its name, factor, and what the training set drawn with replacement shows.
EMBEDDED: tuple[tuple[tuple[str, ...], str, float, float | None], ...] = (
    (("fwd", "raw"), "FWD, raw", 1.0, None),
    (("fwd", "corrected"), "FWD, corrected", 1.0, 0.0),
    (("fwd_of_novel", "corrected"), "FWD of the novel, corrected", 1.0, None),
    (("kernel_distance",), "kernel distance", 1.0, 0.0),
    (("precision",), "precision", 100.0, None),
    (("recall",), "recall", 100.0, None),
    (("density",), "density", 1.0, None),
    (("coverage",), "coverage", 100.0, None),
    *(
        ((ENERGY, kind, quantile), f"formation energy {quantile}, {kind}, eV/atom", 1.0, None)
        for quantile in ("Q10", "Q50", "Q90")
        for kind in ("all", "novel")
    ),
)

BITS = (
    *(("bits_a_material", name) for name in ("samples", "held-out", "training")),
    *(("differences", f"held-out less {name}") for name in ("training", "samples")),
)


def read_evaluations(paths: Sequence[Path]) -> list[tuple[str, dict[str, Any]]]:
    """(name, content) of each JSON file. Raises DatasetError for a file that is none, or of another reference, and
    CheckpointError where the extractors differ.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    for path in paths:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}: not the JSON of an evaluation: {error}") from None
        version = content.get("format_version") if isinstance(content, dict) else None
        if version != FORMAT_VERSION or not isinstance(content.get("metrics"), dict):
            raise DatasetError(f"{path}: not the JSON of an evaluation in format {FORMAT_VERSION}")
        _check(path, content)
        found.append((path.stem, content))
    for name, content in found[1:]:
        if content["reference"]["key"] != found[0][1]["reference"]["key"]:
            raise DatasetError(f"{name} was measured against another reference than {found[0][0]}: they do not compare")
        if content["embedding"] and found[0][1]["embedding"]:
            check_digests(found[0][1]["embedding"]["digest"], content["embedding"]["digest"])
    return found


def _check(path: Path, content: Mapping[str, Any]) -> None:
    """Raise DatasetError where a table cannot be made of it."""
    try:
        str(content["reference"]["key"])
        if content["embedding"]:
            str(content["embedding"]["digest"])
        for row in rows([("", content), ("", content)]):
            cell(row.estimates, 1, row.factor)
            _line(row.held_out, row.factor)
            _line(row.resampled, row.factor)
    except KeyError as error:
        raise DatasetError(f"{path}: an evaluation without a field {error.args[0]!r}") from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DatasetError(f"{path}: not the JSON of an evaluation: {error}") from None


ENDS = ("held-out", "resampled")
BRACKETS = "95 % interval of the difference from the first; * excludes 0"


def difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[float, float, float]:
    """(b - a, low, high) of two independent estimates, from their intervals (Newcombe's MOVER, 1998)."""
    value = b["value"] - a["value"]
    return (
        value,
        value - hypot(b["value"] - b["low"], a["high"] - a["value"]),
        value + hypot(b["high"] - b["value"], a["value"] - a["low"]),
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of every model; `None` where a model lacks it."""

    name: str
    estimates: tuple[Mapping[str, Any] | None, ...]
    held_out: float | None
    resampled: float | None
    factor: float
    """100 for shares, which are shown in %."""


def rows(contents: Contents) -> list[Row]:
    """Every measure of the first evaluation."""
    first = contents[0][1]

    def row(name: str, factor: float, path: tuple[str, ...], lines: Lines = (None, None)) -> Row:
        return Row(name, tuple(_inside(content, path) for _, content in contents), *lines, factor)

    lines, resampled = first["lines"], first["resampled"]
    found = [
        row(
            name,
            1.0 if name in PLAIN else 100.0,
            ("metrics", name),
            ((lines.get(name) or {}).get("value"), resampled.get(name)),
        )
        for name in first["metrics"]
    ]
    if first["embedding"]:
        held_out = first["embedding"]["held_out"]
        for path, name, factor, again in EMBEDDED:
            if _inside(first["embedding"], path) is not None:
                line = (_inside(held_out, path) or {}).get("value")
                found.append(row(name, factor, ("embedding", *path), (line, again)))
    for path in BITS if first["likelihoods"] else ():
        name = f"bits{' a material' * (path[0] != 'differences')}, {path[1]}"
        line = 0.0 if path[0] == "differences" else None
        found.append(row(name, 1.0, ("likelihoods", *path), (line, None)))
    return found + [
        row(
            f"{name}: Jensen–Shannon, bits",
            1.0,
            ("divergences", name, "jensen_shannon_bits"),
            (None, first["divergences"][name]["jensen_shannon_bits"]["floor"]),
        )
        for name in first["divergences"]
    ]


def _inside(content: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """What lies at a path of keys, None where one is missing."""
    found: Any = content
    for key in path:
        found = found.get(key) if found else None
    return found


def with_interval(estimate: Mapping[str, Any] | None, factor: float, digits: int = 3) -> str:
    """`value (low … high)`; ∞ for a ratio to nothing, a dash for what could not be measured."""
    if estimate is None or (estimate["value"] is None and not (estimate["n"] and estimate["low"])):
        return "–"
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    if value is None:
        return f"∞ (above {low * factor:.0f})"
    shown = f"{factor * value:.{digits}g}"
    return shown if None in (low, high) else f"{shown} ({factor * low:.3g} … {factor * high:.3g})"


def cell(estimates: Sequence[Mapping[str, Any] | None], i: int, factor: float) -> str:
    """Model i's value, and for all but the first the interval of the difference; * where it excludes 0."""
    here, first = estimates[i], estimates[0]
    if here is None or here["value"] is None:
        return "–"
    shown = f"{factor * here['value']:.4g}"
    if i == 0 or first is None or None in (first["low"], first["high"], here["low"], here["high"], first["value"]):
        return shown
    _, low, high = difference(first, here)
    return f"{shown} ({factor * low:+.3g} … {factor * high:+.3g}){'*' if low > 0 or high < 0 else ''}"


def show_comparison(contents: Contents, console: Console) -> None:
    """Print the table."""
    table = Table("measure (shares in %)", *(name for name, _ in contents), *ENDS, box=None, pad_edge=False)
    for row in rows(contents):
        found = (cell(row.estimates, i, row.factor) for i in range(len(contents)))
        table.add_row(row.name, *found, _line(row.held_out, row.factor), _line(row.resampled, row.factor))
    console.print(table)
    console.print(f"in brackets: {BRACKETS}", highlight=False)


def _line(value: float | None, factor: float) -> str:
    return "" if value is None else f"{factor * value:.4g}"


def html_table(contents: Contents) -> str:
    """The same for a report."""
    head = "".join(f"<th>{escape(name)}</th>" for name in (*(name for name, _ in contents), *ENDS))
    body = ""
    for row in rows(contents):
        found = (escape(cell(row.estimates, i, row.factor)) for i in range(len(contents)))
        cells = "".join(
            f"<td>{text.replace(' (', '<br><small>(', 1)}{'</small>' * ('(' in text)}</td>" for text in found
        )
        lines = "".join(f"<td>{_line(value, row.factor)}</td>" for value in (row.held_out, row.resampled))
        body += f"<tr><td>{escape(row.name)}</td>{cells}{lines}</tr>"
    return (
        f"<div class='wide'><table><tr><th>measure (shares in %)</th>{head}</tr>{body}</table></div>"
        f"<p class='soft'>In brackets: {BRACKETS}.</p>"
    )


PLOTTED = (
    "FWD, corrected",
    "FWD of the novel, corrected",
    "novel",
    "unique",
    "valid, unique and novel, of all lines",
    MEMORY,
    "samples with a novel prototype",
    "labels that collapse into a supergroup",
    "compositions that SMACT accepts",
    "precision",
    "recall",
    "coverage",
    "space group: Jensen–Shannon, bits",
    "element: Jensen–Shannon, bits",
)


def plots(contents: Contents) -> list[tuple[str, list[Mapping[str, Any] | None], dict[str, float]]]:
    """What a report of the comparison draws: measures in the units to show, with their lines."""
    by_name = {row.name: row for row in rows(contents)}
    found = []
    for name in PLOTTED:
        if (row := by_name.get(name)) is None:
            continue
        estimates = [
            e and {key: e[key] and row.factor * e[key] for key in ("value", "low", "high")} for e in row.estimates
        ]
        lines = {"held-out": row.held_out, "resampled": row.resampled}
        title = name if row.factor == 1 else f"{name}, %"
        found.append((title, estimates, {k: row.factor * v for k, v in lines.items() if v is not None}))
    return found
