"""Several evaluations side by side: a table of models with the interval of each difference from the first."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from math import hypot
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from wyckoffkit import DatasetError

from ..fwd import check_digests
from .measure import FORMAT_VERSION
from .table import PLAIN

Contents = Sequence[tuple[str, Mapping[str, Any]]]
EMBEDDING = ("fwd", "fwd_of_novel")


def read_evaluations(paths: Sequence[Path]) -> list[tuple[str, dict[str, Any]]]:
    """(name, content) of each JSON file. Raises DatasetError for a file that is none, or of another reference, and
    CheckpointError where the extractors differ.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    for path in paths:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise DatasetError(f"{path}: not the JSON of an evaluation: {error}") from None
        version = content.get("format_version") if isinstance(content, dict) else None
        if version != FORMAT_VERSION or not isinstance(content.get("metrics"), dict):
            raise DatasetError(f"{path}: not the JSON of an evaluation in format {FORMAT_VERSION}")
        found.append((path.stem, content))
    for name, content in found[1:]:
        if content["reference"]["key"] != found[0][1]["reference"]["key"]:
            raise DatasetError(f"{name} was measured against another reference than {found[0][0]}: they do not compare")
        if content["embedding"] and found[0][1]["embedding"]:
            check_digests(found[0][1]["embedding"]["digest"], content["embedding"]["digest"])
    return found


def difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[float, float, float]:
    """(b - a, low, high) of two independent estimates, from their intervals (Newcombe's MOVER, 1998)."""
    value = b["value"] - a["value"]
    return (
        value,
        value - hypot(b["value"] - b["low"], a["high"] - a["value"]),
        value + hypot(b["high"] - b["value"], a["value"] - a["low"]),
    )


def rows(contents: Contents) -> list[tuple[str, list[Mapping[str, Any] | None], float]]:
    """(measure, estimate of each model, factor for showing) of what the first has; shares are shown in %."""
    first = contents[0][1]
    found: list[tuple[str, list[Mapping[str, Any] | None], float]] = [
        (name, [content["metrics"].get(name) for _, content in contents], 1.0 if name in PLAIN else 100.0)
        for name in first["metrics"]
    ]
    for key in EMBEDDING:
        if first["embedding"] and first["embedding"][key]:
            estimates = [(c["embedding"] or {}).get(key) for _, c in contents]
            found.append(
                (
                    f"{key.replace('_', ' ').replace('fwd', 'FWD')}, corrected",
                    [e and e["corrected"] for e in estimates],
                    1.0,
                )
            )
    found += [
        (
            f"{name}: Jensen–Shannon, bits",
            [c["divergences"].get(name, {}).get("jensen_shannon_bits") for _, c in contents],
            1.0,
        )
        for name in first["divergences"]
    ]
    return found


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
    table = Table("measure (shares in %)", *(name for name, _ in contents), "real data", box=None, pad_edge=False)
    for name, estimates, factor in rows(contents):
        line = contents[0][1]["lines"].get(name)
        real = f"{factor * line['value']:.4g}" if line else ""
        table.add_row(name, *(cell(estimates, i, factor) for i in range(len(contents))), real)
    console.print(table)
    console.print("in brackets: 95 % interval of the difference from the first; * excludes 0", highlight=False)


def html_table(contents: Contents) -> str:
    """The same for a report."""
    head = "".join(f"<th>{escape(name)}</th>" for name, _ in contents)
    body = ""
    for name, estimates, factor in rows(contents):
        line = contents[0][1]["lines"].get(name)
        real = f"{factor * line['value']:.4g}" if line else ""
        cells = "".join(f"<td>{escape(cell(estimates, i, factor))}</td>" for i in range(len(contents)))
        body += f"<tr><td>{escape(name)}</td>{cells}<td>{real}</td></tr>"
    return (
        f"<div class='wide'><table><tr><th>measure (shares in %)</th>{head}<th>real data</th></tr>{body}</table></div>"
        "<p class='soft'>In brackets: 95 % interval of the difference from the first; * excludes 0.</p>"
    )
